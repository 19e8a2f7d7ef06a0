//! What a room uses in the current minute, or in a part of it.

use std::time::Instant;

use crate::usage::Usage;

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
    use std::time::Duration;

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
