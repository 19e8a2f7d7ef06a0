//! Demultiplexing and admission. **No state before proof**: a stranger's datagram allocates
//! nothing until it has shown a ticket that opens and a MESSAGE-INTEGRITY that matches it.

use std::time::Instant;

use rand::Rng;
use str0m::Input;
use str0m::ice::{StunMessage, StunMessageBuilder};
use str0m::net::Receive;

use crate::path::Path;
use crate::protocol::{Admission, BadTicket, Protocol};
use crate::room::Room;
use crate::session::Session;
use crate::sfu::{Sfu, Transmit};
use crate::srtp::is_rtcp;
use crate::stats::RejectReason;

/// First bytes of a STUN binding request (RFC 8489).
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const STUN_HEADER_BYTES: usize = 20;
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const ATTRIBUTE_USERNAME: u16 = 0x0006;
/// RTCP packet type of a receiver report (RFC 3550); the first of a compound is in the clear.
const RECEIVER_REPORT: u8 = 201;
/// What a client is told whom the shard does not let in (RFC 8656, section 19).
const NO_CAPACITY: (u16, &str) = (508, "Insufficient Capacity");
/// Longest response: an IPv6 address or the error, MESSAGE-INTEGRITY and FINGERPRINT.
const RESPONSE_BYTES_MAX: usize = 128;
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
        match data {
            // About slots: there is nothing that it would change.
            [128..=191, RECEIVER_REPORT, ..] => Ok(()),
            [128..=191, ..] if is_rtcp(data) => self.handle_report(index, data),
            [128..=191, ..] => self.handle_rtp(index, data),
            _ => self.give(index, from, data),
        }
    }

    fn handle_rtp(&mut self, index: usize, data: &[u8]) -> Result<(), RejectReason> {
        let session = &mut self.sessions[index];
        let opened = session.open_rtp(self.now, data, &*self.config.srtp);
        self.handle_voice(index, &opened.ok_or(RejectReason::Srtp)?);
        Ok(())
    }

    fn handle_report(&mut self, index: usize, data: &[u8]) -> Result<(), RejectReason> {
        let noted = self.sessions[index].note_report(self.now, data);
        noted.then_some(()).ok_or(RejectReason::Srtp)
    }

    fn handle_stun(&mut self, from: Path, data: &[u8]) -> Result<(), RejectReason> {
        let username = stun_username(data).ok_or(RejectReason::StunMalformed)?;
        let (ufrag, client) = username
            .split_once(':')
            .ok_or(RejectReason::TicketMalformed)?;
        let known = self.by_path.get(&from).copied();
        if let Some(index) = known.filter(|&index| self.sessions[index].ufrag == ufrag) {
            let check = self.verify(data, &self.sessions[index].password)?;
            if !self.sessions[index].handle_check(self.now, from, check.use_candidate()) {
                return self.give(index, from, data);
            }
            let password = &self.sessions[index].password;
            let reply = StunMessage::binding_reply(check.trans_id(), from.address);
            let answer = self.sign(reply, password).ok_or(RejectReason::Session)?;
            self.push_transmit(index, from, answer);
            return Ok(());
        }
        let admission = self.protocol.open(ufrag).map_err(|bad| match bad {
            BadTicket::Malformed => RejectReason::TicketMalformed,
            BadTicket::Version => RejectReason::TicketVersion,
            BadTicket::Sealed => RejectReason::TicketSealed,
        })?;
        let (index, check) = match self.by_session.get(&admission.session) {
            Some(&index) => (index, self.verify(data, &admission.ice_password)?),
            None => {
                let allowed = self.may_admit(&admission);
                if let Err(reason @ (RejectReason::Full | RejectReason::Stopping)) = allowed {
                    return Err(self.refuse(from, data, &admission, reason));
                }
                allowed?;
                let check = self.verify(data, &admission.ice_password)?;
                (self.admit(admission, ufrag, client)?, check)
            }
        };
        self.bind_path(index, from);
        self.sessions[index].handle_check(self.now, from, check.use_candidate());
        self.give(index, from, data)
    }

    fn may_admit(&self, admission: &Admission) -> Result<(), RejectReason> {
        if self.unix_s() > admission.expires_at_unix_s {
            return Err(RejectReason::TicketExpired);
        }
        let (session, expires_at) = (admission.session, admission.expires_at_unix_s);
        if self.ended.may_contain(session, expires_at) {
            return Err(RejectReason::TicketUsed);
        }
        if self.stopping {
            return Err(RejectReason::Stopping);
        }
        let room = self
            .by_room
            .get(&admission.room)
            .map(|&index| self.rooms[index].sessions);
        let room_full = room.is_some_and(|sessions| sessions >= self.config.max_room_sessions);
        if room_full || self.full || self.sessions.len() >= self.config.max_sessions {
            return Err(RejectReason::Full);
        }
        Ok(())
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
        let check = match self.verify(data, &admission.ice_password) {
            Ok(check) => check,
            Err(forged) => return forged,
        };
        if reason == RejectReason::Full && !self.refused.contains(&admission.room) {
            self.refused.push_back(admission.room);
            if self.refused.len() > MAX_REFUSED_ROOMS {
                self.refused.pop_front();
            }
        }
        let answer = self.no_capacity(to, &check, &admission.ice_password);
        self.transmits.extend(answer);
        reason
    }

    /// The error response to a binding request; shorter than the request.
    fn no_capacity(&self, to: Path, check: &StunMessage<'_>, password: &str) -> Option<Transmit> {
        let (code, phrase) = NO_CAPACITY;
        let message = StunMessageBuilder::new().binding().failure();
        let message = message.error_code(code, phrase).build(check.trans_id());
        let data = self.sign(message, password)?;
        Some(Transmit { to, data })
    }

    /// The bytes of a response, with MESSAGE-INTEGRITY.
    fn sign(&self, message: StunMessage<'_>, password: &str) -> Option<Vec<u8>> {
        let hmac = self.config.crypto.sha1_hmac_provider;
        let mut bytes = [0; RESPONSE_BYTES_MAX];
        let length = message
            .to_bytes(Some(password.as_bytes()), &mut bytes, |key, parts| {
                hmac.sha1_hmac(key, parts)
            })
            .ok()?;
        Some(bytes[..length].to_vec())
    }

    /// Reads a binding request and checks its MESSAGE-INTEGRITY (RFC 8489 section 9.1).
    fn verify<'a>(&self, data: &'a [u8], password: &str) -> Result<StunMessage<'a>, RejectReason> {
        let message = StunMessage::parse(data).map_err(|_| RejectReason::StunMalformed)?;
        let hmac = self.config.crypto.sha1_hmac_provider;
        let matches = message.verify(password.as_bytes(), |key, parts| hmac.sha1_hmac(key, parts));
        matches.then_some(message).ok_or(RejectReason::Integrity)
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
        let (room_key, channel) = (admission.room, admission.channel);
        let (id, permissions) = (admission.session, admission.permissions);
        let first_seq = self.rng.next_u64() % FIRST_SEQ_LIMIT;
        let settings = (&self.config, &self.crypto);
        let mut session = Session::new(self.now, settings, admission, ufrag, client, first_seq)
            .map_err(|_| RejectReason::Session)?;
        let room_index = match self.by_room.get(&room_key) {
            Some(&index) => index,
            None => {
                let minute_ends = self.minute_end();
                let generation = self.next_generation();
                let room = Room::new(self.now, room_key, minute_ends, generation);
                let index = self.rooms.insert(room);
                self.by_room.insert(room_key, index);
                index
            }
        };
        let room = &mut self.rooms[room_index];
        room.sessions += 1;
        session.room = room_index;
        session.participant = room.new_participant();
        if let Some(bit) = room.take_channel(channel) {
            session.in_channels = bit;
            session.speaks_in = if permissions.speak { bit } else { 0 };
            session.hears_in = if permissions.listen { bit } else { 0 };
        }
        session.generation = self.next_generation();
        let index = self.sessions.insert(session);
        self.by_session.insert(id, index);
        self.stats.admitted += 1;
        Ok(index)
    }

    /// From now on datagrams from `path` belong to session `index`.
    fn bind_path(&mut self, index: usize, path: Path) {
        if let Some(other) = self.by_path.insert(path, index) {
            self.sessions[other].remove_path(path);
        }
        if let Some(given_up) = self.sessions[index].add_path(path) {
            self.by_path.remove(&given_up);
        }
    }

    /// Hands a datagram to the session's str0m instance.
    fn give(&mut self, index: usize, from: Path, data: &[u8]) -> Result<(), RejectReason> {
        if self.sessions[index].dirty {
            // str0m wants to be drained between two inputs.
            self.service(index);
        }
        let destination = self.config.local_for(from).ok_or(RejectReason::Session)?;
        let session = self
            .sessions
            .get_mut(index)
            .ok_or(RejectReason::NoSession)?;
        let receive = Receive::new(from.protocol(), from.address, destination, data)
            .map_err(|_| RejectReason::Session)?;
        let taken = session.rtc.handle_input(Input::Receive(self.now, receive));
        // An error is the fault of this datagram, which may be forged: the session goes on.
        self.drain(index);
        taken.map_err(|_| RejectReason::Session)
    }
}

