//! How voice should be sent over the network that there is: what the relay says of it, and the
//! table of the crate `quality`. The encoder is the application's.

use std::time::{Duration, Instant};

use quality::adapt::adapt;
use quality::{Adaptation, Measured, Settings};
use wire::channel::RelayMessage;

/// The relay says what has changed; what it has not said again still holds, and counts as often.
const EVERY: Duration = Duration::from_secs(5);

/// Follows what a relay says of quality.
#[derive(Debug, Default)]
pub struct Adapter {
    state: Adaptation,
    measured: Measured,
    /// While it is not at rest.
    due_at: Option<Instant>,
}

impl Adapter {
    /// How voice is to be sent now.
    pub fn settings(&self) -> Settings {
        self.state.settings()
    }

    /// Takes a message of the relay. New settings, if they are to be others.
    pub fn handle_message(&mut self, now: Instant, message: &RelayMessage) -> Option<Settings> {
        let RelayMessage::Quality {
            up: Some(up),
            rtt_ms,
            listeners_lost_permille,
            ..
        } = message
        else {
            return None;
        };
        let listeners_lost = listeners_lost_permille.unwrap_or_default();
        self.measured = Measured {
            lost_permille: up.lost_permille.max(listeners_lost),
            rtt_ms: *rtt_ms,
            jitter_ms: up.jitter_ms,
        };
        self.step(now)
    }

    /// Lets time pass: due at [`Adapter::poll_timeout`], and harmless before. New settings, if they
    /// are to be others.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Settings> {
        let is_due = self.due_at.is_some_and(|at| now >= at);
        is_due.then(|| self.step(now)).flatten()
    }

    /// When [`Adapter::handle_timeout`] is due; none at rest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due_at
    }

    fn step(&mut self, now: Instant) -> Option<Settings> {
        let before = self.settings();
        self.state = adapt(&self.measured, self.state);
        self.due_at = (self.state != Adaptation::default()).then(|| now + EVERY);
        Some(self.settings()).filter(|settings| *settings != before)
    }
}

#[cfg(test)]
mod tests {
    use wire::channel::Way;

    use super::*;

    fn quality(lost_permille: u16, listeners_lost_permille: Option<u16>) -> RelayMessage {
        let up = Way {
            lost_permille,
            concealed_permille: 0,
            jitter_ms: 5,
            rating: 80,
            mos_centi: 402,
        };
        RelayMessage::Quality {
            up: Some(up),
            down: None,
            rtt_ms: Some(40),
            listeners_lost_permille,
        }
    }

    #[test]
    fn it_goes_up_at_once_and_down_by_itself() {
        #[expect(clippy::disallowed_methods, reason = "a test needs some instant")]
        let t0 = Instant::now();
        let at = |s| t0 + Duration::from_secs(s);
        let mut adapter = Adapter::default();
        assert_eq!(adapter.handle_message(at(0), &quality(0, None)), None);
        assert_eq!(adapter.poll_timeout(), None, "nothing to wait for");
        let up = adapter.handle_message(at(3), &quality(50, None)).unwrap();
        assert_eq!((up.copies, up.bitrate_bps), (1, 24_000));
        assert_eq!(adapter.handle_message(at(6), &quality(50, Some(40))), None);
        let worse = adapter.handle_message(at(9), &quality(0, Some(300)));
        assert_eq!(worse.map(|settings| settings.copies), Some(2));
        // All is well, which is said once.
        assert_eq!(adapter.handle_message(at(12), &quality(0, Some(0))), None);
        assert_eq!(adapter.handle_timeout(at(16)), None, "not due");
        let mut copies = Vec::new();
        while let Some(due) = adapter.poll_timeout() {
            copies.extend(adapter.handle_timeout(due).map(|settings| settings.copies));
        }
        assert_eq!(copies, [1, 0, 0]);
        assert_eq!(adapter.settings(), Adaptation::default().settings());
        let chat = RelayMessage::Migrate;
        assert_eq!(adapter.handle_message(at(60), &chat), None);
    }
}
