//! The pool of a queue: its shards, and the lease under which a pass goes through one.
//!
//! A shard is a partition of the store. Its lease is one item that says when the next pass is due;
//! whoever finds it due moves it on by compare-and-swap and does the pass. The lease only saves
//! work: that no ticket is matched twice comes from the tickets' own versions.
//!
//! Tickets of different shards meet all the same: every second pass of a shard takes in the shard
//! beside it, every fourth the four around it, and so on.

use edge::Refusal;
use edge::change::{unless_lost, until_done};
use edge::items::{self, Held, Over};
use edge::store::{Key, Store, StoreError};
use serde::{Deserialize, Serialize};
use wire::QueueName;

use super::Ports;
use super::caller::Caller;
use super::queue::Queue;
use super::ticket::{SORT_PREFIX, State, Ticket, TicketRef, pool_partition};

/// Most tickets that one pass goes through; the oldest come first.
pub(super) const MAX_TICKETS: usize = 20_000;
/// Shortest and longest time from one pass of a shard to the next, in milliseconds.
const PASS_MS: (u64, u64) = (250, 2_000);
/// How much one pass moves the rate of arrivals.
const SMOOTHING: f64 = 0.2;
const MINUTE_MS: u64 = 60_000;
/// How long after its match must be decided a claimed ticket is read on, in milliseconds.
const SETTLED_MS: u64 = 2_000;
/// Waits that are remembered.
const MAX_WAITS: usize = 32;
/// How long the lease is remembered, in milliseconds.
const LEASE_TTL_MS: u64 = 60 * 60 * 1000;
const SORT: &str = "lease";

/// When a shard is gone through, and what was seen.
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

impl<H: Ports, S: Store> Caller<'_, H, S> {
    /// The lease of a shard.
    pub(super) async fn lease(
        &self,
        queue: &QueueName,
        shard: u32,
    ) -> Result<Option<Held<Lease>>, StoreError> {
        let partition = pool_partition(queue, shard);
        items::get(self.store, self.now_ms, Key::new(&partition, SORT)).await
    }

    /// Takes the turn to go through a shard, if it is due and nobody else was faster.
    pub(super) async fn take_turn(
        &self,
        queue: &QueueName,
        shard: u32,
        held: Option<Held<Lease>>,
    ) -> Result<Option<Turn>, StoreError> {
        let over = Over::read(held.as_ref());
        let mut lease = held.map(|held| held.value).unwrap_or_default();
        if self.now_ms < lease.next_ms {
            return Ok(None);
        }
        let before_ms = lease.last_ms;
        // About the time that a pass takes, tenfold.
        let interval_ms = (PASS_MS.0 + lease.tickets / 4).min(PASS_MS.1);
        lease.next_ms = self.now_ms + interval_ms;
        lease.last_ms = self.now_ms;
        lease.passes += 1;
        let kept = self.keep_lease(queue, shard, &lease, over.clone());
        Ok(unless_lost(kept.await)?.map(|version| Turn {
            lease,
            before_ms,
            over: over.written(version),
        }))
    }

    /// Sees to it that passes read a ticket. It may be older than what they read: its write took
    /// long, clocks of hosts differ, or its match came to nothing late. The lease as it is then, or
    /// whoever changed it in this moment has it.
    pub(super) async fn reveal(
        &self,
        queue: &QueueName,
        at: &TicketRef,
        held: Option<Held<Lease>>,
    ) -> Result<Revealed, StoreError> {
        let mut held = match held {
            Some(held) if at.sort() < held.value.oldest => held,
            held => return Ok(Revealed::Is(held)),
        };
        held.value.oldest = at.sort();
        let kept = self.keep_lease(queue, at.shard, &held.value, held.over());
        Ok(match unless_lost(kept.await)? {
            Some(version) => Revealed::Is(Some(Held { version, ..held })),
            None => Revealed::NotYet,
        })
    }

    /// The same for a ticket that nobody asks for again.
    pub(super) async fn reveal_for_sure(
        &self,
        queue: &QueueName,
        at: &TicketRef,
    ) -> Result<(), Refusal> {
        until_done(self.host, || async {
            let lease = self.lease(queue, at.shard).await?;
            let revealed = self.reveal(queue, at, lease).await?;
            Ok(matches!(revealed, Revealed::Is(_)).then_some(()))
        })
        .await
    }

    /// Keeps what a pass saw. If the next one has begun, that does without.
    pub(super) async fn end_turn(&self, queue: &QueueName, shard: u32, turn: &Turn) {
        let over = turn.over.clone();
        let _ = self.keep_lease(queue, shard, &turn.lease, over).await;
    }

    async fn keep_lease(
        &self,
        queue: &QueueName,
        shard: u32,
        lease: &Lease,
        over: Over,
    ) -> Result<u64, StoreError> {
        let partition = pool_partition(queue, shard);
        let (key, expires) = (Key::new(&partition, SORT), Some(self.now_ms + LEASE_TTL_MS));
        items::put(self.store, self.now_ms, key, lease, expires, over).await
    }

    /// The tickets of some shards, `most` at most; of the first one, only those from a sort key
    /// on.
    pub(super) async fn pool(
        &self,
        queue: &QueueName,
        shards: &[u32],
        oldest: &str,
        most: usize,
    ) -> Result<Vec<(TicketRef, Held<Ticket>)>, StoreError> {
        let mut found = Vec::new();
        for (number, &shard) in shards.iter().enumerate() {
            let partition = pool_partition(queue, shard);
            let from = match number {
                0 => SORT_PREFIX.max(oldest),
                _ => SORT_PREFIX,
            };
            let bounds = (from, "t#~");
            let most = most - found.len();
            let items = items::range(self.store, self.now_ms, &partition, bounds, most).await?;
            for item in items {
                if let Some(at) = TicketRef::of_sort(queue, shard, &item.sort) {
                    found.push((at, Held::read(&partition, &item)?));
                }
            }
        }
        Ok(found)
    }
}

/// Whether anything may still come of a ticket. What is claimed counts until a pass has looked what
/// came of its match.
pub(super) fn is_settled(ticket: &Ticket, before_ms: u64) -> bool {
    match &ticket.state {
        State::Gathering | State::Waiting | State::Backfill(_) => false,
        State::Claimed(claim) => claim.until_ms + SETTLED_MS < before_ms,
        State::Ended(_) => true,
    }
}

/// The shards that pass number `pass` of `shard` goes through: itself first.
pub(super) fn group(queue: &Queue, shard: u32, pass: u64) -> Vec<u32> {
    let levels = queue.shards.trailing_zeros();
    let level = pass.max(1).trailing_zeros().min(levels);
    let mut shards: Vec<u32> = (0..queue.shards_ever)
        .filter(|other| (other % queue.shards) >> level == (shard % queue.shards) >> level)
        .collect();
    shards.sort_by_key(|&other| (other != shard, other));
    shards
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

    fn queue(shards: u32, shards_ever: u32) -> Queue {
        Queue {
            name: "q".parse().unwrap(),
            version: 1,
            shards,
            shards_ever,
            modes: Vec::new(),
        }
    }

    #[test]
    fn any_two_shards_meet_within_as_many_passes_as_there_are() {
        for (shards, ever) in [(1, 1), (1, 4), (2, 8), (8, 8), (16, 16)] {
            let queue = queue(shards, ever);
            for (a, b) in (0..shards).flat_map(|a| (0..ever).map(move |b| (a, b))) {
                let met = (1..=u64::from(shards)).any(|pass| group(&queue, a, pass).contains(&b));
                assert!(met, "{a} and {b} of {shards}, {ever}");
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
