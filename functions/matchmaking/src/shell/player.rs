//! What is kept of a player: his seat, which is the one ticket that he may wait with, and his
//! ratings.
//!
//! A seat is taken before its ticket is written, so a seat may name a ticket that is not there:
//! not yet, or not any more. Whoever takes such a seat over first puts a tombstone where the
//! ticket would be, unless the seat is older than any request can last. After that the ticket
//! cannot come to be, so a player never waits with two.

use std::collections::BTreeMap;
use std::ops::ControlFlow::{self, Break, Continue};

use edge::Refusal;
use edge::blocks::blocked_by;
use edge::change::{unless_lost, until_done, until_done_from};
use edge::http::Response;
use edge::items::{self, Held, Over};
use edge::store::{Key, MAX_GET_ITEMS, Store, StoreError};
use serde::{Deserialize, Serialize};
use wire::matching::{Invitation, MAX_INVITATIONS, Rating, SeatReply, TicketEnd};
use wire::problem::ProblemKind;
use wire::routes::SEAT;
use wire::{MatchId, PlayerId, QueueName, TicketId};

use super::Ports;
use super::caller::Caller;
use super::ticket::{State, TICKET_TTL_MS, Ticket, TicketRef};
use crate::ratings;

/// Longer than any host lets a request run, in milliseconds.
const REQUEST_MAX_MS: u64 = 60_000;
/// How long a player without a rating is remembered, in milliseconds.
const STRANGER_MS: u64 = 24 * 60 * 60 * 1000;
/// Ended tickets that are remembered, and rated matches: more than a player has in the minute in
/// which a late duplicate may come. A result that is in all ratings is noted with its match.
const REMEMBERED: usize = 16;
/// Most invitations that are read to find the newest.
const MAX_READ: usize = 1_000;
const SORT: &str = "player";
/// Prefix of the sort key of an invitation; its leader follows.
const INVITE: &str = "invite#";

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

edge::stored!(player: Player);

/// The ticket that a player waits with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seat {
    #[serde(rename = "q")]
    pub(super) queue: QueueName,
    #[serde(rename = "t")]
    pub(super) ticket: TicketId,
    #[serde(rename = "a")]
    at_ms: u64,
    /// The match that the ticket led to.
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    pub(super) found: Option<MatchId>,
}

/// The rating of who has played nothing.
pub(super) const NEWCOMER: Rated = Rated {
    mu: ratings::NEWCOMER.mu,
    sigma: ratings::NEWCOMER.sigma,
    n: 0,
};

/// A rating and how many matches are in it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Rated {
    pub(super) mu: f64,
    pub(super) sigma: f64,
    pub(super) n: u32,
}

impl Player {
    pub(super) fn rating(&self, queue: &QueueName) -> Rated {
        self.ratings.get(queue).copied().unwrap_or(NEWCOMER)
    }

    /// Leaves the seat of this ticket and never takes it again. Whether that changed anything.
    pub(super) fn end(&mut self, ticket: &TicketRef) -> bool {
        let name = ticket.name().to_owned();
        let is_known = self.ended.contains(&name);
        if !is_known {
            remember(&mut self.ended, name);
        }
        let seated = self.seat.as_ref().is_some_and(|seat| ticket.is(seat));
        if seated {
            self.seat = None;
        }
        seated || !is_known
    }

