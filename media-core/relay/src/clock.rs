//! The only place of the relay that reads clocks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Monotonic time.
#[expect(
    clippy::disallowed_methods,
    reason = "the relay's one reading of the monotonic clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The machine's wall clock, time since the Unix epoch. It may be set at any moment: only what the
/// kernel stamps is compared with it. Zero if the machine's clock is before 1970, which makes
/// every ticket look valid for long rather than the relay fail; the heartbeat's skew then says so.
#[expect(
    clippy::disallowed_methods,
    reason = "the relay's one reading of the wall clock"
)]
pub(crate) fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// The machine's wall clock, Unix milliseconds.
pub(crate) fn unix_ms() -> u64 {
    u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX)
}

/// Unix time as the edge has it: by it tickets expire, and messages are new or old. It runs with
/// the monotonic clock, so that nothing happens when somebody sets the machine's wall clock, and
/// follows what the edge says.
#[derive(Debug)]
pub struct EdgeClock {
    base: Instant,
    /// At `base`, Unix milliseconds.
    unix_ms: AtomicU64,
}

/// A difference to the edge's clock, beyond what the way of a reply explains, that is left alone:
/// its hosts differ by some milliseconds, and the machine's clock drifts by as much between two
/// replies.
const LEFT_ALONE_MS: u64 = 1_000;

impl EdgeClock {
    /// By the machine's wall clock, until the edge says more.
    pub fn new(now: Instant, unix_ms: u64) -> Self {
        Self {
            base: now,
            unix_ms: AtomicU64::new(unix_ms),
        }
    }

    /// Unix milliseconds at a moment.
    pub fn unix_ms(&self, now: Instant) -> u64 {
        self.unix_ms.load(Ordering::Relaxed) + millis(now.saturating_duration_since(self.base))
    }

    /// The edge's clock said `edge_ms` some time between two moments. True when ours was set.
    pub fn follow(&self, between: (Instant, Instant), edge_ms: u64) -> bool {
        let (sent_ms, replied_ms) = (self.unix_ms(between.0), self.unix_ms(between.1));
        let fits = sent_ms.saturating_sub(LEFT_ALONE_MS)..=replied_ms + LEFT_ALONE_MS;
        if fits.contains(&edge_ms) {
            return false;
        }
        let middle = between.0 + between.1.saturating_duration_since(between.0) / 2;
        let elapsed_ms = millis(middle.saturating_duration_since(self.base));
        self.unix_ms
            .store(edge_ms.saturating_sub(elapsed_ms), Ordering::Relaxed);
        true
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn time_goes_on_evenly_and_is_that_of_the_edge() {
        let start = now();
        let clock = EdgeClock::new(start, 1_000_000);
        assert_eq!(clock.unix_ms(start + 250 * MS), 1_000_250);
        // The edge read its clock at any moment between the request and the reply.
        let between = (start + 100 * MS, start + 1_900 * MS);
        for edge_ms in [999_100, 1_000_100, 1_001_000, 1_002_900] {
            assert!(!clock.follow(between, edge_ms), "{edge_ms}");
        }
        assert_eq!(clock.unix_ms(start + 2_000 * MS), 1_002_000);
        // An hour, forth and back.
        for edge_ms in [4_601_000, 1_001_000] {
            assert!(clock.follow(between, edge_ms));
            assert_eq!(clock.unix_ms(start + 1_000 * MS), edge_ms);
            assert!(!clock.follow(between, edge_ms));
        }
        assert!(clock.follow(between, 0), "whatever is said");
        assert_eq!(clock.unix_ms(start + 5_000 * MS), 5_000);
    }
}
