//! The decision.

use std::collections::{BTreeMap, BTreeSet};

use crate::act::{Act, Decision, EndsBecause, Note, Why};
use crate::need;
use crate::policy::Policy;
use crate::seen::{Drain, DrainWhy, Memory, Relay, Seen, State};
use crate::victims;

/// What is wanted of a region's relays now.
///
/// What it promises, and its tests hold it to:
/// 1. `wanted` is never below the floor nor above the limit, and `desired` never above the limit.
/// 2. With more participants, all else alike, `wanted` is never lower.
/// 3. No relay is drained for being one too many within the cool-down after growing, so a demand
///    that swings within the band moves nothing.
/// 4. A drained relay with people on it is not ended before the limit of a drain.
/// 5. While launches fail nothing that takes people is taken away.
pub fn decide(policy: &Policy, seen: &Seen, memory: &Memory) -> Decision {
    let mut deciding = Deciding::new(policy, seen, memory);
    deciding.replace_hung();
    deciding.size();
    deciding.end_drained();
    deciding.done()
}

struct Deciding<'a> {
    policy: &'a Policy,
    seen: &'a Seen,
    memory: Memory,
    /// Hung by the time that they were unheard, and not too many to be.
    hung: BTreeSet<&'a str>,
    /// Those that were drained before this decision.
    drained: BTreeSet<&'a str>,
    floor: u32,
    wanted: u32,
    acts: Vec<Act>,
    notes: BTreeSet<Note>,
}

impl<'a> Deciding<'a> {
    fn new(policy: &'a Policy, seen: &'a Seen, memory: &Memory) -> Self {
        let mut memory = memory.clone();
        memory.drains.retain(|id, _| seen.relays.contains_key(id));
        let drains = memory.drains.clone();
        let keys = seen.relays.keys().map(String::as_str);
        let mut deciding = Self {
            policy,
            seen,
            memory,
            hung: BTreeSet::new(),
            drained: keys.filter(|id| drains.contains_key(*id)).collect(),
            floor: need::floor(&seen.outlook, seen.now_s, seen.zones, policy),
            wanted: 0,
            acts: Vec::new(),
            notes: BTreeSet::new(),
        };
        if seen.launches_fail {
            deciding.notes.insert(Note::LaunchesFail);
        }
        if !seen.outlook.is_foretold {
            deciding.notes.insert(Note::NoForecast);
        }
        deciding.find_hung();
        deciding
    }

    fn find_hung(&mut self) {
        let (policy, now_s) = (self.policy, self.seen.now_s);
        let is_hung = |relay: &Relay| match relay.state {
            State::Silent { since_s } => now_s.saturating_sub(since_s) >= policy.silent_s,
            State::Starting { since_s } => now_s.saturating_sub(since_s) >= policy.start_limit_s,
            State::Serving | State::Drained => false,
        };
        let relays = self.seen.relays.iter();
        let hung = relays.filter(|(_, relay)| is_hung(relay));
        self.hung = hung.map(|(id, _)| id.as_str()).collect();
        // Machines that never came up say nothing of whoever looks.
        let was_heard = |id: &&&str| matches!(self.seen.relays[**id].state, State::Silent { .. });
        let unheard = self.hung.iter().filter(was_heard).count();
        let most = (policy.silent_share * self.seen.relays.len() as f64).max(1.0);
        if unheard as f64 > most {
            self.hung.clear();
            self.notes.insert(Note::TooManySilent);
        }
    }

    /// One at a time: what hangs is given up, and is one that does not take people.
    fn replace_hung(&mut self) {
        let now_s = self.seen.now_s;
        let is_rested = |at: u64| now_s.saturating_sub(at) >= self.policy.replace_every_s;
        if !self.memory.replaced_s.is_none_or(is_rested) {
            return;
        }
        let drains = &self.memory.drains;
        let mut fresh = self.hung.iter().filter(|id| !drains.contains_key(**id));
        if let Some(id) = fresh.next().copied() {
            self.memory.replaced_s = Some(now_s);
            self.drain(id, DrainWhy::Hung);
        }
    }

    fn drain(&mut self, id: &str, why: DrainWhy) {
        let since_s = self.seen.now_s;
        self.memory
            .drains
            .insert(id.to_owned(), Drain { since_s, why });
        let id = id.to_owned();
        self.acts.push(Act::Drain { id, why });
    }

    /// Those that take people, or will once they have started.
    fn taking(&self) -> BTreeMap<&'a str, &'a Relay> {
        let takes = |(id, relay): &(&String, &Relay)| {
            !self.memory.drains.contains_key(*id) && relay.state != State::Drained
        };
        let relays = self.seen.relays.iter().filter(takes);
        relays.map(|(id, relay)| (id.as_str(), relay)).collect()
    }

