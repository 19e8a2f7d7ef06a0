//! Parties: how they come to wait, and how they end.

use edge::change::{unless_lost, until_done};
use edge::items::Held;
use edge::ports::{Entropy, Timer};
use edge::store::Store;
use edge::{Caller, Refusal};
use wire::PlayerId;
use wire::claims::Role;
use wire::matching::TicketEnd;
use wire::problem::ProblemKind;

use super::details::known;
use super::formed::{self, Formed, Gone};
use super::player::{self, StoredPlayer};
use super::queue::Queue;
use super::refusals::{conflict, unknown_mode};
use super::seat::{self, Left, Taken};
use super::settle::{self, Standing};
use super::ticket::{self, Claim, Member, State, StoredTicket, TicketRef, core_ticket};

/// Begins the wait if all have joined and the party can be matched at all.
///
/// # Errors
/// `ticket-invalid`, `unknown-mode`.
pub(super) fn start(
    queue: &Queue,
    at: &TicketRef,
    ticket: &mut StoredTicket,
    now_ms: u64,
) -> Result<(), Refusal> {
    if ticket.players.iter().any(|member| member.details.is_none()) {
        return Ok(());
    }
    let known = known(ticket.players.iter().map(|member| &member.id));
    let core = core_ticket(at, ticket, &known);
    for mode in &ticket.modes {
        let rules = queue.mode(mode).ok_or_else(unknown_mode)?;
        core.check(rules).map_err(|fault| {
            let detail = format!("The party cannot play {mode}: {fault}.");
            Refusal::new(ProblemKind::TicketInvalid, detail)
        })?;
    }
    ticket.since_ms = now_ms;
    ticket.state = State::Waiting;
    Ok(())
}

/// Seats those of a party whose details are there. By how its leader was, the ticket is this
/// request's to put, or an earlier one's.
pub(super) async fn seat_all(
    host: &(impl Entropy + Timer),
    store: &impl Store,
    now_ms: u64,
    at: &TicketRef,
    ticket: &StoredTicket,
    known: Vec<Option<Held<StoredPlayer>>>,
) -> Result<Taken, Refusal> {
    let members = &ticket.players;
    for (number, (member, held)) in members.iter().zip(known).enumerate() {
        if member.details.is_none() {
            continue;
        }
        let refusal = match seat::take(host, store, now_ms, &member.id, at, held).await {
            Ok(Taken::Now) => continue,
            Ok(before) if number == 0 => return Ok(before),
            // Another request with this key was faster with the leader.
            Ok(Taken::Before(_)) => conflict(),
            Err(refusal) => refusal,
        };
        // After a fault the seats stay: a retry goes on with them.
        if refusal.kind.status() < 500 {
            leave_seats(host, store, now_ms, &members[..number], at).await?;
        }
        return Err(refusal);
    }
    Ok(Taken::Now)
}

/// Leaves the seats that a refused request has taken: its ticket is nobody else's to put.
async fn leave_seats(
    host: &(impl Entropy + Timer),
    store: &impl Store,
    now_ms: u64,
    members: &[Member],
    at: &TicketRef,
) -> Result<(), Refusal> {
    for member in members.iter().filter(|member| member.details.is_some()) {
        let is_here = |known: &StoredPlayer| known.seat.as_ref().is_some_and(|s| s.is_of(at));
        let leave = |known: &mut StoredPlayer| is_here(known) && known.end(at);
        player::change(host, store, now_ms, &member.id, leave).await?;
    }
    Ok(())
}

/// What came of ending a ticket.
enum End {
    /// It has changed since it was read.
    Changed,
    /// It has ended, in its place; the seats are still taken.
    Done,
    /// It is removed, and whoever sits for it knows.
    Removed,
    /// It led to a match, which is left instead.
    Plays(Box<Formed>),
}

/// Ends a ticket, or the caller's place in the match that it led to. A ticket that waits ends for
/// all of its party.
///
/// # Errors
/// `not-in-party`, `not-leader`.
pub(super) async fn end(
    host: &(impl Entropy + Timer),
    store: &impl Store,
    caller: &Caller,
    at: &TicketRef,
    only_leader: bool,
) -> Result<(), Refusal> {
    until_done(host, || try_end(host, store, caller, at, only_leader)).await
}

