//! Finding neighbours: per region, the tickets by rating in lists of tickets that are alike.
//!
//! A list holds tickets that can or cannot help an anchor as one (too far away, too large, the
//! wrong platform, no healer), so that what cannot is skipped as a whole and never scanned.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::group::{Crossing, Group};
use super::pool::{Pool, UNKNOWN_MS};
use crate::rules::{Limits, Requirement, RuleSet, Scope};

/// Candidates looked at for each that is taken.
const SCAN_PER_CANDIDATE: usize = 4;

/// What tickets of a list have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    /// The smallest cap of any stage that lets them play in the region; `None`: no cap does.
    cap: Option<u32>,
    size: u32,
    crossing: Crossing,
    /// Which counted values they bring, a bit for each rule.
    brings: u32,
}

struct List {
    kind: Kind,
    /// By key.
    entries: Vec<u32>,
    /// Of each entry, side by side, for the search of the anchor's place.
    keys: Vec<f64>,
    /// From a position whose ticket is taken, where to look on.
    right: Vec<u32>,
    left: Vec<u32>,
}

/// The lists of every region.
pub(super) struct Index {
    regions: Vec<Vec<List>>,
}

/// What is looked for.
pub(super) struct Wanted<'a> {
    pub(super) anchor: u32,
    pub(super) region: usize,
    pub(super) limits: &'a Limits,
    /// How many candidates.
    pub(super) window: usize,
}

/// A place in a list, on its way left or right.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Cursor {
    /// Bits of the distance from the anchor: as ordered as the number, which is not negative.
    distance: u64,
    entry: u32,
    list: u32,
    at: u32,
    rightwards: bool,
}

impl Index {
    pub(super) fn new(pool: &Pool, rules: &RuleSet) -> Self {
        let mut by_key: Vec<u32> = (0..pool.entries.len() as u32).collect();
        let key = |entry: u32| pool.entries[entry as usize].key;
        by_key.sort_by(|&a, &b| key(a).total_cmp(&key(b)).then(a.cmp(&b)));
        let brings: Vec<u32> = pool
            .entries
            .iter()
            .map(|entry| brings(&entry.facts))
            .collect();
        let regions = (0..pool.regions.len())
            .map(|region| {
                let caps = caps(rules, pool, region);
                let mut lists: BTreeMap<Kind, Vec<u32>> = BTreeMap::new();
                for &entry in &by_key {
                    let found = &pool.entries[entry as usize];
                    let worst = pool.latency_worst(entry, region);
                    let kind = Kind {
                        cap: caps
                            .range(worst..)
                            .next()
                            .copied()
                            .filter(|_| worst != UNKNOWN_MS),
                        size: found.size,
                        crossing: found.crossing,
                        brings: brings[entry as usize],
                    };
                    lists.entry(kind).or_default().push(entry);
                }
                lists
                    .into_iter()
                    .map(|(kind, entries)| List::new(kind, entries, pool))
                    .collect()
            })
            .collect();
        Self { regions }
    }

    /// Free tickets near the anchor that may each be in a match with it, best first.
    pub(super) fn gather(&mut self, pool: &Pool, wanted: &Wanted, free: &[bool]) -> Vec<u32> {
        let Wanted { anchor, limits, .. } = *wanted;
        let Ok(alone) =
            Group::empty(limits).with(&pool.entries[anchor as usize], limits, Scope::Match)
        else {
            return Vec::new();
        };
        let lists = &mut self.regions[wanted.region];
        let mut heap = start(lists, pool, wanted, free);
        let mut short = shortages(limits);
        let mut found: Vec<(f64, u32)> = Vec::with_capacity(wanted.window);
        let mut looked_at = 0;
        while let Some(Reverse(cursor)) = heap.pop() {
            let list = &mut lists[cursor.list as usize];
            // Once there are enough, only what is short is still wanted.
            if found.len() >= wanted.window && list.kind.brings & lacking(&short) == 0 {
                continue;
            }
            looked_at += 1;
            if looked_at > wanted.window * SCAN_PER_CANDIDATE {
                break;
            }
            let entry = &pool.entries[cursor.entry as usize];
            let blocked = pool.entries[anchor as usize]
                .blocked
                .binary_search(&cursor.entry);
            if blocked.is_err() && alone.with(entry, limits, Scope::Match).is_ok() {
                found.push((f64::from_bits(cursor.distance), cursor.entry));
                for (index, missing) in &mut short {
                    *missing = missing.saturating_sub(entry.facts[*index].count());
                }
            }
            push(
                &mut heap,
                list,
                pool,
                wanted,
                free,
                cursor.list,
                cursor.at,
                cursor.rightwards,
            );
        }
        in_order_of_preference(pool, anchor, found)
    }
}

