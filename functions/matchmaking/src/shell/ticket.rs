//! Tickets as the store keeps them: one item in the partition of a lane of the pool.
//!
//! `LANE.CREATED.NAME` is a ticket's id: where it is, when it was made (13 digits, Unix
//! milliseconds), and a hash of who asked with which key, so that a retry names the same one.
//!
//! A ticket is put once, by the request that took its leader's seat, and is removed when it is
//! taken back. Passes read `t#...` of a lane; how a party's ticket ended is told from `e#...`.

use data_encoding::BASE32_NOPAD;
use edge::http::Call;
use edge::items::{self, Held, Over};
use edge::store::{Delete, Key, Store, StoreError};
use edge::{Caller, Refusal};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wire::claims::Role;
use wire::matching::{MAX_POOL_LANES, TICKET_GRACE_S, TicketEnd};
use wire::problem::ProblemKind;
use wire::{MatchId, MessageKey, ModeName, PlayerId, QueueName, TicketId};

use super::details::{Details, Known, core_player};
use super::refusals::ended;
use crate::ticket as core;

/// How long a ticket is kept after it was last asked for, in milliseconds. It is written again
/// when half of that is over, so it outlives the last request by [`TICKET_GRACE_S`] at least.
pub(super) const TICKET_TTL_MS: u64 = 2 * TICKET_GRACE_S * 1000;
/// How long a claimed ticket outlives what its match may take, in milliseconds: the time in which
/// a pass or its client looks what came of the match.
pub(super) const CLAIM_SLACK_MS: u64 = 60_000;
/// How long the end of a ticket is remembered, in milliseconds: in its place, or beside it.
const TOMBSTONE_MS: u64 = 90_000;

/// A party that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct StoredTicket {
    /// The leader first.
    #[serde(rename = "p")]
    pub(super) players: Vec<Member>,
    #[serde(rename = "m")]
    pub(super) modes: Vec<ModeName>,
    /// When the wait began, Unix milliseconds; 0 while the party gathers.
    #[serde(rename = "s")]
    pub(super) since_ms: u64,
    #[serde(rename = "t")]
    pub(super) state: State,
}

edge::stored!(ticket: StoredTicket);

/// One of a party.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Member {
    #[serde(rename = "i")]
    pub(super) id: PlayerId,
    /// None until he has joined.
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub(super) details: Option<Details>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum State {
    /// Not all have joined.
    #[serde(rename = "g")]
    Gathering,
    #[serde(rename = "w")]
    Waiting,
    /// Is of a match, if that comes to be.
    #[serde(rename = "c")]
    Claimed(Claim),
    #[serde(rename = "e")]
    Ended(TicketEnd),
    /// Not a party but a match that takes players.
    #[serde(rename = "b")]
    Backfill(Open),
}

/// A match that takes players.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Open {
    #[serde(rename = "m")]
    pub(super) id: MatchId,
    /// Until when, Unix milliseconds.
    #[serde(rename = "u")]
    pub(super) until_ms: u64,
}

/// Which match a ticket is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claim {
    #[serde(rename = "m")]
    pub(super) id: MatchId,
    /// Which part of the match: 0 those whom it was formed of, then those who came later.
    #[serde(rename = "p")]
    pub(super) part: u32,
    /// Until when the match may be undecided, Unix milliseconds.
    #[serde(rename = "u")]
    pub(super) until_ms: u64,
}

impl StoredTicket {
    /// What is in the place of a ticket that shall not come to be, or of a match's that takes no
    /// players any more.
    pub(super) fn tombstone(end: TicketEnd) -> Self {
        Self {
            players: Vec::new(),
            modes: Vec::new(),
            since_ms: 0,
            state: State::Ended(end),
        }
    }

    /// Whether it is no party's.
    pub(super) fn is_tombstone(&self) -> bool {
        self.players.is_empty() && matches!(self.state, State::Ended(_))
    }

    pub(super) fn leader(&self) -> Option<&PlayerId> {
        self.players.first().map(|member| &member.id)
    }

    pub(super) fn has(&self, player: &PlayerId) -> bool {
        self.players.iter().any(|member| member.id == *player)
    }

    /// Whether it waits for this player to join.
    pub(super) fn waits_for(&self, player: &PlayerId) -> bool {
        let mut members = self.players.iter();
        let absent = members.any(|member| member.id == *player && member.details.is_none());
        self.state == State::Gathering && absent
    }

    /// The ticket back in the pool, with its waiting time.
    pub(super) fn waiting(&self) -> Self {
        Self {
            state: State::Waiting,
            ..self.clone()
        }
    }

