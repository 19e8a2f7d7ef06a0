//! Buckets: the shards of a region, in partitions of a few dozen.
//!
//! A partition of the store takes 3,000 reads and 1,000 writes a second, so what every new room
//! reads must not be one partition however large a region is. A shard's bucket is drawn by a hash
//! of its name. Bucket 0 is `region#R`, where all shards were before there were others, and all
//! there is while a region is small; bucket 7 is `region#R#7`.
//!
//! How many there are is one item. It grows by a factor of two, or several: a shard's record is
//! moved by its next heartbeat, in one commit, so there is one record of a shard at any time. What
//! is kept of where it was (in a room's home, in the shard's index) is a hint: where that is wrong,
//! [`find`] looks at the few buckets that it may be in.
//!
//! **Releases side by side.** One from before buckets reads and writes `region#R` alone. It finds
//! every shard while a region has one bucket, and growing begins only [`GROWS_AFTER_MS`] after it
//! was decided, when that release is gone. A record that it writes after that is still found, in
//! bucket 0, and of two the later counts.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wire::limits::MAX_CLOCK_SKEW_MS;
use wire::{RegionName, ShardId};

use super::ended::{self, StoredEnded};
use super::record::{StoredShard, is_live, record_sort};
use crate::change::unless_lost;
use crate::items::{self, Held};
use crate::ports::Entropy;
use crate::store::{Key, Store, StoreError};

/// Above so many shards in a bucket a region gets more of them; up to so many, placement looks at
/// all shards of a region.
pub const MAX_BUCKET_SHARDS: usize = 64;
/// Shards in a bucket, when their number is chosen.
const AIMED_SHARDS: usize = 32;
/// Most buckets of a region.
pub const MAX_BUCKETS: u32 = 256;
/// Most buckets that placement reads before it gives up.
pub const MAX_DRAWN: usize = 16;
/// From a decision to have more buckets until they are used, in milliseconds. In this time every
/// function must be of a release that knows buckets, or of the same one again after a rollback.
pub const GROWS_AFTER_MS: u64 = 24 * 60 * 60 * 1000;
/// So long before they are used, their number is settled: clocks differ, and requests take time.
const SETTLED_MS: u64 = 60 * 60 * 1000;
const SORT: &str = "count";

/// How many buckets the shards of a region are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Buckets {
    /// A power of two.
    count: u32,
    /// As many as until `from_ms`.
    before: u32,
    /// From when `count` holds, Unix milliseconds.
    from_ms: u64,
}

crate::stored!(buckets: Buckets);

impl Default for Buckets {
    fn default() -> Self {
        Self {
            count: 1,
            before: 1,
            from_ms: 0,
        }
    }
}

impl Buckets {
    /// How many there are at a moment.
    pub(super) fn at(self, now_ms: u64) -> u32 {
        let count = if now_ms < self.from_ms {
            self.before
        } else {
            self.count
        };
        count.clamp(1, MAX_BUCKETS)
    }

    /// Every bucket that a shard's record may be in, the newest last. Records move that way only,
    /// so whoever looks in this order misses none that moves meanwhile.
    pub(super) fn of(self, shard: &ShardId) -> Vec<u32> {
        let counts = [1, self.before, self.count];
        let mut buckets = counts
            .map(|count| bucket_of(shard, count.clamp(1, MAX_BUCKETS)))
            .to_vec();
        if buckets[0] == buckets[1] || buckets[0] == buckets[2] {
            buckets.remove(0);
        }
        buckets.dedup();
        buckets
    }

    /// The bucket in which a shard's record stays once it is there: clocks differ.
    pub(super) fn newest(self, shard: &ShardId) -> u32 {
        bucket_of(shard, self.count.clamp(1, MAX_BUCKETS))
    }

    /// Every bucket in which a shard of the region may be.
    pub(super) fn all(self) -> std::ops::Range<u32> {
        0..self.count.max(self.before).clamp(1, MAX_BUCKETS)
    }

