//! Read markers and unread counts.

use edge::Refusal;
use edge::blocks::player_partition;
use edge::http::Response;
use edge::store::{Condition, Item, Key, Put, Store, StoreError};
use wire::chat::{ChatChannel, MAX_ASKED, ReadMarker, Unread, UnreadReply};
use wire::problem::ProblemKind;
use wire::routes::{MARK_READ, UNREAD};

use crate::Ports;
use crate::access::{
    Chat, Intent, MAX_ATTEMPTS, Place, body_invalid, conflict, name_invalid, unreadable,
};
use crate::log::MAX_SEQ;

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
    let value = wanted.seq.to_string();
    for attempt in 0..MAX_ATTEMPTS {
        chat.pause(attempt).await;
        let old = marker(chat, &place).await?;
        if let Some((_, seq)) = old.filter(|(_, seq)| *seq >= wanted.seq) {
            return Ok(Response::json(MARK_READ.status, &ReadMarker { seq }));
        }
        let put = Put {
            key: Key::new(&partition, &sort),
            value: value.as_bytes(),
            expires_at_ms: Some(chat.now_ms + KEPT_MS),
            condition: old.map_or(Condition::Absent, |(version, _)| {
                Condition::Version(version)
            }),
        };
        match chat.store.put(chat.now_ms, put).await {
            Ok(_) => return Ok(Response::json(MARK_READ.status, &wanted)),
            Err(StoreError::ConditionFailed) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(conflict())
}

/// `GET /v1/chat/unread`.
pub(crate) async fn unread<H: Ports, S: Store>(chat: &Chat<'_, H, S>) -> Result<Response, Refusal> {
    let asked = chat.call.request.query_value("in").unwrap_or_default();
    let mut places = Vec::new();
    for name in listed(&asked)? {
        let channel: ChatChannel = name.parse().map_err(name_invalid)?;
        let place = chat.place_of(channel.clone(), Intent::Read)?;
        places.push((channel, place.key));
    }
    let keys = places.iter().map(|(_, key)| key.as_str());
    let markers = markers(chat, keys).await?;
    let mut channels = Vec::new();
    for ((channel, key), marker) in places.into_iter().zip(markers) {
        let read = marker.map_or(0, |(_, seq)| seq);
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
) -> Result<Option<(u64, u64)>, StoreError> {
    let mut markers = markers(chat, std::iter::once(place.key.as_str())).await?;
    Ok(markers.pop().flatten())
}

/// Version and number of the marker in each of the places with these keys.
async fn markers<'p, H: Ports, S: Store>(
    chat: &Chat<'_, H, S>,
    places: impl Iterator<Item = &'p str>,
) -> Result<Vec<Option<(u64, u64)>>, StoreError> {
    let partition = player_partition(chat.me());
    let sorts: Vec<String> = places.map(|place| format!("{READ}{place}")).collect();
    let keys: Vec<Key<'_>> = sorts
        .iter()
        .map(|sort| Key::new(&partition, sort))
        .collect();
    let items = chat.store.get_many(chat.now_ms, &keys).await?.into_iter();
    let read = |item: Item| match serde_json::from_slice(&item.value) {
        Ok(seq) => Ok((item.version, seq)),
        Err(_) => Err(unreadable()),
    };
    items.map(|item| item.map(read).transpose()).collect()
}
