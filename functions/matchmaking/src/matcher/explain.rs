//! Why a ticket waits: what each rule leaves of the pool, and what waiting will change.

use std::collections::BTreeMap;

use super::fact::Crossing;
use super::group::Group;
use super::outcome::{EXACT, NextExpansion, Remaining, Waiting};
use super::pass::Pass;
use super::place;
use super::pool::{Entry, Pool};
use super::search::Failure;
use super::world::World;
use crate::rules::{Limits, RuleSet, Scope};

/// Checks before the requirements, in their order, with the paths that they are told by.
const FIXED: [&str; 4] = ["rating.spread", "latency.max_ms", "cross_play", "blocks"];

/// About how many tickets are looked at to explain all that wait.
const LOOKS: usize = 4_000_000;
/// The least for each of them.
const LOOKS_MIN: usize = 32;

/// Explains every ticket that is left, oldest first.
pub(super) fn waiting(pool: &Pool, rules: &RuleSet, world: &World, pass: &Pass) -> Vec<Waiting> {
    let mut rest: Vec<u32> = (0..pool.entries.len() as u32)
        .filter(|&ticket| pass.free[ticket as usize])
        .collect();
    let oldest_first = rest.clone();
    let rating = |ticket: u32| pool.entries[ticket as usize].rating;
    rest.sort_by(|&a, &b| rating(a).total_cmp(&rating(b)).then(a.cmp(&b)));
    let mut recent: Vec<f64> = world
        .recent_waits_s
        .iter()
        .copied()
        .filter(|wait| wait.is_finite())
        .collect();
    recent.sort_by(f64::total_cmp);
    let mut views: BTreeMap<usize, Vec<View>> = BTreeMap::new();
    for &ticket in &rest {
        let waited_s = pool.entries[ticket as usize].waited_s;
        let limits = rules.limits_at(waited_s);
        let view = |&other: &u32| View::of(pool, limits, &pass.room, other);
        let view_all = || rest.iter().map(view).collect();
        let stage = rules.stage_index(waited_s);
        views.entry(stage).or_insert_with(view_all);
    }
    let explainer = Explainer {
        pool,
        rules,
        pass,
        views,
        recent,
        world,
    };
    let explained = oldest_first
        .into_iter()
        .map(|ticket| explainer.explain(ticket));
    let mut all: Vec<(u64, Waiting)> = explained
        .map(|found| (found.waited_s, found))
        .chain(pool.refused.iter().map(|(ticket, waited_s, fault)| {
            let found = Waiting {
                ticket: ticket.id.clone(),
                waited_s: *waited_s,
                fault: Some(fault.clone()),
                players_missing: 0,
                blocked_by: Vec::new(),
                candidates: Vec::new(),
                next_expansion: None,
                estimate_s: None,
            };
            (*waited_s, found)
        }))
        .collect();
    // Stable: tickets of one second stay in the order of the pass.
    all.sort_by_key(|(waited_s, _)| std::cmp::Reverse(*waited_s));
    all.into_iter().map(|(_, found)| found).collect()
}

/// What is looked at most of a ticket that waits, side by side.
struct View {
    ticket: u32,
    rating: f64,
    crossing: Crossing,
    /// Regions near it, a bit each.
    near: u64,
}

impl View {
    fn of(pool: &Pool, limits: &Limits, room: &[u32], ticket: u32) -> Self {
        let entry = &pool.entries[ticket as usize];
        Self {
            ticket,
            rating: entry.rating,
            crossing: entry.crossing,
            near: place::regions_near(pool, limits, room, ticket),
        }
    }
}

/// As many waits say more than the rate of arrivals.
const TELLING_WAITS: usize = 4;

struct Explainer<'a> {
    pool: &'a Pool<'a>,
    rules: &'a RuleSet,
    pass: &'a Pass<'a>,
    /// For each stage that a waiting ticket is in: those that wait, by rating.
    views: BTreeMap<usize, Vec<View>>,
    /// By length.
    recent: Vec<f64>,
    world: &'a World,
}

/// What the checks say of the other tickets, each with how many tickets it stands for.
struct Tally {
    /// Left after each check and those before it.
    left: Vec<f64>,
    /// Failed by this check alone.
    alone: Vec<f64>,
}

