//! Voice that waits in a room to be sent to its listeners, and how a packet gets into a slot.

use std::time::Instant;

use super::bits::Bits;
use super::numbers::Place;
use super::select::{Choice, Claim, choose};
use super::slot::{Slot, Talker};
use super::speaking::SpeakingConfig;
use super::voice::{Forwardable, PayloadTypes};
use crate::rtp::{RTP_HEADER_BYTES, RtpHeader};
use crate::stats::DropReason;

/// What waits in a room, and who gets it.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) pending: Vec<Pending>,
    /// Everybody who gets any of it.
    pub(crate) listeners: Bits,
    /// Listeners below it have got theirs.
    next: usize,
    /// Of all who talk, as of the first listener.
    pub(crate) claims: Vec<Claim>,
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Adds a packet for `audience`.
    pub(crate) fn push(&mut self, pending: Pending, audience: &Bits) {
        self.listeners.add(audience);
        self.pending.push(pending);
    }

    /// Takes the next listener.
    pub(crate) fn next_listener(&mut self) -> Option<usize> {
        let listener = self.listeners.next(self.next)?;
        debug_assert!(listener >= self.next, "each once");
        self.next = listener + 1;
        Some(listener)
    }

    /// Forgets what a member said.
    pub(crate) fn silence(&mut self, member: usize) {
        self.pending
            .retain(|one| one.speaker.talker.member != member);
    }

    /// Forgets a member who left: what he said would take his slots again.
    pub(crate) fn forget(&mut self, member: usize) {
        self.silence(member);
        self.listeners.remove(member);
    }

    /// Everybody has got everything: gives the memory back.
    pub(crate) fn finish(&mut self) -> impl Iterator<Item = Vec<u8>> + '_ {
        debug_assert_eq!(self.listeners.next(self.next), None, "everybody got his");
        self.next = 0;
        self.listeners.clear();
        self.claims.clear();
        self.pending.drain(..).flat_map(Pending::into_spare)
    }
}

/// An accepted packet that waits to be sent to everybody who hears its speaker.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) speaker: Speaker,
    forwardable: Forwardable,
    /// Room for the RTP header of each listener in turn, then the payload.
    packet: Vec<u8>,
    /// The same without redundancy, when the payload is RED.
    primary: Option<Vec<u8>>,
    /// It repeats a packet that did not come.
    pub(crate) repeats_lost: bool,
}

/// Whose packet it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Speaker {
    pub(crate) talker: Talker,
    /// Counts the speaker's sources.
    pub(crate) source: u32,
    /// His payload type of Opus: the one inside RED.
    pub(crate) opus: u8,
}

impl Pending {
    /// A packet with `payload`, which repeats one that did not come or not, in memory from `spare`.
    pub(crate) fn new(
        speaker: Speaker,
        forwardable: Forwardable,
        (payload, repeats_lost): (&[u8], bool),
        spare: &mut Vec<Vec<u8>>,
    ) -> Self {
        let mut packet = |payload: &[u8]| {
            let mut packet = spare.pop().unwrap_or_default();
            packet.clear();
            packet.resize(RTP_HEADER_BYTES, 0);
            packet.extend_from_slice(payload);
            packet
        };
        Self {
            speaker,
            forwardable,
            primary: forwardable.red_primary.map(|from| packet(&payload[from..])),
            packet: packet(payload),
            repeats_lost,
        }
    }

    /// The payload type with which a listener gets the packet: RED as it came where he takes it
    /// and knows what is inside by the same number, else its primary block.
    fn payload_type(&self, listener: PayloadTypes) -> u8 {
        let red = listener.red.filter(|_| listener.opus == self.speaker.opus);
        match red {
            Some(red) if self.primary.is_some() => red,
            _ => listener.opus,
        }
    }

    /// The packet that has `payload_type` for the listener.
    fn packet(&mut self, listener: PayloadTypes, payload_type: u8) -> &mut Vec<u8> {
        match &mut self.primary {
            Some(primary) if payload_type == listener.opus => primary,
            _ => &mut self.packet,
        }
    }

    /// The whole packet with `header`.
    pub(crate) fn with_header(&mut self, listener: PayloadTypes, header: RtpHeader) -> &[u8] {
        let packet = self.packet(listener, header.payload_type);
        header.write(packet);
        packet
    }

    /// Gives the memory back.
    pub(crate) fn into_spare(self) -> impl Iterator<Item = Vec<u8>> {
        [Some(self.packet), self.primary].into_iter().flatten()
    }
}

/// Fits `pending` into one of a listener's slots, of which `claims` are those who talk. Returns the
/// header that it has there, and the slot when its speaker changed.
pub(crate) fn fit(
    now: Instant,
    slots: &mut [Slot],
    listener: PayloadTypes,
    pending: &mut Pending,
    claims: &[Claim],
    config: &SpeakingConfig,
) -> Result<(RtpHeader, Option<usize>), DropReason> {
    let Speaker { talker, source, .. } = pending.speaker;
    let (n, moved) = match choose(now, slots, talker.number, claims, config.hang_over) {
        Choice::Own(n) => (n, None),
        Choice::Free(n) | Choice::Instead(n) => (n, Some(n)),
        Choice::None => return Err(DropReason::NoSlot),
    };
    let forwardable = &pending.forwardable;
    let place = Place {
        source,
        number: forwardable.number,
        time: forwardable.time,
        marker: forwardable.marker,
    };
    let slot = &mut slots[n];
    let fitted = slot.fit(now, talker, &place, config.hang_over);
    let fitted = fitted.ok_or(DropReason::Late)?;
    let payload_type = pending.payload_type(listener);
    slot.note_sent(pending.packet(listener, payload_type).len() - RTP_HEADER_BYTES);
    let header = RtpHeader {
        payload_type,
        marker: fitted.marker,
        // The roll-overs are counted where it is sealed.
        sequence: fitted.number as u16,
        timestamp: fitted.time,
        ssrc: slot.ssrc(),
    };
    Ok((header, moved))
}
