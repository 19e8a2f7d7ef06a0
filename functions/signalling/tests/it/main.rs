//! The function as its callers see it: one program, because each would link it again.

#![allow(
    clippy::unwrap_used,
    reason = "a failure in a helper is a failure of its test"
)]

mod rig;

mod answers;
mod joins;
mod lost;
mod properties;
mod refusals;
mod rights;
