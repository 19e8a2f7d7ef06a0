//! Serving one session: draining str0m, acting on its events, passing voice on.

use std::time::{Duration, Instant};

use rand::Rng;
use str0m::channel::ChannelData;
use str0m::{Event as RtcEvent, Input, Output, net};

use crate::forward::{Pending, Speaker, fit};
use crate::inbound::Opened;
use crate::path::Path;
use crate::protocol::{Protocol, Request};
use crate::session::Phase;
use crate::sfu::{Event, Sfu, Transmit};
use crate::stats::{DropReason, EndReason};

/// When to try again after str0m reported an error and lived on.
const RETRY: Duration = Duration::from_millis(50);
/// Voice that one packet carries, for usage: packets of clients are 20 ms long.
const PACKET_TIME: Duration = Duration::from_millis(20);
/// Mean time between two reports (RFC 3550 section 6.2).
const REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// Buffers kept for voice that waits: more than most batches bring.
const MAX_SPARE: usize = 256;

impl<P: Protocol> Sfu<P> {
    /// Lets a session send what it has, and arms its timer.
    pub(crate) fn service(&mut self, index: usize) {
        self.sessions[index].dirty = false;
        self.queue_slots(index);
        let session = &mut self.sessions[index];
        let wrote = session.flush_outbox();
        // Also without a message: the session may be here because a timer of str0m is due.
        let _ = session.rtc.handle_input(Input::Timeout(self.now));
        if let Err(reason) = wrote {
            self.end(index, reason);
        }
        self.drain(index);
    }

    /// Takes everything that str0m has to say. The session may be gone afterwards.
    pub(crate) fn drain(&mut self, index: usize) {
        let mut was_due = false;
        loop {
            if let Phase::Gone { reason } = self.sessions[index].phase {
                return self.close(index, reason);
            }
            match self.sessions[index].rtc.poll_output() {
                // At once, while what it looks at is at hand.
                Ok(Output::Timeout(at)) if at <= self.now && !was_due => {
                    was_due = true;
                    let timeout = Input::Timeout(self.now);
                    let _ = self.sessions[index].rtc.handle_input(timeout);
                }
                Ok(Output::Timeout(at)) => {
                    self.sessions[index].note_timeout(self.now, at);
                    break;
                }
                Ok(Output::Transmit(transmit)) => self.transmit(index, transmit),
                Ok(Output::Event(event)) => self.handle_rtc_event(index, event),
                Err(_) => {
                    self.sessions[index].rtc_at = self.now + RETRY;
                    break;
                }
            }
        }
        if self.sessions[index].rtc.is_alive() {
            self.arm_session(index);
        } else {
            let reason = match self.sessions[index].phase {
                Phase::Handshake { .. } => EndReason::Handshake,
                Phase::Ending { reason, .. } | Phase::Gone { reason } => reason,
                Phase::Live => EndReason::Left,
            };
            self.remove(index, reason);
        }
    }

    /// Says good-bye on the transport and forgets the session.
    fn close(&mut self, index: usize, reason: EndReason) {
        let session = &mut self.sessions[index];
        let _ = session.rtc.close();
        let _ = session.rtc.handle_input(Input::Timeout(self.now));
        while let Ok(output) = self.sessions[index].rtc.poll_output() {
            match output {
                Output::Timeout(_) => break,
                Output::Transmit(transmit) => self.transmit(index, transmit),
                Output::Event(_) => {}
            }
        }
        self.remove(index, reason);
    }

    fn transmit(&mut self, index: usize, transmit: net::Transmit) {
        let data = Vec::from(transmit.contents);
        let to = Path::of(transmit.proto, transmit.destination);
        if let Some(to) = self.sessions[index].route(to, &data) {
            self.push_transmit(index, to, data);
        }
    }

