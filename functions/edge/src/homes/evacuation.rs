//! The record of which regions are given up. It is the only item that is written in any region and
//! under a condition: operators evacuate from one region at a time.

use wire::fleet::Evacuation;

use crate::items::{self, Held};
use crate::store::{Key, Store, StoreError};

/// Where the record is.
pub const KEY: Key<'static> = Key {
    partition: "evacuation",
    sort: "regions",
};

/// Reads the record as the region of `store` has it: others may be a moment ahead.
///
/// # Errors
/// [`StoreError::Unavailable`] or [`StoreError::Unreadable`].
pub async fn read<S: Store>(store: &S, now_ms: u64) -> Result<Held<Evacuation>, StoreError> {
    Ok(items::get(store, now_ms, KEY).await?.unwrap_or_default())
}

/// After so long all functions know of a change: they read the record every five seconds.
const KNOWN_MS: u64 = 15_000;
/// For so long before homes move, nobody writes what moves: by then it is where it will be.
pub(super) const REST_MS: u64 = 3_000;

/// Gives a region up at once, or takes it back a moment later ([`KNOWN_MS`]), so that none of its
/// writes is lost; returns what then is. Done twice it changes nothing.
///
/// # Errors
/// [`StoreError::ConditionFailed`] when somebody else changed it at the same time.
pub async fn change<S: Store>(
    store: &S,
    now_ms: u64,
    region: &str,
    is_gone: bool,
) -> Result<Evacuation, StoreError> {
    let held = read(store, now_ms).await?;
    let (over, mut record) = (held.over(), held.value);
    let before = record.gone_at(now_ms).clone();
    let changes = match is_gone {
        true => record.gone.insert(region.to_owned()),
        false => record.gone.remove(region),
    };
    if !changes {
        return Ok(record);
    }
    record.epoch += 1;
    record.before = before;
    record.at_ms = now_ms + if is_gone { 0 } else { KNOWN_MS };
    items::put(store, now_ms, KEY, &record, None, over).await?;
    Ok(record)
}
