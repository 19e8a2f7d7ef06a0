//! Invitations: that a party has named a player who has not joined yet. They are kept beside what
//! is kept of him.

use std::cmp::Reverse;

use edge::Refusal;
use edge::blocks::blocked_by;
use edge::items::{self, Held, Over};
use edge::store::{Key, Store, StoreError};
use wire::PlayerId;
use wire::matching::{Invitation, MAX_INVITATIONS};

use super::player::partition;
use super::ticket::{self, TICKET_TTL_MS, TicketRef};

/// Most invitations that are read to find the newest.
const MAX_READ: usize = 1_000;
/// Prefix of the sort key of an invitation; its leader follows.
const INVITE: &str = "invite#";

/// Tells players that a leader's party has named them.
pub(super) async fn invite(
    store: &impl Store,
    now_ms: u64,
    leader: &PlayerId,
    players: &[PlayerId],
    ticket: &TicketRef,
) -> Result<(), StoreError> {
    let invitation = Invitation {
        ticket: ticket.id(),
        queue: ticket.queue.clone(),
        leader: leader.clone(),
    };
    let expires = Some(now_ms + TICKET_TTL_MS);
    for player in players {
        // A player has one invitation of each leader.
        let (partition, sort) = (partition(player), format!("{INVITE}{leader}"));
        let (key, always) = (Key::new(&partition, &sort), Over::ANYTHING);
        items::put(store, now_ms, key, &invitation, expires, always).await?;
    }
    Ok(())
}

/// The invitations of a player that still stand, the newest first.
pub(super) async fn of(
    store: &impl Store,
    now_ms: u64,
    player: &PlayerId,
) -> Result<Vec<Invitation>, Refusal> {
    let partition = partition(player);
    let bounds = (INVITE, "invite#~");
    let items = items::range(store, now_ms, &partition, bounds, MAX_READ).await?;
    let mut found: Vec<(Option<u64>, Invitation)> = Vec::new();
    for item in &items {
        let held = Held::<Invitation>::read(&partition, item)?;
        found.push((held.expires_at_ms, held.value));
    }
    found.sort_by_key(|(expires, _)| Reverse(*expires));
    let blocked = blocked_by(store, now_ms, player).await?;
    let mut open = Vec::new();
    let wanted = found.into_iter().map(|(_, invitation)| invitation);
    let wanted = wanted.filter(|invitation| !blocked.contains(&invitation.leader));
    for invitation in wanted.take(MAX_INVITATIONS) {
        let Ok(at) = TicketRef::parse(&invitation.queue, &invitation.ticket) else {
            continue;
        };
        let held = ticket::get(store, now_ms, &at).await?;
        if held.is_some_and(|held| held.value.waits_for(player)) {
            open.push(invitation);
        }
    }
    Ok(open)
}
