use serde::{Deserialize, Serialize};
use wire::fleet::{Heartbeat, ListedShard, ShardRecord, ShardState};
use wire::limits::{MAX_CLOCK_SKEW_MS, SHARD_LIVE_S};
use wire::problem::ProblemKind;
use wire::{RegionName, ShardId};

use crate::Refusal;
use crate::change::{unless_lost, until_done};
use crate::items::{self, Held, Over};
use crate::ports::{Entropy, Timer};
use crate::store::{Condition, Item, Key, MAX_QUERY_ITEMS, Put, Query, Store, StoreError, Write};
use crate::stored;

/// How long a shard is remembered after its last heartbeat, in milliseconds.
pub const SHARD_TTL_MS: u64 = 10 * 60 * 1000;
/// How long the index entries of a shard live; they are renewed after half of that.
pub const INDEX_TTL_MS: u64 = 30 * 24 * 60 * 60 * 1000;
/// Most shards of one region that are looked at; each has two items.
pub const MAX_REGION_SHARDS: usize = MAX_QUERY_ITEMS / 2;
/// Most regions that are listed.
const MAX_REGIONS: usize = 100;

/// A shard as the store keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct StoredShard {
    pub(super) record: ShardRecord,
    /// The placement counter at the last heartbeat: what was placed since then is not yet in the
    /// heartbeat's load.
    placed_before: i64,
    /// When the index entries expire.
    indexed_until_ms: u64,
}

stored!(shard: StoredShard);

/// A shard with what was placed on it since its last heartbeat.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) record: ShardRecord,
    pub(super) placed_since: u32,
}

pub(super) fn region_partition(region: &RegionName) -> String {
    format!("region#{region}")
}

pub(super) fn shard_partition(shard: &ShardId) -> String {
    format!("shard#{shard}")
}

fn record_sort(shard: &ShardId) -> String {
    format!("{shard}#shard")
}

fn placed_sort(shard: &ShardId) -> String {
    format!("{shard}#placed")
}

/// Whether the shard's last heartbeat is younger than ten seconds and it is not stopping.
pub fn is_live(record: &ShardRecord, now_ms: u64) -> bool {
    now_ms.saturating_sub(record.seen_at_ms) < SHARD_LIVE_S * 1000
        && record.heartbeat.state != ShardState::Stopping
}

/// Whether rooms may stay on the shard.
pub(super) fn keeps_rooms(record: &ShardRecord, now_ms: u64) -> bool {
    is_live(record, now_ms) && !record.draining && record.heartbeat.state != ShardState::Draining
}

fn body_invalid(detail: &'static str) -> Refusal {
    Refusal::new(ProblemKind::BodyInvalid, detail)
}

/// Takes a heartbeat whose signature was checked, and returns whether the shard should drain.
/// One that is not newer than the last is ignored, so a captured one changes nothing when it is
/// sent again.
///
/// # Errors
/// `body-invalid` when its clock is off by more than [`MAX_CLOCK_SKEW_MS`], `conflict`, or
/// `store-unavailable`.
pub async fn record_heartbeat<H: Entropy + Timer, S: Store>(
    host: &H,
    store: &S,
    now_ms: u64,
    heartbeat: &Heartbeat,
) -> Result<bool, Refusal> {
    if heartbeat.sent_at_ms.abs_diff(now_ms) > MAX_CLOCK_SKEW_MS {
        return Err(body_invalid(
            "Set the relay's clock: sent_at_ms is more than 30 seconds from the edge's clock.",
        ));
    }
    let partition = region_partition(&heartbeat.region);
    let placed = store
        .get(now_ms, Key::new(&partition, &placed_sort(&heartbeat.shard)))
        .await?;
    let placed_before = placed.map_or(0, |item| counter_value(&item.value));
    until_done(host, || async {
        let old = read(store, now_ms, &heartbeat.region, &heartbeat.shard).await?;
        let over = Over::read(old.as_ref());
        let old = old.map(|held| held.value);
        let draining = old.as_ref().is_some_and(|old| old.record.draining);
        if old
            .as_ref()
            .is_some_and(|old| old.record.heartbeat.sent_at_ms >= heartbeat.sent_at_ms)
        {
            return Ok(Some(draining));
        }
        let indexed_until_ms = old.map_or(0, |old| old.indexed_until_ms);
        let mut new = StoredShard {
            record: ShardRecord {
                heartbeat: heartbeat.clone(),
                seen_at_ms: now_ms,
                draining,
            },
            placed_before,
            indexed_until_ms,
        };
        if indexed_until_ms < now_ms + INDEX_TTL_MS / 2 {
            new.indexed_until_ms = now_ms + INDEX_TTL_MS;
            // The index first: it may be without a record, and a record says that it is there.
            write_index(store, now_ms, &new).await?;
        }
        let written = unless_lost(write(store, now_ms, &new, over).await)?;
        Ok(written.map(|()| draining))
    })
    .await
}

