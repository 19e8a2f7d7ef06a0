//! Where the provider of AWS is on this machine: it is 700 MB, so it is looked for and never
//! downloaded by a check.

use std::fs;
use std::path::{Path, PathBuf};

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