    /// The buckets in which shards are that were in `bucket` a day ago at most, itself the first.
    pub(super) fn told(self, bucket: u32, now_ms: u64) -> Vec<u32> {
        let before = self.before.clamp(1, MAX_BUCKETS);
        let grew = self.from_ms.saturating_sub(MAX_CLOCK_SKEW_MS)
            ..self.from_ms.saturating_add(GROWS_AFTER_MS);
        // Both are powers of two, and a shard's bucket the last bits of its hash.
        let has_come = |other: &u32| {
            *other != bucket
                && bucket < before
                && *other % before == bucket
                && grew.contains(&now_ms)
        };
        std::iter::once(bucket)
            .chain(self.all().filter(has_come))
            .collect()
    }

    /// What should be when a bucket has so many shards; none where that is well.
    fn grown(self, now_ms: u64, shards: usize) -> Option<Self> {
        if shards <= MAX_BUCKET_SHARDS {
            return None;
        }
        let of_each = u32::try_from(shards.div_ceil(AIMED_SHARDS)).unwrap_or(MAX_BUCKETS);
        let wanted = self.at(now_ms).saturating_mul(of_each);
        let count = wanted.next_power_of_two().min(MAX_BUCKETS);
        let is_decided = now_ms < self.from_ms;
        if count <= self.count || is_decided && self.from_ms < now_ms + SETTLED_MS {
            return None;
        }
        Some(Self {
            count,
            before: self.at(now_ms),
            from_ms: match is_decided {
                true => self.from_ms,
                false => now_ms + GROWS_AFTER_MS,
            },
        })
    }
}

/// A shard's record and the bucket that it is in.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) held: Held<StoredShard>,
    pub(super) bucket: u32,
}

/// The bucket of a shard among `count`, a power of two.
pub(super) fn bucket_of(shard: &ShardId, count: u32) -> u32 {
    let hash = <[u8; 32]>::from(Sha256::digest(shard.as_str().as_bytes()));
    u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]) & (count - 1)
}

pub(super) fn bucket_partition(region: &RegionName, bucket: u32) -> String {
    match bucket {
        0 => format!("region#{region}"),
        bucket => format!("region#{region}#{bucket}"),
    }
}

/// What follows `region#` in the partition of a bucket, and back: how a shard's index says where
/// it is. A release from before buckets reads that of bucket 0.
pub(super) fn address(region: &RegionName, bucket: u32) -> String {
    match bucket {
        0 => region.to_string(),
        bucket => format!("{region}#{bucket}"),
    }
}

/// An [`address`], read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address(pub(super) (RegionName, u32));

/// The text is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadAddress;

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let (region, bucket) = match text.split_once('#') {
            Some((region, bucket)) => (region, bucket.parse().map_err(|_| BadAddress)?),
            None => (text, 0),
        };
        let region = RegionName::new(region).map_err(|_| BadAddress)?;
        Ok(Self((region, bucket)))
    }
}

/// Apart from the buckets, since every heartbeat and every placement reads it.
pub(super) fn count_partition(region: &RegionName) -> String {
    format!("region#{region}#buckets")
}

/// How many buckets a region has.
pub(super) async fn buckets<S: Store>(
    store: &S,
    now_ms: u64,
    region: &RegionName,
) -> Result<Held<Buckets>, StoreError> {
    let partition = count_partition(region);
    let held = items::get(store, now_ms, Key::new(&partition, SORT)).await?;
    Ok(held.unwrap_or_default())
}

/// The same for a heartbeat, with whose sessions end there: as much as one read.
pub(super) async fn buckets_and_ended<S: Store>(
    store: &S,
    now_ms: u64,
    region: &RegionName,
) -> Result<(Held<Buckets>, StoredEnded), StoreError> {
    let partition = count_partition(region);
    let found = items::range(store, now_ms, &partition, (SORT, ended::SORT), 2).await?;
    let (mut buckets, mut all) = (Held::default(), StoredEnded::default());
    for item in &found {
        match item.sort.as_str() {
            SORT => buckets = Held::read(&partition, item)?,
            ended::SORT => all = Held::read(&partition, item)?.value,
            _ => {}
        }
    }
    Ok((buckets, all))
}

/// Has the region get more buckets when one has so many shards. If somebody else changes it at the
/// same time, that does.
pub(super) async fn grow<S: Store>(
    store: &S,
    now_ms: u64,
    region: &RegionName,
    held: &Held<Buckets>,
    shards: usize,
) -> Result<(), StoreError> {
    let Some(grown) = held.value.grown(now_ms, shards) else {
        return Ok(());
    };
    let partition = count_partition(region);
    let key = Key::new(&partition, SORT);
    unless_lost(items::put(store, now_ms, key, &grown, None, held.over()).await)?;
    Ok(())
}

