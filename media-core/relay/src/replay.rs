//! Refuses control messages that are old, from the future, or seen before.

use std::collections::HashMap;

use wire::SessionId;
use wire::limits::MAX_CLOCK_SKEW_MS;

/// Most nonces remembered: 4,000 messages per second, as many chat messages as a shard's rooms may
/// have, for the half minute that clocks may differ by. Only messages that authenticate get here,
/// so nobody else can fill it; full, it is about 4 MB.
const NONCES_MAX: usize = 128 * 1024;

/// Why a control message is refused although it is genuine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its time differs too much from ours.
    Stale,
    /// Its nonce was used before.
    Replayed,
    /// Too many messages are remembered to be sure.
    Full,
}

/// Nonces of the messages that could still be played again.
#[derive(Debug, Default)]
pub struct ReplayGuard {
    /// Nonce, and the Unix millisecond after which its message is stale anyway.
    seen: HashMap<SessionId, u64>,
}

impl ReplayGuard {
    /// Lets a message of `at_ms` with `nonce` pass once; all times are Unix milliseconds.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn check(&mut self, at_ms: u64, nonce: SessionId, now_ms: u64) -> Result<(), Refusal> {
        if at_ms.abs_diff(now_ms) > MAX_CLOCK_SKEW_MS {
            return Err(Refusal::Stale);
        }
        if self.seen.contains_key(&nonce) {
            return Err(Refusal::Replayed);
        }
        if self.seen.len() >= NONCES_MAX {
            self.seen.retain(|_, expires_ms| *expires_ms >= now_ms);
        }
        if self.seen.len() >= NONCES_MAX {
            return Err(Refusal::Full);
        }
        self.seen.insert(nonce, at_ms + MAX_CLOCK_SKEW_MS);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_700_000_000_000;

    fn nonce(number: u64) -> SessionId {
        SessionId(number.to_be_bytes())
    }

    #[test]
    fn a_message_passes_once() {
        let mut guard = ReplayGuard::default();
        assert_eq!(guard.check(NOW_MS, nonce(1), NOW_MS), Ok(()));
        assert_eq!(
            guard.check(NOW_MS, nonce(1), NOW_MS + 5),
            Err(Refusal::Replayed)
        );
        assert_eq!(guard.check(NOW_MS, nonce(2), NOW_MS), Ok(()));
    }

    #[test]
    fn clocks_may_differ_by_the_skew_and_no_more() {
        let mut guard = ReplayGuard::default();
        let skew = MAX_CLOCK_SKEW_MS;
        assert_eq!(guard.check(NOW_MS - skew, nonce(1), NOW_MS), Ok(()));
        assert_eq!(guard.check(NOW_MS + skew, nonce(2), NOW_MS), Ok(()));
        assert_eq!(
            guard.check(NOW_MS - skew - 1, nonce(3), NOW_MS),
            Err(Refusal::Stale)
        );
        assert_eq!(
            guard.check(NOW_MS + skew + 1, nonce(4), NOW_MS),
            Err(Refusal::Stale)
        );
    }

    #[test]
    fn a_message_from_the_future_is_remembered_until_it_is_stale() {
        let mut guard = ReplayGuard::default();
        let at_ms = NOW_MS + MAX_CLOCK_SKEW_MS;
        assert_eq!(guard.check(at_ms, nonce(0), NOW_MS), Ok(()));
        for number in 1..NONCES_MAX as u64 {
            assert_eq!(guard.check(NOW_MS, nonce(number), NOW_MS), Ok(()));
        }
        let later_ms = at_ms + MAX_CLOCK_SKEW_MS;
        assert_eq!(
            guard.check(at_ms, nonce(0), later_ms),
            Err(Refusal::Replayed)
        );
    }

    #[test]
    fn memory_is_bounded_and_frees_itself() {
        let mut guard = ReplayGuard::default();
        for number in 0..NONCES_MAX as u64 {
            assert_eq!(guard.check(NOW_MS, nonce(number), NOW_MS), Ok(()));
        }
        assert_eq!(
            guard.check(NOW_MS, nonce(u64::MAX), NOW_MS),
            Err(Refusal::Full)
        );
        let later_ms = NOW_MS + MAX_CLOCK_SKEW_MS + 1;
        assert_eq!(guard.check(later_ms, nonce(u64::MAX), later_ms), Ok(()));
        assert_eq!(guard.seen.len(), 1);
    }
}