/// The ticket that a STUN binding request shows in its USERNAME, unopened and unproved; none when
/// `datagram` is no such request. For a shell that must choose a shard.
pub fn ticket_of(datagram: &[u8]) -> Option<&str> {
    Some(stun_username(datagram)?.split_once(':')?.0)
}

/// The USERNAME of a STUN binding request, without allocating; none when it is not one.
fn stun_username(data: &[u8]) -> Option<&str> {
    let (header, mut rest) = data.split_at_checked(STUN_HEADER_BYTES)?;
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if header[..2] != BINDING_REQUEST || header[4..8] != MAGIC_COOKIE || length != rest.len() {
        return None;
    }
    while let [k0, k1, l0, l1, tail @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        let value = tail.get(..length)?;
        if u16::from_be_bytes([*k0, *k1]) == ATTRIBUTE_USERNAME {
            return std::str::from_utf8(value).ok();
        }
        rest = tail.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(attributes: &[u8]) -> Vec<u8> {
        let mut data = BINDING_REQUEST.to_vec();
        data.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
        data.extend(MAGIC_COOKIE);
        data.extend([0; 12]);
        data.extend(attributes);
        data
    }

    #[test]
    fn the_username_is_found_behind_padded_attributes() {
        let mut attributes = vec![0x80, 0x22, 0, 3, b'a', b'b', b'c', 0];
        attributes.extend([0, 6, 0, 5, b's', b':', b'c', b'd', b'e', 0, 0, 0]);
        assert_eq!(stun_username(&request(&attributes)), Some("s:cde"));
    }

    #[test]
    fn anything_else_is_no_username() {
        let good = request(&[0, 6, 0, 3, b's', b':', b'c', 0]);
        assert_eq!(stun_username(&good), Some("s:c"));
        for cut in 0..good.len() {
            assert_eq!(stun_username(&good[..cut]), None, "cut at {cut}");
        }
        for (at, to) in [
            (0, 1),
            (1, 2),
            (4, 0),
            (3, 7),
            (21, 7),
            (23, 200),
            (24, 0xff),
        ] {
            let mut bad = good.clone();
            bad[at] = to;
            assert_eq!(stun_username(&bad), None, "byte {at} set to {to}");
        }
    }
}
