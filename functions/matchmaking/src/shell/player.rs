//! What is kept of a player: his seat, which is the one ticket that he may wait with, and his
//! ratings.
//!
//! A seat is taken before its ticket is written, so a seat may name a ticket that is not there:
//! not yet, or not any more. Whoever takes such a seat over first puts a tombstone where the
//! ticket would be, unless the seat is older than any request can last. After that the ticket
//! cannot come to be, so a player never waits with two.

use std::collections::BTreeMap;

use edge::Refusal;
use edge::http::Response;
use edge::store::{Condition, Key, Store, StoreError};
use serde::{Deserialize, Serialize};
use wire::matching::{Rating, SeatReply, TicketEnd};
use wire::problem::ProblemKind;
use wire::routes::SEAT;
use wire::{MatchId, PlayerId, QueueName, TicketId};

use super::Ports;
use super::caller::{Caller, MAX_ATTEMPTS, conflict};
use super::items::{self, Held, unchanged};
use super::ticket::{State, Ticket, TicketRef};
use crate::ratings::NEWCOMER;

/// Longer than any host lets a request run, in milliseconds.
const REQUEST_MAX_MS: u64 = 60_000;
/// How long a player without a rating is remembered, in milliseconds.
const STRANGER_MS: u64 = 24 * 60 * 60 * 1000;
/// Ended tickets and rated matches that are remembered.
const REMEMBERED: usize = 8;
const SORT: &str = "player";

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Player {
    #[serde(default, rename = "s", skip_serializing_if = "Option::is_none")]
    pub(super) seat: Option<Seat>,
    /// Names of tickets that he ended: a late duplicate does not bring them back.
    #[serde(default, rename = "e", skip_serializing_if = "Vec::is_empty")]
    ended: Vec<String>,
    #[serde(default, rename = "r", skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) ratings: BTreeMap<QueueName, Rated>,
    /// Matches whose results are in the ratings.
    #[serde(default, rename = "m", skip_serializing_if = "Vec::is_empty")]
    rated: Vec<MatchId>,
}

/// The ticket that a player waits with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seat {
    #[serde(rename = "q")]
    pub(super) queue: QueueName,
    #[serde(rename = "t")]
    pub(super) ticket: TicketId,
    #[serde(rename = "a")]
    at_ms: u64,
}

/// A rating and how many matches are in it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Rated {
    pub(super) mu: f64,
    pub(super) sigma: f64,
    pub(super) n: u32,
}

impl Player {
    pub(super) fn rating(&self, queue: &QueueName) -> Rated {
        self.ratings.get(queue).copied().unwrap_or(Rated {
            mu: NEWCOMER.mu,
            sigma: NEWCOMER.sigma,
            n: 0,
        })
    }

    /// Leaves the seat of this ticket. Whether he had it.
    fn stand_up(&mut self, ticket: &TicketRef) -> bool {
        let seated = self.seat.as_ref().is_some_and(|seat| ticket.is(seat));
        if seated {
            self.seat = None;
        }
        seated
    }

    /// Leaves the seat of this ticket and never takes it again. Whether that changed anything.
    pub(super) fn end(&mut self, ticket: &TicketRef) -> bool {
        let name = ticket.name().to_owned();
        let is_known = self.ended.contains(&name);
        if !is_known {
            remember(&mut self.ended, name);
        }
        self.stand_up(ticket) || !is_known
    }

    /// Whether a result of this match is in the ratings; notes it if not.
    pub(super) fn note_rated(&mut self, id: &MatchId) -> bool {
        let known = self.rated.contains(id);
        if !known {
            remember(&mut self.rated, id.clone());
        }
        known
    }

    fn expires_at_ms(&self, now_ms: u64) -> Option<u64> {
        self.ratings.is_empty().then_some(now_ms + STRANGER_MS)
    }
}

fn remember<T>(list: &mut Vec<T>, value: T) {
    if list.len() == REMEMBERED {
        list.remove(0);
    }
    list.push(value);
}

impl From<Rated> for Rating {
    fn from(rated: Rated) -> Self {
        Self {
            mu: rated.mu,
            sigma: rated.sigma,
        }
    }
}

fn partition(player: &PlayerId) -> String {
    format!("match-player#{player}")
}

/// What taking a seat came to.
pub(super) struct Taken {
    /// The player as he is now.
    pub(super) player: Player,
    /// The ticket of his seat: an earlier request with the same key may have named it.
    pub(super) ticket: TicketRef,
    /// The seat is of an earlier request that must have come to its end by now.
    pub(super) is_old: bool,
}

