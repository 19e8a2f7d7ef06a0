//! A pass: every ticket that is free has its turn as the anchor of a match.

use super::index::{Index, Wanted};
use super::outcome::Match;
use super::place::{best, describe, regions_of};
use super::pool::{Entry, Pool, draw};
use super::search::{Failure, search};
use crate::rules::RuleSet;

/// Which part of it is kept for tickets whose turn comes late: one in so many.
const WORK_LATE: u64 = 4;
/// Steps of search that one pass gives to all its overdue tickets together.
const OVERDUE_STEPS: usize = 200_000;
/// Most steps of one overdue ticket in one region.
const OVERDUE_STEPS_EACH: usize = 20_000;
/// Candidates that are looked at for an anchor, per player of a full match.
const WINDOW_PER_PLAYER: usize = 4;
/// The least of them.
const WINDOW_MIN: usize = 48;
/// How many times more an overdue anchor looks at.
const OVERDUE_WINDOW: usize = 4;

/// The state of a pass.
pub(super) struct Pass<'a> {
    pool: &'a Pool<'a>,
    rules: &'a RuleSet,
    index: Index,
    pub(super) free: Vec<bool>,
    /// What one match may have of each region, by its index in the pool.
    pub(super) room: Vec<u32>,
    /// What is left of each region.
    left: Vec<u32>,
    /// Why the last attempt around a ticket found nothing.
    pub(super) failures: Vec<Option<Failure>>,
    overdue_steps: usize,
    /// What is left of the pass's work, and what of it is for those whose turn comes late.
    work: u64,
    work_late: u64,
    pub(super) matches: Vec<Match>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(pool: &'a Pool<'a>, rules: &'a RuleSet, work: u64) -> Self {
        let is_overdue = |entry: &&Entry| rules.is_overdue(entry.waited_s);
        let overdue = pool.entries.iter().filter(is_overdue).count();
        Self {
            pool,
            rules,
            index: Index::new(pool, rules),
            free: vec![true; pool.entries.len()],
            room: pool
                .regions
                .iter()
                .map(|r| r.room.min(r.room_of_one))
                .collect(),
            left: pool.regions.iter().map(|region| region.room).collect(),
            failures: vec![None; pool.entries.len()],
            overdue_steps: (OVERDUE_STEPS / overdue.max(1)).min(OVERDUE_STEPS_EACH),
            work,
            work_late: work / WORK_LATE,
            matches: Vec::new(),
        }
    }

    /// Lets every ticket that is still free be an anchor, oldest first, while there is work left.
    /// The last part of it goes to tickets from a random one on: otherwise many old tickets that
    /// fit nobody would keep younger ones from ever having their turn.
    pub(super) fn take_turns(&mut self, seed: u64) {
        let count = self.pool.entries.len() as u32;
        let mut next = 0;
        while next < count && self.work > self.work_late {
            self.turn(next);
            next += 1;
        }
        let rest = u64::from(count - next).max(1);
        let first = next + (draw(seed, "turn") % rest) as u32;
        for anchor in (first..count).chain(next..first) {
            self.turn(anchor);
        }
    }

    fn turn(&mut self, anchor: u32) {
        if !self.free[anchor as usize] {
            return;
        }
        if self.work == 0 {
            self.failures[anchor as usize] = Some(Failure::Turn);
        } else {
            self.attempt(anchor);
        }
    }

    /// Tries to form a match around a ticket.
    fn attempt(&mut self, anchor: u32) {
        let entry = &self.pool.entries[anchor as usize];
        let limits = self.rules.limits_at(entry.waited_s);
        let overdue = self.rules.is_overdue(entry.waited_s);
        let per_player = WINDOW_PER_PLAYER * if overdue { OVERDUE_WINDOW } else { 1 };
        let window = (limits.players_max() as usize * per_player).max(WINDOW_MIN);
        let mut failure = Failure::Region;
        for region in regions_of(self.pool, limits, &self.room, anchor) {
            let room = self.room[region];
            let wanted = Wanted {
                anchor,
                region,
                stage: self.rules.stage_index(entry.waited_s),
                limits,
                window,
            };
            let (pool, work) = (self.pool, &mut self.work);
            let deep = overdue.then_some(self.overdue_steps);
            let gathered = self.index.gather(pool, &wanted, &self.free, work);
            let found = gathered
                .and_then(|candidates| search(pool, limits, anchor, &candidates, room, deep, work));
            match found {
                Ok(found) => return self.settle(anchor, found),
                Err(why) => failure = failure.max(why),
            }
        }
        self.failures[anchor as usize] = Some(failure);
    }

    fn settle(&mut self, anchor: u32, teams: Vec<Vec<u32>>) {
        let limits = self
            .rules
            .limits_at(self.pool.entries[anchor as usize].waited_s);
        let members: Vec<u32> = teams.iter().flatten().copied().collect();
        let region = best(self.pool, limits, &self.room, &members)
            .expect("the search stayed in a region that fits everybody");
        let size: u32 = members
            .iter()
            .map(|&m| self.pool.entries[m as usize].size)
            .sum();
        self.left[region] -= size;
        self.room[region] = self.room[region].min(self.left[region]);
        for &member in &members {
            self.free[member as usize] = false;
        }
        self.matches
            .push(describe(self.pool, limits, anchor, region, &teams));
    }
}