    fn size(&mut self) {
        let (policy, seen) = (self.policy, self.seen);
        let until_s = seen.now_s.saturating_add(policy.lead_s);
        let foretold = seen.outlook.peak(seen.now_s, until_s).unwrap_or(0.0);
        let people = f64::from(seen.participants()).max(foretold);
        let needed = |people: f64| need::wanted(people, self.floor, seen.zones, policy);
        let (wanted, enough) = (needed(people), needed(people * (1.0 + policy.band)));
        let here = self.taking().len() as u32;
        self.wanted = wanted.max(here.min(policy.most));
        let unbounded = need::with_zone(need::carrying(people, policy), seen.zones);
        if unbounded > policy.most {
            self.notes.insert(Note::AtLimit);
        }
        if wanted > here {
            self.grow(wanted, here);
        } else if enough < here {
            let lower_since_s = *self.memory.lower_since_s.get_or_insert(seen.now_s);
            self.shrink(enough, here, lower_since_s);
        } else {
            self.memory.lower_since_s = None;
        }
    }

    fn grow(&mut self, wanted: u32, here: u32) {
        let seen = self.seen;
        self.memory.grew_s = Some(seen.now_s);
        self.memory.lower_since_s = None;
        let returned = self.give_back(wanted - here);
        let (here, machines) = (here + returned, seen.relays.len() as u32);
        let missing = (wanted - here).min(self.policy.launches);
        let to = machines.saturating_add(missing).min(self.policy.most);
        if to <= machines {
            if wanted > here {
                self.notes.insert(Note::AtLimit);
            }
            return;
        }
        let mut drains = self.memory.drains.values();
        let why = if drains.any(|drain| drain.why == DrainWhy::Hung) {
            Why::Lost
        } else if wanted <= self.floor {
            Why::Floor
        } else {
            Why::Demand
        };
        self.acts.push(Act::Grow { to, why });
    }

    /// Drained ones that were too many take people again, the last drained first: they have most.
    fn give_back(&mut self, count: u32) -> u32 {
        let is_well = |id: &str| self.seen.relays[id].state == State::Serving;
        let drains = self.memory.drains.iter();
        let mut back: Vec<(u64, String)> = drains
            .filter(|(id, drain)| drain.why == DrainWhy::TooMany && is_well(id))
            .map(|(id, drain)| (drain.since_s, id.clone()))
            .collect();
        back.sort_by(|a, b| b.cmp(a));
        back.truncate(count as usize);
        for (_, id) in &back {
            self.memory.drains.remove(id);
            self.drained.remove(id.as_str());
            self.acts.push(Act::Return { id: id.clone() });
        }
        back.len() as u32
    }

    fn shrink(&mut self, enough: u32, here: u32, lower_since_s: u64) {
        let (policy, seen) = (self.policy, self.seen);
        let rested = |since_s: u64, least_s: u64| seen.now_s.saturating_sub(since_s) >= least_s;
        let is_steady = rested(lower_since_s, policy.steady_s);
        let grew_s = self.memory.grew_s;
        let is_cool = grew_s.is_none_or(|grew_s| rested(grew_s, policy.cool_down_s));
        let may_shrink = seen.outlook.is_foretold && !seen.launches_fail && self.hung.is_empty();
        if !(is_steady && is_cool && may_shrink) {
            return;
        }
        let at_once = (policy.drains_share * f64::from(here)).floor().max(1.0) as u32;
        let drains = self.memory.drains.values();
        let under_way = drains
            .filter(|drain| drain.why == DrainWhy::TooMany)
            .count() as u32;
        let count = (here - enough).min(at_once.saturating_sub(under_way));
        for id in victims::choose(&self.taking(), count) {
            self.drain(id, DrainWhy::TooMany);
        }
        self.wanted = (here - count).min(policy.most);
    }

    fn end_drained(&mut self) {
        let (policy, seen) = (self.policy, self.seen);
        for id in &self.drained {
            let Some(drain) = self.memory.drains.get(*id) else {
                continue;
            };
            let is_over = seen.now_s.saturating_sub(drain.since_s) >= policy.drain_limit_s;
            let why = match seen.relays[*id].participants {
                0 => EndsBecause::Empty,
                // A relay that hangs for the edge may carry calls, and nothing can replace it.
                _ if is_over && !seen.launches_fail => EndsBecause::Limit,
                _ => continue,
            };
            let id = (*id).to_owned();
            // Which of them the group can be smaller by is known when all is.
            let shrinks = true;
            self.acts.push(Act::End { id, why, shrinks });
        }
    }

    fn done(mut self) -> Decision {
        let order = |act: &Act| match act {
            Act::Return { .. } => 0,
            Act::Grow { .. } => 1,
            Act::Drain { .. } => 2,
            Act::End { .. } => 3,
        };
        self.acts.sort_by_key(order);
        let grown = self.acts.iter().find_map(|act| match act {
            Act::Grow { to, .. } => Some(*to),
            _ => None,
        });
        let mut machines = grown.unwrap_or(self.seen.relays.len() as u32);
        for act in &mut self.acts {
            if let Act::End { shrinks, .. } = act {
                *shrinks = machines > self.floor;
                machines -= u32::from(*shrinks);
            }
        }
        Decision {
            wanted: self.wanted,
            floor: self.floor,
            desired: machines.min(self.policy.most),
            acts: self.acts,
            notes: self.notes.into_iter().collect(),
            memory: self.memory,
        }
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
