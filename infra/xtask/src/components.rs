//! The Wasm components: every cdylib of the workspace, built for WASI 0.2.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::install;
use crate::process;
use crate::workspace::{WASM_TARGET, Workspace, list, text};

/// A built component.
pub(crate) struct Component {
    pub(crate) file: PathBuf,
    pub(crate) bytes: u64,
}

/// Builds all components and returns them in order of their names.
pub(crate) fn build(workspace: &Workspace) -> Result<Vec<Component>> {
    install::wasm_target(workspace)?;
    let packages = component_packages(&workspace.metadata(false)?);
    if packages.is_empty() {
        bail!("no package of the workspace is a cdylib, so there is no component to build");
    }
    let mut command = workspace.cargo(&["build", "--profile", "wasm", "--target", WASM_TARGET]);
    for package in &packages {
        command.args(["--package", &package.name]);
    }
    process::run(&mut command)?;
    packages
        .iter()
        .map(|package| place(workspace, package))
        .collect()
}

/// `cargo xtask wasm`.
pub(crate) fn build_and_list(workspace: &Workspace) -> Result<()> {
    for component in build(workspace)? {
        let file = component
            .file
            .strip_prefix(&workspace.root)
            .unwrap_or(&component.file);
        println!(
            "{:>6} kB  {}",
            component.bytes.div_ceil(1000),
            file.display()
        );
    }
    Ok(())
}

/// A package whose library is a component.
#[derive(Debug, PartialEq)]
pub(crate) struct ComponentPackage {
    pub(crate) name: String,
    /// File name of the component.
    pub(crate) file: String,
}

/// The packages of the workspace that build a cdylib, by `cargo metadata`.
pub(crate) fn component_packages(metadata: &Value) -> Vec<ComponentPackage> {
    let is_cdylib = |target: &&Value| {
        list(target, "crate_types")
            .iter()
            .any(|kind| kind == "cdylib")
    };
    let members = list(metadata, "workspace_members");
    let mut packages: Vec<ComponentPackage> = list(metadata, "packages")
        .iter()
        .filter(|package| members.contains(&package["id"]))
        .filter_map(|package| {
            let target = list(package, "targets").iter().find(is_cdylib)?;
            Some(ComponentPackage {
                name: text(package, "name").to_owned(),
                file: format!("{}.wasm", text(target, "name").replace('-', "_")),
            })
        })
        .collect();
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    packages
}

/// The manifest's paths are relative, so a component built elsewhere is copied to where it looks.
fn place(workspace: &Workspace, package: &ComponentPackage) -> Result<Component> {
    let built = workspace
        .target
        .join(WASM_TARGET)
        .join("wasm")
        .join(&package.file);
    let folder = workspace.served_components();
    let file = folder.join(&package.file);
    if built != file {
        fs::create_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
        let partial = file.with_extension("partial");
        fs::copy(&built, &partial).with_context(|| format!("copy {}", built.display()))?;
        fs::rename(&partial, &file).with_context(|| format!("{}", file.display()))?;
    }
    let bytes = fs::metadata(&file)
        .with_context(|| format!("{}", file.display()))?
        .len();
    Ok(Component { file, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_the_cdylibs() {
        let metadata = serde_json::json!({ "workspace_members": [1, 2, 3], "packages": [
            { "id": 1, "name": "web-spin", "targets": [
                { "name": "build-script-build", "crate_types": ["bin"] },
                { "name": "web_spin", "crate_types": ["cdylib", "rlib"] } ] },
            { "id": 2, "name": "edge", "targets": [{ "name": "edge", "crate_types": ["lib"] }] },
            { "id": 3, "name": "a-spin", "targets": [
                { "name": "a-spin", "crate_types": ["cdylib"] } ] },
            { "id": 4, "name": "foreign", "targets": [
                { "name": "foreign", "crate_types": ["cdylib"] } ] },
        ]});
        let component = |name: &str, file: &str| ComponentPackage {
            name: name.into(),
            file: file.into(),
        };
        assert_eq!(
            component_packages(&metadata),
            [
                component("a-spin", "a_spin.wasm"),
                component("web-spin", "web_spin.wasm")
            ]
        );
    }
}
