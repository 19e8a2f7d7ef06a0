//! The end of a session with the time of the token by which its player joined. A moment before, he
//! is asked to come again, as where a relay drains: with a token that is good for longer he goes on
//! without a gap, and without one he is let in no more.

use std::time::{Duration, Instant};

/// How long a session lasts whose hello does not say it, or that has none (WHIP): longer than no
/// token lives, where the edge is left as it is.
const SESSION_MAX: Duration = Duration::from_secs(24 * 3600);
/// How long before its end a player is asked to come again.
const ASKED_BEFORE: Duration = Duration::from_secs(30);
/// A session that is shorter than this ends without his being asked: he came with the same token
/// again, and there is no other.
const ASKED_MIN: Duration = Duration::from_secs(10);

/// When a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline {
    /// When its player is asked to come again; none when he was, or is not to be.
    ask_at: Option<Instant>,
    /// None once it was due.
    end_at: Option<Instant>,
}

/// What is due of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Ask,
    End,
}

impl Deadline {
    /// Of a session of which nothing is known yet.
    pub(crate) fn unknown(now: Instant) -> Self {
        Self {
            ask_at: None,
            end_at: Some(now + SESSION_MAX),
        }
    }

    /// Of a session that ends then.
    pub(crate) fn at(now: Instant, end_at: Instant) -> Self {
        let left = end_at.saturating_duration_since(now);
        let ask_at = end_at.checked_sub(ASKED_BEFORE.min(left / 2));
        Self {
            ask_at: ask_at.filter(|_| left >= ASKED_MIN),
            end_at: Some(end_at),
        }
    }

    /// When something is due next.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.ask_at.or(self.end_at)
    }

    /// What is due, once.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Due> {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| now >= at);
        if is_due(self.end_at) {
            (self.ask_at, self.end_at) = (None, None);
            return Some(Due::End);
        }
        let asks = is_due(self.ask_at);
        if asks {
            self.ask_at = None;
        }
        asks.then_some(Due::Ask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_player_is_asked_once_and_has_half_of_a_short_time() {
        #[expect(
            clippy::disallowed_methods,
            reason = "a test needs some instant to start from"
        )]
        let now = Instant::now();
        for (left_s, asked_s) in [
            (3_600, Some(3_570)),
            (60, Some(30)),
            (20, Some(10)),
            (9, None),
        ] {
            let end_at = now + SECOND * left_s;
            let mut deadline = Deadline::at(now, end_at);
            let next_s = asked_s.unwrap_or(left_s);
            assert_eq!(deadline.next_at(), Some(now + SECOND * next_s), "{left_s}");
            assert_eq!(deadline.poll(now), None);
            if let Some(asked_s) = asked_s {
                let asked_at = now + SECOND * asked_s;
                assert_eq!(deadline.poll(asked_at), Some(Due::Ask));
                assert_eq!(deadline.poll(asked_at), None);
            }
            assert_eq!(deadline.next_at(), Some(end_at));
            assert_eq!(deadline.poll(end_at), Some(Due::End));
            assert_eq!((deadline.next_at(), deadline.poll(end_at)), (None, None));
        }
        assert_eq!(Deadline::at(now, now).poll(now), Some(Due::End));
        assert_eq!(Deadline::unknown(now).next_at(), Some(now + SESSION_MAX));
    }
}
