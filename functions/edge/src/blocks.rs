//! Whom players have blocked: safety writes it, and whoever brings players together reads it.

use std::collections::BTreeSet;

use wire::PlayerId;

use crate::store::{Direction, MAX_QUERY_ITEMS, Query, Store, StoreError};

/// Prefix of the sort key of a block; the blocked player's id follows.
pub const BLOCK_PREFIX: &str = "block#";
/// The same on the other side; the id of who blocks follows. Nothing else of a player sorts between
/// the two.
pub const BLOCKED_BY_PREFIX: &str = "blocked-by#";

/// The partition of everything that chat keeps of a player.
pub fn player_partition(player: &PlayerId) -> String {
    format!("chat-player#{player}")
}

/// The players whom `player` has blocked.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn blocked_by<S: Store>(
    store: &S,
    now_ms: u64,
    player: &PlayerId,
) -> Result<Vec<PlayerId>, StoreError> {
    let to = format!("{BLOCK_PREFIX}~");
    listed(store, now_ms, player, (BLOCK_PREFIX, &to)).await
}

/// The players whom `player` has blocked or who have blocked him.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn blocked_either_way<S: Store>(
    store: &S,
    now_ms: u64,
    player: &PlayerId,
) -> Result<BTreeSet<PlayerId>, StoreError> {
    let to = format!("{BLOCKED_BY_PREFIX}~");
    let listed = listed(store, now_ms, player, (BLOCK_PREFIX, &to)).await?;
    Ok(listed.into_iter().collect())
}

/// The players whom sort keys between two name, after a `#`.
async fn listed<S: Store>(
    store: &S,
    now_ms: u64,
    player: &PlayerId,
    (from, to): (&str, &str),
) -> Result<Vec<PlayerId>, StoreError> {
    let partition = player_partition(player);
    let query = Query {
        partition: &partition,
        from: Some(from),
        to: Some(to),
        limit: MAX_QUERY_ITEMS,
        direction: Direction::Forward,
    };
    let items = store.query(now_ms, query).await?;
    let player = |sort: &str| PlayerId::new(sort.split_once('#')?.1).ok();
    Ok(items.iter().filter_map(|item| player(&item.sort)).collect())
}
