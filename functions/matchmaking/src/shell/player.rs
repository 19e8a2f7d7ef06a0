//! What is kept of a player: his seat, which is the one ticket that he may wait with and the match
//! that it led to, and his ratings.

use std::collections::BTreeMap;

use edge::Refusal;
use edge::change::{unless_lost, until_done};
use edge::items::{self, Held, Over};
use edge::ports::{Entropy, Timer};
use edge::store::{Key, MAX_GET_ITEMS, Store, StoreError};
use serde::{Deserialize, Serialize};
use wire::matching::Rating;
use wire::{MatchId, PlayerId, QueueName, TicketId};

use super::pace::Pace;
use super::ticket::TicketRef;
use crate::ratings;

/// How long a player who has ratings is remembered after he last came, in milliseconds.
const RATED_MS: u64 = 400 * 24 * 60 * 60 * 1000;
/// How long one without a rating is, in milliseconds.
const STRANGER_MS: u64 = 24 * 60 * 60 * 1000;
/// Ended tickets that are remembered, and rated matches: more than a player has in the minute in
/// which a late duplicate may come. A result that is in all ratings is noted with its match.
const REMEMBERED: usize = 16;
const SORT: &str = "player";

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct StoredPlayer {
    #[serde(default, rename = "s", skip_serializing_if = "Option::is_none")]
    pub(super) seat: Option<Seat>,
    /// Names of tickets that he ended: a late duplicate does not bring them back.
    #[serde(default, rename = "e", skip_serializing_if = "Vec::is_empty")]
    pub(super) ended: Vec<String>,
    #[serde(default, rename = "r", skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) ratings: BTreeMap<QueueName, Rated>,
    #[serde(default, rename = "p", skip_serializing_if = "wire::json::is_default")]
    pub(super) pace: Pace,
    /// Matches whose results are in the ratings.
    #[serde(default, rename = "m", skip_serializing_if = "Vec::is_empty")]
    rated: Vec<MatchId>,
}

edge::stored!(player: StoredPlayer);

/// The ticket that a player waits with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seat {
    #[serde(rename = "q")]
    pub(super) queue: QueueName,
    #[serde(rename = "t")]
    pub(super) ticket: TicketId,
    #[serde(rename = "a")]
    pub(super) at_ms: u64,
    /// The match that the ticket led to.
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    pub(super) found: Option<MatchId>,
    /// What may not be done to the ticket any more.
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    pub(super) mark: Option<Mark>,
}

/// What may not be done to the ticket of a seat any more. Of the two who would, the first to write
/// his mark decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Mark {
    /// It is being taken back. It was there, so nothing is put in its place.
    #[serde(rename = "e")]
    Ending,
    /// It was not there, and something may be put in its place. It is not removed.
    #[serde(rename = "b")]
    Barred,
}

impl Seat {
    /// The ticket that he waits with.
    pub(super) fn at(&self) -> Result<TicketRef, Refusal> {
        TicketRef::parse(&self.queue, &self.ticket)
    }

    pub(super) fn is_of(&self, ticket: &TicketRef) -> bool {
        self.queue == ticket.queue && self.ticket == ticket.id()
    }
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

impl StoredPlayer {
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
        let seated = self.seat.as_ref().is_some_and(|seat| seat.is_of(ticket));
        if seated {
            self.seat = None;
        }
        seated || !is_known
    }

    /// Notes that a ticket, which is there, is being taken back: he never takes its seat again.
    /// Whether that changed anything, and whether it may be removed as far as he is concerned.
    fn note_ending(&mut self, ticket: &TicketRef) -> (bool, bool) {
        let name = ticket.name().to_owned();
        let is_known = self.ended.contains(&name);
        if !is_known {
            remember(&mut self.ended, name);
        }
        match &mut self.seat {
            Some(seat) if seat.is_of(ticket) => {
                let before = seat.mark;
                let mark = *seat.mark.get_or_insert(Mark::Ending);
                (!is_known || before.is_none(), mark == Mark::Ending)
            }
            _ => (!is_known, true),
        }
    }

