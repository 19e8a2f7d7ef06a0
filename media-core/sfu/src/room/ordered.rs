//! What the edge orders of players who are, or will be, in a room.

use std::time::Instant;

use super::Room;
use crate::idents::PlayerKey;

/// Most players whom one may block in a room: a hello names fewer.
const MAX_BLOCKED: usize = 1024;

impl<F> Room<F> {
    /// Silences a player until then, or lets him be heard again, as the edge said at `at_ms` of
    /// Unix time.
    pub(crate) fn mute(
        &mut self,
        now: Instant,
        player: PlayerKey,
        until: Option<Instant>,
        at_ms: u64,
    ) {
        let until = until.filter(|until| *until > now);
        if !self.sanctions.note_mute(player, until, at_ms) {
            return;
        }
        for member in self.members_of(player) {
            let participant = &mut self.members[member];
            if participant.as_of_ms > at_ms {
                continue;
            }
            participant.muted_until = until;
            if until.is_some() {
                participant.voice.speaking.clear();
                // Also what he said a moment ago.
                self.batch.silence(member);
            }
            self.roster.note_changed(participant, member);
            self.note_mute_end(until);
            self.schedule_flush(now);
        }
    }

    /// A hello says until when the ticket of `member` silences him; without it, all the session.
    pub(crate) fn limit_mute(&mut self, member: usize, until: Option<Instant>) {
        let participant = &mut self.members[member];
        if let (Some(held), Some(until)) = (participant.muted_until, until) {
            participant.muted_until = Some(held.min(until));
            self.note_mute_end(Some(until));
        }
    }

    fn note_mute_end(&mut self, until: Option<Instant>) {
        let all = [self.mute_ends_at, until];
        self.mute_ends_at = all.into_iter().flatten().min();
    }

    /// Lets those be heard again whose time is over.
    pub(super) fn end_mutes(&mut self, now: Instant) {
        if self.mute_ends_at.is_none_or(|at| now < at) {
            return;
        }
        self.mute_ends_at = None;
        let mut ended = false;
        for (n, participant) in &mut self.members {
            match participant.muted_until {
                Some(until) if until <= now => {
                    participant.muted_until = None;
                    self.roster.note_changed(participant, n);
                    ended = true;
                }
                Some(until) => {
                    let all = [self.mute_ends_at, Some(until)];
                    self.mute_ends_at = all.into_iter().flatten().min();
                }
                None => {}
            }
        }
        if ended {
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
            if self.members[member].as_of_ms > at_ms {
                continue;
            }
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

    /// Whether some member is `player`. Looks at all: once for a session that is to begin.
    pub(crate) fn has_player(&self, player: PlayerKey) -> bool {
        self.members
            .iter()
            .any(|(_, member)| member.player == player)
    }

    /// Members who are `player`, by index.
    pub(super) fn members_of(&self, player: PlayerKey) -> Vec<usize> {
        let members = self.members.iter();
        let his = members.filter(|(_, member)| member.player == player);
        his.map(|(n, _)| n).collect()
    }
}
