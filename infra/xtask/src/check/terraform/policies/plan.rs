//! A plan as the rules read it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::workspace::{list, text};

/// Tags by which costs are told apart and somebody is found.
pub(super) const TAGS: [&str; 6] = [
    "Project",
    "Env",
    "Component",
    "Owner",
    "CostCentre",
    "ManagedBy",
];

/// What a plan makes, and what functions may touch.
pub(in crate::check::terraform) struct Plan<'a> {
    pub(super) resources: Vec<&'a Value>,
    pub(super) changes: &'a [Value],
    pub(super) permissions: &'a Value,
}

impl<'a> Plan<'a> {
    /// Of `terraform show -json` and `functions/permissions.json`.
    pub(in crate::check::terraform) fn new(plan: &'a Value, permissions: &'a Value) -> Self {
        let mut resources = Vec::new();
        collect(&plan["planned_values"]["root_module"], &mut resources);
        Self {
            resources,
            changes: list(plan, "resource_changes"),
            permissions,
        }
    }

    pub(super) fn of(&self, kind: &str) -> impl Iterator<Item = &'a Value> {
        let chosen = self.resources.iter().copied();
        let kind = kind.to_owned();
        chosen.filter(move |resource| resource["type"] == kind.as_str())
    }

    /// Statements of the policies of roles, with the resource that has them.
    pub(super) fn statements(&self) -> Vec<(&'a Value, Value)> {
        let of = |policy: &'a Value| {
            let document = text(&policy["values"], "policy");
            let document: Value = serde_json::from_str(document).unwrap_or_default();
            let statements = list(&document, "Statement").to_vec();
            statements.into_iter().map(move |it| (policy, it))
        };
        self.of("aws_iam_role_policy").flat_map(of).collect()
    }
}

pub(super) fn collect<'a>(module: &'a Value, found: &mut Vec<&'a Value>) {
    found.extend(list(module, "resources"));
    for child in list(module, "child_modules") {
        collect(child, found);
    }
}

/// What is wrong with a resource, named.
pub(super) fn fault(resource: &Value, what: &str) -> String {
    format!("{}: {what}", text(resource, "address"))
}

/// A text, or a list of them.
pub(super) fn texts(value: &Value) -> BTreeSet<String> {
    let one = value.as_str().map(str::to_owned);
    let many = value.as_array().into_iter().flatten();
    let many = many.filter_map(Value::as_str).map(str::to_owned);
    one.into_iter().chain(many).collect()
}
