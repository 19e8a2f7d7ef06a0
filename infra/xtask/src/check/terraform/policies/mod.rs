//! What a plan keeps to, whatever the modules say: each rule stands for something that went wrong
//! for others. A fault says which resource it is, what is wrong and what to do.

mod access;
mod data;
mod edge;
mod plan;
mod relays;

use serde_json::Value;

use crate::workspace::{list, text};
use plan::{TAGS, collect, fault, texts};

pub(super) use plan::Plan;

/// What a plan does against a rule.
type Rule = fn(&Plan<'_>) -> Vec<String>;

/// What is true where a rule holds, and the rule.
pub(super) const RULES: &[(&str, Rule)] = &[
    ("everything that takes tags has ours", tags),
    (
        "nothing of production that holds data or people is destroyed",
        data::kept,
    ),
    (
        "tables are restorable, encrypted and expire items",
        data::tables,
    ),
    (
        "buckets are encrypted, versioned and private",
        data::buckets,
    ),
    ("no gateway refuses every request", edge::throttling),
    (
        "functions may do what permissions.json says, no less and no more",
        access::functions,
    ),
    ("no policy has a wildcard", access::wildcards),
    ("who may take a role of CI is named whole", access::trust),
    ("logs end, and no function makes a group", edge::logs),
    (
        "who calls an alias is permitted to call the alias",
        edge::callers,
    ),
    ("checkers ask names that the gateway has", edge::names),
    (
        "alarms are on metrics that exist, and say what silence means",
        edge::alarms,
    ),
    (
        "strangers reach the ports of relays and nothing else",
        relays::ingress,
    ),
    ("flows of voice are not tracked", relays::untracked),
    (
        "functions are told the port at which they reach relays",
        relays::reached,
    ),
    (
        "machines have IMDSv2, encrypted disks, our tags and no key",
        relays::machines,
    ),
    ("groups end no machine that carries people", relays::groups),
];

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

/// Monthly budgets of a plan that are of another amount than `usd`, or that there is none.
pub(super) fn other_budgets(plan: &Value, usd: &Value) -> Vec<String> {
    let mut resources = Vec::new();
    collect(&plan["planned_values"]["root_module"], &mut resources);
    resources.retain(|it| it["type"] == "aws_budgets_budget");
    let is_same = |budget: &&&Value| {
        let amount = text(&budget["values"], "limit_amount").parse::<f64>().ok();
        amount.is_some() && amount == usd.as_f64() && budget["values"]["time_unit"] == "MONTHLY"
    };
    let others = resources.iter().filter(|it| !is_same(it));
    let what = format!("infra/ops/budgets.json says {usd} $ a month: take it from there");
    let mut found: Vec<String> = others.map(|it| fault(it, &what)).collect();
    if resources.is_empty() {
        found.push("the plan has no budget, though infra/ops/budgets.json has one".to_owned());
    }
    found
}

/// Groups whose size a plan would set back to what the code says.
pub(super) fn capacity_moved(plan: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for change in list(plan, "resource_changes") {
        let (before, after) = (&change["change"]["before"], &change["change"]["after"]);
        let is_moved = |name: &&str| !after[*name].is_null() && before[*name] != after[*name];
        let is_group = change["type"] == "aws_autoscaling_group";
        if is_group && ["desired_capacity", "min_size"].iter().any(is_moved) {
            found.push(fault(
                change,
                "its size would be set back: it is the deployment's",
            ));
        }
    }
    found
}

/// What a plan with another region makes otherwise than one without it: nothing may be missing, and
/// what both make may only have more in it. Both begin with nothing.
pub(super) fn not_added(without: &Value, with: &Value) -> Vec<String> {
    let [mut before, mut after] = [Vec::new(), Vec::new()];
    collect(&without["planned_values"]["root_module"], &mut before);
    collect(&with["planned_values"]["root_module"], &mut after);
    let mut found = Vec::new();
    for resource in before {
        let address = text(resource, "address");
        match after.iter().find(|it| text(it, "address") == address) {
            None => found.push(format!("{address}: it is gone")),
            Some(other) if !holds(&other["values"], &resource["values"]) => {
                found.push(format!("{address}: it is another one"));
            }
            Some(_) => {}
        }
    }
    found
}

/// Whether everything of `less` is in `more`, texts that are JSON read as that.
fn holds(more: &Value, less: &Value) -> bool {
    match (more, less) {
        (Value::Object(more), Value::Object(less)) => less
            .iter()
            .all(|(name, value)| more.get(name).is_some_and(|more| holds(more, value))),
        (Value::Array(more), Value::Array(less)) => {
            let is_in = |value: &Value| more.iter().any(|more| holds(more, value));
            less.iter().all(is_in)
        }
        (Value::String(more), Value::String(less)) if more != less => {
            let read = |text: &str| serde_json::from_str::<Value>(text).ok();
            let json = read(more).zip(read(less));
            let is_list = || {
                less.split(',')
                    .all(|part| more.split(',').any(|it| it == part))
            };
            json.map_or_else(is_list, |(more, less)| holds(&more, &less))
        }
        _ => more == less,
    }
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

#[cfg(test)]
mod tests;
