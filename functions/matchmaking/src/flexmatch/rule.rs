//! The rules of a FlexMatch-style rule set, type by type.

use serde_json::{Map, Value, json};

use super::{Mapping, list, text};

/// A property expression that has a counterpart.
#[derive(Debug, PartialEq)]
enum Property<'a> {
    /// `flatten(teams[*].players.attributes[X])`: all players.
    All(&'a str),
    /// `teams[*].players.attributes[X]`: the players of each team.
    Teams(&'a str),
    /// `avg(teams[*].players.attributes[X])`: a mean for each team.
    TeamMeans(&'a str),
    /// `avg(flatten(teams[*].players.attributes[X]))`.
    Mean(&'a str),
    /// `min(flatten(..))`.
    Smallest(&'a str),
    /// `max(flatten(..))`.
    Largest(&'a str),
}

impl<'a> Property<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let within = |text: &'a str, function: &str| {
            text.strip_prefix(function)?
                .strip_prefix('(')?
                .strip_suffix(')')
        };
        let teams = |text: &'a str| {
            text.strip_prefix("teams[*].players.attributes[")?
                .strip_suffix(']')
        };
        let all = |text: &'a str| teams(within(text, "flatten")?);
        if let Some(inner) = within(text, "avg") {
            return all(inner)
                .map(Self::Mean)
                .or_else(|| teams(inner).map(Self::TeamMeans));
        }
        if let Some(inner) = within(text, "min") {
            return all(inner).map(Self::Smallest);
        }
        if let Some(inner) = within(text, "max") {
            return all(inner).map(Self::Largest);
        }
        all(text)
            .map(Self::All)
            .or_else(|| teams(text).map(Self::Teams))
    }
}

/// Why a rule has no counterpart, and where.
struct Unmapped(&'static str, String);

fn unmapped<T>(field: &'static str, reason: impl Into<String>) -> Result<T, Unmapped> {
    Err(Unmapped(field, reason.into()))
}

impl Mapping {
    pub(super) fn rule(&mut self, rule: &Value, path: &str) {
        let mapped = match text(rule, "type") {
            "distance" => distance(rule),
            "comparison" => self.comparison(rule),
            "collection" => self.collection(rule),
            "batchDistance" => self.batch_distance(rule),
            "latency" => return self.latency(rule, path),
            // Sorting needs to know all the other rules.
            "absoluteSort" | "distanceSort" => return,
            "compound" => unmapped(
                "type",
                "compound rules do not map; write each part as a rule",
            ),
            other => unmapped("type", format!("there is no rule type like {other:?}")),
        };
        match mapped {
            Ok((ours, fields)) => self.add(rule, ours, fields),
            Err(Unmapped(field, reason)) => self.unmapped(format!("{path}.{field}"), reason),
        }
        self.leftovers(rule, path);
    }

    /// Fields of rules that map which change their meaning but have no counterpart.
    fn leftovers(&mut self, rule: &Value, path: &str) {
        for field in ["minDistance", "distanceReference", "partyAggregation"] {
            if rule.get(field).is_some() {
                self.unmapped(format!("{path}.{field}"), "left out: it has no counterpart");
            }
        }
    }

    /// Adds our rule; an expansion of their field will change ours.
    fn add(&mut self, rule: &Value, mut ours: Value, fields: &[(&str, &str)]) {
        let name = text(rule, "name");
        if !name.is_empty() {
            ours["name"] = json!(name);
        }
        let index = self.push("rules", ours);
        for (theirs, field) in fields {
            let target = (
                format!("rules[{name}].{theirs}"),
                format!("rules[{index}].{field}"),
            );
            self.targets.push(target);
        }
    }

    fn latency(&mut self, rule: &Value, path: &str) {
        if self.document.contains_key("latency") {
            return self.unmapped(path, "there is one latency cap only");
        }
        let Some(max) = rule.get("maxLatency") else {
            return self.unmapped(path, "only maxLatency maps");
        };
        self.document
            .insert("latency".to_owned(), json!({ "max_ms": max }));
        let theirs = format!("rules[{}].maxLatency", text(rule, "name"));
        self.targets.push((theirs, "latency.max_ms".to_owned()));
        for field in ["maxDistance", "distanceReference"] {
            if rule.get(field).is_some() {
                self.unmapped(format!("{path}.{field}"), "left out: only maxLatency maps");
            }
        }
    }

    fn comparison(&self, rule: &Value) -> Mapped {
        let Some(Property::All(attribute)) = measurement(rule) else {
            return unmapped("measurements", "only an attribute of all players maps");
        };
        let kind = self.kind_of(attribute).unwrap_or_default();
        let operation = text(rule, "operation");
        let value = &[("referenceValue", "value")][..];
        match (operation, rule.get("referenceValue"), kind) {
            (">=", Some(Value::Number(number)), "number") => Ok((
                json!({ "type": "minimum", "attribute": attribute, "value": number }),
                value,
            )),
            ("<=", Some(Value::Number(number)), "number") => Ok((
                json!({ "type": "maximum", "attribute": attribute, "value": number }),
                value,
            )),
            ("=", None, "text") => Ok((json!({ "type": "equal", "attribute": attribute }), &[])),
            ("=", None, "number") => Ok((
                json!({ "type": "difference", "attribute": attribute, "max": 0 }),
                &[],
            )),
            ("!=", None, "text") => {
                Ok((json!({ "type": "different", "attribute": attribute }), &[]))
            }
            _ => unmapped(
                "operation",
                format!("{operation} with this reference does not map"),
            ),
        }
    }

    fn collection(&self, rule: &Value) -> Mapped {
        let (attribute, per) = match measurement(rule) {
            Some(Property::All(attribute)) => (attribute, "match"),
            Some(Property::Teams(attribute)) => (attribute, "team"),
            _ => {
                return unmapped(
                    "measurements",
                    "only an attribute of all players or teams maps",
                );
            }
        };
        let mut ours = json!({ "attribute": attribute, "per": per });
        match text(rule, "operation") {
            "intersection" if self.kind_of(attribute) == Some("set") => {
                let Some(min) = rule.get("minCount") else {
                    return unmapped("operation", "an intersection maps by its minCount");
                };
                if rule.get("maxCount").is_some() {
                    return unmapped("maxCount", "an intersection has no largest size here");
                }
                ours["type"] = json!("overlap");
                ours["min"] = min.clone();
                Ok((ours, &[("minCount", "min")]))
            }
            "contains" => {
                ours["type"] = json!("count");
                ours["value"] = rule.get("referenceValue").cloned().unwrap_or_default();
                let (min, max) = (rule.get("minCount"), rule.get("maxCount"));
                if min.is_none() && max.is_none() {
                    // Theirs: at least one.
                    ours["min"] = json!(1);
                }
                for (key, bound) in [("min", min), ("max", max)] {
                    if let Some(bound) = bound {
                        ours[key] = bound.clone();
                    }
                }
                Ok((ours, &[("minCount", "min"), ("maxCount", "max")]))
            }
            other => unmapped("operation", format!("{other} does not map")),
        }
    }

    fn batch_distance(&self, rule: &Value) -> Mapped {
        let attribute = text(rule, "batchAttribute");
        match self.kind_of(attribute) {
            Some("number") => {
                let max = rule.get("maxDistance").cloned().unwrap_or_default();
                let ours = json!({ "type": "difference", "attribute": attribute, "max": max });
                Ok((ours, &[("maxDistance", "max")]))
            }
            Some("text") => Ok((json!({ "type": "equal", "attribute": attribute }), &[])),
            _ => unmapped("batchAttribute", "only a number or text attribute maps"),
        }
    }

    /// Neighbours are searched by the attribute of the first difference: a sort by that attribute,
    /// nearest first, is what happens anyway.
    pub(super) fn sort_rules(&mut self, source: &Map<String, Value>) {
        let rules = self.document["rules"].as_array();
        let first = rules
            .into_iter()
            .flatten()
            .find(|rule| text(rule, "type") == "difference");
        let first = first.map(|rule| text(rule, "attribute").to_owned());
        for (index, rule) in list(source, "rules").iter().enumerate() {
            let path = format!("rules[{index}]");
            match text(rule, "type") {
                "distanceSort" => {
                    let natural = text(rule, "sortDirection") == "ascending"
                        && first.as_deref() == Some(text(rule, "sortAttribute"))
                        && rule.get("mapKey").is_none();
                    if !natural {
                        let message = "candidates come nearest in rating first, or by the \
                                       attribute of the first difference rule";
                        self.unmapped(path, message);
                    }
                }
                "absoluteSort" => self.unmapped(path, "older tickets come first, always"),
                _ => {}
            }
        }
    }
}

type Mapped = Result<(Value, &'static [(&'static str, &'static str)]), Unmapped>;

fn distance(rule: &Value) -> Mapped {
    let max = rule.get("maxDistance").cloned().unwrap_or_default();
    let reference = rule.get("referenceValue").and_then(Value::as_str);
    let fields = &[("maxDistance", "max")];
    match (measurement(rule), reference.and_then(Property::read)) {
        (Some(Property::TeamMeans(a)), Some(Property::Mean(b))) if a == b => Ok((
            json!({ "type": "average", "attribute": a, "max": max }),
            fields,
        )),
        (Some(Property::Largest(a)), Some(Property::Smallest(b))) if a == b => Ok((
            json!({ "type": "difference", "attribute": a, "max": max }),
            fields,
        )),
        _ => unmapped(
            "measurements",
            "only team means against the mean, or the largest against the smallest value, map",
        ),
    }
}

/// The one measurement of a rule, if it has a counterpart.
fn measurement(rule: &Value) -> Option<Property<'_>> {
    match rule.get("measurements")?.as_array()?.as_slice() {
        [one] => Property::read(one.as_str()?),
        _ => None,
    }
}
