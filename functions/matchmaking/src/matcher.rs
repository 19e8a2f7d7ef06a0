//! The matcher: which waiting tickets play together, now.
//!
//! One pass goes through the tickets oldest first. Each that is still free becomes an **anchor**:
//! its waiting time decides which limits hold, the free tickets nearest to it in rating are
//! gathered for one region after the other, and a search fills the teams from them
//! ([`search`]); the teams are then made equal ([`balance`]).
//!
//! # Why nobody starves
//!
//! 1. Nobody overtakes in the choice of company: an older ticket chooses before a younger one, so
//!    what a ticket may choose from is only ever reduced by tickets that are older, or taken
//!    together with it.
//! 2. From `max_wait_s` on a ticket is **overdue**: soft rules do not apply to a match around it,
//!    and its search may take more steps and looks at more candidates.
//! 3. The work of a pass has a bound, whatever the tickets. A part of it is given to tickets from a
//!    random one on, so that nobody is without a turn for long behind older ones that fit nobody.
//! 4. Overdue tickets are the oldest, so they come first in every pass. One that finds enough
//!    company under the hard rules is matched in that pass; one that does not is told which hard
//!    rule stands in its way ([`Waiting`]), because time will not remove it.
//!
//! The search is exhaustive in small pools; `RULES.md` states where its bounds begin to matter.

mod backfill;
mod balance;
mod explain;
mod group;
mod index;
mod place;
mod pool;
mod search;

use wire::{PlayerId, RegionName, TicketId};

use crate::rules::RuleSet;
use crate::ticket::{QueueTicket, TicketFault};

pub use backfill::{Running, Substitute, backfill};

use index::Index;
use pool::Pool;
use search::Failure;

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

/// Waiting tickets up to which candidates are counted exactly. Of more, at most about this many are
/// looked at for each, of very many fewer: three in four of them within the rating spread.
pub const EXACT: usize = 128;

/// What a pass found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// In the order in which they were formed.
    pub matches: Vec<Match>,
    /// Every other ticket that wants the mode, oldest first.
    pub waiting: Vec<Waiting>,
}

/// Players who shall play together.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// The ticket whose waiting time decided which limits hold.
    pub anchor: TicketId,
    /// Where its room shall be.
    pub region: RegionName,
    /// In the order of the rule set.
    pub teams: Vec<MatchTeam>,
    /// How good it is.
    pub quality: Quality,
}

/// A team of a match.
#[derive(Debug, Clone, PartialEq)]
pub struct MatchTeam {
    /// As the rule set calls it.
    pub name: String,
    /// The parties.
    pub tickets: Vec<TicketId>,
    /// All their players.
    pub players: Vec<PlayerId>,
}

/// How good a match is.
#[derive(Debug, Clone, PartialEq)]
pub struct Quality {
    /// Largest difference of two tickets' ratings.
    pub rating_spread: f64,
    /// Predicted probability that the better team wins, of the most unequal pair of teams.
    pub favourite: f64,
    /// Distance of the rating distributions of the least alike pair of teams.
    pub distribution: f64,
    /// Worst measured round-trip time to the region, milliseconds; `None` if somebody has none.
    pub latency_worst_ms: Option<u32>,
    /// A language that everybody speaks.
    pub language: Option<String>,
}

/// A ticket that was not matched, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// Which.
    pub ticket: TicketId,
    /// For how long, seconds.
    pub waited_s: u64,
    /// Why it can never be matched; then there is nothing in the fields below.
    pub fault: Option<TicketFault>,
    /// How many players the smallest match still needs besides the party.
    pub players_missing: u32,
    /// What blocks it, the most decisive rule first.
    pub blocked_by: Vec<String>,
    /// How many other tickets are left after each rule, in the order of checking.
    pub candidates: Vec<Remaining>,
    /// The next change of its limits.
    pub next_expansion: Option<NextExpansion>,
    /// Seconds until it is probably matched; `None` when nothing is known.
    pub estimate_s: Option<f64>,
}

/// How many candidates pass a rule and all those before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Remaining {
    /// Path of the rule in the rule set.
    pub rule: String,
    /// Tickets; exact in a pool of up to [`EXACT`] tickets, else estimated from a sample.
    pub tickets: u32,
}

/// When the limits of a ticket change next.
#[derive(Debug, Clone, PartialEq)]
pub struct NextExpansion {
    /// Seconds from now.
    pub in_s: u64,
    /// Paths of what changes; `max_wait_s` means that soft rules are dropped.
    pub paths: Vec<String>,
}

