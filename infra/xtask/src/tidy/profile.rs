//! Cargo.toml lists every crate of the workspace with the checks that our own code runs with: those
//! of `[profile.dev]` itself are for what others wrote.

use anyhow::{Context, Result};
use serde_json::Value as Json;
use toml::{Table, Value};

use super::violation::Violation;
use crate::workspace::{Workspace, list, text};

const MANIFEST: &str = "Cargo.toml";

/// What our code is compiled with.
const CHECKS: [&str; 2] = ["debug-assertions", "overflow-checks"];

/// Checks the root manifest against the workspace's packages.
pub(super) fn check(workspace: &Workspace, metadata: &Json) -> Result<Vec<Violation>> {
    let file = workspace.root.join(MANIFEST);
    let content = std::fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
    let manifest: Table = content.parse().context(MANIFEST)?;
    let members = list(metadata, "workspace_members");
    let is_member = |package: &&Json| members.contains(&package["id"]);
    let packages = list(metadata, "packages").iter().filter(is_member);
    let names: Vec<&str> = packages.map(|package| text(package, "name")).collect();
    Ok(compare(&manifest, &names))
}

fn compare(manifest: &Table, members: &[&str]) -> Vec<Violation> {
    let listed = manifest
        .get("profile")
        .and_then(|profiles| profiles.get("dev")?.get("package"));
    let is_checked = |name: &&&str| {
        let ours = listed.and_then(|packages| packages.get(**name));
        let is_on = |check: &&str| {
            let value = ours.and_then(|profile| profile.get(*check));
            value.and_then(Value::as_bool) == Some(true)
        };
        CHECKS.iter().all(is_on)
    };
    let mut messages: Vec<String> = members
        .iter()
        .filter(|name| !is_checked(name))
        .map(|name| {
            format!(
                "[profile.dev.package] has no `{name}` with {}",
                CHECKS.map(|check| format!("{check} = true")).join(" and ")
            )
        })
        .collect();
    if listed.is_some_and(|packages| packages.get("*").is_some()) {
        messages.push(
            "[profile.dev.package.\"*\"] lies over build-override, and macros are optimised for \
             minutes: put it into [profile.dev] itself"
                .to_owned(),
        );
    }
    messages.into_iter().map(violation).collect()
}

fn violation(message: String) -> Violation {
    Violation {
        place: MANIFEST.to_owned(),
        line: 0,
        rule: "profile",
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[profile.dev.package]\n\
        wire = { debug-assertions = true, overflow-checks = true, opt-level = 2 }\n";

    fn messages(manifest: &str, members: &[&str]) -> Vec<String> {
        compare(&manifest.parse().unwrap(), members)
            .into_iter()
            .map(|violation| violation.message)
            .collect()
    }

    #[test]
    fn a_crate_that_is_not_listed_is_named() {
        assert_eq!(messages(GOOD, &["wire"]), [""; 0]);
        let found = messages(GOOD, &["wire", "edge"]);
        assert!(found.len() == 1 && found[0].contains("`edge`"), "{found:?}");
        assert_eq!(messages("", &["wire"]).len(), 1);
    }

    #[test]
    fn a_crate_that_runs_without_checks_is_named() {
        let off = GOOD.replace("overflow-checks = true", "overflow-checks = false");
        assert_eq!(messages(&off, &["wire"]).len(), 1);
    }

    #[test]
    fn a_star_is_refused() {
        let star = format!("{GOOD}\"*\" = {{ opt-level = 3 }}\n");
        let found = messages(&star, &["wire"]);
        assert!(found[0].contains("build-override"), "{found:?}");
    }
}
