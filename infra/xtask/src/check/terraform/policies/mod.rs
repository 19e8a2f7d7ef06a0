//! What a plan keeps to, whatever the modules say: each rule stands for something that went wrong
//! for others. A fault says which resource it is, what is wrong and what to do.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::workspace::{list, text};

/// Tags by which costs are told apart and somebody is found.
const TAGS: [&str; 6] = [
    "Project",
    "Env",
    "Component",
    "Owner",
    "CostCentre",
    "ManagedBy",
];

/// What a plan does against a rule.
type Rule = fn(&Plan<'_>) -> Vec<String>;

/// What is true where a rule holds, and the rule.
pub(super) const RULES: &[(&str, Rule)] = &[
    ("everything that takes tags has ours", tags),
    ("tables are restorable, encrypted and expire items", tables),
    ("no gateway refuses every request", throttling),
    (
        "functions may do what permissions.json says, no less and no more",
        actions,
    ),
    ("no policy has a wildcard", wildcards),
    ("logs end, and no function makes a group", logs),
    ("who calls an alias is permitted to call the alias", callers),
];

/// What a plan makes, and what functions may touch.
pub(super) struct Plan<'a> {
    resources: Vec<&'a Value>,
    permissions: &'a Value,
}

impl<'a> Plan<'a> {
    /// Of `terraform show -json` and `functions/permissions.json`.
    pub(super) fn new(plan: &'a Value, permissions: &'a Value) -> Self {
        let mut resources = Vec::new();
        collect(&plan["planned_values"]["root_module"], &mut resources);
        Self {
            resources,
            permissions,
        }
    }

    fn of(&self, kind: &str) -> impl Iterator<Item = &'a Value> {
        let chosen = self.resources.iter().copied();
        let kind = kind.to_owned();
        chosen.filter(move |resource| resource["type"] == kind.as_str())
    }

    /// Statements of the policies of roles, with the resource that has them.
    fn statements(&self) -> Vec<(&'a Value, Value)> {
        let of = |policy: &'a Value| {
            let document = text(&policy["values"], "policy");
            let document: Value = serde_json::from_str(document).unwrap_or_default();
            let statements = list(&document, "Statement").to_vec();
            statements.into_iter().map(move |it| (policy, it))
        };
        self.of("aws_iam_role_policy").flat_map(of).collect()
    }
}

fn collect<'a>(module: &'a Value, found: &mut Vec<&'a Value>) {
    found.extend(list(module, "resources"));
    for child in list(module, "child_modules") {
        collect(child, found);
    }
}

/// What a second plan would do though nothing was changed. An update of one of `artefacts` is the
/// emulator's; nothing excuses that something is made or destroyed.
pub(super) fn unsettled(plan: &Value, artefacts: &str) -> Vec<String> {
    let known: Vec<&str> = artefacts.lines().map(str::trim).collect();
    let mut found = Vec::new();
    for change in list(plan, "resource_changes") {
        let address = text(change, "address");
        let actions = list(&change["change"], "actions");
        let is_excused = actions == ["update"] && known.contains(&address);
        if actions != ["no-op"] && actions != ["read"] && !is_excused {
            let actions = texts(&change["change"]["actions"]);
            let actions: Vec<String> = actions.into_iter().collect();
            found.push(format!("{address}: {}", actions.join(" and ")));
        }
    }
    found
}

fn fault(resource: &Value, what: &str) -> String {
    format!("{}: {what}", text(resource, "address"))
}

fn tags(plan: &Plan<'_>) -> Vec<String> {
    let tagged = plan.resources.iter();
    let tagged = tagged.filter(|resource| !resource["values"]["tags_all"].is_null());
    let missing = |resource: &&&Value| {
        let has = |tag: &&&str| resource["values"]["tags_all"][**tag].is_string();
        let missing: Vec<&str> = TAGS.iter().filter(|tag| !has(tag)).copied().collect();
        let what = format!(
            "no tag {}: give it local.tags, or the provider default_tags",
            missing.join(", ")
        );
        (!missing.is_empty()).then(|| fault(resource, &what))
    };
    tagged.filter_map(|resource| missing(&resource)).collect()
}

fn tables(plan: &Plan<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    for table in plan.of("aws_dynamodb_table") {
        let values = &table["values"];
        let mut want = |holds: bool, what: &str| {
            if !holds {
                faults.push(fault(table, what));
            }
        };
        let is_on = |block: &str| values[block][0]["enabled"] == true;
        want(
            is_on("point_in_time_recovery"),
            "set point_in_time_recovery.enabled",
        );
        want(
            is_on("server_side_encryption"),
            "set server_side_encryption.enabled",
        );
        want(
            is_on("ttl") && values["ttl"][0]["attribute_name"] == "ttl",
            "items expire by `ttl`",
        );
        for replica in list(values, "replica") {
            let is_kept = replica["point_in_time_recovery"] == true;
            want(
                is_kept,
                "set point_in_time_recovery of each replica: it is off unless asked for",
            );
            want(
                replica["propagate_tags"] == true,
                "set propagate_tags of each replica",
            );
        }
    }
    faults
}