/// Sets the operator's drain flag of a shard; it stays until it is set again or the shard is
/// forgotten.
///
/// # Errors
/// `unknown-relay`, `conflict`, or `store-unavailable`.
pub async fn set_draining<H: Entropy + Timer, S: Store>(
    host: &H,
    store: &S,
    now_ms: u64,
    shard: &ShardId,
    draining: bool,
) -> Result<ShardRecord, Refusal> {
    let unknown = || {
        Refusal::new(
            ProblemKind::UnknownRelay,
            "No relay shard of this name has reported within ten minutes; see GET /v1/relays.",
        )
    };
    let region = region_of(store, now_ms, shard).await?.ok_or_else(unknown)?;
    until_done(host, || async {
        let held = read(store, now_ms, &region, shard).await?;
        let mut held = held.ok_or_else(unknown)?;
        if held.value.record.draining == draining {
            return Ok(Some(held.value.record));
        }
        held.value.record.draining = draining;
        let written = unless_lost(write(store, now_ms, &held.value, held.over()).await)?;
        Ok(written.map(|()| held.value.record))
    })
    .await
}

/// What is known of a shard, or none when it has not reported for ten minutes.
///
/// # Errors
/// `store-unavailable`.
pub async fn shard<S: Store>(
    store: &S,
    now_ms: u64,
    shard: &ShardId,
) -> Result<Option<ShardRecord>, Refusal> {
    let Some(region) = region_of(store, now_ms, shard).await? else {
        return Ok(None);
    };
    let stored = read(store, now_ms, &region, shard).await?;
    Ok(stored.map(|held| held.value.record))
}

/// The shards of one region, by id; at most [`MAX_REGION_SHARDS`].
///
/// # Errors
/// `store-unavailable`.
pub async fn shards<S: Store>(
    store: &S,
    now_ms: u64,
    region: &RegionName,
) -> Result<Vec<ListedShard>, Refusal> {
    let candidates = candidates(store, now_ms, region).await?;
    Ok(candidates
        .into_iter()
        .map(|candidate| ListedShard {
            live: is_live(&candidate.record, now_ms),
            record: candidate.record,
        })
        .collect())
}

/// The shards of all regions, by region and id.
///
/// # Errors
/// `store-unavailable`.
pub async fn shards_everywhere<S: Store>(
    store: &S,
    now_ms: u64,
) -> Result<Vec<ListedShard>, Refusal> {
    let mut all = Vec::new();
    for region in store
        .query(now_ms, Query::all(REGIONS, MAX_REGIONS))
        .await?
    {
        let region = items::name(Key::new(REGIONS, &region.sort), &region.sort)?;
        all.extend(shards(store, now_ms, &region).await?);
    }
    Ok(all)
}

const REGIONS: &str = "regions";
const REGION_SORT: &str = "region";

