//! Attacks on a relay in its own process, one file for each finding; one program, because each
//! would link the clients again. They run one after another: two relays at once are no attack.

#![allow(
    clippy::unwrap_used,
    reason = "a failure in a helper is a failure of its test"
)]
#![expect(clippy::print_stdout, reason = "figures for the README")]

use std::sync::{Mutex, MutexGuard, PoisonError};

#[path = "checks-that-move-paths.rs"]
mod checks_that_move_paths;
#[path = "doors-held-open.rs"]
mod doors_held_open;
#[path = "ghost-listeners.rs"]
mod ghost_listeners;
#[path = "half-open-sessions.rs"]
mod half_open_sessions;
#[path = "noisy-neighbour.rs"]
mod noisy_neighbour;
mod strangers;
#[path = "streams-of-sctp.rs"]
mod streams_of_sctp;
#[path = "voice-without-end.rs"]
mod voice_without_end;

/// Held by the attack that runs.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