/// The record of a shard: one read where it is live and in the bucket of the hint. Of several, as
/// releases side by side may leave them, the latest.
pub(super) async fn find<S: Store>(
    store: &S,
    now_ms: u64,
    region: &RegionName,
    shard: &ShardId,
    hint: u32,
) -> Result<Option<Found>, StoreError> {
    let mut latest = read(store, now_ms, region, shard, hint).await?;
    let is_live = |found: &Found| is_live(&found.held.value.record, now_ms);
    if latest.as_ref().is_some_and(is_live) {
        return Ok(latest);
    }
    let buckets = buckets(store, now_ms, region).await?.value.of(shard);
    for (left, &bucket) in (0..buckets.len()).rev().zip(&buckets) {
        // Again where it may have come to meanwhile.
        if bucket != hint || left == 0 && buckets.len() > 1 {
            latest = later(latest, read(store, now_ms, region, shard, bucket).await?);
        }
    }
    Ok(latest)
}

/// The one of two that was seen later.
pub(super) fn later(one: Option<Found>, other: Option<Found>) -> Option<Found> {
    let seen = |found: &Option<Found>| {
        let found = found.as_ref();
        found.map(|found| found.held.value.record.seen_at_ms)
    };
    if seen(&other) > seen(&one) {
        other
    } else {
        one
    }
}

/// The record of a shard in a bucket.
pub(super) async fn read<S: Store>(
    store: &S,
    now_ms: u64,
    region: &RegionName,
    shard: &ShardId,
    bucket: u32,
) -> Result<Option<Found>, StoreError> {
    let (partition, sort) = (bucket_partition(region, bucket), record_sort(shard));
    let held = items::get(store, now_ms, Key::new(&partition, &sort)).await?;
    Ok(held.map(|held| Found { held, bucket }))
}

