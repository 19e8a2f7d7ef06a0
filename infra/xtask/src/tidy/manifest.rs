//! functions/spin.toml names what exists: components that are built, triggers that have one.

use anyhow::Result;
use serde_json::Value;

use super::violation::Violation;
use crate::components::{ComponentPackage, component_packages};
use crate::spin_manifest::{self, Manifest};
use crate::workspace::WASM_TARGET;
use crate::workspace::Workspace;

/// The manifest, from the root.
const MANIFEST: &str = "functions/spin.toml";

/// Components that are built but not served.
const NOT_SERVED: [&str; 1] = ["edge-host-fixture"];

/// Checks the manifest against the workspace's packages.
pub(super) fn check(workspace: &Workspace, metadata: &Value) -> Result<Vec<Violation>> {
    let manifest = spin_manifest::read(&workspace.root.join(MANIFEST))?;
    Ok(compare(&manifest, &component_packages(metadata)))
}

fn compare(manifest: &Manifest, packages: &[ComponentPackage]) -> Vec<Violation> {
    let mut messages = Vec::new();
    let folder = format!("../target/{WASM_TARGET}/wasm/");
    let mut served = Vec::new();
    for component in &manifest.components {
        let name = &component.name;
        let file = component.source.strip_prefix(&folder);
        let Some(package) = packages.iter().find(|package| Some(&*package.file) == file) else {
            let source = &component.source;
            messages.push(format!("component `{name}`: no package builds `{source}`"));
            continue;
        };
        served.push(&package.name);
        let words: Vec<&str> = component.build.split_whitespace().collect();
        if !words.contains(&package.name.as_str()) {
            messages.push(format!(
                "component `{name}`: its build does not name {}",
                package.name
            ));
        }
        if !manifest.triggers.iter().any(|(_, to)| to == name) {
            messages.push(format!("component `{name}` has no trigger"));
        }
    }
    for (route, to) in &manifest.triggers {
        if !manifest
            .components
            .iter()
            .any(|component| component.name == *to)
        {
            messages.push(format!(
                "route `{route}` leads to `{to}`, which is no component"
            ));
        }
    }
    for package in packages
        .iter()
        .filter(|package| !NOT_SERVED.contains(&&*package.name))
    {
        if !served.contains(&&package.name) {
            messages.push(format!(
                "the component package {} is not served",
                package.name
            ));
        }
    }
    messages.into_iter().map(violation).collect()
}

fn violation(message: String) -> Violation {
    Violation {
        place: MANIFEST.to_owned(),
        line: 0,
        rule: "spin-manifest",
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
[[trigger.http]]
route = \"/...\"
component = \"web\"
[component.web]
source = \"../target/wasm32-wasip2/wasm/web_spin.wasm\"
[component.web.build]
command = \"cargo build -p web-spin\"
";

    fn messages(manifest: &str, packages: &[(&str, &str)]) -> Vec<String> {
        let package = |(name, file): &(&str, &str)| ComponentPackage {
            name: (*name).to_owned(),
            file: (*file).to_owned(),
        };
        let packages: Vec<ComponentPackage> = packages.iter().map(package).collect();
        let manifest = spin_manifest::parse(manifest).unwrap();
        compare(&manifest, &packages)
            .into_iter()
            .map(|violation| violation.message)
            .collect()
    }

    const WEB: (&str, &str) = ("web-spin", "web_spin.wasm");

    #[test]
    fn a_manifest_that_fits_is_quiet() {
        let fixture = ("edge-host-fixture", "edge_host_fixture.wasm");
        assert_eq!(messages(GOOD, &[WEB, fixture]), [""; 0]);
    }

    #[test]
    fn each_mistake_is_named() {
        let no_package = messages(GOOD, &[]);
        assert!(
            no_package[0].contains("no package builds"),
            "{no_package:?}"
        );
        let elsewhere = GOOD.replace("../target", "target");
        assert!(messages(&elsewhere, &[WEB])[0].contains("no package builds"));
        let other_build = GOOD.replace("-p web-spin", "-p web");
        assert!(messages(&other_build, &[WEB])[0].contains("does not name web-spin"));
        let other_route = GOOD.replace("component = \"web\"", "component = \"www\"");
        let found = messages(&other_route, &[WEB]);
        assert!(found[0].contains("has no trigger"), "{found:?}");
        assert!(
            found[1].contains("`www`, which is no component"),
            "{found:?}"
        );
        let found = messages(GOOD, &[WEB, ("chat-spin", "chat_spin.wasm")]);
        assert_eq!(found, ["the component package chat-spin is not served"]);
    }
}
