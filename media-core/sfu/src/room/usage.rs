//! What a room uses, in the current minute or part of one: what the bill is computed from.

use std::ops::AddAssign;
use std::time::{Duration, Instant};

use crate::idents::RoomKey;

/// What was used: by a room in a minute or a part of one, or by all rooms of a shard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Participants times the time that each was there.
    pub participant_time: Duration,
    /// Voice that was received and passed on, by the clocks of those who spoke.
    pub talk_time: Duration,
    /// Datagrams of voice from participants.
    pub packets_in: u64,
    /// Bytes of them (UDP payload).
    pub bytes_in: u64,
    /// Datagrams sent to participants, voice or not.
    pub packets_out: u64,
    /// Bytes of them (UDP payload).
    pub bytes_out: u64,
    /// Frames that were mixed for listeners.
    pub mixed_frames: u64,
}

/// What a room used in one minute, or in a part of it. All records of a shard together are what
/// its core has counted ([`crate::Sfu::usage`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageRecord {
    /// 1 for the first of the core, and one more for each.
    pub sequence: u64,
    /// Start of the minute of Unix time in which the usage began, milliseconds.
    pub minute_ms: u64,
    /// The room.
    pub room: RoomKey,
    /// What it used.
    pub usage: Usage,
}

/// A time over which usage is gathered: a minute of Unix time, or a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Period {
    /// Start of its minute, Unix milliseconds.
    pub(crate) minute_ms: u64,
    /// When it is to be over.
    pub(crate) ends: Instant,
}

/// Sums of a running period.
#[derive(Debug)]
pub(crate) struct Gathered {
    period: Period,
    since: Instant,
    participants: u32,
    usage: Usage,
}

impl Usage {
    /// Whether there is nothing in it.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Counts a datagram of voice of `bytes` that came.
    pub(crate) fn note_received(&mut self, bytes: usize) {
        self.packets_in += 1;
        self.bytes_in += bytes as u64;
    }

    /// Counts a datagram of `bytes` that was sent.
    pub(crate) fn note_sent(&mut self, bytes: usize) {
        self.packets_out += 1;
        self.bytes_out += bytes as u64;
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, more: Self) {
        self.participant_time += more.participant_time;
        self.talk_time += more.talk_time;
        self.packets_in += more.packets_in;
        self.bytes_in += more.bytes_in;
        self.packets_out += more.packets_out;
        self.bytes_out += more.bytes_out;
        self.mixed_frames += more.mixed_frames;
    }
}

impl Gathered {
    pub(crate) fn new(now: Instant, period: Period) -> Self {
        Self {
            period,
            since: now,
            participants: 0,
            usage: Usage::default(),
        }
    }

    /// When the period is over.
    pub(crate) fn ends(&self) -> Instant {
        self.period.ends
    }

    /// The number of participants is `participants` from `now` on.
    pub(crate) fn set_participants(&mut self, now: Instant, participants: u32) {
        self.accrue(now);
        self.participants = participants;
    }

    /// Counts in the running period.
    pub(crate) fn usage(&mut self) -> &mut Usage {
        &mut self.usage
    }

    /// Ends the period at `now` and begins the next: the minute of the one that is over, and what
    /// was used in it.
    pub(crate) fn take(&mut self, now: Instant, next: Period) -> (u64, Usage) {
        self.accrue(now);
        let over = std::mem::replace(&mut self.period, next);
        (over.minute_ms, std::mem::take(&mut self.usage))
    }

    fn accrue(&mut self, now: Instant) {
        debug_assert!(now >= self.since, "the owner's clock went backwards");
        let passed = now.saturating_duration_since(self.since);
        self.usage.participant_time += passed * self.participants;
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn participant_time_adds_up_over_changes_and_minutes() {
        #[expect(
            clippy::disallowed_methods,
            reason = "a test needs some instant to start from"
        )]
        let t0 = Instant::now();
        let at = |s| t0 + Duration::from_secs(s);
        let period = |minute_ms, ends| Period {
            minute_ms,
            ends: at(ends),
        };
        let mut gathered = Gathered::new(at(0), period(60_000, 20));
        gathered.set_participants(at(0), 2);
        gathered.set_participants(at(10), 5);
        let (minute_ms, usage) = gathered.take(at(20), period(120_000, 80));
        assert_eq!(minute_ms, 60_000);
        assert_eq!(usage.participant_time, Duration::from_secs(70));
        let (minute_ms, usage) = gathered.take(at(21), period(120_000, 80));
        assert_eq!(minute_ms, 120_000);
        assert_eq!(usage.participant_time, Duration::from_secs(5));
    }
}
