//! What came of a pass of the matcher.

use wire::{PlayerId, RegionName, TicketId};

use crate::ticket::TicketFault;

/// Waiting tickets up to which candidates are counted exactly. Of more, at most about this many are
/// looked at for each, of very many fewer: three in four of them within the rating spread.
pub const EXACT: usize = 128;

/// What a pass found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// In the order in which they were formed.
    pub matches: Vec<Match>,
    /// Every other ticket that wants the mode, oldest first.
    pub waiting: Vec<Waiting>,
}

/// Players who shall play together.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// The ticket whose waiting time decided which limits hold.
    pub anchor: TicketId,
    /// Where its room shall be.
    pub region: RegionName,
    /// In the order of the rule set.
    pub teams: Vec<MatchTeam>,
    /// How good it is.
    pub quality: Quality,
}

/// A team of a match.
#[derive(Debug, Clone, PartialEq)]
pub struct MatchTeam {
    /// As the rule set calls it.
    pub name: String,
    /// The parties.
    pub tickets: Vec<TicketId>,
    /// All their players.
    pub players: Vec<PlayerId>,
}

/// How good a match is.
#[derive(Debug, Clone, PartialEq)]
pub struct Quality {
    /// Largest difference of two tickets' ratings.
    pub rating_spread: f64,
    /// Predicted probability that the better team wins, of the most unequal pair of teams.
    pub favourite: f64,
    /// Distance of the rating distributions of the least alike pair of teams.
    pub distribution: f64,
    /// Worst measured round-trip time to the region, milliseconds; `None` if somebody has none.
    pub latency_worst_ms: Option<u32>,
    /// A language that everybody speaks.
    pub language: Option<String>,
}

/// A ticket that was not matched, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// Which.
    pub ticket: TicketId,
    /// For how long, seconds.
    pub waited_s: u64,
    /// Why it can never be matched; then there is nothing in the fields below.
    pub fault: Option<TicketFault>,
    /// How many players the smallest match still needs besides the party.
    pub players_missing: u32,
    /// What blocks it, the most decisive rule first.
    pub blocked_by: Vec<String>,
    /// How many other tickets are left after each rule, in the order of checking.
    pub candidates: Vec<Remaining>,
    /// The next change of its limits.
    pub next_expansion: Option<NextExpansion>,
    /// Seconds until it is probably matched; `None` when nothing is known.
    pub estimate_s: Option<f64>,
}

/// How many candidates pass a rule and all those before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Remaining {
    /// Path of the rule in the rule set.
    pub rule: String,
    /// Tickets; exact in a pool of up to [`EXACT`] tickets, else estimated from a sample.
    pub tickets: u32,
}

/// When the limits of a ticket change next.
#[derive(Debug, Clone, PartialEq)]
pub struct NextExpansion {
    /// Seconds from now.
    pub in_s: u64,
    /// Paths of what changes; `max_wait_s` means that soft rules are dropped.
    pub paths: Vec<String>,
}
