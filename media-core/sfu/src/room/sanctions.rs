//! What the edge has ordered of players of a room a moment ago. An order may come before its player
//! does, whose ticket and hello were made before it: then it holds for him when he comes. Of two
//! orders of one thing the later one counts, whichever comes first.

use std::collections::VecDeque;

use super::participant::{Entry, Participant};
use crate::idents::PlayerKey;

/// Longer than a ticket or a hello waits to be used, differing clocks included.
const KEPT_MS: u64 = 2 * 60_000;
/// Most orders of one kind that a room remembers; the oldest are forgotten first.
const MAX_ORDERS: usize = 1024;

/// Orders that are younger than some ticket or hello may be.
#[derive(Debug, Default)]
pub(crate) struct Sanctions {
    mutes: Orders<PlayerKey>,
    /// Who blocks, and whom.
    blocks: Orders<(PlayerKey, PlayerKey)>,
}

/// Orders of one kind, each of another thing.
#[derive(Debug)]
struct Orders<T>(VecDeque<Order<T>>);

#[derive(Debug)]
struct Order<T> {
    of: T,
    holds: bool,
    at_ms: u64,
}

impl<T> Default for Orders<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T: PartialEq> Orders<T> {
    /// False when a later order of the same thing came before.
    fn note(&mut self, of: T, holds: bool, at_ms: u64) -> bool {
        let known = self.0.iter().position(|order| order.of == of);
        if let Some(known) = known {
            if self.0[known].at_ms > at_ms {
                return false;
            }
            self.0.remove(known);
        }
        while let Some(oldest) = self.0.front()
            && (oldest.at_ms + KEPT_MS < at_ms || self.0.len() >= MAX_ORDERS)
        {
            self.0.pop_front();
        }
        self.0.push_back(Order { of, holds, at_ms });
        debug_assert!(self.0.len() <= MAX_ORDERS, "within bounds");
        true
    }

    /// What was ordered since `issued_at_ms`.
    fn since(&self, issued_at_ms: u64) -> impl Iterator<Item = (&T, bool)> {
        let newer = self.0.iter().filter(move |one| one.at_ms >= issued_at_ms);
        newer.map(|order| (&order.of, order.holds))
    }
}

impl Sanctions {
    /// A player is silenced or not; false when that is out of date.
    pub(crate) fn note_mute(&mut self, player: PlayerKey, muted: bool, at_ms: u64) -> bool {
        self.mutes.note(player, muted, at_ms)
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

    /// Brings up to date what the ticket of a member says who comes with it.
    pub(crate) fn apply<F>(&self, member: &mut Participant<F>, entry: &Entry) {
        let (said, at_ms) = (entry.server_muted, entry.issued_at_ms);
        member.server_muted = self.is_muted(entry.player, said, at_ms);
        member.blocked = self.blocked(entry.player, Vec::new(), at_ms);
    }

    /// Whether a player is silenced whose ticket of `issued_at_ms` says `muted`.
    fn is_muted(&self, player: PlayerKey, muted: bool, issued_at_ms: u64) -> bool {
        let mut newer = self.mutes.since(issued_at_ms);
        let of_him = newer.find(|(of, _)| **of == player);
        of_him.map_or(muted, |(_, holds)| holds)
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
        let mut known = Sanctions::default();
        assert!(known.note_mute(ANN, true, 100));
        assert!(known.is_muted(ANN, false, 100) && known.is_muted(ANN, false, 1));
        assert!(!known.is_muted(ANN, false, 101), "the ticket knows better");
        assert!(known.is_muted(ANN, true, 101) && !known.is_muted(BOB, false, 1));
        assert!(known.note_mute(ANN, false, 200));
        assert!(!known.note_mute(ANN, true, 150), "late, and void");
        assert!(!known.is_muted(ANN, true, 120));
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

    #[test]
    fn orders_are_forgotten_when_no_ticket_is_as_old_and_when_there_are_too_many() {
        let mut known = Sanctions::default();
        for n in 0..3 * MAX_ORDERS as u128 {
            known.note_mute(PlayerKey(n.to_be_bytes()), true, 7);
        }
        assert_eq!(known.mutes.0.len(), MAX_ORDERS);
        known.note_mute(ANN, true, 8 + KEPT_MS);
        assert_eq!(known.mutes.0.len(), 1);
    }
}