impl<H: Ports, S: Store> Caller<'_, H, S> {
    pub(super) async fn player(&self, id: &PlayerId) -> Result<Option<Held<Player>>, StoreError> {
        let partition = partition(id);
        items::get(self.store, self.now_ms, Key::new(&partition, SORT)).await
    }

    async fn keep_player(
        &self,
        id: &PlayerId,
        player: &Player,
        condition: Condition,
    ) -> Result<(), StoreError> {
        let partition = partition(id);
        let (key, expires) = (
            Key::new(&partition, SORT),
            player.expires_at_ms(self.now_ms),
        );
        items::put(self.store, self.now_ms, key, player, expires, condition).await?;
        Ok(())
    }

    /// Changes a player by compare-and-swap; `change` says whether there is anything to write.
    pub(super) async fn change_player(
        &self,
        id: &PlayerId,
        mut change: impl FnMut(&mut Player) -> bool,
    ) -> Result<Player, Refusal> {
        for attempt in 0..MAX_ATTEMPTS {
            self.pause(attempt).await;
            let held = self.player(id).await?;
            let condition = unchanged(held.as_ref());
            let mut player = held.map(|held| held.value).unwrap_or_default();
            if !change(&mut player) {
                return Ok(player);
            }
            match self.keep_player(id, &player, condition).await {
                Ok(()) => return Ok(player),
                Err(StoreError::ConditionFailed) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(conflict())
    }

    /// Seats a player at a ticket.
    ///
    /// # Errors
    /// `already-queued`, `ticket-expired` when he ended this ticket before.
    pub(super) async fn take_seat(
        &self,
        id: &PlayerId,
        ticket: &TicketRef,
    ) -> Result<Taken, Refusal> {
        for attempt in 0..MAX_ATTEMPTS {
            self.pause(attempt).await;
            let held = self.player(id).await?;
            let condition = unchanged(held.as_ref());
            let mut player = held.map(|held| held.value).unwrap_or_default();
            if player.ended.iter().any(|ended| ended == ticket.name()) {
                return Err(ended());
            }
            if let Some(seat) = player.seat.clone() {
                let (seated, is_old) = (TicketRef::of(&seat)?, self.is_old(&seat));
                if seated.name() == ticket.name() {
                    return Ok(Taken {
                        player,
                        ticket: seated,
                        is_old,
                    });
                }
                self.clear(&seated, is_old).await?;
            }
            player.seat = Some(Seat {
                queue: ticket.queue.clone(),
                ticket: ticket.id(),
                at_ms: self.now_ms,
            });
            match self.keep_player(id, &player, condition).await {
                Ok(()) => {
                    return Ok(Taken {
                        player,
                        ticket: ticket.clone(),
                        is_old: false,
                    });
                }
                Err(StoreError::ConditionFailed) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(conflict())
    }

    fn is_old(&self, seat: &Seat) -> bool {
        self.now_ms.saturating_sub(seat.at_ms) > REQUEST_MAX_MS
    }

    /// Makes sure that the ticket of a seat that shall be taken over neither waits nor ever will.
    async fn clear(&self, seated: &TicketRef, is_old: bool) -> Result<(), Refusal> {
        let held = match self.ticket(seated).await? {
            None if is_old => return Ok(()),
            None => {
                let tombstone = Ticket::tombstone(TicketEnd::Cancelled);
                match self
                    .keep_ticket(seated, &tombstone, Condition::Absent)
                    .await
                {
                    Ok(_) => return Ok(()),
                    // It came to be in this moment.
                    Err(StoreError::ConditionFailed) => return Err(already_queued()),
                    Err(error) => return Err(error.into()),
                }
            }
            Some(held) => held,
        };
        match held.value.state {
            State::Ended(_) => Ok(()),
            _ => Err(already_queued()),
        }
    }

    /// Ends a player's part in a ticket.
    pub(super) async fn end_seat(&self, id: &PlayerId, ticket: &TicketRef) -> Result<(), Refusal> {
        self.change_player(id, |player| player.end(ticket)).await?;
        Ok(())
    }

    /// Takes a player from the seat of a ticket that was refused. If that fails, the seat names a
    /// ticket that is not there, which whoever wants the seat clears.
    pub(super) async fn stand_up(&self, id: &PlayerId, ticket: &TicketRef) {
        let _ = self
            .change_player(id, |player| player.stand_up(ticket))
            .await;
    }
}

pub(super) fn ended() -> Refusal {
    Refusal::new(
        ProblemKind::TicketExpired,
        "The ticket has ended, or nobody asked for it in time; queue again with a new key.",
    )
}

fn already_queued() -> Refusal {
    Refusal::new(
        ProblemKind::AlreadyQueued,
        "A player of the party has a ticket; take it back first, or leave its match.",
    )
}

/// `GET /v1/match/seat`.
pub(super) async fn seat<H: Ports, S: Store>(
    caller: &Caller<'_, H, S>,
) -> Result<Response, Refusal> {
    let held = caller.player(caller.me()).await?;
    let mut reply = SeatReply {
        ticket: None,
        queue: None,
    };
    if let Some(seat) = held.and_then(|held| held.value.seat) {
        let ticket = caller.ticket(&TicketRef::of(&seat)?).await?;
        let lives = ticket.is_some_and(|held| !matches!(held.value.state, State::Ended(_)));
        if lives {
            reply.ticket = Some(seat.ticket);
            reply.queue = Some(seat.queue);
        }
    }
    Ok(Response::json(SEAT.status, &reply))
}
