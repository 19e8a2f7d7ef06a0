//! Reads a Spin manifest (version 2): the parts that this host serves, and a clear error for the
//! others.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use edge::allowed_hosts::AllowedHosts;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::route::{Pattern, Routes};
use crate::variables::{self, Declaration, Values};

/// What is wrong with a manifest: which file, which key, and what to change.
#[derive(Debug)]
pub struct ManifestError {
    file: PathBuf,
    key: String,
    message: String,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match self.key.as_str() {
            "" => write!(f, "{file}: {}", self.message),
            key => write!(f, "{file}: {key}: {}", self.message),
        }
    }
}

impl std::error::Error for ManifestError {}

/// An application, checked, with its templates expanded.
pub(crate) struct Manifest {
    pub(crate) components: Vec<ComponentSpec>,
    /// To indices of `components`.
    pub(crate) routes: Routes<usize>,
}

/// One component and what it may use.
pub(crate) struct ComponentSpec {
    pub(crate) name: String,
    pub(crate) source: PathBuf,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) allowed_hosts: AllowedHosts,
    pub(crate) databases: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    spin_manifest_version: u32,
    #[expect(
        dead_code,
        reason = "its shape is checked; the host has no use for the values"
    )]
    application: Application,
    #[serde(default)]
    variables: BTreeMap<String, Declaration>,
    trigger: Triggers,
    component: BTreeMap<String, RawComponent>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only the shape is checked")]
