//! Filling the teams of one match: depth first, nearest candidates first, within a budget.
//!
//! The first descent is the greedy choice and nearly always the answer. Going back replaces the
//! last choices. Parties that bring what a count asks for are placed before all others, while there
//! is room for them: each such count is a **phase** of its own. An overdue anchor's search also
//! tries every team for a ticket, so that in a small pool it visits every possible match.

use super::balance::{self, Unfit};
use super::group::Group;
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
    /// The pass had no work left for it.
    Turn,
    /// No region is near enough and has room.
    Region,
    /// Not enough candidates.
    Players,
    /// Parties that do not fill the teams, or counts that cannot be met together.
    Teams,
    /// This requirement is not met.
    Rule(usize),
    /// The average of a team, by the rule's index.
    Average(usize),
    /// The teams are not equal enough: `balance.distribution`.
    Distribution,
    /// The teams are not equal enough: `balance.favourite`.
    Favourite,
}

/// Where a search is: in which phase, an index of the counts or past them, and at which candidate.
#[derive(Debug, Clone, Copy)]
struct Turn {
    phase: usize,
    next: usize,
}

impl Turn {
    const FIRST: Self = Self { phase: 0, next: 0 };
}

/// A count with a minimum.
struct Count {
    rule: usize,
    /// Players that a match needs.
    needed: u32,
    /// Players that the candidates from an index on bring.
    supply: Vec<u32>,
    /// In the phase of this count, the candidates before this index were placed or passed over: a
    /// later phase takes none of them, or it would only try the same choices in another order.
    passed: usize,
}