impl Explainer<'_> {
    fn explain(&self, ticket: u32) -> Waiting {
        let entry = &self.pool.entries[ticket as usize];
        let limits = self.rules.limits_at(entry.waited_s);
        let names = names(limits);
        let tally = self.tally(ticket, limits, names.len());
        let missing = limits.players_min().saturating_sub(entry.size);
        let left = tally.left.last().copied().unwrap_or(0.0);
        let next = self
            .rules
            .next_stage(entry.waited_s)
            .map(|stage| NextExpansion {
                in_s: u64::from(stage.from_s) - entry.waited_s,
                paths: stage.changes.clone(),
            });
        let mut candidates = vec![Remaining {
            rule: "mode".to_owned(),
            tickets: self.rest(ticket).len() as u32 - 1,
        }];
        candidates.extend(names.iter().zip(&tally.left).filter_map(|(name, left)| {
            Some(Remaining {
                rule: (*name)?.to_owned(),
                tickets: left.round() as u32,
            })
        }));
        Waiting {
            ticket: entry.ticket.id.clone(),
            waited_s: entry.waited_s,
            fault: None,
            players_missing: missing,
            blocked_by: self.blocked_by(ticket, limits, &names, &tally, missing),
            candidates,
            next_expansion: next,
            estimate_s: self.estimate(ticket, missing, left),
        }
    }

    /// Looks at the other tickets, or at a sample of those within the rating spread and of the
    /// rest.
    fn tally(&self, ticket: u32, limits: &Limits, checks: usize) -> Tally {
        let entry = &self.pool.entries[ticket as usize];
        let rest = self.rest(ticket);
        let spread = limits.rating_spread.unwrap_or(f64::INFINITY);
        let low = rest.partition_point(|view| view.rating < entry.rating - spread);
        let high = rest.partition_point(|view| view.rating <= entry.rating + spread);
        let (below, others) = rest.split_at(low);
        let (within, above) = others.split_at(high.saturating_sub(low));
        let mut tally = Tally {
            left: vec![0.0; checks],
            alone: vec![0.0; checks],
        };
        let group = Group::empty(limits).with(entry, limits, Scope::Match);
        let own = Own {
            entry,
            near: place::regions_near(self.pool, limits, &self.pass.room, ticket),
            group: group.ok().filter(|_| checks > FIXED.len()),
            limits,
        };
        let whole = rest.len() <= EXACT;
        let looks = (LOOKS / rest.len().max(1)).clamp(LOOKS_MIN, EXACT);
        let inside = if whole { EXACT } else { looks * 3 / 4 };
        let outside = if whole { EXACT } else { looks / 8 };
        for (part, most) in [(within, inside), (below, outside), (above, outside)] {
            let step = part.len().div_ceil(most).max(1);
            let sample = || part.iter().step_by(step).filter(|v| v.ticket != ticket);
            // Whoever is asked about does not count among the others.
            let here = part.len() - usize::from(std::ptr::eq(part, within));
            let weight = here as f64 / sample().count().max(1) as f64;
            for other in sample() {
                tally.add(own.failed(self.pool, other), weight);
            }
        }
        tally
    }

    fn rest(&self, ticket: u32) -> &[View] {
        let waited_s = self.pool.entries[ticket as usize].waited_s;
        &self.views[&self.rules.stage_index(waited_s)]
    }

    fn blocked_by(
        &self,
        ticket: u32,
        limits: &Limits,
        names: &[Option<&str>],
        tally: &Tally,
        missing: u32,
    ) -> Vec<String> {
        let mut found = Vec::new();
        let rule = |index: usize| limits.rules[index].as_ref().map(|rule| rule.name.clone());
        let whole = match self.pass.failures[ticket as usize] {
            Some(Failure::Turn) => Some("turn".to_owned()),
            Some(Failure::Region) => Some("world.regions".to_owned()),
            Some(Failure::Teams) => Some("teams".to_owned()),
            Some(Failure::Rule(index) | Failure::Average(index)) => rule(index),
            Some(Failure::Distribution) => Some("balance.distribution".to_owned()),
            Some(Failure::Favourite) => Some("balance.favourite".to_owned()),
            Some(Failure::Players) | None => None,
        };
        // With company enough one by one, it is what they must be together that fails.
        found.extend(whole);
        let mut decisive: Vec<usize> = (0..names.len())
            .filter(|&check| tally.alone[check] > 0.0)
            .collect();
        decisive.sort_by(|&a, &b| tally.alone[b].total_cmp(&tally.alone[a]).then(a.cmp(&b)));
        let by_check = decisive
            .iter()
            .filter_map(|&check| names[check])
            .map(str::to_owned);
        found.extend(by_check);
        let left = tally.left.last().copied().unwrap_or(0.0);
        if found.is_empty()
            || (self.rest(ticket).len() as u32) <= missing && left < f64::from(missing)
        {
            // The pool is too small, whatever the rules.
            found.insert(0, "players".to_owned());
        }
        let mut seen = Vec::new();
        found.retain(|name| {
            let new = !seen.contains(name);
            seen.push(name.clone());
            new
        });
        found
    }

    /// What tickets that had waited as long still waited, if there were some lately: that foresees
    /// how the rules widen. Else how long it takes until the missing players have arrived, at the
    /// rate at which players who pass the rules arrive.
    fn estimate(&self, ticket: u32, missing: u32, left: f64) -> Option<f64> {
        let entry = &self.pool.entries[ticket as usize];
        let others = self.rest(ticket).len().saturating_sub(1);
        // Laplace's rule: a pool that is small or empty says little of who will come.
        let share = (left + 1.0) / (others as f64 + 2.0);
        let per_s = self.world.arrivals_per_min.max(0.0) / 60.0 * share;
        let arrival = (f64::from(missing) - left).max(0.0) / per_s;
        let waited = entry.waited_s as f64;
        let longer = self.recent.partition_point(|wait| *wait <= waited);
        let rest = &self.recent[longer..];
        let usual = rest.get(rest.len() / 2).map(|wait| wait - waited);
        if rest.len() >= TELLING_WAITS || !arrival.is_finite() {
            return usual;
        }
        Some(arrival.max(usual.unwrap_or(0.0)))
    }
}

