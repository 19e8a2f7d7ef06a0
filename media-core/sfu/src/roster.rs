//! Rooms as their members see them: entering, leaving, and what everybody is told.

use std::sync::Arc;

use crate::protocol::{ChannelGrant, Notice, Protocol, RosterEntry};
use crate::session::{RosterMark, Session};
use crate::sfu::{Event, Sfu};
use crate::stats::{DropReason, EndReason};
use crate::timers::{Owner, Waiter};

/// Roster entries in one message, so that none exceeds 16 kB whatever the names are.
const ENTRIES_PER_MESSAGE: usize = 16;

impl<P: Protocol> Sfu<P> {
    /// Puts a session whose handshake finished into its room.
    pub(crate) fn enter_room(&mut self, index: usize) {
        let room_index = self.sessions[index].room;
        let room = &mut self.rooms[room_index];
        room.members.push(index);
        room.usage
            .set_participants(self.now, room.members.len() as u32);
        self.schedule_flush(room_index);
    }

    /// Takes a live session out of its room.
    pub(crate) fn leave_room(&mut self, index: usize) {
        let session = &self.sessions[index];
        let (room_index, participant) = (session.room, session.participant);
        let room = &mut self.rooms[room_index];
        if let Some(at) = room.members.iter().position(|&member| member == index) {
            room.members.remove(at);
            // Whoever moved up is served next.
            room.served -= usize::from(at < room.served);
        }
        // Voice that still waits would take the speaker's slots again.
        room.pending
            .retain(|pending| pending.speaker.participant != participant);
        room.usage
            .set_participants(self.now, room.members.len() as u32);
        // Also before the room was told that he came: a welcome may have named him since.
        room.left.push(participant);
        let Self {
            rooms, sessions, ..
        } = self;
        for &member in &rooms[room_index].members {
            let listener = &mut sessions[member];
            for (n, slot) in listener.slots.iter_mut().enumerate() {
                if slot.speaker == Some(participant) {
                    slot.speaker = None;
                    listener.slots_changed |= 1 << n;
                }
            }
        }
        self.schedule_flush(room_index);
    }

    /// Drops a removed session's share of its room, and the room with its last session.
    pub(crate) fn release_room(&mut self, room_index: usize, channels: u64) {
        let room = &mut self.rooms[room_index];
        room.release_channels(channels);
        room.sessions -= 1;
        if room.sessions == 0 {
            self.report_usage(room_index);
            let room = self.rooms.remove(room_index);
            self.by_room.remove(&room.key);
        }
    }

    /// The hello came: the participant has a name and all his channels.
    pub(crate) fn introduce(
        &mut self,
        index: usize,
        profile: P::Profile,
        channels: &[ChannelGrant],
    ) {
        let session = &mut self.sessions[index];
        if session.welcomed {
            return self.stats.drop(DropReason::BadMessage);
        }
        session.welcomed = true;
        session.profile = Some(profile);
        if session.roster_mark == RosterMark::Known {
            session.roster_mark = RosterMark::Changed;
        }
        let (room_index, player) = (session.room, session.player);
        let room = &mut self.rooms[room_index];
        room.release_channels(session.in_channels);
        (session.in_channels, session.speaks_in, session.hears_in) = (0, 0, 0);
        for grant in channels {
            let Some(bit) = room.take_channel(grant.channel) else {
                continue;
            };
            if session.in_channels & bit != 0 {
                room.release_channels(bit);
            }
            session.in_channels |= bit;
            session.speaks_in |= if grant.permissions.speak { bit } else { 0 };
            session.hears_in |= if grant.permissions.listen { bit } else { 0 };
        }
        let members = room.members.clone();
        for member in members {
            if member != index && self.sessions[member].player == player {
                self.end(member, EndReason::Replaced);
            }
        }
        self.welcome(index);
        self.schedule_flush(room_index);
    }