/// The buckets of `count` in the order in which a placement reads them, [`MAX_DRAWN`] at most:
/// drawn anew each time, so that none is read more than others.
pub(super) fn drawn<H: Entropy>(host: &H, count: u32) -> Vec<u32> {
    let mut buckets: Vec<u32> = (0..count).collect();
    let most = buckets.len().min(MAX_DRAWN);
    let mut chance = [0; 4 * MAX_DRAWN];
    // Where all are read together, the order does not matter.
    if buckets.len() > 2 {
        host.fill(&mut chance);
    }
    for (at, word) in chance.chunks_exact(4).take(most).enumerate() {
        let word = u32::from_le_bytes(word.try_into().expect("chunks of four"));
        let left = buckets.len() - at;
        buckets.swap(at, at + word as usize % left);
    }
    buckets.truncate(most);
    buckets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::schedule::Chance;

    const NOW_MS: u64 = 1_700_000_000_000;

    struct Seeded(Chance);

    impl Entropy for Seeded {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill_with(|| self.0.next() as u8);
        }
    }

    #[test]
    fn an_address_is_that_of_old_while_there_is_one_bucket() {
        let region: RegionName = "eu-1".parse().unwrap();
        assert_eq!(bucket_partition(&region, 0), "region#eu-1");
        assert_eq!(address(&region, 0), "eu-1");
        for bucket in [0, 1, 255] {
            let address = address(&region, bucket);
            assert_eq!(
                format!("region#{address}"),
                bucket_partition(&region, bucket)
            );
            assert_eq!(address.parse(), Ok(Address((region.clone(), bucket))));
        }
        for wrong in ["", "a b", "eu#", "eu#x", "eu#1#2"] {
            assert_eq!(wrong.parse::<Address>(), Err(BadAddress), "{wrong}");
        }
    }

    #[test]
    fn more_buckets_are_decided_a_day_before_they_are_used() {
        let one = Buckets::default();
        assert_eq!(one.grown(NOW_MS, MAX_BUCKET_SHARDS), None);
        let four = one.grown(NOW_MS, MAX_BUCKET_SHARDS + 1).unwrap();
        let from_ms = NOW_MS + GROWS_AFTER_MS;
        assert_eq!((four.count, four.before, four.from_ms), (4, 1, from_ms));
        assert_eq!((four.at(from_ms - 1), four.at(from_ms)), (1, 4));
        // Until shortly before, it may become more, at the same time.
        let later_ms = from_ms - SETTLED_MS;
        let more = four.grown(later_ms, 1_000).unwrap();
        assert_eq!((more.count, more.before, more.from_ms), (32, 1, from_ms));
        assert_eq!(more.grown(later_ms, 100), None, "never less");
        assert_eq!(four.grown(later_ms + 1, 1_000), None);
        let again = more.grown(from_ms, 100).unwrap();
        let next_ms = from_ms + GROWS_AFTER_MS;
        assert_eq!(
            (again.count, again.before, again.from_ms),
            (128, 32, next_ms)
        );
        let most = again.grown(next_ms, 1_000).unwrap();
        assert_eq!(most.count, MAX_BUCKETS);
        assert_eq!(most.grown(u64::MAX / 2, 1_000), None);
    }

    #[test]
    fn a_shard_is_looked_for_where_it_was_first_before_where_it_goes() {
        let buckets = |before, count| Buckets {
            count,
            before,
            from_ms: NOW_MS,
        };
        for number in 0..500 {
            let shard: ShardId = format!("shard-{number}").parse().unwrap();
            for (before, count) in [(1, 1), (1, 4), (4, 32), (32, 256)] {
                let found = buckets(before, count).of(&shard);
                let wanted = [1, before, count].map(|count| bucket_of(&shard, count));
                assert_eq!(found.last(), Some(&wanted[2]));
                assert!(
                    wanted.iter().all(|bucket| found.contains(bucket)),
                    "{wanted:?}"
                );
                let distinct: std::collections::BTreeSet<_> = found.iter().collect();
                assert_eq!(distinct.len(), found.len(), "{found:?}");
            }
        }
    }

    #[test]
    fn for_a_day_who_left_a_bucket_is_told_as_those_who_stayed() {
        let grown = Buckets {
            count: 16,
            before: 4,
            from_ms: NOW_MS,
        };
        for (at_ms, is_told) in [
            (NOW_MS - MAX_CLOCK_SKEW_MS - 1, false),
            (NOW_MS - MAX_CLOCK_SKEW_MS, true),
            (NOW_MS + GROWS_AFTER_MS - 1, true),
            (NOW_MS + GROWS_AFTER_MS, false),
        ] {
            for number in 0..500 {
                let shard: ShardId = format!("shard-{number}").parse().unwrap();
                let (old, new) = (bucket_of(&shard, 4), bucket_of(&shard, 16));
                assert_eq!(grown.told(old, at_ms)[0], old);
                let is_there = old == new || is_told;
                assert_eq!(grown.told(old, at_ms).contains(&new), is_there);
                let other = (old + 1) % 4;
                assert!(!grown.told(other, at_ms).contains(&new));
            }
            assert_eq!(grown.told(7, at_ms), [7], "nobody was there before");
        }
        assert_eq!(Buckets::default().told(0, NOW_MS), [0]);
    }

    #[test]
    fn what_the_store_says_is_bounded() {
        for (count, before) in [(0, 0), (u32::MAX, u32::MAX), (3, 0)] {
            let odd = Buckets {
                count,
                before,
                from_ms: NOW_MS,
            };
            assert!((1..=MAX_BUCKETS).contains(&odd.at(NOW_MS)));
            assert!(odd.all().end <= MAX_BUCKETS);
            let shard = "a".parse().unwrap();
            assert!(odd.of(&shard).contains(&0));
            assert!(odd.told(0, NOW_MS).len() <= MAX_BUCKETS as usize);
        }
    }

    #[test]
    fn each_bucket_is_drawn_as_often_as_every_other_and_once() {
        let host = Seeded(Chance::new(1));
        for count in [1, 2, 4, 16, 64] {
            let mut first = vec![0_u32; count as usize];
            for _ in 0..500 * count {
                let drawn = drawn(&host, count);
                assert_eq!(drawn.len(), MAX_DRAWN.min(count as usize));
                let mut distinct = drawn.clone();
                distinct.sort_unstable();
                distinct.dedup();
                assert_eq!(distinct.len(), drawn.len());
                first[drawn[0] as usize] += 1;
            }
            if count > 2 {
                let fair = |drawn: &u32| (380..=620).contains(drawn);
                assert!(first.iter().all(fair), "{count}: {first:?}");
            }
        }
    }
}
