//! The only place of the relay that reads clocks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Monotonic time.
#[expect(
    clippy::disallowed_methods,
    reason = "the relay's one reading of the monotonic clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Wall clock, time since the Unix epoch. Zero if the machine's clock is before 1970, which makes
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

/// Wall clock, Unix milliseconds.
pub(crate) fn unix_ms() -> u64 {
    u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX)
}
