//! Application variables, and the `{{ name }}` templates that use them.

use std::collections::BTreeMap;

use edge::config::{self, FLEET_SECRET};
use serde::Deserialize;
use wire::keys::FleetSecret;

/// `[variables]` of the manifest: one declared variable.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Declaration {
    #[serde(default)]
    pub(crate) default: Option<String>,
    #[serde(default)]
    pub(crate) required: bool,
    /// The value is not printed; here nothing prints any value.
    #[serde(default)]
    #[expect(
        dead_code,
        reason = "read so that the field is accepted; no value is ever printed"
    )]
    pub(crate) secret: bool,
    #[serde(default)]
    #[expect(dead_code, reason = "read so that the field is accepted")]
    pub(crate) description: Option<String>,
}

/// The values of the application's variables.
#[derive(Clone, Default)]
pub(crate) struct Values(BTreeMap<String, String>);

impl Values {
    /// Takes each value from `given`, then from `environment` (asked for `SPIN_VARIABLE_NAME`),
    /// then from the fleet secret, if it is derived from that, then the default. So whoever runs
    /// the host says one secret, and each component gets what the manifest gives it.
    pub(crate) fn resolve(
        declared: &BTreeMap<String, Declaration>,
        given: &BTreeMap<String, String>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        if let Some(unknown) = given.keys().find(|name| !declared.contains_key(*name)) {
            return Err(format!(
                "variable `{unknown}` was given and is not declared; declare it or remove it"
            ));
        }
        let said = |name: &str| {
            let known = given.get(name).cloned();
            known.or_else(|| environment(&key(name)))
        };
        let derived = derived(said(FLEET_SECRET).as_deref());
        let mut values = BTreeMap::new();
        for (name, declaration) in declared {
            check(name, declaration)?;
            let key = key(name);
            let value = said(name).or_else(|| derived.get(name.as_str()).cloned());
            match value.or_else(|| declaration.default.clone()) {
                Some(value) => {
                    values.insert(name.clone(), value);
                }
                None => {
                    return Err(format!(
                        "variable `{name}` is required; set {key} or give --variable {name}=VALUE"
                    ));
                }
            }
        }
        Ok(Self(values))
    }

    /// Replaces each `{{ name }}` in the text.
    pub(crate) fn expand(&self, text: &str) -> Result<String, String> {
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((name, after)) = after.split_once("}}") else {
                return Err("a `{{` has no `}}`; close the template".to_owned());
            };
            let name = name.trim();
            let Some(value) = self.0.get(name) else {
                return Err(format!(
                    "template uses `{name}`; declare it under [variables]"
                ));
            };
            expanded.push_str(before);
            expanded.push_str(value);
            rest = after;
        }
        expanded.push_str(rest);
        Ok(expanded)
    }
}

fn key(name: &str) -> String {
    format!("SPIN_VARIABLE_{}", name.to_uppercase())
}

/// What is derived from a fleet secret. From a text that is none nothing is: the function that
/// needs it says so.
fn derived(fleet_secret: Option<&str>) -> BTreeMap<&'static str, String> {
    let secret = fleet_secret.and_then(|text| FleetSecret::from_base64(text).ok());
    let derived = secret.as_ref().map(config::derived);
    derived.into_iter().flatten().collect()
}

fn check(name: &str, declaration: &Declaration) -> Result<(), String> {
    if !is_name(name) {
        return Err(format!(
            "variable `{name}`: use lower-case letters, digits and single underscores"
        ));
    }
    match (declaration.required, &declaration.default) {
        (true, Some(_)) => Err(format!(
            "variable `{name}` is required and has a default; remove one of the two"
        )),
        (false, None) => Err(format!(
            "variable `{name}` needs `default = \"..\"` or `required = true`"
        )),
        _ => Ok(()),
    }
}

/// Spin's rule for a variable's name.
pub(crate) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('_')
        && !name.contains("__")
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(text: &str) -> BTreeMap<String, Declaration> {
        toml::from_str(text).unwrap()
    }

    fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_given_value_beats_the_environment_beats_the_default() {
        let declared = declared(
            "a = { default = \"d\" }\nb = { default = \"d\" }\nc = { default = \"d\" }\n\
             d = { required = true, secret = true }",
        );
        let environment = |key: &str| {
            ["SPIN_VARIABLE_A", "SPIN_VARIABLE_B", "SPIN_VARIABLE_D"]
                .contains(&key)
                .then(|| "e".to_owned())
        };
        let values = Values::resolve(&declared, &given(&[("a", "g")]), environment).unwrap();
        assert_eq!(
            values.expand("{{a}} {{ b }} {{c}}-{{ d}}").unwrap(),
            "g e d-e"
        );
    }

    #[test]
    fn what_the_fleet_secret_gives_need_not_be_said() {
        let text = "fleet_secret = { required = true }\ncontrol_secret = { required = true }\n\
                    tail_secret = { required = true }";
        let secret = "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=";
        let said = given(&[("fleet_secret", secret), ("tail_secret", "another")]);
        let values = Values::resolve(&declared(text), &said, |_| None).unwrap();
        let control = values.expand("{{ control_secret }}").unwrap();
        let all = config::derived(&FleetSecret::from_base64(secret).unwrap());
        assert!(all.contains(&("control_secret", control)));
        assert_eq!(values.expand("{{ tail_secret }}").unwrap(), "another");
        let broken = given(&[("fleet_secret", "short"), ("tail_secret", "another")]);
        let error = Values::resolve(&declared(text), &broken, |_| None)
            .err()
            .unwrap();
        assert!(error.contains("`control_secret`"), "{error}");
    }

    #[test]
    fn every_fault_names_the_variable() {
        let none = |_: &str| None;
        for (text, part) in [
            ("key = { required = true }", "SPIN_VARIABLE_KEY"),
            ("key = {}", "needs `default"),
            ("key = { required = true, default = \"x\" }", "remove one"),
            ("Key = { default = \"x\" }", "lower-case"),
        ] {
            let error = Values::resolve(&declared(text), &given(&[]), none)
                .err()
                .unwrap();
            assert!(error.contains(part), "{text}: {error}");
        }
        let error = Values::resolve(&declared(""), &given(&[("x", "1")]), none)
            .err()
            .unwrap();
        assert!(error.contains("`x`"), "{error}");
    }

    #[test]
    fn a_template_must_be_closed_and_known() {
        let values = Values::resolve(&declared("a = { default = \"1\" }"), &given(&[]), |_| None);
        let values = values.unwrap();
        assert_eq!(values.expand("plain").unwrap(), "plain");
        assert!(values.expand("x{{ a").unwrap_err().contains("close"));
        assert!(values.expand("{{ b }}").unwrap_err().contains("`b`"));
    }
}
