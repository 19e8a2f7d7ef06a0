//! Read markers and unread counts.

use edge::Refusal;
use edge::blocks::player_partition;
use edge::change::{unless_lost, until_done};
use edge::http::Response;
use edge::items::{self, Held, Over};
use edge::store::{Key, Store, StoreError};
use serde::{Deserialize, Serialize};
use wire::chat::{ChatChannel, MAX_ASKED, ReadMarker, Unread, UnreadReply};
use wire::problem::ProblemKind;
use wire::routes::{MARK_READ, UNREAD};

use crate::Ports;
use crate::access::{Chat, Intent, Place, body_invalid};
use crate::tail::MAX_SEQ;

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
    chat: &Chat<'_, H, S>,
) -> Result<Response, Refusal> {
    let place = chat.place(Intent::Read)?;
    let wanted: ReadMarker = chat.body()?;
    if wanted.seq > MAX_SEQ {
        return Err(body_invalid("Mark a message that is there as read."));
    }
    let (partition, sort) = (player_partition(chat.me()), format!("{READ}{}", place.key));
    let key = Key::new(&partition, &sort);
    let expires = Some(chat.now_ms + KEPT_MS);
    let seq = until_done(chat.host, || async {
        let old = marker(chat, &place).await?;
        if let Some(held) = old.as_ref().filter(|held| held.value.0 >= wanted.seq) {
            return Ok(Some(held.value.0));
        }
        let over = Over::read(old.as_ref());
        let marker = Marker(wanted.seq);
        let written = items::put(chat.store, chat.now_ms, key, &marker, expires, over).await;
        Ok(unless_lost(written)?.map(|_| wanted.seq))
    });
    let seq = seq.await?;
    Ok(Response::json(MARK_READ.status, &ReadMarker { seq }))
}

/// `GET /v1/chat/unread`.
pub(crate) async fn unread<H: Ports, S: Store>(chat: &Chat<'_, H, S>) -> Result<Response, Refusal> {
    let asked = chat.call.request.query_value("in").unwrap_or_default();
    let mut places = Vec::new();
    for name in listed(&asked)? {
        let channel: ChatChannel = name.parse()?;
        let place = chat.place_of(channel.clone(), Intent::Read)?;
        places.push((channel, place.key));
    }
    let keys = places.iter().map(|(_, key)| key.as_str());
    let markers = markers(chat, keys).await?;
    let mut channels = Vec::new();
    for ((channel, key), marker) in places.into_iter().zip(markers) {
        let read = marker.map_or(0, |held| held.value.0);
        let last = chat.last(&key).await?;
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

async fn marker<H: Ports, S: Store>(
    chat: &Chat<'_, H, S>,
    place: &Place,
) -> Result<Option<Held<Marker>>, StoreError> {
    let mut markers = markers(chat, std::iter::once(place.key.as_str())).await?;
    Ok(markers.pop().flatten())
}

/// The marker in each of the places with these keys.
async fn markers<'p, H: Ports, S: Store>(
    chat: &Chat<'_, H, S>,
    places: impl Iterator<Item = &'p str>,
) -> Result<Vec<Option<Held<Marker>>>, StoreError> {
    let partition = player_partition(chat.me());
    let sorts: Vec<String> = places.map(|place| format!("{READ}{place}")).collect();
    let keys: Vec<Key<'_>> = sorts
        .iter()
        .map(|sort| Key::new(&partition, sort))
        .collect();
    items::get_many(chat.store, chat.now_ms, &keys).await
}
