//! The tracker of external dependencies (`infra/ops/vendors.toml`): who provides what, how to get
//! out, and when somebody looks at it again. Checked against what the tree uses.

mod uses;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::date::Date;

pub use uses::uses;

/// Days after its review date for which an entry is a warning; then it is a fault.
pub const OVERDUE_DAYS_MAX: i64 = 30;
/// Marks what no file of the tree names, so that nothing can be looked for.
const UNSEEN: &str = "service:";

/// An external dependency.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vendor {
    /// What it is.
    pub name: String,
    /// Who provides it.
    pub provider: String,
    /// On which terms.
    pub contract: String,
    /// How to do without it, and what that takes.
    pub exit: String,
    /// Licence of what is used.
    pub licence: String,
    /// What stops when it does.
    pub single_point: String,
    /// Who answers for it.
    pub owner: String,
    /// When it is looked at again.
    pub review: String,
    /// What of the tree it is, as [`uses`] names it; `service:` before what no file names.
    pub covers: Vec<String>,
}

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tracker {
    /// All of them.
    #[serde(rename = "vendor")]
    pub vendors: Vec<Vendor>,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It must be mended.
    Fault(String),
    /// It will be a fault.
    Warning(String),
}

impl Tracker {
    /// Reads a file's text.
    ///
    /// # Errors
    /// What is wrong, and where; a missing field is named.
    pub fn read(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|fault| fault.to_string())
    }

    /// Checks it on a day, against what the tree uses and in which file.
    pub fn check(&self, today: Date, used: &BTreeMap<String, String>) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut covered = BTreeSet::new();
        for vendor in &self.vendors {
            found.extend(vendor.empty().map(Finding::Fault));
            found.extend(vendor.review(today));
            for name in &vendor.covers {
                if !covered.insert(name.as_str()) {
                    found.push(Finding::Fault(format!("{name} is covered twice")));
                }
                if !name.starts_with(UNSEEN) && !used.contains_key(name) {
                    found.push(Finding::Fault(format!(
                        "{}: covers {name}, which the tree does not use; take it out",
                        vendor.name
                    )));
                }
            }
        }
        for (name, file) in used {
            if !covered.contains(name.as_str()) {
                found.push(Finding::Fault(format!(
                    "{file} uses {name}, which no entry of infra/ops/vendors.toml covers"
                )));
            }
        }
        found
    }
}

impl Vendor {
    fn empty(&self) -> impl Iterator<Item = String> {
        let fields = [
            ("name", &self.name),
            ("provider", &self.provider),
            ("contract", &self.contract),
            ("exit", &self.exit),
            ("licence", &self.licence),
            ("single_point", &self.single_point),
            ("owner", &self.owner),
        ];
        let empty = fields
            .into_iter()
            .filter(|(_, text)| text.trim().is_empty());
        empty.map(|(field, _)| format!("{}: {field} is empty", self.name))
    }

    fn review(&self, today: Date) -> Option<Finding> {
        let name = &self.name;
        let date: Date = match self.review.parse() {
            Ok(date) => date,
            Err(fault) => return Some(Finding::Fault(format!("{name}: review: {fault}"))),
        };
        let text = format!("{name}: its review was due on {date}; look at it and set the next");
        match today.days_since(date) {
            ..=0 => None,
            1..=OVERDUE_DAYS_MAX => Some(Finding::Warning(text)),
            _ => Some(Finding::Fault(text)),
        }
    }
}

#[cfg(test)]
#[path = "tracker_tests.rs"]
mod tests;
