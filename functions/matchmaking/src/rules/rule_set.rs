//! A rule set as it was read: valid, and with its expansions worked out.

use std::collections::BTreeMap;

use wire::{ModeName, RegionName};

use crate::attribute::Attribute;

/// Most players of one match.
pub const MAX_PLAYERS: u32 = 200;
/// Largest rule set, bytes of JSON.
pub const MAX_BYTES: usize = 64 * 1024;
/// Most requirements of one rule set.
pub const MAX_RULES: usize = 32;
/// Most attributes of one rule set.
pub const MAX_ATTRIBUTES: usize = 32;
/// Most expansions of one rule set, and most steps of one.
pub const MAX_EXPANSIONS: usize = 16;
/// Longest wait that a rule set may name, seconds.
pub const MAX_SECONDS: u32 = 86_400;

/// The rules of one mode.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleSet {
    /// Which mode.
    pub mode: ModeName,
    /// Grows with every change; a match can name the version that formed it.
    pub version: u32,
    /// Attributes of players that requirements look at.
    pub attributes: BTreeMap<String, Attribute>,
    /// What a party may be like.
    pub party: PartyLimits,
    /// Seconds of waiting after which soft rules do not apply any more.
    pub max_wait_s: u32,
    /// How a match is accepted; for the shell.
    pub acceptance_timeout_s: Option<u32>,
    /// Seconds after its start during which a match takes new players; for the shell.
    pub backfill_until_s: Option<u32>,
    /// By `from_s`, the first at 0; the one of `max_wait_s` and those after it have no soft rules.
    pub(crate) stages: Vec<Stage>,
}

/// What a party may be like.
#[derive(Debug, Clone, PartialEq)]
pub struct PartyLimits {
    /// Fewest players.
    pub min: u32,
    /// Most players.
    pub max: u32,
    /// Largest difference of two members' mu.
    pub rating_spread: Option<f64>,
}

/// The limits that hold from some waiting time on.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// Seconds of waiting from which it holds.
    pub from_s: u32,
    /// Paths of what differs from the stage before.
    pub changes: Vec<String>,
    /// The limits.
    pub limits: Limits,
}

/// Everything that waiting may change.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// The teams, `count` spelled out.
    pub teams: Vec<Team>,
    /// Largest difference of two tickets' ratings (the mean mu of a party).
    pub rating_spread: Option<f64>,
    /// See [`crate::ratings::DEFAULT_BETA`].
    pub beta: f64,
    /// How equal the teams are.
    pub balance: Balance,
    /// How far the players may be from the match's region.
    pub latency: Option<LatencyCap>,
    /// The other requirements; a dropped one is `None`, so that an index means the same rule at
    /// every stage.
    pub rules: Vec<Option<Rule>>,
}

/// A team of a match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Team {
    /// What it is called.
    pub name: String,
    /// Fewest players.
    pub min: u32,
    /// Most players.
    pub max: u32,
}

/// How equal teams must be; each limit holds for every pair of teams.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Balance {
    /// Largest predicted probability that the better team wins, 0.5 to 1.
    pub favourite: Option<f64>,
    /// Largest distance between the teams' rating distributions (mean distance of quantiles).
    pub distribution: Option<f64>,
}

/// Largest round-trip time to the match's region, milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct LatencyCap {
    /// Everywhere but in `regions`.
    pub max_ms: u32,
    /// Regions with a cap of their own.
    pub regions: BTreeMap<RegionName, u32>,
}

impl LatencyCap {
    /// The cap of one region.
    pub fn of(&self, region: &RegionName) -> u32 {
        self.regions.get(region).copied().unwrap_or(self.max_ms)
    }
}

/// A requirement on attributes.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// How people and [`crate::matcher::Waiting`] call it: `rules[i]`, with its name if it has one.
    pub name: String,
    /// Of what group of players it speaks.
    pub per: Scope,
    /// Whose attribute.
    pub attribute: String,
    /// What is required of it.
    pub requirement: Requirement,
}

/// Whether a requirement holds among the players of a team or of the whole match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Of each team by itself.
    Team,
    /// Of all players.
    Match,
}

/// What is required of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Requirement {
    /// Largest minus smallest number is at most this.
    Difference(f64),
    /// Every number is at least this.
    Minimum(f64),
    /// Every number is at most this.
    Maximum(f64),
    /// All texts are the same.
    Equal,
    /// No two texts are the same.
    Different,
    /// All sets have at least this many elements in common.
    Overlap(u32),
    /// So many players have this text, or a set with it.
    Count {
        /// The text.
        value: String,
        /// Fewest.
        min: u32,
        /// Most.
        max: Option<u32>,
        /// Whether the attribute is a text, so that a player counts for one value only.
        exclusive: bool,
    },
    /// Each team's mean is at most this far from the mean of the match.
    Average(f64),
}

impl RuleSet {
    /// What holds for a match that is formed around a ticket which waited so long.
    pub fn limits_at(&self, waited_s: u64) -> &Limits {
        &self.stages[self.stage_index(waited_s)].limits
    }

    /// The stage that comes next: when, and what changes.
    pub fn next_stage(&self, waited_s: u64) -> Option<&Stage> {
        self.stages.get(self.stage_index(waited_s) + 1)
    }

    /// Every stage, by time.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// Whether soft rules are dropped by now.
    pub fn is_overdue(&self, waited_s: u64) -> bool {
        waited_s >= u64::from(self.max_wait_s)
    }

    /// The index of the stage that holds.
    pub(crate) fn stage_index(&self, waited_s: u64) -> usize {
        let begun = |stage: &Stage| u64::from(stage.from_s) <= waited_s;
        self.stages.partition_point(begun) - 1
    }
}

impl Limits {
    /// Fewest players of a match.
    pub fn players_min(&self) -> u32 {
        self.teams.iter().map(|team| team.min).sum()
    }

    /// Most players of a match.
    pub fn players_max(&self) -> u32 {
        self.teams.iter().map(|team| team.max).sum()
    }
}
