//! From JSON to the limits of one stage, and to what waiting does not change.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use wire::RegionName;
use wire::matching::MAX_PARTY;

use super::keep;
use super::node::{Node, Reader, join};
use super::rule_set::{
    Balance, LatencyCap, Limits, MAX_ATTRIBUTES, MAX_PLAYERS, MAX_RULES, PartyLimits, Requirement,
    Rule, Scope, Team,
};
use crate::attribute::{Attribute, AttributeKind, AttributeValue};
use crate::ratings::DEFAULT_BETA;

/// Largest number of a rule.
const MAX_NUMBER: f64 = 1e9;
/// Most regions that a latency rule may name.
const MAX_REGIONS: usize = 64;
/// Most elements of a set that is a default.
const MAX_ELEMENTS: usize = 64;

/// The attributes by name.
pub(super) fn attributes(reader: &mut Reader, root: &Node) -> BTreeMap<String, Attribute> {
    let mut found = BTreeMap::new();
    let Some(node) = reader.optional(root, "attributes") else {
        return found;
    };
    let Some(map) = node.value.as_object() else {
        reader.fault(
            node.path,
            "expected an object with an entry for each attribute",
        );
        return found;
    };
    if map.len() > MAX_ATTRIBUTES {
        reader.fault(&*node.path, format!("at most {MAX_ATTRIBUTES} attributes"));
    }
    for (name, value) in map.iter().take(MAX_ATTRIBUTES) {
        let path = join(&node.path, name);
        if let Some(attribute) = attribute(reader, &Node { value, path }) {
            found.insert(name.clone(), attribute);
        }
    }
    found
}

fn attribute(reader: &mut Reader, node: &Node) -> Option<Attribute> {
    reader.object(node, &["type", "default"])?;
    let type_node = reader.required(node, "type")?;
    let kind = match reader.choice(&type_node, &["number", "text", "set"])? {
        "number" => AttributeKind::Number,
        "text" => AttributeKind::Text,
        _ => AttributeKind::Set,
    };
    let default = match reader.optional(node, "default") {
        None => None,
        Some(default) => Some(match kind {
            AttributeKind::Number => {
                AttributeValue::Number(reader.number(&default, -MAX_NUMBER..=MAX_NUMBER)?)
            }
            AttributeKind::Text => AttributeValue::Text(reader.text(&default)?.to_owned()),
            AttributeKind::Set => AttributeValue::Set(texts(reader, &default)),
        }),
    };
    Some(Attribute { kind, default })
}

fn texts(reader: &mut Reader, node: &Node) -> BTreeSet<String> {
    let items = reader.list(node, MAX_ELEMENTS);
    items
        .iter()
        .filter_map(|item| reader.text(item))
        .map(str::to_owned)
        .collect()
}

/// The limits on parties; `largest` is the size of the largest team at any stage.
pub(super) fn party(reader: &mut Reader, root: &Node, largest: u32) -> Option<PartyLimits> {
    let mut limits = PartyLimits {
        min: 1,
        max: largest.clamp(1, MAX_PARTY as u32),
        rating_spread: None,
    };
    let Some(node) = reader.optional(root, "party") else {
        return Some(limits);
    };
    reader.object(&node, &["min", "max", "rating_spread"])?;
    if let Some(min) = reader.optional(&node, "min") {
        limits.min = reader.integer(&min, 1..=MAX_PARTY as u32)?;
    }
    if let Some(max) = reader.optional(&node, "max") {
        limits.max = reader.integer(&max, 1..=MAX_PARTY as u32)?;
        if limits.max > largest {
            reader.fault(
                max.path,
                format!("larger than the largest team, which holds {largest}"),
            );
        }
    }
    if limits.min > limits.max {
        reader.fault(
            &*node.path,
            format!("min {} is above max {}", limits.min, limits.max),
        );
    }
    if let Some(spread) = reader.optional(&node, "rating_spread") {
        limits.rating_spread = Some(reader.number(&spread, 0.0..=MAX_NUMBER)?);
    }
    Some(limits)
}

/// The limits as `root` has them; without those that are soft when `overdue`.
pub(super) fn limits(
    reader: &mut Reader,
    root: &Node,
    attributes: &BTreeMap<String, Attribute>,
    overdue: bool,
) -> Option<Limits> {
    let teams = teams(reader, root);
    let (spread, beta) = rating(reader, root);
    let balance = balance(reader, root);
    let (latency, latency_soft) = latency(reader, root);
    let rules = rules(reader, root, attributes, overdue);
    let limits = Limits {
        teams: teams?,
        rating_spread: spread.filter(|_| !overdue),
        beta,
        balance: if overdue { Balance::default() } else { balance },
        latency: latency.filter(|_| !(overdue && latency_soft)),
        rules,
    };
    keep::check(reader, &limits);
    Some(limits)
}

