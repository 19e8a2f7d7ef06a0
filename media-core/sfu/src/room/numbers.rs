//! The sequence numbers and times of a slot's stream.
//!
//! Sequence numbers are the SRTP nonce, so none may ever be used twice in a slot, and none may be
//! so far from the last that SRTP miscounts the roll-overs. Within a talk spurt they keep the
//! speaker's gaps (the listener's jitter buffer sees real loss); suppressed silence and changes of
//! speaker leave no gap.

use std::time::{Duration, Instant};

use crate::rtp::{PACKET_TICKS, ticks};

/// Furthest step of a slot's sequence numbers, forth or back. SRTP counts roll-overs from 16 bits,
/// on both sides: a step of half of them would be taken for one back, to numbers that were used.
const MAX_STEP: u64 = 1 << 10;

/// Where a packet stands in what its speaker sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// Counts his sources: timestamps of two have nothing in common.
    pub(crate) source: u32,
    pub(crate) number: u64,
    pub(crate) time: u32,
    pub(crate) marker: bool,
}

/// How a slot sends a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fitted {
    /// Roll-overs counted.
    pub(crate) number: u64,
    pub(crate) time: u32,
    pub(crate) marker: bool,
}

/// The numbers that a slot has sent.
#[derive(Debug)]
pub(crate) struct Numbers {
    source: u32,
    number_base: u64,
    sent_base: u64,
    sent_next: u64,
    /// Added to the speaker's timestamps.
    time_offset: u32,
    last_time: u32,
    last_sent: Option<Instant>,
}

impl Numbers {
    /// Of a slot that has sent nothing; its first one is `first`.
    pub(crate) fn new(first: u64) -> Self {
        Self {
            source: 0,
            number_base: 0,
            sent_base: first,
            sent_next: first,
            time_offset: 0,
            last_time: 0,
            last_sent: None,
        }
    }

    /// Numbers for a packet, of another speaker than the last one where `is_other`; none when it is
    /// too late.
    pub(crate) fn fit(
        &mut self,
        now: Instant,
        packet: &Place,
        is_other: bool,
        hang_over: Duration,
    ) -> Option<Fitted> {
        let changed = is_other || self.source != packet.source;
        // After a pause the numbers go on where they stopped: what was not sent (the listener was
        // deafened) must not look like loss.
        if changed || self.idle(now) >= hang_over {
            self.number_base = packet.number;
            self.sent_base = self.sent_next;
        }
        if changed {
            self.source = packet.source;
            let time = self.last_time.wrapping_add(self.ticks_since_last(now));
            self.time_offset = time.wrapping_sub(packet.time);
        }
        // Older than what the slot began with: its number is taken.
        let offset = packet.number.checked_sub(self.number_base)?;
        let mut number = self.sent_base + offset;
        if number + MAX_STEP < self.sent_next {
            return None;
        }
        if number > self.sent_next + MAX_STEP {
            self.number_base = packet.number;
            self.sent_base = self.sent_next;
            number = self.sent_next;
        }
        let time = packet.time.wrapping_add(self.time_offset);
        if number >= self.sent_next {
            debug_assert!(number >= self.sent_base, "numbers only grow");
            self.sent_next = number + 1;
            self.last_time = time;
        }
        self.last_sent = Some(now);
        debug_assert!(number.abs_diff(self.sent_next) <= MAX_STEP, "near the last");
        Some(Fitted {
            number,
            time,
            marker: changed || packet.marker,
        })
    }

    /// The number after the highest that was sent.
    pub(crate) fn next(&self) -> u64 {
        self.sent_next
    }

    /// Timestamp ticks to leave between two speakers: the time that passed, one packet at least.
    fn ticks_since_last(&self, now: Instant) -> u32 {
        self.last_sent
            .map_or(0, |last| ticks(last, now).max(PACKET_TICKS))
    }

    /// The RTP time at `now`; none before the first packet.
    pub(crate) fn time(&self, now: Instant) -> Option<u32> {
        let last = self.last_sent?;
        Some(self.last_time.wrapping_add(ticks(last, now)))
    }

    /// Time since the last packet.
    pub(crate) fn idle(&self, now: Instant) -> Duration {
        self.last_sent
            .map_or(Duration::MAX, |at| now.saturating_duration_since(at))
    }
}
