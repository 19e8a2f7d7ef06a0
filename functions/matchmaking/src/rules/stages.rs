//! Expansions: the rule set as it reads after each step, each reading validated like the first.

use std::collections::BTreeSet;

use serde_json::Value;
use wire::ModeName;

use super::keep;
use super::node::{Fault, Node, Reader};
use super::read::{self, is_number};
use super::rule_set::{Limits, MAX_EXPANSIONS, MAX_SECONDS, RuleSet, Stage};

const FIELDS: [&str; 12] = [
    "mode",
    "version",
    "attributes",
    "teams",
    "party",
    "rating",
    "balance",
    "latency",
    "rules",
    "expansions",
    "max_wait_s",
    "acceptance",
];
const BACKFILL: &str = "backfill";
/// What an expansion may change.
const EXPANDABLE: [&str; 5] = ["teams", "rating", "balance", "latency", "rules"];

/// A number that changes with waiting.
struct Expansion {
    path: String,
    pointer: String,
    /// Seconds and value, by seconds.
    steps: Vec<(u32, Value)>,
}

/// Reads the whole document.
pub(super) fn rule_set(document: &Value) -> Result<RuleSet, Vec<Fault>> {
    let mut reader = Reader::default();
    let found = read_all(&mut reader, document);
    match found {
        Some(rules) if reader.faults.is_empty() => Ok(rules),
        _ => Err(reader.faults),
    }
}

fn read_all(reader: &mut Reader, document: &Value) -> Option<RuleSet> {
    let root = root(document);
    let known: Vec<&str> = FIELDS.iter().copied().chain([BACKFILL]).collect();
    reader.object(&root, &known)?;
    let mode = mode(reader, &root);
    let version_node = reader.required(&root, "version");
    let version = version_node.and_then(|node| reader.integer(&node, 1..=u32::MAX));
    let attributes = read::attributes(reader, &root);
    let max_wait_node = reader.required(&root, "max_wait_s");
    let max_wait = max_wait_node.and_then(|node| reader.integer(&node, 1..=MAX_SECONDS));
    let acceptance_timeout_s =
        read::seconds(reader, &root, ["acceptance", "timeout_s"], MAX_SECONDS);
    let backfill_until_s = read::seconds(reader, &root, [BACKFILL, "until_s"], MAX_SECONDS);
    let first = read::limits(reader, &root, &attributes, false);
    let expansions = expansions(reader, &root, document);
    // Stages of a document with faults would only repeat them.
    if !reader.faults.is_empty() {
        return None;
    }
    let max_wait_s = max_wait?;
    let mut stages = vec![Stage {
        from_s: 0,
        changes: Vec::new(),
        limits: first?,
    }];
    let times: BTreeSet<u32> = expansions
        .iter()
        .flat_map(|expansion| expansion.steps.iter().map(|step| step.0))
        .chain([max_wait_s])
        .collect();
    for from_s in times {
        let limits = |patched: &Value, reader: &mut Reader| {
            read::limits(
                reader,
                &self::root(patched),
                &attributes,
                from_s >= max_wait_s,
            )
        };
        stages.push(stage(
            reader,
            document,
            &expansions,
            from_s,
            max_wait_s,
            limits,
        )?);
    }
    let largest = |stage: &Stage| stage.limits.teams.iter().map(|team| team.max).max();
    let largest = stages.iter().filter_map(largest).max().unwrap_or(1);
    let party = read::party(reader, &root, largest)?;
    if reader.faults.is_empty() {
        let mut stages = stages.iter();
        if let Some(message) = stages.find_map(|stage| keep::unfillable(&party, &stage.limits)) {
            reader.fault("party", message);
        }
    }
    Some(RuleSet {
        mode: mode?,
        version: version?,
        attributes,
        party,
        max_wait_s,
        acceptance_timeout_s,
        backfill_until_s,
        stages,
    })
}

fn root(document: &Value) -> Node<'_> {
    Node {
        value: document,
        path: "$".to_owned(),
    }
}

