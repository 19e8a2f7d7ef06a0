//! Serving one session: draining str0m, acting on its events, passing voice on.

use std::time::{Duration, Instant};

use str0m::channel::ChannelData;
use str0m::rtp::RtpPacket;
use str0m::{Event as RtcEvent, IceConnectionState, Input, Output};

use crate::forward::send_to;
use crate::protocol::{Protocol, Request};
use crate::session::Phase;
use crate::sfu::{Event, Sfu, Transmit};
use crate::stats::{DropReason, EndReason};

/// When to try again after str0m reported an error and lived on.
const RETRY: Duration = Duration::from_millis(50);
/// Voice that one packet carries, for usage: packets of clients are 20 ms long.
const PACKET_TIME: Duration = Duration::from_millis(20);
/// Rounds of writing and draining in one service; what is left waits for the next.
const MAX_ROUNDS: usize = 4;

impl<P: Protocol> Sfu<P> {
    /// Lets a session send what it has, and arms its timer.
    pub(crate) fn service(&mut self, index: usize) {
        self.sessions[index].dirty = false;
        for _ in 0..MAX_ROUNDS {
            self.queue_slots(index);
            let session = &mut self.sessions[index];
            let wrote = session.flush_outbox();
            // Also without a message: queued voice leaves on a timeout.
            let _ = session.rtc.handle_input(Input::Timeout(self.now));
            if let Err(reason) = wrote {
                self.end(index, reason);
            }
            self.drain(index);
            match self.sessions.get(index) {
                Some(_) if wrote == Ok(true) => {}
                _ => return,
            }
        }
        self.mark_dirty(index);
    }

    /// Takes everything that str0m has to say. The session may be gone afterwards.
    pub(crate) fn drain(&mut self, index: usize) {
        loop {
            if let Phase::Gone { reason } = self.sessions[index].phase {
                return self.close(index, reason);
            }
            match self.sessions[index].rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.sessions[index].rtc_at = at;
                    break;
                }
                Ok(Output::Transmit(transmit)) => {
                    let data = Vec::from(transmit.contents);
                    self.transmit(index, transmit.destination, data);
                }
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
                Output::Transmit(transmit) => {
                    let data = Vec::from(transmit.contents);
                    self.transmit(index, transmit.destination, data);
                }
                Output::Event(_) => {}
            }
        }
        self.remove(index, reason);
    }

    fn transmit(&mut self, index: usize, to: std::net::SocketAddr, data: Vec<u8>) {
        let to = self.sessions[index].route(to, &data);
        let room = &mut self.rooms[self.sessions[index].room];
        room.usage.packets_out += 1;
        room.usage.bytes_out += data.len() as u64;
        self.transmits.push_back(Transmit { to, data });
    }

    fn handle_rtc_event(&mut self, index: usize, event: RtcEvent) {
        match event {
            RtcEvent::Connected => self.handle_connected(index),
            RtcEvent::IceConnectionStateChange(IceConnectionState::Disconnected)
                if !matches!(self.sessions[index].phase, Phase::Handshake { .. }) =>
            {
                self.give_up(index, EndReason::Timeout);
            }
            // Nothing of a session counts before its certificate was compared.
            _ if matches!(self.sessions[index].phase, Phase::Handshake { .. }) => {}
            RtcEvent::RtpPacket(packet) => self.handle_voice(index, packet),
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
        if session.channel != Some(data.id) || !session.is_live() {
            return;
        }
        if !session.take_message(self.now, max_per_s) {
            return self.stats.drop(DropReason::MessageRate);
        }
        match self.protocol.read(session.id, &data.data) {
            Ok(Request::Hello { profile, channels }) => self.introduce(index, profile, &channels),
            Ok(Request::Ping { id }) => self.pong(index, id),
            Ok(Request::State { muted, deafened }) => self.set_state(index, muted, deafened),
            Ok(Request::Leave) => self.end(index, EndReason::Left),
            Ok(Request::Unknown) => {}
            Err(_) => self.stats.drop(DropReason::BadMessage),
        }
    }

    /// Passes an authentic packet on to everybody who hears its speaker.
    fn handle_voice(&mut self, index: usize, packet: RtpPacket) {
        let now = self.now;
        self.stats.voice_in += 1;
        let config = self.config.speaking;
        let session = &mut self.sessions[index];
        session.last_heard = now;
        if let Some(replaced) = session.voice.prove(*packet.header.ssrc) {
            session.rtc.direct_api().remove_stream_rx(replaced.into());
        }
        if session.speaks_in == 0 || session.muted || !session.is_live() {
            return self.stats.drop(DropReason::NotSpeaker);
        }
        let forwardable = match session.voice.handle_packet(now, &config, packet) {
            Ok(forwardable) => forwardable,
            Err(reason) => return self.stats.drop(reason),
        };
        let speaker = (session.participant, session.voice.source);
        let (speaks_in, room_index) = (session.speaks_in, session.room);
        let player = session.player;
        self.rooms[room_index].usage.talk_time += PACKET_TIME;
        if forwardable.started {
            self.schedule_flush(room_index);
        }
        let Self {
            rooms,
            sessions,
            dirty,
            stats,
            ..
        } = self;
        for &other in &rooms[room_index].members {
            let listener = &mut sessions[other];
            // Also while a player moves from one session to the next he does not hear himself.
            if listener.player == player || listener.hears_in & speaks_in == 0 || listener.deafened
            {
                continue;
            }
            let payload_type = listener.voice.payload_type();
            let target = (
                &mut listener.rtc,
                listener.slots.as_mut_slice(),
                payload_type,
            );
            match send_to(now, target, speaker, &forwardable, &config) {
                Ok(moved) => {
                    stats.voice_out += 1;
                    if let Some(slot) = moved {
                        listener.slots_changed |= 1 << slot;
                    }
                    if !listener.dirty {
                        listener.dirty = true;
                        dirty.push_back(other);
                    }
                }
                Err(reason) => stats.drop(reason),
            }
        }
    }

    /// The end of the current minute of Unix time.
    pub(crate) fn minute_end(&self) -> Instant {
        let into = self.clock.unix_ms(self.now) % 60_000;
        self.now + Duration::from_millis(60_000 - into)
    }
}
