//! What becomes of a match that is not decided yet, and of its tickets.
//!
//! The phase item decides: it is written once if absent, and from `Proposed` on by
//! compare-and-swap, so all who look agree, whoever crashed before them. Only when it says that the
//! match is abandoned may its tickets be claimed for another one.

use edge::change::unless_lost;
use edge::store::{Store, StoreError};
use wire::matching::TicketEnd;
use wire::{MatchId, QueueName, TicketId};

use super::formed::{self, FORM_MS, Formed, Phase};
use super::player;
use super::ticket::{self, Claim, State, TicketRef};

/// What a claim means now.
#[derive(Debug, Clone)]
pub(super) enum Standing {
    /// Somebody is forming the match.
    Undecided,
    /// All must accept.
    Proposed(Formed),
    /// It is a match.
    Ready(Formed),
    /// It is none; the tickets were released.
    Abandoned,
}

/// What became of the part of a match that a ticket is claimed for. Decides if it is time to, and
/// then releases the tickets.
pub(super) async fn standing(
    store: &impl Store,
    now_ms: u64,
    queue: &QueueName,
    claim: &Claim,
) -> Result<Standing, StoreError> {
    let formed = formed::get(store, now_ms, &claim.id).await?;
    let overdue = match formed.bodies.get(&claim.part) {
        Some(body) => body.at_ms + FORM_MS <= now_ms,
        None => claim.until_ms <= now_ms,
    };
    let timed_out = match formed.phase(claim.part) {
        Some(Phase::Ready) => return Ok(Standing::Ready(formed)),
        Some(Phase::Proposed(until_ms)) if now_ms < until_ms => {
            return Ok(Standing::Proposed(formed));
        }
        Some(Phase::Proposed(_)) => true,
        Some(Phase::Abandoned { timed_out }) => {
            release(store, now_ms, queue, &formed, claim.part, timed_out).await?;
            return Ok(Standing::Abandoned);
        }
        None if !overdue => return Ok(Standing::Undecided),
        None => false,
    };
    match abandon(store, now_ms, queue, &formed, claim.part, timed_out).await? {
        true => Ok(Standing::Abandoned),
        // Somebody else decided just now; the next look will tell.
        false => Ok(Standing::Undecided),
    }
}

/// Abandons a part of a match if it is as `formed` says, and releases its tickets. Whether it was
/// so.
pub(super) async fn abandon(
    store: &impl Store,
    now_ms: u64,
    queue: &QueueName,
    formed: &Formed,
    part: u32,
    timed_out: bool,
) -> Result<bool, StoreError> {
    let phase = Phase::Abandoned { timed_out };
    if !formed::decide(store, now_ms, formed, part, phase).await? {
        return Ok(false);
    }
    release(store, now_ms, queue, formed, part, timed_out).await?;
    if timed_out && let Some(body) = formed.bodies.get(&part) {
        let players = body.parties().flat_map(|party| &party.players);
        let silent = players.filter(|member| !formed.accepts.contains_key(&member.id));
        for member in silent {
            player::try_note_declined(store, now_ms, &member.id, &formed.id).await?;
        }
    }
    Ok(true)
}

/// Releases the tickets of an abandoned part of a match.
pub(super) async fn release(
    store: &impl Store,
    now_ms: u64,
    queue: &QueueName,
    formed: &Formed,
    part: u32,
    timed_out: bool,
) -> Result<(), StoreError> {
    let Some(body) = formed.bodies.get(&part) else {
        return Ok(());
    };
    for party in body.parties() {
        let goes_on = formed.goes_on(timed_out, &party.players);
        let of = (&formed.id, part);
        unclaim(store, now_ms, (queue, &party.ticket), of, goes_on).await?;
    }
    Ok(())
}

/// Puts a ticket that is claimed for an abandoned match back into the pool, or ends it.
async fn unclaim(
    store: &impl Store,
    now_ms: u64,
    (queue, id): (&QueueName, &TicketId),
    of: (&MatchId, u32),
    goes_on: bool,
) -> Result<(), StoreError> {
    let Ok(at) = TicketRef::parse(queue, id) else {
        return Ok(());
    };
    let Some(held) = ticket::get(store, now_ms, &at).await? else {
        return Ok(());
    };
    match &held.value.state {
        State::Claimed(claim) if (&claim.id, claim.part) == of => {}
        _ => return Ok(()),
    }
    let ticket = match goes_on {
        true => held.value.waiting(),
        false => held.value.ended(TicketEnd::NotAccepted),
    };
    // Whoever was first did the same.
    unless_lost(ticket::keep(store, now_ms, &at, &ticket, held.over()).await)?;
    Ok(())
}
