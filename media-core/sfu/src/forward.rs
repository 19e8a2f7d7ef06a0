//! Forwarding: from one speaker's packet to a slot of each listener.
//!
//! Sequence numbers are the SRTP nonce, so none may ever be used twice in a slot, and none may be
//! so far from the last that SRTP miscounts the roll-overs. Within a talk spurt they keep the
//! speaker's gaps (the listener's jitter buffer sees real loss); suppressed silence and changes of
//! speaker leave no gap.

use std::time::{Duration, Instant};

use crate::idents::PlayerKey;
use crate::inbound::Opened;
use crate::red::primary_from;
use crate::speaking::{Heard, Speaking, SpeakingConfig};
use crate::srtp::{RTP_HEADER_BYTES, RtpHeader, Sent};
use crate::stats::DropReason;

/// RTP clock of Opus (RFC 7587), Hz.
const CLOCK_HZ: u64 = 48_000;
/// Timestamp step of one 20 ms packet.
const PACKET_TICKS: u32 = CLOCK_HZ as u32 / 50;
/// Furthest step of a slot's sequence numbers, forth or back. SRTP counts roll-overs from 16 bits,
/// on both sides: a step of half of them would be taken for one back, to numbers that were used.
const MAX_STEP: u64 = 1 << 10;

/// The incoming voice of one participant.
#[derive(Debug)]
pub(crate) struct Voice {
    payload_types: PayloadTypes,
    /// Header extension that has the level of a packet.
    level_id: Option<u8>,
    /// The source of the last packet.
    ssrc: Option<u32>,
    pub(crate) speaking: Speaking,
    /// Counts talk spurts and source changes.
    spurt: u32,
    /// First sequence number of the spurt, as received and as forwarded.
    received_base: u64,
    forwarded_base: u64,
    /// Next forwarded number after everything so far.
    forwarded_next: u64,
    /// Counts source changes: timestamps of two sources have nothing in common.
    pub(crate) source: u32,
}

/// Payload types of one client, for what he sends and what he is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PayloadTypes {
    pub(crate) opus: u8,
    /// Of RED (RFC 2198), where negotiated.
    pub(crate) red: Option<u8>,
}

impl PayloadTypes {
    /// Whether `payload_type` is one of them.
    pub(crate) fn contain(self, payload_type: u8) -> bool {
        payload_type == self.opus || self.red == Some(payload_type)
    }
}

/// A packet as listeners shall get it, before it is fitted into their slots.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Forwardable {
    number: u64,
    time: u32,
    marker: bool,
    /// Where the primary block begins in a RED payload; none for Opus itself.
    red_primary: Option<usize>,
    /// A new talk spurt began.
    pub(crate) started: bool,
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
}

/// Whose packet it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Speaker {
    pub(crate) player: PlayerKey,
    /// Number in the room.
    pub(crate) participant: u32,
    /// Counts the speaker's sources.
    pub(crate) source: u32,
    /// Channels in which it is heard.
    pub(crate) speaks_in: u64,
    /// His payload type of Opus: the one inside RED.
    pub(crate) opus: u8,
}

