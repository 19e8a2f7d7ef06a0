//! How far the service can be driven: what a search draws from, and what it asks for. Whoever mends
//! a fault of `tests/fleet-open-faults.rs` widens it here, and the search covers it from then on.

use std::time::Duration;

/// The faults that a run may bring about, and what must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Longest time for which a process is frozen, milliseconds.
    pub freeze_max_ms: u64,
    /// Longest time for which store or edge is gone, milliseconds.
    pub outage_max_ms: u64,
    /// Longest time for which the store is slow or loses calls, milliseconds.
    pub trouble_max_ms: u64,
    /// Whether a drain is taken back before it is over.
    pub undrains: bool,
    /// What a relay's clock may be wrong by, milliseconds, either way.
    pub relay_ahead_max_ms: i64,
    /// By how much the edge's clock is set forth, milliseconds.
    pub edge_forth_max_ms: i64,
    /// By how much it is set back.
    pub edge_back_max_ms: i64,
    /// Who loses his relay while all else is well is back within this; none where that is not
    /// asked for.
    pub failover_max: Option<Duration>,
}

impl Reach {
    /// What holds today.
    pub const TODAY: Self = Self {
        // Those who were not asked follow; in bad weather not all of them do in time (seed 100065).
        undrains: false,
        // Beyond this relays refuse the edge's questions until they follow its clock, with their
        // next heartbeat: whoever joins before moves his room. Beyond ten minutes it has forgotten
        // them, and keeps for none what it is to be told.
        edge_forth_max_ms: 25_000,
        // What is ordered then counts as older than who came before.
        edge_back_max_ms: 0,
        ..Self::AIM
    };

    /// What issue 20 asks for.
    pub const AIM: Self = Self {
        freeze_max_ms: 20_000,
        outage_max_ms: 60_000,
        trouble_max_ms: 20_000,
        undrains: true,
        relay_ahead_max_ms: 3_600_000,
        edge_forth_max_ms: 3_600_000,
        edge_back_max_ms: 3_600_000,
        // The worst of thousands; of a hundred, 99 are to be back within four seconds.
        failover_max: Some(Duration::from_millis(4_500)),
    };
}
