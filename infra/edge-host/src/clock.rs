//! The one place of the host that reads a clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The monotonic clock.
#[expect(
    clippy::disallowed_methods,
    reason = "a shell reads clocks, in one place"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Unix time in milliseconds.
#[expect(
    clippy::disallowed_methods,
    reason = "a shell reads clocks, in one place"
)]
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