/// Forms the matches that can be formed now.
///
/// `tickets` may come in any order and hold tickets of other modes, which are left out. `now_ms`
/// is Unix time. `seed` decides who goes first among tickets of the same millisecond.
pub fn form(
    tickets: &[QueueTicket],
    rules: &RuleSet,
    world: &World,
    now_ms: u64,
    seed: u64,
) -> Outcome {
    let pool = Pool::new(tickets, rules, world, now_ms, seed);
    let mut pass = Pass::new(&pool, rules, world.work);
    pass.take_turns(seed);
    let waiting = explain::waiting(&pool, rules, world, &pass);
    Outcome {
        matches: pass.matches,
        waiting,
    }
}

/// Work of a pass that has a core to itself.
const WORK: u64 = 8_000_000;
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
struct Pass<'a> {
    pool: &'a Pool<'a>,
    rules: &'a RuleSet,
    index: Index,
    free: Vec<bool>,
    /// What one match may have of each region, by its index in the pool.
    room: Vec<u32>,
    /// What is left of each region.
    left: Vec<u32>,
    /// Why the last attempt around a ticket found nothing.
    failures: Vec<Option<Failure>>,
    overdue_steps: usize,
    /// What is left of the pass's work, and what of it is for those whose turn comes late.
    work: u64,
    work_late: u64,
    matches: Vec<Match>,
}

impl<'a> Pass<'a> {
    fn new(pool: &'a Pool<'a>, rules: &'a RuleSet, work: u64) -> Self {
        let is_overdue = |entry: &&pool::Entry| rules.is_overdue(entry.waited_s);
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
    fn take_turns(&mut self, seed: u64) {
        let count = self.pool.entries.len() as u32;
        let mut next = 0;
        while next < count && self.work > self.work_late {
            self.turn(next);
            next += 1;
        }
        let rest = u64::from(count - next).max(1);
        let first = next + (pool::draw(seed, "turn") % rest) as u32;
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
        for region in place::regions_of(self.pool, limits, &self.room, anchor) {
            let room = self.room[region];
            let wanted = index::Wanted {
                anchor,
                region,
                stage: self.rules.stage_index(entry.waited_s),
                limits,
                window,
            };
            let (pool, work) = (self.pool, &mut self.work);
            let deep = overdue.then_some(self.overdue_steps);
            let gathered = self.index.gather(pool, &wanted, &self.free, work);
            let found = gathered.and_then(|candidates| {
                search::search(pool, limits, anchor, &candidates, room, deep, work)
            });
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
        let region = place::best(self.pool, limits, &self.room, &members)
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
            .push(place::describe(self.pool, limits, anchor, region, &teams));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ticket::{AttributeValue, Player, Rating};
    use std::collections::BTreeMap;
    use wire::ModeName;

    const RULES: &str = r#"{
        "mode": "m", "version": 1, "max_wait_s": 60, "attributes": { "maps": { "type": "set" } },
        "teams": [{ "name": "side", "count": 2, "players": { "min": 1, "max": 1 } }],
        "rules": [{ "type": "overlap", "attribute": "maps", "min": 1 }]
    }"#;

    fn ticket(number: u64, map: &str) -> QueueTicket {
        let maps = AttributeValue::Set([map.to_owned()].into());
        let player = Player {
            id: format!("p{number}").parse().unwrap(),
            rating: Rating {
                mu: number as f64,
                sigma: 1.0,
            },
            attributes: BTreeMap::from([("maps".to_owned(), maps)]),
            latency_ms: BTreeMap::new(),
            platform: "pc".to_owned(),
            cross_play: true,
            languages: Vec::new(),
            blocks: Vec::new(),
        };
        QueueTicket {
            id: format!("t{number}").parse().unwrap(),
            players: vec![player],
            modes: vec![ModeName::new("m").unwrap()],
            since_ms: number,
        }
    }

    #[test]
    fn young_tickets_get_a_turn_although_old_ones_use_up_the_work() {
        let rules = RuleSet::from_json(RULES).unwrap();
        // Each of the old ones likes its own map alone; the two youngest share one.
        let mut tickets: Vec<QueueTicket> = (0..500).map(|n| ticket(n, &format!("m{n}"))).collect();
        tickets.extend([ticket(500, "ours"), ticket(501, "ours")]);
        let region = Region::of_one_shard("east".parse().unwrap(), 10);
        let world = World {
            regions: vec![region],
            ..World::default()
        };
        let (mut matched, mut without_turn) = (0, 0);
        for seed in 0..200 {
            let pool = Pool::new(&tickets, &rules, &world, 90_000, seed);
            // Enough for about forty turns.
            let mut pass = Pass::new(&pool, &rules, 40_000);
            pass.take_turns(seed);
            matched += pass.matches.len();
            let told = explain::waiting(&pool, &rules, &world, &pass);
            let turn = |waiting: &&Waiting| waiting.blocked_by[0] == "turn";
            without_turn += told.iter().filter(turn).count();
        }
        // A quarter of the work is ten turns or so in five hundred.
        assert!((2..20).contains(&matched), "{matched} of 200 passes");
        assert!(without_turn > 200 * 400, "{without_turn}");
    }
}
