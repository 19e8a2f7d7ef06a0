//! Replays a week against a plan: squads come and go, talk or are silent, and what they need is
//! held against what was planned.

use std::collections::BTreeMap;

use super::{Demand, PACKETS_PER_S, Plan};
use crate::chance::Chance;
use crate::measured::PACKET_BYTES;

/// Players of a squad.
const SQUAD: f64 = 5.0;
/// How much an hour differs from the curve, as a share (one standard deviation): weather, other
/// games, luck.
const HOUR_SPREAD: f64 = 0.08;
/// The same for how much a squad talks.
const TALK_SPREAD: f64 = 0.5;

/// What came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Replay {
    /// Region-hours.
    pub hours: u32,
    /// Of them, those in which relays would have been over what they can do always.
    pub over: u32,
    /// Of them, those in which the headroom was touched.
    pub in_headroom: u32,
    /// Traffic of the week, GB, planned and used.
    pub gb: (f64, f64),
    /// Of the streams that planned relays take with headroom, what was used on average.
    pub used_share: f64,
}

/// Squads that come and go, and talk or are silent.
#[derive(Debug, Clone)]
pub(crate) struct Squads {
    chance: Chance,
    drift: f64,
}

impl Squads {
    pub(crate) fn new(chance: Chance) -> Self {
        let drift = 0.0;
        Self { chance, drift }
    }

    /// Streams at once in the next hour, when `online` players are expected.
    pub(crate) fn streams(&mut self, online: f64, demand: &Demand) -> f64 {
        // What moves one hour moves the next too.
        self.drift = 0.7 * self.drift + 0.714 * HOUR_SPREAD * self.chance.normal();
        let squads = (online * (1.0 + self.drift)).max(0.0) * demand.voice_share / SQUAD;
        // So many squads differ less than one of them.
        let talk = 1.0 + TALK_SPREAD / squads.max(1.0).sqrt() * self.chance.normal();
        squads * SQUAD * demand.streams * talk.max(0.0)
    }
}

/// Replays the hours of `plan` with a seed.
pub fn replay(plan: &Plan, demand: &Demand, seed: u64) -> Replay {
    let mut chance = Chance(seed);
    let mut found = Replay::default();
    let mut shares: BTreeMap<&str, f64> = BTreeMap::new();
    for (region, needs) in &plan.needs {
        let mut squads = Squads::new(chance);
        for need in needs {
            let streams = squads.streams(need.online, demand);
            let planned = f64::from(need.relays) * plan.streams_per_relay;
            let can = planned / (1.0 - demand.headroom);
            found.hours += 1;
            found.over += u32::from(streams > can);
            found.in_headroom += u32::from(streams > planned);
            let gb = |streams: f64| streams * PACKETS_PER_S * PACKET_BYTES as f64 * 3_600.0 / 1e9;
            found.gb.0 += gb(need.streams);
            found.gb.1 += gb(streams);
            *shares.entry(region).or_default() += streams / planned.max(1e-9);
        }
        chance = squads.chance;
    }
    found.used_share = shares.values().sum::<f64>() / f64::from(found.hours.max(1));
    found
}
