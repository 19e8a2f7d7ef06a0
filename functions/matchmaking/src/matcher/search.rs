//! Filling the teams of one match: depth first, nearest candidates first, within a budget.
//!
//! The first descent is the greedy choice and nearly always the answer. Going back replaces the
//! last choices. An overdue anchor's search also tries every team for a ticket, so that in a small
//! pool it visits every possible match.

use super::balance::{self, Unfit};
use super::group::{Group, Refused};
use super::pool::{Entry, Pool};
use crate::rules::{Limits, Requirement, Rule, Scope, Team};

/// Steps of a search, besides those for each candidate.
const STEPS_MIN: usize = 64;
/// Steps for each candidate.
const STEPS_PER_CANDIDATE: usize = 2;
/// Complete matches that are balanced and judged, for an anchor that is not overdue.
const LEAVES: usize = 8;
/// The same when it is overdue.
const OVERDUE_LEAVES: usize = 5_000;

/// Why no match was found; a later one is closer to a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Failure {
    /// No region is near enough and has room.
    Region,
    /// Not enough candidates.
    Players,
    /// Parties that do not fill the teams, or counts that cannot be met together.
    Teams,
    /// This count is not met.
    Count(usize),
    /// The average of a team, by the rule's index.
    Average(usize),
    /// The teams are not equal enough: `balance.distribution`.
    Distribution,
    /// The teams are not equal enough: `balance.favourite`.
    Favourite,
}

struct Search<'a> {
    pool: &'a Pool<'a>,
    limits: &'a Limits,
    candidates: &'a [u32],
    /// Players of the candidates from an index on.
    supply: Vec<u32>,
    /// The same per count rule with a minimum: index of the rule, what is needed, what is there.
    counts: Vec<(usize, u32, Vec<u32>)>,
    players_min: u32,
    players_max: u32,
    whole: Group,
    teams: Vec<Group>,
    members: Vec<Vec<u32>>,
    steps: usize,
    leaves: usize,
    tries_teams: bool,
    failure: Failure,
    found: Option<Vec<Vec<u32>>>,
}

/// Looks for a match of the anchor and some of the candidates, with at most `room` players. The
/// entries of each team, or why there is none.
pub(super) fn search(
    pool: &Pool,
    limits: &Limits,
    anchor: u32,
    candidates: &[u32],
    room: u32,
    overdue_steps: Option<usize>,
) -> Result<Vec<Vec<u32>>, Failure> {
    let steps = STEPS_MIN + STEPS_PER_CANDIDATE * candidates.len();
    let mut search = Search {
        pool,
        limits,
        candidates,
        supply: supply(pool, candidates, |entry| entry.size),
        counts: Vec::new(),
        players_min: limits.players_min().max(1),
        players_max: limits.players_max().min(room),
        whole: Group::empty(limits),
        teams: vec![Group::empty(limits); limits.teams.len()],
        members: vec![Vec::new(); limits.teams.len()],
        steps: overdue_steps.map_or(steps, |overdue| overdue.max(steps)),
        leaves: if overdue_steps.is_some() {
            OVERDUE_LEAVES
        } else {
            LEAVES
        },
        tries_teams: overdue_steps.is_some(),
        failure: Failure::Players,
        found: None,
    };
    search.counts = search.count_supplies();
    let size = pool.entries[anchor as usize].size;
    if size + search.supply[0] < search.players_min || size > search.players_max {
        return Err(Failure::Players);
    }
    // Whatever the budget, the anchor tries each kind of team.
    search.place(anchor, 0, true);
    search.found.ok_or(search.failure)
}

fn supply(pool: &Pool, candidates: &[u32], of: impl Fn(&Entry) -> u32) -> Vec<u32> {
    let mut sums = vec![0; candidates.len() + 1];
    for (at, &candidate) in candidates.iter().enumerate().rev() {
        sums[at] = sums[at + 1] + of(&pool.entries[candidate as usize]);
    }
    sums
}