fn teams(reader: &mut Reader, root: &Node) -> Option<Vec<Team>> {
    let node = reader.required(root, "teams")?;
    let mut found = Vec::new();
    for item in reader.list(&node, MAX_PLAYERS as usize) {
        team(reader, &item, &mut found);
    }
    let players: u32 = found.iter().map(|team: &Team| team.max).sum();
    let names: BTreeSet<&str> = found.iter().map(|team| team.name.as_str()).collect();
    if found.is_empty() {
        reader.fault(node.path, "a match has at least one team");
    } else if players > MAX_PLAYERS {
        reader.fault(
            node.path,
            format!("at most {MAX_PLAYERS} players in all, found {players}"),
        );
    } else if names.len() < found.len() {
        reader.fault(node.path, "two teams have the same name");
    } else {
        return Some(found);
    }
    None
}

fn team(reader: &mut Reader, node: &Node, found: &mut Vec<Team>) -> Option<()> {
    reader.object(node, &["name", "count", "players"])?;
    let name_node = reader.required(node, "name")?;
    let name = reader.text(&name_node)?;
    let count = match reader.optional(node, "count") {
        Some(count) => Some(reader.integer(&count, 1..=MAX_PLAYERS)?),
        None => None,
    };
    let players = reader.required(node, "players")?;
    reader.object(&players, &["min", "max"])?;
    let min_node = reader.required(&players, "min");
    let max_node = reader.required(&players, "max");
    let min = reader.integer(&min_node?, 0..=MAX_PLAYERS)?;
    let max = reader.integer(&max_node?, 1..=MAX_PLAYERS)?;
    if min > max {
        reader.fault(players.path, format!("min {min} is above max {max}"));
        return None;
    }
    let with_name = |name: String| Team { name, min, max };
    match count {
        Some(count) => {
            found.extend((1..=count).map(|number| with_name(format!("{name}-{number}"))));
        }
        None => found.push(with_name(name.to_owned())),
    }
    Some(())
}

fn rating(reader: &mut Reader, root: &Node) -> (Option<f64>, f64) {
    let Some(node) = reader.optional(root, "rating") else {
        return (None, DEFAULT_BETA);
    };
    reader.object(&node, &["spread", "beta"]);
    let spread = reader.optional(&node, "spread");
    let spread = spread.and_then(|spread| reader.number(&spread, 0.0..=MAX_NUMBER));
    let beta = reader.optional(&node, "beta");
    let beta = beta.and_then(|beta| reader.number(&beta, 1e-6..=MAX_NUMBER));
    (spread, beta.unwrap_or(DEFAULT_BETA))
}

fn balance(reader: &mut Reader, root: &Node) -> Balance {
    let Some(node) = reader.optional(root, "balance") else {
        return Balance::default();
    };
    reader.object(&node, &["favourite", "distribution"]);
    let favourite = reader.optional(&node, "favourite");
    let distribution = reader.optional(&node, "distribution");
    Balance {
        favourite: favourite.and_then(|node| reader.number(&node, 0.5..=1.0)),
        distribution: distribution.and_then(|node| reader.number(&node, 0.0..=MAX_NUMBER)),
    }
}

/// The cap, and whether it is soft.
fn latency(reader: &mut Reader, root: &Node) -> (Option<LatencyCap>, bool) {
    let Some(node) = reader.optional(root, "latency") else {
        return (None, false);
    };
    reader.object(&node, &["max_ms", "regions", "soft"]);
    let soft = reader
        .optional(&node, "soft")
        .is_some_and(|soft| reader.flag(&soft));
    let max = reader.required(&node, "max_ms");
    let max_ms = max.and_then(|max| reader.integer(&max, 1..=10_000));
    let mut regions = BTreeMap::new();
    if let Some(node) = reader.optional(&node, "regions") {
        let map = node.value.as_object();
        if map.is_none_or(|map| map.len() > MAX_REGIONS) {
            let message = format!("expected an object with at most {MAX_REGIONS} regions");
            reader.fault(&*node.path, message);
        }
        for (name, value) in map.into_iter().flatten().take(MAX_REGIONS) {
            let path = join(&node.path, name);
            match RegionName::new(name.as_str()) {
                Ok(region) => {
                    let cap = reader.integer(&Node { value, path }, 1..=10_000);
                    regions.extend(cap.map(|cap| (region, cap)));
                }
                Err(bad) => reader.fault(path, bad.to_string()),
            }
        }
    }
    (max_ms.map(|max_ms| LatencyCap { max_ms, regions }), soft)
}

fn rules(
    reader: &mut Reader,
    root: &Node,
    attributes: &BTreeMap<String, Attribute>,
    overdue: bool,
) -> Vec<Option<Rule>> {
    let Some(node) = reader.optional(root, "rules") else {
        return Vec::new();
    };
    let items = reader.list(&node, MAX_RULES);
    items
        .iter()
        .map(|item| {
            let soft = reader
                .optional(item, "soft")
                .is_some_and(|soft| reader.flag(&soft));
            rule(reader, item, attributes).filter(|_| !(overdue && soft))
        })
        .collect()
}

