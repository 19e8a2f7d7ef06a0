//! Replays the committed corpora: every input that a search found worth keeping.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Small enough to replay in every test run.
const FILES_MAX: usize = 300;
const BYTES_MAX: u64 = 300_000;

fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .collect();
    files.sort();
    files
}

fn replay(target: &str) {
    let (_, run) = fuzz::TARGETS
        .iter()
        .find(|(name, _)| *name == target)
        .expect("a target of the library");
    let files = corpus(target);
    assert!(files.len() >= 5, "{target} has hardly a corpus");
    assert!(files.len() <= FILES_MAX, "{target}: minimise the corpus");
    let bytes: u64 = files
        .iter()
        .map(|f| f.metadata().expect("the file is there").len())
        .sum();
    assert!(bytes <= BYTES_MAX, "{target}: minimise the corpus");
    for file in files {
        let data = std::fs::read(&file).expect("the file is there");
        let name = file.file_name().expect("a file has a name").to_owned();
        if std::panic::catch_unwind(|| run(&data)).is_err() {
            panic!(
                "{target} does not hold for corpus/{target}/{}",
                name.display()
            );
        }
    }
}

#[test]
fn control() {
    replay("control");
}

#[test]
fn datagrams() {
    replay("datagrams");
}

#[test]
fn enrolment() {
    replay("enrolment");
}

#[test]
fn messages() {
    replay("messages");
}

#[test]
fn offer() {
    replay("offer");
}

#[test]
fn requests() {
    replay("requests");
}

#[test]
fn sessions() {
    replay("sessions");
}

#[test]
fn ticket() {
    replay("ticket");
}

#[test]
fn every_corpus_has_a_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let folders: BTreeSet<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let targets: BTreeSet<_> = fuzz::TARGETS
        .iter()
        .map(|(name, _)| name.to_string())
        .collect();
    assert_eq!(folders, targets);
}
