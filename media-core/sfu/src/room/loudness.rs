//! How strongly somebody who talks asks to be heard, where not everybody can be.
//!
//! The level of a packet is its sender's word (RFC 6464), so it counts for little: no more than
//! what so few bytes can hold, no more than plain speech, and the longer somebody talks the less.
//! Who claims to shout all the time is no stronger than who talks, and gives way to who begins.

use std::time::{Duration, Instant};

/// Level above which nobody is louder, dBov: that of plain speech (ITU-T P.56 active level, -26,
/// less the spread of speakers).
const PLAIN_SPEECH_DBOV: i8 = -30;
/// What is taken for the level of a packet without one.
const WITHOUT_LEVEL_DBOV: i8 = -40;
/// Most that a payload of so many bytes is taken for, dBov: an encoder spends bits on what is loud.
const BY_BYTES: [(usize, i8); 2] = [(8, -60), (20, -45)];
/// Share of a packet in the mean level: 1 in so many. Some 160 ms of packets of 20 ms.
const SMOOTHING: i32 = 8;
/// Talk that costs nothing.
const FREE_TALK: Duration = Duration::from_secs(1);
/// What a second of talk costs after that, dB.
const DB_PER_TALKED_S: u32 = 15;
/// Most that it costs, dB.
const MAX_COST_DB: u32 = 30;
/// Talk is forgotten in so many times the time that it took.
const FORGOTTEN_IN: u32 = 2;
/// Longest time between two packets that counts as talk.
const LONGEST_GAP: Duration = Duration::from_millis(60);

/// Hundredths of a decibel.
const CENTI: i32 = 100;

/// What is known of one speaker.
#[derive(Debug, Default)]
pub(crate) struct Loudness {
    /// Mean level, hundredths of dBov.
    level: i32,
    last: Option<Instant>,
    /// Talk that is not forgotten, as of the last packet.
    talked: Duration,
}

impl Loudness {
    /// Takes a packet of voice of `bytes` with the `level` that it claims, dBov.
    pub(crate) fn note_packet(&mut self, now: Instant, level: Option<i8>, bytes: usize) {
        let by_bytes = BY_BYTES.iter().find(|(most, _)| bytes <= *most);
        let most = by_bytes.map_or(PLAIN_SPEECH_DBOV, |(_, level)| *level);
        let level = i32::from(level.unwrap_or(WITHOUT_LEVEL_DBOV).min(most)) * CENTI;
        let gap = self.last.map(|at| now.saturating_duration_since(at));
        match gap {
            Some(gap) if gap <= LONGEST_GAP => {
                self.level += (level - self.level) / SMOOTHING;
                self.talked = (self.talked + gap).min(Self::longest_talk());
            }
            _ => {
                self.level = level;
                self.talked = self.talked_at(now);
            }
        }
        self.last = Some(now);
        debug_assert!(
            self.talked <= Self::longest_talk(),
            "no worse than the worst"
        );
    }

    /// How strongly he asks to be heard at `now`, hundredths of a decibel: the more the louder.
    pub(crate) fn claim(&self, now: Instant) -> i32 {
        let over = self.talked_at(now).saturating_sub(FREE_TALK);
        // At most three seconds, so that it fits.
        let cost = over.as_millis() as i32 * DB_PER_TALKED_S as i32 * CENTI / 1000;
        self.level - cost
    }

    /// When the last packet of voice came.
    pub(crate) fn last(&self) -> Option<Instant> {
        self.last
    }

    fn talked_at(&self, now: Instant) -> Duration {
        let since = self.last.map(|at| now.saturating_duration_since(at));
        let silent = since.unwrap_or_default().saturating_sub(LONGEST_GAP);
        self.talked.saturating_sub(silent / FORGOTTEN_IN)
    }

    /// Talk that costs the most: what is longer is no worse.
    fn longest_talk() -> Duration {
        FREE_TALK + Duration::from_secs(1) * MAX_COST_DB / DB_PER_TALKED_S
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: Duration = Duration::from_millis(20);

    fn base() -> Instant {
        #[expect(
            clippy::disallowed_methods,
            reason = "a test needs some instant to start from"
        )]
        Instant::now()
    }

    fn talk(from: Instant, packets: u32, level: i8, bytes: usize) -> (Loudness, Instant) {
        let mut loudness = Loudness::default();
        for n in 0..packets {
            loudness.note_packet(from + PACKET * n, Some(level), bytes);
        }
        (loudness, from + PACKET * packets.saturating_sub(1))
    }

    #[test]
    fn a_shout_is_no_stronger_than_speech_and_silence_cannot_shout() {
        let t0 = base();
        let claim = |level, bytes| talk(t0, 10, level, bytes).0.claim(t0 + PACKET * 9);
        assert_eq!(claim(0, 80), claim(-25, 80));
        assert!(claim(-35, 80) < claim(-25, 80));
        assert_eq!(claim(0, 3), -6000);
        assert_eq!(claim(0, 20), -4500);
    }

    #[test]
    fn one_loud_packet_is_not_a_loud_voice() {
        let (mut loudness, last) = talk(base(), 20, -50, 80);
        loudness.note_packet(last + PACKET, Some(0), 80);
        let claim = loudness.claim(last + PACKET);
        assert!((-5000..-4700).contains(&claim), "{claim}");
    }

    #[test]
    fn who_talks_long_gives_way_and_is_forgiven_when_silent() {
        let t0 = base();
        let (short, at) = talk(t0, 50, -30, 80);
        assert_eq!(short.claim(at), -3000, "a second is free");
        let (long, at) = talk(t0, 500, -30, 80);
        assert_eq!(long.claim(at), -6000);
        // A pause of half a second, to seem new, gains little.
        let claim = long.claim(at + Duration::from_millis(500));
        assert!((-6000..-5600).contains(&claim), "{claim}");
        assert_eq!(long.claim(at + Duration::from_secs(5)), -3000);
    }
}
