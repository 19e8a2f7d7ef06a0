//! Rule sets: what a match of a mode must be like, as data.
//!
//! A rule set is read once ([`RuleSet::from_json`]) and is valid afterwards. Expansions are worked
//! out at that time: the limits at any waiting time are one of a few [`Stage`]s, each of which
//! was validated as a whole rule set. `RULES.md` is the reference.

mod keep;
mod node;
mod read;
mod rule_set;
mod stages;

pub use node::Fault;
pub use rule_set::{
    Balance, LatencyCap, Limits, MAX_ATTRIBUTES, MAX_BYTES, MAX_EXPANSIONS, MAX_PLAYERS, MAX_RULES,
    MAX_SECONDS, PartyLimits, Requirement, Rule, RuleSet, Scope, Stage, Team,
};

impl RuleSet {
    /// Reads a rule set.
    ///
    /// # Errors
    /// Everything that is wrong with it, never an empty list.
    pub fn from_json(text: &str) -> Result<Self, Vec<Fault>> {
        if text.len() > MAX_BYTES {
            return Err(vec![node::fault(
                "$",
                format!("longer than {MAX_BYTES} bytes"),
            )]);
        }
        match serde_json::from_str(text) {
            Ok(document) => stages::rule_set(&document),
            Err(error) => Err(vec![node::fault("$", format!("not JSON: {error}"))]),
        }
    }
}
