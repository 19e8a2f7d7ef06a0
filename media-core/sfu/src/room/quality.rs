//! How well a member is heard and hears: what is counted of his own voice as it comes, and what he
//! reports of what he was sent.

use std::time::Duration;

use quality::repeats::{copies, has_fec};
use quality::{Carries, Counts, Heard, Rating, Tally, score};

use super::slot::Slot;
use super::voice::PayloadTypes;
use crate::rtp::{Opened, ReportBlock};
use crate::stats::ReportFlaw;
use crate::ways::Way;

/// Frames from which a share says something: a second of voice.
const FEWEST_FRAMES: u64 = 50;
/// Ticks of the RTP clock in a millisecond.
const TICKS_PER_MS: u64 = 48;
/// Largest jitter that is believed, milliseconds: no jitter buffer waits as long.
const MAX_JITTER_MS: u64 = 10_000;
/// What a sender's and a receiver's machine add: a packet of 20 ms, the 6.5 ms that Opus looks
/// ahead, and devices. The last is an estimate.
const ENDS: Duration = Duration::from_millis(50);
/// Bitrate by which voice is rated: what browsers choose for it. That of a sender who adapts is
/// lower, and his rating then too high by what his codec lost.
const BITRATE_BPS: u32 = 32_000;
/// Loss from which repetitions are worth their bytes, per mille: half of what makes a sender
/// repeat himself.
const WANTS_RED_PERMILLE: u16 = 4;

/// What is counted of one member.
#[derive(Debug, Default)]
pub(crate) struct Measures {
    up: Uplink,
    pub(crate) down: Downlink,
    /// What those lose who hear him, per mille, when it was last known.
    pub(crate) listeners_lost: Option<u16>,
}

impl Measures {
    /// Counts an authentic packet of his. True when it repeats one that did not come.
    pub(crate) fn note_voice(&mut self, packet: &Opened, types: PayloadTypes, source: u32) -> bool {
        self.up.note(packet, types, source)
    }

    /// How he is heard here and how he hears, since the last time; none of what too little came
    /// of, which goes on being counted.
    pub(crate) fn take(
        &mut self,
        round_trip: Option<Duration>,
        jitter_ticks: u32,
    ) -> (Option<Way>, Option<Way>) {
        let up = self.up.take(round_trip, jitter_ticks);
        (up, self.down.take(round_trip))
    }
}

/// His voice on its way here.
#[derive(Debug, Default)]
struct Uplink {
    /// Which of his sources is counted: numbers of two have nothing in common.
    source: u32,
    tally: Tally,
    counts: Counts,
}

impl Uplink {
    fn note(&mut self, packet: &Opened, types: PayloadTypes, source: u32) -> bool {
        if self.source != source {
            self.source = source;
            self.counts.add(&self.tally.take());
            self.tally = Tally::default();
        }
        let payload = packet.payload();
        let carries = if types.red == Some(packet.payload_type()) {
            Carries {
                copies: copies(payload),
                coarse: false,
            }
        } else {
            Carries {
                copies: 0,
                coarse: has_fec(payload),
            }
        };
        self.tally.note(packet.number, carries)
    }

    fn take(&mut self, round_trip: Option<Duration>, jitter_ticks: u32) -> Option<Way> {
        self.counts.add(&self.tally.take());
        if self.counts.expected < FEWEST_FRAMES {
            return None;
        }
        let counts = std::mem::take(&mut self.counts);
        let share = |count| counts.share(count).unwrap_or(0.0);
        let measured = Measured {
            lost: share(counts.lost),
            concealed: share(counts.concealed()),
            coarse: share(counts.coarse),
            burst_ratio: counts.burst_ratio(),
            jitter_ms: jitter_ms(u64::from(jitter_ticks)),
        };
        Some(measured.way(round_trip))
    }
}

/// What he was sent, as he reports it.
#[derive(Debug, Default)]
pub(crate) struct Downlink {
    expected: u64,
    lost: u64,
    /// Ticks times packets.
    jitter: u64,
    /// Packets sent to him, and those of them that repeat the one before.
    sent: u64,
    sent_red: u64,
    /// What was lost when it was taken last, per mille.
    pub(crate) lost_permille: Option<u16>,
}

impl Downlink {
    /// Whether he is sent repetitions of what came here: where he loses packets, or has not told.
    pub(crate) fn wants_red(&self) -> bool {
        self.lost_permille
            .is_none_or(|lost| lost >= WANTS_RED_PERMILLE)
    }

    /// Counts a packet that he was sent.
    pub(crate) fn note_sent(&mut self, is_red: bool) {
        self.sent += 1;
        self.sent_red += u64::from(is_red);
    }

    /// Takes what he says of a slot.
    ///
    /// # Errors
    /// Why it cannot be; then nothing of it counts.
    pub(crate) fn note_block(
        &mut self,
        slot: &mut Slot,
        block: &ReportBlock,
    ) -> Result<(), ReportFlaw> {
        let step = slot.note_report(block)?;
        self.expected += u64::from(step.expected);
        self.lost += u64::from(step.lost);
        let jitter = u64::from(block.jitter_ticks).min(MAX_JITTER_MS * TICKS_PER_MS);
        self.jitter += jitter * u64::from(step.expected);
        Ok(())
    }

    fn take(&mut self, round_trip: Option<Duration>) -> Option<Way> {
        if self.expected < FEWEST_FRAMES {
            return None;
        }
        let share = |part: u64, of: u64| part as f64 / of.max(1) as f64;
        let lost = share(self.lost, self.expected);
        // Nobody tells us which ones were lost. Of independent losses RED makes good those whose
        // successor came.
        let made_good = share(self.sent_red, self.sent) * (1.0 - lost);
        let measured = Measured {
            lost,
            concealed: lost * (1.0 - made_good),
            coarse: 0.0,
            burst_ratio: 1.0,
            jitter_ms: jitter_ms(self.jitter / self.expected),
        };
        let way = measured.way(round_trip);
        *self = Self {
            lost_permille: Some(way.lost_permille),
            ..Self::default()
        };
        Some(way)
    }
}

/// What was measured of one way.
struct Measured {
    lost: f64,
    concealed: f64,
    coarse: f64,
    burst_ratio: f64,
    jitter_ms: u16,
}

impl Measured {
    fn way(&self, round_trip: Option<Duration>) -> Way {
        // A jitter buffer holds about twice the jitter.
        let buffer = Duration::from_millis(2 * u64::from(self.jitter_ms));
        let there = round_trip.unwrap_or_default() / 2;
        let rating: Rating = score(&Heard {
            concealed: self.concealed,
            coarse: self.coarse,
            burst_ratio: self.burst_ratio,
            delay: ENDS + there + buffer,
            bitrate_bps: BITRATE_BPS,
        });
        Way {
            lost_permille: permille(self.lost),
            concealed_permille: permille(self.concealed),
            jitter_ms: self.jitter_ms,
            rating: rating.r().round() as u8,
            mos_centi: (rating.mos() * 100.0).round() as u16,
        }
    }
}

fn permille(share: f64) -> u16 {
    (share.clamp(0.0, 1.0) * 1000.0).round() as u16
}

fn jitter_ms(ticks: u64) -> u16 {
    (ticks / TICKS_PER_MS).min(MAX_JITTER_MS) as u16
}
