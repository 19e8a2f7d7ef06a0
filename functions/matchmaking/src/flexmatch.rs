//! Reading a FlexMatch-style rule set: what maps becomes a rule set of ours, the rest is listed.
//!
//! The result is a document, not only a [`RuleSet`], so that a designer can look at it, change it
//! and keep it. `RULES.md` has the table of what maps to what.

mod rule;

use serde_json::{Map, Value, json};
use wire::ModeName;

use crate::rules::{Fault, MAX_BYTES, RuleSet};

/// What FlexMatch keeps outside of the rule set.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// Which mode.
    pub mode: ModeName,
    /// Version of the new rule set.
    pub version: u32,
    /// As in the rule set, seconds.
    pub max_wait_s: u32,
}

/// What came of a FlexMatch rule set.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The rule set as JSON.
    pub document: Value,
    /// The same, read.
    pub rules: RuleSet,
    /// What has no counterpart, by its path in the FlexMatch document, and why.
    pub unmapped: Vec<Fault>,
}

/// Reads a FlexMatch-style rule set.
///
/// # Errors
/// When it is no JSON object, or what maps is no valid rule set; the paths are those of
/// [`Reading::document`] then.
pub fn read(text: &str, header: &Header) -> Result<Reading, Vec<Fault>> {
    let wrong = |message: String| {
        vec![Fault {
            path: "$".to_owned(),
            message,
        }]
    };
    if text.len() > MAX_BYTES {
        return Err(wrong(format!("longer than {MAX_BYTES} bytes")));
    }
    let source: Value =
        serde_json::from_str(text).map_err(|error| wrong(format!("not JSON: {error}")))?;
    let Some(source) = source.as_object() else {
        return Err(wrong("expected an object".to_owned()));
    };
    let mut mapping = Mapping::new(header);
    mapping.attributes(source);
    mapping.teams(source);
    for (index, rule) in list(source, "rules").iter().enumerate() {
        mapping.rule(rule, &format!("rules[{index}]"));
    }
    mapping.sort_rules(source);
    for (index, expansion) in list(source, "expansions").iter().enumerate() {
        mapping.expansion(expansion, &format!("expansions[{index}]"));
    }
    mapping.rest(source);
    let document = Value::Object(mapping.document);
    let rules = RuleSet::from_json(&document.to_string())?;
    Ok(Reading {
        document,
        rules,
        unmapped: mapping.unmapped,
    })
}

/// The work in progress.
struct Mapping {
    document: Map<String, Value>,
    unmapped: Vec<Fault>,
    /// For an expansion: `rules[NAME].field` of theirs, and the path of ours.
    targets: Vec<(String, String)>,
}

fn list<'a>(map: &'a Map<String, Value>, key: &str) -> &'a [Value] {
    map.get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

impl Mapping {
    fn new(header: &Header) -> Self {
        let document = json!({
            "mode": header.mode.as_str(), "version": header.version,
            "max_wait_s": header.max_wait_s,
            "attributes": {}, "teams": [], "rules": [], "expansions": [],
        });
        let Value::Object(document) = document else {
            unreachable!("it is written as an object above")
        };
        Self {
            document,
            unmapped: Vec::new(),
            targets: Vec::new(),
        }
    }

    fn unmapped(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.unmapped.push(Fault {
            path: path.into(),
            message: message.into(),
        });
    }

    /// Adds to one of the lists of the document.
    fn push(&mut self, key: &str, value: Value) -> usize {
        match self.document.get_mut(key).and_then(Value::as_array_mut) {
            Some(list) => {
                list.push(value);
                list.len() - 1
            }
            None => unreachable!("the document starts with its lists"),
        }
    }

    fn attributes(&mut self, source: &Map<String, Value>) {
        for (index, attribute) in list(source, "playerAttributes").iter().enumerate() {
            let path = format!("playerAttributes[{index}]");
            let kind = match text(attribute, "type") {
                "number" => "number",
                "string" => "text",
                "string_list" => "set",
                other => {
                    self.unmapped(path, format!("no attribute type is like {other:?}"));
                    continue;
                }
            };
            let mut mapped = json!({ "type": kind });
            if let Some(default) = attribute.get("default") {
                mapped["default"] = default.clone();
            }
            self.document["attributes"][text(attribute, "name")] = mapped;
        }
    }

    /// The type of an attribute that was mapped.
    fn kind_of(&self, attribute: &str) -> Option<&str> {
        self.document["attributes"]
            .get(attribute)?
            .get("type")?
            .as_str()
    }

    fn teams(&mut self, source: &Map<String, Value>) {
        for team in list(source, "teams") {
            let name = text(team, "name");
            let field = |key: &str| team.get(key).cloned().unwrap_or(Value::Null);
            let mut mapped = json!({
                "name": name,
                "players": { "min": field("minPlayers"), "max": field("maxPlayers") },
            });
            if let Some(quantity) = team.get("quantity") {
                mapped["count"] = quantity.clone();
            }
            let index = self.push("teams", mapped);
            for (theirs, ours) in [("minPlayers", "min"), ("maxPlayers", "max")] {
                let path = format!("teams[{index}].players.{ours}");
                self.targets.push((format!("teams[{name}].{theirs}"), path));
            }
        }
    }

    fn expansion(&mut self, expansion: &Value, path: &str) {
        let target = text(expansion, "target");
        let ours = self.targets.iter().find(|(theirs, _)| theirs == target);
        let Some((_, ours)) = ours.cloned() else {
            return self.unmapped(format!("{path}.target"), format!("{target} was not mapped"));
        };
        let steps = expansion.get("steps").and_then(Value::as_array);
        let step = |step: &Value| {
            json!({
                "after_s": step.get("waitTimeSeconds"), "value": step.get("value"),
            })
        };
        let steps: Vec<Value> = steps.into_iter().flatten().map(step).collect();
        self.push("expansions", json!({ "path": ours, "steps": steps }));
    }

    /// What is neither attribute, team, rule nor expansion.
    fn rest(&mut self, source: &Map<String, Value>) {
        const READ: [&str; 7] = [
            "name",
            "ruleLanguageVersion",
            "playerAttributes",
            "teams",
            "rules",
            "expansions",
            "algorithm",
        ];
        for key in source.keys().filter(|key| !READ.contains(&key.as_str())) {
            self.unmapped(
                key.clone(),
                "not a part of FlexMatch rule sets that is known here",
            );
        }
        let algorithm = source.get("algorithm").and_then(Value::as_object);
        for (key, value) in algorithm.into_iter().flatten() {
            let same = matches!(
                (key.as_str(), value.as_str()),
                ("strategy", Some("exhaustiveSearch"))
                    | ("expansionAgeSelection", Some("oldest"))
                    | ("backfillPriority", Some("normal"))
            );
            if !same {
                let message = format!("this matcher has one algorithm; {value} is not chosen");
                self.unmapped(format!("algorithm.{key}"), message);
            }
        }
    }
}
