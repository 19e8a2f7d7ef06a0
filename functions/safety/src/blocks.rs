//! Block lists, both ways: neither player writes to the other, sees him in a channel's history, or
//! hears him.

use chat_channel::access::{Access, days_ms, direct_key};
use chat_channel::author::Authors;
use edge::Refusal;
use edge::blocks::{self, blocked_by};
use edge::change::{unless_lost, until_done};
use edge::http::{Call, Response};
use edge::relays::Secrets;
use edge::store::Store;
use wire::chat::BlockList;
use wire::claims::Claims;
use wire::problem::ProblemKind;
use wire::routes::BLOCKS;
use wire::{PlayerId, RoomName};

use crate::Ports;

/// Most rooms that one request names.
const MAX_ROOMS: usize = 4;

/// `GET /v1/chat/blocks`.
pub(crate) async fn list<S: Store>(store: &S, call: &Call<'_>) -> Result<Response, Refusal> {
    let caller = call.caller()?;
    let players = blocked_by(store, caller.now_ms, caller.me()).await?;
    Ok(Response::json(BLOCKS.status, &BlockList { players }))
}

/// `PUT` and `DELETE /v1/chat/blocks/{player}`.
pub(crate) async fn set<H: Ports, S: Store>(
    host: &H,
    store: &S,
    call: &Call<'_>,
    is_blocked: bool,
) -> Result<Response, Refusal> {
    let access = Access::of(host, call).await?;
    let (now_ms, me) = (access.now_ms, access.me());
    let other: PlayerId = call.parameter(0)?;
    if other == *me {
        let detail = "Name another player: nobody blocks himself.";
        return Err(Refusal::new(ProblemKind::NameInvalid, detail));
    }
    let rooms = rooms_of(call, access.claims)?;
    // The direct channel first: once it says blocked, nothing is written any more. Each step can
    // be done again, so whoever hears of a failure repeats the whole.
    let authors = Authors {
        store,
        now_ms,
        place: direct_key(me, &other).into(),
        hall: 0,
        retention_ms: days_ms(access.policy.retention_days.direct),
    };
    for (player, is_mine) in [(me, true), (&other, false)] {
        mark(host, &authors, player, is_mine, is_blocked).await?;
    }
    let pair = (me, &other);
    blocks::set(host, store, now_ms, pair, is_blocked).await?;
    let mut response = Response::empty(call.route.status);
    if !rooms.is_empty() {
        let secrets = Secrets::read(host).await?;
        for room in &rooms {
            let delivery = blocks::enforce(host, store, &secrets, room, pair).await?;
            response.outcome = delivery.label();
        }
    }
    Ok(response)
}

/// The voice rooms that the caller says to be in: their relays are told at once. In others it holds
/// from his next join on.
fn rooms_of(call: &Call<'_>, claims: &Claims) -> Result<Vec<RoomName>, Refusal> {
    let Some(asked) = call.request.query_value("in") else {
        return Ok(Vec::new());
    };
    let rooms: Vec<RoomName> = asked.split(',').map(str::parse).collect::<Result<_, _>>()?;
    if rooms.len() > MAX_ROOMS {
        let detail = format!("Name at most {MAX_ROOMS} rooms.");
        return Err(Refusal::new(ProblemKind::NameInvalid, detail));
    }
    match rooms.iter().find(|room| !claims.grants_room(room)) {
        None => Ok(rooms),
        Some(room) => {
            let detail = format!("Get a token from the game that grants the room {room}.");
            Err(Refusal::new(ProblemKind::RoomNotGranted, detail))
        }
    }
}

/// Marks one of the two as an author of their direct channel.
async fn mark<H: Ports, S: Store>(
    host: &H,
    authors: &Authors<'_, S>,
    player: &PlayerId,
    is_mine: bool,
    blocks: bool,
) -> Result<(), Refusal> {
    until_done(host, || async {
        let mut held = authors.read(player).await?;
        let flag = match is_mine {
            true => &mut held.value.blocks,
            false => &mut held.value.is_blocked,
        };
        if std::mem::replace(flag, blocks) == blocks {
            return Ok(Some(()));
        }
        Ok(unless_lost(authors.keep(player, &mut held).await)?)
    })
    .await
}
