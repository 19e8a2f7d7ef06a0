//! A match: as it stands, accepting it, watching it, and players for those who left.

use std::ops::ControlFlow::{self, Break, Continue};

use edge::change::until_done_from;
use edge::http::{Call, Response};
use edge::items::Over;
use edge::ports::{Entropy, Timer, Variables};
use edge::store::Store;
use edge::{Caller, Refusal};
use wire::ChannelName;
use wire::claims::Role;
use wire::matching::{
    AcceptRequest, BackfillReply, BackfillRequest, MAX_SPECTATORS, SPECTATORS_CHANNEL,
};
use wire::problem::ProblemKind;
use wire::routes::{ACCEPT, BACKFILL, END_BACKFILL, MATCH_STATE, SPECTATE};
use wire::ticket::Permissions;

use crate::shell::formed::{self, Formed, Gone, Noted, Phase, room_of};
use crate::shell::place::open_room;
use crate::shell::refusals::{body_invalid, conflict, not_in_match, not_running};
use crate::shell::{backfill, player, queue, reply, seat, settle};

/// Most players whom one request may name.
const MAX_LEFT: usize = crate::rules::MAX_PLAYERS as usize;

/// `GET /v1/match/matches/{match}`.
pub(super) async fn show(
    host: &impl Variables,
    store: &impl Store,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let caller = call.caller()?;
    let now_ms = caller.now_ms;
    let mut formed = formed::of_path(store, now_ms, call).await?;
    if !caller.is(Role::GameServer) && !formed.has(caller.me()) {
        return Err(not_in_match());
    }
    if let Some(Phase::Proposed(until_ms)) = formed.phase(0)
        && until_ms <= now_ms
    {
        let queue = formed.first()?.queue.clone();
        settle::abandon(store, now_ms, &queue, &formed, 0, true).await?;
        formed = formed::get(store, now_ms, &formed.id).await?;
    }
    let reply = reply::of_match(host, caller, &formed).await?;
    Ok(Response::json(MATCH_STATE.status, &reply))
}

fn not_accepted() -> Refusal {
    Refusal::new(
        ProblemKind::NotAccepted,
        "The match was not accepted by all in time; ask for the ticket, which may wait again.",
    )
}

/// `POST /v1/match/matches/{match}/acceptance`.
pub(super) async fn accept(
    host: &(impl Entropy + Timer + Variables),
    store: &impl Store,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let caller = call.caller()?;
    let formed = formed::of_path(store, caller.now_ms, call).await?;
    let request: AcceptRequest = call.body()?;
    if formed.team_of(caller.me()).is_none() {
        return Err(not_in_match());
    }
    let accepted = until_done_from(host, formed, |formed| {
        try_accept(host, store, caller, formed, request.accept)
    });
    let reply = reply::of_match(host, caller, &accepted.await?).await?;
    Ok(Response::json(ACCEPT.status, &reply))
}

/// The match as it is once the answer has done what it can.
async fn try_accept(
    host: &(impl Entropy + Timer),
    store: &impl Store,
    caller: &Caller,
    formed: Formed,
    accepts: bool,
) -> Result<ControlFlow<Formed, Formed>, Refusal> {
    let (me, now_ms) = (caller.me(), caller.now_ms);
    let queue = formed.first()?.queue.clone();
    match formed.phase(0) {
        Some(Phase::Ready) => {
            seat::note_match(host, store, now_ms, me, &formed).await?;
            return Ok(Break(formed));
        }
        Some(Phase::Proposed(until_ms)) if now_ms < until_ms => {}
        Some(Phase::Proposed(_)) => {
            settle::abandon(store, now_ms, &queue, &formed, 0, true).await?;
            return Err(not_accepted());
        }
        Some(Phase::Abandoned { timed_out }) => {
            settle::release(store, now_ms, &queue, &formed, 0, timed_out).await?;
            return Err(not_accepted());
        }
        None => return Err(conflict()),
    }
    let id = formed.id;
    formed::answer(store, now_ms, &id, me, accepts).await?;
    if !accepts {
        player::note_declined(host, store, now_ms, me, &id).await?;
    }
    let formed = formed::get(store, now_ms, &id).await?;
    if formed.accepts.values().any(|accepted| !accepted) {
        settle::abandon(store, now_ms, &queue, &formed, 0, false).await?;
        if !accepts {
            return Ok(Break(formed::get(store, now_ms, &id).await?));
        }
    } else if !all_accepted(&formed) {
        if matches!(formed.phase(0), Some(Phase::Proposed(_))) {
            return Ok(Break(formed));
        }
    } else if formed::decide(store, now_ms, &formed, 0, Phase::Ready).await? {
        open_room(host, store, now_ms, &id, formed.first()?).await;
    }
    Ok(Continue(formed::get(store, now_ms, &id).await?))
}

