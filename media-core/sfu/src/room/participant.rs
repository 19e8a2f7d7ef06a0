//! One member of a room.

use std::time::Instant;

use super::bits::Bits;
use super::channels::Grants;
use super::quality::Measures;
use super::select::Claim;
use super::slot::Slot;
use super::voice::{PayloadTypes, Voice};
use crate::bucket::Bucket;
use crate::idents::{ChannelKey, Permissions, PlayerKey, TopicKey};
use crate::protocol::Crossing;

/// What a room must know of somebody who enters it: the ticket's content.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) player: PlayerKey,
    /// The first channel, and what he may do there.
    pub(crate) channel: ChannelKey,
    pub(crate) permissions: Permissions,
    /// Nobody hears him, by order of the edge.
    pub(crate) server_muted: bool,
    /// When his ticket was made, Unix milliseconds.
    pub(crate) issued_at_ms: u64,
    pub(crate) payload_types: PayloadTypes,
    /// Header extension that has the level of a packet.
    pub(crate) level_id: Option<u8>,
    /// SSRC of each slot.
    pub(crate) slot_ssrcs: Vec<u32>,
    /// First sequence number of each.
    pub(crate) first_seq: u64,
}

/// A member of a room.
#[derive(Debug)]
pub(crate) struct Participant<F> {
    /// His connection, by a number that the room does not look at.
    pub(crate) link: usize,
    pub(crate) player: PlayerKey,
    /// His number in the room: no other had it.
    pub(crate) number: u32,
    pub(crate) entered_at: Instant,
    /// Once he has introduced himself: before, he is told nothing.
    pub(crate) profile: Option<F>,
    /// When his last hello was made, or his ticket where there is none yet, Unix milliseconds: an
    /// order from before says nothing that the edge did not know then.
    pub(crate) as_of_ms: u64,
    pub(crate) grants: Grants,
    pub(crate) muted: bool,
    pub(crate) deafened: bool,
    /// How often the others were told so lately.
    pub(crate) states: Bucket,
    /// They are told later what he set last.
    pub(crate) owes_state: bool,
    /// How often they were told that he began to talk.
    pub(crate) starts: Bucket,
    /// Until when nobody hears him, by order of the edge.
    pub(crate) muted_until: Option<Instant>,
    /// Those whom he has blocked, in order.
    pub(crate) blocked: Vec<PlayerKey>,
    /// What he plays on, once he has said it.
    pub(crate) crossing: Crossing,
    /// He gets what is pushed to them.
    pub(crate) topics: Vec<TopicKey>,
    pub(crate) voice: Voice,
    pub(crate) measures: Measures,
    pub(crate) slots: Vec<Slot>,
    /// Bit n: he must be told who is in slot n.
    pub(crate) slots_changed: u16,
    /// The roster shows him to everybody.
    pub(crate) is_shown: bool,
    /// The roster has something to say of him.
    pub(crate) is_noted: bool,
    /// The members of whom he was told.
    pub(crate) knows: Bits,
}

impl<F> Participant<F> {
    pub(crate) fn new(
        entered_at: Instant,
        link: usize,
        number: u32,
        entry: &Entry,
        grants: Grants,
    ) -> Self {
        let slots = entry.slot_ssrcs.iter();
        let slots: Vec<Slot> = slots
            .map(|&ssrc| Slot::new(ssrc, entry.first_seq))
            .collect();
        debug_assert!(slots.len() <= u16::BITS as usize, "a bit for each slot");
        Self {
            link,
            player: entry.player,
            number,
            entered_at,
            profile: None,
            as_of_ms: entry.issued_at_ms,
            grants,
            muted: false,
            deafened: false,
            states: Bucket::default(),
            owes_state: false,
            starts: Bucket::default(),
            muted_until: None,
            blocked: Vec::new(),
            crossing: Crossing::default(),
            topics: Vec::new(),
            voice: Voice::new(entry.payload_types, entry.level_id),
            measures: Measures::default(),
            slots,
            slots_changed: 0,
            is_shown: false,
            is_noted: false,
            knows: Bits::default(),
        }
    }

    pub(crate) fn is_introduced(&self) -> bool {
        self.profile.is_some()
    }

    /// How strongly he asks for slots.
    pub(crate) fn claim(&self, now: Instant) -> Claim {
        Claim {
            speaker: self.number,
            strength: self.voice.loudness.claim(now),
        }
    }

    /// Whether he has blocked the other.
    pub(crate) fn blocks(&self, other: &Self) -> bool {
        self.blocked.binary_search(&other.player).is_ok()
    }

    /// Whether anybody may hear him now, whatever he says.
    pub(crate) fn may_be_heard(&self) -> bool {
        !self.muted && self.muted_until.is_none() && self.grants.may_speak()
    }

    /// Frees the slots of `speaker`, who left.
    pub(crate) fn free_slots_of(&mut self, speaker: u32) {
        for (n, slot) in self.slots.iter_mut().enumerate() {
            if slot.speaker() == Some(speaker) {
                slot.free();
                self.slots_changed |= 1 << n;
            }
        }
    }

    /// The slots of `speaker` may carry him through another channel.
    pub(crate) fn note_slots_of(&mut self, speaker: u32) {
        for (n, slot) in self.slots.iter().enumerate() {
            if slot.speaker() == Some(speaker) {
                self.slots_changed |= 1 << n;
            }
        }
    }
}