struct Application {
    name: String,
    version: Option<String>,
    description: Option<String>,
    #[serde(default)]
    authors: Vec<String>,
    tool: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Triggers {
    #[serde(default)]
    http: Vec<RawTrigger>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTrigger {
    #[expect(dead_code, reason = "only the shape is checked")]
    id: Option<String>,
    route: toml::Value,
    component: toml::Value,
    executor: Option<Executor>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Executor {
    r#type: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawComponent {
    source: toml::Value,
    #[expect(dead_code, reason = "only the shape is checked")]
    description: Option<String>,
    #[serde(default)]
    variables: BTreeMap<String, String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    allowed_outbound_hosts: Vec<String>,
    #[serde(default)]
    sqlite_databases: Vec<String>,
    #[serde(default)]
    key_value_stores: Vec<String>,
    #[serde(default)]
    ai_models: Vec<String>,
    #[serde(default)]
    files: Vec<toml::Value>,
    #[serde(default)]
    dependencies: BTreeMap<String, toml::Value>,
    #[serde(default)]
    dependencies_inherit_configuration: bool,
    // Read by Spin's own tools, of no use to a host.
    #[serde(rename = "exclude_files")]
    _exclude_files: Option<IgnoredAny>,
    #[serde(rename = "build")]
    _build: Option<IgnoredAny>,
    #[serde(rename = "tool")]
    _tool: Option<IgnoredAny>,
    #[serde(rename = "targets")]
    _targets: Option<IgnoredAny>,
}

/// A key and what is wrong with it, before the file's name is added.
type Fault = (String, String);

impl Manifest {
    /// Reads the file. `given` and `environment` are where variables get their values from.
    pub(crate) fn read(
        file: &Path,
        given: &BTreeMap<String, String>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ManifestError> {
        let error = |(key, message): Fault| ManifestError {
            file: file.to_owned(),
            key,
            message,
        };
        let text = std::fs::read_to_string(file).map_err(|cause| {
            error((
                String::new(),
                format!("cannot be read ({cause}); check the path"),
            ))
        })?;
        let folder = file.parent().unwrap_or(Path::new(""));
        Self::parse(&text, folder, given, environment).map_err(error)
    }

    /// The files of the components, which need no values of variables.
    pub(crate) fn sources(file: &Path) -> Result<Vec<PathBuf>, ManifestError> {
        let error = |message: String| ManifestError {
            file: file.to_owned(),
            key: String::new(),
            message,
        };
        let text = std::fs::read_to_string(file)
            .map_err(|cause| error(format!("cannot be read ({cause}); check the path")))?;
        let document: Document = toml::from_str(&text).map_err(|cause| error(cause.to_string()))?;
        let folder = file.parent().unwrap_or(Path::new(""));
        let path = |component: &RawComponent| component.source.as_str().map(|it| folder.join(it));
        Ok(document.component.values().filter_map(path).collect())
    }

    fn parse(
        text: &str,
        folder: &Path,
        given: &BTreeMap<String, String>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Fault> {
        let document: Document =
            toml::from_str(text).map_err(|cause| (String::new(), cause.to_string()))?;
        if document.spin_manifest_version != 2 {
            return Err(fault(
                "spin_manifest_version",
                "only version 2 is served; set it to 2",
            ));
        }
        let values = Values::resolve(&document.variables, given, environment)
            .map_err(|message| fault("[variables]", &message))?;
        let mut components = Vec::new();
        for (name, raw) in document.component {
            components.push(component(name, raw, folder, &values)?);
        }
        let routes = routes(&document.trigger.http, &components)?;
        Ok(Self { components, routes })
    }
}

fn fault(key: &str, message: &str) -> Fault {
    (key.to_owned(), message.to_owned())
}

fn routes(triggers: &[RawTrigger], components: &[ComponentSpec]) -> Result<Routes<usize>, Fault> {
    if triggers.is_empty() {
        return Err(fault(
            "[[trigger.http]]",
            "there is none, so nothing is served; add one",
        ));
    }
    let mut routes = Vec::new();
    for trigger in triggers {
        let Some(route) = trigger.route.as_str() else {
            let message = "a private route is not served; give it a path such as \"/api/...\"";
            return Err(fault("[[trigger.http]].route", message));
        };
        let pattern =
            Pattern::parse(route).map_err(|message| fault("[[trigger.http]].route", &message))?;
        let Some(name) = trigger.component.as_str() else {
            let message = "an inline component is not served; define it under [component.NAME]";
            return Err(fault("[[trigger.http]].component", message));
        };
        if let Some(executor) = trigger.executor.as_ref().filter(|it| it.r#type != "spin") {
            let message = format!("`{}` is not served; remove the executor", executor.r#type);
            return Err(fault("[[trigger.http]].executor", &message));
        }
        let Some(index) = components
            .iter()
            .position(|component| component.name == name)
        else {
            let message = format!("there is no [component.{name}]; add it or correct the name");
            return Err(fault("[[trigger.http]].component", &message));
        };
        routes.push((pattern, index));
    }
    Routes::new(routes).map_err(|message| fault("[[trigger.http]].route", &message))
}

fn component(
    name: String,
    raw: RawComponent,
    folder: &Path,
    values: &Values,
) -> Result<ComponentSpec, Fault> {
    let key = |field: &str| format!("[component.{name}].{field}");
    unserved(&raw).map_err(|(field, message)| (key(field), message))?;
    let Some(source) = raw.source.as_str() else {
        let message = "only a path is served; build or download the component and name the file";
        return Err((key("source"), message.to_owned()));
    };
    if let Some(bad) = raw.variables.keys().find(|name| !variables::is_name(name)) {
        let message = format!("`{bad}`: use lower-case letters, digits and single underscores");
        return Err((key("variables"), message));
    }
    let expand = |pair: (String, String), field: &str| match values.expand(&pair.1) {
        Ok(value) => Ok((pair.0, value)),
        Err(message) => Err((format!("{}.{}", key(field), pair.0), message)),
    };
    let variables = raw
        .variables
        .into_iter()
        .map(|pair| expand(pair, "variables"));
    let variables = variables.collect::<Result<_, _>>()?;
    let hosts = raw
        .allowed_outbound_hosts
        .iter()
        .map(|entry| values.expand(entry));
    let allowed_hosts = hosts
        .collect::<Result<Vec<_>, _>>()
        .and_then(|hosts| AllowedHosts::parse(&hosts))
        .map_err(|message| (key("allowed_outbound_hosts"), message))?;
    if let Some(bad) = raw
        .sqlite_databases
        .iter()
        .find(|name| !is_database_name(name))
    {
        let message = format!("`{bad}`: a database name is 1 to 64 letters, digits, `-` and `_`");
        return Err((key("sqlite_databases"), message));
    }
    Ok(ComponentSpec {
        source: folder.join(source),
        variables,
        environment: raw.environment.into_iter().collect(),
        allowed_hosts,
        databases: raw.sqlite_databases,
        name,
    })
}

/// Refuses what Spin would give the component and this host cannot.
fn unserved(raw: &RawComponent) -> Result<(), (&'static str, String)> {
    let asked = [
        (
            "key_value_stores",
            !raw.key_value_stores.is_empty(),
            "use sqlite_databases instead",
        ),
        ("ai_models", !raw.ai_models.is_empty(), "remove it"),
        (
            "files",
            !raw.files.is_empty(),
            "embed the files in the component",
        ),
        (
            "dependencies",
            !raw.dependencies.is_empty(),
            "compose the component when building it",
        ),
        (
            "dependencies_inherit_configuration",
            raw.dependencies_inherit_configuration,
            "compose the component when building it",
        ),
    ];
    match asked.into_iter().find(|(_, is_asked, _)| *is_asked) {
        Some((field, _, remedy)) => {
            Err((field, format!("edge-host does not serve this; {remedy}")))
        }
        None => Ok(()),
    }
}

/// Also a file name, so nothing that could leave the folder.
fn is_database_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        spin_manifest_version = 2
        [application]
        name = "voice"
        version = "0.1.0"
        authors = ["a"]
        [variables]
        port = { default = "7411" }
        secret = { required = true, secret = true }
        [[trigger.http]]
        route = "/v1/..."
        component = "api"
        executor = { type = "spin" }
        [[trigger.http]]
        route = "/v1/relays/:shard/heartbeat"
        component = "fleet"
        [component.api]
        source = "api.wasm"
        sqlite_databases = ["default"]
        allowed_outbound_hosts = ["http://127.0.0.1:{{ port }}"]
        [component.api.variables]
        key = "k-{{ secret }}"
        [component.api.build]
        command = "cargo build"
        watch = ["src"]
        [component.fleet]
        source = "nested/fleet.wasm"
        key_value_stores = []
    "#;

    fn parse(text: &str) -> Result<Manifest, Fault> {
        let environment = |key: &str| (key == "SPIN_VARIABLE_SECRET").then(|| "s".to_owned());
        Manifest::parse(text, Path::new("/app"), &BTreeMap::new(), environment)
    }

    #[test]
    fn a_manifest_gives_components_routes_variables_and_hosts() {
        let manifest = parse(GOOD).unwrap();
        let [api, fleet] = &manifest.components[..] else {
            panic!("two components")
        };
        assert_eq!(api.source, Path::new("/app/api.wasm"));
        assert_eq!(fleet.source, Path::new("/app/nested/fleet.wasm"));
        assert_eq!(api.variables["key"], "k-s");
        assert_eq!(api.databases, ["default"]);
        assert!(
            api.allowed_hosts
                .allows(&"http://127.0.0.1:7411/".parse().unwrap())
        );
        assert!(
            !fleet
                .allowed_hosts
                .allows(&"http://127.0.0.1:7411/".parse().unwrap())
        );
        let target = |path| *manifest.routes.find(path).unwrap().1;
        assert_eq!(
            (target("/v1/rooms"), target("/v1/relays/a/heartbeat")),
            (0, 1)
        );
    }

    #[test]
    fn each_fault_names_the_key_and_the_remedy() {
        for (from, to, key, message) in [
            (
                "manifest_version = 2",
                "manifest_version = 1",
                "spin_manifest_version",
                "set it to 2",
            ),
            (
                "source = \"api.wasm\"",
                "source = { url = \"x\" }",
                "[component.api].source",
                "path",
            ),
            (
                "component = \"api\"",
                "component = \"no\"",
                ".component",
                "[component.no]",
            ),
            ("route = \"/v1/...\"", "route = \"v1\"", ".route", "slash"),
            (
                "route = \"/v1/...\"",
                "route = { private = true }",
                ".route",
                "private",
            ),
            ("type = \"spin\"", "type = \"wagi\"", ".executor", "wagi"),
            (
                "stores = []",
                "stores = [\"x\"]",
                "[component.fleet].key_value_stores",
                "sqlite",
            ),
            (
                "[\"default\"]",
                "[\"../x\"]",
                "[component.api].sqlite_databases",
                "../x",
            ),
            (
                "{{ port }}",
                "{{ prt }}",
                "[component.api].allowed_outbound_hosts",
                "`prt`",
            ),
            (
                "{{ secret }}",
                "{{ secret",
                "[component.api].variables.key",
                "close",
            ),
            (
                "secret = { required",
                "secrets = { required",
                "[variables]",
                "`secrets`",
            ),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let (found, detail) = parse(&GOOD.replace(from, to)).err().unwrap();
            assert!(found.contains(key), "{to}: {found}");
            assert!(detail.contains(message), "{to}: {detail}");
        }
    }

    #[test]
    fn an_unknown_field_is_an_error_that_names_it() {
        for (from, to) in [
            ("version = \"0.1.0\"", "verison = \"0.1.0\""),
            (
                "source = \"api.wasm\"",
                "source = \"api.wasm\"\nverison = 1",
            ),
            ("[application]", "[verison]\n[application]"),
            (
                "[[trigger.http]]\n        route = \"/v1/...\"",
                "[[trigger.verison]]\nroute = \"/\"",
            ),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let (_, message) = parse(&GOOD.replacen(from, to, 1)).err().unwrap();
            assert!(message.contains("`verison`"), "{to}: {message}");
        }
    }

    #[test]
    fn the_error_names_the_file() {
        let file = Path::new("/nowhere/spin.toml");
        let error = Manifest::read(file, &BTreeMap::new(), |_| None)
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.starts_with("/nowhere/spin.toml: cannot be read"),
            "{error}"
        );
    }
}
