//! Why a ticket waits: what each rule leaves of the pool, and what waiting will change.

use std::collections::BTreeMap;

use super::group::{Crossing, Group};
use super::pool::{Entry, Pool};
use super::search::Failure;
use super::{EXACT, NextExpansion, Pass, Remaining, Waiting, World, place};
use crate::rules::{Limits, RuleSet, Scope};

/// Checks before the requirements, in their order, with the paths that they are told by.
const FIXED: [&str; 4] = ["rating.spread", "latency.max_ms", "cross_play", "blocks"];

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
    let mut near: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    for &ticket in &rest {
        let waited_s = pool.entries[ticket as usize].waited_s;
        near.entry(rules.stage_index(waited_s)).or_insert_with(|| {
            let limits = rules.limits_at(waited_s);
            let all = 0..pool.entries.len() as u32;
            all.map(|other| place::regions_near(pool, limits, &pass.room, other))
                .collect()
        });
    }
    let explainer = Explainer {
        pool,
        rules,
        pass,
        rest: &rest,
        near,
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

struct Explainer<'a> {
    pool: &'a Pool<'a>,
    rules: &'a RuleSet,
    pass: &'a Pass<'a>,
    /// Tickets that wait, by rating.
    rest: &'a [u32],
    /// For each stage that a waiting ticket is in: the regions near each entry.
    near: BTreeMap<usize, Vec<u64>>,
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
            tickets: self.rest.len() as u32 - 1,
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
            estimate_s: self.estimate(entry, missing, left),
        }
    }

    /// Looks at the other tickets, or at a sample of those within the rating spread and of the
    /// rest.
    fn tally(&self, ticket: u32, limits: &Limits, checks: usize) -> Tally {
        let rating = self.pool.entries[ticket as usize].rating;
        let spread = limits.rating_spread.unwrap_or(f64::INFINITY);
        let rating_of = |t: &u32| self.pool.entries[*t as usize].rating;
        let low = self
            .rest
            .partition_point(|t| rating_of(t) < rating - spread);
        let high = self
            .rest
            .partition_point(|t| rating_of(t) <= rating + spread);
        let (below, rest) = self.rest.split_at(low);
        let (within, above) = rest.split_at(high.saturating_sub(low));
        let mut tally = Tally {
            left: vec![0.0; checks],
            alone: vec![0.0; checks],
        };
        let stage = self
            .rules
            .stage_index(self.pool.entries[ticket as usize].waited_s);
        let near = &self.near[&stage];
        let entry = &self.pool.entries[ticket as usize];
        let own = Group::empty(limits).with(entry, limits, Scope::Match);
        let own = own.as_ref().ok();
        let whole = self.rest.len() <= EXACT;
        let inside = if whole { EXACT } else { EXACT * 3 / 4 };
        let outside = if whole { EXACT } else { EXACT / 8 };
        for (part, most) in [(within, inside), (below, outside), (above, outside)] {
            let step = part.len().div_ceil(most).max(1);
            let others = part.iter().step_by(step).filter(|other| **other != ticket);
            let taken: Vec<u32> = others.copied().collect();
            // Whoever is asked about does not count among the others.
            let here = part.len() - usize::from(std::ptr::eq(part, within));
            let weight = here as f64 / taken.len().max(1) as f64;
            for other in taken {
                let failed = self.failed(
                    entry,
                    other,
                    limits,
                    near[ticket as usize] & near[other as usize],
                    own,
                );
                tally.add(failed, weight);
            }
        }
        tally
    }

    /// The checks that another ticket fails, a bit each.
    fn failed(
        &self,
        entry: &Entry,
        other: u32,
        limits: &Limits,
        shared_regions: u64,
        own: Option<&Group>,
    ) -> u64 {
        let found = &self.pool.entries[other as usize];
        let mut failed = 0;
        let mut check = |bit: usize, passed: bool| failed |= u64::from(!passed) << bit;
        let apart = (entry.rating - found.rating).abs();
        check(0, limits.rating_spread.is_none_or(|spread| apart <= spread));
        check(1, shared_regions != 0);
        check(2, entry.crossing.with(found.crossing) != Crossing::Broken);
        check(3, entry.blocked.binary_search(&other).is_err());
        for (index, rule) in limits.rules.iter().enumerate() {
            let Some(rule) = rule.as_ref().filter(|rule| rule.per == Scope::Match) else {
                continue;
            };
            let both = own.map(|own| own.facts[index].with(&found.facts[index]));
            check(
                FIXED.len() + index,
                both.is_some_and(|both| both.may_meet(&rule.requirement)),
            );
        }
        failed
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
            Some(Failure::Region) => Some("world.regions".to_owned()),
            Some(Failure::Teams) => Some("teams".to_owned()),
            Some(Failure::Count(index) | Failure::Average(index)) => rule(index),
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
        if found.is_empty() || (self.rest.len() as u32) <= missing && left < f64::from(missing) {
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

    /// How long it takes until the missing players have arrived, at the rate at which players who
    /// pass the rules arrive; but not less than what tickets that had waited so long still waited.
    fn estimate(&self, entry: &Entry, missing: u32, left: f64) -> Option<f64> {
        let others = self.rest.len().saturating_sub(1);
        // Laplace's rule: a pool that is small or empty says little of who will come.
        let share = (left + 1.0) / (others as f64 + 2.0);
        let per_s = self.world.arrivals_per_min.max(0.0) / 60.0 * share;
        let arrival = (f64::from(missing) - left).max(0.0) / per_s;
        let waited = entry.waited_s as f64;
        let longer = self.recent.partition_point(|wait| *wait <= waited);
        let rest = &self.recent[longer..];
        let usual = rest.get(rest.len() / 2).map(|wait| wait - waited);
        match (arrival.is_finite(), usual) {
            (true, usual) => Some(arrival.max(usual.unwrap_or(0.0))),
            (false, usual) => usual,
        }
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
