//! The tickets of a pass, checked, in order and interned: the search compares small numbers only.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use wire::RegionName;

use super::group::{Crossing, Fact};
use super::{MAX_REGIONS, Region, World};
use crate::rules::{Rule, RuleSet};
use crate::ticket::{QueueTicket, TicketFault};

/// Stands for a round-trip time that was not measured.
pub(super) const UNKNOWN_MS: u32 = u32::MAX;
/// Languages that can be told apart; what comes after is not preferred.
const MAX_LANGUAGES: usize = 64;

/// A ticket that can be matched.
pub(super) struct Entry<'a> {
    pub(super) ticket: &'a QueueTicket,
    pub(super) size: u32,
    pub(super) waited_s: u64,
    /// Mean mu of the party: what `rating.spread` compares.
    pub(super) rating: f64,
    /// By what neighbours are found: the rating, unless the rules look at something else.
    pub(super) key: f64,
    /// Sum and sum of squares of mu.
    pub(super) mu: (f64, f64),
    /// One for each rule.
    pub(super) facts: Vec<Fact>,
    pub(super) crossing: Crossing,
    /// Languages that the whole party speaks, a bit each.
    pub(super) languages: u64,
    /// Entries with somebody who has blocked, or is blocked by, somebody of this one.
    pub(super) blocked: Vec<u32>,
}

/// Everything a pass looks at.
pub(super) struct Pool<'a> {
    /// Oldest first.
    pub(super) entries: Vec<Entry<'a>>,
    /// Tickets that cannot be matched, with their waiting time.
    pub(super) refused: Vec<(&'a QueueTicket, u64, TicketFault)>,
    /// By name.
    pub(super) regions: Vec<&'a Region>,
    /// Of entry `e` in region `r` at `e * regions + r`: worst of the party, and sum.
    latency: Vec<(u32, u64)>,
    pub(super) languages: Vec<&'a str>,
}

/// Small numbers for texts, in order of appearance.
#[derive(Default)]
struct Names<'a>(HashMap<&'a str, u32, RandomState>);

impl<'a> Names<'a> {
    fn id(&mut self, text: &'a str) -> u32 {
        let next = self.0.len() as u32;
        *self.0.entry(text).or_insert(next)
    }
}

impl<'a> Pool<'a> {
    pub(super) fn new(
        tickets: &'a [QueueTicket],
        rules: &'a RuleSet,
        world: &'a World,
        now_ms: u64,
        seed: u64,
    ) -> Self {
        let (ordered, refused) = admit(tickets, rules, now_ms, seed);
        let mut regions: Vec<&Region> = world.regions.iter().collect();
        regions.sort_by(|a, b| a.name.cmp(&b.name).then(b.room.cmp(&a.room)));
        regions.dedup_by(|a, b| a.name == b.name);
        regions.truncate(MAX_REGIONS);
        let blocked = blocks(&ordered);
        let mut interner = Interner::new(rules);
        let entries: Vec<Entry> = ordered
            .iter()
            .zip(blocked)
            .map(|(ticket, blocked)| interner.entry(ticket, rules, now_ms, blocked))
            .collect();
        let latency = ordered
            .iter()
            .flat_map(|ticket| latencies(ticket, &regions))
            .collect();
        Self {
            entries,
            refused,
            regions,
            latency,
            languages: interner.language_names,
        }
    }

    /// Worst round-trip time of a party to a region, or [`UNKNOWN_MS`].
    pub(super) fn latency_worst(&self, entry: u32, region: usize) -> u32 {
        self.latency[entry as usize * self.regions.len() + region].0
    }

    /// Sum of the round-trip times of a party to a region.
    pub(super) fn latency_sum(&self, entry: u32, region: usize) -> u64 {
        self.latency[entry as usize * self.regions.len() + region].1
    }
}

type Admitted<'a> = (
    Vec<&'a QueueTicket>,
    Vec<(&'a QueueTicket, u64, TicketFault)>,
);

/// The tickets of the mode, oldest first, and apart from them those that cannot be matched.
fn admit<'a>(tickets: &'a [QueueTicket], rules: &RuleSet, now_ms: u64, seed: u64) -> Admitted<'a> {
    let mut ordered: Vec<(u64, u64, &QueueTicket)> = tickets
        .iter()
        .filter(|ticket| ticket.modes.contains(&rules.mode))
        .map(|ticket| (ticket.since_ms, draw(seed, ticket.id.as_str()), ticket))
        .collect();
    // Of two tickets with one id only one is taken, which one must not depend on their order.
    ordered.sort_by(|a, b| {
        let players = |t: &'a QueueTicket| t.players.iter().map(|player| &player.id);
        (a.0, a.1, &a.2.id)
            .cmp(&(b.0, b.1, &b.2.id))
            .then_with(|| players(a.2).cmp(players(b.2)))
    });
    let mut ids = HashMap::with_capacity_and_hasher(ordered.len(), RandomState::default());
    let mut players = HashMap::with_capacity_and_hasher(ordered.len(), RandomState::default());
    let mut admitted = Vec::with_capacity(ordered.len());
    let mut refused = Vec::new();
    for (since_ms, _, ticket) in ordered {
        let mut unique = ids.insert(&ticket.id, ()).is_none();
        let known = |id| players.contains_key(id);
        unique &= !ticket.players.iter().any(|player| known(&player.id));
        for player in &ticket.players {
            // Also finds a player who is in one party twice.
            unique &= !unique || players.insert(&player.id, ()).is_none();
        }
        let checked = if unique {
            ticket.check(rules)
        } else {
            Err(TicketFault::Duplicate)
        };
        match checked {
            Ok(()) => admitted.push(ticket),
            Err(fault) => refused.push((ticket, waited_s(since_ms, now_ms), fault)),
        }
    }
    (admitted, refused)
}

