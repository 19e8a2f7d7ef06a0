//! Home regions: where each partition is written when the table has replicas in several regions.
//!
//! A condition on a replicated table holds within one region: of two regions that write one item
//! the later wins, whatever the conditions said. So every partition has one home, which all regions
//! agree on without asking each other, and is written there and nowhere else. What has no home is
//! written where it comes in, and does without conditions ([`Home::Everywhere`]).
//!
//! A region that is lost is evacuated by one record ([`evacuation`]): its homes, and no others,
//! move to the regions that are left, under a higher epoch. What a store writes under an epoch, no
//! store of a lower one writes over once it has seen it.
//!
//! A region that is taken back gets its homes a moment later, when all functions know, and what
//! moves rests shortly before, so that it is where it will be.
//!
//! Not moved to another region is what was written in the last moments before the loss and had not
//! been replicated, about a second; and what a region that was evacuated while it still ran accepts
//! until the record reaches it may be lost, or win over what was written since.

pub mod evacuation;
mod store;

pub use store::HomedStore;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use wire::matching::ROOM_PREFIX;

/// The regions of one table. All functions of all regions have the same list, but for `here`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HomeRegions {
    /// The region of this function.
    here: String,
    /// Every region, and the places that it is closest to: the first part of a name up to a dot
    /// (`eu.lobby`), or the voice region of a world channel. Names of no place have a home as well.
    regions: BTreeMap<String, BTreeSet<String>>,
}

/// Why a list of regions is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadHomeRegions(&'static str);

impl std::fmt::Display for BadHomeRegions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for BadHomeRegions {}

/// Where a partition is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home<'a> {
    /// In this region alone, and read there.
    In(&'a str),
    /// In this region alone, and read wherever it is asked for: as it was a moment ago.
    WrittenIn(&'a str),
    /// Wherever it comes in.
    Everywhere,
}

/// How a partition's home is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Everywhere,
    /// With all of the fleet's records of who may be what, since they are changed together.
    Fleet,
    /// Likewise; a relay that is known is heard although that home is lost.
    Shards,
    /// By the voice region: its relays ask an edge that is close to both. Read as it was a moment
    /// ago, a relay that has just come would be taken for dead and its rooms moved.
    Relays,
    /// By what follows the first `#`, up to another one.
    Name,
    /// By the room, the pair of players or the place of a channel.
    Channel,
}

/// The name by which the fleet's records have their home.
const FLEET: &str = "fleet";

/// Every partition that functions have, by what it begins with.
const RULES: [(&str, Rule); 23] = [
    ("chat#", Rule::Channel),
    ("chat-audit#", Rule::Channel),
    ("chat-floor#", Rule::Channel),
    ("chat-player#", Rule::Name),
    ("chat-react#", Rule::Channel),
    ("chat-report#", Rule::Channel),
    ("chat-report-queue#", Rule::Name),
    ("enrolment-nonce#", Rule::Fleet),
    ("enrolment-tokens", Rule::Fleet),
    ("evacuation", Rule::Everywhere),
    ("home#", Rule::Name),
    ("match#", Rule::Name),
    ("match-details#", Rule::Name),
    ("match-player#", Rule::Name),
    ("match-pool#", Rule::Name),
    ("match-queue#", Rule::Name),
    ("match-world", Rule::Name),
    ("region#", Rule::Relays),
    ("regions", Rule::Everywhere),
    ("relay#", Rule::Fleet),
    ("shard#", Rule::Shards),
    ("usage#", Rule::Name),
    // What tests of stores write.
    ("conformance-", Rule::Name),
];

impl HomeRegions {
    /// Reads a list such as `{"here": "eu-west-1", "regions": {"eu-west-1": ["eu"], "us-east-1":
    /// ["us"]}}`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_json(text: &str) -> Result<Self, BadHomeRegions> {
        let found: Self = serde_json::from_str(text)
            .map_err(|_| BadHomeRegions("not an object of here and regions"))?;
        if !found.regions.contains_key(&found.here) {
            return Err(BadHomeRegions("here is none of regions"));
        }
        let places: Vec<&String> = found.regions.values().flatten().collect();
        let distinct: BTreeSet<&String> = places.iter().copied().collect();
        if distinct.len() != places.len() {
            return Err(BadHomeRegions("two regions have the same place"));
        }
        Ok(found)
    }

    /// The one region of a table without replicas, whatever it is called.
    pub fn alone() -> Self {
        let here = "here".to_owned();
        Self {
            regions: BTreeMap::from([(here.clone(), BTreeSet::new())]),
            here,
        }
    }

    /// The region of this function.
    pub fn here(&self) -> &str {
        &self.here
    }

    /// Every region.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.regions.keys().map(String::as_str)
    }

    /// Where `partition` is written; the same in every region while these are given up.
    pub fn home(&self, partition: &str, gone: &BTreeSet<String>) -> Home<'_> {
        let rule = RULES.iter().find(|(start, _)| partition.starts_with(start));
        let rest = partition
            .split_once('#')
            .map_or(partition, |(_, rest)| rest);
        match rule.map_or(Rule::Name, |(_, rule)| *rule) {
            Rule::Everywhere => Home::Everywhere,
            Rule::Fleet => Home::In(self.region_of(FLEET, gone)),
            Rule::Shards => Home::WrittenIn(self.region_of(FLEET, gone)),
            Rule::Name | Rule::Relays => {
                let name = rest.split('#').next().unwrap_or(rest);
                Home::In(self.region_of(name, gone))
            }
            Rule::Channel => Home::In(self.region_of(of_channel(rest), gone)),
        }
    }

    /// The region of a name's place, or that which the name draws: of several regions each gets its
    /// share, and when one is gone only its own names move (rendezvous hashing).
    fn region_of(&self, name: &str, gone: &BTreeSet<String>) -> &str {
        // On every operation of a table in one region: nothing is drawn there.
        if self.regions.len() == 1 {
            return &self.here;
        }
        // The room of a match goes with the match.
        let name = name.strip_prefix(ROOM_PREFIX).unwrap_or(name);
        let is_left = |region: &&String| !gone.contains(*region);
        let place = name.split_once('.').map_or(name, |(place, _)| place);
        let closest = self
            .regions
            .iter()
            .find(|(_, places)| places.contains(place));
        if let Some(region) = closest.map(|(region, _)| region).filter(is_left) {
            return region;
        }
        let drawn = |region: &&String| {
            let text = format!("{region}\n{name}");
            <[u8; 32]>::from(Sha256::digest(text.as_bytes()))
        };
        let left = self.regions.keys().filter(is_left).max_by_key(drawn);
        // Who gives up every region still has to write somewhere.
        left.unwrap_or(&self.here)
    }
}

/// The name that a channel goes with: voice and text of a room are written in one region.
fn of_channel(place: &str) -> &str {
    match place.split_once('~') {
        Some(("room" | "party" | "world", rest)) => rest.split('~').next().unwrap_or(rest),
        _ => place,
    }
}

#[cfg(test)]
mod tests;
