//! Files with the same modes, owners and times on every machine.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// An empty folder.
pub(super) fn fresh(folder: &Path) -> Result<PathBuf> {
    let _ = fs::remove_dir_all(folder);
    make_folder(folder)?;
    Ok(folder.to_owned())
}

/// Makes a folder and those above it.
pub(super) fn make_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))
}

/// Copies a file and sets its mode, whatever the umask is.
pub(super) fn place(from: &Path, to: &Path, mode: u32) -> Result<()> {
    make_folder(to.parent().expect("it is in a folder"))?;
    fs::copy(from, to).with_context(|| format!("{} is not there to be packed", from.display()))?;
    set_mode(to, mode)
}

/// Writes a file with this mode.
pub(super) fn write(to: &Path, text: &str, mode: u32) -> Result<()> {
    make_folder(to.parent().expect("it is in a folder"))?;
    fs::write(to, text).with_context(|| format!("{}", to.display()))?;
    set_mode(to, mode)
}

pub(super) fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .with_context(|| format!("{}", path.display()))
}

/// Gives every folder below this one the mode that folders of a system have.
pub(super) fn open_folders(folder: &Path) -> Result<()> {
    set_mode(folder, 0o755)?;
    for entry in fs::read_dir(folder).with_context(|| format!("{}", folder.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_folders(&entry.path())?;
        }
    }
    Ok(())
}

/// tar with names sorted, root as the owner, folders open, and one time for all. What to do is to
/// be added.
pub(super) fn tar(epoch: &str, file: &Path) -> Command {
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner"])
        .args(["--format=ustar", "--mode=u+rwX,go+rX,go-w"])
        .arg(format!("--mtime=@{epoch}"))
        .arg("--file")
        .arg(file);
    tar
}
