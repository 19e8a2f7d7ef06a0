//! Forwarding: from one speaker's packet to a slot of each listener.
//!
//! Sequence numbers are the SRTP nonce, so none may ever be used twice in a slot. Within a talk
//! spurt they keep the speaker's gaps (the listener's jitter buffer sees real loss); suppressed
//! silence and changes of speaker leave no gap.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use str0m::Rtc;
use str0m::media::Pt;
use str0m::rtp::{RtpPacket, RtpWrite, SeqNo, Ssrc};

use crate::speaking::{Heard, Speaking, SpeakingConfig};
use crate::stats::DropReason;

/// RTP clock of Opus (RFC 7587), Hz.
const CLOCK_HZ: u64 = 48_000;
/// Timestamp step of one 20 ms packet.
const PACKET_TICKS: u64 = CLOCK_HZ / 50;
/// Sources of one microphone that may wait for their first authentic packet.
const MAX_UNPROVEN: usize = 3;

/// The incoming voice of one participant.
#[derive(Debug)]
pub(crate) struct Voice {
    payload_type: Pt,
    has_level: bool,
    proven: Option<u32>,
    unproven: VecDeque<u32>,
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

/// What [`Voice::learn`] did.
pub(crate) struct Learned {
    pub(crate) is_new: bool,
    pub(crate) given_up: Option<u32>,
}

/// A packet as listeners shall get it, before it is fitted into their slots.
pub(crate) struct Forwardable {
    packet: RtpPacket,
    number: u64,
    marker: bool,
    /// A new talk spurt began.
    pub(crate) started: bool,
}

impl Voice {
    pub(crate) fn new(payload_type: u8, has_level: bool) -> Self {
        Self {
            payload_type: Pt::from(payload_type),
            has_level,
            proven: None,
            unproven: VecDeque::new(),
            speaking: Speaking::default(),
            spurt: 0,
            received_base: 0,
            forwarded_base: 0,
            forwarded_next: 0,
            source: 0,
        }
    }

    /// Payload type of the ticket.
    pub(crate) fn payload_type(&self) -> Pt {
        self.payload_type
    }

    /// Notes a source seen in a packet that is not authenticated yet. A forged one can at most
    /// push out another unproven one; the proven one stays until another proves itself.
    pub(crate) fn learn(&mut self, ssrc: u32) -> Learned {
        if self.proven == Some(ssrc) || self.unproven.contains(&ssrc) {
            return Learned {
                is_new: false,
                given_up: None,
            };
        }
        self.unproven.push_back(ssrc);
        let given_up = if self.unproven.len() > MAX_UNPROVEN {
            self.unproven.pop_front()
        } else {
            None
        };
        Learned {
            is_new: true,
            given_up,
        }
    }

    /// Notes that `ssrc` is authentic; returns the source that it replaces.
    pub(crate) fn prove(&mut self, ssrc: u32) -> Option<u32> {
        if self.proven == Some(ssrc) {
            return None;
        }
        self.unproven.retain(|other| *other != ssrc);
        self.source = self.source.wrapping_add(1);
        self.speaking.clear();
        self.proven.replace(ssrc)
    }

    /// Decides what becomes of an authentic packet that its speaker may send.
    pub(crate) fn handle_packet(
        &mut self,
        now: Instant,
        config: &SpeakingConfig,
        packet: RtpPacket,
    ) -> Result<Forwardable, DropReason> {
        if packet.header.payload_type != self.payload_type {
            return Err(DropReason::PayloadType);
        }
        let level = self
            .has_level
            .then_some(packet.header.ext_vals.audio_level)
            .flatten();
        let Heard { forward, started } =
            self.speaking
                .handle_packet(now, config, level, packet.payload.len());
        if !forward {
            return Err(DropReason::Silence);
        }
        let received = *packet.seq_no;
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
        let marker = started || packet.header.marker;
        Ok(Forwardable {
            packet,
            number,
            marker,
            started,
        })
    }
}

/// One outgoing stream of a listener.
#[derive(Debug)]
pub(crate) struct Slot {
    ssrc: Ssrc,
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
}

impl Slot {
    /// A free slot whose first sequence number is `first_seq`.
    pub(crate) fn new(ssrc: Ssrc, first_seq: u64) -> Self {
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
        let received_time = forwardable.packet.header.timestamp;
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
        let number = self.sent_base + offset;
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
        let Some(last) = self.last_sent else { return 0 };
        let micros = now.saturating_duration_since(last).as_micros();
        let ticks = u64::try_from(micros).unwrap_or(u64::MAX) / 1_000 * (CLOCK_HZ / 1_000);
        // Wrapping is what RTP timestamps do.
        ticks.max(PACKET_TICKS) as u32
    }

    /// Time since the last packet.
    fn idle(&self, now: Instant) -> Duration {
        self.last_sent
            .map_or(Duration::MAX, |at| now.saturating_duration_since(at))
    }
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

/// Queues a packet of participant `speaker` in the right slot of a listener's connection. Returns
/// the slot when its speaker changed.
pub(crate) fn send_to(
    now: Instant,
    listener: (&mut Rtc, &mut [Slot], Pt),
    speaker: (u32, u32),
    forwardable: &Forwardable,
    config: &SpeakingConfig,
) -> Result<Option<usize>, DropReason> {
    let (rtc, slots, payload_type) = listener;
    let (speaker, source) = speaker;
    let n = choose_slot(slots, now, speaker, config.hang_over).ok_or(DropReason::NoSlot)?;
    let slot = &mut slots[n];
    let moved = slot.speaker != Some(speaker);
    let (number, time, marker) = slot
        .fit(now, speaker, source, forwardable, config.hang_over)
        .ok_or(DropReason::Late)?;
    let payload = forwardable.packet.payload.clone();
    let wallclock = forwardable.packet.timestamp;
    let write =
        RtpWrite::new(payload_type, SeqNo::from(number), time, wallclock, payload).marker(marker);
    let ssrc = slot.ssrc;
    if let Some(stream) = rtc.direct_api().stream_tx(&ssrc) {
        stream.write_rtp(write);
    }
    Ok(moved.then_some(n))
}
