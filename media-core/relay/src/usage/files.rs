//! The folder of a journal: a folder for each shard, and in it files of which one at most is being
//! written. `TIME-BOOT-NUMBER.open` becomes `.closed` when it is full, or when a relay finds what
//! the last run left.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use wire::{BootId, ShardId};

use super::journal::{self, Journal};
use crate::config::StartError;

/// Longest file that is read: several times what a writer closes at.
const FILE_BYTES_MAX: u64 = 64 << 20;
const OPEN: &str = "open";
const CLOSED: &str = "closed";

/// The folder of a journal, which no other process uses.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// Held for as long as the folder is used, and let go by the kernel with the process.
    _lock: File,
}

/// A file that nobody writes any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Closed {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    /// When it was last written, since the Unix epoch.
    pub(crate) written: Duration,
}

impl Folder {
    /// Takes a folder, and closes what an earlier run left open.
    ///
    /// # Errors
    /// When it cannot be made or is another relay's.
    pub(crate) fn take(path: &Path) -> Result<Self, StartError> {
        let shown = path.display();
        let fault = |error: io::Error| {
            StartError(format!(
                "--usage-journal {shown} cannot be used: {error}; its folder must be the relay's \
                 own"
            ))
        };
        fs::create_dir_all(path).map_err(fault)?;
        let lock = File::create(path.join("lock")).map_err(fault)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StartError(format!(
                    "--usage-journal {shown} is used by another relay; give each its own"
                )));
            }
            Err(TryLockError::Error(error)) => return Err(fault(error)),
        }
        let folder = Self {
            path: path.to_owned(),
            _lock: lock,
        };
        for file in folder.files(OPEN).map_err(fault)? {
            fs::rename(&file, file.with_extension(CLOSED)).map_err(fault)?;
        }
        Ok(folder)
    }

    /// A new file of a shard: the `number`th of a run that began at `began_ms` of Unix time.
    pub(crate) fn open(
        &self,
        shard: &ShardId,
        (boot, began_ms): (BootId, u64),
        number: u64,
    ) -> io::Result<(File, PathBuf)> {
        let folder = self.path.join(shard.as_str());
        fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{began_ms:015}-{boot}-{number:08}.{OPEN}"));
        Ok((File::create_new(&path)?, path))
    }

    /// Says that nobody writes a file any more.
    pub(crate) fn close(path: &Path) -> io::Result<()> {
        fs::rename(path, path.with_extension(CLOSED))
    }

    /// Files that nobody writes any more, of all shards, by shard, run and number.
    pub(crate) fn closed(&self) -> io::Result<Vec<Closed>> {
        let mut all = Vec::new();
        for path in self.files(CLOSED)? {
            // One that was just removed is none.
            let Ok(meta) = fs::metadata(&path) else {
                continue;
            };
            let written = meta.modified()?.duration_since(UNIX_EPOCH);
            all.push(Closed {
                path,
                bytes: meta.len(),
                written: written.unwrap_or_default(),
            });
        }
        Ok(all)
    }

    fn files(&self, kind: &str) -> io::Result<Vec<PathBuf>> {
        let mut all = Vec::new();
        for shard in fs::read_dir(&self.path)? {
            let shard = shard?;
            if !shard.file_type()?.is_dir() {
                continue;
            }
            for file in fs::read_dir(shard.path())? {
                let path = file?.path();
                let is_it = path.extension().is_some_and(|extension| extension == kind);
                all.extend(is_it.then_some(path));
            }
        }
        all.sort();
        Ok(all)
    }
}

impl Closed {
    /// The folder that it is in, which has the name of its shard.
    pub(crate) fn is_of(&self, shard: &ShardId) -> bool {
        let folder = self.path.parent().and_then(Path::file_name);
        folder.is_some_and(|name| name == shard.as_str())
    }

    /// Whether it is of a run.
    pub(crate) fn is_of_run(&self, boot: BootId) -> bool {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        name.split('-').nth(1) == Some(&boot.to_string())
    }

    /// What is in it; none when that is no journal.
    pub(crate) fn read(&self) -> io::Result<Option<Journal>> {
        let mut bytes = Vec::new();
        let file = File::open(&self.path)?;
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(journal::read(&bytes).ok())
    }

    /// Removes it; one that is not there any more is removed.
    pub(crate) fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_open_is_closed_and_the_folder_has_one_owner() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b): (ShardId, ShardId) = ("eu-1-0".parse().unwrap(), "eu-1-1".parse().unwrap());
        let (first, second) = ((BootId([9; 8]), 5), (BootId([1; 8]), 60));
        let taken = Folder::take(folder.path()).unwrap();
        let told = Folder::take(folder.path()).unwrap_err().0;
        assert!(told.contains("another relay"), "{told}");
        taken.open(&a, first, 1).unwrap();
        taken.open(&b, first, 1).unwrap();
        assert!(taken.open(&b, first, 1).is_err(), "never over another");
        assert_eq!(taken.closed().unwrap(), []);
        drop(taken);
        let taken = Folder::take(folder.path()).unwrap();
        let (_, path) = taken.open(&a, second, 1).unwrap();
        Folder::close(&path).unwrap();
        let closed = taken.closed().unwrap();
        let seen: Vec<_> = closed
            .iter()
            .map(|file| (file.is_of(&a), file.is_of_run(first.0)))
            .collect();
        assert_eq!(seen, [(true, true), (true, false), (false, true)]);
        for file in &closed {
            assert_eq!(file.read().unwrap(), None, "nothing was written");
            file.remove().unwrap();
            file.remove().unwrap();
        }
        assert_eq!(taken.closed().unwrap(), []);
    }
}
