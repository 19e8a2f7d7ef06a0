//! Where the members of a channel are reached, as far as an author's item does not say it.

use chat_channel::author::Author;
use chat_channel::way::Way;
use edge::store::Store;
use edge::{blocks, both, directory};
use wire::PlayerId;
use wire::chat::ChatChannel;

use crate::presence;

/// How long a way is used without being looked up again, in milliseconds. After a room has moved, a
/// push may miss it for so long.
const WAY_MS: u64 = 30_000;
/// How long a room without a relay is taken to have none, in milliseconds.
const NO_WAY_MS: u64 = 10_000;
/// Most players whom an author blocks and who are kept with the way: few, because each message
/// writes it. For those who block more they are read with each message.
const MAX_WAY_BLOCKED: usize = 8;

/// Looks the way up when the author's is old. Called before the author is written.
pub(crate) async fn refresh_way<S: Store>(
    store: &S,
    now_ms: u64,
    channel: &ChatChannel,
    (me, author): (&PlayerId, &mut Author),
) {
    let until_ms = author
        .way
        .as_ref()
        .map_or(author.no_way_until_ms, |way| way.until_ms);
    if until_ms <= now_ms {
        author.way = find_way(store, now_ms, channel, me).await;
        let is_none = u64::from(author.way.is_none());
        author.no_way_until_ms = is_none * (now_ms + NO_WAY_MS);
    }
}

/// Where the members of a channel are, if they are anywhere, and whom `me` blocks of them.
pub(crate) async fn find_way<S: Store>(
    store: &S,
    now_ms: u64,
    channel: &ChatChannel,
    me: &PlayerId,
) -> Option<Way> {
    let (room, of_other) = match channel {
        ChatChannel::Room(room, _) | ChatChannel::Party(room) => (room.clone(), None),
        ChatChannel::Direct(other) => {
            let room = presence::room_of(store, now_ms, other, me).await?;
            (room.clone(), Some(room))
        }
        ChatChannel::World(_) => return None,
    };
    if of_other.is_some() {
        // Whom a block keeps from a direct channel does not get this far.
        let placement = directory::placement(store, now_ms, &room).await.ok()??;
        return Some(Way::to(&placement.shard, of_other, now_ms + WAY_MS));
    }
    let blocked = blocks::newest_of(store, now_ms, me);
    let (placement, blocked) = both(directory::placement(store, now_ms, &room), blocked).await;
    let mut way = Way::to(&placement.ok()??.shard, None, now_ms + WAY_MS);
    way.blocked = blocked.ok().filter(|all| all.len() <= MAX_WAY_BLOCKED);
    Some(way)
}

/// Whom a way says that its author blocks, and when that was so, Unix milliseconds.
pub(crate) fn blocked_by_way(way: &Way) -> Option<(Vec<PlayerId>, u64)> {
    let blocked = way.blocked.clone()?;
    Some((blocked, way.until_ms.saturating_sub(WAY_MS)))
}
