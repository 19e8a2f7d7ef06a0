//! What members set for themselves: it holds at once, and the others are told so at a rate. Who
//! changes his mind more often is told of later, as he is then, so that all know the truth once he
//! is quiet. So is who begins to talk more often than anybody can who only talks: by muting himself
//! in between, or with another source for each word.

use std::time::Instant;

use super::Room;
use crate::bucket::Rate;

/// States told at once after a pause.
const BURST_STATES: u64 = 5;
/// Beginnings of talk told at once after a pause.
const BURST_STARTS: u64 = 5;

impl<F> Room<F> {
    /// A member mutes or deafens himself, or not any more. False when the others are told of it
    /// later only, because he does so often.
    pub(crate) fn set_state(
        &mut self,
        now: Instant,
        member: usize,
        muted: bool,
        deafened: bool,
    ) -> bool {
        let rate = self.state_rate();
        let participant = &mut self.members[member];
        if (participant.muted, participant.deafened) == (muted, deafened) {
            return true;
        }
        (participant.muted, participant.deafened) = (muted, deafened);
        if muted {
            participant.voice.speaking.clear();
            // Also what he said a moment ago.
            self.batch.silence(member);
        }
        let is_told = participant.states.has(now, rate, 1);
        if is_told {
            participant.states.spend(now, rate, 1);
            self.roster.note_changed(participant, member);
        } else if !std::mem::replace(&mut participant.owes_state, true) {
            self.telling.owed.push(member);
        }
        self.listener_changed(member);
        self.schedule_flush(now);
        is_told
    }

    fn state_rate(&self) -> Rate {
        Rate {
            per_s: self.settings.states_per_s.into(),
            burst: BURST_STATES,
        }
    }

    /// Has the others told of those members whose time has come.
    pub(super) fn note_owed_states(&mut self, now: Instant) {
        let rate = self.state_rate();
        let (members, roster) = (&mut self.members, &mut self.roster);
        self.telling.owed.retain(|&member| {
            let participant = &mut members[member];
            let may_tell = participant.states.has(now, rate, 1);
            if may_tell {
                participant.states.spend(now, rate, 1);
                participant.owes_state = false;
                roster.note_changed(participant, member);
            }
            !may_tell
        });
    }

    /// Those who talk, as far as the others are told now.
    pub(super) fn talking(&mut self, now: Instant) -> Vec<usize> {
        let speaking = &self.settings.speaking;
        // More than one talk spurt in a hang-over is not possible by talking.
        let per_s = 1 + 1_000_000 / speaking.hang_over.as_micros().max(1) as u64;
        let burst = BURST_STARTS;
        let rate = Rate { per_s, burst };
        let (members, announced) = (&mut self.members, &self.announced);
        self.telling.owes_start = false;
        let mut talking = Vec::new();
        for &talker in &self.talkers {
            let participant = &mut members[talker];
            let speaks = participant.voice.speaking.is_speaking(now, speaking);
            if !speaks || !participant.may_be_heard() {
                continue;
            }
            // Clients take nobody for talking of whom they were told last that he is muted.
            let is_known = announced.contains(talker);
            if participant.owes_state || !is_known && !participant.starts.has(now, rate, 1) {
                self.telling.owes_start = true;
                continue;
            }
            if !is_known {
                participant.starts.spend(now, rate, 1);
            }
            talking.push(talker);
        }
        talking
    }

    /// Has the members told of what changed, once for all changes of an interval.
    pub(super) fn schedule_flush(&mut self, now: Instant) {
        let (interval, members) = (self.settings.roster_interval, self.members.len());
        let at = self.telling.next_at(now, interval, members);
        self.flush_at.get_or_insert(at);
    }

    /// Everybody was told, which took so many messages; what is owed follows.
    pub(super) fn note_told(&mut self, now: Instant, messages: usize) {
        self.telling.note_told(now, messages);
        if self.telling.owes_start || !self.telling.owed.is_empty() {
            self.schedule_flush(now);
        }
    }
}
