//! Demultiplexing and admission. **No state before proof**: a stranger's datagram allocates
//! nothing until it has shown a ticket that opens and a MESSAGE-INTEGRITY that matches it.

use std::time::Instant;

use rand::Rng;
use str0m::Input;
use str0m::net::Receive;

use super::{Kept, Sfu, Transmit};
use crate::budget::Work;
use crate::idents::{PlayerKey, RoomKey};
use crate::link::{Link, Stun, is_rtcp, username};
use crate::path::Path;
use crate::protocol::{Admission, BadTicket, Protocol};
use crate::room::{Entry, PayloadTypes, Room};
use crate::stats::{EndReason, RejectReason};

/// Rooms that are remembered while the shard is full.
const MAX_REFUSED_ROOMS: usize = 64;
/// Longest client username fragment (RFC 8839).
const MAX_CLIENT_UFRAG_BYTES: usize = 256;
/// Largest RTP payload type (RFC 3550).
const MAX_PAYLOAD_TYPE: u8 = 127;
/// First sequence numbers stay below this, so that none starts near a roll-over (RFC 3711).
const FIRST_SEQ_LIMIT: u64 = 1 << 15;

impl<P: Protocol> Sfu<P> {
    /// Takes a datagram that came from `from`, an address (UDP) or a path.
    pub fn handle_datagram(&mut self, now: Instant, from: impl Into<Path>, data: &[u8]) {
        let from = from.into();
        self.advance(now);
        self.stats.datagrams_in += 1;
        self.stats.bytes_in += data.len() as u64;
        let accepted = match data.first() {
            Some(0 | 1) => self.handle_stun(from, data),
            Some(20..=63 | 128..=191) => self.handle_from_peer(from, data),
            _ => Err(RejectReason::UnknownKind),
        };
        if let Err(reason) = accepted {
            self.stats.reject(reason);
        }
    }

    /// DTLS, RTP and RTCP: only from an address that STUN has proved.
    fn handle_from_peer(&mut self, from: Path, data: &[u8]) -> Result<(), RejectReason> {
        let index = *self.by_path.get(&from).ok_or(RejectReason::NoSession)?;
        let link = &mut self.links[index];
        link.paths.note_received(self.now, from, data.len());
        if is_rtcp(data) && link.paths.awaits_report() {
            self.handle_answer(index, from, data)?;
        }
        match data {
            [128..=191, ..] if is_rtcp(data) => self.handle_report(index, data),
            [128..=191, ..] => self.handle_rtp(index, from, data),
            _ => {
                self.links[index].paths.note_dtls(from);
                self.give(index, from, data)
            }
        }
    }

    fn handle_rtp(&mut self, index: usize, from: Path, data: &[u8]) -> Result<(), RejectReason> {
        let link = &mut self.links[index];
        let opened = link.open_rtp(self.now, data, &*self.config.srtp);
        let opened = opened.ok_or(RejectReason::Srtp)?;
        let is_to_be_asked = link.paths.note_fresh(self.now, from);
        self.note_received(index, data.len());
        self.handle_voice(index, &opened);
        if is_to_be_asked {
            self.ask(index);
        }
        Ok(())
    }

    /// A report may answer what was asked by one.
    fn handle_answer(&mut self, index: usize, from: Path, data: &[u8]) -> Result<(), RejectReason> {
        self.take_work(index, data.len())?;
        let link = &mut self.links[index];
        link.handle_answer(self.now, (from, data), &*self.config.srtp);
        Ok(())
    }

    fn handle_stun(&mut self, from: Path, data: &[u8]) -> Result<(), RejectReason> {
        let username = username(data).ok_or(RejectReason::StunMalformed)?;
        let (ufrag, client) = username
            .split_once(':')
            .ok_or(RejectReason::TicketMalformed)?;
        let known = self.by_path.get(&from).copied();
        let is_his = |index: &usize| self.links[*index].credentials.ufrag == ufrag;
        if let Some(index) = known.filter(is_his) {
            return self.handle_check(index, from, data);
        }
        let admission = self.protocol.open(ufrag).map_err(|bad| match bad {
            BadTicket::Malformed => RejectReason::TicketMalformed,
            BadTicket::Version => RejectReason::TicketVersion,
            BadTicket::Sealed => RejectReason::TicketSealed,
        })?;
        let known = self.by_session.get(&admission.session).copied();
        let mut instead_of = None;
        if known.is_none() {
            instead_of = match self.may_admit(&admission) {
                Ok(instead_of) => instead_of,
                Err(reason) if is_answered(reason) => {
                    return Err(self.refuse(from, data, &admission, reason));
                }
                Err(reason) => return Err(reason),
            };
        }
        let check = self.stun().verify(data, &admission.ice_password)?;
        // First, since the new one may come from where it is.
        if let Some(other) = instead_of {
            self.close(other, EndReason::HalfOpen);
        }
        let newcomer = known.is_none().then_some(admission.player);
        self.free_path(from, newcomer)?;
        let index = match known {
            Some(index) => index,
            None => self.admit(admission, ufrag, client)?,
        };
        self.bind_path(index, from);
        let link = &mut self.links[index];
        link.paths.note_received(self.now, from, data.len());
        link.handle_check(self.now, from, check.use_candidate());
        self.give(index, from, data)
    }

