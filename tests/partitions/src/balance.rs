//! How evenly rooms are spread over a thousand shards, by the real placement.

use edge::directory::{self, GROWS_AFTER_MS};
use edge::ports::{Entropy, Timer};
use edge::testing::MemoryStore;
use edge::testing::host::{NOW_MS, any_terms};
use edge::testing::schedule::{Chance, block_on};

use crate::game::{REGION, heartbeat};

/// Shards.
pub const SHARDS: usize = 1_000;
/// New rooms in a second, and seconds.
const ROOMS_PER_S: u64 = 500;
/// A heartbeat comes every so many milliseconds.
const HEARTBEAT_MS: u64 = 2_000;

struct Host(Chance);

impl Entropy for Host {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill_with(|| self.0.next() as u8);
    }
}

impl Timer for Host {
    async fn sleep(&self, _ms: u64) {}
}

/// How rooms of 2 to 8 players, all of whom come, are spread after so many of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Players of the fullest shard over the mean.
    pub fullest: f64,
    /// The standard deviation over the mean.
    pub deviation: f64,
}

/// Places so many rooms, of which a shard tells at its next heartbeat, on shards that beat at times
/// of their own; `sees_all` is a region of one bucket, whose shards are all looked at.
///
/// # Panics
/// When a room is not placed.
pub fn spread(seed: u64, rooms: u64, sees_all: bool) -> Spread {
    let (store, host) = (MemoryStore::default(), Host(Chance::new(seed)));
    let beat = |number: usize, at_ms: u64, players: u32| {
        let heartbeat = heartbeat(number, at_ms, players);
        let beat = directory::record_heartbeat(&host, &store, at_ms, &heartbeat, &any_terms);
        block_on(beat).expect("it is taken");
    };
    (0..SHARDS).for_each(|number| beat(number, NOW_MS, 0));
    let begin_ms = match sees_all {
        true => NOW_MS + 1,
        false => NOW_MS + GROWS_AFTER_MS,
    };
    (0..SHARDS).for_each(|number| beat(number, begin_ms, 0));
    let mut players = vec![0_u32; SHARDS];
    let region = REGION.parse().expect("a name");
    let (mut beaten_ms, mut next) = (begin_ms, 0);
    for room in 0..rooms {
        let now_ms = begin_ms + 1 + room * 1_000 / ROOMS_PER_S;
        while beaten_ms < now_ms {
            beaten_ms += HEARTBEAT_MS / SHARDS as u64;
            beat(next, beaten_ms, players[next]);
            next = (next + 1) % SHARDS;
        }
        let name = format!("room-{room}").parse().expect("a name");
        let placed = directory::home_of(&host, &store, now_ms, &name, &region, &directory::Hearsay);
        let shard = block_on(placed)
            .expect("there is room")
            .placement
            .home
            .shard;
        let number: usize = shard.as_str()[REGION.len() + 1..]
            .parse()
            .expect("shards are numbered");
        players[number] += 2 + host.0.below(7) as u32;
    }
    let mean = f64::from(players.iter().sum::<u32>()) / SHARDS as f64;
    let square = |players: &u32| (f64::from(*players) - mean).powi(2);
    let variance = players.iter().map(square).sum::<f64>() / SHARDS as f64;
    let fullest = players.iter().copied().max().unwrap_or(0);
    Spread {
        fullest: f64::from(fullest) / mean,
        deviation: variance.sqrt() / mean,
    }
}
