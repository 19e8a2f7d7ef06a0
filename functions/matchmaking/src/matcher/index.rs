//! Finding neighbours: per region, the tickets by rating in lists of tickets that are alike.
//!
//! A list holds tickets that can or cannot help an anchor as one (too far away, too large, the
//! wrong platform, no healer), so that what cannot is skipped as a whole and never scanned.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::fact::{Crossing, Fact};
use super::group::Group;
use super::pool::{Entry, Pool, UNKNOWN_MS};
use super::search::Failure;
use crate::rules::{Limits, Requirement, RuleSet, Scope};

/// How much more work a ticket is whose attributes must be read.
const CLOSE_LOOK: u64 = 4;
/// Lists that are as much work as one ticket.
const LISTS_PER_TICKET: usize = 4;
/// Candidates looked at for each that is taken.
const SCAN_PER_CANDIDATE: usize = 4;

/// What many tickets have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Shape {
    size: u32,
    crossing: Crossing,
    /// Players with the counted value, of each rule.
    counts: Vec<u32>,
}

/// Tickets of one shape that have the same cap in a region.
struct List {
    /// The smallest cap of any stage that lets them play in the region; `None`: no cap does.
    cap: Option<u32>,
    /// Index of the shape.
    shape: u32,
    /// Of the rules that its tickets count for, a bit each.
    brings: u32,
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
    shapes: Vec<Shape>,
    shape_of: Vec<u32>,
    /// For each stage that was asked about, and each shape: the rule because of which no team can
    /// have such a ticket.
    hopeless: BTreeMap<usize, Vec<Option<usize>>>,
    regions: Vec<Vec<List>>,
}

/// What is looked for.
pub(super) struct Wanted<'a> {
    pub(super) anchor: u32,
    pub(super) region: usize,
    /// The anchor's stage and its limits.
    pub(super) stage: usize,
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
        let mut numbers: BTreeMap<Shape, u32> = BTreeMap::new();
        let shape_of = |entry: &Entry| {
            let next = numbers.len() as u32;
            *numbers.entry(Shape::of(entry)).or_insert(next)
        };
        let shape_of: Vec<u32> = pool.entries.iter().map(shape_of).collect();
        let mut shapes: Vec<(u32, Shape)> = numbers.into_iter().map(|(s, n)| (n, s)).collect();
        shapes.sort_by_key(|(number, _)| *number);
        let shapes: Vec<Shape> = shapes.into_iter().map(|(_, shape)| shape).collect();
        let regions = (0..pool.regions.len())
            .map(|region| lists(pool, rules, region, &by_key, &shape_of, &shapes))
            .collect();
        Self {
            shapes,
            shape_of,
            hopeless: BTreeMap::new(),
            regions,
        }
    }

    /// Free tickets near the anchor that may each be in a match with it, best first; or why it is
    /// plain that they are too few. Takes what it looks at from `work`.
    pub(super) fn gather(
        &mut self,
        pool: &Pool,
        wanted: &Wanted,
        free: &[bool],
        work: &mut u64,
    ) -> Result<Vec<u32>, Failure> {
        let Wanted { anchor, limits, .. } = *wanted;
        let entry = &pool.entries[anchor as usize];
        let shapes = &self.shapes;
        let judge = || shapes.iter().map(|shape| shape.breaks(limits)).collect();
        let hopeless: &Vec<_> = self.hopeless.entry(wanted.stage).or_insert_with(judge);
        let own = hopeless[self.shape_of[anchor as usize] as usize];
        if let Some(rule) = own.or_else(|| Group::broken_alone(entry, limits)) {
            return Err(Failure::Rule(rule));
        }
        let Ok(alone) = Group::empty(limits).with(entry, limits, Scope::Match) else {
            return Ok(Vec::new());
        };
        let mut walk = Walk {
            shapes,
            hopeless,
            lists: &mut self.regions[wanted.region],
            pool,
            wanted,
            alone,
            free,
            heap: BinaryHeap::new(),
            usable: Vec::new(),
            is_plain: is_plain(limits),
            looked_at: 0,
        };
        walk.find_lists();
        let found = walk.has_what_is_rare().map(|()| walk.nearest());
        let each = if walk.is_plain { 1 } else { CLOSE_LOOK };
        *work = work.saturating_sub(walk.looked_at as u64 * each);
        Ok(in_order_of_preference(pool, anchor, found?))
    }
}