    pub(crate) fn push_transmit(&mut self, index: usize, to: Path, data: Vec<u8>) {
        let room = &mut self.rooms[self.sessions[index].room];
        room.usage.packets_out += 1;
        room.usage.bytes_out += data.len() as u64;
        self.transmits.push_back(Transmit { to, data });
    }

    fn handle_rtc_event(&mut self, index: usize, event: RtcEvent) {
        match event {
            RtcEvent::Connected => self.handle_connected(index),
            // Nothing of a session counts before its certificate was compared.
            _ if matches!(self.sessions[index].phase, Phase::Handshake { .. }) => {}
            RtcEvent::ChannelOpen(id, _) => {
                self.sessions[index].channel.get_or_insert(id);
            }
            RtcEvent::ChannelData(data) => self.handle_message(index, &data),
            RtcEvent::ChannelClose(id) if self.sessions[index].channel == Some(id) => {
                self.end(index, EndReason::Left);
            }
            RtcEvent::Closed => self.end(index, EndReason::Left),
            _ => {}
        }
    }

    fn handle_connected(&mut self, index: usize) {
        if !matches!(self.sessions[index].phase, Phase::Handshake { .. }) {
            return;
        }
        if !self.sessions[index].fingerprint_matches() {
            self.sessions[index].phase = Phase::Gone {
                reason: EndReason::Fingerprint,
            };
            return;
        }
        let session = &mut self.sessions[index];
        if !session.take_keys(&*self.config.srtp) {
            session.phase = Phase::Gone {
                reason: EndReason::Handshake,
            };
            return;
        }
        session.phase = Phase::Live;
        session.last_heard = self.now;
        self.stats.connected += 1;
        self.events.push_back(Event::Connected {
            session: session.id,
        });
        self.enter_room(index);
    }

    fn handle_message(&mut self, index: usize, data: &ChannelData) {
        let max_per_s = self.config.max_messages_per_s;
        let session = &mut self.sessions[index];
        session.last_heard = self.now;
        session.is_confirmed = true;
        if session.channel != Some(data.id) || !session.is_live() {
            return;
        }
        if !session.take_message(self.now, max_per_s) {
            return self.stats.drop(DropReason::MessageRate);
        }
        match self.protocol.read(session.id, &data.data) {
            Ok(Request::Hello {
                profile,
                channels,
                world,
            }) => {
                self.sessions[index].reads_world |= world;
                self.introduce(index, profile, &channels);
            }
            Ok(Request::Ping { id }) => self.pong(index, id),
            Ok(Request::State { muted, deafened }) => self.set_state(index, muted, deafened),
            Ok(Request::Leave) => self.end(index, EndReason::Left),
            Ok(Request::Unknown) => {}
            Err(_) => self.stats.drop(DropReason::BadMessage),
        }
    }

    /// Takes an authentic packet; everybody who hears its speaker gets it when the core is drained.
    pub(crate) fn handle_voice(&mut self, index: usize, packet: &Opened) {
        let now = self.now;
        self.stats.voice_in += 1;
        let config = self.config.speaking;
        let session = &mut self.sessions[index];
        session.last_heard = now;
        session.is_confirmed = true;
        if session.report_at.is_none() {
            self.schedule_report(index);
        }
        let session = &mut self.sessions[index];
        let types = session.voice.payload_types();
        if !types.contain(packet.payload_type()) {
            return self.stats.drop(DropReason::PayloadType);
        }
        session.voice.note_source(packet.ssrc());
        if session.speaks_in == 0 || session.muted || !session.is_live() {
            return self.stats.drop(DropReason::NotSpeaker);
        }
        let forwardable = match session.voice.handle_packet(now, &config, packet) {
            Ok(forwardable) => forwardable,
            Err(reason) => return self.stats.drop(reason),
        };
        let speaker = Speaker {
            player: session.player,
            participant: session.participant,
            source: session.voice.source,
            speaks_in: session.speaks_in,
            opus: types.opus,
        };
        let room_index = session.room;
        let room = &mut self.rooms[room_index];
        room.usage.talk_time += PACKET_TIME;
        if room.pending.is_empty() {
            self.talking.push_back(room_index);
        }
        let pending = Pending::new(speaker, forwardable, packet.payload(), &mut self.spare);
        room.pending.push(pending);
        if forwardable.started {
            // From here to the end of the spurt that only moves away.
            self.arm_session(index);
            self.schedule_flush(room_index);
        }
    }

