//! What the edge orders of players who are, or will be, in a room.

use std::time::Instant;

use super::Room;
use crate::idents::PlayerKey;

/// Most players whom one may block in a room: a hello names fewer.
const MAX_BLOCKED: usize = 1024;

impl<F> Room<F> {
    /// Silences a player, or lets him be heard again, as the edge said at `at_ms` of Unix time.
    pub(crate) fn mute(&mut self, now: Instant, player: PlayerKey, muted: bool, at_ms: u64) {
        if !self.sanctions.note_mute(player, muted, at_ms) {
            return;
        }
        for member in self.members_of(player) {
            let participant = &mut self.members[member];
            participant.server_muted = muted;
            if muted {
                participant.voice.speaking.clear();
                // Also what he said a moment ago.
                self.batch.silence(member);
            }
            self.roster.note_changed(participant, member);
            self.schedule_flush(now);
        }
    }

    /// Lets a player block another, or not any more, as the edge said at `at_ms` of Unix time.
    pub(crate) fn block(
        &mut self,
        now: Instant,
        (player, other): (PlayerKey, PlayerKey),
        blocked: bool,
        at_ms: u64,
    ) {
        if !self.sanctions.note_block((player, other), blocked, at_ms) {
            return;
        }
        for member in self.members_of(player) {
            let held = &mut self.members[member].blocked;
            match (held.binary_search(&other), blocked) {
                (Err(at), true) if held.len() < MAX_BLOCKED => held.insert(at, other),
                (Ok(at), false) => drop(held.remove(at)),
                _ => continue,
            }
            if blocked {
                self.part(member, other);
            }
            self.speaker_changed(member);
            self.listener_changed(member);
            self.schedule_flush(now);
        }
    }

    /// Frees the slots in which `member` and those who are `other` had each other.
    fn part(&mut self, member: usize, other: PlayerKey) {
        let number = self.members[member].number;
        for other in self.members_of(other) {
            let others = self.members[other].number;
            self.members[other].free_slots_of(number);
            self.members[member].free_slots_of(others);
        }
    }

    /// Members who are `player`, by index.
    pub(super) fn members_of(&self, player: PlayerKey) -> Vec<usize> {
        let members = self.members.iter();
        let his = members.filter(|(_, member)| member.player == player);
        his.map(|(n, _)| n).collect()
    }
}
