//! Where the provider of AWS is on this machine: it is 700 MB, so it is looked for and never
//! downloaded by a check. Where it is not, something stands for it that knows its schema.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;
use crate::{install, process};

/// What a plugin folder holds, by its source, version and machine.
const PROVIDER: &str = "registry.terraform.io/hashicorp/aws/5.100.0/linux_amd64";
/// Folders below which plugin folders are kept.
const ROOTS: [&str; 3] = ["/usr/share", "/opt", "/usr/local"];
/// Levels below a root at which it is still looked for.
const DEPTH_MAX: usize = 3;
/// Folders that are looked into, so that a huge tree does not hold up the check.
const FOLDERS_MAX: usize = 20_000;

/// The plugin folder: the one that TF_PLUGIN_DIR names, else one that is found.
pub(super) fn find() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("TF_PLUGIN_DIR") {
        return Some(PathBuf::from(named)).filter(|folder| folder.join(PROVIDER).is_dir());
    }
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".terraform.d"));
    let roots = home.into_iter().chain(ROOTS.map(PathBuf::from));
    roots
        .into_iter()
        .find_map(|root| below(&root, DEPTH_MAX, FOLDERS_MAX))
}

/// What `terraform test` with mocks talks to in place of the provider; it ends when this is
/// dropped.
pub(super) struct StandIn {
    child: Child,
    /// For `TF_REATTACH_PROVIDERS`.
    pub(super) reattach: String,
}

impl StandIn {
    /// Starts one with the schema of the repository.
    ///
    /// # Errors
    /// When the schema lacks something that the modules have, or Python something that this needs.
    pub(super) fn start(workspace: &Workspace) -> Result<Self> {
        let folder = workspace.root.join("terraform");
        let requirements = folder.join("provider-requirements.txt");
        let python = install::python(workspace, "venv-provider", &requirements)?;
        let command = |verb: &str| {
            let mut command = Command::new(&python);
            command.arg(folder.join("provider.py")).arg(verb);
            command.arg(folder.join("provider-schema.json.gz"));
            command
        };
        let (said, ok) = process::said(&mut command("check"))?;
        if !ok {
            bail!("{said}");
        }
        // Its standard input ends with this process, and it with that.
        let child = command("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.context("python does not start")?;
        let stdout = child.stdout.take().expect("standard output is piped");
        let mut stand_in = Self {
            child,
            reattach: String::new(),
        };
        BufReader::new(stdout).read_line(&mut stand_in.reattach)?;
        if stand_in.reattach.is_empty() {
            bail!("terraform/provider.py ended before it served");
        }
        Ok(stand_in)
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The nearest folder below `root` that holds the provider.
fn below(root: &Path, depth_max: usize, mut folders_left: usize) -> Option<PathBuf> {
    let mut level = vec![root.to_owned()];
    for _ in 0..=depth_max {
        let mut next = Vec::new();
        for folder in level {
            if folder.join(PROVIDER).is_dir() {
                return Some(folder);
            }
            folders_left = folders_left.checked_sub(1)?;
            let inside = fs::read_dir(&folder).into_iter().flatten().flatten();
            let folders = inside.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            next.extend(folders.map(|entry| entry.path()));
        }
        level = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_within_bounds() {
        let root = std::env::temp_dir().join(format!("plugins-{}", std::process::id()));
        let folder = root.join("a/plugins");
        fs::create_dir_all(folder.join(PROVIDER)).unwrap();
        assert_eq!(below(&root, 2, 10), Some(folder));
        assert_eq!(below(&root, 1, 10), None, "too deep");
        assert_eq!(below(&root, 2, 1), None, "too many");
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(below(&root, 2, 10), None, "nothing is there");
    }
}
