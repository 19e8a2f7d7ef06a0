//! What end-to-end tests and benchmarks share: a service on free ports, and a native client that
//! joins it as a game would.

pub use player as client;
pub use player::now;
pub use scenarios::http;
pub mod killable;
pub use bench_report as report;
pub mod service;

use std::time::{SystemTime, UNIX_EPOCH};

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