    /// Notes to which match the ticket of the seat led. Whether that changed anything.
    pub(super) fn note_match(&mut self, ticket: &TicketRef, id: &MatchId) -> bool {
        match &mut self.seat {
            Some(seat) if ticket.is(seat) && seat.found.is_none() => {
                seat.found = Some(id.clone());
                true
            }
            _ => false,
        }
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

impl<H: Ports, S: Store> Caller<'_, H, S> {
    pub(super) async fn player(&self, id: &PlayerId) -> Result<Option<Held<Player>>, StoreError> {
        let partition = partition(id);
        items::get(self.store, self.now_ms, Key::new(&partition, SORT)).await
    }

    /// Those of `ids` that are known.
    pub(super) async fn players(
        &self,
        ids: &[&PlayerId],
    ) -> Result<BTreeMap<PlayerId, Player>, StoreError> {
        let mut known = BTreeMap::new();
        for ids in ids.chunks(MAX_GET_ITEMS) {
            let partitions: Vec<String> = ids.iter().map(|id| partition(id)).collect();
            let keys: Vec<Key<'_>> = partitions.iter().map(|one| Key::new(one, SORT)).collect();
            let held = items::get_many(self.store, self.now_ms, &keys).await?;
            for (id, held) in ids.iter().zip(held) {
                if let Some(held) = held {
                    known.insert((*id).clone(), held.value);
                }
            }
        }
        Ok(known)
    }

    async fn keep_player(
        &self,
        id: &PlayerId,
        player: &Player,
        over: Over,
    ) -> Result<(), StoreError> {
        let partition = partition(id);
        let (key, expires) = (
            Key::new(&partition, SORT),
            player.expires_at_ms(self.now_ms),
        );
        items::put(self.store, self.now_ms, key, player, expires, over).await?;
        Ok(())
    }

    /// Changes a player by compare-and-swap; `change` says whether there is anything to write.
    pub(super) async fn change_player(
        &self,
        id: &PlayerId,
        change: impl Fn(&mut Player) -> bool,
    ) -> Result<Player, Refusal> {
        until_done(self.host, || async {
            let held = self.player(id).await?;
            let over = Over::read(held.as_ref());
            let mut player = held.map(|held| held.value).unwrap_or_default();
            if !change(&mut player) {
                return Ok(Some(player));
            }
            let kept = unless_lost(self.keep_player(id, &player, over).await)?;
            Ok(kept.map(|()| player))
        })
        .await
    }

    /// Seats a player, as he was read, at a ticket. Where he sits then: an earlier request with the
    /// same key may have named the ticket otherwise, and whether that request must have come to
    /// its end by now.
    ///
    /// # Errors
    /// `already-queued`, `ticket-expired` when he ended this ticket before.
    pub(super) async fn take_seat(
        &self,
        id: &PlayerId,
        ticket: &TicketRef,
        held: Option<Held<Player>>,
    ) -> Result<(TicketRef, bool), Refusal> {
        until_done_from(self.host, Some(held), |known| {
            self.try_seat(id, ticket, known)
        })
        .await
    }

    async fn try_seat(
        &self,
        id: &PlayerId,
        ticket: &TicketRef,
        known: Option<Option<Held<Player>>>,
    ) -> Result<ControlFlow<(TicketRef, bool), Option<Option<Held<Player>>>>, Refusal> {
        let held = match known {
            Some(held) => held,
            None => self.player(id).await?,
        };
        let over = Over::read(held.as_ref());
        let mut player = held.map(|held| held.value).unwrap_or_default();
        if player.ended.iter().any(|ended| ended == ticket.name()) {
            return Err(ended());
        }
        if let Some(seat) = player.seat.clone() {
            let (seated, is_old) = (TicketRef::of(&seat)?, self.is_old(&seat));
            if seated.name() == ticket.name() {
                return Ok(Break((seated, is_old)));
            }
            self.clear(id, &seat, &seated, is_old).await?;
        }
        player.seat = Some(Seat {
            queue: ticket.queue.clone(),
            ticket: ticket.id(),
            at_ms: self.now_ms,
            found: None,
        });
        let kept = unless_lost(self.keep_player(id, &player, over).await)?;
        Ok(kept.map_or(Continue(None), |()| Break((ticket.clone(), false))))
    }

    fn is_old(&self, seat: &Seat) -> bool {
        self.now_ms.saturating_sub(seat.at_ms) > REQUEST_MAX_MS
    }

    /// Makes sure that the ticket of a seat that shall be taken over neither waits nor ever will.
    async fn clear(
        &self,
        player: &PlayerId,
        seat: &Seat,
        seated: &TicketRef,
        is_old: bool,
    ) -> Result<(), Refusal> {
        if let Some(id) = &seat.found {
            return match self.plays_in(player, id).await? {
                true => Err(already_queued()),
                false => Ok(()),
            };
        }
        let held = match self.ticket(seated).await? {
            None if is_old => return Ok(()),
            None => {
                let tombstone = Ticket::tombstone(TicketEnd::Cancelled);
                let put = self.keep_ticket(seated, &tombstone, Over::NOTHING).await;
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

    async fn plays_in(&self, player: &PlayerId, id: &MatchId) -> Result<bool, StoreError> {
        let formed = self.formed(id).await?;
        Ok(formed.is_running() && formed.team_of(player).is_some())
    }

    /// Ends a player's part in a ticket.
    pub(super) async fn end_seat(&self, id: &PlayerId, ticket: &TicketRef) -> Result<(), Refusal> {
        self.change_player(id, |player| player.end(ticket)).await?;
        Ok(())
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

impl<H: Ports, S: Store> Caller<'_, H, S> {
    /// Tells players that a party has named them.
    pub(super) async fn invite(
        &self,
        players: &[PlayerId],
        ticket: &TicketRef,
    ) -> Result<(), StoreError> {
        let invitation = Invitation {
            ticket: ticket.id(),
            queue: ticket.queue.clone(),
            leader: self.me().clone(),
        };
        let expires = Some(self.now_ms + TICKET_TTL_MS);
        for player in players {
            // A player has one invitation of each leader.
            let (partition, sort) = (partition(player), format!("{INVITE}{}", self.me()));
            let (key, always) = (Key::new(&partition, &sort), Over::ANYTHING);
            items::put(self.store, self.now_ms, key, &invitation, expires, always).await?;
        }
        Ok(())
    }

    async fn invitations(&self) -> Result<Vec<Invitation>, StoreError> {
        let partition = partition(self.me());
        let bounds = (INVITE, "invite#~");
        let items = items::range(self.store, self.now_ms, &partition, bounds, MAX_READ).await?;
        let mut found: Vec<(Option<u64>, Invitation)> = Vec::new();
        for item in &items {
            let held = Held::<Invitation>::read(&partition, item)?;
            found.push((held.expires_at_ms, held.value));
        }
        found.sort_by_key(|(expires, _)| std::cmp::Reverse(*expires));
        let blocked = blocked_by(self.store, self.now_ms, self.me()).await?;
        let mut open = Vec::new();
        let wanted = found.into_iter().map(|(_, invitation)| invitation);
        let wanted = wanted.filter(|invitation| !blocked.contains(&invitation.leader));
        for invitation in wanted.take(MAX_INVITATIONS) {
            let Ok(at) = TicketRef::parse(&invitation.queue, &invitation.ticket) else {
                continue;
            };
            let ticket = self.ticket(&at).await?.map(|held| held.value);
            if ticket.is_some_and(|ticket| ticket.waits_for(self.me())) {
                open.push(invitation);
            }
        }
        Ok(open)
    }
}

/// `GET /v1/match/seat`.
pub(super) async fn seat<H: Ports, S: Store>(
    caller: &Caller<'_, H, S>,
) -> Result<Response, Refusal> {
    let held = caller.player(caller.me()).await?;
    let mut reply = SeatReply {
        invitations: caller.invitations().await?,
        ..SeatReply::default()
    };
    if let Some(seat) = held.and_then(|held| held.value.seat) {
        let lives = match &seat.found {
            Some(id) => caller.plays_in(caller.me(), id).await?,
            None => {
                let ticket = caller.ticket(&TicketRef::of(&seat)?).await?;
                ticket.is_some_and(|held| !matches!(held.value.state, State::Ended(_)))
            }
        };
        if lives {
            reply.ticket = Some(seat.ticket);
            reply.queue = Some(seat.queue);
            reply.found = seat.found;
        }
    }
    Ok(Response::json(SEAT.status, &reply))
}