    /// A check of a session from where it is known.
    fn handle_check(&mut self, index: usize, from: Path, data: &[u8]) -> Result<(), RejectReason> {
        let link = &mut self.links[index];
        let stun = Stun(&self.config.crypto);
        let password = &link.credentials.password;
        let check = stun.verify(data, password)?;
        let answer = stun.answer(&check, from.address, password);
        link.paths.note_received(self.now, from, data.len());
        if !link.handle_check(self.now, from, check.use_candidate()) {
            return self.give(index, from, data);
        }
        self.push_transmit(index, from, answer.ok_or(RejectReason::Session)?);
        self.arm_link(index);
        Ok(())
    }

    fn stun(&self) -> Stun<'_> {
        Stun(&self.config.crypto)
    }

    /// Whether a session may begin: the link that its player loses for it, if any.
    fn may_admit(&mut self, admission: &Admission) -> Result<Option<usize>, RejectReason> {
        if self.unix_s() > admission.expires_at_unix_s {
            return Err(RejectReason::TicketExpired);
        }
        let (session, expires_at) = (admission.session, admission.expires_at_unix_s);
        if self.ended.may_contain(session, expires_at) {
            return Err(RejectReason::TicketUsed);
        }
        let of = (admission.room, admission.player);
        let mut kicked = self.kicks.since(admission.issued_at_ms);
        let mut revoked = self.revoked.since(admission.issued_at_ms);
        let is_removed = kicked.any(|(known, ())| *known == of);
        if is_removed || revoked.any(|(known, ())| *known == admission.player) {
            return Err(RejectReason::Kicked);
        }
        if self.has_moved(admission.room, admission.home_epoch) {
            return Err(RejectReason::Moved);
        }
        if self.stopping {
            return Err(RejectReason::Stopping);
        }
        if !self.budgets.may_begin(self.now, admission.player) {
            return Err(RejectReason::Budget);
        }
        let room = self.by_room.get(&admission.room);
        let is_full = |room: &Room<_>| {
            room.links() >= self.config.max_room_sessions || !room.has_place_for(admission.channel)
        };
        let room_full = room.is_some_and(|&index| is_full(&self.rooms[index].room));
        if room_full || self.full || self.links.len() >= self.config.max_sessions {
            return Err(RejectReason::Full);
        }
        // His hello ends the session that he has in the room.
        let comes_back = || {
            let is_here = |&index: &usize| self.rooms[index].room.has_player(admission.player);
            admission.says_hello && room.is_some_and(is_here)
        };
        let taken = (self.links.len(), self.config.max_sessions);
        self.places.ask(admission.player, taken, comes_back)
    }

    /// Tells a client with a good ticket that he is not let in, so that he joins again at once
    /// instead of asking until his patience ends: browsers give up a pair of candidates that gets
    /// this error. Leaves no state of his.
    fn refuse(
        &mut self,
        to: Path,
        data: &[u8],
        admission: &Admission,
        reason: RejectReason,
    ) -> RejectReason {
        let check = match self.stun().verify(data, &admission.ice_password) {
            Ok(check) => check,
            Err(forged) => return forged,
        };
        if reason == RejectReason::Full && !self.refused.contains(&admission.room) {
            self.refused.push_back(admission.room);
            if self.refused.len() > MAX_REFUSED_ROOMS {
                self.refused.pop_front();
            }
        }
        let answer = self.stun().no_capacity(&check, &admission.ice_password);
        self.transmits
            .extend(answer.map(|data| Transmit { to, data }));
        reason
    }

    fn admit(
        &mut self,
        admission: Admission,
        ufrag: &str,
        client: &str,
    ) -> Result<usize, RejectReason> {
        // The edge seals no such ticket, but if it did, one would stop the whole shard: str0m
        // asserts that a payload type has seven bits.
        let largest = admission.red_payload_type.unwrap_or_default();
        let largest = largest.max(admission.opus_payload_type);
        if client.len() > MAX_CLIENT_UFRAG_BYTES || largest > MAX_PAYLOAD_TYPE {
            return Err(RejectReason::TicketMalformed);
        }
        let room_key = admission.room;
        let entry = Entry {
            player: admission.player,
            channel: admission.channel,
            permissions: admission.permissions,
            server_muted: admission.server_muted,
            issued_at_ms: admission.issued_at_ms,
            payload_types: PayloadTypes {
                opus: admission.opus_payload_type,
                red: admission.red_payload_type,
            },
            level_id: admission.audio_level_id,
            slot_ssrcs: admission.slot_ssrcs.clone(),
            first_seq: self.rng.next_u64() % FIRST_SEQ_LIMIT,
        };
        let settings = (&self.config, &self.crypto);
        let id = admission.session;
        let names = (ufrag, client);
        let mut link = Link::new(self.now, settings, (admission, entry), names)
            .map_err(|_| RejectReason::Session)?;
        link.room = self.room_of(room_key);
        link.alarm = self.timers.new_alarm();
        self.rooms[link.room].room.take_link();
        self.budgets.open(link.entry.player);
        let player = link.entry.player;
        let index = self.links.insert(link);
        self.places.open(player, index);
        let other = self.by_session.insert(id, index);
        debug_assert_eq!(other, None, "a session has one link");
        self.stats.admitted += 1;
        Ok(index)
    }

    /// The room with `key`, which is made when there is none.
    fn room_of(&mut self, key: RoomKey) -> usize {
        if let Some(&index) = self.by_room.get(&key) {
            return index;
        }
        let settings = self.config.room_settings();
        let mut room = Room::new(self.now, key, settings, self.period());
        for (&(_, player), until, at_ms) in self.mutes.all().filter(|order| order.0.0 == key) {
            room.mute(self.now, player, until, at_ms);
        }
        for (&(_, players), blocked, at_ms) in self.blocks.all().filter(|order| order.0.0 == key) {
            room.block(self.now, players, blocked, at_ms);
        }
        let alarm = self.timers.new_alarm();
        let index = self.rooms.insert(Kept { room, alarm });
        let other = self.by_room.insert(key, index);
        debug_assert_eq!(other, None, "a key has one room");
        index
    }

    /// Takes a path from the session that has it, if its client is not there, or if its player
    /// comes with a ticket that was never shown: a client with one socket moves to another session
    /// so. He hears by the old one until he is through.
    fn free_path(&mut self, path: Path, newcomer: Option<PlayerKey>) -> Result<(), RejectReason> {
        let Some(&holder) = self.by_path.get(&path) else {
            return Ok(());
        };
        let link = &mut self.links[holder];
        if link.paths.holds(self.now, path) {
            if newcomer != Some(link.entry.player) {
                return Err(RejectReason::PathTaken);
            }
        } else {
            link.paths.remove(path);
        }
        self.by_path.remove(&path);
        Ok(())
    }

    /// From now on datagrams from `path`, which is free, belong to session `index`.
    fn bind_path(&mut self, index: usize, path: Path) {
        let other = self.by_path.insert(path, index);
        debug_assert_eq!(other, None, "a path belongs to one session");
        let given_up = self.links[index].paths.add(self.now, path);
        if let Some(given_up) = given_up.filter(|path| self.by_path.get(path) == Some(&index)) {
            self.by_path.remove(&given_up);
        }
        debug_assert!(self.links[index].paths.iter().any(|known| known == path));
    }

    /// Hands a datagram to the session's str0m instance, if its budget allows.
    fn give(&mut self, index: usize, from: Path, data: &[u8]) -> Result<(), RejectReason> {
        self.take_work(index, data.len())?;
        if self.links[index].dirty {
            // str0m wants to be drained between two inputs.
            self.service(index);
        }
        let destination = self.config.local_for(from).ok_or(RejectReason::Session)?;
        let link = self.links.get_mut(index).ok_or(RejectReason::NoSession)?;
        let receive = Receive::new(from.protocol(), from.address, destination, data)
            .map_err(|_| RejectReason::Session)?;
        let who = (link.id, link.entry.player);
        let began = self.config.meter.begin();
        let taken = link.rtc.handle_input(Input::Receive(self.now, receive));
        // An error is the fault of this datagram, which may be forged: the session goes on.
        self.drain(index);
        if let Some(link) = self.links.get_mut(index).filter(|link| link.id == who.0) {
            link.note_opened(self.now, from);
            self.ask(index);
        }
        self.note_work(index, who, (began, Work::Datagram));
        taken.map_err(|_| RejectReason::Session)
    }
}

/// Whether a client with a good ticket is told that it was refused for `reason`.
fn is_answered(reason: RejectReason) -> bool {
    use RejectReason::{Full, Moved, PlayerSessions, Reserve, Stopping};
    matches!(reason, Full | Moved | Stopping | PlayerSessions | Reserve)
}

/// The ticket that a STUN binding request shows in its USERNAME, unopened and unproved; none when
/// `datagram` is no such request. For a shell that must choose a shard.
pub fn ticket_of(datagram: &[u8]) -> Option<&str> {
    Some(username(datagram)?.split_once(':')?.0)
}
