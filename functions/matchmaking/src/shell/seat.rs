//! Taking and leaving seats.
//!
//! A seat is taken before its ticket is put, and by that request alone, once. So a seat may name a
//! ticket that is not there: not yet, or not any more. Whoever wants to know that it will not come
//! puts a tombstone in its place, if absent. That must never be where a ticket was: a pass that
//! still knows the ticket would take the tombstone for it, by its version, and give a match
//! somebody who waits elsewhere. So both who take a ticket back and who would bar one mark the seat
//! first ([`Mark`]), and of those two marks there is one.

use std::ops::ControlFlow::{self, Break, Continue};

use edge::Refusal;
use edge::change::{unless_lost, until_done, until_done_from};
use edge::items::{Held, Over};
use edge::ports::{Entropy, Timer};
use edge::store::{Store, StoreError};
use wire::matching::TicketEnd;
use wire::problem::ProblemKind;
use wire::{MatchId, PlayerId};

use super::formed::{self, Formed};
use super::player::{self, Mark, Seat, StoredPlayer};
use super::refusals::{conflict, ended, too_fast};
use super::ticket::{self, State, StoredTicket, TicketRef};

/// Longer than any host lets a request run, in milliseconds.
const REQUEST_MAX_MS: u64 = 60_000;
/// How long a request has to put the ticket of the seat that it took before anybody bars it, in
/// milliseconds: many times what that takes. Whoever sends things twice at once leaves nothing.
const SEATING_MS: u64 = 2_000;

/// How a seat was taken.
#[derive(Debug)]
pub(super) enum Taken {
    /// Just now. The ticket of a leader is for this request to put.
    Now,
    /// By an earlier request with the same key, which has put this ticket.
    Before(TicketRef),
}

/// What is behind a seat.
enum Behind {
    /// The ticket of a party, which may have ended.
    Ticket(State),
    /// A ticket that is gone.
    Over,
    /// A ticket that never was and will not be.
    Never,
    /// Nothing yet: the request that took the seat is about to put its ticket.
    NotYet,
    /// Nothing, and something may come; the seat must be barred to know.
    InDoubt,
}

/// Seats a player, as he was read, at a ticket.
///
/// # Errors
/// `already-queued`, `ticket-expired` when he ended this ticket before, `too-fast`; `conflict`
/// while another request puts this ticket.
pub(super) async fn take(
    host: &(impl Entropy + Timer),
    store: &impl Store,
    now_ms: u64,
    id: &PlayerId,
    ticket: &TicketRef,
    held: Option<Held<StoredPlayer>>,
) -> Result<Taken, Refusal> {
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
) -> Result<ControlFlow<Taken, Option<Option<Held<StoredPlayer>>>>, Refusal> {
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
        let seated = seat.at()?;
        let is_retry = seated.name() == ticket.name();
        let behind = match &seat.found {
            Some(found) if !is_retry => match plays_in(store, now_ms, id, found).await? {
                true => return Err(already_queued()),
                false => Behind::Over,
            },
            _ => behind(store, now_ms, &seat, &seated).await?,
        };
        match behind {
            Behind::Ticket(_) if is_retry => return Ok(Break(Taken::Before(seated))),
            Behind::Ticket(state) if !matches!(state, State::Ended(_)) => {
                return Err(already_queued());
            }
            Behind::Over if is_retry => return Err(ended()),
            Behind::NotYet if is_retry => return Err(conflict()),
            Behind::NotYet => return Err(already_queued()),
            Behind::InDoubt => {
                bar(store, now_ms, id, player, over).await?;
                return Ok(Continue(None));
            }
            // Barred as it was: the next millisecond has another.
            Behind::Never if seated == *ticket => return Err(conflict()),
            Behind::Ticket(_) | Behind::Over | Behind::Never => {}
        }
    }
    player.pace.take(now_ms).map_err(too_fast)?;
    player.seat = Some(Seat {
        queue: ticket.queue.clone(),
        ticket: ticket.id(),
        at_ms: now_ms,
        found: None,
        mark: None,
    });
    let kept = unless_lost(player::keep(store, now_ms, id, &player, over).await)?;
    Ok(kept.map_or(Continue(None), |()| Break(Taken::Now)))
}

/// Looks behind a seat that has led to no match. Where the ticket is barred, makes sure that it
/// will not come.
async fn behind(
    store: &impl Store,
    now_ms: u64,
    seat: &Seat,
    at: &TicketRef,
) -> Result<Behind, StoreError> {
    if let Some(held) = ticket::get(store, now_ms, at).await? {
        return Ok(match held.value.is_tombstone() {
            true => Behind::Never,
            false => Behind::Ticket(held.value.state),
        });
    }
    let age_ms = now_ms.saturating_sub(seat.at_ms);
    if seat.mark == Some(Mark::Ending) || age_ms > REQUEST_MAX_MS {
        return Ok(Behind::Over);
    }
    if age_ms < SEATING_MS {
        return Ok(Behind::NotYet);
    }
    if seat.mark.is_none() {
        return Ok(Behind::InDoubt);
    }
    let tombstone = StoredTicket::tombstone(TicketEnd::Cancelled);
    let put = ticket::keep(store, now_ms, at, &tombstone, Over::NOTHING).await;
    Ok(match unless_lost(put)? {
        Some(_) => Behind::Never,
        // It came to be in this moment.
        None => Behind::NotYet,
    })
}

/// Marks a player's seat, as he was read, before its ticket is barred. Whether nobody was faster.
async fn bar(
    store: &impl Store,
    now_ms: u64,
    id: &PlayerId,
    mut player: StoredPlayer,
    over: Over,
) -> Result<bool, StoreError> {
    if let Some(seat) = &mut player.seat {
        seat.mark = Some(Mark::Barred);
    }
    let kept = player::keep(store, now_ms, id, &player, over).await;
    Ok(unless_lost(kept)?.is_some())
}

/// Takes a player from the seat of a ticket that is not there. Whether that is so: the ticket may
/// have come meanwhile. If it had led to a match, that match, which he is to leave first.
///
/// # Errors
/// `conflict` while a request puts the ticket.
pub(super) async fn leave(
    host: &(impl Entropy + Timer),
    store: &impl Store,
    now_ms: u64,
    id: &PlayerId,
    at: &TicketRef,
) -> Result<Left, Refusal> {
    until_done(host, || async {
        let held = player::get(store, now_ms, id).await?;
        let over = Over::read(held.as_ref());
        let mut player = held.map(|held| held.value).unwrap_or_default();
        if let Some(seat) = player.seat.clone().filter(|seat| seat.is_of(at)) {
            if let Some(found) = seat.found {
                return Ok(Some(Left::Match(found)));
            }
            match behind(store, now_ms, &seat, at).await? {
                Behind::Ticket(_) => return Ok(Some(Left::Ticket)),
                Behind::NotYet => return Err(conflict()),
                Behind::InDoubt => {
                    bar(store, now_ms, id, player, over).await?;
                    return Ok(None);
                }
                Behind::Over | Behind::Never => {}
            }
        }
        if !player.end(at) {
            return Ok(Some(Left::Nothing));
        }
        let kept = unless_lost(player::keep(store, now_ms, id, &player, over).await)?;
        Ok(kept.map(|()| Left::Nothing))
    })
    .await
}

/// What is left of a seat's ticket.
pub(super) enum Left {
    Nothing,
    /// It is there.
    Ticket,
    /// The match that it led to.
    Match(MatchId),
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
