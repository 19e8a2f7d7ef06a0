//! The function as its callers see it, and what becomes of it where others read what it writes: one
//! program, because each would link them again.

#![allow(
    clippy::unwrap_used,
    reason = "a failure in a helper is a failure of its test"
)]

mod rig;

mod channels;
mod players;
mod privacy;
mod revocations;
mod rooms;
