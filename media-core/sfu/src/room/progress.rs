//! What a listener has reported of a slot, as steps from one report to the next.

use crate::rtp::ReportBlock;
use crate::stats::ReportFlaw;

/// Longest step of a slot's numbers that one report may tell of; half of what it can.
const HALF: u16 = 1 << 15;

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
