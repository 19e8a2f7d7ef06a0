//! A release as a folder: what `cargo xtask package` makes, the zip of each function and
//! permissions.json, under one signed manifest.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use data_encoding::{BASE64, HEXLOWER};
use serde_json::Value;

use crate::package::{self, PublicKey};
use crate::workspace::{Workspace, text};
use crate::{lambda, process};

/// What functions may touch, as the release has it.
const PERMISSIONS: &str = "permissions.json";
/// Where it is in the repository.
pub(super) const PERMISSIONS_FILE: &str = "functions/permissions.json";
/// Ends the name of a function's zip.
const ZIP_END: &str = "-lambda.zip";

/// A release whose signature and sums were checked.
#[derive(Debug)]
pub(super) struct Release {
    pub(super) version: String,
    pub(super) commit: String,
    pub(super) permissions: Value,
    /// SHA-256 of each function's zip, as Lambda writes it.
    pub(super) zips: BTreeMap<String, String>,
    /// Key in the bucket of each file, where it is here, and its SHA-256.
    pub(super) files: BTreeMap<String, (PathBuf, String)>,
}

impl Release {
    /// Checks a folder and reads it.
    ///
    /// # Errors
    /// A signature or a sum that differs, or something that a release must have and this one lacks.
    pub(super) fn read(folder: &Path, key: &PublicKey) -> Result<Self> {
        package::verify(folder, key)?;
        let read = |name: &str| -> Result<Value> {
            let file = folder.join(name);
            let text = fs::read_to_string(&file).with_context(|| {
                format!(
                    "{} is missing: `cargo xtask deploy` makes whole releases",
                    file.display()
                )
            })?;
            serde_json::from_str(&text).with_context(|| format!("{}", file.display()))
        };
        let (manifest, permissions) = (read("manifest.json")?, read(PERMISSIONS)?);
        let version = text(&manifest, "version").to_owned();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if version.is_empty() || !version.bytes().all(is_plain) {
            bail!("`{version}` is no version: letters, digits, points and hyphens");
        }
        let (mut zips, mut files) = (BTreeMap::new(), BTreeMap::new());
        let listed = manifest["files"].as_object().into_iter().flatten();
        let listed = listed.map(|(name, _)| name.as_str());
        for name in listed.chain(["manifest.json", "manifest.json.sig"]) {
            let file = folder.join(name);
            let sum = package::sum_of(&file)?;
            if let Some(function) = name.strip_suffix(ZIP_END) {
                let bytes = HEXLOWER
                    .decode(sum.as_bytes())
                    .context("a sum is hexadecimal")?;
                zips.insert(function.to_owned(), BASE64.encode(&bytes));
            }
            files.insert(format!("{version}/{}", key_of(name)), (file, sum));
        }
        let named = permissions.as_object().into_iter().flatten();
        let mut unlike = named.filter(|(name, _)| !zips.contains_key(*name));
        if let Some((name, _)) = unlike.next() {
            bail!("the release has no {name}{ZIP_END}, and {PERMISSIONS} names {name}");
        }
        if let Some(name) = zips.keys().find(|name| permissions.get(*name).is_none()) {
            bail!("{PERMISSIONS} of the release does not name {name}, of which it has the zip");
        }
        Ok(Self {
            commit: text(&manifest, "commit").to_owned(),
            version,
            permissions,
            zips,
            files,
        })
    }

    /// Lays the zips where the variable `packages` of Terraform expects them.
    pub(super) fn lay_packages(&self, folder: &Path) -> Result<()> {
        for (key, (file, _)) in &self.files {
            let Some((_, place)) = key.split_once("/lambda/") else {
                continue;
            };
            let to = folder.join(place);
            fs::create_dir_all(to.parent().expect("it is in a folder"))?;
            fs::copy(file, &to).with_context(|| format!("{}", to.display()))?;
        }
        Ok(())
    }
}