impl Pending {
    /// A packet with `payload`, in memory from `spare`.
    pub(crate) fn new(
        speaker: Speaker,
        forwardable: Forwardable,
        payload: &[u8],
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

impl Voice {
    pub(crate) fn new(payload_types: PayloadTypes, level_id: Option<u8>) -> Self {
        Self {
            payload_types,
            level_id,
            ssrc: None,
            speaking: Speaking::default(),
            spurt: 0,
            received_base: 0,
            forwarded_base: 0,
            forwarded_next: 0,
            source: 0,
        }
    }

    /// Payload types of the ticket.
    pub(crate) fn payload_types(&self) -> PayloadTypes {
        self.payload_types
    }

    /// Notes the source of an authentic packet.
    pub(crate) fn note_source(&mut self, ssrc: u32) {
        if self.ssrc.replace(ssrc) != Some(ssrc) {
            self.source = self.source.wrapping_add(1);
            self.speaking.clear();
        }
    }

    /// Decides what becomes of an authentic packet that its speaker may send.
    pub(crate) fn handle_packet(
        &mut self,
        now: Instant,
        config: &SpeakingConfig,
        packet: &Opened,
    ) -> Result<Forwardable, DropReason> {
        let red_primary = self.red_primary(packet)?;
        let level = self.level_id.and_then(|id| packet.level_dbov(id));
        // Comfort noise is told by its size, whatever is repeated before it.
        let primary_bytes = packet.payload().len() - red_primary.unwrap_or_default();
        let Heard { forward, started } =
            self.speaking
                .handle_packet(now, config, level, primary_bytes);
        if !forward {
            return Err(DropReason::Silence);
        }
        let received = packet.number;
        if started {
            self.spurt = self.spurt.wrapping_add(1);
            self.received_base = received;
            self.forwarded_base = self.forwarded_next;
        }
        let Some(offset) = received.checked_sub(self.received_base) else {
            return Err(DropReason::Late);
        };
        let number = self.forwarded_base + offset;
        self.forwarded_next = self.forwarded_next.max(number + 1);
        let marker = started || packet.marker();
        Ok(Forwardable {
            number,
            time: packet.timestamp(),
            marker,
            red_primary,
            started,
        })
    }

    /// Where the primary block of a RED packet begins; none for Opus itself.
    fn red_primary(&self, packet: &Opened) -> Result<Option<usize>, DropReason> {
        let (types, payload_type) = (self.payload_types, packet.payload_type());
        if payload_type == types.opus {
            return Ok(None);
        }
        if types.red != Some(payload_type) {
            return Err(DropReason::PayloadType);
        }
        let from = primary_from(packet.payload(), types.opus);
        from.map(Some).ok_or(DropReason::RedMalformed)
    }
}

/// One outgoing stream of a listener.
#[derive(Debug)]
pub(crate) struct Slot {
    ssrc: u32,
    /// Participant number of the speaker; none while free.
    pub(crate) speaker: Option<u32>,
    source: u32,
    number_base: u64,
    sent_base: u64,
    sent_next: u64,
    /// Added to the speaker's timestamps.
    time_offset: u32,
    last_time: u32,
    last_sent: Option<Instant>,
    /// Since the start, as sender reports count.
    packets: u32,
    octets: u32,
    /// Whether anything was sent since the last report.
    unreported: bool,
}

impl Slot {
    /// A free slot whose first sequence number is `first_seq`.
    pub(crate) fn new(ssrc: u32, first_seq: u64) -> Self {
        Self {
            ssrc,
            speaker: None,
            source: 0,
            number_base: 0,
            sent_base: first_seq,
            sent_next: first_seq,
            time_offset: 0,
            last_time: 0,
            last_sent: None,
            packets: 0,
            octets: 0,
            unreported: false,
        }
    }

    /// Fits a packet of `speaker` into the slot: its sequence number, timestamp and marker there.
    fn fit(
        &mut self,
        now: Instant,
        speaker: u32,
        source: u32,
        forwardable: &Forwardable,
        hang_over: Duration,
    ) -> Option<(u64, u32, bool)> {
        let received_time = forwardable.time;
        let changed = self.speaker != Some(speaker) || self.source != source;
        // After a pause the numbers go on where they stopped: what was not sent (the listener was
        // deafened) must not look like loss.
        if changed || self.idle(now) >= hang_over {
            self.number_base = forwardable.number;
            self.sent_base = self.sent_next;
        }
        if changed {
            self.speaker = Some(speaker);
            self.source = source;
            let time = self.last_time.wrapping_add(self.ticks_since_last(now));
            self.time_offset = time.wrapping_sub(received_time);
        }
        // Older than what the slot began with: its number is taken.
        let offset = forwardable.number.checked_sub(self.number_base)?;
        let mut number = self.sent_base + offset;
        if number + MAX_STEP < self.sent_next {
            return None;
        }
        if number > self.sent_next + MAX_STEP {
            self.number_base = forwardable.number;
            self.sent_base = self.sent_next;
            number = self.sent_next;
        }
        let time = received_time.wrapping_add(self.time_offset);
        if number >= self.sent_next {
            self.sent_next = number + 1;
            self.last_time = time;
        }
        self.last_sent = Some(now);
        Some((number, time, changed || forwardable.marker))
    }

    /// Timestamp ticks to leave between two speakers: the time that passed, one packet at least.
    fn ticks_since_last(&self, now: Instant) -> u32 {
        self.last_sent
            .map_or(0, |last| ticks(last, now).max(PACKET_TICKS))
    }

    /// Counts a packet of `octets` of payload.
    fn note_sent(&mut self, octets: usize) {
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(octets as u32);
        self.unreported = true;
    }

    /// What a sender report at `now` says; none when nothing was sent since the last one.
    pub(crate) fn take_report(&mut self, now: Instant) -> Option<Sent> {
        let last = self.last_sent?;
        std::mem::take(&mut self.unreported).then(|| Sent {
            ssrc: self.ssrc,
            rtp_time: self.last_time.wrapping_add(ticks(last, now)),
            packets: self.packets,
            octets: self.octets,
        })
    }

    /// Of the slot's stream.
    pub(crate) fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Time since the last packet.
    fn idle(&self, now: Instant) -> Duration {
        self.last_sent
            .map_or(Duration::MAX, |at| now.saturating_duration_since(at))
    }
}

/// Whole milliseconds from `since` to `now` in ticks of the RTP clock.
pub(crate) fn ticks(since: Instant, now: Instant) -> u32 {
    let millis = now.saturating_duration_since(since).as_millis();
    // Wrapping is what RTP timestamps do.
    (millis as u64).wrapping_mul(CLOCK_HZ / 1_000) as u32
}

/// Finds the slot for `speaker`: the one that he has, a free one, or the one that has been silent
/// the longest, but never one whose speaker talks.
fn choose_slot(slots: &[Slot], now: Instant, speaker: u32, hang_over: Duration) -> Option<usize> {
    if let Some(own) = slots.iter().position(|slot| slot.speaker == Some(speaker)) {
        return Some(own);
    }
    let free = slots.iter().position(|slot| slot.speaker.is_none());
    free.or_else(|| {
        let idle = slots.iter().map(|slot| slot.idle(now)).enumerate();
        let longest = idle.max_by_key(|(_, idle)| *idle)?;
        (longest.1 >= hang_over).then_some(longest.0)
    })
}

/// Fits `pending` into one of a listener's slots. Returns the header that it has there, and the
/// slot when its speaker changed.
pub(crate) fn fit(
    now: Instant,
    slots: &mut [Slot],
    listener: PayloadTypes,
    pending: &mut Pending,
    config: &SpeakingConfig,
) -> Result<(RtpHeader, Option<usize>), DropReason> {
    let Speaker {
        participant,
        source,
        ..
    } = pending.speaker;
    let n = choose_slot(slots, now, participant, config.hang_over).ok_or(DropReason::NoSlot)?;
    let slot = &mut slots[n];
    let moved = slot.speaker != Some(participant);
    let forwardable = &pending.forwardable;
    let (number, timestamp, marker) = slot
        .fit(now, participant, source, forwardable, config.hang_over)
        .ok_or(DropReason::Late)?;
    let payload_type = pending.payload_type(listener);
    slot.note_sent(pending.packet(listener, payload_type).len() - RTP_HEADER_BYTES);
    let header = RtpHeader {
        payload_type,
        marker,
        // The roll-overs are counted where it is sealed.
        sequence: number as u16,
        timestamp,
        ssrc: slot.ssrc,
    };
    Ok((header, moved.then_some(n)))
}
