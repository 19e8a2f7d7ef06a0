//! Who is here and who types.

use edge::Refusal;
use edge::blocks::player_partition;
use edge::http::Response;
use edge::items::{self, Held, Over};
use edge::store::{Item, Key, Store, StoreError};
use wire::chat::{ChatEvent, Presence, PresenceReply, PresenceRequest, Status};
use wire::problem::ProblemKind;
use wire::routes::{PRESENCE, SET_PRESENCE, TYPING};
use wire::{PlayerId, RoomName};

use crate::Ports;
use crate::access::{Chat, Intent};
use crate::markers::listed;

/// How long a presence holds, in milliseconds.
const HELD_MS: u64 = 90_000;
pub(crate) const PRESENCE_SORT: &str = "presence";

/// `PUT /v1/chat/presence`.
pub(crate) async fn set<H: Ports, S: Store>(chat: &Chat<'_, H, S>) -> Result<Response, Refusal> {
    let request: PresenceRequest = chat.body()?;
    if let Some(room) = request
        .room
        .as_ref()
        .filter(|room| !chat.claims.grants_room(room))
    {
        let detail = format!("Get a token from the game that grants the room {room}.");
        return Err(Refusal::new(ProblemKind::RoomNotGranted, detail));
    }
    let partition = player_partition(chat.me());
    let key = Key::new(&partition, PRESENCE_SORT);
    let expires = Some(chat.now_ms + HELD_MS);
    let over = Over::ANYTHING;
    items::put(chat.store, chat.now_ms, key, &request, expires, over).await?;
    Ok(Response::empty(SET_PRESENCE.status))
}

/// `GET /v1/chat/presence`.
pub(crate) async fn show<H: Ports, S: Store>(chat: &Chat<'_, H, S>) -> Result<Response, Refusal> {
    let asked = chat.call.request.query_value("players").unwrap_or_default();
    let hidden = chat.blocked_players().await?;
    let names = listed(&asked)?.into_iter().map(PlayerId::new);
    let names: Vec<PlayerId> = names.collect::<Result<_, _>>()?;
    let known = presences_of(chat, &names).await?;
    let players = names.into_iter().zip(known).map(|(player, known)| {
        let shown = known.filter(|_| !hidden.contains(&player));
        Presence {
            status: shown.map_or(Status::Offline, |shown| shown.status),
            player,
        }
    });
    let players = players.collect();
    Ok(Response::json(PRESENCE.status, &PresenceReply { players }))
}

/// `POST /v1/chat/channels/{channel}/typing`: tells the others, and keeps only that he may not say
/// so again at once.
pub(crate) async fn typing<H: Ports, S: Store>(chat: &Chat<'_, H, S>) -> Result<Response, Refusal> {
    let place = chat.place(Intent::Write)?;
    let mut held = chat.author(&place).await?;
    chat.check_author(&held.value)?;
    held.value.type_now(chat.now_ms)?;
    chat.refresh_route(&place, &mut held.value).await;
    chat.keep(&place, &mut held).await?;
    let event = ChatEvent::Typing {
        player: chat.me().clone(),
    };
    chat.push(&place, &mut held.value, event).await;
    Ok(Response::empty(TYPING.status))
}

/// What each of them says. One who says what this version cannot read is shown as offline: nothing
/// is written over that, and it is said anew in a moment.
async fn presences_of<H: Ports, S: Store>(
    chat: &Chat<'_, H, S>,
    players: &[PlayerId],
) -> Result<Vec<Option<PresenceRequest>>, StoreError> {
    let partitions: Vec<String> = players.iter().map(player_partition).collect();
    let key = |partition| Key::new(partition, PRESENCE_SORT);
    let keys: Vec<Key<'_>> = partitions.iter().map(|one| key(one)).collect();
    let items = chat.store.get_many(chat.now_ms, &keys).await?;
    let read = |(partition, item): (&String, Option<Item>)| {
        let held = Held::read(partition, &item?).ok()?;
        Some(held.value)
    };
    Ok(partitions.iter().zip(items).map(read).collect())
}

/// The voice room that the player is in, as he says.
pub(crate) async fn room_of<H: Ports, S: Store>(
    chat: &Chat<'_, H, S>,
    player: &PlayerId,
) -> Option<RoomName> {
    let known = presences_of(chat, std::slice::from_ref(player)).await;
    known.ok()?.pop()??.room
}
