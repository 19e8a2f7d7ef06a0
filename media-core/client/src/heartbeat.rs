//! Is the relay still there? A ping each second; two seconds without a word mean no.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Pause between pings.
pub const PING_EVERY: Duration = Duration::from_secs(1);
/// Nothing received for this long: the connection is dead.
pub const SILENCE_MAX: Duration = Duration::from_secs(2);
/// A turn this much too late means that this program slept, which says nothing about the relay.
const OVERSLEPT: Duration = Duration::from_secs(1);
/// Pings remembered for the round-trip time.
const PENDING_MAX: usize = 8;

#[derive(Debug)]
pub(crate) struct Heartbeat {
    received_at: Instant,
    ping_at: Instant,
    next_id: u32,
    pending: VecDeque<(u32, Instant)>,
    round_trip: Option<Duration>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    Ping(u32),
    Dead,
    Nothing,
}

impl Heartbeat {
    /// Begins at the welcome, with a ping that is due.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            received_at: now,
            ping_at: now,
            next_id: 1,
            pending: VecDeque::new(),
            round_trip: None,
        }
    }

    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// When [`Heartbeat::handle_timeout`] is due.
    pub(crate) fn timeout_at(&self) -> Instant {
        self.ping_at.min(self.received_at + SILENCE_MAX)
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Beat {
        if now < self.timeout_at() {
            return Beat::Nothing;
        }
        // What arrived meanwhile is still in the socket's queue: give it one ping's time.
        if now.saturating_duration_since(self.timeout_at()) > OVERSLEPT {
            self.received_at = self.received_at.max(now - PING_EVERY);
        }
        if now >= self.received_at + SILENCE_MAX {
            return Beat::Dead;
        }
        if now < self.ping_at {
            return Beat::Nothing;
        }
        self.ping_at = now + PING_EVERY;
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        if self.pending.len() == PENDING_MAX {
            self.pending.pop_front();
        }
        self.pending.push_back((id, now));
        Beat::Ping(id)
    }

    /// Any message of the relay.
    pub(crate) fn handle_received(&mut self, now: Instant) {
        self.received_at = now;
    }

    pub(crate) fn handle_pong(&mut self, id: u32, now: Instant) {
        if let Some(place) = self.pending.iter().position(|(known, _)| *known == id)
            && let Some((_, sent_at)) = self.pending.remove(place)
        {
            self.round_trip = Some(now.saturating_duration_since(sent_at));
        }
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "virtual time needs an instant to start from"
)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn it_pings_each_second_and_measures_the_way_there_and_back() {
        let t0 = Instant::now();
        let mut heart = Heartbeat::new(t0);
        assert_eq!(heart.handle_timeout(t0), Beat::Ping(1));
        assert_eq!(heart.handle_timeout(t0 + ms(999)), Beat::Nothing);
        heart.handle_received(t0 + ms(30));
        heart.handle_pong(1, t0 + ms(30));
        assert_eq!(heart.round_trip(), Some(ms(30)));
        heart.handle_pong(1, t0 + ms(500));
        heart.handle_pong(99, t0 + ms(500));
        assert_eq!(heart.round_trip(), Some(ms(30)));
        assert_eq!(heart.handle_timeout(t0 + ms(1000)), Beat::Ping(2));
    }

    #[test]
    fn two_seconds_of_silence_are_death() {
        let t0 = Instant::now();
        let mut heart = Heartbeat::new(t0);
        for second in 0..2 {
            heart.handle_timeout(t0 + ms(1000 * second));
        }
        assert_eq!(heart.timeout_at(), t0 + SILENCE_MAX);
        assert_eq!(heart.handle_timeout(t0 + ms(2000)), Beat::Dead);
    }

    #[test]
    fn who_slept_gives_the_relay_one_more_second() {
        let t0 = Instant::now();
        let mut heart = Heartbeat::new(t0);
        heart.handle_timeout(t0);
        assert!(matches!(
            heart.handle_timeout(t0 + ms(60_000)),
            Beat::Ping(_)
        ));
        assert_eq!(heart.handle_timeout(t0 + ms(61_000)), Beat::Dead);
    }

    #[test]
    fn pings_without_pongs_do_not_pile_up() {
        let t0 = Instant::now();
        let mut heart = Heartbeat::new(t0);
        for second in 0..100 {
            heart.handle_received(t0 + ms(1000 * second));
            heart.handle_timeout(t0 + ms(1000 * second));
        }
        assert_eq!(heart.pending.len(), PENDING_MAX);
    }
}