    /// The ticket at its end.
    pub(super) fn ended(&self, end: TicketEnd) -> Self {
        Self {
            players: bare(&self.players),
            modes: self.modes.clone(),
            since_ms: self.since_ms,
            state: State::Ended(end),
        }
    }

    fn expires_at_ms(&self, now_ms: u64) -> u64 {
        match &self.state {
            State::Gathering | State::Waiting => now_ms + TICKET_TTL_MS,
            State::Claimed(claim) => claim.until_ms + CLAIM_SLACK_MS,
            State::Ended(_) => now_ms + TOMBSTONE_MS,
            State::Backfill(open) => open.until_ms,
        }
    }
}

/// Where a ticket is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TicketRef {
    pub(super) queue: QueueName,
    pub(super) lane: u32,
    /// `CREATED.NAME`.
    rest: String,
}

const CREATED_DIGITS: usize = 13;
const NAME_CHARS: usize = 16;
/// Before `rest` in the sort key.
pub(super) const SORT_PREFIX: &str = "t#";
/// The same of what is told of its end.
const END_PREFIX: &str = "e#";

impl TicketRef {
    /// The ticket that `player` asks for with `key`.
    pub(super) fn new(
        queue: &QueueName,
        lanes: u32,
        now_ms: u64,
        player: &PlayerId,
        key: &MessageKey,
    ) -> Self {
        let mut hash = Sha256::new();
        for part in [queue.as_str(), player.as_str(), key.as_str()] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let hash = hash.finalize();
        let name = BASE32_NOPAD.encode(&hash[..10]).to_ascii_lowercase();
        Self {
            queue: queue.clone(),
            lane: u32::from(hash[10]) % lanes,
            rest: format!("{now_ms:0CREATED_DIGITS$}.{name}"),
        }
    }

    /// Reads an id.
    ///
    /// # Errors
    /// `unknown-ticket`.
    pub(super) fn parse(queue: &QueueName, id: &TicketId) -> Result<Self, Refusal> {
        let read = || {
            let (lane, rest) = id.as_str().split_once('.')?;
            let (created, name) = rest.split_once('.')?;
            let digits = created.len() == CREATED_DIGITS
                && created.bytes().all(|byte| byte.is_ascii_digit());
            let named =
                name.len() == NAME_CHARS && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
            let plain = lane.len() <= 2 && lane.bytes().all(|byte| byte.is_ascii_digit());
            let lane: u32 = lane.parse().ok().filter(|_| plain)?;
            (digits && named && lane < MAX_POOL_LANES).then(|| Self {
                queue: queue.clone(),
                lane,
                rest: rest.to_owned(),
            })
        };
        read().ok_or_else(|| {
            Refusal::new(
                ProblemKind::UnknownTicket,
                "Give the ticket as the reply has named it.",
            )
        })
    }

    /// The ticket of the path.
    pub(super) fn of_path(call: &Call<'_>) -> Result<Self, Refusal> {
        let id: TicketId = call.parameter(1)?;
        Self::parse(&call.parameter(0)?, &id)
    }

    /// A ticket as its item is called.
    pub(super) fn of_sort(queue: &QueueName, lane: u32, sort: &str) -> Option<Self> {
        Some(Self {
            queue: queue.clone(),
            lane,
            rest: sort.strip_prefix(SORT_PREFIX)?.to_owned(),
        })
    }

    /// The same for every retry of one request.
    pub(super) fn name(&self) -> &str {
        self.rest.split_once('.').map_or("", |(_, name)| name)
    }

    pub(super) fn id(&self) -> TicketId {
        TicketId::new(format!("{}.{}", self.lane, self.rest)).expect("of its alphabet")
    }

    pub(super) fn partition(&self) -> String {
        pool_partition(&self.queue, self.lane)
    }

    pub(super) fn sort(&self) -> String {
        format!("{SORT_PREFIX}{}", self.rest)
    }

    fn end_sort(&self) -> String {
        format!("{END_PREFIX}{}", self.rest)
    }
}

pub(super) fn pool_partition(queue: &QueueName, lane: u32) -> String {
    format!("match-pool#{queue}#{lane}")
}

pub(super) async fn get(
    store: &impl Store,
    now_ms: u64,
    at: &TicketRef,
) -> Result<Option<Held<StoredTicket>>, StoreError> {
    let (partition, sort) = (at.partition(), at.sort());
    items::get(store, now_ms, Key::new(&partition, &sort)).await
}

