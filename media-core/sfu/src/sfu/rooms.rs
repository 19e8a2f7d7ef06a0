//! Serving rooms: what they ask for, their voice, their timers; and what the edge has for members.

use std::sync::Arc;
use std::time::Duration;

use super::{Event, Sfu, Transmit};
use crate::deadline::Deadline;
use crate::idents::{PlayerKey, RoomKey, SessionId};
use crate::link::Phase;
use crate::protocol::{Hello, Protocol, Request};
use crate::room::Output;
use crate::rtp::Opened;
use crate::stats::{DropReason, EndReason};
use crate::timers::Owner;
use crate::usage::UsageRecord;

/// Buffers kept for voice that waits: more than most batches bring.
const MAX_SPARE: usize = 256;
/// Longest tag of a sealed voice packet (RFC 7714).
const MAX_TAG_BYTES: usize = 16;

/// Time over which the participants of a room that has moved are asked to follow.
const FOLLOWS_WITHIN: Duration = Duration::from_millis(500);

/// A client says something each second.
const SILENT_AFTER: Duration = Duration::from_millis(1_500);

/// Whether one epoch of a home is before another, of which the low 8 bits are known: of two that
/// are not 128 moves apart.
pub(super) fn is_before(epoch: u8, other: u8) -> bool {
    epoch.wrapping_sub(other) >= 128
}

impl<P: Protocol> Sfu<P> {
    /// Puts a session whose handshake finished into its room.
    pub(super) fn enter_room(&mut self, index: usize) {
        let link = &mut self.links[index];
        let room = link.room;
        debug_assert!(link.member().is_none(), "in the room once");
        let member = self.rooms[room].room.enter(self.now, index, &link.entry);
        link.phase = Phase::Live { member };
        let epoch = link.home_epoch;
        self.after_room(room);
        self.end_left_behind(room, epoch);
    }

    /// A room that had moved away is back: whoever came before it went, and was not heard of since,
    /// has followed it and says goodbye to nobody. While this shard stood still it took his last
    /// words, so he is known by his silence alone.
    fn end_left_behind(&mut self, room: usize, epoch: u8) {
        let key = self.rooms[room].room.key;
        if !self.moved.since(0).any(|(known, _)| *known == key) {
            return;
        }
        for index in self.link_indices() {
            let link = &self.links[index];
            let is_of_before = link.room == room && is_before(link.home_epoch, epoch);
            if is_of_before && self.now >= link.last_heard + SILENT_AFTER {
                self.end(index, EndReason::Timeout);
            }
        }
    }

    /// A hello came.
    pub(super) fn introduce(&mut self, index: usize, member: usize, hello: Hello<P::Profile>) {
        let room_index = self.links[index].room;
        let muted_until = hello.muted_until_ms.map(|at_ms| self.instant_at(at_ms));
        let ends_at = hello.until_ms.map(|at_ms| self.instant_at(at_ms));
        let Self {
            rooms,
            protocol,
            stats,
            now,
            ..
        } = self;
        let room = &mut rooms[room_index].room;
        let introduced = room.introduce(*now, protocol, member, hello, stats);
        if introduced.is_ok() {
            room.limit_mute(member, muted_until);
        }
        match introduced {
            Ok(()) => {
                if let Some(ends_at) = ends_at {
                    self.links[index].deadline = Deadline::at(self.now, ends_at);
                    self.arm_link(index);
                }
                self.settle_place(index);
            }
            Err(reason) => stats.drop(reason),
        }
        self.after_room(room_index);
    }

    /// Silences a player in a room, or does not any more.
    pub(super) fn mute(
        &mut self,
        room: RoomKey,
        player: PlayerKey,
        until_ms: Option<u64>,
        at_ms: u64,
    ) {
        let until = until_ms.map(|until_ms| self.instant_at(until_ms));
        self.mutes.note((room, player), until, at_ms);
        if let Some(&index) = self.by_room.get(&room) {
            self.rooms[index].room.mute(self.now, player, until, at_ms);
            self.after_room(index);
        }
    }