fn mode(reader: &mut Reader, root: &Node) -> Option<ModeName> {
    let node = reader.required(root, "mode")?;
    let text = reader.text(&node)?;
    let mode = ModeName::new(text);
    if let Err(bad) = &mode {
        reader.fault(node.path, bad.to_string());
    }
    mode.ok()
}

fn expansions(reader: &mut Reader, root: &Node, document: &Value) -> Vec<Expansion> {
    let Some(node) = reader.optional(root, "expansions") else {
        return Vec::new();
    };
    let items = reader.list(&node, MAX_EXPANSIONS);
    let mut found: Vec<Expansion> = Vec::new();
    for item in &items {
        if let Some(expansion) = expansion(reader, item, document) {
            if found.iter().any(|other| other.pointer == expansion.pointer) {
                reader.fault(
                    format!("{}.path", item.path),
                    "another expansion has this path",
                );
            }
            found.push(expansion);
        }
    }
    found
}

fn expansion(reader: &mut Reader, node: &Node, document: &Value) -> Option<Expansion> {
    reader.object(node, &["path", "steps"])?;
    let path_node = reader.required(node, "path")?;
    let path = reader.text(&path_node)?.to_owned();
    let pointer = pointer(&path);
    let first = pointer.split('/').nth(1).unwrap_or_default();
    if !EXPANDABLE.contains(&first) || pointer.ends_with("/count") {
        let message = format!("only numbers of {} can expand", EXPANDABLE.join(", "));
        reader.fault(path_node.path, message);
        return None;
    }
    if !document.pointer(&pointer).is_some_and(is_number) {
        reader.fault(path_node.path, format!("there is no number at {path}"));
        return None;
    }
    let steps_node = reader.required(node, "steps")?;
    let mut steps: Vec<(u32, Value)> = Vec::new();
    for step in reader.list(&steps_node, MAX_EXPANSIONS) {
        reader.object(&step, &["after_s", "value"])?;
        let after_node = reader.required(&step, "after_s")?;
        let value_node = reader.required(&step, "value")?;
        let after_s = reader.integer(&after_node, 1..=MAX_SECONDS)?;
        reader.number(&value_node, f64::MIN..=f64::MAX)?;
        if steps.last().is_some_and(|last| last.0 >= after_s) {
            reader.fault(after_node.path, "steps go forward in time");
        }
        steps.push((after_s, value_node.value.clone()));
    }
    if steps.is_empty() {
        reader.fault(steps_node.path, "an expansion has at least one step");
    }
    Some(Expansion {
        path,
        pointer,
        steps,
    })
}

/// `rules[0].max` as a JSON pointer (RFC 6901): `/rules/0/max`.
fn pointer(path: &str) -> String {
    let escaped = path.replace('~', "~0").replace('/', "~1");
    let dotted = escaped.replace('[', ".").replace(']', "");
    format!("/{}", dotted.replace('.', "/"))
}

fn stage(
    reader: &mut Reader,
    document: &Value,
    expansions: &[Expansion],
    from_s: u32,
    max_wait_s: u32,
    limits: impl Fn(&Value, &mut Reader) -> Option<Limits>,
) -> Option<Stage> {
    let mut patched = document.clone();
    let mut changes = Vec::new();
    for expansion in expansions {
        let begun = |step: &&(u32, Value)| step.0 <= from_s;
        let Some((at, value)) = expansion.steps.iter().rfind(begun) else {
            continue;
        };
        if *at == from_s {
            changes.push(expansion.path.clone());
        }
        if let Some(number) = patched.pointer_mut(&expansion.pointer) {
            *number = value.clone();
        }
    }
    if from_s == max_wait_s {
        changes.push("max_wait_s".to_owned());
    }
    let before = reader.faults.len();
    let found = limits(&patched, reader);
    for fault in &mut reader.faults[before..] {
        fault.message = format!("after {from_s} s of waiting: {}", fault.message);
    }
    if reader.faults.len() > before {
        return None;
    }
    Some(Stage {
        from_s,
        changes,
        limits: found?,
    })
}