    fn welcome(&mut self, index: usize) {
        let session = &self.sessions[index];
        let members = &self.rooms[session.room].members;
        let entries: Vec<usize> = members.clone();
        let mut messages = Vec::new();
        let (first, rest) = entries.split_at(entries.len().min(ENTRIES_PER_MESSAGE));
        messages.push(self.protocol.write(&Notice::Welcome {
            participant: session.participant,
            profile: session.profile.as_ref().expect("introduced just now"),
            slots: session.slots.len() as u8,
            participants: self.entries(first),
        }));
        for chunk in rest.chunks(ENTRIES_PER_MESSAGE) {
            let (joined, changed) = (self.entries(chunk), Vec::new());
            messages.push(self.protocol.write(&Notice::Roster {
                joined,
                left: &[],
                changed,
            }));
        }
        // Only those of whom the participant will also be told that they stopped.
        let speaking = members.iter().map(|&member| &self.sessions[member]);
        let is_told = |other: &&Session<_>| {
            other.announced_in & session.hears_in != 0 || other.participant == session.participant
        };
        let started: Vec<u32> = speaking
            .filter(|other| other.announced_in != 0)
            .filter(is_told)
            .map(|other| other.participant)
            .collect();
        if !started.is_empty() {
            messages.push(self.protocol.write(&Notice::Speaking {
                started: &started,
                stopped: &[],
            }));
        }
        let session = &mut self.sessions[index];
        for (n, slot) in session.slots.iter().enumerate() {
            if slot.speaker.is_some() {
                session.slots_changed |= 1 << n;
            }
        }
        for message in messages {
            self.queue(index, message.into());
        }
    }

    pub(crate) fn pong(&mut self, index: usize, id: u32) {
        let message = self.protocol.write(&Notice::Pong { id });
        self.queue(index, message.into());
    }

    pub(crate) fn set_state(&mut self, index: usize, muted: bool, deafened: bool) {
        let session = &mut self.sessions[index];
        if (session.muted, session.deafened) == (muted, deafened) {
            return;
        }
        (session.muted, session.deafened) = (muted, deafened);
        if muted {
            session.voice.speaking.clear();
        }
        if session.roster_mark == RosterMark::Known {
            session.roster_mark = RosterMark::Changed;
        }
        let room_index = session.room;
        self.schedule_flush(room_index);
    }

    pub(crate) fn ask_to_migrate(&mut self, index: usize) {
        self.sessions[index].migrate_at = None;
        let message = self.protocol.write(&Notice::Migrate);
        self.queue(index, message.into());
    }

    pub(crate) fn queue_last_words(&mut self, index: usize, reason: EndReason) {
        let message = self.protocol.write(&Notice::Ended(reason));
        // A client that does not read is not told.
        let _ = self.sessions[index].queue(message.into());
    }

    /// Tells a session which of its slots changed.
    pub(crate) fn queue_slots(&mut self, index: usize) {
        let session = &mut self.sessions[index];
        if session.slots_changed == 0 || !session.welcomed {
            return;
        }
        let changed = std::mem::take(&mut session.slots_changed);
        let slots = session.slots.iter().enumerate();
        let changes: Vec<(u8, Option<u32>)> = slots
            .filter(|(n, _)| changed & (1 << n) != 0)
            .map(|(n, slot)| (n as u8, slot.speaker))
            .collect();
        let message = self.protocol.write(&Notice::Slots(&changes));
        self.queue(index, message.into());
    }

    /// Has the room's members told of what changed, once for all changes of an interval.
    pub(crate) fn schedule_flush(&mut self, room_index: usize) {
        let room = &mut self.rooms[room_index];
        if room.flush_at.is_none() {
            room.flush_at = Some(self.now + self.config.roster_interval);
        }
        self.arm_room(room_index);
    }

    pub(crate) fn room_due(&mut self, room_index: usize) {
        let room = &mut self.rooms[room_index];
        if room.flush_at.is_some_and(|at| self.now >= at) {
            room.flush_at = None;
            self.flush(room_index);
        }
        if self.now >= self.rooms[room_index].minute_ends {
            self.report_usage(room_index);
            self.rooms[room_index].minute_ends = self.minute_end();
        }
        self.arm_room(room_index);
    }

    fn arm_room(&mut self, room_index: usize) {
        let room = &mut self.rooms[room_index];
        let at = room
            .flush_at
            .map_or(room.minute_ends, |at| at.min(room.minute_ends));
        let waiter = Waiter {
            owner: Owner::Room(room_index),
            generation: room.generation,
        };
        self.timers.arm(self.now, &mut room.deadline, at, waiter);
    }

    fn report_usage(&mut self, room_index: usize) {
        let room = &mut self.rooms[room_index];
        let used = room.usage.take(self.now);
        self.events.push_back(Event::Used {
            room: room.key,
            participant_time: used.participant_time,
            talk_time: used.talk_time,
            packets_out: used.packets_out,
            bytes_out: used.bytes_out,
        });
    }

