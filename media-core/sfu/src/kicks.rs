//! Who was removed from which room a moment ago: a ticket that was made before must not bring him
//! back. As soon as no such ticket opens anything any more, it is forgotten.

use std::collections::VecDeque;

use crate::idents::{PlayerKey, RoomKey};

/// How long a ticket from before may still open a session, and by how much clocks may differ.
const KEPT_MS: u64 = 2 * 60_000;
/// Most removals that are remembered; the oldest are forgotten first.
const MAX_KICKS: usize = 4096;

/// Removals, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Kicks(VecDeque<Kick>);

#[derive(Debug)]
struct Kick {
    room: RoomKey,
    player: PlayerKey,
    at_ms: u64,
}

impl Kicks {
    /// A player was removed from a room at `at_ms` of Unix time.
    pub(crate) fn note(&mut self, room: RoomKey, player: PlayerKey, at_ms: u64) {
        while let Some(oldest) = self.0.front()
            && (oldest.at_ms + KEPT_MS < at_ms || self.0.len() >= MAX_KICKS)
        {
            self.0.pop_front();
        }
        self.0.push_back(Kick {
            room,
            player,
            at_ms,
        });
        debug_assert!(self.0.len() <= MAX_KICKS, "within bounds");
    }

    /// Whether somebody with a ticket of `issued_at_ms` was removed since.
    pub(crate) fn bar(&self, room: RoomKey, player: PlayerKey, issued_at_ms: u64) -> bool {
        let mut of_him = self.0.iter().filter(|kick| kick.player == player);
        of_him.any(|kick| kick.room == room && kick.at_ms >= issued_at_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_of_before_is_barred_and_one_of_after_is_not() {
        let (room, other) = (RoomKey([1; 8]), RoomKey([2; 8]));
        let (ann, bob) = (PlayerKey([1; 16]), PlayerKey([2; 16]));
        let mut kicks = Kicks::default();
        kicks.note(room, ann, 1_000_000);
        assert!(kicks.bar(room, ann, 999_999) && kicks.bar(room, ann, 1_000_000));
        assert!(!kicks.bar(room, ann, 1_000_001), "made since");
        assert!(!kicks.bar(other, ann, 1) && !kicks.bar(room, bob, 1));
        kicks.note(room, bob, 1_000_000 + KEPT_MS + 1);
        assert!(!kicks.bar(room, ann, 1), "no ticket is as old as that");
    }

    #[test]
    fn however_many_there_are_memory_is_bounded() {
        let mut kicks = Kicks::default();
        for n in 0..2 * MAX_KICKS as u64 {
            kicks.note(RoomKey(n.to_be_bytes()), PlayerKey([1; 16]), 5);
        }
        assert_eq!(kicks.0.len(), MAX_KICKS);
        let newest = RoomKey((2 * MAX_KICKS as u64 - 1).to_be_bytes());
        assert!(kicks.bar(newest, PlayerKey([1; 16]), 5));
    }
}
