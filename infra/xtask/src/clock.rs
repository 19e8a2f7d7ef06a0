//! The one place of xtask that reads a clock or sleeps.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The monotonic clock.
#[expect(
    clippy::disallowed_methods,
    reason = "a shell reads clocks, in one place"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Seconds since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "a shell reads clocks, in one place"
)]
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is set after 1970")
        .as_secs()
}

/// Sleeps between two looks at a child that has no event to wait for.
#[expect(
    clippy::disallowed_methods,
    reason = "waitpid with a timeout does not exist"
)]
pub(crate) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
