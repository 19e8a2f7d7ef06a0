//! Whom players have blocked: chat writes it, and whoever brings players together reads it.

use wire::PlayerId;

use crate::items;
use crate::store::{Direction, Item, Key, MAX_QUERY_ITEMS, Query, Store, StoreError};

/// Prefix of the sort key of a block; the blocked player's id follows.
pub const BLOCK_PREFIX: &str = "block#";

/// The partition of everything that chat keeps of a player.
pub fn player_partition(player: &PlayerId) -> String {
    format!("chat-player#{player}")
}

/// The players whom `player` has blocked.
///
/// # Errors
/// [`StoreError::Unavailable`] or [`StoreError::Unreadable`].
pub async fn blocked_by<S: Store>(
    store: &S,
    now_ms: u64,
    player: &PlayerId,
) -> Result<Vec<PlayerId>, StoreError> {
    let to = format!("{BLOCK_PREFIX}~");
    listed(store, now_ms, player, (BLOCK_PREFIX, &to)).await
}

/// The players whom sort keys between two name, after a `#`.
///
/// # Errors
/// [`StoreError::Unavailable`] or [`StoreError::Unreadable`].
pub async fn listed<S: Store>(
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
    let player = |item: &Item| {
        let (_, player) = item.sort.split_once('#').unwrap_or_default();
        items::name(Key::new(&partition, &item.sort), player)
    };
    items.iter().map(player).collect()
}
