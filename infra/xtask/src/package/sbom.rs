//! What is in a package, as CycloneDX: made of `cargo metadata` and Cargo.lock (decision 19).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use toml::Table;

use super::files::write;
use super::packing::{Packing, Program, target};
use crate::workspace::{WASM_TARGET, Workspace, list, text};

/// How the names of these files end.
const END: &str = ".cdx.json";

/// Which crate uses which, for binaries and for components, and the sums of what is downloaded.
pub(super) struct Graphs {
    native: Value,
    wasm: Value,
    sums: BTreeMap<String, String>,
}

impl Graphs {
    pub(super) fn read(workspace: &Workspace) -> Result<Self> {
        Ok(Self {
            native: workspace.metadata_of(&target())?,
            wasm: workspace.metadata_of(WASM_TARGET)?,
            sums: checksums(workspace)?,
        })
    }
}

/// The program's crates, and those of the components that come with it.
pub(super) fn of_program(packing: &Packing<'_>, program: &Program, graphs: &Graphs) -> Result<()> {
    let mut parts = Parts::default();
    parts.add(&graphs.native, &[program.binary], &graphs.sums)?;
    if !program.serves.is_empty() {
        parts.add(&graphs.wasm, program.serves, &graphs.sums)?;
    }
    let document = document(program.name, &packing.stamp.version, parts);
    let file = packing.output.join(packing.stem(program) + END);
    write(&file, &document, 0o644)
}

/// The SDK has no dependency but the browser; a test of its own holds it to that.
pub(super) fn of_sdk(packing: &Packing<'_>) -> Result<()> {
    let file = packing.source("functions/web/package.json");
    let manifest = fs::read(&file).with_context(|| format!("{}", file.display()))?;
    let manifest: Value = serde_json::from_slice(&manifest).context("package.json")?;
    if manifest.get("dependencies").is_some() {
        bail!("functions/web/package.json has dependencies now; list them in its .cdx.json too");
    }
    let version = text(&manifest, "version");
    let document = document(text(&manifest, "name"), version, Parts::default());
    let file = format!("lifeverse-voice-{version}{END}");
    write(&packing.output.join(file), &document, 0o644)
}

/// Crates by the reference under which they are known, and which uses which.
#[derive(Default)]
struct Parts {
    crates: BTreeMap<String, Value>,
    uses: BTreeMap<String, BTreeSet<String>>,
}

impl Parts {
    /// Adds what is linked into these packages of the workspace: no tests, nothing that only
    /// builds.
    fn add(
        &mut self,
        metadata: &Value,
        roots: &[&str],
        sums: &BTreeMap<String, String>,
    ) -> Result<()> {
        let packages: BTreeMap<&str, &Value> = list(metadata, "packages")
            .iter()
            .map(|package| (text(package, "id"), package))
            .collect();
        let nodes: BTreeMap<&str, &Value> = list(&metadata["resolve"], "nodes")
            .iter()
            .map(|node| (text(node, "id"), node))
            .collect();
        let members = list(metadata, "workspace_members");
        let is_root = |id: &&str| {
            let name = text(packages[id], "name");
            roots.contains(&name) && members.iter().any(|member| member == id)
        };
        let mut next: Vec<&str> = packages.keys().copied().filter(is_root).collect();
        if next.len() != roots.len() {
            bail!("the workspace has not all of the packages {roots:?}");
        }
        while let Some(id) = next.pop() {
            let package = packages[id];
            let reference = reference(package);
            if self.crates.contains_key(&reference) {
                continue;
            }
            self.crates
                .insert(reference.clone(), component(package, sums));
            let uses = self.uses.entry(reference).or_default();
            for dep in list(nodes[id], "deps").iter().filter(|dep| is_linked(dep)) {
                let id = text(dep, "pkg");
                uses.insert(self::reference(packages[id]));
                next.push(id);
            }
        }
        Ok(())
    }
}

