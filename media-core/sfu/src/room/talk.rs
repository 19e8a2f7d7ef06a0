//! How long somebody spoke: by the clock of his packets (RTP time), and by how much each holds as
//! Opus says of itself (RFC 6716 section 3). Neither is proved, so neither counts beyond the time
//! that passed here.

use std::time::{Duration, Instant};

use crate::rtp::CLOCK_HZ;

/// Longest Opus packet: 120 ms, in ticks.
const PACKET_TICKS_MAX: u32 = CLOCK_HZ as u32 * 120 / 1000;
/// A time stamp this far back is of a clock that was set anew, and not of a late packet.
const JUMP_TICKS: i32 = -2 * CLOCK_HZ as i32;
/// Voice may come this much faster than it is spoken, after it was held up on its way.
const SLACK: Duration = Duration::from_secs(2);

/// How long one participant has spoken.
#[derive(Debug)]
pub(crate) struct Talk {
    /// RTP time up to which it is counted; none before the first packet of a source.
    until: Option<u32>,
    /// The same by our clock.
    counted_to: Instant,
}

impl Talk {
    /// Of somebody who came at `now`.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            until: None,
            counted_to: now.checked_sub(SLACK).unwrap_or(now),
        }
    }

    /// He sends from another source, whose time stamps have nothing to do with the last ones.
    pub(crate) fn handle_source(&mut self) {
        self.until = None;
    }

    /// What a packet adds: of what it holds that which no other held.
    pub(crate) fn handle_packet(&mut self, now: Instant, timestamp: u32, opus: &[u8]) -> Duration {
        let ticks = opus_ticks(opus);
        let end = timestamp.wrapping_add(ticks);
        let ahead = self
            .until
            .map(|until| end.wrapping_sub(until).cast_signed());
        let new = match ahead {
            Some(JUMP_TICKS..=0) => return Duration::ZERO,
            Some(ahead @ 1..) => ticks.min(ahead.unsigned_abs()),
            Some(_) | None => ticks,
        };
        self.until = Some(end);
        let begins = now.checked_sub(SLACK).unwrap_or(now).max(self.counted_to);
        let ends = begins + Duration::from_micros(u64::from(new) * 1_000_000 / CLOCK_HZ);
        self.counted_to = ends.min(now.max(begins));
        self.counted_to.saturating_duration_since(begins)
    }
}

/// How much voice an Opus packet holds, in ticks; nothing when it is none.
fn opus_ticks(packet: &[u8]) -> u32 {
    let Some(&toc) = packet.first() else {
        return 0;
    };
    let ms_10 = CLOCK_HZ as u32 / 100;
    let config = toc >> 3;
    let frame = match config {
        0..12 => [ms_10, 2 * ms_10, 4 * ms_10, 6 * ms_10][usize::from(config % 4)],
        12..16 => [ms_10, 2 * ms_10][usize::from(config % 2)],
        _ => [ms_10 / 4, ms_10 / 2, ms_10, 2 * ms_10][usize::from(config % 4)],
    };
    let frames = match toc % 4 {
        0 => 1,
        1 | 2 => 2,
        _ => packet.get(1).map_or(0, |count| count % 64),
    };
    (frame * u32::from(frames)).min(PACKET_TICKS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hybrid, 20 ms, one frame.
    const MS_20: &[u8] = &[0x78, 1, 2];
    /// SILK, 60 ms, one frame.
    const MS_60: &[u8] = &[0x18, 1, 2];

    fn start() -> Instant {
        #[expect(
            clippy::disallowed_methods,
            reason = "a test needs some instant to start from"
        )]
        Instant::now()
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn packets_hold_what_their_first_byte_says() {
        for (packet, ticks) in [
            (&[][..], 0),
            (MS_20, 960),
            (MS_60, 2_880),
            (&[0x00], 480),
            // CELT, 2.5 ms; two frames of 20 ms; three of 20 ms; 63 frames are more than a packet.
            (&[0x80], 120),
            (&[0x79], 1_920),
            (&[0x7b, 0x43], 2_880),
            (&[0x7b, 63], PACKET_TICKS_MAX),
            (&[0x7b], 0),
        ] {
            assert_eq!(opus_ticks(packet), ticks, "{packet:?}");
        }
    }

    #[test]
    fn packets_of_any_length_add_up_to_the_time_that_was_spoken() {
        for (packet, step_ms) in [(MS_20, 20), (MS_60, 60)] {
            let (t0, mut sum) = (start(), Duration::ZERO);
            let mut talk = Talk::new(t0);
            let first = u32::MAX - 5_000;
            for n in 0..100 {
                let timestamp = first.wrapping_add(n * step_ms * 48);
                let now = t0 + ms(u64::from(n * step_ms));
                sum += talk.handle_packet(now, timestamp, packet);
            }
            assert_eq!(sum, ms(100 * u64::from(step_ms)));
        }
    }

    #[test]
    fn nothing_counts_twice_and_pauses_not_at_all() {
        let t0 = start();
        let mut talk = Talk::new(t0);
        let mut said = |at_ms, timestamp| talk.handle_packet(t0 + ms(at_ms), timestamp, MS_20);
        assert_eq!(said(0, 0), ms(20));
        assert_eq!(said(10, 480), ms(10), "half of it was there");
        assert_eq!(said(20, 480), ms(0), "the same again");
        assert_eq!(said(5_000, 240_000), ms(20), "after a pause");
        assert_eq!(said(5_020, 960), ms(20), "the clock was set anew");
    }

    #[test]
    fn nobody_speaks_longer_than_he_is_there() {
        let t0 = start();
        let mut talk = Talk::new(t0);
        let mut sum = Duration::ZERO;
        for n in 0..1_000_u32 {
            let now = t0 + ms(u64::from(n) * 10);
            sum += talk.handle_packet(now, n * PACKET_TICKS_MAX, &[0x7b, 6]);
        }
        assert!(sum <= ms(10_000) + SLACK, "{sum:?}");
    }
}
