//! Secrets as files: readable by their owner only, whole or not there at all.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// What becomes of a file that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It stays, and the new one is refused.
    Keep,
    /// The new one takes its place.
    Replace,
}

impl From<bool> for Existing {
    /// As a flag `--replace` says.
    fn from(replace: bool) -> Self {
        match replace {
            true => Self::Replace,
            false => Self::Keep,
        }
    }
}

/// Writes a line that its owner alone may read. Written aside and renamed: a reader sees the whole
/// secret or none.
pub(crate) fn write(file: &Path, text: &str, existing: Existing) -> Result<()> {
    let partial = partial(file);
    let written = || -> std::io::Result<()> {
        // What a run that was killed left behind, or whatever else has that name.
        let _ = fs::remove_file(&partial);
        let mut options = OpenOptions::new();
        let mut out = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&partial)?;
        writeln!(out, "{text}")?;
        out.sync_all()?;
        match existing {
            Existing::Replace => fs::rename(&partial, file),
            // A link never replaces, whoever makes the same file at this moment.
            Existing::Keep => {
                let linked = fs::hard_link(&partial, file);
                fs::remove_file(&partial)?;
                linked
            }
        }
    };
    match written() {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => bail!(
            "{} is there already and was left as it is; --replace overwrites it",
            file.display()
        ),
        result => result.with_context(|| format!("{} cannot be written", file.display())),
    }
}

/// The name of a file while it is written: beside it, and no other file's.
fn partial(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// Random bytes, fit for keys.
pub(crate) fn random() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context("/dev/urandom cannot be read")?;
    Ok(bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A folder under the system's temporary one, removed at the end.
    pub(crate) struct Folder(pub(crate) PathBuf);

    impl Folder {
        pub(crate) fn new(name: &str) -> Self {
            let name = format!("lifeverse-xtask-{name}-{}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn a_file_is_private_and_kept_unless_it_may_be_replaced() {
        let folder = Folder::new("secret");
        fs::create_dir_all(&folder.0).unwrap();
        let file = folder.0.join("a.key");
        write(&file, "one", Existing::Keep).unwrap();
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let refused = write(&file, "two", Existing::Keep).unwrap_err().to_string();
        assert!(refused.contains("--replace"), "{refused}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "one\n");
        write(&file, "two", Existing::Replace).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "two\n");
        // Nothing is left beside it.
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
        let nowhere = folder.0.join("no/such/folder.key");
        let refused = write(&nowhere, "x", Existing::Keep).unwrap_err();
        assert!(refused.to_string().contains("folder.key"), "{refused}");
    }

    #[test]
    fn randomness_is_not_constant() {
        assert_ne!(random().unwrap(), random().unwrap());
    }
}
