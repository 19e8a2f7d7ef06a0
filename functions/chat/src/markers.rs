//! Read markers and unread counts.

use chat_channel::access::{Access, Intent, body, body_invalid};
use chat_channel::log::{Log, MAX_SEQ};
use edge::Refusal;
use edge::blocks::player_partition;
use edge::change::{unless_lost, until_done};
use edge::http::{Call, Response};
use edge::items::{self, Held, Over};
use edge::store::{Key, Store, StoreError};
use serde::{Deserialize, Serialize};
use wire::PlayerId;
use wire::chat::{ChatChannel, MAX_ASKED, ReadMarker, Unread, UnreadReply};
use wire::problem::ProblemKind;
use wire::routes::{MARK_READ, UNREAD};

use crate::Ports;

/// Up to which message a player has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Marker(u64);

edge::stored!(marker: Marker);

/// Prefix of the sort keys of markers; the channel's key follows.
pub(crate) const READ: &str = "read#";
/// How long a marker is kept without a change, in milliseconds.
const KEPT_MS: u64 = 365 * 24 * 60 * 60 * 1000;

/// `PUT /v1/chat/channels/{channel}/read`: replies with the marker as it is then.
pub(crate) async fn mark_read<H: Ports, S: Store>(
    host: &H,
    store: &S,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let access = Access::of(host, call).await?;
    let place = access.place(call.parameter(0)?, Intent::Read)?;
    let wanted: ReadMarker = body(call)?;
    if wanted.seq > MAX_SEQ {
        return Err(body_invalid("Mark a message that is there as read."));
    }
    let (now_ms, me) = (access.now_ms, access.me());
    let (partition, sort) = (player_partition(me), format!("{READ}{}", place.key));
    let key = Key::new(&partition, &sort);
    let expires = Some(now_ms + KEPT_MS);
    let seq = until_done(host, || async {
        let old = marker(store, now_ms, me, &place.key).await?;
        if let Some(held) = old.as_ref().filter(|held| held.value.0 >= wanted.seq) {
            return Ok(Some(held.value.0));
        }
        let over = Over::read(old.as_ref());
        let marker = Marker(wanted.seq);
        let written = items::put(store, now_ms, key, &marker, expires, over).await;
        Ok(unless_lost(written)?.map(|_| wanted.seq))
    });
    let seq = seq.await?;
    Ok(Response::json(MARK_READ.status, &ReadMarker { seq }))
}

/// `GET /v1/chat/unread`.
pub(crate) async fn unread<H: Ports, S: Store>(
    host: &H,
    store: &S,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let access = Access::of(host, call).await?;
    let (now_ms, me) = (access.now_ms, access.me());
    let asked = call.request.query_value("in").unwrap_or_default();
    let mut places = Vec::new();
    for name in listed(&asked)? {
        let channel: ChatChannel = name.parse()?;
        let place = access.place(channel.clone(), Intent::Read)?;
        places.push((channel, place.key));
    }
    let keys = places.iter().map(|(_, key)| key.as_str());
    let markers = markers(store, now_ms, me, keys).await?;
    let mut channels = Vec::new();
    for ((channel, key), marker) in places.into_iter().zip(markers) {
        let read = marker.map_or(0, |held| held.value.0);
        let log = Log::of(host, store, now_ms, &key);
        let last = log.last().await?;
        let last = last.map_or(0, |stored| stored.message.seq);
        channels.push(Unread {
            channel,
            last,
            read,
            unread: last.saturating_sub(read),
        });
    }
    Ok(Response::json(UNREAD.status, &UnreadReply { channels }))
}

/// The names of a list by commas, 1 to [`MAX_ASKED`].
pub(crate) fn listed(asked: &str) -> Result<Vec<&str>, Refusal> {
    let names: Vec<&str> = asked.split(',').collect();
    if asked.is_empty() || names.len() > MAX_ASKED {
        let detail = format!("Ask about 1 to {MAX_ASKED} at a time.");
        return Err(Refusal::new(ProblemKind::CursorInvalid, detail));
    }
    Ok(names)
}

async fn marker<S: Store>(
    store: &S,
    now_ms: u64,
    player: &PlayerId,
    place: &str,
) -> Result<Option<Held<Marker>>, StoreError> {
    let mut markers = markers(store, now_ms, player, std::iter::once(place)).await?;
    Ok(markers.pop().flatten())
}

/// The marker in each of the places with these keys.
async fn markers<'p, S: Store>(
    store: &S,
    now_ms: u64,
    player: &PlayerId,
    places: impl Iterator<Item = &'p str>,
) -> Result<Vec<Option<Held<Marker>>>, StoreError> {
    let partition = player_partition(player);
    let sorts: Vec<String> = places.map(|place| format!("{READ}{place}")).collect();
    let keys: Vec<Key<'_>> = sorts
        .iter()
        .map(|sort| Key::new(&partition, sort))
        .collect();
    items::get_many(store, now_ms, &keys).await
}
