//! A room of a shard: its members, its channels, and what its members are to be told next.

use std::time::Instant;

use crate::forward::Pending;
use crate::idents::{ChannelKey, RoomKey};
use crate::timers::Deadline;
use crate::usage::Usage;

/// Channels that one room may have at a time: bits of the masks.
pub(crate) const MAX_ROOM_CHANNELS: usize = 64;

pub(crate) struct Room {
    pub(crate) key: RoomKey,
    /// Indices of live sessions, in order of arrival.
    pub(crate) members: Vec<usize>,
    /// Sessions that refer to the room, those in handshake or ending included.
    pub(crate) sessions: usize,
    /// Voice that waits to be sent to the members.
    pub(crate) pending: Vec<Pending>,
    /// Members who got it already.
    pub(crate) served: usize,
    channels: Vec<Option<(ChannelKey, u32)>>,
    next_participant: u32,
    /// Participants who left since the last roster message.
    pub(crate) left: Vec<u32>,
    /// When the next roster and speaking messages go out; none when there is nothing to say.
    pub(crate) flush_at: Option<Instant>,
    pub(crate) usage: Usage,
    pub(crate) minute_ends: Instant,
    pub(crate) generation: u64,
    pub(crate) deadline: Deadline,
}

impl Room {
    pub(crate) fn new(now: Instant, key: RoomKey, minute_ends: Instant, generation: u64) -> Self {
        Self {
            key,
            members: Vec::new(),
            sessions: 0,
            pending: Vec::new(),
            served: 0,
            channels: Vec::new(),
            next_participant: 1,
            left: Vec::new(),
            flush_at: None,
            usage: Usage::new(now),
            minute_ends,
            generation,
            deadline: Deadline::default(),
        }
    }

    /// A number that no participant of this room had before.
    pub(crate) fn new_participant(&mut self) -> u32 {
        let id = self.next_participant;
        self.next_participant += 1;
        id
    }

    /// The bit of `channel`, taken for one more session; none when the room has too many.
    pub(crate) fn take_channel(&mut self, channel: ChannelKey) -> Option<u64> {
        let known =
            |entry: &Option<(ChannelKey, u32)>| entry.is_some_and(|(key, _)| key == channel);
        let n = match self.channels.iter().position(known) {
            Some(n) => n,
            None => match self.channels.iter().position(Option::is_none) {
                Some(n) => n,
                None if self.channels.len() < MAX_ROOM_CHANNELS => {
                    self.channels.push(None);
                    self.channels.len() - 1
                }
                None => return None,
            },
        };
        self.channels[n].get_or_insert((channel, 0)).1 += 1;
        Some(1 << n)
    }

    /// The bit of `channel`; none when nobody is in it.
    pub(crate) fn channel_bit(&self, channel: ChannelKey) -> u64 {
        let is_it =
            |entry: &Option<(ChannelKey, u32)>| entry.is_some_and(|(key, _)| key == channel);
        self.channels.iter().position(is_it).map_or(0, |n| 1 << n)
    }

    /// Gives back the channels of `mask`, one session less for each.
    pub(crate) fn release_channels(&mut self, mask: u64) {
        for (n, entry) in self.channels.iter_mut().enumerate() {
            if mask & (1 << n) == 0 {
                continue;
            }
            let (_, sessions) = entry.as_mut().expect("a taken channel has an entry");
            *sessions -= 1;
            if *sessions == 0 {
                *entry = None;
            }
        }
    }

    /// Whether everybody is in one and the same channel.
    pub(crate) fn has_one_channel(&self) -> bool {
        self.channels.iter().flatten().count() <= 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_shared_bounded_and_reused() {
        #[expect(
            clippy::disallowed_methods,
            reason = "a test needs some instant to start from"
        )]
        let now = Instant::now();
        let mut room = Room::new(now, RoomKey([0; 8]), now, 0);
        let a = room.take_channel(ChannelKey([1; 8])).unwrap();
        assert_eq!(room.take_channel(ChannelKey([1; 8])), Some(a));
        let b = room.take_channel(ChannelKey([2; 8])).unwrap();
        assert_eq!(a & b, 0);
        assert!(!room.has_one_channel());
        room.release_channels(a | b);
        assert!(
            room.has_one_channel(),
            "one session is left in the first channel"
        );
        for n in 3..=65 {
            assert!(room.take_channel(ChannelKey([n; 8])).is_some());
        }
        assert_eq!(room.take_channel(ChannelKey([66; 8])), None);
        room.release_channels(a);
        assert_eq!(room.take_channel(ChannelKey([66; 8])), Some(a));
    }
}
