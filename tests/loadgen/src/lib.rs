//! A swarm of native clients in one process, cheap enough to load a relay shard from the same
//! machine, and what its benchmark needs besides: the relay as a process of its own, the kernel
//! floor, prices.
//!
//! Clients are admitted through the edge, or with tickets that are sealed here with the shard's
//! key, as the edge would seal them. Most listeners ("crowd") look at the
//! clear header of voice and count it; a few ("probes") decrypt it and measure its latency.

pub mod control;
pub mod edge;
pub mod floor;
pub mod peer;
pub mod profile;
pub mod relay_process;
pub mod scenario;
pub mod swarm;

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The monotonic clock.
#[expect(
    clippy::disallowed_methods,
    reason = "a shell reads clocks, in one place"
)]
pub fn now() -> Instant {
    Instant::now()
}

/// Unix time, seconds.
#[expect(
    clippy::disallowed_methods,
    reason = "a shell reads clocks, in one place"
)]
pub fn unix_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Nanoseconds of `at` since `base`; zero when it is before.
pub fn nanos_since(base: Instant, at: Instant) -> u64 {
    u64::try_from(at.saturating_duration_since(base).as_nanos()).unwrap_or(u64::MAX)
}
