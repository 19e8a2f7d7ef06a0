//! Rooms that moved away from a shard of which nothing was heard. If it was cut off or stood still,
//! it has their participants yet: with its next heartbeats it is told to let them follow. They are
//! in a partition of the shard's own, because a shard has many rooms, and nobody reads it but a
//! shard that comes back.

use serde::{Deserialize, Serialize};
use wire::fleet::MovedRoom;
use wire::limits::MAX_MOVED_ROOMS;
use wire::{RoomKey, RoomName, ShardId};

use super::record::StoredShard;
use crate::items::{self, Held, Over};
use crate::store::{Key, Store, StoreError};

/// How long a move is remembered: nobody is with a shard any more that has been away for so long.
const MOVED_TTL_MS: u64 = 60 * 60 * 1000;
/// How long a shard that is back is told: whoever looked for it a moment before may move a room a
/// moment after.
pub(super) const TOLD_FOR_MS: u64 = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct StoredMove {
    #[serde(rename = "r")]
    room: RoomKey,
    /// Epoch of the home that the room has elsewhere.
    #[serde(rename = "e")]
    epoch: u64,
}

crate::stored!(moved: StoredMove);

fn partition(shard: &ShardId) -> String {
    format!("shard#{shard}#moved")
}

/// Notes that a room moves away from a shard, before it does. If the move then fails, the shard
/// may be told all the same: who is there is asked to join again, and finds his room as it is.
pub(super) async fn note<S: Store>(
    store: &S,
    now_ms: u64,
    shard: &ShardId,
    room: &RoomName,
    epoch: u64,
) -> Result<(), StoreError> {
    let partition = partition(shard);
    let key = Key::new(&partition, room.as_str());
    let moved = StoredMove {
        room: RoomKey::of(room),
        epoch,
    };
    let expires = Some(now_ms + MOVED_TTL_MS);
    items::put(store, now_ms, key, &moved, expires, Over::ANYTHING).await?;
    Ok(())
}

/// What a shard is to be told that is back, a page with each heartbeat and all of it over and over
/// for a while, since a reply may be lost. `new` is its record to be, which remembers how far.
pub(super) async fn to_tell<S: Store>(
    store: &S,
    now_ms: u64,
    old: Option<&StoredShard>,
    new: &mut StoredShard,
) -> Result<Vec<MovedRoom>, StoreError> {
    let heartbeat = &new.record.heartbeat;
    match old {
        Some(old) if !old.was_away(now_ms, heartbeat) => {
            new.told_moves_until_ms = old.told_moves_until_ms;
            new.told_moves_to.clone_from(&old.told_moves_to);
        }
        // It is new here, or was away for so long that it was forgotten.
        _ => new.told_moves_until_ms = now_ms + TOLD_FOR_MS,
    }
    let left_ms = new.told_moves_until_ms.saturating_sub(now_ms);
    if left_ms == 0 || left_ms > TOLD_FOR_MS {
        (new.told_moves_until_ms, new.told_moves_to) = (0, String::new());
        return Ok(Vec::new());
    }
    let partition = partition(&heartbeat.shard);
    // Sorts behind it and before all others: names have no such character.
    let from = format!("{}!", new.told_moves_to);
    let bounds = (from.as_str(), "\u{7f}");
    let found = items::range(store, now_ms, &partition, bounds, MAX_MOVED_ROOMS).await?;
    let mut moved = Vec::with_capacity(found.len());
    for item in &found {
        let held: Held<StoredMove> = Held::read(&partition, item)?;
        moved.push(MovedRoom {
            room: held.value.room,
            epoch: held.value.epoch,
        });
    }
    new.told_moves_to = match found.last() {
        Some(last) if found.len() == MAX_MOVED_ROOMS => last.sort.clone(),
        _ => String::new(),
    };
    Ok(moved)
}
