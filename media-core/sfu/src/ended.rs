//! Sessions that ended, remembered until their tickets expire, so that a ticket opens once.

use std::collections::{BTreeSet, HashSet};

use crate::idents::SessionId;

/// The memory of ended sessions. Bounded by what the edge admits in one ticket lifetime: an entry
/// needs a valid ticket and a matching password.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    ids: HashSet<SessionId, foldhash::quality::FixedState>,
    by_expiry: BTreeSet<(u64, SessionId)>,
    /// Latest expiry of what was forgotten: should the wall clock step back, what expires no later
    /// may have been among it.
    forgotten_until_unix_s: u64,
}

impl Ended {
    /// Remembers `session` until `expires_at_unix_s` has passed.
    pub(crate) fn insert(&mut self, session: SessionId, expires_at_unix_s: u64) {
        if self.ids.insert(session) {
            self.by_expiry.insert((expires_at_unix_s, session));
        }
        debug_assert_eq!(self.ids.len(), self.by_expiry.len(), "two views of one set");
    }

    /// Whether `session`, whose ticket expires at `expires_at_unix_s`, has ended or may have.
    pub(crate) fn may_contain(&self, session: SessionId, expires_at_unix_s: u64) -> bool {
        expires_at_unix_s <= self.forgotten_until_unix_s || self.ids.contains(&session)
    }

    /// Forgets what has expired at `unix_s`.
    pub(crate) fn prune(&mut self, unix_s: u64) {
        while let Some(&(expires, session)) = self.by_expiry.first() {
            if expires >= unix_s {
                break;
            }
            self.by_expiry.pop_first();
            self.ids.remove(&session);
            self.forgotten_until_unix_s = expires;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_session_is_known_until_its_ticket_expires_and_not_longer() {
        let mut ended = Ended::default();
        for n in 0..100u8 {
            ended.insert(SessionId([n; 8]), 1000 + u64::from(n));
            ended.insert(SessionId([n; 8]), 1000 + u64::from(n));
        }
        ended.prune(1050);
        assert!(
            ended.ids.contains(&SessionId([50; 8])),
            "its ticket is good for this whole second"
        );
        assert_eq!(ended.len(), 50);
        // The wall clock may have stepped back since.
        assert!(ended.may_contain(SessionId([49; 8]), 1049));
        assert!(!ended.may_contain(SessionId([200; 8]), 1050));
        ended.prune(2000);
        assert_eq!((ended.len(), ended.by_expiry.len()), (0, 0));
    }
}
