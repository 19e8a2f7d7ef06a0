//! `cargo xtask fuzz`: lets libFuzzer search one target of tests/fuzz.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::workspace::Workspace;
use crate::{install, process};

/// The targets; tests/fuzz has one harness for each.
const TARGETS: [&str; 9] = [
    "control",
    "enrolment",
    "datagrams",
    "journal",
    "messages",
    "offer",
    "requests",
    "sessions",
    "ticket",
];

/// Most inputs of a committed corpus; the test that replays them has the same number.
const FILES_MAX: usize = 300;
/// Longest input. What is longer is slower and says no more.
const MAX_LEN: &str = "-max_len=8192";
/// An input that takes this long hangs, seconds.
const TIMEOUT: &str = "-timeout=20";

/// What to search, and for how long.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Which; tests/fuzz/README.md says what each is given and what holds
    #[arg(
        value_name = "NAME",
        value_parser = PossibleValuesParser::new(TARGETS),
        hide_possible_values = true
    )]
    target: String,

    /// How long to search
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u32,

    /// Replace the committed corpus by the smallest that covers as much
    #[arg(long)]
    minimise: bool,
}

/// Searches for `--seconds`, or with `--minimise` keeps of all that was found what covers most.
pub(crate) fn run(workspace: &Workspace, flags: &Flags) -> Result<()> {
    install::cmake(workspace)?;
    install::cargo_fuzz()?;
    let target = flags.target.as_str();
    // The versions that are shipped are the ones that are searched.
    let lock = workspace.root.join("tests/fuzz/fuzz/Cargo.lock");
    fs::copy(workspace.root.join("Cargo.lock"), lock).context("the lock file is not copied")?;
    let committed = workspace.root.join("tests/fuzz/corpus").join(target);
    let found = workspace.target.join("fuzz/corpus").join(target);
    fs::create_dir_all(&found)?;
    if !flags.minimise {
        let mut search = libfuzzer(workspace, target, &[&found, &committed]);
        let seconds = flags.seconds;
        return process::run(search.arg(format!("-max_total_time={seconds}")));
    }
    let kept = workspace.target.join("fuzz/kept").join(target);
    let _ = fs::remove_dir_all(&kept);
    fs::create_dir_all(&kept)?;
    let mut merge = libfuzzer(workspace, target, &[&kept, &committed, &found]);
    // What is executed counts, not how often: with counters a corpus is ten times as large.
    process::run(merge.args(["-set_cover_merge=1", "-use_counters=0"]))?;
    replace(&kept, &committed)
}

/// cargo-fuzz with the stable toolchain: it needs flags that are not stable, and nothing else.
fn libfuzzer(workspace: &Workspace, target: &str, corpora: &[&Path]) -> Command {
    let mut command = workspace.cargo(&["fuzz", "run", "--fuzz-dir", "tests/fuzz/fuzz"]);
    // The address sanitizer finds nothing in code without `unsafe`, and takes most of the speed.
    command.args(["--sanitizer", "none"]);
    command
        .env("RUSTC_BOOTSTRAP", "1")
        .arg("--target-dir")
        .arg(workspace.target.join("fuzz"))
        .arg(target)
        .args(corpora)
        .args(["--", MAX_LEN, TIMEOUT]);
    let words = workspace.root.join("tests/fuzz/words").join(target);
    if words.is_file() {
        command.arg(format!("-dict={}", words.display()));
    }
    command
}

fn replace(kept: &Path, committed: &Path) -> Result<()> {
    fs::remove_dir_all(committed)?;
    fs::create_dir_all(committed)?;
    let mut names = Vec::new();
    for entry in fs::read_dir(kept)? {
        names.push(entry?.file_name());
    }
    // Names are hashes, so the first are a fair choice.
    names.sort();
    let (mut bytes, found) = (0, names.len());
    for name in names.iter().take(FILES_MAX) {
        bytes += fs::copy(kept.join(name), committed.join(name))?;
    }
    let files = found.min(FILES_MAX);
    println!("{files} of {found} inputs are kept, {bytes} bytes");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_a_harness_and_a_line_for_cargo_fuzz() {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz");
        let manifest = fs::read_to_string(tests.join("fuzz/Cargo.toml")).unwrap();
        let harnesses = fs::read_to_string(tests.join("src/lib.rs")).unwrap();
        let readme = fs::read_to_string(tests.join("README.md")).unwrap();
        for target in TARGETS {
            let line = format!("name = \"{target}\"");
            assert!(manifest.contains(&line), "{target}");
            let line = format!("(\"{target}\", {target}::run),");
            assert!(harnesses.contains(&line), "{target}");
            assert!(readme.contains(&format!("\n| `{target}` | ")), "{target}");
            let binary = tests.join(format!("fuzz/fuzz_targets/{target}.rs"));
            assert!(fs::read_to_string(binary).unwrap().contains(target));
        }
        assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
    }
}