impl Search<'_> {
    fn count_supplies(&self) -> Vec<(usize, u32, Vec<u32>)> {
        let mut found = Vec::new();
        for (index, rule) in self.limits.rules.iter().enumerate() {
            if let Some(Rule {
                per,
                requirement: Requirement::Count { min, .. },
                ..
            }) = rule
                && *min > 0
            {
                let teams = self.limits.teams.len() as u32;
                let needed = if *per == Scope::Team {
                    min * teams
                } else {
                    *min
                };
                let count = |entry: &Entry| entry.facts[index].count();
                found.push((index, needed, supply(self.pool, self.candidates, count)));
            }
        }
        found
    }

    /// Puts a ticket into one team after the other and goes on from candidate `next`. Whether the
    /// match was found.
    fn place(&mut self, ticket: u32, next: usize, tries_teams: bool) -> bool {
        let pool = self.pool;
        let entry = &pool.entries[ticket as usize];
        let Ok(whole) = self.whole.with(entry, self.limits, Scope::Match) else {
            return false;
        };
        if whole.players + whole.lacking(self.limits, Scope::Match) > self.players_max {
            return false;
        }
        for team in self.team_order(entry) {
            self.steps = self.steps.saturating_sub(1);
            let Some(joined) = self.joined(team, entry) else {
                continue;
            };
            let whole_before = std::mem::replace(&mut self.whole, whole.clone());
            let team_before = std::mem::replace(&mut self.teams[team], joined);
            self.members[team].push(ticket);
            if self.extend(next) {
                return true;
            }
            self.members[team].pop();
            self.teams[team] = team_before;
            self.whole = whole_before;
            if !tries_teams || self.steps == 0 {
                break;
            }
        }
        false
    }

    /// The team with the ticket, if that is allowed and leaves room for whom it still needs.
    fn joined(&self, team: usize, entry: &Entry) -> Option<Group> {
        let max = self.limits.teams[team].max;
        if self.teams[team].players + entry.size > max {
            return None;
        }
        let joined = self.teams[team]
            .with(entry, self.limits, Scope::Team)
            .ok()?;
        let lacking = joined.lacking(self.limits, Scope::Team);
        (joined.players + lacking <= max).then_some(joined)
    }

    /// Teams that can take the ticket. Fixed sizes: the fullest first, which packs parties well.
    /// Otherwise the emptiest, which keeps sizes alike. Of empty teams that are alike only one.
    fn team_order(&self, entry: &Entry) -> Vec<usize> {
        let teams = &self.limits.teams;
        let fixed = teams.iter().all(|team| team.min == team.max);
        let room = |team: usize| teams[team].max - self.teams[team].players;
        let is_first_of_its_kind = |team: usize| {
            let alike = |other: usize| {
                let (a, b): (&Team, &Team) = (&teams[other], &teams[team]);
                self.teams[other].players == 0 && (a.min, a.max) == (b.min, b.max)
            };
            self.teams[team].players > 0 || !(0..team).any(alike)
        };
        let mut order: Vec<usize> = (0..teams.len())
            .filter(|&team| room(team) >= entry.size && is_first_of_its_kind(team))
            .collect();
        if fixed {
            order.sort_by_key(|&team| (room(team), team));
        } else {
            order.sort_by_key(|&team| (self.teams[team].players, team));
        }
        order
    }

    fn extend(&mut self, from: usize) -> bool {
        let room = self.players_max - self.whole.players;
        if room == 0 {
            return self.judge();
        }
        for next in from..self.candidates.len() {
            if self.steps == 0 || self.leaves == 0 {
                break;
            }
            if let Err(failure) = self.is_supplied(next) {
                self.failure = self.failure.max(failure);
                break;
            }
            let candidate = self.candidates[next];
            let entry = &self.pool.entries[candidate as usize];
            if entry.size > room || self.is_blocked(entry) {
                continue;
            }
            if self.place(candidate, next + 1, self.tries_teams) {
                return true;
            }
        }
        self.whole.players >= self.players_min && self.judge()
    }

    /// Whether the candidates from `next` on can still complete a match.
    fn is_supplied(&self, next: usize) -> Result<(), Failure> {
        if self.whole.players + self.supply[next] < self.players_min {
            return Err(Failure::Players);
        }
        let short = |(index, needed, supply): &&(usize, u32, Vec<u32>)| {
            self.counted(*index) + supply[next] < *needed
        };
        let count = self.counts.iter().find(short);
        count.map_or(Ok(()), |(index, ..)| Err(Failure::Count(*index)))
    }

    fn counted(&self, rule: usize) -> u32 {
        // Of the two scopes one holds the count, the other has nothing.
        let in_teams: u32 = self.teams.iter().map(|team| team.facts[rule].count()).sum();
        in_teams + self.whole.facts[rule].count()
    }

    fn is_blocked(&self, entry: &Entry) -> bool {
        let members = || self.members.iter().flatten();
        !entry.blocked.is_empty()
            && members().any(|member| entry.blocked.binary_search(member).is_ok())
    }

    /// Whether what is chosen is a match, once its teams are balanced.
    fn judge(&mut self) -> bool {
        if self.leaves == 0 {
            return false;
        }
        if let Err(failure) = self.is_complete() {
            self.failure = self.failure.max(failure);
            return false;
        }
        self.leaves -= 1;
        let mut teams = self.members.clone();
        balance::even_out(self.pool, self.limits, &mut teams);
        match balance::judge(self.pool, self.limits, &teams) {
            Ok(()) => {
                self.found = Some(teams);
                true
            }
            Err(unfit) => {
                let failure = match unfit {
                    Unfit::Average(rule) => Failure::Average(rule),
                    Unfit::Distribution => Failure::Distribution,
                    Unfit::Favourite => Failure::Favourite,
                };
                self.failure = self.failure.max(failure);
                false
            }
        }
    }

    fn is_complete(&self) -> Result<(), Failure> {
        let sizes = self.teams.iter().zip(&self.limits.teams);
        if sizes
            .into_iter()
            .any(|(group, team)| group.players < team.min)
        {
            return Err(Failure::Teams);
        }
        for (index, rule) in self.limits.rules.iter().enumerate() {
            let Some(Rule {
                per,
                requirement: Requirement::Count { min, .. },
                ..
            }) = rule
            else {
                continue;
            };
            let met = match per {
                Scope::Match => self.whole.facts[index].count() >= *min,
                Scope::Team => self
                    .teams
                    .iter()
                    .all(|team| team.facts[index].count() >= *min),
            };
            if !met {
                return Err(Failure::Count(index));
            }
        }
        Ok(())
    }
}

/// Whether tickets can be a team, sizes apart; what balancing asks before it exchanges some.
pub(super) fn is_team(pool: &Pool, limits: &Limits, tickets: &[u32]) -> bool {
    let joined: Result<Group, Refused> = tickets
        .iter()
        .try_fold(Group::empty(limits), |group, &ticket| {
            group.with(&pool.entries[ticket as usize], limits, Scope::Team)
        });
    joined.is_ok_and(|group| group.lacking(limits, Scope::Team) == 0)
}
