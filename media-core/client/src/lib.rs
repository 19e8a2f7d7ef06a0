//! A client of a LifeVerse relay without I/O: voice, roster, slots, reconnect and hand-over.
//!
//! There are two layers. A [`Connection`] is one connection to one relay, used once: offer, answer,
//! hello, heartbeat, who is here and who is heard where, end. A [`Call`] is a player's stay in a
//! room: it makes connections, makes new ones when they are lost, and moves from relay to relay
//! without a gap, with the schedule of the browser SDK.
//!
//! Both are state machines (str0m does the WebRTC): they have no sockets, no threads, no clock, and
//! no chance but what comes from the seed and from the cryptography that the application chose.
//!
//! # How to drive it
//!
//! 1. Call a `handle_*` method: a datagram, the time, a reply of the edge, voice, a command.
//! 2. Drain `poll_transmit` and `poll_event` until both are empty, and do what they say.
//! 3. Wait for a datagram, an order of the user, or the time of `poll_timeout`, whichever is first.
//!
//! Time never goes back: `now` is at least that of the call before. What is not drained is kept, so
//! step 2 may not be left out.
//!
//! `examples/listen.rs` is a whole program: a socket, a loop, an HTTP request.

mod adapter;
mod call;
mod cause;
mod connection;
mod handover;
mod heartbeat;
mod options;
mod repeater;
mod roster;
mod rtc;
mod schedule;

pub use adapter::Adapter;
pub use call::{Call, CallEvent, CallOptions, Command, Heard, JoinId, State};
pub use cause::{Cause, Refusal, Verdict};
pub use connection::{Connection, Event, LEAVE_MAX, Transmit, WELCOME_MAX};
pub use handover::{HANDOVER_MAX, SETTLE, left_behind};
pub use heartbeat::{PING_EVERY, SILENCE_MAX};
pub use options::Options;
pub use quality::Settings;
pub use repeater::Repeater;
pub use roster::{Changed, PARTICIPANTS_MAX, View};
pub use rtc::{Contact, LEVEL_ID, OPUS, Reception, SlotReport, Voice, VoiceReceived};
pub use schedule::{
    JOIN_MAX, Jitter, STABLE_AFTER, attempt_after_loss, delay_before, ice_patience,
};