fn waited_s(since_ms: u64, now_ms: u64) -> u64 {
    now_ms.saturating_sub(since_ms) / 1000
}

/// A number for an id that depends on the seed (FNV-1a, then the finisher of SplitMix64).
pub(super) fn draw(seed: u64, id: &str) -> u64 {
    let mut hash = seed ^ 0xcbf2_9ce4_8422_2325;
    for byte in id.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// For each ticket those that it may not meet, in both directions.
fn blocks(tickets: &[&QueueTicket]) -> Vec<Vec<u32>> {
    let mut of_player = HashMap::with_capacity_and_hasher(tickets.len(), RandomState::default());
    for (index, ticket) in tickets.iter().enumerate() {
        of_player.extend(
            ticket
                .players
                .iter()
                .map(|player| (&player.id, index as u32)),
        );
    }
    let mut blocked: Vec<Vec<u32>> = vec![Vec::new(); tickets.len()];
    for (index, ticket) in tickets.iter().enumerate() {
        for id in ticket.players.iter().flat_map(|player| &player.blocks) {
            if let Some(&other) = of_player.get(id) {
                blocked[index].push(other);
                blocked[other as usize].push(index as u32);
            }
        }
    }
    for list in &mut blocked {
        list.sort_unstable();
        list.dedup();
    }
    blocked
}

/// Worst and sum of a party's round-trip times, region by region.
fn latencies<'t>(
    ticket: &'t QueueTicket,
    regions: &'t [&Region],
) -> impl Iterator<Item = (u32, u64)> + 't {
    let mut found = vec![(0_u32, 0_u64); regions.len()];
    for player in &ticket.players {
        // Both are in order of the name.
        let mut measured = player.latency_ms.iter().peekable();
        for (slot, region) in found.iter_mut().zip(regions) {
            while measured.next_if(|(name, _)| **name < region.name).is_some() {}
            let own: Option<(&RegionName, &u32)> =
                measured.next_if(|(name, _)| **name == region.name);
            let ms = own.map_or(UNKNOWN_MS, |(_, ms)| *ms);
            *slot = (slot.0.max(ms), slot.1 + u64::from(ms));
        }
    }
    found.into_iter()
}

struct Interner<'a> {
    values: Names<'a>,
    platforms: Names<'a>,
    languages: Names<'a>,
    language_names: Vec<&'a str>,
    rules: Vec<&'a Rule>,
    /// The rule whose numbers neighbours are found by, if not by rating.
    key_rule: Option<usize>,
}

impl<'a> Interner<'a> {
    fn new(rules: &'a RuleSet) -> Self {
        let first = &rules.stages()[0].limits;
        // The first stage has all rules: soft ones are only dropped later.
        let list: Vec<&Rule> = first.rules.iter().flatten().collect();
        let is_difference =
            |rule: &&Rule| matches!(rule.requirement, crate::rules::Requirement::Difference(_));
        let key_rule = list
            .iter()
            .position(is_difference)
            .filter(|_| first.rating_spread.is_none());
        Self {
            values: Names::default(),
            platforms: Names::default(),
            languages: Names::default(),
            language_names: Vec::new(),
            rules: list,
            key_rule,
        }
    }

    fn entry(
        &mut self,
        ticket: &'a QueueTicket,
        rules: &'a RuleSet,
        now_ms: u64,
        blocked: Vec<u32>,
    ) -> Entry<'a> {
        let mus = || ticket.players.iter().map(|player| player.rating.mu);
        let mu = (mus().sum::<f64>(), mus().map(|mu| mu * mu).sum::<f64>());
        let rating = mu.0 / ticket.players.len() as f64;
        let facts: Vec<Fact> = self
            .rules
            .iter()
            .map(|rule| Fact::of(rule, rules, ticket, &mut |text| self.values.id(text)))
            .collect();
        let key = self
            .key_rule
            .and_then(|rule| facts[rule].middle())
            .unwrap_or(rating);
        let mut crossing = Crossing::default();
        for player in &ticket.players {
            let platform = self.platforms.id(&player.platform);
            crossing = crossing.with(Crossing::of(platform, player.cross_play));
        }
        let speaks = |interner: &mut Self, all: &'a [String]| {
            all.iter()
                .fold(0, |mask, language| mask | interner.language(language))
        };
        let languages = ticket.players.iter().fold(u64::MAX, |mask, player| {
            mask & speaks(self, &player.languages)
        });
        Entry {
            ticket,
            size: ticket.players.len() as u32,
            waited_s: waited_s(ticket.since_ms, now_ms),
            rating,
            key,
            mu,
            facts,
            crossing,
            languages,
            blocked,
        }
    }

    fn language(&mut self, text: &'a str) -> u64 {
        let id = self.languages.id(text) as usize;
        if id == self.language_names.len() {
            self.language_names.push(text);
        }
        if id < MAX_LANGUAGES { 1 << id } else { 0 }
    }
}
