//! What became of the connections that the acceptor took.

use std::sync::atomic::{AtomicU64, Ordering};

/// What became of a connection. Also the metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Handed to a shard.
    Taken,
    /// Too many strangers.
    Busy,
    /// Too many strangers of its source.
    BusySource,
    /// No ticket in time.
    Late,
    /// It was closed, or broke.
    Closed,
    /// What came was no framed binding request.
    NotStun,
    /// No shard of this relay has sealed its ticket.
    Ticket,
    /// The shard takes no more orders.
    Shard,
}

impl Outcome {
    pub(crate) const ALL: [Self; 8] = [
        Self::Taken,
        Self::Busy,
        Self::BusySource,
        Self::Late,
        Self::Closed,
        Self::NotStun,
        Self::Ticket,
        Self::Shard,
    ];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Busy => "busy",
            Self::BusySource => "busy-source",
            Self::Late => "late",
            Self::Closed => "closed",
            Self::NotStun => "not-stun",
            Self::Ticket => "ticket",
            Self::Shard => "shard",
        }
    }
}

/// What a relay has counted of its connections.
#[derive(Debug, Default)]
pub(crate) struct AcceptStats {
    outcomes: [AtomicU64; Outcome::ALL.len()],
    /// Connections without proof at this moment.
    pub(crate) strangers: AtomicU64,
}

impl AcceptStats {
    pub(crate) fn count(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn note(&self, outcome: Outcome) {
        self.outcomes[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }
}
