//! Looking at a ticket, which is also what drives the matching.

use edge::change::unless_lost;
use edge::http::Response;
use edge::items::Held;
use edge::store::{Store, StoreError};
use edge::{Caller, Refusal};
use wire::matching::{TicketReply, TicketStatus};
use wire::until::Watch;

use super::formed::{self, Formed};
use super::lane::{self, Revealed};
use super::pass;
use super::ports::Ports;
use super::reply;
use super::seat;
use super::settle::{self, Standing};
use super::ticket::{self, State, StoredTicket, TICKET_TTL_MS, TicketRef};

/// After how many milliseconds a client asks again while its match is being formed.
const POLL_SOON_MS: u64 = 500;
/// Outcome of a request that did a pass of its lane besides what it was for: that costs many times
/// what it costs else.
const PASSED: &str = "passed";

/// What was seen of a ticket.
pub(super) struct Look {
    reply: TicketReply,
    /// Whether a pass was due, and done.
    has_passed: bool,
    /// What the reply is about.
    watches: Vec<Watch>,
}

impl Look {
    /// For somebody who knows that the ticket waits, and would wait `wait_ms` for news: if it still
    /// does, the reply holds until something changes, but not longer than until it is time to ask
    /// again, for asking is what drives the passes.
    pub(super) fn response_until(mut self, status: u16, caller: &Caller, wait_ms: u64) -> Response {
        let holds_ms = self.reply.poll_after_ms.unwrap_or(0).min(wait_ms);
        let holds = holds_ms > 0 && self.reply.status == TicketStatus::Waiting;
        let watches = std::mem::take(&mut self.watches);
        let response = self.response(status);
        match holds {
            true => response.until(holds_ms, caller.me(), watches),
            false => response,
        }
    }

    /// The reply. Whoever asked first when a pass was due: his request is told apart from those
    /// that only read.
    pub(super) fn response(self, status: u16) -> Response {
        let mut response = Response::json(status, &self.reply);
        if self.has_passed {
            response.outcome = PASSED;
        }
        response
    }
}

/// What became of a ticket, which is `written` when the caller has just written it. If it waits,
/// does the pass of its lane when that is due.
pub(super) async fn look(
    host: &impl Ports,
    store: &impl Store,
    caller: &Caller,
    at: &TicketRef,
    written: Option<Held<StoredTicket>>,
) -> Result<Look, Refusal> {
    let (now_ms, is_new) = (caller.now_ms, written.is_some());
    let mut held = match written {
        Some(held) => held,
        None => ticket::of_party(store, caller, at).await?,
    };
    let (mut typical_wait_s, mut passed) = (None, None);
    if held.value.state == State::Waiting {
        let lease = lane::lease(store, now_ms, &at.queue, at.lane).await?;
        typical_wait_s = lease.as_ref().and_then(|held| held.value.typical_wait_s());
        passed = match lane::reveal(store, now_ms, at, lease).await? {
            Revealed::Is(lease) => {
                pass::drive(host, store, now_ms, &at.queue, at.lane, lease).await
            }
            Revealed::NotYet => None,
        };
        if passed.is_some_and(|formed| formed > 0) {
            held = ticket::of_party(store, caller, at).await?;
        }
    }
    let mut standing = None;
    if let State::Claimed(claim) = &held.value.state {
        standing = Some(settle::standing(store, now_ms, &at.queue, claim).await?);
        if matches!(standing, Some(Standing::Abandoned)) {
            held = ticket::of_party(store, caller, at).await?;
        }
    }
    if !is_new {
        renew(store, now_ms, at, &held).await?;
    }
    let mut watches = vec![Watch::item(at.partition(), at.sort())];
    if let State::Claimed(claim) = &held.value.state {
        watches.push(formed::watch(&claim.id));
    }
    let mut reply = reply::of_ticket(now_ms, at, &held.value);
    reply.typical_wait_s = typical_wait_s;
    if let Some(standing) = standing {
        tell(host, store, caller, standing, &mut reply).await?;
    }
    Ok(Look {
        reply,
        has_passed: passed.is_some(),
        watches,
    })
}

/// Tells of the match that a ticket is claimed for.
async fn tell(
    host: &impl Ports,
    store: &impl Store,
    caller: &Caller,
    standing: Standing,
    reply: &mut TicketReply,
) -> Result<(), Refusal> {
    let found: Formed;
    (reply.poll_after_ms, reply.status, found) = match standing {
        Standing::Abandoned => return Ok(()),
        Standing::Undecided => {
            reply.poll_after_ms = Some(POLL_SOON_MS);
            return Ok(());
        }
        Standing::Proposed(formed) => (Some(2 * POLL_SOON_MS), TicketStatus::Proposed, formed),
        Standing::Ready(formed) => {
            seat::note_match(host, store, caller.now_ms, caller.me(), &formed).await?;
            (None, TicketStatus::Matched, formed)
        }
    };
    reply.found = Some(reply::of_match(host, caller, &found).await?);
    Ok(())
}

/// Keeps a ticket alive whose time is half over.
async fn renew(
    store: &impl Store,
    now_ms: u64,
    at: &TicketRef,
    held: &Held<StoredTicket>,
) -> Result<(), StoreError> {
    let waits = matches!(held.value.state, State::Waiting | State::Gathering);
    let left_ms = held.expires_at_ms.unwrap_or(0).saturating_sub(now_ms);
    if !waits || left_ms > TICKET_TTL_MS / 2 {
        return Ok(());
    }
    // Whoever changed it renewed it.
    unless_lost(ticket::keep(store, now_ms, at, &held.value, held.over()).await)?;
    Ok(())
}