    /// Sends what waits in a room to its next member: all of it at once, so that what is known of
    /// the member is looked at once and datagrams to one address leave together.
    pub(crate) fn forward_to_next(&mut self, room_index: usize) {
        let Self {
            rooms,
            sessions,
            dirty,
            stats,
            config,
            transmits,
            now,
            ..
        } = self;
        // The room may have gone with its last member.
        let Some(room) = rooms.get_mut(room_index) else {
            self.talking.pop_front();
            return;
        };
        let Some(&member) = room.members.get(room.served) else {
            self.finish_forwarding(room_index);
            return;
        };
        room.served += 1;
        let listener = &mut sessions[member];
        if listener.deafened || listener.hears_in == 0 {
            return;
        }
        let Some(to) = listener.media_route() else {
            return;
        };
        let types = listener.voice.payload_types();
        for pending in &mut room.pending {
            let speaker = pending.speaker;
            // Also while a player moves from one session to the next he does not hear himself.
            if listener.player == speaker.player || listener.hears_in & speaker.speaks_in == 0 {
                continue;
            }
            let slots = &mut listener.slots;
            let (header, moved) = match fit(*now, slots, types, pending, &config.speaking) {
                Ok(fitted) => fitted,
                Err(reason) => {
                    stats.drop(reason);
                    continue;
                }
            };
            let Some(data) = listener.seal_rtp(pending.with_header(types, header)) else {
                stats.drop(DropReason::Seal);
                continue;
            };
            stats.voice_out += 1;
            room.usage.packets_out += 1;
            room.usage.bytes_out += data.len() as u64;
            let data = Vec::from(data);
            transmits.push_back(Transmit { to, data });
            if let Some(slot) = moved {
                listener.slots_changed |= 1 << slot;
                if !listener.dirty {
                    listener.dirty = true;
                    dirty.push_back(member);
                }
            }
        }
        if listener.report_at.is_none() {
            self.schedule_report(member);
        }
    }

    fn finish_forwarding(&mut self, room_index: usize) {
        self.talking.pop_front();
        let room = &mut self.rooms[room_index];
        room.served = 0;
        let packets = room.pending.drain(..).flat_map(Pending::into_spare);
        self.spare.extend(packets);
        self.spare.truncate(MAX_SPARE);
    }

    /// Has the next reports of a session sent at a random moment half to one and a half
    /// intervals from now, as RFC 3550 section 6.3.1 wants it: whoever hears the same speaker must
    /// not get his at the same time.
    fn schedule_report(&mut self, index: usize) {
        let share = f64::from(self.rng.next_u32()) / f64::from(u32::MAX);
        let wait = REPORT_INTERVAL.mul_f64(0.5 + share);
        self.sessions[index].report_at = Some(self.now + wait);
        self.arm_session(index);
    }

    /// Sends the reports that are due; the next ones follow the next voice.
    pub(crate) fn send_reports(&mut self, index: usize) {
        let unix_ms = self.clock.unix_ms(self.now);
        let session = &mut self.sessions[index];
        session.report_at = None;
        let data = session.seal_reports(self.now, unix_ms);
        if let (Some(to), Some(data)) = (session.media_route(), data) {
            self.push_transmit(index, to, data.into());
        }
    }

    /// The end of the current minute of Unix time.
    pub(crate) fn minute_end(&self) -> Instant {
        let into = self.clock.unix_ms(self.now) % 60_000;
        self.now + Duration::from_millis(60_000 - into)
    }
}