/// A walk from the anchor outwards, through all lists of a region that can help it.
struct Walk<'a> {
    shapes: &'a [Shape],
    hopeless: &'a [Option<usize>],
    lists: &'a mut [List],
    pool: &'a Pool<'a>,
    wanted: &'a Wanted<'a>,
    /// The match so far.
    alone: Group,
    free: &'a [bool],
    heap: BinaryHeap<Reverse<Cursor>>,
    /// Numbers of the lists, each with the anchor's place in it.
    usable: Vec<(u32, u32)>,
    /// Whether the tickets of usable lists differ by their ratings and blocks alone.
    is_plain: bool,
    looked_at: usize,
}

impl Walk<'_> {
    /// Lists of which a ticket could be in a match with the anchor.
    fn find_lists(&mut self) {
        let anchor = &self.pool.entries[self.wanted.anchor as usize];
        let limits = self.wanted.limits;
        let region = &self.pool.regions[self.wanted.region].name;
        let cap = limits.latency.as_ref().map(|latency| latency.of(region));
        let team_max = limits.teams.iter().map(|team| team.max).max().unwrap_or(0);
        let size_max = team_max.min(limits.players_max().saturating_sub(anchor.size));
        for (number, list) in self.lists.iter().enumerate() {
            let shape = &self.shapes[list.shape as usize];
            let near = match (cap, list.cap) {
                (None, _) => true,
                (Some(cap), Some(needed)) => needed <= cap,
                (Some(_), None) => false,
            };
            let crossing = anchor.crossing.with(shape.crossing);
            let fits = shape.size <= size_max && crossing != Crossing::Broken;
            if near && fits && self.hopeless[list.shape as usize].is_none() {
                let at = list.keys.partition_point(|key| *key < anchor.key);
                self.usable.push((number as u32, at as u32));
            }
        }
        self.looked_at += self.usable.len() / LISTS_PER_TICKET;
    }

    /// Puts cursors on both sides of the anchor into every list that brings one of `values`.
    fn start(&mut self, values: Option<u32>) {
        self.heap.clear();
        for index in 0..self.usable.len() {
            let (number, at) = self.usable[index];
            let brings = self.lists[number as usize].brings;
            if values.is_none_or(|values| brings & values != 0) {
                self.push(number, at.wrapping_sub(1), true);
                self.push(number, at, false);
            }
        }
    }

    /// Whether there are enough of the players that a count asks for, near enough to each other;
    /// often that is what fails, and it is cheap to find out, for few lists have them.
    fn has_what_is_rare(&mut self) -> Result<(), Failure> {
        let own = &self.pool.entries[self.wanted.anchor as usize].facts;
        let mut short = shortages(self.wanted.limits, own);
        short.retain(|(_, missing)| *missing > 0);
        if short.is_empty() {
            return Ok(());
        }
        let mut seen: Vec<Vec<(f64, u32)>> = vec![Vec::new(); short.len()];
        self.start(Some(lacking(&short)));
        while let Some(cursor) = self.pop() {
            let list = &self.lists[cursor.list as usize];
            let (brings, key) = (list.brings, list.keys[cursor.at as usize]);
            if self.fits(&cursor) {
                let counts = &self.shapes[list.shape as usize].counts;
                for ((rule, missing), seen) in short.iter_mut().zip(&mut seen) {
                    seen.push((key, counts[*rule]));
                    if *missing > 0 && counts[*rule] > 0 && self.are_together(seen, *missing) {
                        *missing = 0;
                    }
                }
            }
            let missing = lacking(&short);
            if missing == 0 || self.looked_at > self.scan_max() {
                return Ok(());
            }
            if brings & missing != 0 {
                self.push(cursor.list, cursor.at, cursor.rightwards);
            }
        }
        let missing = short.iter().find(|(_, missing)| *missing > 0);
        missing.map_or(Ok(()), |(rule, _)| Err(Failure::Rule(*rule)))
    }

    /// Whether some of the tickets seen, by their keys, bring enough and are within the rating
    /// spread of each other and of the anchor.
    fn are_together(&self, seen: &[(f64, u32)], needed: u32) -> bool {
        let anchor = self.pool.entries[self.wanted.anchor as usize].key;
        let spread = self.wanted.limits.rating_spread.unwrap_or(f64::INFINITY);
        let lowest = seen.iter().map(|(key, _)| key.min(anchor));
        let mut from = lowest.filter(|low| anchor - low <= spread);
        from.any(|low| {
            let within = seen
                .iter()
                .filter(|(key, _)| *key >= low && key - low <= spread);
            within.map(|(_, count)| count).sum::<u32>() >= needed
        })
    }

    /// The nearest that fit, as many as are wanted, and more of those who bring what is rare.
    fn nearest(&mut self) -> Vec<(f64, u32)> {
        let window = self.wanted.window;
        // Twice as many as a match needs, for a choice.
        let mut short = shortages(self.wanted.limits, &[]);
        short.iter_mut().for_each(|(_, missing)| *missing *= 2);
        let mut found = Vec::with_capacity(window);
        let most = self.looked_at + self.scan_max();
        self.start(None);
        while let Some(cursor) = self.pop() {
            // Once there are enough, only what is short is still wanted.
            let brings = self.lists[cursor.list as usize].brings;
            if found.len() >= window && brings & lacking(&short) == 0 {
                continue;
            }
            if self.looked_at > most {
                break;
            }
            if self.fits(&cursor) {
                found.push((f64::from_bits(cursor.distance), cursor.entry));
                self.take(&mut short, &cursor);
            }
            self.push(cursor.list, cursor.at, cursor.rightwards);
        }
        found
    }

    fn scan_max(&self) -> usize {
        self.wanted.window * SCAN_PER_CANDIDATE
    }

    fn pop(&mut self) -> Option<Cursor> {
        let Reverse(cursor) = self.heap.pop()?;
        self.looked_at += 1;
        Some(cursor)
    }

    fn fits(&self, cursor: &Cursor) -> bool {
        let blocked = &self.pool.entries[self.wanted.anchor as usize].blocked;
        if blocked.binary_search(&cursor.entry).is_ok() {
            return false;
        }
        if self.is_plain {
            return true;
        }
        let entry = &self.pool.entries[cursor.entry as usize];
        Group::broken_alone(entry, self.wanted.limits).is_none()
            && self.alone.admits(entry, self.wanted.limits)
    }

    /// Counts a ticket towards what is short.
    fn take(&self, short: &mut [(usize, u32)], cursor: &Cursor) {
        let list = &self.lists[cursor.list as usize];
        let counts = &self.shapes[list.shape as usize].counts;
        for (index, missing) in short {
            *missing = missing.saturating_sub(counts[*index]);
        }
    }

    /// Puts the next free ticket after `at` on the heap, unless it is too far away.
    fn push(&mut self, number: u32, mut at: u32, rightwards: bool) {
        let list = &mut self.lists[number as usize];
        let entry = loop {
            let Some(next) = list.next(at, rightwards, self.free) else {
                return;
            };
            at = next;
            let entry = list.entries[at as usize];
            if entry != self.wanted.anchor {
                break entry;
            }
        };
        let anchor = &self.pool.entries[self.wanted.anchor as usize];
        // The key is the rating when there is a spread.
        let distance = (list.keys[at as usize] - anchor.key).abs();
        let spread = self.wanted.limits.rating_spread;
        if spread.is_none_or(|spread| distance <= spread) {
            self.heap.push(Reverse(Cursor {
                distance: distance.to_bits(),
                entry,
                list: number,
                at,
                rightwards,
            }));
        }
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

impl List {
    fn new(cap: Option<u32>, shape: u32, shapes: &[Shape], entries: Vec<u32>, pool: &Pool) -> Self {
        let length = entries.len() as u32;
        let counts = shapes[shape as usize].counts.iter().enumerate();
        Self {
            cap,
            shape,
            brings: counts
                .map(|(rule, count)| u32::from(*count > 0) << rule)
                .sum(),
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

/// The lists of a region.
fn lists(
    pool: &Pool,
    rules: &RuleSet,
    region: usize,
    by_key: &[u32],
    shape_of: &[u32],
    shapes: &[Shape],
) -> Vec<List> {
    let caps = caps(rules, pool, region);
    // By shape and then by cap, the last for those that no cap lets in.
    let columns = caps.len() + 1;
    let mut found: Vec<Vec<u32>> = vec![Vec::new(); shapes.len() * columns];
    for &entry in by_key {
        let worst = pool.latency_worst(entry, region);
        let column = if worst == UNKNOWN_MS {
            caps.len()
        } else {
            caps.partition_point(|cap| *cap < worst)
        };
        found[shape_of[entry as usize] as usize * columns + column].push(entry);
    }
    let list = |(place, entries): (usize, Vec<u32>)| {
        let (shape, column) = (place / columns, place % columns);
        List::new(
            caps.get(column).copied(),
            shape as u32,
            shapes,
            entries,
            pool,
        )
    };
    let some = found.into_iter().enumerate();
    some.filter(|(_, entries)| !entries.is_empty())
        .map(list)
        .collect()
}

/// Every cap that any stage has for a region, the smallest first.
fn caps(rules: &RuleSet, pool: &Pool, region: usize) -> Vec<u32> {
    let stages = rules.stages().iter();
    let caps = stages.filter_map(|stage| stage.limits.latency.as_ref());
    let caps: BTreeSet<u32> = caps
        .map(|latency| latency.of(&pool.regions[region].name))
        .collect();
    caps.into_iter().collect()
}

impl Shape {
    fn of(entry: &Entry) -> Self {
        Self {
            size: entry.size,
            crossing: entry.crossing,
            counts: entry.facts.iter().map(Fact::count).collect(),
        }
    }

    /// The count that keeps such a ticket out of every team: it has too many, or leaves no room
    /// for those who are missing.
    fn breaks(&self, limits: &Limits) -> Option<usize> {
        let mut group = Group::empty(limits);
        for (index, rule) in limits.rules.iter().enumerate() {
            if let Some(rule) = rule
                && let requirement @ Requirement::Count { .. } = &rule.requirement
            {
                let fact = Fact::Count(self.counts[index]);
                if !fact.may_meet(requirement) {
                    return Some(index);
                }
                if rule.per == Scope::Team {
                    group.facts[index] = fact;
                }
            }
        }
        let largest = limits.teams.iter().map(|team| team.max).max().unwrap_or(0);
        let missing = group.lacking(limits, Scope::Team);
        (self.size + missing > largest).then(|| group.lacks_first(limits, Scope::Team))?
    }
}

/// Whether the rules see nothing of a ticket but what its list says.
fn is_plain(limits: &Limits) -> bool {
    let mut rules = limits.rules.iter().flatten();
    rules.all(|rule| {
        rule.per == Scope::Team && matches!(rule.requirement, Requirement::Count { .. })
    })
}

/// Counts with a minimum: the rule's index, and how many players a match needs besides those
/// with the facts of a party that is in it.
fn shortages(limits: &Limits, own: &[Fact]) -> Vec<(usize, u32)> {
    let teams = limits.teams.len() as u32;
    let mut found = Vec::new();
    for (index, rule) in limits.rules.iter().enumerate() {
        let Some(rule) = rule else { continue };
        if let Requirement::Count { min, .. } = rule.requirement {
            let times = if rule.per == Scope::Team { teams } else { 1 };
            // A party is in one team, and what it has too many of does not help the others.
            let brought = own.get(index).map_or(0, |fact| fact.count().min(min));
            found.push((index, min * times - brought));
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