    /// Lets one player block another in a room, or not any more.
    pub(super) fn block(
        &mut self,
        room: RoomKey,
        players: (PlayerKey, PlayerKey),
        blocked: bool,
        at_ms: u64,
    ) {
        self.blocks.note((room, players), blocked, at_ms);
        if let Some(&index) = self.by_room.get(&room) {
            let room = &mut self.rooms[index].room;
            room.block(self.now, players, blocked, at_ms);
            self.after_room(index);
        }
    }

    /// Ends what sessions a player has in a room, those included that are about to come.
    pub(super) fn kick(&mut self, room: RoomKey, player: PlayerKey, at_ms: u64) {
        self.kicks.note((room, player), (), at_ms);
        let Some(&room) = self.by_room.get(&room) else {
            return;
        };
        for index in self.link_indices() {
            let link = &self.links[index];
            let is_his = link.room == room && link.entry.player == player;
            if is_his && link.entry.issued_at_ms <= at_ms {
                self.end(index, EndReason::Kicked);
            }
        }
    }

    /// Ends what sessions a player has on the shard, those included that are about to come.
    pub(super) fn revoke(&mut self, player: PlayerKey, at_ms: u64) {
        self.revoked.note(player, (), at_ms);
        for index in self.link_indices() {
            let entry = &self.links[index].entry;
            if entry.player == player && entry.issued_at_ms <= at_ms {
                self.end(index, EndReason::Kicked);
            }
        }
    }

    /// Whether a room has moved since it had this epoch.
    pub(super) fn has_moved(&self, room: RoomKey, epoch: u8) -> bool {
        let mut moved = self.moved.since(0);
        moved.any(|(known, since)| *known == room && is_before(epoch, since))
    }

    /// A room has moved away: who is here, and whoever comes with a ticket from before, is to
    /// follow.
    pub(super) fn moved(&mut self, room: RoomKey, epoch: u8) {
        let at_ms = self.clock.unix_ms(self.now);
        self.moved.note(room, epoch, at_ms);
        let Some(&room) = self.by_room.get(&room) else {
            return;
        };
        for index in self.link_indices() {
            let link = &self.links[index];
            let is_asked = link.migrate_at.is_some() || link.leave_by.is_some();
            if link.room == room && is_before(link.home_epoch, epoch) && !is_asked {
                self.migrate_within(index, FOLLOWS_WITHIN);
            }
        }
    }

    /// Takes a message of the edge as if a session had sent it.
    pub(super) fn hello(&mut self, session: SessionId, message: &[u8]) {
        let Some(&index) = self.by_session.get(&session) else {
            return;
        };
        let member = self.links[index].member();
        match (member, self.protocol.read(session, message)) {
            (Some(member), Ok(Request::Hello(hello))) => self.introduce(index, member, hello),
            _ => self.stats.drop(DropReason::BadMessage),
        }
    }

    /// Does what a room asks for, and sets its timer.
    pub(super) fn after_room(&mut self, index: usize) {
        while let Some(output) = self.rooms[index].room.poll_output() {
            match output {
                Output::Tell { link, message } => self.queue(link, message),
                Output::Replaced { link } => self.say_good_bye(link, EndReason::Replaced),
            }
        }
        let kept = &mut self.rooms[index];
        debug_assert!(kept.room.poll_output().is_none(), "all was done");
        let at = kept.room.poll_timeout();
        self.timers
            .arm(self.now, &mut kept.alarm, at, Owner::Room(index));
    }

    pub(super) fn room_due(&mut self, index: usize) {
        let kept = &mut self.rooms[index];
        if kept.room.handle_timeout(self.now, &self.protocol) {
            self.report_usage(index);
        }
        self.after_room(index);
    }

    /// One connection less refers to the room: it goes with its last.
    pub(super) fn release_room(&mut self, index: usize) {
        let room = &mut self.rooms[index].room;
        room.give_link_back();
        if room.links() == 0 {
            debug_assert_eq!(room.len(), 0, "a member has a link");
            self.report_usage(index);
            let kept = self.rooms.remove(index);
            self.by_room.remove(&kept.room.key);
        }
    }

