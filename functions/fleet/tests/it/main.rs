//! Relays that join the fleet, through the function's front door.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod rig;

#[path = "by-identity.rs"]
mod by_identity;
#[path = "by-token.rs"]
mod by_token;
