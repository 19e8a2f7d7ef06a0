//! What an enrolled relay keeps: its claim, and what the edge gave it. As private as a key.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use wire::enrolment::{Claim, EnrolmentReply};

use crate::config::StartError;

/// The form of the file. A later one is refused, not guessed.
const VERSION: u8 = 1;

/// Rights that others than the owner may have: none.
const OTHERS: u32 = 0o077;

/// The content of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    version: u8,
    /// The edge that was asked.
    pub(super) edge: String,
    pub(super) claim: Claim,
    /// None until the edge has answered.
    #[serde(default)]
    pub(super) place: Option<EnrolmentReply>,
}

impl State {
    pub(super) fn new(edge: &str, claim: Claim) -> Self {
        Self {
            version: VERSION,
            edge: edge.to_owned(),
            claim,
            place: None,
        }
    }

    /// What is in the file; none when there is no file.
    pub(super) fn read(file: &Path) -> Result<Option<Self>, StartError> {
        let shown = file.display();
        let unreadable = |error| StartError(format!("--state {shown} cannot be read: {error}"));
        let meta = match fs::metadata(file) {
            Ok(meta) => meta,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        if meta.mode() & OTHERS != 0 {
            return Err(StartError(format!(
                "--state {shown} holds keys and others may read or write it: chmod 600 {shown}"
            )));
        }
        let text = fs::read_to_string(file).map_err(unreadable)?;
        // The parser's own words may repeat a key.
        let state: Self = serde_json::from_str(&text).map_err(|error| {
            StartError(format!(
                "--state {shown} is not what an enrolled relay keeps (line {}); delete it and \
                 enrol with a new token",
                error.line()
            ))
        })?;
        if state.version != VERSION {
            return Err(StartError(format!(
                "--state {shown} was written by a later version of relay; start that one, or \
                 delete the file and enrol with a new token"
            )));
        }
        Ok(Some(state))
    }

    /// Writes the file, whole or not at all, and returns what was written.
    pub(super) fn write(self, file: &Path) -> Result<Self, StartError> {
        let partial = partial(file);
        let write = || -> std::io::Result<()> {
            match fs::remove_file(&partial) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut options = OpenOptions::new();
            let mut out = options
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&partial)?;
            serde_json::to_writer_pretty(&mut out, &self)?;
            out.write_all(b"\n")?;
            // After a power failure there is the old file or the new one.
            out.sync_all()?;
            fs::rename(&partial, file)
        };
        write().map_err(|error| {
            let shown = file.display();
            StartError(format!(
                "--state {shown} cannot be written: {error}; its folder must be the relay's own"
            ))
        })?;
        Ok(self)
    }
}

fn partial(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn it_is_private_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("enrolment.json");
        assert_eq!(State::read(&file), Ok(None));
        let state = State::new("https://edge.example", Claim::new([7; 32]));
        let state = state.write(&file).unwrap().write(&file).unwrap();
        assert_eq!(State::read(&file), Ok(Some(state)));
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_bad_file_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("enrolment.json");
        let later =
            r#"{"version":2,"edge":"e","claim":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"}"#;
        for (text, mode, wanted) in [
            ("", 0o600, "delete it and enrol"),
            ("{\"version\":1}", 0o600, "delete it and enrol"),
            (later, 0o600, "later version"),
            (later, 0o640, "chmod 600"),
        ] {
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let told = State::read(&file).unwrap_err().0;
            assert!(
                told.contains(wanted) && told.starts_with("--state "),
                "{told}"
            );
        }
        let nowhere = folder.path().join("no/folder/state.json");
        let told = State::new("e", Claim::new([7; 32])).write(&nowhere);
        assert!(told.unwrap_err().0.contains("cannot be written"));
    }
}
