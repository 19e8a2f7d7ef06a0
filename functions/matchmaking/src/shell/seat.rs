//! Taking and leaving seats.
//!
//! A seat is taken before its ticket is written, so a seat may name a ticket that is not there:
//! not yet, or not any more. Whoever takes such a seat over first puts a tombstone where the
//! ticket would be, unless the seat is older than any request can last. After that the ticket
//! cannot come to be, so a player never waits with two.

use std::ops::ControlFlow::{self, Break, Continue};

use edge::Refusal;
use edge::change::{unless_lost, until_done_from};
use edge::items::{Held, Over};
use edge::ports::{Entropy, Timer};
use edge::store::{Store, StoreError};
use wire::matching::TicketEnd;
use wire::problem::ProblemKind;
use wire::{MatchId, PlayerId};

use super::formed::{self, Formed};
use super::player::{self, Seat, StoredPlayer};
use super::refusals::{ended, too_fast};
use super::ticket::{self, State, StoredTicket, TicketRef};

/// Longer than any host lets a request run, in milliseconds.
const REQUEST_MAX_MS: u64 = 60_000;

/// Seats a player, as he was read, at a ticket. Where he sits then: an earlier request with the
/// same key may have named the ticket otherwise, and whether that request must have come to its
/// end by now.
///
/// # Errors
/// `already-queued`, `ticket-expired` when he ended this ticket before, `too-fast`.
pub(super) async fn take(
    host: &(impl Entropy + Timer),
    store: &impl Store,
    now_ms: u64,
    id: &PlayerId,
    ticket: &TicketRef,
    held: Option<Held<StoredPlayer>>,
) -> Result<(TicketRef, bool), Refusal> {
    until_done_from(host, Some(held), |known| {
        try_take(store, now_ms, id, ticket, known)
    })
    .await
}

async fn try_take(
    store: &impl Store,
    now_ms: u64,
    id: &PlayerId,
    ticket: &TicketRef,
    known: Option<Option<Held<StoredPlayer>>>,
) -> Result<ControlFlow<(TicketRef, bool), Option<Option<Held<StoredPlayer>>>>, Refusal> {
    let held = match known {
        Some(held) => held,
        None => player::get(store, now_ms, id).await?,
    };
    let over = Over::read(held.as_ref());
    let mut player = held.map(|held| held.value).unwrap_or_default();
    if player.ended.iter().any(|ended| ended == ticket.name()) {
        return Err(ended());
    }
    if let Some(seat) = player.seat.clone() {
        let (seated, is_old) = (seat.at()?, is_old(&seat, now_ms));
        if seated.name() == ticket.name() {
            return Ok(Break((seated, is_old)));
        }
        clear(store, now_ms, id, (&seat, &seated, is_old)).await?;
    }
    player.pace.take(now_ms).map_err(too_fast)?;
    player.seat = Some(Seat {
        queue: ticket.queue.clone(),
        ticket: ticket.id(),
        at_ms: now_ms,
        found: None,
    });
    let kept = unless_lost(player::keep(store, now_ms, id, &player, over).await)?;
    Ok(kept.map_or(Continue(None), |()| Break((ticket.clone(), false))))
}

fn is_old(seat: &Seat, now_ms: u64) -> bool {
    now_ms.saturating_sub(seat.at_ms) > REQUEST_MAX_MS
}

/// Makes sure that the ticket of a seat that shall be taken over neither waits nor ever will.
async fn clear(
    store: &impl Store,
    now_ms: u64,
    player: &PlayerId,
    (seat, seated, is_old): (&Seat, &TicketRef, bool),
) -> Result<(), Refusal> {
    if let Some(id) = &seat.found {
        return match plays_in(store, now_ms, player, id).await? {
            true => Err(already_queued()),
            false => Ok(()),
        };
    }
    let held = match ticket::get(store, now_ms, seated).await? {
        None if is_old => return Ok(()),
        None => {
            let tombstone = StoredTicket::tombstone(TicketEnd::Cancelled);
            let put = ticket::keep(store, now_ms, seated, &tombstone, Over::NOTHING).await;
            return match unless_lost(put)? {
                Some(_) => Ok(()),
                // It came to be in this moment.
                None => Err(already_queued()),
            };
        }
        Some(held) => held,
    };
    match held.value.state {
        State::Ended(_) => Ok(()),
        _ => Err(already_queued()),
    }
}

/// Whether a player has his seat for something that still goes on.
pub(super) async fn lives(
    store: &impl Store,
    now_ms: u64,
    player: &PlayerId,
    seat: &Seat,
) -> Result<bool, Refusal> {
    if let Some(id) = &seat.found {
        return Ok(plays_in(store, now_ms, player, id).await?);
    }
    let ticket = ticket::get(store, now_ms, &seat.at()?).await?;
    Ok(ticket.is_some_and(|held| !matches!(held.value.state, State::Ended(_))))
}

async fn plays_in(
    store: &impl Store,
    now_ms: u64,
    player: &PlayerId,
    id: &MatchId,
) -> Result<bool, StoreError> {
    let formed = formed::get(store, now_ms, id).await?;
    Ok(formed.is_running() && formed.team_of(player).is_some())
}

/// Lets everybody find the match again, which outlives its tickets: a player whose own client
/// never asked must not be free for another one. Whoever asks first does it, himself last, so
/// that it is done again if it was done by half.
pub(super) async fn note_match(
    host: &(impl Entropy + Timer),
    store: &impl Store,
    now_ms: u64,
    me: &PlayerId,
    formed: &Formed,
) -> Result<(), Refusal> {
    let mine = player::get(store, now_ms, me).await?;
    let mine = mine.and_then(|held| held.value.seat);
    if mine.is_some_and(|seat| seat.found.as_ref() == Some(&formed.id)) {
        return Ok(());
    }
    let mut all = Vec::new();
    for body in formed.ready() {
        for party in body.parties() {
            let at = TicketRef::parse(&body.queue, &party.ticket)?;
            all.extend(party.players.iter().map(|member| (at.clone(), &member.id)));
        }
    }
    all.sort_by_key(|(_, player)| *player == me);
    let here = all
        .into_iter()
        .filter(|(_, player)| !formed.has_left(player));
    for (at, player) in here {
        player::change(host, store, now_ms, player, |known| {
            known.note_match(&at, &formed.id)
        })
        .await?;
    }
    Ok(())
}

fn already_queued() -> Refusal {
    Refusal::new(
        ProblemKind::AlreadyQueued,
        "A player of the party has a ticket; take it back first, or leave its match.",
    )
}
