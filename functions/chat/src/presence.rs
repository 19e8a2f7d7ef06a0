//! Who is here.

use chat_channel::access::body;
use edge::blocks::{blocked_either_way, player_partition};
use edge::http::{Call, Response};
use edge::items::{self, Held, Over};
use edge::ports::Variables;
use edge::store::{Item, Key, Store, StoreError};
use edge::{Refusal, stored};
use serde::{Deserialize, Serialize};
use wire::chat::{DIRECT_ROOM, Presence, PresenceReply, PresenceRequest, Status};
use wire::claims::matches_pattern;
use wire::problem::ProblemKind;
use wire::routes::{PRESENCE, SET_PRESENCE};
use wire::ticket::Permissions;
use wire::{PlayerId, RoomName};

use crate::markers::listed;

/// How long a presence holds, in milliseconds.
const HELD_MS: u64 = 90_000;
pub(crate) const PRESENCE_SORT: &str = "presence";

/// Most patterns of players that are kept: from others nothing direct is pushed to him.
const MAX_DIRECT: usize = 32;

/// What a player says of himself, and what his token lets him read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Here {
    #[serde(flatten)]
    said: PresenceRequest,
    /// Patterns of the players whose direct messages he may read. Earlier releases do not say so,
    /// and then they are pushed to him, as before.
    #[serde(default, rename = "d", skip_serializing_if = "Option::is_none")]
    direct: Option<Vec<String>>,
}

stored!(presence: Here);

/// `PUT /v1/chat/presence`.
pub(crate) async fn set<H: Variables, S: Store>(
    host: &H,
    store: &S,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let caller = call.caller()?;
    let request: PresenceRequest = body(call)?;
    if let Some(room) = request
        .room
        .as_ref()
        .filter(|room| !caller.claims.grants_room(room))
    {
        let detail = format!("Get a token from the game that grants the room {room}.");
        return Err(Refusal::new(ProblemKind::RoomNotGranted, detail));
    }
    let (_, rights) = caller.rights(host).await?;
    let direct = caller.claims.channel_patterns(DIRECT_ROOM);
    let direct = direct.filter(|_| rights.direct).take(MAX_DIRECT);
    let here = Here {
        direct: Some(direct.map(str::to_owned).collect()),
        said: request,
    };
    let partition = player_partition(caller.me());
    let key = Key::new(&partition, PRESENCE_SORT);
    let expires = Some(caller.now_ms + HELD_MS);
    let over = Over::ANYTHING;
    items::put(store, caller.now_ms, key, &here, expires, over).await?;
    Ok(Response::empty(SET_PRESENCE.status))
}

/// `GET /v1/chat/presence`.
pub(crate) async fn show<S: Store>(store: &S, call: &Call<'_>) -> Result<Response, Refusal> {
    let caller = call.caller()?;
    let asked = call.request.query_value("players").unwrap_or_default();
    let hidden = blocked_either_way(store, caller.now_ms, &caller.claims).await?;
    let names = listed(&asked)?.into_iter().map(PlayerId::new);
    let names: Vec<PlayerId> = names.collect::<Result<_, _>>()?;
    // Whoever may write to somebody may see whether he is there; nobody follows strangers.
    let is_granted = |name: &PlayerId| {
        let granted = caller.claims.permissions_in(DIRECT_ROOM, name.as_str());
        name == caller.me() || granted != Permissions::default()
    };
    if let Some(stranger) = names.iter().find(|name| !is_granted(name)) {
        let detail =
            format!("Get a token from the game that grants direct messages with {stranger}.");
        return Err(Refusal::new(ProblemKind::ChannelNotGranted, detail));
    }
    let known = presences_of(store, caller.now_ms, &names).await?;
    let players = names.into_iter().zip(known).map(|(player, known)| {
        let shown = known.filter(|_| !hidden.contains(&player));
        Presence {
            status: shown.map_or(Status::Offline, |shown| shown.said.status),
            player,
        }
    });
    let players = players.collect();
    Ok(Response::json(PRESENCE.status, &PresenceReply { players }))
}

/// What each of them says. One who says what this version cannot read is shown as offline: nothing
/// is written over that, and it is said anew in a moment.
async fn presences_of<S: Store>(
    store: &S,
    now_ms: u64,
    players: &[PlayerId],
) -> Result<Vec<Option<Here>>, StoreError> {
    let partitions: Vec<String> = players.iter().map(player_partition).collect();
    let key = |partition| Key::new(partition, PRESENCE_SORT);
    let keys: Vec<Key<'_>> = partitions.iter().map(|one| key(one)).collect();
    let items = store.get_many(now_ms, &keys).await?;
    let read = |(partition, item): (&String, Option<Item>)| {
        let held = Held::read(partition, &item?).ok()?;
        Some(held.value)
    };
    Ok(partitions.iter().zip(items).map(read).collect())
}

/// The voice room that the player is in, as he says, if he may read there what `author` writes to
/// him.
pub(crate) async fn room_of<S: Store>(
    store: &S,
    now_ms: u64,
    player: &PlayerId,
    author: &PlayerId,
) -> Option<RoomName> {
    let known = presences_of(store, now_ms, std::slice::from_ref(player)).await;
    let Here { said, direct } = known.ok()?.pop()??;
    let reads = |all: &[String]| all.iter().any(|one| matches_pattern(one, author.as_str()));
    said.room.filter(|_| direct.as_deref().is_none_or(reads))
}
