//! What a decision goes by.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::outlook::Outlook;

/// A region's relays at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Now, Unix seconds.
    pub now_s: u64,
    /// Zones in which the group may launch; where there are several, one may be lost.
    pub zones: u32,
    /// Every machine of the group, by the id of its instance.
    pub relays: BTreeMap<String, Relay>,
    /// Whether the last thing that the group wanted to launch could not be.
    pub launches_fail: bool,
    /// Participants that are foretold.
    pub outlook: Outlook,
}

/// A machine, and the relay on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Relay {
    /// Its zone.
    pub zone: String,
    /// Participants, by its last heartbeat.
    pub participants: u32,
    /// How it is.
    pub state: State,
}

/// How a relay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The machine is there since then, and its relay was not heard yet.
    Starting {
        /// Unix seconds.
        since_s: u64,
    },
    /// It is heard, and takes people unless this or somebody else drains it.
    Serving,
    /// It is heard, and somebody else drains it: an operator, a deployment.
    Drained,
    /// It was heard, last then.
    Silent {
        /// Unix seconds.
        since_s: u64,
    },
}

/// What is kept from one decision to the next; whoever runs it keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// When more relays were wanted last.
    pub grew_s: Option<u64>,
    /// Since when fewer would do.
    pub lower_since_s: Option<u64>,
    /// When the last hung relay was given up.
    pub replaced_s: Option<u64>,
    /// What is drained, by the id of the instance.
    #[serde(default)]
    pub drains: BTreeMap<String, Drain>,
}

/// A drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// Since when, Unix seconds.
    pub since_s: u64,
    /// Why.
    pub why: DrainWhy,
}

/// Why a relay is drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DrainWhy {
    /// There are more than are needed.
    TooMany,
    /// It hangs, and another takes its place.
    Hung,
}

impl Seen {
    /// Participants of the region now, by the last heartbeat of each relay.
    pub fn participants(&self) -> u32 {
        let all = self.relays.values().map(|relay| relay.participants);
        all.fold(0, u32::saturating_add)
    }
}
