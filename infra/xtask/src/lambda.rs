//! `cargo xtask lambda`: every package called `*-lambda`, for both processors of AWS Lambda.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::workspace::{Workspace, list, text};
use crate::{install, process};

/// Largest package to upload, bytes: what is fetched is a part of a cold start.
const ZIP_BYTES_MAX: u64 = 4_000_000;

/// Processors as Lambda calls them, and their Rust targets.
const ARCHITECTURES: [(&str, &str); 2] = [
    ("x86_64", "x86_64-unknown-linux-gnu"),
    ("arm64", "aarch64-unknown-linux-gnu"),
];

/// Builds all and prints a table of sizes.
///
/// # Errors
/// When one does not build or is too large.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let packages = packages(&workspace.metadata(false)?);
    for architecture in ARCHITECTURES {
        build(workspace, architecture, &packages)?;
    }
    let mut too_large = Vec::new();
    println!("{:<22}{:>12}{:>12}", "zip, bytes", "x86_64", "arm64");
    for package in &packages {
        let mut line = format!("{package:<22}");
        for (architecture, _) in ARCHITECTURES {
            let zip = folder(workspace, architecture)
                .join(package)
                .join("bootstrap.zip");
            let bytes = fs::metadata(&zip)
                .with_context(|| format!("{}", zip.display()))?
                .len();
            line.push_str(&format!("{bytes:>12}"));
            if bytes > ZIP_BYTES_MAX {
                too_large.push(format!("{package} for {architecture}"));
            }
        }
        println!("{line}");
    }
    if !too_large.is_empty() {
        bail!("over {ZIP_BYTES_MAX} bytes: {}", too_large.join(", "));
    }
    Ok(())
}

/// Each package, and its zip for the processor that functions are deployed on: arm64.
///
/// # Errors
/// When cargo does not say what there is.
pub(crate) fn zips(workspace: &Workspace) -> Result<Vec<(String, std::path::PathBuf)>> {
    let folder = folder(workspace, ARCHITECTURES[1].0);
    let packages = packages(&workspace.metadata(false)?).into_iter();
    Ok(packages
        .map(|package| (package.clone(), folder.join(package).join("bootstrap.zip")))
        .collect())
}

/// Builds all for the processors of this project's machines: what is measured.
///
/// # Errors
/// When one does not build.
pub(crate) fn build_to_measure(workspace: &Workspace) -> Result<()> {
    let packages = packages(&workspace.metadata(false)?);
    build(workspace, ARCHITECTURES[0], &packages)
}

fn build(
    workspace: &Workspace,
    (architecture, target): (&str, &str),
    packages: &[String],
) -> Result<()> {
    let tools = install::aws_tools(workspace)?;
    install::target(workspace, target, "Lambda runs on it")?;
    let args = [
        "lambda",
        "build",
        "--profile",
        "lambda",
        "--output-format",
        "zip",
    ];
    let mut command = workspace.cargo(&args);
    command
        .args(["--target", target, "--lambda-dir"])
        .arg(folder(workspace, architecture))
        .env("PATH", path_with(&tools)?)
        .env("CARGO_TARGET_DIR", &workspace.target);
    for package in packages {
        command.args(["--package", package]);
    }
    process::run(&mut command)
}

fn folder(workspace: &Workspace, architecture: &str) -> std::path::PathBuf {
    workspace.target.join("lambda").join(architecture)
}

/// The search path with `tools` first: cargo finds cargo-lambda there, and that finds zig.
fn path_with(tools: &Path) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(tools.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).context("a folder of PATH has a colon in it")
}

/// The functions' packages, by `cargo metadata`, in order of their names.
fn packages(metadata: &Value) -> Vec<String> {
    let members = list(metadata, "workspace_members");
    let mut names: Vec<String> = list(metadata, "packages")
        .iter()
        .filter(|package| members.contains(&package["id"]))
        .map(|package| text(package, "name").to_owned())
        .filter(|name| name.ends_with("-lambda") && name != "edge-lambda")
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_the_members_that_are_called_so() {
        let metadata = serde_json::json!({ "workspace_members": [1, 2, 3], "packages": [
            { "id": 1, "name": "fleet-lambda" }, { "id": 2, "name": "edge-lambda" },
            { "id": 3, "name": "chat-lambda" }, { "id": 4, "name": "foreign-lambda" },
        ]});
        assert_eq!(packages(&metadata), ["chat-lambda", "fleet-lambda"]);
    }

    #[test]
    fn tools_come_first_on_the_path() {
        let path = path_with(Path::new("/tools")).unwrap();
        assert!(path.to_string_lossy().starts_with("/tools"));
    }
}
