//! When the members of a room are told what changed: roster and speaking.
//!
//! How much a room tells is bounded in any case: each telling of everybody is followed by a pause
//! that grows with the messages that it took (`TELLING_TIME`). A listener of a room of `n` gets at
//! most `1 / (n * TELLING_TIME)` messages of roster and speaking in a second in the long run, and
//! no more than one telling every `roster_interval`: all 20 a second up to 83 members, 17 in a room
//! of 100, 1.7 of 1,000, one in 3 s of 5,000.

use std::time::{Duration, Instant};

/// Time for each message between two tellings of everybody: 1,667 messages a second for a room at
/// most, however large it is and whatever its members do. One takes a relay 27 us in a room of
/// 5,000, its acknowledgement included (`bench-relay telling`), so this is a twentieth of a core.
const TELLING_TIME: Duration = Duration::from_micros(600);

/// What is told later, and when.
#[derive(Debug, Default)]
pub(crate) struct Telling {
    /// Members of whose state the others are told later, each once.
    pub(crate) owed: Vec<usize>,
    /// They are told later that somebody talks.
    pub(crate) owes_start: bool,
    /// Nobody is told anything before.
    not_before: Option<Instant>,
}

impl Telling {
    /// When so many members are told what changed at `now`.
    pub(crate) fn next_at(&self, now: Instant, interval: Duration, members: usize) -> Instant {
        let at = now + interval.max(TELLING_TIME * members as u32);
        self.not_before.map_or(at, |other| at.max(other))
    }

    /// They were told at `now`, in so many messages.
    pub(crate) fn note_told(&mut self, now: Instant, messages: usize) {
        self.not_before = Some(now + TELLING_TIME * messages as u32);
    }
}
