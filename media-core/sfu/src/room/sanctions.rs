//! What the edge has ordered of players of a room a moment ago. An order may come before its player
//! does, whose ticket and hello were made before it: then it holds for him when he comes. Of two
//! orders of one thing the later one counts, whichever comes first.

use std::time::{Duration, Instant};

use super::participant::{Entry, Participant};
use crate::idents::PlayerKey;
use crate::orders::Orders;

/// How long a ticket silences whose hello does not say it, or does not come: all the session.
const SESSION_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Most orders of one kind that a room remembers; the oldest are forgotten first.
const MAX_ORDERS: usize = 1024;

/// Orders that are younger than some ticket or hello may be.
#[derive(Debug)]
pub(crate) struct Sanctions {
    /// Until when a player is silenced; none when he is not.
    mutes: Orders<PlayerKey, Option<Instant>>,
    /// Who blocks, and whom.
    blocks: Orders<(PlayerKey, PlayerKey), bool>,
}

impl Default for Sanctions {
    fn default() -> Self {
        Self {
            mutes: Orders::new(MAX_ORDERS),
            blocks: Orders::new(MAX_ORDERS),
        }
    }
}

impl Sanctions {
    /// A player is silenced until then, or not; false when that is out of date.
    pub(crate) fn note_mute(
        &mut self,
        player: PlayerKey,
        until: Option<Instant>,
        at_ms: u64,
    ) -> bool {
        self.mutes.note(player, until, at_ms)
    }

    /// One player blocks another or not; false when that is out of date.
    pub(crate) fn note_block(
        &mut self,
        players: (PlayerKey, PlayerKey),
        blocked: bool,
        at_ms: u64,
    ) -> bool {
        self.blocks.note(players, blocked, at_ms)
    }

    /// Brings up to date what the ticket of a member says who comes with it at `now`.
    pub(crate) fn apply<F>(&self, now: Instant, member: &mut Participant<F>, entry: &Entry) {
        let said = entry.server_muted.then_some(now + SESSION_MAX);
        member.muted_until = self.muted_until(entry.player, said, entry.issued_at_ms);
        member.blocked = self.blocked(entry.player, Vec::new(), entry.issued_at_ms);
    }

    /// Until when a player is silenced whose ticket or hello of `issued_at_ms` says so.
    pub(crate) fn muted_until(
        &self,
        player: PlayerKey,
        said: Option<Instant>,
        issued_at_ms: u64,
    ) -> Option<Instant> {
        let mut newer = self.mutes.since(issued_at_ms);
        let of_him = newer.find(|(of, _)| **of == player);
        of_him.map_or(said, |(_, until)| until)
    }

    /// Whom a player blocks whose hello of `issued_at_ms` says `blocked`, in order.
    pub(crate) fn blocked(
        &self,
        player: PlayerKey,
        mut blocked: Vec<PlayerKey>,
        issued_at_ms: u64,
    ) -> Vec<PlayerKey> {
        for ((by, other), holds) in self.blocks.since(issued_at_ms) {
            if *by == player {
                blocked.retain(|known| known != other);
                blocked.extend(holds.then_some(*other));
            }
        }
        blocked.sort_unstable();
        blocked.dedup();
        blocked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: PlayerKey = PlayerKey([1; 16]);
    const BOB: PlayerKey = PlayerKey([2; 16]);
    const CYD: PlayerKey = PlayerKey([3; 16]);

    #[test]
    fn what_is_younger_than_a_ticket_holds_whatever_the_ticket_says() {
        #[expect(
            clippy::disallowed_methods,
            reason = "a test needs some instant to start from"
        )]
        let then = Some(Instant::now());
        let mut known = Sanctions::default();
        assert!(known.note_mute(ANN, then, 100));
        assert_eq!(known.muted_until(ANN, None, 100), then);
        assert_eq!(known.muted_until(ANN, None, 1), then);
        assert_eq!(
            known.muted_until(ANN, None, 101),
            None,
            "the ticket knows better"
        );
        assert_eq!(known.muted_until(ANN, then, 101), then);
        assert_eq!(known.muted_until(BOB, None, 1), None);
        assert!(known.note_mute(ANN, None, 200));
        assert!(!known.note_mute(ANN, then, 150), "late, and void");
        assert_eq!(known.muted_until(ANN, then, 120), None);
    }

    #[test]
    fn blocks_of_a_hello_are_brought_up_to_date() {
        let mut known = Sanctions::default();
        assert!(known.note_block((ANN, BOB), true, 100));
        assert!(known.note_block((ANN, CYD), false, 100));
        assert_eq!(known.blocked(ANN, vec![CYD], 50), [BOB]);
        assert_eq!(known.blocked(ANN, vec![CYD, BOB, CYD], 150), [BOB, CYD]);
        assert!(known.blocked(BOB, Vec::new(), 50).is_empty());
    }
}