fn throttling(plan: &Plan<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    for stage in plan.of("aws_apigatewayv2_stage") {
        let values = &stage["values"];
        let default = list(values, "default_route_settings");
        if default.is_empty() {
            faults.push(fault(stage, "set default_route_settings with both limits"));
        }
        for settings in default.iter().chain(list(values, "route_settings")) {
            for limit in ["throttling_rate_limit", "throttling_burst_limit"] {
                if settings[limit].as_f64().is_none_or(|limit| limit <= 0.0) {
                    let what = format!("{limit} is 0 or missing: every request gets 429; set it");
                    faults.push(fault(stage, &what));
                }
            }
        }
    }
    faults
}

fn texts(value: &Value) -> BTreeSet<String> {
    let one = value.as_str().map(str::to_owned);
    let many = value.as_array().into_iter().flatten();
    let many = many.filter_map(Value::as_str).map(str::to_owned);
    one.into_iter().chain(many).collect()
}

fn actions(plan: &Plan<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    let statements = plan.statements();
    let functions = plan.permissions.as_object().into_iter().flatten();
    let mut known = BTreeSet::new();
    for (function, needs) in functions {
        known.insert(function.as_str());
        let listed = texts(&needs["table"]).into_iter();
        let listed: BTreeSet<String> = listed.map(|it| format!("dynamodb:{it}")).collect();
        let own = statements
            .iter()
            .filter(|(policy, _)| policy["index"] == function.as_str());
        let given = own.flat_map(|(_, statement)| texts(&statement["Action"]));
        let given: BTreeSet<String> = given.filter(|it| it.starts_with("dynamodb:")).collect();
        if given != listed {
            faults.push(format!(
                "{function}: its role may {given:?}, and functions/permissions.json lists \
                 {listed:?}: make the policy from the file"
            ));
        }
    }
    for (policy, _) in &statements {
        if !known.contains(policy["index"].as_str().unwrap_or_default()) {
            faults.push(fault(policy, "no function of permissions.json has it"));
        }
    }
    faults
}

fn wildcards(plan: &Plan<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    for (policy, statement) in plan.statements() {
        for action in texts(&statement["Action"]) {
            if action.contains('*') || statement.get("NotAction").is_some() {
                faults.push(fault(policy, &format!("{action}: name the actions")));
            }
        }
        if texts(&statement["Resource"]).contains("*") {
            faults.push(fault(policy, "Resource is *: name what it is for"));
        }
    }
    faults
}

fn logs(plan: &Plan<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut groups = BTreeSet::new();
    for group in plan.of("aws_cloudwatch_log_group") {
        groups.insert(text(&group["values"], "name"));
        if group["values"]["retention_in_days"]
            .as_u64()
            .is_none_or(|days| days == 0)
        {
            faults.push(fault(
                group,
                "set retention_in_days: its lines are kept for ever",
            ));
        }
    }
    for function in plan.of("aws_lambda_function") {
        if !groups.contains(text(&function["values"]["logging_config"][0], "log_group")) {
            faults.push(fault(
                function,
                "set logging_config.log_group to a group of ours",
            ));
        }
    }
    for (policy, statement) in plan.statements() {
        if texts(&statement["Action"]).contains("logs:CreateLogGroup") {
            faults.push(fault(
                policy,
                "take out logs:CreateLogGroup: such a group never expires",
            ));
        }
    }
    faults
}

fn callers(plan: &Plan<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    let pair = |values: &Value, name: &str| {
        let function = text(values, "function_name").to_owned();
        (function, text(values, name).to_owned())
    };
    let permissions: Vec<&Value> = plan.of("aws_lambda_permission").collect();
    let aliases: BTreeSet<_> = plan
        .of("aws_lambda_alias")
        .map(|alias| pair(&alias["values"], "name"))
        .collect();
    for permission in &permissions {
        if !aliases.contains(&pair(&permission["values"], "qualifier")) {
            faults.push(fault(
                permission,
                "set qualifier to the name of the function's alias, which is what is called",
            ));
        }
    }
    for (function, name) in aliases {
        let is_its = |permission: &&&Value| {
            let values = &permission["values"];
            values["principal"] == "apigateway.amazonaws.com"
                && pair(values, "qualifier") == (function.clone(), name.clone())
        };
        if !permissions.iter().any(|it| is_its(&it)) {
            faults.push(format!(
                "{function}:{name}: no aws_lambda_permission lets the gateway call it: requests \
                 end as 500"
            ));
        }
    }
    faults
}

#[cfg(test)]
mod tests;
