//! What is used of a shard: what the bill is computed from.

use std::ops::AddAssign;
use std::time::Duration;

use crate::idents::RoomKey;

/// What was used: by a room in a minute or a part of one, or by all rooms of a shard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Participants times the time that each was there.
    pub participant_time: Duration,
    /// Voice that was received and passed on, by the clocks of those who spoke.
    pub talk_time: Duration,
    /// Datagrams of voice from participants.
    pub packets_in: u64,
    /// Bytes of them (UDP payload).
    pub bytes_in: u64,
    /// Datagrams sent to participants, voice or not.
    pub packets_out: u64,
    /// Bytes of them (UDP payload).
    pub bytes_out: u64,
    /// Frames that were mixed for listeners.
    pub mixed_frames: u64,
    /// Times that it was measured how well a listener hears.
    pub reports: u64,
    /// The transmission rating of each, R of the E-model (ITU-T G.107), in tenths, together.
    pub rating_sum: u64,
}

/// What a room used in one minute, or in a part of it. All records of a shard together are what
/// its core has counted ([`crate::Sfu::usage`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageRecord {
    /// 1 for the first of the core, and one more for each.
    pub sequence: u64,
    /// Start of the minute of Unix time in which the usage began, milliseconds.
    pub minute_ms: u64,
    /// The room.
    pub room: RoomKey,
    /// What it used.
    pub usage: Usage,
}

impl Usage {
    /// Whether there is nothing in it.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Counts a listener who hears this well, R of the E-model.
    pub(crate) fn note_rating(&mut self, rating: u8) {
        self.reports += 1;
        self.rating_sum += 10 * u64::from(rating);
    }

    /// Counts a datagram of voice of `bytes` that came.
    pub(crate) fn note_received(&mut self, bytes: usize) {
        self.packets_in += 1;
        self.bytes_in += bytes as u64;
    }

    /// Counts a datagram of `bytes` that was sent.
    pub(crate) fn note_sent(&mut self, bytes: usize) {
        self.packets_out += 1;
        self.bytes_out += bytes as u64;
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, more: Self) {
        self.participant_time += more.participant_time;
        self.talk_time += more.talk_time;
        self.packets_in += more.packets_in;
        self.bytes_in += more.bytes_in;
        self.packets_out += more.packets_out;
        self.bytes_out += more.bytes_out;
        self.mixed_frames += more.mixed_frames;
        self.reports += more.reports;
        self.rating_sum += more.rating_sum;
    }
}
