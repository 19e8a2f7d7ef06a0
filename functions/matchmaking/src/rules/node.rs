//! A JSON value that knows its path, and the list of faults that reading it leaves.

use std::fmt;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

/// Most faults that one reading reports.
const MAX_FAULTS: usize = 50;
/// Longest name or text in a rule set, bytes.
const MAX_TEXT: usize = 64;

/// One mistake in a rule set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where: `teams[1].players`.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl std::error::Error for Fault {}

pub(super) fn fault(path: impl Into<String>, message: impl Into<String>) -> Fault {
    Fault {
        path: path.into(),
        message: message.into(),
    }
}

/// A value and where it stands.
#[derive(Clone)]
pub(super) struct Node<'a> {
    pub(super) value: &'a Value,
    pub(super) path: String,
}

/// Collects faults, so that a designer sees all of them at once.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) faults: Vec<Fault>,
}

impl Reader {
    pub(super) fn fault(&mut self, path: impl Into<String>, message: impl Into<String>) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(fault(path, message));
        }
    }

    /// The node as an object that has no other fields than `known`.
    pub(super) fn object<'a>(
        &mut self,
        node: &Node<'a>,
        known: &[&str],
    ) -> Option<&'a Map<String, Value>> {
        let Some(map) = node.value.as_object() else {
            self.fault(
                &*node.path,
                format!("expected an object, found {}", kind(node.value)),
            );
            return None;
        };
        for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
            let message = format!("unknown field; known are {}", known.join(", "));
            self.fault(join(&node.path, key), message);
        }
        Some(map)
    }

    /// The items of a list with at most `max`.
    pub(super) fn list<'a>(&mut self, node: &Node<'a>, max: usize) -> Vec<Node<'a>> {
        let Some(items) = node.value.as_array() else {
            self.fault(
                &*node.path,
                format!("expected a list, found {}", kind(node.value)),
            );
            return Vec::new();
        };
        if items.len() > max {
            self.fault(
                &*node.path,
                format!("at most {max} entries, found {}", items.len()),
            );
        }
        let item = |(index, value): (usize, &'a Value)| Node {
            value,
            path: format!("{}[{index}]", node.path),
        };
        items.iter().take(max).enumerate().map(item).collect()
    }

    /// A field that may be absent.
    pub(super) fn optional<'a>(&mut self, node: &Node<'a>, key: &str) -> Option<Node<'a>> {
        let value = node.value.as_object()?.get(key)?;
        Some(Node {
            value,
            path: join(&node.path, key),
        })
    }

    /// A field that must be there; its absence is a fault, unless `node` is no object anyway.
    pub(super) fn required<'a>(&mut self, node: &Node<'a>, key: &str) -> Option<Node<'a>> {
        let found = self.optional(node, key);
        if found.is_none() && node.value.is_object() {
            self.fault(join(&node.path, key), "missing");
        }
        found
    }

    pub(super) fn number(&mut self, node: &Node, range: RangeInclusive<f64>) -> Option<f64> {
        let number = node.value.as_f64();
        if number.is_some_and(|number| range.contains(&number)) {
            return number;
        }
        let (low, high) = range.into_inner();
        let wanted = match (low == f64::MIN, high == f64::MAX) {
            (true, true) => "a number".to_owned(),
            (false, true) => format!("a number, at least {low}"),
            (_, false) => format!("a number from {low} to {high}"),
        };
        self.fault(
            &*node.path,
            format!("expected {wanted}, found {}", shown(node.value)),
        );
        None
    }

    pub(super) fn integer(&mut self, node: &Node, range: RangeInclusive<u32>) -> Option<u32> {
        let number = node.value.as_u64().and_then(|n| u32::try_from(n).ok());
        if let Some(number) = number.filter(|number| range.contains(number)) {
            return Some(number);
        }
        let (low, high) = range.into_inner();
        let message = format!(
            "expected a whole number from {low} to {high}, found {}",
            shown(node.value)
        );
        self.fault(&*node.path, message);
        None
    }

    pub(super) fn text<'a>(&mut self, node: &Node<'a>) -> Option<&'a str> {
        let text = node.value.as_str();
        if text.is_some_and(|text| !text.is_empty() && text.len() <= MAX_TEXT) {
            return text;
        }
        let message = format!(
            "expected a text of 1 to {MAX_TEXT} bytes, found {}",
            shown(node.value)
        );
        self.fault(&*node.path, message);
        None
    }

    /// One of the `known` texts.
    pub(super) fn choice<'a>(&mut self, node: &Node<'a>, known: &[&str]) -> Option<&'a str> {
        let text = node.value.as_str().filter(|text| known.contains(text));
        if text.is_none() {
            let message = format!(
                "expected one of {}, found {}",
                known.join(", "),
                shown(node.value)
            );
            self.fault(&*node.path, message);
        }
        text
    }

    pub(super) fn flag(&mut self, node: &Node) -> bool {
        node.value.as_bool().unwrap_or_else(|| {
            self.fault(
                &*node.path,
                format!("expected true or false, found {}", shown(node.value)),
            );
            false
        })
    }
}

pub(super) fn join(path: &str, key: &str) -> String {
    let key: String = key.chars().take(MAX_TEXT).collect();
    if path == "$" {
        key
    } else {
        format!("{path}.{key}")
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A scalar as it stands, anything else by its kind.
fn shown(value: &Value) -> String {
    match value {
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) if text.len() <= MAX_TEXT => value.to_string(),
        _ => kind(value).to_owned(),
    }
}
