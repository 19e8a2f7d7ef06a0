//! How many rooms were placed on each shard since it last said how many it has.

use wire::fleet::ShardRecord;
use wire::limits::MAX_CLOCK_SKEW_MS;
use wire::{RegionName, ShardId};

use super::bucket::bucket_partition;
use super::record::{SHARD_TTL_MS, StoredShard};
use crate::items::Held;
use crate::store::{Key, MAX_QUERY_ITEMS, Query, Store, StoreError};

/// A shard with what was placed on it since its last heartbeat.
#[derive(Debug, Clone)]
pub(super) struct ShardLoad {
    pub(super) record: ShardRecord,
    pub(super) bucket: u32,
    pub(super) placed_since: u32,
}

pub(super) fn placed_sort(shard: &ShardId) -> String {
    format!("{shard}#placed")
}

/// The shards of a bucket that can be read, live or not, in order of their ids.
pub(super) async fn loads<S: Store>(
    store: &S,
    now_ms: u64,
    region: &RegionName,
    bucket: u32,
) -> Result<Vec<ShardLoad>, StoreError> {
    let partition = bucket_partition(region, bucket);
    let items = store
        .query(now_ms, Query::all(&partition, MAX_QUERY_ITEMS))
        .await?;
    let mut placed = ("", 0);
    let mut loads = Vec::with_capacity(items.len());
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
                loads.push(ShardLoad {
                    record: stored.record,
                    bucket,
                    placed_since: u32::try_from(since).unwrap_or(u32::MAX),
                });
            }
            _ => {}
        }
    }
    Ok(loads)
}

/// Notes that a room was placed on the shard, or one as large as so many.
pub(super) async fn count_placement<S: Store>(
    store: &S,
    now_ms: u64,
    load: &ShardLoad,
    rooms: u64,
) -> Result<(), StoreError> {
    let heartbeat = &load.record.heartbeat;
    let partition = bucket_partition(&heartbeat.region, load.bucket);
    let sort = placed_sort(&heartbeat.shard);
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

pub(super) fn counter_value(digits: &[u8]) -> i64 {
    std::str::from_utf8(digits)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}
