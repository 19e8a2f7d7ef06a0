//! Usage of one room in the current minute: what the bill is computed from.

use std::time::{Duration, Instant};

/// Sums of the running minute.
#[derive(Debug)]
pub(crate) struct Usage {
    since: Instant,
    participants: u32,
    participant_time: Duration,
    pub(crate) talk_time: Duration,
    packets_out: u64,
    bytes_out: u64,
}

/// What was used in a minute that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) participant_time: Duration,
    pub(crate) talk_time: Duration,
    pub(crate) packets_out: u64,
    pub(crate) bytes_out: u64,
}

impl Usage {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            since: now,
            participants: 0,
            participant_time: Duration::ZERO,
            talk_time: Duration::ZERO,
            packets_out: 0,
            bytes_out: 0,
        }
    }

    /// The number of participants is `participants` from `now` on.
    pub(crate) fn set_participants(&mut self, now: Instant, participants: u32) {
        self.accrue(now);
        self.participants = participants;
    }

    /// Counts a datagram of `bytes` that was sent.
    pub(crate) fn note_sent(&mut self, bytes: usize) {
        self.packets_out += 1;
        self.bytes_out += bytes as u64;
    }

    /// Ends the minute at `now` and starts the next.
    pub(crate) fn take(&mut self, now: Instant) -> Used {
        self.accrue(now);
        let used = Used {
            participant_time: self.participant_time,
            talk_time: self.talk_time,
            packets_out: self.packets_out,
            bytes_out: self.bytes_out,
        };
        *self = Self {
            participants: self.participants,
            ..Self::new(now)
        };
        used
    }

    fn accrue(&mut self, now: Instant) {
        debug_assert!(now >= self.since, "the owner's clock went backwards");
        self.participant_time += now.saturating_duration_since(self.since) * self.participants;
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
        let mut usage = Usage::new(at(0));
        usage.set_participants(at(0), 2);
        usage.set_participants(at(10), 5);
        assert_eq!(
            usage.take(at(20)).participant_time,
            Duration::from_secs(2 * 10 + 5 * 10)
        );
        assert_eq!(usage.take(at(21)).participant_time, Duration::from_secs(5));
    }
}