/// The shards of a region that can be read, live or not, in order of their ids.
pub(super) async fn candidates<S: Store>(
    store: &S,
    now_ms: u64,
    region: &RegionName,
) -> Result<Vec<Candidate>, StoreError> {
    let partition = region_partition(region);
    let items = store
        .query(now_ms, Query::all(&partition, MAX_QUERY_ITEMS))
        .await?;
    let mut placed = ("", 0);
    let mut candidates = Vec::with_capacity(items.len());
    for item in &items {
        // `S#placed` sorts directly before `S#shard`.
        match item.sort.split_once('#') {
            Some((shard, "placed")) => placed = (shard, counter_value(&item.value)),
            Some((shard, "shard")) => {
                // A shard of which we cannot tell whether it takes anybody gets nobody, and keeps
                // what is there: whoever would change it, or has a room on it, is refused.
                let Ok(Held { value: stored, .. }) = Held::<StoredShard>::read(&partition, item)
                else {
                    continue;
                };
                let now = if placed.0 == shard { placed.1 } else { 0 };
                let since = now.saturating_sub(stored.placed_before).max(0);
                candidates.push(Candidate {
                    record: stored.record,
                    placed_since: u32::try_from(since).unwrap_or(u32::MAX),
                });
            }
            _ => {}
        }
    }
    Ok(candidates)
}

/// Notes that a room was placed on the shard, or one as large as so many.
pub(super) async fn count_placement<S: Store>(
    store: &S,
    now_ms: u64,
    record: &ShardRecord,
    rooms: u64,
) -> Result<(), StoreError> {
    let partition = region_partition(&record.heartbeat.region);
    let sort = placed_sort(&record.heartbeat.shard);
    // Lives longer than the shard's record, or it would start again below `placed_before`.
    let expires = now_ms + 2 * SHARD_TTL_MS + MAX_CLOCK_SKEW_MS;
    store
        .increment(
            now_ms,
            Key::new(&partition, &sort),
            i64::try_from(rooms).unwrap_or(i64::MAX),
            Some(expires),
        )
        .await?;
    Ok(())
}

pub(super) async fn read<S: Store>(
    store: &S,
    now_ms: u64,
    region: &RegionName,
    shard: &ShardId,
) -> Result<Option<Held<StoredShard>>, StoreError> {
    let (partition, sort) = (region_partition(region), record_sort(shard));
    items::get(store, now_ms, Key::new(&partition, &sort)).await
}

async fn region_of<S: Store>(
    store: &S,
    now_ms: u64,
    shard: &ShardId,
) -> Result<Option<RegionName>, StoreError> {
    let partition = shard_partition(shard);
    let key = Key::new(&partition, REGION_SORT);
    let item = store.get(now_ms, key).await?;
    let name = |item: Item| items::name(key, &String::from_utf8_lossy(&item.value));
    item.map(name).transpose()
}

async fn write<S: Store>(
    store: &S,
    now_ms: u64,
    stored: &StoredShard,
    over: Over,
) -> Result<(), StoreError> {
    let heartbeat = &stored.record.heartbeat;
    let (partition, sort) = (
        region_partition(&heartbeat.region),
        record_sort(&heartbeat.shard),
    );
    let (key, expires) = (Key::new(&partition, &sort), Some(now_ms + SHARD_TTL_MS));
    items::put(store, now_ms, key, stored, expires, over).await?;
    Ok(())
}

/// Apart from the record: they may be written in different regions ([`crate::homes`]), and so not
/// at once.
async fn write_index<S: Store>(
    store: &S,
    now_ms: u64,
    stored: &StoredShard,
) -> Result<(), StoreError> {
    let region = stored.record.heartbeat.region.as_str();
    let partition = shard_partition(&stored.record.heartbeat.shard);
    let index = |key, value| {
        Write::Put(Put {
            key,
            value,
            expires_at_ms: Some(stored.indexed_until_ms),
            condition: Condition::Always,
        })
    };
    let writes = [
        index(Key::new(&partition, REGION_SORT), region.as_bytes()),
        index(Key::new(REGIONS, region), b""),
    ];
    store.commit(now_ms, &writes).await
}

fn counter_value(digits: &[u8]) -> i64 {
    std::str::from_utf8(digits)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}