struct Search<'a> {
    pool: &'a Pool<'a>,
    limits: &'a Limits,
    candidates: &'a [u32],
    /// Players of the candidates from an index on.
    supply: Vec<u32>,
    /// Count rules with a minimum.
    counts: Vec<Count>,
    /// Candidates that are placed.
    used: Vec<bool>,
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
/// entries of each team, or why there is none. Takes what it does from `work`.
pub(super) fn search(
    pool: &Pool,
    limits: &Limits,
    anchor: u32,
    candidates: &[u32],
    room: u32,
    overdue_steps: Option<usize>,
    work: &mut u64,
) -> Result<Vec<Vec<u32>>, Failure> {
    let steps = STEPS_MIN + STEPS_PER_CANDIDATE * candidates.len();
    let mut search = Search {
        pool,
        limits,
        candidates,
        supply: supply(pool, candidates, |entry| entry.size),
        counts: Vec::new(),
        used: vec![false; candidates.len()],
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
    let (steps, leaves) = (search.steps, search.leaves);
    search.place(anchor, Turn::FIRST, true);
    // Every pair of teams is looked at, player by player.
    let leaf = search.players_max as usize * limits.teams.len().div_ceil(2);
    let judged = (leaves - search.leaves) * leaf;
    *work = work.saturating_sub((steps - search.steps + judged) as u64);
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
    fn count_supplies(&self) -> Vec<Count> {
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
                found.push(Count {
                    rule: index,
                    needed,
                    supply: supply(self.pool, self.candidates, count),
                    passed: 0,
                });
            }
        }
        found
    }

    /// Puts a ticket into one team after the other and goes on with `next`. Whether the match was
    /// found.
    fn place(&mut self, ticket: u32, next: Turn, tries_teams: bool) -> bool {
        let pool = self.pool;
        let entry = &pool.entries[ticket as usize];
        let Ok(whole) = self.whole.with(entry, self.limits, Scope::Match) else {
            return false;
        };
        if whole.players + whole.lacking(self.limits, Scope::Match) > self.players_max {
            return false;
        }
        for team in self.team_order(entry, next.phase) {
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
    /// Otherwise the emptiest, which keeps sizes alike. Of empty teams that are alike only one. In
    /// the phase of a count first those that lack it.
    fn team_order(&self, entry: &Entry, phase: usize) -> Vec<usize> {
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
        let has = |team: usize| {
            let count = self.counts.get(phase);
            count.is_some_and(|count| self.teams[team].facts[count.rule].count() > 0)
        };
        if fixed {
            order.sort_by_key(|&team| (has(team), room(team), team));
        } else {
            order.sort_by_key(|&team| (has(team), self.teams[team].players, team));
        }
        order
    }

    /// Goes on from a turn, in its phase or, when its count is met, in the next that is needed.
    fn extend(&mut self, turn: Turn) -> bool {
        let room = self.players_max - self.whole.players;
        if room == 0 {
            return self.judge();
        }
        let Turn {
            mut phase,
            mut next,
        } = turn;
        while phase < self.counts.len() && self.lacks(phase) == 0 {
            self.counts[phase].passed = next;
            (phase, next) = (phase + 1, 0);
        }
        self.try_from(Turn { phase, next }, room)
    }

    /// Tries the candidates of a phase, one after the other.
    fn try_from(&mut self, turn: Turn, room: u32) -> bool {
        let phase = turn.phase;
        for next in turn.next..self.candidates.len() {
            if self.steps == 0 || self.leaves == 0 {
                break;
            }
            if let Err(failure) = self.is_supplied(phase, next) {
                self.failure = self.failure.max(failure);
                break;
            }
            let candidate = self.candidates[next];
            let entry = &self.pool.entries[candidate as usize];
            if entry.size > room || self.used[next] || !self.is_turn_of(entry, phase, next) {
                continue;
            }
            if self.is_blocked(entry) {
                continue;
            }
            self.used[next] = true;
            let after = Turn {
                phase,
                next: next + 1,
            };
            if self.place(candidate, after, self.tries_teams) {
                return true;
            }
            self.used[next] = false;
        }
        let last = phase >= self.counts.len();
        last && self.whole.players >= self.players_min && self.judge()
    }

    /// Whether a candidate brings what its phase is about and is not for an earlier one.
    fn is_turn_of(&self, entry: &Entry, phase: usize, at: usize) -> bool {
        let brings = |count: &Count| entry.facts[count.rule].count() > 0;
        let mut earlier = self.counts[..phase].iter();
        self.counts.get(phase).is_none_or(brings)
            && earlier.all(|count| at >= count.passed || !brings(count))
    }

    /// Whether the candidates from `next` on can still complete a match, or meet the count that the
    /// phase is about.
    fn is_supplied(&self, phase: usize, next: usize) -> Result<(), Failure> {
        if let Some(count) = self.counts.get(phase) {
            let enough = count.supply[next] >= self.lacks(phase);
            return if enough {
                Ok(())
            } else {
                Err(Failure::Rule(count.rule))
            };
        }
        if self.whole.players + self.supply[next] < self.players_min {
            return Err(Failure::Players);
        }
        Ok(())
    }

    /// Players that a count still asks for.
    fn lacks(&self, phase: usize) -> u32 {
        let count = &self.counts[phase];
        let missing =
            |group: &Group, least: u32| least.saturating_sub(group.facts[count.rule].count());
        match &self.limits.rules[count.rule] {
            Some(rule) if rule.per == Scope::Team => {
                let least = count.needed / self.limits.teams.len() as u32;
                self.teams.iter().map(|team| missing(team, least)).sum()
            }
            _ => missing(&self.whole, count.needed),
        }
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
        let mut judged = balance::judge(self.pool, self.limits, &teams);
        // Exchanges make ratings alike, and may pull apart what another rule wants alike.
        if judged.is_err() && balance::judge(self.pool, self.limits, &self.members).is_ok() {
            teams.clone_from(&self.members);
            judged = Ok(());
        }
        let Err(unfit) = judged else {
            self.found = Some(teams);
            return true;
        };
        let failure = match unfit {
            Unfit::Average(rule) => Failure::Average(rule),
            Unfit::Distribution => Failure::Distribution,
            Unfit::Favourite => Failure::Favourite,
        };
        self.failure = self.failure.max(failure);
        false
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
                return Err(Failure::Rule(index));
            }
        }
        Ok(())
    }
}
