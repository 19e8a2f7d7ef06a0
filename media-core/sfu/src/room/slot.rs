//! One outgoing stream of a listener: whose voice it carries, and what it has sent.

use std::time::{Duration, Instant};

use super::numbers::{Fitted, Numbers, Place};
use super::quality::{Reported, Step};
use crate::rtp::{ReportBlock, Sent};
use crate::stats::ReportFlaw;

/// One outgoing stream of a listener.
#[derive(Debug)]
pub(crate) struct Slot {
    ssrc: u32,
    /// None while free.
    carries: Option<Carries>,
    numbers: Numbers,
    /// Since the start, as sender reports count.
    packets: u32,
    octets: u32,
    /// Whether anything was sent since the last report.
    unreported: bool,
    /// Of the numbers, the first.
    first: u64,
    /// What the listener said of it last.
    reported: Reported,
}

/// Whose voice a slot carries.
#[derive(Debug, Clone, Copy)]
struct Carries {
    speaker: Talker,
    since: Instant,
}

/// A member who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Talker {
    /// Index in the room.
    pub(crate) member: usize,
    /// Number in the room.
    pub(crate) number: u32,
}

impl Slot {
    /// A free slot whose first sequence number is `first_seq`.
    pub(crate) fn new(ssrc: u32, first_seq: u64) -> Self {
        Self {
            ssrc,
            carries: None,
            numbers: Numbers::new(first_seq),
            packets: 0,
            octets: 0,
            unreported: false,
            first: first_seq,
            reported: Reported::new(first_seq),
        }
    }

    /// Fits a packet of a speaker into the slot, which is his from now on; none when it is too late
    /// for it.
    pub(crate) fn fit(
        &mut self,
        now: Instant,
        speaker: Talker,
        packet: &Place,
        hang_over: Duration,
    ) -> Option<Fitted> {
        let is_other = self.speaker() != Some(speaker.number);
        if is_other {
            let since = now;
            self.carries = Some(Carries { speaker, since });
        }
        self.numbers.fit(now, packet, is_other, hang_over)
    }

    /// Nobody is heard there any more.
    pub(crate) fn free(&mut self) {
        self.carries = None;
    }

    /// Number of the speaker; none while it is free.
    pub(crate) fn speaker(&self) -> Option<u32> {
        self.carried().map(|speaker| speaker.number)
    }

    /// The speaker; none while it is free.
    pub(crate) fn carried(&self) -> Option<Talker> {
        self.carries.map(|carries| carries.speaker)
    }

    /// Counts a packet of `octets` of payload.
    pub(crate) fn note_sent(&mut self, octets: usize) {
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(octets as u32);
        self.unreported = true;
    }

    /// What a sender report at `now` says; none when nothing was sent since the last one.
    pub(crate) fn take_report(&mut self, now: Instant) -> Option<Sent> {
        let rtp_time = self.numbers.time(now)?;
        std::mem::take(&mut self.unreported).then_some(Sent {
            ssrc: self.ssrc,
            rtp_time,
            packets: self.packets,
            octets: self.octets,
        })
    }

    /// Takes what the listener says of it.
    ///
    /// # Errors
    /// Why it cannot be.
    pub(crate) fn note_report(&mut self, block: &ReportBlock) -> Result<Step, ReportFlaw> {
        let next = self.numbers.next();
        let numbers = next - self.first;
        if numbers == 0 {
            return Err(ReportFlaw::UnknownSource);
        }
        // The count of packets wraps, long before the numbers do.
        let skipped = (numbers as u32).wrapping_sub(self.packets);
        self.reported.note((next, skipped.into()), block)
    }

    /// Of the slot's stream.
    pub(crate) fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// How long the speaker has had it.
    pub(crate) fn held(&self, now: Instant) -> Duration {
        self.carries.map_or(Duration::ZERO, |carries| {
            now.saturating_duration_since(carries.since)
        })
    }

    /// Time since the last packet.
    pub(crate) fn idle(&self, now: Instant) -> Duration {
        self.numbers.idle(now)
    }
}