/// Where a file is in the bucket: zips where the nightly plan looks for them, the rest where
/// machines do.
fn key_of(name: &str) -> String {
    match name.strip_suffix(".zip") {
        Some(package) if name.ends_with(ZIP_END) => format!("lambda/{package}/bootstrap.zip"),
        _ => name.to_owned(),
    }
}

/// Builds everything and signs it; the folder.
///
/// # Errors
/// What does not build, or a key that is none.
pub(super) fn build(workspace: &Workspace, sign: &Path) -> Result<PathBuf> {
    let folder = workspace.target.join("deploy/release");
    package::build(workspace, "release", package::Manner::Alone)?;
    package::pack(workspace, "release", &folder)?;
    lambda::run(workspace)?;
    for (package, zip) in lambda::zips(workspace)? {
        let to = folder.join(format!("{package}.zip"));
        fs::copy(&zip, &to).with_context(|| format!("{}", zip.display()))?;
    }
    fs::copy(
        workspace.root.join(PERMISSIONS_FILE),
        folder.join(PERMISSIONS),
    )?;
    package::seal(workspace, &folder, Some(sign))?;
    Ok(folder)
}

/// When a commit was made, Unix seconds; nothing where this is not its repository.
pub(super) fn committed_at_s(workspace: &Workspace, commit: &str) -> Option<u64> {
    let mut git = std::process::Command::new("git");
    git.args(["show", "--no-patch", "--format=%ct", commit, "--"]);
    let (said, ok) = process::said(git.current_dir(&workspace.root)).ok()?;
    ok.then(|| said.trim().parse().ok()).flatten()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::secret::tests::Folder;

    const SEED: [u8; 32] = [7; 32];

    /// A sealed folder with two functions.
    fn sealed(name: &str) -> (Folder, PublicKey) {
        let folder = Folder::new(name);
        fs::create_dir_all(&folder.0).unwrap();
        for file in ["chat-lambda.zip", "fleet-lambda.zip", "relay.deb"] {
            fs::write(folder.0.join(file), file).unwrap();
        }
        fs::write(folder.0.join(PERMISSIONS), r#"{"chat":{},"fleet":{}}"#).unwrap();
        package::tests::seal_with(&folder.0, &SEED);
        (folder, package::tests::public(&SEED))
    }

    #[test]
    fn files_are_where_machines_and_terraform_look_for_them() {
        let (folder, key) = sealed("deploy-release");
        let release = Release::read(&folder.0, &key).unwrap();
        let keys: Vec<&str> = release.files.keys().map(String::as_str).collect();
        assert!(
            keys.contains(&"1.2.3/lambda/chat-lambda/bootstrap.zip"),
            "{keys:?}"
        );
        assert!(keys.contains(&"1.2.3/relay.deb") && keys.contains(&"1.2.3/manifest.json.sig"));
        assert_eq!(release.zips.len(), 2);
        assert_eq!(release.zips["chat"].len(), 44);
        let laid = folder.0.join("laid");
        release.lay_packages(&laid).unwrap();
        assert!(laid.join("fleet-lambda/bootstrap.zip").is_file());
    }

    #[test]
    fn a_sum_a_signature_and_a_function_that_is_missing_are_told() {
        let (folder, key) = sealed("deploy-refused");
        let refused = || Release::read(&folder.0, &key).unwrap_err().to_string();
        fs::write(folder.0.join("chat-lambda.zip"), "another").unwrap();
        assert!(
            refused().contains("chat-lambda.zip was changed"),
            "{}",
            refused()
        );
        package::tests::seal_with(&folder.0, &[8; 32]);
        assert!(refused().contains("another key signed"), "{}", refused());
        fs::remove_file(folder.0.join("chat-lambda.zip")).unwrap();
        package::tests::seal_with(&folder.0, &SEED);
        assert!(refused().contains("no chat-lambda.zip"), "{}", refused());
        fs::write(folder.0.join(PERMISSIONS), "{}").unwrap();
        package::tests::seal_with(&folder.0, &SEED);
        assert!(refused().contains("does not name fleet"), "{}", refused());
    }
}