    /// Notes to which match the ticket of the seat led. Whether that changed anything.
    pub(super) fn note_match(&mut self, ticket: &TicketRef, id: &MatchId) -> bool {
        match &mut self.seat {
            Some(seat) if seat.is_of(ticket) && seat.found.is_none() => {
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
        let kept_ms = if self.ratings.is_empty() {
            STRANGER_MS
        } else {
            RATED_MS
        };
        Some(now_ms + kept_ms)
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

pub(super) fn partition(player: &PlayerId) -> String {
    format!("match-player#{player}")
}

pub(super) async fn get(
    store: &impl Store,
    now_ms: u64,
    id: &PlayerId,
) -> Result<Option<Held<StoredPlayer>>, StoreError> {
    let partition = partition(id);
    items::get(store, now_ms, Key::new(&partition, SORT)).await
}

/// Those of `ids` that are known.
pub(super) async fn get_many(
    store: &impl Store,
    now_ms: u64,
    ids: &[&PlayerId],
) -> Result<BTreeMap<PlayerId, StoredPlayer>, StoreError> {
    let mut known = BTreeMap::new();
    for ids in ids.chunks(MAX_GET_ITEMS) {
        let partitions: Vec<String> = ids.iter().map(|id| partition(id)).collect();
        let keys: Vec<Key<'_>> = partitions.iter().map(|one| Key::new(one, SORT)).collect();
        let held = items::get_many(store, now_ms, &keys).await?;
        for (id, held) in ids.iter().zip(held) {
            if let Some(held) = held {
                known.insert((*id).clone(), held.value);
            }
        }
    }
    Ok(known)
}

pub(super) async fn keep(
    store: &impl Store,
    now_ms: u64,
    id: &PlayerId,
    player: &StoredPlayer,
    over: Over,
) -> Result<(), StoreError> {
    let partition = partition(id);
    let (key, expires) = (Key::new(&partition, SORT), player.expires_at_ms(now_ms));
    items::put(store, now_ms, key, player, expires, over).await?;
    Ok(())
}

/// Changes a player by compare-and-swap; `change` says whether there is anything to write.
pub(super) async fn change(
    host: &(impl Entropy + Timer),
    store: &impl Store,
    now_ms: u64,
    id: &PlayerId,
    change: impl Fn(&mut StoredPlayer) -> bool,
) -> Result<(), Refusal> {
    until_done(host, || async {
        let held = get(store, now_ms, id).await?;
        let over = Over::read(held.as_ref());
        let mut player = held.map(|held| held.value).unwrap_or_default();
        if !change(&mut player) {
            return Ok(Some(()));
        }
        Ok(unless_lost(keep(store, now_ms, id, &player, over).await)?)
    })
    .await
}

/// Notes that a player declined a match, or did not answer in time.
pub(super) async fn note_declined(
    host: &(impl Entropy + Timer),
    store: &impl Store,
    now_ms: u64,
    id: &PlayerId,
    declined: &MatchId,
) -> Result<(), Refusal> {
    let note = |player: &mut StoredPlayer| player.pace.note_declined(declined, now_ms);
    change(host, store, now_ms, id, note).await
}

/// The same once, where it is not worth another try.
pub(super) async fn try_note_declined(
    store: &impl Store,
    now_ms: u64,
    id: &PlayerId,
    declined: &MatchId,
) -> Result<(), StoreError> {
    let held = get(store, now_ms, id).await?;
    let over = Over::read(held.as_ref());
    let mut player = held.map(|held| held.value).unwrap_or_default();
    if player.pace.note_declined(declined, now_ms) {
        unless_lost(keep(store, now_ms, id, &player, over).await)?;
    }
    Ok(())
}

/// Notes that a ticket, which is there, is being taken back. Whether it may be removed as far as
/// this player of its party is concerned.
pub(super) async fn note_ending(
    host: &(impl Entropy + Timer),
    store: &impl Store,
    now_ms: u64,
    id: &PlayerId,
    ticket: &TicketRef,
) -> Result<bool, Refusal> {
    until_done(host, || async {
        let held = get(store, now_ms, id).await?;
        let over = Over::read(held.as_ref());
        let mut player = held.map(|held| held.value).unwrap_or_default();
        let (changed, removable) = player.note_ending(ticket);
        if !changed {
            return Ok(Some(removable));
        }
        let kept = unless_lost(keep(store, now_ms, id, &player, over).await)?;
        Ok(kept.map(|()| removable))
    })
    .await
}

/// Ends a player's part in a ticket.
pub(super) async fn end_seat(
    host: &(impl Entropy + Timer),
    store: &impl Store,
    now_ms: u64,
    id: &PlayerId,
    ticket: &TicketRef,
) -> Result<(), Refusal> {
    change(host, store, now_ms, id, |player| player.end(ticket)).await
}