async fn try_end(
    host: &(impl Entropy + Timer),
    store: &impl Store,
    caller: &Caller,
    at: &TicketRef,
    only_leader: bool,
) -> Result<Option<()>, Refusal> {
    let (me, now_ms) = (caller.me(), caller.now_ms);
    let held = match ticket::of_party(store, caller, at).await {
        Ok(held) => held,
        // Cancelled twice, or after it expired: it is as he wants it.
        Err(refusal) if refusal.kind == ProblemKind::TicketExpired => {
            return leave_seat(host, store, now_ms, me, at).await;
        }
        Err(refusal) => return Err(refusal),
    };
    let is_server = caller.is(Role::GameServer);
    if only_leader && held.value.leader() != Some(me) && !is_server {
        return Err(Refusal::new(
            ProblemKind::NotLeader,
            "Leave the party instead, or ask its leader.",
        ));
    }
    let players = held.value.players.iter().map(|member| &member.id);
    match end_once(host, store, now_ms, me, at, &held).await? {
        End::Changed => return Ok(None),
        End::Removed => {}
        End::Done => {
            for player in players {
                player::end_seat(host, store, now_ms, player, at).await?;
            }
        }
        End::Plays(formed) => {
            // A match that runs is each one's own: nobody but the game takes others out of it.
            let goes: Vec<PlayerId> = players
                .filter(|player| is_server || *player == me)
                .cloned()
                .collect();
            leave(host, store, now_ms, *formed, at, &goes).await?;
        }
    }
    Ok(Some(()))
}

/// Ends a ticket as it was read.
async fn end_once(
    host: &(impl Entropy + Timer),
    store: &impl Store,
    now_ms: u64,
    me: &PlayerId,
    at: &TicketRef,
    held: &Held<StoredTicket>,
) -> Result<End, Refusal> {
    match &held.value.state {
        State::Claimed(claim) => end_claimed(host, store, now_ms, me, at, claim).await,
        State::Ended(_) => Ok(End::Done),
        State::Gathering | State::Waiting | State::Backfill(_) => {
            end_waiting(host, store, now_ms, at, held).await
        }
    }
}

/// Removes a ticket that waits. Where it is being barred for one of its players, and where it is a
/// match's, it ends in its place.
async fn end_waiting(
    host: &(impl Entropy + Timer),
    store: &impl Store,
    now_ms: u64,
    at: &TicketRef,
    held: &Held<StoredTicket>,
) -> Result<End, Refusal> {
    let members = &held.value.players;
    let mut is_removable = !members.is_empty();
    for member in members {
        is_removable &= player::note_ending(host, store, now_ms, &member.id, at).await?;
    }
    let ended = held.value.ended(TicketEnd::Cancelled);
    if !is_removable {
        let kept = ticket::keep(store, now_ms, at, &ended, held.over()).await;
        return Ok(unless_lost(kept)?.map_or(End::Changed, |_| End::Done));
    }
    // Before it goes, so that whoever waits for news of it is told.
    if members.len() > 1 {
        ticket::keep_end(store, now_ms, at, &ended).await?;
    }
    let removed = ticket::remove(store, now_ms, at, held.version).await;
    Ok(unless_lost(removed)?.map_or(End::Changed, |()| End::Removed))
}

/// Keeps the match from coming to be that a ticket is claimed for, unless it is one.
async fn end_claimed(
    host: &(impl Entropy + Timer),
    store: &impl Store,
    now_ms: u64,
    me: &PlayerId,
    at: &TicketRef,
    claim: &Claim,
) -> Result<End, Refusal> {
    let (queue, part) = (&at.queue, claim.part);
    match settle::standing(store, now_ms, queue, claim).await? {
        Standing::Ready(formed) => return Ok(End::Plays(Box::new(formed))),
        Standing::Proposed(formed) => {
            formed::answer(store, now_ms, &formed.id, me, false).await?;
            player::note_declined(host, store, now_ms, me, &formed.id).await?;
            let formed = formed::get(store, now_ms, &formed.id).await?;
            settle::abandon(store, now_ms, queue, &formed, part, false).await?;
        }
        Standing::Undecided => {
            let formed = formed::get(store, now_ms, &claim.id).await?;
            if formed.phase(part).is_none() {
                settle::abandon(store, now_ms, queue, &formed, part, false).await?;
            }
        }
        Standing::Abandoned => {}
    }
    Ok(End::Changed)
}

/// Takes players out of a running match, and then from their seats.
async fn leave(
    host: &(impl Entropy + Timer),
    store: &impl Store,
    now_ms: u64,
    formed: Formed,
    at: &TicketRef,
    players: &[PlayerId],
) -> Result<(), Refusal> {
    if formed.is_running() {
        formed::note_gone(host, store, now_ms, formed, Gone::Quit, players).await?;
    }
    for player in players {
        player::end_seat(host, store, now_ms, player, at).await?;
    }
    Ok(())
}

/// Ends a player's part in a ticket that is gone, and in the match that it led to. None when the
/// ticket is there after all.
async fn leave_seat(
    host: &(impl Entropy + Timer),
    store: &impl Store,
    now_ms: u64,
    me: &PlayerId,
    at: &TicketRef,
) -> Result<Option<()>, Refusal> {
    match seat::leave(host, store, now_ms, me, at).await? {
        Left::Nothing => {}
        Left::Ticket => return Ok(None),
        Left::Match(id) => {
            let formed = formed::get(store, now_ms, &id).await?;
            leave(host, store, now_ms, formed, at, std::slice::from_ref(me)).await?;
        }
    }
    Ok(Some(()))
}
