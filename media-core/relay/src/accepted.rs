//! What became of the connections that came to a door.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::doors::{Door, DoorLimits};
use crate::outcome::Outcome;

/// A door, and what a relay has counted of the connections that came there.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) door: Arc<Door>,
    outcomes: [AtomicU64; Outcome::COUNT],
}

impl Accepted {
    pub(crate) fn new(limits: DoorLimits) -> Self {
        Self {
            door: Door::new(limits),
            outcomes: Default::default(),
        }
    }

    pub(crate) fn count(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn note(&self, outcome: Outcome) {
        self.outcomes[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }
}
