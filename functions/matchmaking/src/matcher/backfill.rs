//! Players for a running match: who takes the places that others left.
//!
//! The running match is like an anchor that has waited since it asked: its limits are those of that
//! time, or of the candidate's own wait if that is longer. Candidates are tried oldest first, in
//! the team that has the fewest players.

use wire::{ModeName, RegionName, TicketId};

use super::balance;
use super::group::Group;
use super::place::is_near;
use super::pool::Pool;
use super::{Region, World};
use crate::rules::{Limits, PartyLimits, RuleSet, Scope};
use crate::ticket::{Player, QueueTicket};

/// A match that is being played.
#[derive(Debug, Clone, PartialEq)]
pub struct Running {
    /// Where it is.
    pub region: RegionName,
    /// Who plays in each team, in the order of the rule set.
    pub teams: Vec<Vec<Player>>,
    /// Since when it wants players, Unix milliseconds.
    pub since_ms: u64,
}

/// A ticket that joins a running match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Substitute {
    /// Its team, by its place in the rule set.
    pub team: usize,
    /// The ticket.
    pub ticket: TicketId,
}

/// Finds tickets for the free places of a running match. Every rule of the mode holds for the
/// match with them; the limits of parties do not look at who plays already. `seed` as in
/// [`super::form`].
pub fn backfill(
    tickets: &[QueueTicket],
    rules: &RuleSet,
    world: &World,
    running: &Running,
    now_ms: u64,
    seed: u64,
) -> Vec<Substitute> {
    let rules = &without_party_limits(rules);
    let mut all: Vec<QueueTicket> = tickets.to_vec();
    let mut seats: Vec<Vec<TicketId>> = Vec::new();
    for (team, players) in running.teams.iter().enumerate() {
        let seated = players.iter().enumerate();
        let seated = seated.map(|(at, player)| seated_ticket(&rules.mode, team, at, player));
        let seated: Vec<QueueTicket> = seated.collect();
        seats.push(seated.iter().map(|ticket| ticket.id.clone()).collect());
        all.extend(seated);
    }
    let room = world
        .regions
        .iter()
        .find(|region| region.name == running.region);
    let world = World {
        regions: room.cloned().into_iter().collect::<Vec<Region>>(),
        ..world.clone()
    };
    let pool = Pool::new(&all, rules, &world, now_ms, seed);
    if pool.regions.is_empty() {
        return Vec::new();
    }
    let place = |id: &TicketId| {
        let mut entries = pool.entries.iter();
        entries
            .position(|entry| entry.ticket.id == *id)
            .map(|at| at as u32)
    };
    let teams: Option<Vec<Vec<u32>>> = seats
        .iter()
        .map(|team| team.iter().map(place).collect())
        .collect();
    // Somebody who plays is in the pool too, or has no value that a rule needs.
    let Some(teams) = teams else {
        return Vec::new();
    };
    let waited_s = now_ms.saturating_sub(running.since_ms) / 1000;
    fill(&pool, rules, teams, waited_s)
}

fn without_party_limits(rules: &RuleSet) -> RuleSet {
    let party = PartyLimits {
        min: 1,
        max: rules.party.max,
        rating_spread: None,
    };
    RuleSet {
        party,
        ..rules.clone()
    }
}

/// Somebody who plays already as a ticket of the oldest age, so that he is admitted first.
fn seated_ticket(mode: &ModeName, team: usize, at: usize, player: &Player) -> QueueTicket {
    QueueTicket {
        id: TicketId::new(format!("seat.{team}.{at}")).expect("of its alphabet"),
        players: vec![player.clone()],
        modes: vec![mode.clone()],
        since_ms: 0,
    }
}

fn fill(pool: &Pool, rules: &RuleSet, mut teams: Vec<Vec<u32>>, waited_s: u64) -> Vec<Substitute> {
    let mut found = Vec::new();
    let mut room = pool.regions[0].room;
    for candidate in 0..pool.entries.len() as u32 {
        let entry = &pool.entries[candidate as usize];
        let seated = teams.iter().flatten().any(|member| *member == candidate);
        if seated || entry.size > room {
            continue;
        }
        let limits = rules.limits_at(entry.waited_s.max(waited_s));
        let blocked = |member: &u32| entry.blocked.binary_search(member).is_ok();
        if !is_near(pool, limits, 0, candidate) || teams.iter().flatten().any(blocked) {
            continue;
        }
        if let Some(team) = team_for(pool, limits, &teams, candidate) {
            teams[team].push(candidate);
            room -= entry.size;
            found.push(Substitute {
                team,
                ticket: entry.ticket.id.clone(),
            });
        }
    }
    found
}

/// The team that the candidate can join, if any: the one with the fewest players.
fn team_for(pool: &Pool, limits: &Limits, teams: &[Vec<u32>], candidate: u32) -> Option<usize> {
    let members: Vec<u32> = teams.iter().flatten().copied().collect();
    joined(pool, limits, &members, candidate, Scope::Match)?;
    let mut order: Vec<usize> = (0..teams.len().min(limits.teams.len())).collect();
    let players = |team: usize| -> u32 {
        let sizes = teams[team]
            .iter()
            .map(|member| pool.entries[*member as usize].size);
        sizes.sum()
    };
    order.sort_by_key(|&team| (players(team), team));
    order.into_iter().find(|&team| {
        let max = limits.teams[team].max;
        let Some(group) = joined(pool, limits, &teams[team], candidate, Scope::Team) else {
            return false;
        };
        if group.players + group.lacking(limits, Scope::Team) > max {
            return false;
        }
        let mut with = teams.to_vec();
        with[team].push(candidate);
        let complete = |(at, team): (usize, &crate::rules::Team)| {
            let sizes = with[at]
                .iter()
                .map(|member| pool.entries[*member as usize].size);
            sizes.sum::<u32>() >= team.min
        };
        // Teams that are not whole yet cannot be judged.
        !limits.teams.iter().enumerate().all(complete)
            || balance::judge(pool, limits, &with).is_ok()
    })
}

/// The group of these tickets and one more, if the rules allow it.
fn joined(pool: &Pool, limits: &Limits, members: &[u32], more: u32, scope: Scope) -> Option<Group> {
    let mut all = members.iter().chain([&more]);
    let whole = all.try_fold(Group::empty(limits), |group, member| {
        group.with(&pool.entries[*member as usize], limits, scope)
    });
    whole.ok()
}
