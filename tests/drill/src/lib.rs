//! Faults caused on purpose to a running service, with callers in it who note what they hear.
//!
//! A [`Party`] is rooms of native clients ([`caller::Caller`]) that speak and listen over real
//! sockets. A [`Control`] causes faults: to processes that it started itself ([`local::Local`]), by
//! an operator's command, or by hand. [`drills`] puts both together; [`heard`] tells from what came
//! when how long somebody heard nobody, or only a part of his room.

pub mod caller;
pub mod control;
pub mod drills;
pub mod edge;
pub mod heard;
pub mod kind;
pub mod local;
pub mod options;
pub mod party;
pub mod pulse;
pub mod seen;
pub mod usage;

use std::time::Instant;

pub use control::{Control, Fault};
pub use local::Local;
pub use party::Party;

/// The monotonic clock.
#[expect(
    clippy::disallowed_methods,
    reason = "a shell reads clocks, in one place"
)]
pub fn now() -> Instant {
    Instant::now()
}