    fn flush(&mut self, room_index: usize) {
        let members = self.rooms[room_index].members.clone();
        self.flush_roster(room_index, &members);
        self.flush_speaking(room_index, &members);
    }

    fn flush_roster(&mut self, room_index: usize, members: &[usize]) {
        let left = std::mem::take(&mut self.rooms[room_index].left);
        let marked = |mark| {
            let sessions = &self.sessions;
            let is = |&&member: &&usize| sessions[member].roster_mark == mark;
            members.iter().filter(is).copied().collect::<Vec<_>>()
        };
        let (joined, changed) = (marked(RosterMark::Joined), marked(RosterMark::Changed));
        let mut messages: Vec<Arc<[u8]>> = Vec::new();
        let mut write = |joined: &[usize], left: &[u32], changed: &[usize]| {
            let (joined, changed) = (self.entries(joined), self.entries(changed));
            messages.push(
                self.protocol
                    .write(&Notice::Roster {
                        joined,
                        left,
                        changed,
                    })
                    .into(),
            );
        };
        joined
            .chunks(ENTRIES_PER_MESSAGE)
            .for_each(|chunk| write(chunk, &[], &[]));
        changed
            .chunks(ENTRIES_PER_MESSAGE)
            .for_each(|chunk| write(&[], &[], chunk));
        // A number takes a tenth of an entry at most.
        left.chunks(ENTRIES_PER_MESSAGE * 10)
            .for_each(|chunk| write(&[], chunk, &[]));
        for member in joined.into_iter().chain(changed) {
            self.sessions[member].roster_mark = RosterMark::Known;
        }
        for message in messages {
            self.tell_all(members, &message);
        }
    }

    fn flush_speaking(&mut self, room_index: usize, members: &[usize]) {
        let mut changes = Vec::new();
        for &member in members {
            let session = &mut self.sessions[member];
            let speaks = session
                .voice
                .speaking
                .is_speaking(self.now, &self.config.speaking);
            let speaks_in = if speaks { session.speaks_in } else { 0 };
            if speaks_in != session.announced_in {
                changes.push((session.participant, session.announced_in, speaks_in));
                session.announced_in = speaks_in;
            }
        }
        if changes.is_empty() {
            return;
        }
        let write = |sfu: &Self, hears_in: u64, own: u32| {
            // Before and after, to the ears of the receiver; each hears himself.
            let numbers = |was: bool, is: bool| -> Vec<u32> {
                let heard = changes.iter().filter(|(participant, before, after)| {
                    let ears = if *participant == own {
                        u64::MAX
                    } else {
                        hears_in
                    };
                    (before & ears != 0, after & ears != 0) == (was, is)
                });
                heard.map(|(participant, ..)| *participant).collect()
            };
            let (started, stopped) = (numbers(false, true), numbers(true, false));
            let any = !started.is_empty() || !stopped.is_empty();
            let notice = Notice::Speaking {
                started: &started,
                stopped: &stopped,
            };
            any.then(|| Arc::from(sfu.protocol.write(&notice)))
        };
        let all_hear = || members.iter().all(|&m| self.sessions[m].hears_in != 0);
        if self.rooms[room_index].has_one_channel() && all_hear() {
            if let Some(message) = write(self, u64::MAX, 0) {
                self.tell_all(members, &message);
            }
            return;
        }
        for &member in members {
            let Session {
                hears_in,
                participant,
                welcomed,
                ..
            } = self.sessions[member];
            if let Some(message) = write(self, hears_in, participant).filter(|_| welcomed) {
                self.queue(member, message);
            }
        }
    }

    fn tell_all(&mut self, members: &[usize], message: &Arc<[u8]>) {
        for &member in members {
            if self.sessions[member].welcomed {
                self.queue(member, Arc::clone(message));
            }
        }
    }

    /// Queues a message for a session; one that lets too many pile up is ended.
    fn queue(&mut self, index: usize, message: Arc<[u8]>) {
        if self.sessions[index].queue(message) {
            self.mark_dirty(index);
        } else {
            self.end(index, EndReason::Protocol);
        }
    }

    fn entries(&self, members: &[usize]) -> Vec<RosterEntry<'_, P::Profile>> {
        let entry = |&member: &usize| {
            let session = &self.sessions[member];
            RosterEntry {
                id: session.participant,
                profile: session.profile.as_ref(),
                muted: session.muted,
                deafened: session.deafened,
                speaker: session.speaks_in != 0,
            }
        };
        members.iter().map(entry).collect()
    }
}
