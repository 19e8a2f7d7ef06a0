//! The lanes of a queue's pool, and the lease under which a pass goes through one.
//!
//! A lane is a partition of the store. Its lease is one item that says when the next pass is due;
//! whoever finds it due moves it on by compare-and-swap and does the pass. The lease only saves
//! work: that no ticket is matched twice comes from the tickets' own versions.
//!
//! Tickets of different lanes meet all the same: every second pass of a lane takes in the lane
//! beside it, every fourth the four around it, and so on.

use edge::Refusal;
use edge::change::{unless_lost, until_done};
use edge::items::{self, Held, Over};
use edge::ports::{Entropy, Timer};
use edge::store::{Key, Store, StoreError};
use serde::{Deserialize, Serialize};
use wire::QueueName;

use super::queue::Queue;
use super::ticket::{SORT_PREFIX, State, StoredTicket, TicketRef, pool_partition};

/// Shortest and longest time from one pass of a lane to the next, in milliseconds.
const PASS_MS: (u64, u64) = (250, 2_000);
/// How much one pass moves the rate of arrivals.
const SMOOTHING: f64 = 0.2;
const MINUTE_MS: u64 = 60_000;
/// How long after its match must be decided a claimed ticket is read on, in milliseconds.
const SETTLED_MS: u64 = 2_000;
/// Tickets that ended in their place (decision 0041) that a pass reads for each of those that it
/// looks for.
const ENDED_READ_MAX: usize = 3;
/// Waits that are remembered.
const MAX_WAITS: usize = 32;
/// How long the lease is remembered, in milliseconds.
const LEASE_TTL_MS: u64 = 60 * 60 * 1000;
const SORT: &str = "lease";

/// When a lane is gone through, and what was seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Lease {
    /// Unix milliseconds.
    #[serde(rename = "n")]
    next_ms: u64,
    #[serde(rename = "l")]
    pub(super) last_ms: u64,
    #[serde(rename = "p")]
    pub(super) passes: u64,
    /// Players who arrived per minute, smoothed.
    #[serde(rename = "a", default)]
    pub(super) per_min: f64,
    /// What tickets waited that were matched lately, seconds.
    #[serde(rename = "w", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) waits_s: Vec<u32>,
    /// Sort key of the oldest ticket of which something may still come: older ones are not read.
    #[serde(rename = "o", default, skip_serializing_if = "String::is_empty")]
    pub(super) oldest: String,
    /// Tickets that were there last.
    #[serde(rename = "t", default)]
    tickets: u64,
}

edge::stored!(lease: Lease);

impl Lease {
    pub(super) fn typical_wait_s(&self) -> Option<u32> {
        let mut waits = self.waits_s.clone();
        waits.sort_unstable();
        waits.get(waits.len() / 2).copied()
    }

    /// Notes what the pass after the one at `before_ms` saw and did.
    pub(super) fn note(&mut self, before_ms: u64, tickets: usize, arrived: usize, waits_s: &[u32]) {
        self.tickets = tickets as u64;
        let elapsed_ms = self.last_ms.saturating_sub(before_ms).clamp(1, MINUTE_MS);
        let now = arrived as f64 * MINUTE_MS as f64 / elapsed_ms as f64;
        self.per_min += (now - self.per_min) * SMOOTHING;
        self.waits_s.extend_from_slice(waits_s);
        let excess = self.waits_s.len().saturating_sub(MAX_WAITS);
        self.waits_s.drain(..excess);
    }

    /// Tickets that the last noted pass saw.
    pub(super) fn tickets(&self) -> u64 {
        self.tickets
    }
}

/// A pass that its caller may do.
pub(super) struct Turn {
    pub(super) lease: Lease,
    /// When the pass before it began, Unix milliseconds.
    pub(super) before_ms: u64,
    over: Over,
}

/// Whether passes read a ticket.
pub(super) enum Revealed {
    /// They do, by this lease.
    Is(Option<Held<Lease>>),
    /// The lease changed in this moment; try again.
    NotYet,
}