fn all_accepted(formed: &Formed) -> bool {
    let teams = formed.teams();
    let mut members = teams.iter().flat_map(|(_, members)| members);
    members.all(|member| formed.accepts.get(&member.id) == Some(&true))
}

/// `POST /v1/match/matches/{match}/spectators`. Spectators hear all teams and have a channel of
/// their own. Who may watch is the game's decision, because he hears both sides: his token must
/// grant it. Two who come in the same moment may both get the last seat.
pub(super) async fn spectate(
    host: &impl Variables,
    store: &impl Store,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let caller = call.caller()?;
    let (me, now_ms) = (caller.me(), caller.now_ms);
    let mut formed = formed::of_path(store, now_ms, call).await?;
    let channel = ChannelName::new(SPECTATORS_CHANNEL).expect("of its alphabet");
    let granted = caller.claims.permissions(&room_of(&formed.id), &channel);
    if !granted.contains(Permissions::LISTEN) {
        return Err(Refusal::new(
            ProblemKind::ChannelNotGranted,
            "Get a token from the game that grants the channel spectators of the match's room.",
        ));
    }
    if !formed.is_running() {
        return Err(not_running());
    }
    if !formed.has(me) {
        if formed.watchers.len() >= MAX_SPECTATORS {
            let detail = format!("A match takes {MAX_SPECTATORS} spectators.");
            return Err(Refusal::new(ProblemKind::LimitReached, detail));
        }
        let (sort, always) = (format!("watch#{me}"), Over::ANYTHING);
        formed::keep(store, now_ms, &formed.id, &sort, &Noted, always).await?;
        formed.watchers.insert(me.clone());
    }
    let reply = reply::of_match(host, caller, &formed).await?;
    Ok(Response::json(SPECTATE.status, &reply))
}

/// `PUT /v1/match/matches/{match}/backfill`.
pub(super) async fn backfill(
    host: &(impl Entropy + Timer),
    store: &impl Store,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let now_ms = call.caller()?.now_ms;
    let formed = formed::of_path(store, now_ms, call).await?;
    let request: BackfillRequest = call.body()?;
    if request.left.len() > MAX_LEFT {
        return Err(body_invalid(format!("Name at most {MAX_LEFT} players.")));
    }
    let body = formed.first()?;
    let until_ms = body.backfill_until_ms;
    let queue = queue::get(store, now_ms, &body.queue).await?;
    let Some(rules) = queue.mode(&body.mode) else {
        return Err(not_running());
    };
    if !formed.is_running() || now_ms >= until_ms {
        return Err(not_running());
    }
    let gone = &request.left;
    let formed = formed::note_gone(host, store, now_ms, formed, Gone::Left, gone).await?;
    let wanted = backfill::wanted(&formed, rules);
    backfill::open(host, store, now_ms, &queue, &formed, &wanted).await?;
    Ok(Response::json(
        BACKFILL.status,
        &BackfillReply { wanted, until_ms },
    ))
}

/// `DELETE /v1/match/matches/{match}/backfill`.
pub(super) async fn end_backfill(store: &impl Store, call: &Call<'_>) -> Result<Response, Refusal> {
    let now_ms = call.caller()?.now_ms;
    let formed = formed::of_path(store, now_ms, call).await?;
    // Of a queue that is not there any more, nothing waits.
    if let Ok(queue) = queue::get(store, now_ms, &formed.first()?.queue).await {
        backfill::close(store, now_ms, &queue, &formed).await?;
    }
    Ok(Response::empty(END_BACKFILL.status))
}