/// Nearest first; somebody without a language in common counts as half a window further away.
fn in_order_of_preference(pool: &Pool, anchor: u32, mut found: Vec<(f64, u32)>) -> Vec<u32> {
    let languages = pool.entries[anchor as usize].languages;
    let furthest = found
        .iter()
        .map(|(distance, _)| *distance)
        .fold(0.0, f64::max);
    for (distance, entry) in &mut found {
        if languages & pool.entries[*entry as usize].languages == 0 {
            *distance += furthest / 2.0 + f64::EPSILON;
        }
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    found.into_iter().map(|(_, entry)| entry).collect()
}

/// Cursors on both sides of the anchor, in every list that can help.
fn start(
    lists: &mut [List],
    pool: &Pool,
    wanted: &Wanted,
    free: &[bool],
) -> BinaryHeap<Reverse<Cursor>> {
    let anchor = &pool.entries[wanted.anchor as usize];
    let limits = wanted.limits;
    let region = &pool.regions[wanted.region].name;
    let cap = limits.latency.as_ref().map(|latency| latency.of(region));
    let team_max = limits.teams.iter().map(|team| team.max).max().unwrap_or(0);
    let size_max = team_max.min(limits.players_max().saturating_sub(anchor.size));
    let mut heap = BinaryHeap::new();
    for (number, list) in lists.iter_mut().enumerate() {
        let near = match (cap, list.kind.cap) {
            (None, _) => true,
            (Some(cap), Some(needed)) => needed <= cap,
            (Some(_), None) => false,
        };
        let crossing = anchor.crossing.with(list.kind.crossing);
        if !near || list.kind.size > size_max || crossing == Crossing::Broken {
            continue;
        }
        let at = list.keys.partition_point(|key| *key < anchor.key) as u32;
        let number = number as u32;
        push(
            &mut heap,
            list,
            pool,
            wanted,
            free,
            number,
            at.wrapping_sub(1),
            true,
        );
        push(&mut heap, list, pool, wanted, free, number, at, false);
    }
    heap
}

/// Puts the next free ticket after `at` on the heap, unless it is too far away.
#[expect(
    clippy::too_many_arguments,
    reason = "one call in two places; a struct would only wrap it"
)]
fn push(
    heap: &mut BinaryHeap<Reverse<Cursor>>,
    list: &mut List,
    pool: &Pool,
    wanted: &Wanted,
    free: &[bool],
    number: u32,
    at: u32,
    rightwards: bool,
) {
    let mut at = at;
    let entry = loop {
        let Some(next) = list.next(at, rightwards, free) else {
            return;
        };
        at = next;
        let entry = list.entries[at as usize];
        if entry != wanted.anchor {
            break entry;
        }
    };
    let anchor = &pool.entries[wanted.anchor as usize];
    // The key is the rating when there is a spread.
    let distance = (list.keys[at as usize] - anchor.key).abs();
    if wanted
        .limits
        .rating_spread
        .is_none_or(|spread| distance <= spread)
    {
        heap.push(Reverse(Cursor {
            distance: distance.to_bits(),
            entry,
            list: number,
            at,
            rightwards,
        }));
    }
}

impl List {
    fn new(kind: Kind, entries: Vec<u32>, pool: &Pool) -> Self {
        let length = entries.len() as u32;
        Self {
            kind,
            keys: entries
                .iter()
                .map(|&entry| pool.entries[entry as usize].key)
                .collect(),
            entries,
            right: (1..=length).collect(),
            left: (0..length).map(|at| at.wrapping_sub(1)).collect(),
        }
    }

    /// The nearest position after `at` on one side whose ticket is free. Off the list on the left
    /// is `u32::MAX`. Shortens the way for those who come later.
    fn next(&mut self, at: u32, rightwards: bool, free: &[bool]) -> Option<u32> {
        let first = if rightwards {
            at.wrapping_add(1)
        } else {
            at.wrapping_sub(1)
        };
        let links = if rightwards {
            &mut self.right
        } else {
            &mut self.left
        };
        let taken = |at: u32| {
            self.entries
                .get(at as usize)
                .is_some_and(|entry| !free[*entry as usize])
        };
        let mut end = first;
        while taken(end) {
            end = links[end as usize];
        }
        let mut walk = first;
        while walk != end {
            walk = std::mem::replace(&mut links[walk as usize], end);
        }
        ((end as usize) < self.entries.len()).then_some(end)
    }
}

/// Every cap that any stage has for a region.
fn caps(rules: &RuleSet, pool: &Pool, region: usize) -> BTreeSet<u32> {
    let stages = rules.stages().iter();
    let caps = stages.filter_map(|stage| stage.limits.latency.as_ref());
    caps.map(|latency| latency.of(&pool.regions[region].name))
        .collect()
}

fn brings(facts: &[super::group::Fact]) -> u32 {
    let bit = |(index, fact): (usize, &super::group::Fact)| u32::from(fact.count() > 0) << index;
    facts.iter().enumerate().map(bit).sum()
}

/// Counts with a minimum: the rule's index, and twice as many candidates as a match needs.
fn shortages(limits: &Limits) -> Vec<(usize, u32)> {
    let teams = limits.teams.len() as u32;
    let mut found = Vec::new();
    for (index, rule) in limits.rules.iter().enumerate() {
        let Some(rule) = rule else { continue };
        if let Requirement::Count { min, .. } = rule.requirement {
            let times = if rule.per == Scope::Team { teams } else { 1 };
            found.push((index, 2 * min * times));
        }
    }
    found
}

fn lacking(short: &[(usize, u32)]) -> u32 {
    short
        .iter()
        .filter(|(_, missing)| *missing > 0)
        .map(|(index, _)| 1 << index)
        .sum()
}