/// The lease of a lane.
pub(super) async fn lease(
    store: &impl Store,
    now_ms: u64,
    queue: &QueueName,
    lane: u32,
) -> Result<Option<Held<Lease>>, StoreError> {
    let partition = pool_partition(queue, lane);
    items::get(store, now_ms, Key::new(&partition, SORT)).await
}

async fn keep_lease(
    store: &impl Store,
    now_ms: u64,
    (queue, lane): (&QueueName, u32),
    lease: &Lease,
    over: Over,
) -> Result<u64, StoreError> {
    let partition = pool_partition(queue, lane);
    let (key, expires) = (Key::new(&partition, SORT), Some(now_ms + LEASE_TTL_MS));
    items::put(store, now_ms, key, lease, expires, over).await
}

/// Takes the turn to go through a lane, if it is due and nobody else was faster.
pub(super) async fn take_turn(
    store: &impl Store,
    now_ms: u64,
    queue: &QueueName,
    lane: u32,
    held: Option<Held<Lease>>,
) -> Result<Option<Turn>, StoreError> {
    let over = Over::read(held.as_ref());
    let mut lease = held.map(|held| held.value).unwrap_or_default();
    if now_ms < lease.next_ms {
        return Ok(None);
    }
    let before_ms = lease.last_ms;
    // About the time that a pass takes, tenfold.
    let interval_ms = (PASS_MS.0 + lease.tickets / 4).min(PASS_MS.1);
    lease.next_ms = now_ms + interval_ms;
    lease.last_ms = now_ms;
    lease.passes += 1;
    let kept = keep_lease(store, now_ms, (queue, lane), &lease, over.clone());
    Ok(unless_lost(kept.await)?.map(|version| Turn {
        lease,
        before_ms,
        over: over.written(version),
    }))
}

/// Keeps what a pass saw. If the next one has begun, that does without.
pub(super) async fn end_turn(
    store: &impl Store,
    now_ms: u64,
    queue: &QueueName,
    lane: u32,
    turn: &Turn,
) {
    let over = turn.over.clone();
    let _ = keep_lease(store, now_ms, (queue, lane), &turn.lease, over).await;
}

/// Sees to it that passes read a ticket. It may be older than what they read: its write took
/// long, clocks of hosts differ, or its match came to nothing late. The lease as it is then, or
/// whoever changed it in this moment has it.
pub(super) async fn reveal(
    store: &impl Store,
    now_ms: u64,
    at: &TicketRef,
    held: Option<Held<Lease>>,
) -> Result<Revealed, StoreError> {
    let mut held = match held {
        Some(held) if at.sort() < held.value.oldest => held,
        held => return Ok(Revealed::Is(held)),
    };
    held.value.oldest = at.sort();
    let of = (&at.queue, at.lane);
    let kept = keep_lease(store, now_ms, of, &held.value, held.over()).await;
    Ok(match unless_lost(kept)? {
        Some(version) => Revealed::Is(Some(Held { version, ..held })),
        None => Revealed::NotYet,
    })
}

/// The same for a ticket that nobody asks for again.
pub(super) async fn reveal_for_sure(
    host: &(impl Entropy + Timer),
    store: &impl Store,
    now_ms: u64,
    at: &TicketRef,
) -> Result<(), Refusal> {
    until_done(host, || async {
        let lease = lease(store, now_ms, &at.queue, at.lane).await?;
        let revealed = reveal(store, now_ms, at, lease).await?;
        Ok(matches!(revealed, Revealed::Is(_)).then_some(()))
    })
    .await
}

