//! Who speaks: RFC 6464 levels, or packet sizes where the client sends no level.

use std::time::{Duration, Instant};

/// Thresholds of speech detection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpeakingConfig {
    /// Level, in dBov (-127 is digital silence, 0 the loudest), from which a packet is voice.
    pub threshold_dbov: i8,
    /// How long after the last voice packet a speaker still counts as speaking, so that neither
    /// pauses between words nor their ends are cut.
    pub hang_over: Duration,
    /// Longest Opus payload that is comfort noise of DTX rather than voice, bytes. RFC 6716 needs
    /// one byte of header and at least two of content for any frame with sound in it.
    pub max_dtx_bytes: usize,
}

impl Default for SpeakingConfig {
    fn default() -> Self {
        Self {
            threshold_dbov: -55,
            hang_over: Duration::from_millis(400),
            max_dtx_bytes: 2,
        }
    }
}

/// Speech state of one participant.
#[derive(Debug, Default)]
pub(crate) struct Speaking {
    last_voice: Option<Instant>,
}

/// What a packet does to the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Pass the packet on.
    pub(crate) forward: bool,
    /// The talk spurt starts here.
    pub(crate) started: bool,
}

impl Speaking {
    /// Takes a packet of `payload_bytes` with `level` in dBov if the client sends levels.
    pub(crate) fn handle_packet(
        &mut self,
        now: Instant,
        config: &SpeakingConfig,
        level: Option<i8>,
        payload_bytes: usize,
    ) -> Heard {
        let loud = level.is_none_or(|level| level >= config.threshold_dbov);
        let voice = loud && payload_bytes > config.max_dtx_bytes;
        let was = self.is_speaking(now, config);
        if voice {
            self.last_voice = Some(now);
        }
        Heard {
            forward: voice || was,
            started: voice && !was,
        }
    }

    /// Whether the hang-over of the last voice packet still runs.
    pub(crate) fn is_speaking(&self, now: Instant, config: &SpeakingConfig) -> bool {
        self.ends_at(config).is_some_and(|ends_at| now < ends_at)
    }

    /// When the talk spurt ends unless voice comes; none while silent.
    pub(crate) fn ends_at(&self, config: &SpeakingConfig) -> Option<Instant> {
        self.last_voice.map(|at| at + config.hang_over)
    }

    /// Ends the spurt at once (mute, end of hang-over).
    pub(crate) fn clear(&mut self) {
        self.last_voice = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_not_forwarded_but_word_ends_are() {
        let config = SpeakingConfig::default();
        let mut speaking = Speaking::default();
        // One base instant; everything else is offsets from it.
        #[expect(
            clippy::disallowed_methods,
            reason = "a test needs some instant to start from"
        )]
        let t0 = Instant::now();
        let at = |ms| t0 + Duration::from_millis(ms);
        let mut packet = |ms, level, bytes| {
            let heard = speaking.handle_packet(at(ms), &config, level, bytes);
            (heard.forward, heard.started)
        };
        assert_eq!(packet(0, Some(-100), 40), (false, false));
        assert_eq!(packet(20, Some(-30), 60), (true, true));
        assert_eq!(packet(40, Some(-31), 60), (true, false));
        assert_eq!(
            packet(60, Some(-90), 40),
            (true, false),
            "the end of the word"
        );
        assert_eq!(packet(439, Some(-90), 40), (true, false));
        assert_eq!(
            packet(440, Some(-90), 40),
            (false, false),
            "400 ms after the last voice"
        );
        assert_eq!(
            packet(460, Some(-20), 1),
            (false, false),
            "DTX has no voice whatever it says"
        );
        assert_eq!(
            packet(480, None, 60),
            (true, true),
            "no level: size decides"
        );
    }
}