const TYPES: [&str; 8] = [
    "difference",
    "minimum",
    "maximum",
    "equal",
    "different",
    "overlap",
    "count",
    "average",
];

fn rule(
    reader: &mut Reader,
    node: &Node,
    attributes: &BTreeMap<String, Attribute>,
) -> Option<Rule> {
    let type_node = reader.required(node, "type")?;
    let kind = reader.choice(&type_node, &TYPES)?;
    let (fields, wanted): (&[&str], _) = match kind {
        "difference" | "average" => (&["max"], Some(AttributeKind::Number)),
        "minimum" | "maximum" => (&["value"], Some(AttributeKind::Number)),
        "equal" | "different" => (&[], Some(AttributeKind::Text)),
        "overlap" => (&["min"], Some(AttributeKind::Set)),
        _ => (&["value", "min", "max"], None),
    };
    let common: &[&str] = match kind {
        "average" | "minimum" | "maximum" => &["name", "type", "attribute", "soft"],
        _ => &["name", "type", "attribute", "soft", "per"],
    };
    reader.object(node, &[common, fields].concat())?;
    let attribute_node = reader.required(node, "attribute")?;
    let attribute = reader.text(&attribute_node)?;
    match attributes.get(attribute) {
        None => reader.fault(
            &*attribute_node.path,
            format!("no attribute is called {attribute}"),
        ),
        Some(found) if wanted.is_some_and(|wanted| wanted != found.kind) => {
            let message = format!("{kind} needs another type of attribute");
            reader.fault(&*attribute_node.path, message);
        }
        Some(found) if kind == "count" && found.kind == AttributeKind::Number => {
            reader.fault(&*attribute_node.path, "count needs a text or set attribute");
        }
        Some(_) => {}
    }
    let kind_of = attributes.get(attribute).map(|attribute| attribute.kind);
    let exclusive = kind_of == Some(AttributeKind::Text);
    let per = match reader.optional(node, "per") {
        Some(per) if reader.choice(&per, &["match", "team"])? == "team" => Scope::Team,
        _ => Scope::Match,
    };
    let name = match reader.optional(node, "name") {
        Some(name) => format!("{} ({})", node.path, reader.text(&name)?),
        None => node.path.clone(),
    };
    Some(Rule {
        name,
        per,
        attribute: attribute.to_owned(),
        requirement: requirement(reader, node, kind, exclusive)?,
    })
}

fn requirement(
    reader: &mut Reader,
    node: &Node,
    kind: &str,
    exclusive: bool,
) -> Option<Requirement> {
    let any = -MAX_NUMBER..=MAX_NUMBER;
    Some(match kind {
        "difference" | "average" => {
            let max_node = reader.required(node, "max")?;
            let max = reader.number(&max_node, 0.0..=MAX_NUMBER)?;
            if kind == "average" {
                Requirement::Average(max)
            } else {
                Requirement::Difference(max)
            }
        }
        "minimum" | "maximum" => {
            let value_node = reader.required(node, "value")?;
            let value = reader.number(&value_node, any)?;
            if kind == "minimum" {
                Requirement::Minimum(value)
            } else {
                Requirement::Maximum(value)
            }
        }
        "equal" => Requirement::Equal,
        "different" => Requirement::Different,
        "overlap" => {
            let min_node = reader.required(node, "min")?;
            Requirement::Overlap(reader.integer(&min_node, 1..=MAX_ELEMENTS as u32)?)
        }
        _ => count(reader, node, exclusive)?,
    })
}

fn count(reader: &mut Reader, node: &Node, exclusive: bool) -> Option<Requirement> {
    let value_node = reader.required(node, "value")?;
    let value = reader.text(&value_node)?.to_owned();
    let min = match reader.optional(node, "min") {
        Some(min) => reader.integer(&min, 0..=MAX_PLAYERS)?,
        None => 0,
    };
    let max = match reader.optional(node, "max") {
        Some(max) => Some(reader.integer(&max, 0..=MAX_PLAYERS)?),
        None => None,
    };
    if max.is_some_and(|max| min > max) {
        reader.fault(&*node.path, "min is above max");
        return None;
    }
    if min == 0 && max.is_none() {
        reader.fault(&*node.path, "give min, max or both");
    }
    Some(Requirement::Count {
        value,
        min,
        max,
        exclusive,
    })
}

/// A whole number at the root.
pub(super) fn seconds(reader: &mut Reader, root: &Node, path: [&str; 2], max: u32) -> Option<u32> {
    let node = reader.optional(root, path[0])?;
    reader.object(&node, &[path[1]])?;
    let inner = reader.required(&node, path[1])?;
    reader.integer(&inner, 1..=max)
}

/// Whether a value is a number, which is what expansions replace.
pub(super) fn is_number(value: &Value) -> bool {
    value.is_number()
}
