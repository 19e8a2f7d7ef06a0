//! Heartbeats, as `media-core/relay/src/heartbeat.rs` sends them.

use std::time::{Duration, Instant};

use wire::{RegionName, SessionId};

use crate::fleet::ground::REGION;

/// Time between heartbeats.
pub(super) const INTERVAL: Duration = Duration::from_secs(2);
/// Time until the first retry; doubles up to [`INTERVAL`].
pub(super) const RETRY_MIN: Duration = Duration::from_millis(250);
/// Longest wait for a reply.
const REPLY_MAX: Duration = Duration::from_secs(2);
/// Longest wait for the reply to the last heartbeat.
const LAST_REPLY_MAX: Duration = Duration::from_millis(600);

/// A heartbeat on its way.
pub(super) struct Waits {
    pub(super) number: u64,
    pub(super) sent_at: Instant,
    pub(super) sent_at_ms: u64,
    pub(super) until: Instant,
}

/// The heartbeats of one run of a shard.
pub(super) struct Pulse {
    pub(super) at: Instant,
    pub(super) waits: Option<Waits>,
    pub(super) retry: Duration,
    pub(super) taken: Vec<SessionId>,
    /// The next one does not wait.
    pub(super) is_urgent: bool,
    numbers: u64,
    /// How many the fleet has taken.
    pub(super) accepted: u64,
    /// The last one, and whether the fleet has it.
    pub(super) farewell: Option<bool>,
}

impl Pulse {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            at: now,
            waits: None,
            retry: RETRY_MIN,
            taken: Vec::new(),
            is_urgent: false,
            numbers: 0,
            accepted: 0,
            farewell: None,
        }
    }

    pub(super) fn region(&self) -> RegionName {
        REGION.parse().expect("a name of a region")
    }

    pub(super) fn next_at(&self) -> Instant {
        self.waits.as_ref().map_or(self.at, |waits| waits.until)
    }

    /// Has something that cannot wait.
    pub(super) fn beat_now(&mut self, now: Instant) {
        (self.at, self.is_urgent) = (now, true);
    }

    /// Sends a last one, whatever is on its way; until when its reply is waited for.
    pub(super) fn say_farewell(&mut self, now: Instant) -> Instant {
        (self.waits, self.at, self.farewell) = (None, now, Some(false));
        now + LAST_REPLY_MAX
    }

    pub(super) fn is_farewell_heard(&self) -> bool {
        self.farewell == Some(true)
    }

    /// The number of a heartbeat that is to be sent now.
    pub(super) fn due(&mut self, now: Instant, now_ms: u64) -> Option<u64> {
        if self.waits.as_ref().is_some_and(|waits| now >= waits.until) {
            self.fail(now);
        }
        let is_over = self.farewell == Some(true);
        if self.waits.is_some() || now < self.at || is_over {
            return None;
        }
        self.numbers += 1;
        self.is_urgent = false;
        self.waits = Some(Waits {
            number: self.numbers,
            sent_at: now,
            sent_at_ms: now_ms,
            until: now + REPLY_MAX,
        });
        Some(self.numbers)
    }

    pub(super) fn fail(&mut self, now: Instant) {
        self.waits = None;
        self.at = now + self.retry;
        self.retry = (self.retry * 2).min(INTERVAL);
    }
}
