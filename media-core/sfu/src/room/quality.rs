//! How well a member is heard and hears: what is counted of his own voice as it comes, and what he
//! reports of what he was sent.

use std::time::Duration;

use quality::repeats::{copies, has_fec};
use quality::{Carries, Counts, Heard, Rating, Tally, score};

use super::slot::Slot;
use super::voice::PayloadTypes;
use crate::protocol::Way;
use crate::rtp::{Opened, ReportBlock};
use crate::stats::ReportFlaw;

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
/// Longest step of a slot's numbers that one report may tell of; half of what it can.
const HALF: u16 = 1 << 15;

/// What is counted of one member.
#[derive(Debug, Default)]
pub(crate) struct Measures {
    up: Uplink,
    pub(crate) down: Downlink,
    /// What those lose who hear him, per mille, when it was last known.
    pub(crate) listeners_lost: Option<u16>,
}

impl Measures {
    /// Counts an authentic packet of his.
    pub(crate) fn note_voice(&mut self, packet: &Opened, types: PayloadTypes, source: u32) {
        self.up.note(packet, types, source);
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
    fn note(&mut self, packet: &Opened, types: PayloadTypes, source: u32) {
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
        self.tally.note(packet.number, carries);
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

/// What a report adds to what a listener said of a slot before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) expected: u32,
    pub(crate) lost: u32,
}

/// What a listener said of a slot, and how it stood then.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reported {
    /// Number up to which he told.
    number: u64,
    lost: i32,
    /// Numbers that were never sent: where the speaker's own packets were lost.
    skipped: u64,
}

impl Reported {
    /// For a slot whose first number will be `first`.
    pub(crate) fn new(first: u64) -> Self {
        Self {
            number: first,
            ..Self::default()
        }
    }

    /// Takes a report about a slot whose next number is `next`, and of whose numbers `skipped`
    /// were never sent.
    pub(crate) fn note(
        &mut self,
        (next, skipped): (u64, u64),
        block: &ReportBlock,
    ) -> Result<Step, ReportFlaw> {
        // He counts roll-overs from where he began, so only what was sent counts.
        let back = (next as u16).wrapping_sub(1).wrapping_sub(block.highest);
        if back >= HALF {
            return Err(ReportFlaw::Ahead);
        }
        let number = next.saturating_sub(u64::from(back));
        let before = *self;
        if number < before.number {
            return Err(ReportFlaw::Old);
        }
        *self = Self {
            number,
            lost: block.lost,
            skipped,
        };
        let expected = u32::try_from(number - before.number).unwrap_or(u32::MAX);
        // Less than before is a repetition of what came late.
        let lost = i64::from(block.lost) - i64::from(before.lost);
        let lost = u32::try_from(lost.max(0)).unwrap_or(u32::MAX);
        if lost > expected {
            return Err(ReportFlaw::Loss);
        }
        let never_sent = skipped.saturating_sub(before.skipped);
        let never_sent = u32::try_from(never_sent).unwrap_or(u32::MAX).min(expected);
        let expected = expected - never_sent;
        Ok(Step {
            expected,
            lost: lost.saturating_sub(never_sent).min(expected),
        })
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(highest: u16, lost: i32) -> ReportBlock {
        ReportBlock {
            highest,
            lost,
            ..ReportBlock::default()
        }
    }

    fn told(expected: u32, lost: u32) -> Result<Step, ReportFlaw> {
        Ok(Step { expected, lost })
    }

    #[test]
    fn loss_is_what_was_lost_after_the_relay() {
        let mut reported = Reported::new(65_500);
        // A hundred were sent over the roll-over; ten are on their way, five were lost.
        let next = 65_600;
        let first = reported.note((next, 0), &block(65_589_u32 as u16, 5));
        assert_eq!(first, told(90, 5));
        // Of the next hundred numbers twenty were never sent, and look lost to him.
        let second = reported.note((next + 90, 20), &block((next + 89) as u16, 27));
        assert_eq!(second, told(80, 2));
        let same = reported.note((next + 90, 20), &block((next + 89) as u16, 27));
        assert_eq!(same, told(0, 0));
    }

    #[test]
    fn what_cannot_be_is_not_counted_and_is_forgotten() {
        let mut reported = Reported::new(100);
        let sent = (200, 0);
        assert_eq!(reported.note(sent, &block(200, 0)), Err(ReportFlaw::Ahead));
        assert_eq!(reported.note(sent, &block(150, 90)), Err(ReportFlaw::Loss));
        assert_eq!(reported.note(sent, &block(140, 90)), Err(ReportFlaw::Old));
        assert_eq!(reported.note(sent, &block(199, 90)), told(49, 0));
        // Late packets that came twice make less than none.
        assert_eq!(reported.note((300, 0), &block(299, -3)), told(100, 0));
        let worst = block(299, i32::MIN >> 8);
        assert_eq!(reported.note((300, 0), &worst), told(0, 0));
        assert_eq!(
            reported.note((400, 0), &block(399, 0x7f_ffff)),
            Err(ReportFlaw::Loss)
        );
    }

    proptest! {
        #[test]
        fn whatever_he_says_it_is_at_most_what_was_sent(
            reports: Vec<(u16, i32, u16, u8)>, first in 0..1_u64 << 15,
        ) {
            let (mut reported, mut next, mut skipped) = (Reported::new(first), first, 0);
            let mut sum = 0;
            for (highest, lost, sent, never) in reports {
                next += u64::from(sent);
                skipped += u64::from(never).min(u64::from(sent));
                if let Ok(step) = reported.note((next, skipped), &block(highest, lost >> 8)) {
                    prop_assert!(step.lost <= step.expected);
                    sum += u64::from(step.expected);
                }
            }
            prop_assert!(sum <= next - first);
        }
    }
}
