//! The incoming voice of one participant: what of it is passed on, and as which packet.

use std::time::{Duration, Instant};

use super::allowance::{Allowance, Size};
use super::loudness::Loudness;
use super::red::primary_from;
use super::settings::Settings;
use super::speaking::{Heard, Speaking, SpeakingConfig};
use super::talk::Talk;
use crate::rtp::Opened;
use crate::stats::DropReason;

/// The incoming voice of one participant.
#[derive(Debug)]
pub(crate) struct Voice {
    payload_types: PayloadTypes,
    /// Header extension that has the level of a packet.
    level_id: Option<u8>,
    /// The source of the last packet.
    ssrc: Option<u32>,
    allowance: Allowance,
    pub(crate) speaking: Speaking,
    pub(crate) loudness: Loudness,
    /// Counts talk spurts and source changes.
    spurt: u32,
    /// First sequence number of the spurt, as received and as forwarded.
    received_base: u64,
    forwarded_base: u64,
    /// Next forwarded number after everything so far.
    forwarded_next: u64,
    /// Counts source changes: timestamps of two sources have nothing in common.
    pub(crate) source: u32,
    talk: Talk,
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
    pub(crate) number: u64,
    pub(crate) time: u32,
    pub(crate) marker: bool,
    /// Where the primary block begins in a RED payload; none for Opus itself.
    pub(crate) red_primary: Option<usize>,
    /// A new talk spurt began.
    pub(crate) started: bool,
}

impl Voice {
    pub(crate) fn new(now: Instant, payload_types: PayloadTypes, level_id: Option<u8>) -> Self {
        Self {
            payload_types,
            level_id,
            ssrc: None,
            allowance: Allowance::default(),
            speaking: Speaking::default(),
            loudness: Loudness::default(),
            spurt: 0,
            received_base: 0,
            forwarded_base: 0,
            forwarded_next: 0,
            source: 0,
            talk: Talk::new(now),
        }
    }

    /// Payload types of the ticket.
    pub(crate) fn payload_types(&self) -> PayloadTypes {
        self.payload_types
    }

    /// Notes the source of an authentic packet. True when a talk spurt ended with the one before.
    pub(crate) fn note_source(&mut self, now: Instant, config: &SpeakingConfig, ssrc: u32) -> bool {
        if self.ssrc.replace(ssrc) == Some(ssrc) {
            return false;
        }
        self.source = self.source.wrapping_add(1);
        self.talk.handle_source();
        let ended = self.speaking.is_speaking(now, config);
        self.speaking.clear();
        ended
    }

    /// Decides what becomes of an authentic packet that its speaker may send.
    pub(crate) fn handle_packet(
        &mut self,
        now: Instant,
        settings: &Settings,
        packet: &Opened,
    ) -> Result<Forwardable, DropReason> {
        let red_primary = self.red_primary(packet)?;
        let level = self.level_id.and_then(|id| packet.level_dbov(id));
        // Comfort noise is told by its size, whatever is repeated before it.
        let primary_bytes = packet.payload().len() - red_primary.unwrap_or_default();
        // Before anything is noted of it: a packet that nobody gets starts no talk spurt.
        let size = Size {
            bytes: packet.payload().len(),
            primary_bytes,
        };
        self.allowance.take(now, &settings.speaker, size)?;
        let Heard { forward, started } =
            self.speaking
                .handle_packet(now, &settings.speaking, level, primary_bytes);
        if !forward {
            return Err(DropReason::Silence);
        }
        self.loudness.note_packet(now, level, primary_bytes);
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

    /// How much was said in a packet that is passed on and in none before it.
    pub(crate) fn take_talk(
        &mut self,
        now: Instant,
        packet: &Opened,
        red_primary: Option<usize>,
    ) -> Duration {
        let opus = packet.payload().get(red_primary.unwrap_or_default()..);
        let opus = opus.unwrap_or_default();
        self.talk.handle_packet(now, packet.timestamp(), opus)
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
