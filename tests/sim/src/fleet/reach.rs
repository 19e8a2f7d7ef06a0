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
    /// Least time from one of these to the next, milliseconds.
    pub rest_min_ms: u64,
    /// Whether a drain is taken back before it is over.
    pub undrains: bool,
    /// Whether clocks go back.
    pub steps_back: bool,
    /// What a clock may be wrong by, milliseconds.
    pub ahead_max_ms: i64,
    /// Who loses his relay while all else is well is back within this; none where that is not
    /// asked for.
    pub failover_max: Option<Duration>,
}

impl Reach {
    /// What holds today.
    pub const TODAY: Self = Self {
        // Rooms leave a shard that was silent for ten seconds, and it would keep whom it has.
        freeze_max_ms: 5_000,
        // After ten seconds of silence healthy shards lose their rooms.
        outage_max_ms: 5_000,
        trouble_max_ms: 5_000,
        rest_min_ms: 12_000,
        // Who has moved has moved, and who was not asked stays.
        undrains: false,
        steps_back: false,
        ahead_max_ms: 3_000,
        failover_max: None,
    };

    /// What issue 20 asks for.
    pub const AIM: Self = Self {
        freeze_max_ms: 20_000,
        outage_max_ms: 60_000,
        trouble_max_ms: 20_000,
        rest_min_ms: 0,
        undrains: true,
        steps_back: true,
        ahead_max_ms: 3_600_000,
        failover_max: Some(Duration::from_secs(4)),
    };
}
