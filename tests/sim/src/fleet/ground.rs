//! What everything of a run stands on.

use std::time::Instant;

/// Rooms of the service.
pub(super) const ROOMS: [&str; 2] = ["alpha", "beta"];
/// Where all shards are.
pub(super) const REGION: &str = "eu-1";

#[expect(
    clippy::disallowed_methods,
    reason = "virtual time needs an instant to start from"
)]
pub(super) fn some_instant() -> Instant {
    Instant::now()
}
