//! The relay as those who talk to it see it: one program, because each would link the relay again.

#![allow(
    clippy::unwrap_used,
    reason = "a failure in a helper is a failure of its test"
)]

mod commands;
mod common;

#[path = "a-flood-of-voice.rs"]
mod a_flood_of_voice;
#[path = "a-full-shard.rs"]
mod a_full_shard;
#[path = "control-endpoint.rs"]
mod control_endpoint;
mod enrolment;
mod heartbeats;
mod process;
mod usage;
mod voice;
#[path = "voice-over-tcp.rs"]
mod voice_over_tcp;
