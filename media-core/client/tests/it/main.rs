//! Clients against the real core, with the edge's real answers, on a virtual clock.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod world;

#[path = "a-call-moves-and-comes-back.rs"]
mod a_call_moves_and_comes_back;
#[path = "a-connection-is-used-once.rs"]
mod a_connection_is_used_once;
#[path = "a-session-changes-what-it-may.rs"]
mod a_session_changes_what_it_may;
