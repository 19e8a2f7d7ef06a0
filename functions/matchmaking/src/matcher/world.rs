//! What a pass of the matcher goes by besides the tickets.

use wire::RegionName;

/// What the matcher knows of the world besides the tickets.
#[derive(Debug, Clone, PartialEq)]
pub struct World {
    /// Regions that have live relays; at most [`MAX_REGIONS`] are looked at.
    pub regions: Vec<Region>,
    /// Players of this mode who arrive in a minute; 0 when that is not known.
    pub arrivals_per_min: f64,
    /// How long tickets that were matched lately had waited, seconds.
    pub recent_waits_s: Vec<f64>,
    /// Most work of the pass: about so many tickets are looked at or placed before it ends.
    pub work: u64,
}

impl Default for World {
    /// No region, nothing known, and two seconds of a core.
    fn default() -> Self {
        Self {
            regions: Vec::new(),
            arrivals_per_min: 0.0,
            recent_waits_s: Vec::new(),
            work: WORK,
        }
    }
}

/// A region with live relays.
#[derive(Debug, Clone, PartialEq)]
pub struct Region {
    /// Its name, as tickets and rule sets call it.
    pub name: RegionName,
    /// How many players its relays can take besides those that they have.
    pub room: u32,
    /// How many of them one match may have: its voice is on one shard of one relay.
    pub room_of_one: u32,
}

impl Region {
    /// A region whose relay is one shard, which can take so many players more.
    pub fn of_one_shard(name: RegionName, room: u32) -> Self {
        Self {
            name,
            room,
            room_of_one: room,
        }
    }
}

/// Most regions of one world.
pub const MAX_REGIONS: usize = 64;

/// Work of a pass that has a core to itself.
const WORK: u64 = 8_000_000;
