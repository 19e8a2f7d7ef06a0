//! Queueing up, joining a party, and going.

use edge::change::{unless_lost, until_done};
use edge::http::{Call, Response};
use edge::items::Held;
use edge::ports::{Entropy, Timer, Variables};
use edge::store::Store;
use edge::{Caller, Refusal};
use wire::claims::Role;
use wire::matching::{MAX_PARTY, PlayerDetails, TicketPlayer, TicketRequest};
use wire::problem::ProblemKind;
use wire::routes::{CANCEL, JOIN_PARTY, QUEUE_UP};
use wire::{ModeName, PlayerId};

use crate::rules::RuleSet;
use crate::shell::look::look;
use crate::shell::player::NEWCOMER;
use crate::shell::ports::Ports;
use crate::shell::queue::{self, Queue};
use crate::shell::refusals::{body_invalid, conflict, ended, unknown_mode};
use crate::shell::seat::{self, Taken};
use crate::shell::ticket::{self, Member, State, StoredTicket, TicketRef};
use crate::shell::{details, invitation, party, player};

/// `POST /v1/match/queues/{queue}/tickets`.
pub(super) async fn queue_up(
    host: &impl Ports,
    store: &impl Store,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let caller = call.caller()?;
    let (me, now_ms) = (caller.me(), caller.now_ms);
    let queue = queue::of_path(store, now_ms, call).await?;
    let request: TicketRequest = call.body()?;
    check(caller, &queue, &request)?;
    let at = TicketRef::new(&queue.name, queue.lanes, now_ms, me, &request.key);
    let mut ticket = StoredTicket {
        players: Vec::new(),
        modes: modes_of(&queue, &request),
        since_ms: 0,
        state: State::Gathering,
    };
    // Everything that can be wrong is found before any seat is taken.
    let mut known = Vec::new();
    for TicketPlayer { player, details } in &request.players {
        let held = player::get(store, now_ms, player).await?;
        let rated = held.as_ref().map(|held| held.value.rating(&queue.name));
        let of = (player, rated.unwrap_or(NEWCOMER).into());
        let details = match details {
            Some(asked) => Some(details::of(host, store, caller, of, asked).await?),
            None => None,
        };
        let id = player.clone();
        ticket.players.push(Member { id, details });
        known.push(held);
    }
    party::start(&queue, &at, &mut ticket, now_ms)?;
    let (at, written) = match party::seat_all(host, store, now_ms, &at, &ticket, known).await? {
        Taken::Before(at) => (at, None),
        Taken::Now => {
            let put = ticket::put(store, now_ms, &at, &ticket).await;
            // Lost when it took so long that a retry has barred it: that has another.
            (at, Some(unless_lost(put)?.ok_or_else(conflict)?))
        }
    };
    let members = ticket.players.iter();
    let absent = members.filter(|member| member.details.is_none());
    let absent: Vec<PlayerId> = absent.map(|member| member.id.clone()).collect();
    invitation::invite(store, now_ms, me, &absent, &at).await?;
    let written = written.map(|version| Held::written(ticket, version));
    let look = look(host, store, caller, &at, written).await?;
    Ok(look.response(QUEUE_UP.status))
}

