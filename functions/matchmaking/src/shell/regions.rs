//! Regions that take players: a summary of the fleet, made anew every few seconds by one of those
//! who need it, so that a pass reads one item instead of every shard of every region.

use std::collections::BTreeMap;

use edge::Refusal;
use edge::change::unless_lost;
use edge::directory::shards_everywhere;
use edge::items::{self, Held, Over};
use edge::store::{Key, Store, StoreError};
use serde::{Deserialize, Serialize};
use wire::RegionName;
use wire::fleet::ShardState;

use crate::matcher::Region;

/// How long a summary is good, in milliseconds.
const FRESH_MS: u64 = 3_000;
/// How long it is kept when nobody makes a new one, in milliseconds.
const KEPT_MS: u64 = 60_000;
const KEY: Key<'static> = Key {
    partition: "match-world",
    sort: "regions",
};

#[derive(Debug, Default, Serialize, Deserialize)]
struct Summary {
    at_ms: u64,
    /// Players whom each region can still take, and how many of them its emptiest shard.
    room: BTreeMap<RegionName, (u32, u32)>,
}

edge::stored!(world: Summary);

/// The regions that take players, as of some seconds ago at most.
pub(super) async fn open(store: &impl Store, now_ms: u64) -> Result<Vec<Region>, Refusal> {
    let held = items::get::<_, Summary>(store, now_ms, KEY).await?;
    let summary = match held {
        Some(held) if !is_to_renew(store, now_ms, &held).await? => held.value,
        _ => {
            let summary = summary(store, now_ms).await?;
            keep(store, now_ms, &summary, Over::ANYTHING).await?;
            summary
        }
    };
    let region = |(name, (room, room_of_one))| Region {
        name,
        room,
        room_of_one,
    };
    Ok(summary.room.into_iter().map(region).collect())
}

/// Whether the caller is to make a new one. While he does, others go by the old one, as they would
/// have a moment ago: many passes find it old at once, and each would read the fleet.
async fn is_to_renew(
    store: &impl Store,
    now_ms: u64,
    held: &Held<Summary>,
) -> Result<bool, Refusal> {
    if now_ms < held.value.at_ms + FRESH_MS {
        return Ok(false);
    }
    let claimed = Summary {
        at_ms: now_ms,
        room: held.value.room.clone(),
    };
    let kept = unless_lost(keep(store, now_ms, &claimed, held.over()).await)?;
    Ok(kept.is_some())
}

async fn keep(
    store: &impl Store,
    now_ms: u64,
    summary: &Summary,
    over: Over,
) -> Result<u64, StoreError> {
    let expires = Some(now_ms + KEPT_MS);
    items::put(store, now_ms, KEY, summary, expires, over).await
}

async fn summary(store: &impl Store, now_ms: u64) -> Result<Summary, Refusal> {
    let mut room = BTreeMap::new();
    for shard in shards_everywhere(store, now_ms).await? {
        let heartbeat = &shard.record.heartbeat;
        if shard.live && !shard.record.draining && heartbeat.state == ShardState::Open {
            let free = heartbeat
                .capacity
                .saturating_sub(heartbeat.load.participants);
            let (all, most) = room.entry(heartbeat.region.clone()).or_insert((0_u32, 0));
            (*all, *most) = (all.saturating_add(free), free.max(*most));
        }
    }
    Ok(Summary {
        at_ms: now_ms,
        room,
    })
}
