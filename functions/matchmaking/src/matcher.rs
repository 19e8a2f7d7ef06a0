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
mod fact;
mod group;
mod index;
mod outcome;
mod pass;
mod place;
mod pool;
mod search;
mod world;

use crate::rules::RuleSet;
use crate::ticket::QueueTicket;

pub use backfill::{Running, Substitute, backfill};
pub use outcome::{EXACT, Match, MatchTeam, NextExpansion, Outcome, Quality, Remaining, Waiting};
pub use world::{MAX_REGIONS, Region, World};

use pass::Pass;
use pool::Pool;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::AttributeValue;
    use crate::ratings::Rating;
    use crate::ticket::Player;
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