fn check(caller: &Caller, queue: &Queue, request: &TicketRequest) -> Result<(), Refusal> {
    let players = &request.players;
    let Some(first) = players.first() else {
        return Err(body_invalid(
            "Name the players of the party, its leader first.",
        ));
    };
    let twice = |at: usize| {
        players[..at]
            .iter()
            .any(|other| other.player == players[at].player)
    };
    if (0..players.len()).any(twice) {
        return Err(body_invalid("Name each player once."));
    }
    if caller.is(Role::GameServer) {
        if players.iter().any(|player| player.details.is_none()) {
            return Err(body_invalid("Give the details of every player."));
        }
    } else {
        let others = players
            .iter()
            .skip(1)
            .any(|player| player.details.is_some());
        if first.player != *caller.me() || first.details.is_none() || others {
            return Err(body_invalid(
                "Name yourself first, with your details, and the others without: they join.",
            ));
        }
    }
    if request.modes.iter().any(|mode| queue.mode(mode).is_none()) {
        return Err(unknown_mode());
    }
    let named = queue.modes.iter();
    let named = named.filter(|rules| request.modes.contains(&rules.mode));
    let most = match request.modes.is_empty() {
        true => queue.modes.iter().map(|rules| rules.party.max).max(),
        false => named.map(|rules| rules.party.max).min(),
    };
    let most = (most.unwrap_or(0) as usize).min(MAX_PARTY);
    if players.len() > most {
        let detail = format!("The modes take parties of up to {most} players.");
        return Err(Refusal::new(ProblemKind::PartyTooLarge, detail));
    }
    Ok(())
}

/// The modes that a request asks for; when it names none, all that take parties of its size.
fn modes_of(queue: &Queue, request: &TicketRequest) -> Vec<ModeName> {
    if !request.modes.is_empty() {
        return request.modes.clone();
    }
    let players = request.players.len();
    let takes =
        |rules: &RuleSet| (rules.party.min as usize..=rules.party.max as usize).contains(&players);
    // Where none does, all are asked for: why not is told of the modes one by one.
    let any = queue.modes.iter().any(takes);
    let wanted = queue.modes.iter().filter(|rules| takes(rules) || !any);
    wanted.map(|rules| rules.mode.clone()).collect()
}

/// `PUT /v1/match/queues/{queue}/tickets/{ticket}/party`.
pub(super) async fn join(
    host: &impl Ports,
    store: &impl Store,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let caller = call.caller()?;
    let queue = queue::of_path(store, caller.now_ms, call).await?;
    let at = TicketRef::of_path(call)?;
    let asked: PlayerDetails = call.body()?;
    let tried = until_done(host, || {
        try_join(host, store, caller, (&queue, &at), &asked)
    });
    let look = look(host, store, caller, &at, tried.await?).await?;
    Ok(look.response(JOIN_PARTY.status))
}

/// The ticket with him in it; none inside when it did not wait for him.
async fn try_join(
    host: &(impl Entropy + Timer + Variables),
    store: &impl Store,
    caller: &Caller,
    (queue, at): (&Queue, &TicketRef),
    asked: &PlayerDetails,
) -> Result<Option<Option<Held<StoredTicket>>>, Refusal> {
    let (me, now_ms) = (caller.me(), caller.now_ms);
    let held = ticket::of_party(store, caller, at).await?;
    if !held.value.waits_for(me) {
        return Ok(Some(None));
    }
    let known = player::get(store, now_ms, me).await?;
    let rated = known.as_ref().map(|held| held.value.rating(&queue.name));
    let of = (me, rated.unwrap_or(NEWCOMER).into());
    let details = details::of(host, store, caller, of, asked).await?;
    let (over, kept, mut ticket) = (held.over(), held.kept, held.value);
    for member in &mut ticket.players {
        if member.id == *me {
            member.details = Some(details.clone());
        }
    }
    party::start(queue, at, &mut ticket, now_ms)?;
    match seat::take(host, store, now_ms, me, at, known).await? {
        Taken::Before(seated) if seated != *at => return Err(ended()),
        Taken::Before(_) | Taken::Now => {}
    }
    let written = unless_lost(ticket::keep(store, now_ms, at, &ticket, over).await)?;
    let written = written.map(|version| Held {
        kept,
        ..Held::written(ticket, version)
    });
    Ok(written.map(Some))
}

/// `DELETE` of a ticket, or of the caller's place in it.
pub(super) async fn end(
    host: &(impl Entropy + Timer),
    store: &impl Store,
    call: &Call<'_>,
    only_leader: bool,
) -> Result<Response, Refusal> {
    let at = TicketRef::of_path(call)?;
    party::end(host, store, call.caller()?, &at, only_leader).await?;
    Ok(Response::empty(CANCEL.status))
}
