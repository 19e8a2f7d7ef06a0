//! How much of one speaker's voice is passed on. Each packet of his goes to everybody who hears
//! him, so without a limit one client would make a relay send thousands of times what he sends.

use std::time::Instant;

use crate::bucket::{Bucket, Rate};
use crate::stats::DropReason;

/// Packets passed on at once after a pause: half a second of 20 ms, which a network that stood
/// still delivers together.
pub(crate) const BURST_PACKETS: u64 = 25;
/// Longest payload of Opus, in bytes: 20 ms at 160 kbit/s. Browsers send 80 on average at the
/// 32 kbit/s that our answers ask for.
pub(crate) const MAX_PAYLOAD_BYTES: usize = 400;
/// Longest payload of RED: two such frames and their headers (RFC 2198 section 3).
pub(crate) const MAX_RED_BYTES: usize = 2 * MAX_PAYLOAD_BYTES + 4 + 1;
/// Bytes passed on at once: as many packets of full length.
pub(crate) const BURST_BYTES: u64 = BURST_PACKETS * MAX_PAYLOAD_BYTES as u64;

/// What one speaker may have passed on in the long run, to each who hears him. What is beyond it
/// reaches nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpeakerLimits {
    /// Packets in a second. Frames of Opus are 20 ms long, 50 a second, and 10 ms, 100 a second,
    /// where a client asks for little delay; a tenth more for clocks that differ and for what was
    /// late.
    pub packets_per_s: u32,
    /// Bytes of Opus in a second, 96 kbit/s: three times what our answers ask for. RED may have
    /// twice as many, since it says everything twice.
    pub bytes_per_s: u32,
}

impl SpeakerLimits {
    /// What applies unless somebody says otherwise.
    pub const DEFAULT: Self = Self {
        packets_per_s: 110,
        bytes_per_s: 12_000,
    };
}

impl Default for SpeakerLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// How long a payload is, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) bytes: usize,
    /// Without what is repeated.
    pub(crate) primary_bytes: usize,
}

impl Size {
    /// What it counts for: RED half, but no less than those get who do not take RED.
    fn cost(self) -> u64 {
        self.bytes.div_ceil(2).max(self.primary_bytes) as u64
    }

    fn is_allowed(self) -> bool {
        self.primary_bytes <= MAX_PAYLOAD_BYTES && self.bytes <= MAX_RED_BYTES
    }
}

/// What one speaker had passed on lately.
#[derive(Debug, Default)]
pub(crate) struct Allowance {
    packets: Bucket,
    bytes: Bucket,
}

impl Allowance {
    /// Counts a packet of one who may be heard, at `now`, silence included.
    ///
    /// # Errors
    /// Why it is not passed on; then it is not counted either.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        limits: &SpeakerLimits,
        size: Size,
    ) -> Result<(), DropReason> {
        if !size.is_allowed() {
            return Err(DropReason::PayloadSize);
        }
        let packets = Rate {
            per_s: limits.packets_per_s.into(),
            burst: BURST_PACKETS,
        };
        let bytes = Rate {
            per_s: limits.bytes_per_s.into(),
            burst: BURST_BYTES,
        };
        let cost = size.cost();
        if !(self.packets.has(now, packets, 1) && self.bytes.has(now, bytes, cost)) {
            return Err(DropReason::Rate);
        }
        self.packets.spend(now, packets, 1);
        self.bytes.spend(now, bytes, cost);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[expect(
        clippy::disallowed_methods,
        reason = "a test needs some instant to start from"
    )]
    fn some_instant() -> Instant {
        Instant::now()
    }

    fn opus(bytes: usize) -> Size {
        let primary_bytes = bytes;
        Size {
            bytes,
            primary_bytes,
        }
    }

    /// What becomes of packets that come `every` for `seconds`.
    fn dropped(size: Size, every: Duration, seconds: u32) -> usize {
        let (limits, start) = (SpeakerLimits::default(), some_instant());
        let mut allowance = Allowance::default();
        let packets = 0..(Duration::from_secs(seconds.into()).as_micros() / every.as_micros());
        let taken = packets.map(|n| allowance.take(start + every * n as u32, &limits, size));
        taken.filter(Result::is_err).count()
    }

    #[test]
    fn whoever_talks_as_clients_do_loses_nothing() {
        let ms = Duration::from_millis;
        assert_eq!(dropped(opus(80), ms(20), 600), 0, "as our answers ask for");
        assert_eq!(dropped(opus(240), ms(20), 600), 0, "96 kbit/s");
        assert_eq!(dropped(opus(120), ms(10), 600), 0, "little delay");
        let red = Size {
            bytes: 240 + 240 + 5,
            primary_bytes: 240,
        };
        let lost = dropped(red, ms(20), 60);
        assert!(
            lost < 3000 / 50,
            "{lost} of 3000: the headers alone are too much"
        );
        let red = Size {
            bytes: 200 + 200 + 5,
            primary_bytes: 200,
        };
        assert_eq!(dropped(red, ms(20), 600), 0);
    }

    #[test]
    fn a_flood_becomes_what_one_speaker_may_say() {
        let every = Duration::from_micros(166);
        let packets = 10_000_000 / 166;
        let most = 25 + 110 * 10;
        let passed = packets - dropped(opus(60), every, 10);
        assert!((most - 2..=most).contains(&passed), "{passed} of {packets}");
        let passed = packets - dropped(opus(400), every, 10);
        let most = (10_000 + 12_000 * 10) / 400;
        assert!((most - 2..=most).contains(&passed), "{passed} long ones");
    }

    #[test]
    fn what_is_too_long_is_named_and_not_counted() {
        let (limits, now) = (SpeakerLimits::default(), some_instant());
        let mut allowance = Allowance::default();
        let one_block = Size {
            bytes: 500,
            primary_bytes: 499,
        };
        let repeats = Size {
            bytes: MAX_RED_BYTES + 1,
            primary_bytes: 10,
        };
        for _ in 0..1000 {
            for size in [opus(401), one_block, repeats] {
                let taken = allowance.take(now, &limits, size);
                assert_eq!(taken, Err(DropReason::PayloadSize), "{size:?}");
            }
        }
        let passed = (0..100).filter(|_| allowance.take(now, &limits, opus(400)).is_ok());
        assert_eq!(passed.count(), 25);
    }

    proptest! {
        /// Whatever comes and when, everybody who hears him gets at most this much of it.
        #[test]
        fn nobody_has_more_passed_on_than_a_speaker_who_keeps_to_the_limits(
            packets in prop::collection::vec(
                (0..30_000_u64, 0..1200_usize, any::<bool>()), 1..400),
        ) {
            let (limits, mut now) = (SpeakerLimits::default(), some_instant());
            let start = now;
            let mut allowance = Allowance::default();
            let (mut count, mut plain, mut red) = (0, 0, 0);
            for (pause_us, bytes, is_red) in packets {
                now += Duration::from_micros(pause_us);
                let primary_bytes = if is_red { bytes / 2 } else { bytes };
                if allowance.take(now, &limits, Size { bytes, primary_bytes }).is_ok() {
                    (count, plain, red) = (count + 1, plain + primary_bytes, red + bytes);
                }
            }
            let time = now.duration_since(start).as_secs_f64();
            prop_assert!(f64::from(count) <= 25.0 + 110.0 * time + 0.001);
            prop_assert!(plain as f64 <= 10_000.0 + 12_000.0 * time + 0.001);
            prop_assert!(red as f64 <= 2.0 * (10_000.0 + 12_000.0 * time) + 0.001);
        }
    }
}