/// The tickets of some lanes, and of those that have not ended `most` at most; of the first lane,
/// only those from a sort key on. Ended ones are read past: [`ENDED_READ_MAX`] for each of the
/// others, so that nobody can hide the pool behind what he took back.
pub(super) async fn tickets(
    store: &impl Store,
    now_ms: u64,
    queue: &QueueName,
    (lanes, oldest): (&[u32], &str),
    most: usize,
) -> Result<Vec<(TicketRef, Held<StoredTicket>)>, StoreError> {
    let mut found = Vec::new();
    let mut to_read = most * (1 + ENDED_READ_MAX);
    for (number, &lane) in lanes.iter().enumerate() {
        let partition = pool_partition(queue, lane);
        let first = match number {
            0 => SORT_PREFIX.max(oldest),
            _ => SORT_PREFIX,
        };
        let mut from = first.to_owned();
        while found.len() < most && to_read > 0 {
            let page = (most - found.len()).min(to_read);
            let bounds = (from.as_str(), "t#~");
            let items = items::range(store, now_ms, &partition, bounds, page).await?;
            to_read -= items.len();
            for item in &items {
                let Some(at) = TicketRef::of_sort(queue, lane, &item.sort) else {
                    continue;
                };
                let held: Held<StoredTicket> = Held::read(&partition, item)?;
                if !matches!(held.value.state, State::Ended(_)) {
                    found.push((at, held));
                }
            }
            match items.last() {
                // Sorts after it and before all others: names are letters and digits.
                Some(last) if items.len() == page => from = format!("{}!", last.sort),
                _ => break,
            }
        }
    }
    Ok(found)
}

/// Whether anything may still come of a ticket. What is claimed counts until a pass has looked what
/// came of its match.
pub(super) fn is_settled(ticket: &StoredTicket, before_ms: u64) -> bool {
    match &ticket.state {
        State::Gathering | State::Waiting | State::Backfill(_) => false,
        State::Claimed(claim) => claim.until_ms + SETTLED_MS < before_ms,
        State::Ended(_) => true,
    }
}

/// The lanes that pass number `pass` of `lane` goes through: itself first.
pub(super) fn group(queue: &Queue, lane: u32, pass: u64) -> Vec<u32> {
    let levels = queue.lanes.trailing_zeros();
    let level = pass.max(1).trailing_zeros().min(levels);
    let mut lanes: Vec<u32> = (0..queue.lanes_ever)
        .filter(|other| (other % queue.lanes) >> level == (lane % queue.lanes) >> level)
        .collect();
    lanes.sort_by_key(|&other| (other != lane, other));
    lanes
}

/// Whether a pass looks what came of a claim whose match should have been decided at `until_ms`:
/// at once, and then after 1, 2, 4 seconds and so on, because the look costs a read.
pub(super) fn looks_again(until_ms: u64, before_ms: u64, now_ms: u64) -> bool {
    let step = |at_ms: u64| match at_ms.checked_sub(until_ms) {
        None => 0,
        Some(late_ms) => 1 + u64::BITS - (late_ms / 1000).leading_zeros(),
    };
    step(now_ms) > step(before_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(lanes: u32, lanes_ever: u32) -> Queue {
        Queue {
            name: "q".parse().unwrap(),
            version: 1,
            lanes,
            lanes_ever,
            modes: Vec::new(),
        }
    }

    #[test]
    fn any_two_lanes_meet_within_as_many_passes_as_there_are() {
        for (lanes, ever) in [(1, 1), (1, 4), (2, 8), (8, 8), (16, 16)] {
            let queue = queue(lanes, ever);
            for (a, b) in (0..lanes).flat_map(|a| (0..ever).map(move |b| (a, b))) {
                let met = (1..=u64::from(lanes)).any(|pass| group(&queue, a, pass).contains(&b));
                assert!(met, "{a} and {b} of {lanes}, {ever}");
            }
        }
    }

    #[test]
    fn a_claim_is_looked_at_a_few_times_only() {
        let passes: Vec<u64> = (0..200).map(|n| 1_000_000 + n * 250).collect();
        let looks = passes
            .windows(2)
            .filter(|w| looks_again(1_010_000, w[0], w[1]));
        let at: Vec<u64> = looks.map(|w| w[1] - 1_010_000).collect();
        assert_eq!(at, [0, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000]);
    }
}
