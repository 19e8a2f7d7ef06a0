//! Where the members of a channel are reached, as far as an author's item does not say it.

use chat_channel::author::Author;
use chat_channel::way::Way;
use edge::directory;
use edge::store::Store;
use wire::chat::ChatChannel;

use crate::presence;

/// How long a way is used without being looked up again, in milliseconds. After a room has moved, a
/// push may miss it for so long.
const WAY_MS: u64 = 30_000;
/// How long a room without a relay is taken to have none, in milliseconds.
const NO_WAY_MS: u64 = 10_000;

/// Looks the way up when the author's is old. Called before the author is written.
pub(crate) async fn refresh_way<S: Store>(
    store: &S,
    now_ms: u64,
    channel: &ChatChannel,
    author: &mut Author,
) {
    let until_ms = author
        .way
        .as_ref()
        .map_or(author.no_way_until_ms, |way| way.until_ms);
    if until_ms <= now_ms {
        author.way = find_way(store, now_ms, channel).await;
        let is_none = u64::from(author.way.is_none());
        author.no_way_until_ms = is_none * (now_ms + NO_WAY_MS);
    }
}

/// Where the members of a channel are, if they are anywhere.
pub(crate) async fn find_way<S: Store>(
    store: &S,
    now_ms: u64,
    channel: &ChatChannel,
) -> Option<Way> {
    let (room, of_other) = match channel {
        ChatChannel::Room(room, _) | ChatChannel::Party(room) => (room.clone(), None),
        ChatChannel::Direct(other) => {
            let room = presence::room_of(store, now_ms, other).await?;
            (room.clone(), Some(room))
        }
        ChatChannel::World(_) => return None,
    };
    let placement = directory::placement(store, now_ms, &room).await.ok()??;
    Some(Way::to(&placement.shard, of_other, now_ms + WAY_MS))
}
