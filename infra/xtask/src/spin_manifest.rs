//! What xtask reads of functions/spin.toml.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use toml::{Table, Value};

/// A component that the manifest serves.
#[derive(Debug, PartialEq)]
pub(crate) struct Served {
    pub(crate) name: String,
    /// Path of the built component, relative to the manifest's folder.
    pub(crate) source: String,
    /// The `command` of its build section.
    pub(crate) build: String,
}

/// The manifest's components and triggers.
#[derive(Debug, PartialEq)]
pub(crate) struct Manifest {
    pub(crate) components: Vec<Served>,
    /// Route and component of each HTTP trigger.
    pub(crate) triggers: Vec<(String, String)>,
}

/// Reads the manifest.
pub(crate) fn read(file: &Path) -> Result<Manifest> {
    let text = fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
    parse(&text).with_context(|| format!("{}", file.display()))
}

pub(crate) fn parse(manifest: &str) -> Result<Manifest> {
    let table: Table = manifest.parse().context("not TOML")?;
    let components = table.get("component").and_then(Value::as_table);
    let components = components
        .into_iter()
        .flatten()
        .map(|(name, component)| Served {
            name: name.clone(),
            source: text(component, "source"),
            build: component
                .get("build")
                .map(|build| text(build, "command"))
                .unwrap_or_default(),
        });
    let triggers = table.get("trigger").and_then(|trigger| trigger.get("http"));
    let triggers = triggers.and_then(Value::as_array).into_iter().flatten();
    Ok(Manifest {
        components: components.collect(),
        triggers: triggers
            .map(|http| (text(http, "route"), text(http, "component")))
            .collect(),
    })
}

fn text(value: &Value, key: &str) -> String {
    value
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_and_triggers_are_read() {
        let manifest = parse(
            "spin_manifest_version = 2\n\
             [[trigger.http]]\nroute = \"/...\"\ncomponent = \"web\"\n\
             [component.web]\nsource = \"../web.wasm\"\n\
             [component.web.build]\ncommand = \"cargo build -p web-spin\"\n",
        )
        .unwrap();
        assert_eq!(manifest.triggers, [("/...".to_owned(), "web".to_owned())]);
        assert_eq!(
            manifest.components,
            [Served {
                name: "web".into(),
                source: "../web.wasm".into(),
                build: "cargo build -p web-spin".into(),
            }]
        );
    }

    #[test]
    fn what_is_not_toml_is_an_error() {
        assert!(parse("[component").is_err());
        assert!(read(Path::new("/nowhere/spin.toml")).is_err());
    }
}