/// Whether it is in the binary, or in a macro of it: not for tests or build scripts alone.
fn is_linked(dep: &Value) -> bool {
    list(dep, "dep_kinds")
        .iter()
        .any(|kind| kind["kind"].is_null())
}

fn reference(package: &Value) -> String {
    format!(
        "pkg:cargo/{}@{}",
        text(package, "name"),
        text(package, "version")
    )
}

fn component(package: &Value, sums: &BTreeMap<String, String>) -> Value {
    let reference = reference(package);
    let mut component = json!({
        "type": "library",
        "bom-ref": reference,
        "name": package["name"],
        "version": package["version"],
        "purl": reference,
    });
    if let Some(licence) = package["license"].as_str() {
        // An old way of writing `or` that SPDX does not know.
        component["licenses"] = json!([{ "expression": licence.replace('/', " OR ") }]);
    }
    if let Some(sum) = sums.get(&reference) {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
    }
    component
}

fn document(name: &str, version: &str, parts: Parts) -> String {
    let dependencies = parts.uses.iter();
    let dependencies: Vec<Value> = dependencies
        .map(|(reference, uses)| json!({ "ref": reference, "dependsOn": uses }))
        .collect();
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": { "component": {
            "type": "application", "bom-ref": name, "name": name, "version": version,
        }},
        "components": parts.crates.into_values().collect::<Vec<_>>(),
        "dependencies": dependencies,
    });
    serde_json::to_string_pretty(&document).expect("it has string keys only") + "\n"
}

/// The sums of what cargo downloads, by reference.
fn checksums(workspace: &Workspace) -> Result<BTreeMap<String, String>> {
    let lock = fs::read_to_string(workspace.root.join("Cargo.lock")).context("Cargo.lock")?;
    let lock: Table = lock.parse().context("Cargo.lock")?;
    let packages = lock.get("package").and_then(toml::Value::as_array);
    let sum = |package: &toml::Value| {
        let text = |key: &str| package.get(key)?.as_str();
        let reference = format!("pkg:cargo/{}@{}", text("name")?, text("version")?);
        Some((reference, text("checksum")?.to_owned()))
    };
    Ok(packages.into_iter().flatten().filter_map(sum).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str) -> Value {
        json!({ "id": name, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0" })
    }

    fn dep(name: &str, kind: Value) -> Value {
        json!({ "pkg": name, "dep_kinds": [{ "kind": kind }] })
    }

    #[test]
    fn what_is_linked_is_listed_once_and_nothing_else() {
        let packages = ["relay", "udp", "cc", "proptest"].map(package);
        let metadata = json!({
            "workspace_members": ["relay"],
            "packages": packages,
            "resolve": { "nodes": [
                { "id": "relay", "deps": [
                    dep("udp", Value::Null), dep("cc", "build".into()),
                    dep("proptest", "dev".into()),
                ]},
                { "id": "udp", "deps": [] },
            ]},
        });
        let sum = ("pkg:cargo/udp@1.0.0".to_owned(), "00ff".to_owned());
        let mut parts = Parts::default();
        parts
            .add(&metadata, &["relay"], &BTreeMap::from([sum]))
            .unwrap();
        let found: Value = serde_json::from_str(&document("r", "1", parts)).unwrap();
        let names: Vec<&str> = list(&found, "components")
            .iter()
            .map(|it| text(it, "name"))
            .collect();
        assert_eq!(names, ["relay", "udp"]);
        assert_eq!(found["components"][1]["hashes"][0]["content"], "00ff");
        let licence = &found["components"][0]["licenses"][0]["expression"];
        assert_eq!(licence, "MIT OR Apache-2.0");
        assert_eq!(
            found["dependencies"][0]["dependsOn"],
            json!(["pkg:cargo/udp@1.0.0"])
        );
        assert!(
            Parts::default()
                .add(&metadata, &["nobody"], &BTreeMap::new())
                .is_err()
        );
    }
}
