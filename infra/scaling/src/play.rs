//! Plays a region's days minute by minute: people come and go, machines start, hang and are lost,
//! and the policy decides every few minutes with the forecast that it would have had.

pub mod chart;
mod days;
mod world;

use std::collections::BTreeMap;

use finops::calendar::{Calendar, Hour};

use crate::act::Act;
use crate::decide::decide;
use crate::need;
use crate::outlook::{Outlook, begins_s, hour_of};
use crate::policy::Policy;
use crate::seen::Memory;

pub use days::{Day, Days, Fault, all};
use world::World;

/// How often the policy decides.
const DECIDES_S: u64 = 300;
/// How often what is to come is foretold anew.
const FORETELLS_HOURS: Hour = 6;
/// How far it is foretold, hours.
const AHEAD_HOURS: u32 = 60;
/// The fleet has its size when what is counted begins.
const WARM_S: u64 = 2 * 3_600;

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Played {
    /// Most participants at once.
    pub peak: u32,
    /// Minutes of people who wanted to be in a call and found no relay.
    pub refused_minutes: u64,
    /// Most of them at once.
    pub refused_most: u32,
    /// Fewest and most relays that took people.
    pub relays: (u32, u32),
    /// Hours of machines.
    pub machine_hours: f64,
    /// The same, were there all the time what the busiest moment wants.
    pub at_peak_hours: f64,
    /// Machines launched.
    pub launched: u32,
    /// Relays drained for being too many, and taken back meanwhile.
    pub drained: (u32, u32),
    /// Relays given up for hanging.
    pub replaced: u32,
    /// People on machines that ended at the limit of a drain.
    pub moved_at_limit: u32,
    /// Least time between growing and the next drain for being too many, seconds.
    pub calm_s: Option<u64>,
    /// By quarter of an hour: most participants, and what relays that took people could carry.
    pub line: Vec<(u32, u32)>,
}

/// Plays `days` by `policy`.
pub fn play(days: &Days, policy: &Policy) -> Played {
    let mut playing = Playing::new(days, policy);
    let end_s = begins_s(days.from + Hour::from(days.hours));
    let mut now_s = begins_s(days.from) - WARM_S;
    while now_s < end_s {
        playing.minute(now_s);
        now_s += 60;
    }
    playing.played
}

struct Playing<'a> {
    days: &'a Days,
    policy: &'a Policy,
    world: World,
    memory: Memory,
    outlook: Outlook,
    history: BTreeMap<Hour, f64>,
    grew_s: Option<u64>,
    wanted_most: u32,
    played: Played,
}

impl<'a> Playing<'a> {
    fn new(days: &'a Days, policy: &'a Policy) -> Self {
        let before = days.from - WARM_S as Hour / 3_600;
        let history = days.history(before);
        let outlook = foretold(days, &history, before);
        let now_s = begins_s(before);
        let people = days.people(now_s);
        let floor = need::floor(&outlook, now_s, days.zones, policy);
        let count = need::wanted(people.into(), floor, days.zones, policy);
        let mut played = Played::default();
        played.relays.0 = u32::MAX;
        Self {
            days,
            policy,
            world: World::new(count, days.zones, now_s, policy.participants_per_relay),
            memory: Memory::default(),
            outlook,
            history,
            grew_s: None,
            wanted_most: 0,
            played,
        }
    }

    fn minute(&mut self, now_s: u64) {
        let (hour, days) = (hour_of(now_s), self.days);
        let is_new_hour = now_s.is_multiple_of(3_600);
        if is_new_hour && (hour - days.from).rem_euclid(FORETELLS_HOURS) == 0 {
            self.outlook = foretold(days, &self.history, hour);
        }
        self.world.suffer(now_s, &days.faults);
        let people = days.people(now_s);
        let refused = self.world.carry(now_s, people);
        let most = self.history.entry(hour).or_default();
        *most = most.max(people.into());
        let is_counted = now_s >= begins_s(days.from);
        if now_s.is_multiple_of(DECIDES_S) {
            self.decide(now_s, is_counted);
        }
        if is_counted {
            self.count(now_s, people, refused);
        }
    }

    fn decide(&mut self, now_s: u64, is_counted: bool) {
        let seen = self.world.seen(now_s, &self.outlook, &self.memory);
        let decision = decide(self.policy, &seen, &self.memory);
        self.memory = decision.memory;
        if is_counted {
            for act in &decision.acts {
                self.note(act, now_s);
            }
            let bare = need::carrying(seen.participants().into(), self.policy);
            let wanted = need::with_zone(bare, self.days.zones);
            self.wanted_most = self.wanted_most.max(wanted);
        }
        let launched = self.world.act(now_s, &decision.acts);
        if is_counted {
            self.played.launched += launched;
        }
    }

    fn note(&mut self, act: &Act, now_s: u64) {
        use crate::seen::DrainWhy::{Hung, TooMany};
        let played = &mut self.played;
        match act {
            Act::Grow { .. } => self.grew_s = Some(now_s),
            Act::Return { .. } => {
                self.grew_s = Some(now_s);
                played.drained.1 += 1;
            }
            Act::Drain { why: Hung, .. } => played.replaced += 1,
            Act::Drain { why: TooMany, .. } => {
                played.drained.0 += 1;
                if let Some(grew_s) = self.grew_s.take() {
                    let calm_s = now_s - grew_s;
                    played.calm_s = Some(played.calm_s.map_or(calm_s, |it| it.min(calm_s)));
                }
            }
            Act::End { id, .. } => played.moved_at_limit += self.world.people_on(id),
        }
    }

    fn count(&mut self, now_s: u64, people: u32, refused: u32) {
        let relays = self.world.taking(now_s);
        let played = &mut self.played;
        played.peak = played.peak.max(people);
        played.refused_minutes += u64::from(refused);
        played.refused_most = played.refused_most.max(refused);
        played.relays = (played.relays.0.min(relays), played.relays.1.max(relays));
        played.machine_hours += f64::from(self.world.machines()) / 60.0;
        played.at_peak_hours = f64::from(self.wanted_most) * f64::from(self.days.hours);
        let can = relays * self.policy.participants_per_relay;
        if now_s.is_multiple_of(900) {
            played.line.push((people, can));
        } else if let Some(last) = played.line.last_mut() {
            *last = (last.0.max(people), last.1.min(can));
        }
    }
}

fn foretold(days: &Days, history: &BTreeMap<Hour, f64>, from: Hour) -> Outlook {
    let known = Calendar {
        events: days.calendar.clone(),
    };
    Outlook::new(history, &known, days::REGION, from, AHEAD_HOURS)
}

#[cfg(test)]
#[path = "play_tests.rs"]
mod tests;