/// A ticket of the caller's party, or what it was when it ended; game servers see all.
///
/// # Errors
/// `ticket-expired`, `not-in-party`.
pub(super) async fn of_party(
    store: &impl Store,
    caller: &Caller,
    at: &TicketRef,
) -> Result<Held<StoredTicket>, Refusal> {
    let held = match get(store, caller.now_ms, at).await? {
        Some(held) => held,
        None => get_end(store, caller.now_ms, at).await?.ok_or_else(ended)?,
    };
    if caller.is(Role::GameServer) || held.value.has(caller.me()) {
        return Ok(held);
    }
    if held.value.players.is_empty() {
        return Err(ended());
    }
    Err(Refusal::new(
        ProblemKind::NotInParty,
        "Only players of the party may do this.",
    ))
}

/// Writes a ticket; its state says how long it is kept.
pub(super) async fn keep(
    store: &impl Store,
    now_ms: u64,
    at: &TicketRef,
    ticket: &StoredTicket,
    over: Over,
) -> Result<u64, StoreError> {
    let (partition, sort) = (at.partition(), at.sort());
    let (key, expires) = (Key::new(&partition, &sort), ticket.expires_at_ms(now_ms));
    items::put(store, now_ms, key, ticket, Some(expires), over).await
}

/// Puts a ticket where none may have been before. Whoever calls this has taken its leader's seat,
/// and calls it once.
pub(super) async fn put(
    store: &impl Store,
    now_ms: u64,
    at: &TicketRef,
    ticket: &StoredTicket,
) -> Result<u64, StoreError> {
    let (partition, sort) = (at.partition(), at.sort());
    let (key, expires) = (Key::new(&partition, &sort), ticket.expires_at_ms(now_ms));
    items::put_once(store, now_ms, key, ticket, Some(expires)).await
}

/// Removes a ticket of this version.
pub(super) async fn remove(
    store: &impl Store,
    now_ms: u64,
    at: &TicketRef,
    version: u64,
) -> Result<(), StoreError> {
    let (partition, sort) = (at.partition(), at.sort());
    let delete = Delete {
        key: Key::new(&partition, &sort),
        version: Some(version),
    };
    store.delete(now_ms, delete).await
}

/// Keeps how a ticket ended for those of its party who ask. While the ticket is there, nobody looks
/// at that.
pub(super) async fn keep_end(
    store: &impl Store,
    now_ms: u64,
    at: &TicketRef,
    ended: &StoredTicket,
) -> Result<(), StoreError> {
    let (partition, sort) = (at.partition(), at.end_sort());
    let (key, expires) = (Key::new(&partition, &sort), ended.expires_at_ms(now_ms));
    items::put(store, now_ms, key, ended, Some(expires), Over::ANYTHING).await?;
    Ok(())
}

async fn get_end(
    store: &impl Store,
    now_ms: u64,
    at: &TicketRef,
) -> Result<Option<Held<StoredTicket>>, StoreError> {
    let (partition, sort) = (at.partition(), at.end_sort());
    items::get(store, now_ms, Key::new(&partition, &sort)).await
}

/// A ticket as the matcher takes it, when all of its party have joined.
pub(super) fn core_ticket(
    at: &TicketRef,
    ticket: &StoredTicket,
    known: &Known,
) -> core::QueueTicket {
    let player = |member: &Member| {
        let details = member.details.as_ref();
        let details = details.expect("a waiting party has joined");
        core_player(&member.id, details, known)
    };
    core::QueueTicket {
        id: at.id(),
        players: ticket.players.iter().map(player).collect(),
        modes: ticket.modes.clone(),
        since_ms: ticket.since_ms,
    }
}

/// Players without what is known of them.
pub(super) fn bare(players: &[Member]) -> Vec<Member> {
    let bare = |member: &Member| Member {
        id: member.id.clone(),
        details: None,
    };
    players.iter().map(bare).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_its_lane_and_survives_a_retry() {
        let queue = QueueName::new("q").unwrap();
        let (player, key) = ("ann".parse().unwrap(), "k1".parse().unwrap());
        let first = TicketRef::new(&queue, 8, 1_700_000_000_000, &player, &key);
        let later = TicketRef::new(&queue, 8, 1_700_000_009_000, &player, &key);
        assert_eq!(first.name(), later.name());
        assert_eq!(first.lane, later.lane);
        assert_eq!(TicketRef::parse(&queue, &first.id()), Ok(first.clone()));
        let sort = first.sort();
        assert_eq!(TicketRef::of_sort(&queue, first.lane, &sort), Some(first));
        for bad in [
            "x",
            "1.2.3",
            "64.1700000000000.aaaaaaaaaaaaaaaa",
            "1.1700000000000.short",
        ] {
            assert!(
                TicketRef::parse(&queue, &bad.parse().unwrap()).is_err(),
                "{bad}"
            );
        }
    }
}