/// The ticket that is asked about.
struct Own<'a> {
    entry: &'a Entry<'a>,
    near: u64,
    /// What requirements on the whole match compare, if there are any.
    group: Option<Group>,
    limits: &'a Limits,
}

impl Own<'_> {
    /// The checks that another ticket fails, a bit each.
    fn failed(&self, pool: &Pool, other: &View) -> u64 {
        let mut failed = 0;
        let mut check = |bit: usize, passed: bool| failed |= u64::from(!passed) << bit;
        let apart = (self.entry.rating - other.rating).abs();
        let spread = self.limits.rating_spread;
        check(0, spread.is_none_or(|spread| apart <= spread));
        check(1, self.near & other.near != 0);
        let crossing = self.entry.crossing.with(other.crossing);
        check(2, crossing != Crossing::Broken);
        let blocked = &self.entry.blocked;
        check(3, blocked.binary_search(&other.ticket).is_err());
        for (index, rule) in self.limits.rules.iter().enumerate() {
            if let Some(rule) = rule.as_ref().filter(|rule| rule.per == Scope::Match) {
                let found = &pool.entries[other.ticket as usize].facts[index];
                let may_join = |own: &Group| own.facts[index].may_join(found, &rule.requirement);
                check(
                    FIXED.len() + index,
                    self.group.as_ref().is_some_and(may_join),
                );
            }
        }
        failed
    }
}

impl Tally {
    fn add(&mut self, failed: u64, weight: f64) {
        let first = failed.trailing_zeros() as usize;
        let passed = self.left.len().min(first);
        for left in &mut self.left[..passed] {
            *left += weight;
        }
        if failed.count_ones() == 1 {
            self.alone[first] += weight;
        }
    }
}

/// The path of each check; `None` for one that does not apply now.
fn names(limits: &Limits) -> Vec<Option<&str>> {
    let applies = [limits.rating_spread.is_some(), true, true, true];
    let fixed = FIXED
        .iter()
        .zip(applies)
        .map(|(name, applies)| applies.then_some(*name));
    let rules = limits.rules.iter().map(|rule| {
        let rule = rule.as_ref().filter(|rule| rule.per == Scope::Match)?;
        Some(rule.name.as_str())
    });
    fixed.chain(rules).collect()
}