    /// Makes a record of what a room used since the last.
    pub(super) fn report_usage(&mut self, index: usize) {
        let next = self.period();
        let room = &mut self.rooms[index].room;
        let (minute_ms, usage) = room.take_usage(self.now, next);
        if usage.is_nothing() {
            return;
        }
        self.usage_records += 1;
        self.events.push_back(Event::Used(UsageRecord {
            sequence: self.usage_records,
            minute_ms,
            room: room.key,
            usage,
        }));
    }

    /// An authentic packet of voice came.
    pub(super) fn note_received(&mut self, index: usize, bytes: usize) {
        let room = &mut self.rooms[self.links[index].room].room;
        room.note_received(bytes);
        self.stats.usage.note_received(bytes);
    }

    /// Queues a message for a session; one that lets too many pile up is ended.
    pub(super) fn queue(&mut self, index: usize, message: Arc<[u8]>) {
        // The room may have had it for somebody who was ended a moment ago.
        let Some(link) = self.links.get_mut(index).filter(|l| l.member().is_some()) else {
            return;
        };
        if link.queue(message) {
            self.mark_dirty(index);
        } else {
            self.end(index, EndReason::Protocol);
        }
    }

    /// Tells a session which of its slots changed.
    pub(super) fn queue_slots(&mut self, index: usize) {
        let link = &self.links[index];
        let Some(member) = link.member() else {
            return;
        };
        let room = &mut self.rooms[link.room].room;
        if let Some(message) = room.take_slots(&self.protocol, member) {
            self.queue(index, message.into());
        }
    }

    /// Takes an authentic packet; everybody who hears its speaker gets it when the core is drained.
    pub(super) fn handle_voice(&mut self, index: usize, packet: &Opened) {
        self.stats.voice_in += 1;
        if self.links[index].report_at.is_none() {
            self.schedule_report(index);
        }
        let link = &self.links[index];
        let Some(member) = link.member() else {
            return self.stats.drop(DropReason::NotSpeaker);
        };
        let room_index = link.room;
        let room = &mut self.rooms[room_index].room;
        let waited = room.has_voice();
        let taken = room.handle_voice(self.now, member, packet, &mut self.spare, &mut self.stats);
        if !waited && room.has_voice() {
            self.talking.push_back(room_index);
        }
        if let Err(reason) = taken {
            self.stats.drop(reason);
        }
        if taken != Ok(false) {
            self.after_room(room_index);
        }
    }

    /// Sends what waits in a room to its next listener: all of it at once.
    pub(super) fn forward_to_next(&mut self, room_index: usize) {
        let Self {
            rooms,
            links,
            dirty,
            stats,
            transmits,
            spare,
            now,
            ..
        } = self;
        // The room may have gone with its last member.
        let Some(kept) = rooms.get_mut(room_index) else {
            self.talking.pop_front();
            return;
        };
        let Some(listener) = kept.room.next_listener(*now) else {
            kept.room.finish_forwarding(spare);
            spare.truncate(MAX_SPARE);
            self.talking.pop_front();
            return;
        };
        let link = &mut links[listener.link];
        debug_assert!(link.member().is_some(), "a listener is live");
        let Some(to) = link.paths.media_route() else {
            return;
        };
        let moved = kept.room.forward(*now, listener, stats, |packet| {
            let sealed_bytes = packet.len() + MAX_TAG_BYTES;
            if !link.paths.may_send_voice(*now, to, sealed_bytes) {
                return Err(DropReason::Unproved);
            }
            let sealed = link.seal_rtp(packet).ok_or(DropReason::Seal)?;
            let data = Vec::from(sealed);
            let bytes = data.len();
            transmits.push_back(Transmit { to, data });
            Ok(bytes)
        });
        if moved && !link.dirty {
            link.dirty = true;
            dirty.push_back(listener.link);
        }
        if link.report_at.is_none() {
            self.schedule_report(listener.link);
        }
    }
}
