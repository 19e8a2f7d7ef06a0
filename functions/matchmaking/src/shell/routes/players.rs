//! A player: his seat and his rating.

use edge::Refusal;
use edge::http::{Call, Response};
use edge::store::Store;
use wire::PlayerId;
use wire::claims::Role;
use wire::matching::{RatingReply, SeatReply};
use wire::routes::{RATING, SEAT};

use crate::shell::{invitation, player, queue, seat};

/// `GET /v1/match/seat`.
pub(super) async fn seat(store: &impl Store, call: &Call<'_>) -> Result<Response, Refusal> {
    let caller = call.caller()?;
    let (me, now_ms) = (caller.me(), caller.now_ms);
    let held = player::get(store, now_ms, me).await?;
    let mut reply = SeatReply {
        invitations: invitation::of(store, now_ms, me).await?,
        ..SeatReply::default()
    };
    if let Some(seat) = held.and_then(|held| held.value.seat)
        && seat::lives(store, now_ms, me, &seat).await?
    {
        reply.ticket = Some(seat.ticket);
        reply.queue = Some(seat.queue);
        reply.found = seat.found;
    }
    Ok(Response::json(SEAT.status, &reply))
}

/// `GET /v1/match/queues/{queue}/ratings/{player}`.
pub(super) async fn rating(store: &impl Store, call: &Call<'_>) -> Result<Response, Refusal> {
    let caller = call.caller()?;
    let queue = queue::of_path(store, caller.now_ms, call).await?;
    let player: PlayerId = call.parameter(1)?;
    if player != *caller.me() {
        caller.check_role(Role::GameServer)?;
    }
    let held = player::get(store, caller.now_ms, &player).await?;
    let known = held.map(|held| held.value).unwrap_or_default();
    let rated = known.rating(&queue.name);
    let reply = RatingReply {
        player,
        rating: rated.into(),
        matches: rated.n,
    };
    Ok(Response::json(RATING.status, &reply))
}
