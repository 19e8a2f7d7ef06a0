//! A client: a real str0m instance behind a NAT that does what a game's client does, and says in
//! each voice packet who sent it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::channel::{ChannelConfig, ChannelId};
use str0m::config::{CryptoProvider, Fingerprint};
use str0m::format::{Codec, FormatParams};
use str0m::media::{Frequency, MediaKind, Mid, Pt};
use str0m::net::{Protocol as Transport, Receive};
use str0m::rtp::{Extension, ExtensionMap, ExtensionValues, RtpWrite, SeqNo, Ssrc};
use str0m::{
    Candidate, Event as RtcEvent, IceConnectionState, IceCreds, Input, Output, Rtc, RtcConfig,
};
use wire::channel::{ClientMessage, Participant, RelayMessage};

/// Payload type of Opus in every ticket.
pub const OPUS: u8 = 111;
/// A payload type that clients can send and that is in no ticket.
pub const NOT_NEGOTIATED: u8 = 96;
/// Header extension id of the audio level in every ticket.
pub const LEVEL_ID: u8 = 3;
/// Time between two voice packets: longer than a browser's, so that a run costs less.
const PACKET_TIME: Duration = Duration::from_millis(40);
const PACKET_TICKS: u32 = 1920;
const PING_TIME: Duration = Duration::from_secs(1);
/// A client that said good-bye waits no longer for the answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
const VOICE_BYTES: usize = 40;

/// How a client reaches the relay.
pub struct Contact {
    /// The relay's address.
    pub server: SocketAddr,
    /// Fingerprint of the relay's certificate.
    pub fingerprint: Fingerprint,
    /// The sealed ticket.
    pub ufrag: String,
    /// What belongs to it.
    pub password: String,
    /// SSRC of each slot.
    pub slot_ssrcs: Vec<u32>,
    /// The sealed hello; none for a client that only speaks WHIP.
    pub hello: Option<String>,
}

/// A voice packet that was heard.
#[derive(Debug, Clone, Copy)]
pub struct Heard {
    /// The slot in which it came.
    pub slot: usize,
    /// Number of the client that sent it.
    pub speaker: usize,
    /// Its count among that client's packets.
    pub count: u32,
}

/// The RTP fields of a voice packet.
#[derive(Debug, Clone, Copy)]
pub struct VoiceHeader {
    /// SSRC.
    pub source: u32,
    /// Payload type: [`OPUS`] or [`NOT_NEGOTIATED`].
    pub payload_type: u8,
    /// Sequence number, roll-overs included.
    pub seq: u64,
    /// Timestamp.
    pub time: u32,
    /// RFC 6464 level in dBov, -127 to 0.
    pub level: i8,
}

/// A client of a relay, without sockets or clock.
pub struct Client {
    n: usize,
    rtc: Rtc,
    local: SocketAddr,
    server: SocketAddr,
    slot_ssrcs: Vec<u32>,
    channel: Option<ChannelId>,
    hello: Option<String>,
    /// Its handshake is done.
    pub connected: bool,
    /// Crashed, ended or given up.
    pub down: bool,
    pub(crate) talking: bool,
    pub(crate) muted: bool,
    pub(crate) deafened: bool,
    pub(crate) leaving_at: Option<Instant>,
    pub(crate) asked_to_migrate: bool,
    /// Own number in the room, once welcome.
    pub participant: Option<u32>,
    pub(crate) roster: BTreeMap<u32, Participant>,
    /// Numbers of those who talk, as the relay said.
    pub(crate) speaking: BTreeSet<u32>,
    pub(crate) slots: Vec<Option<u32>>,
    /// What it heard since somebody took it.
    pub heard: Vec<Heard>,
    source: u32,
    seq: u64,
    time: u32,
    count: u32,
    rtc_at: Instant,
    voice_at: Instant,
    ping_at: Instant,
    out: Vec<Vec<u8>>,
}

impl Client {
    /// Client number `n` with a certificate of its own; it does nothing before [`Client::start`].
    pub fn new(now: Instant, n: usize, crypto: &Arc<CryptoProvider>, server: SocketAddr) -> Self {
        let [high, low] = (n as u16).to_be_bytes();
        let local = SocketAddr::from(([10, 1, high, low], 5000));
        let mut extensions = ExtensionMap::empty();
        extensions.set(LEVEL_ID, Extension::AudioLevel);
        let certificate = crypto
            .dtls_provider
            .generate_certificate()
            .expect("the provider makes certificates");
        let mut settings = RtcConfig::new()
            .set_crypto_provider(Arc::clone(crypto))
            .set_dtls_cert(certificate)
            .clear_codecs()
            .set_rtp_mode(true)
            .set_extension_map(extensions);
        for payload_type in [OPUS, NOT_NEGOTIATED] {
            settings.codec_config().add_config(
                Pt::from(payload_type),
                None,
                Codec::Opus,
                Frequency::FORTY_EIGHT_KHZ,
                Some(2),
                FormatParams::default(),
            );
        }
        Self {
            n,
            rtc: settings.build(now),
            local,
            server,
            slot_ssrcs: Vec::new(),
            channel: None,
            hello: None,
            connected: false,
            down: false,
            talking: false,
            muted: false,
            deafened: false,
            leaving_at: None,
            asked_to_migrate: false,
            participant: None,
            roster: BTreeMap::new(),
            speaking: BTreeSet::new(),
            slots: Vec::new(),
            heard: Vec::new(),
            source: 0,
            seq: 0,
            time: 0,
            count: 0,
            rtc_at: now,
            voice_at: now,
            ping_at: now,
            out: Vec::new(),
        }
    }

    /// First bytes of the certificate's fingerprint, for the ticket.
    pub fn fingerprint(&mut self) -> [u8; 16] {
        let api = self.rtc.direct_api();
        let bytes = &api.local_dtls_fingerprint().bytes;
        bytes[..16].try_into().expect("SHA-256 has 32 bytes")
    }

    /// The address that the client has before any NAT.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Starts to connect; voice will come from a first source that `start` chooses.
    pub fn start(&mut self, now: Instant, contact: Contact, source: (u32, u64, u32)) {
        for (address, is_local) in [(self.local, true), (contact.server, false)] {
            let candidate = Candidate::host(address, "udp").expect("a plain address");
            if is_local {
                self.rtc.add_local_candidate(candidate);
            } else {
                self.rtc.add_remote_candidate(candidate);
            }
        }
        let mut api = self.rtc.direct_api();
        api.set_ice_controlling(true);
        api.set_remote_ice_credentials(IceCreds {
            ufrag: contact.ufrag,
            pass: contact.password,
        });
        api.declare_media(microphone(), MediaKind::Audio);
        for &ssrc in &contact.slot_ssrcs {
            let mid = Mid::from(format!("m{ssrc}").as_str());
            api.declare_media(mid, MediaKind::Audio);
            api.expect_stream_rx(Ssrc::from(ssrc), None, mid, None);
        }
        api.set_remote_fingerprint(contact.fingerprint);
        api.start_dtls(true).expect("DTLS starts once");
        api.start_sctp(true);
        if contact.hello.is_some() {
            api.create_data_channel(ChannelConfig {
                label: wire::channel::LABEL.to_owned(),
                ..Default::default()
            });
        }
        self.slots = vec![None; contact.slot_ssrcs.len()];
        self.slot_ssrcs = contact.slot_ssrcs;
        self.hello = contact.hello;
        self.speak_from(source);
        self.rtc_at = now;
    }

    /// Sends voice from another source, as a browser does after a change of device.
    pub(crate) fn change_source(&mut self, source: (u32, u64, u32)) {
        let old = Ssrc::from(self.source);
        self.rtc.direct_api().remove_stream_tx(old);
        self.speak_from(source);
    }

    fn speak_from(&mut self, (ssrc, seq, time): (u32, u64, u32)) {
        (self.source, self.seq, self.time) = (ssrc, seq, time);
        let mut api = self.rtc.direct_api();
        api.declare_stream_tx(Ssrc::from(ssrc), None, microphone(), None);
    }

    pub(crate) fn talk(&mut self, now: Instant, talking: bool) {
        self.talking = talking;
        // RTP time goes on while nothing is said.
        let silent = now.saturating_duration_since(self.voice_at).as_millis() as u32;
        self.time = self.time.wrapping_add(silent * 48);
        self.voice_at = now;
    }

    pub(crate) fn set_state(&mut self, now: Instant, muted: bool, deafened: bool) {
        (self.muted, self.deafened) = (muted, deafened);
        self.say(now, &ClientMessage::State { muted, deafened });
    }

    pub(crate) fn leave(&mut self, now: Instant) {
        self.leaving_at = Some(now);
        self.say(now, &ClientMessage::Leave);
    }

    fn say(&mut self, now: Instant, message: &ClientMessage) {
        let text = serde_json::to_vec(message).expect("a message has string keys only");
        self.write(now, &text);
    }

    /// Sends `message` on the data channel, whatever it is, once the channel is open.
    pub fn write(&mut self, now: Instant, message: &[u8]) {
        if let Some(mut channel) = self.channel.and_then(|id| self.rtc.channel(id)) {
            // A full buffer is a network that has been bad for long: the message is lost.
            let _ = channel.write(false, message);
            self.rtc_at = now;
        }
    }

    /// When the client wants to be advanced; none when it is down.
    pub fn next_at(&self) -> Option<Instant> {
        if self.down {
            return None;
        }
        let mut at = self.rtc_at;
        if self.talking && self.connected {
            at = at.min(self.voice_at);
        }
        if self.participant.is_some() {
            at = at.min(self.ping_at);
        }
        Some(at)
    }

    /// Takes a datagram of the relay.
    pub fn handle_datagram(&mut self, now: Instant, data: &[u8]) {
        if self.down {
            return;
        }
        if let Ok(receive) = Receive::new(Transport::Udp, self.server, self.local, data) {
            let _ = self.rtc.handle_input(Input::Receive(now, receive));
            // str0m wants to be drained between two inputs.
            self.drain(now);
            self.rtc_at = now;
        }
    }

    /// Lets time pass; returns what the client sends.
    pub fn advance(&mut self, now: Instant) -> Vec<Vec<u8>> {
        if self.next_at().is_none_or(|at| now < at) {
            return Vec::new();
        }
        if self.talking && self.connected && now >= self.voice_at {
            self.voice_at = now + PACKET_TIME;
            self.send_voice(now);
        }
        if self.participant.is_some() && now >= self.ping_at {
            self.ping_at = now + PING_TIME;
            self.say(now, &ClientMessage::Ping { id: 1 });
        }
        let _ = self.rtc.handle_input(Input::Timeout(now));
        self.drain(now);
        if self
            .leaving_at
            .is_some_and(|at| now.saturating_duration_since(at) > PATIENCE)
        {
            self.down = true;
        }
        std::mem::take(&mut self.out)
    }

    fn drain(&mut self, now: Instant) {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.rtc_at = at.max(now + Duration::from_micros(100));
                    break;
                }
                Ok(Output::Transmit(transmit)) => self.out.push(Vec::from(transmit.contents)),
                Ok(Output::Event(event)) => self.handle_event(now, event),
                Err(_) => {
                    self.rtc_at = now + Duration::from_millis(50);
                    break;
                }
            }
        }
        if !self.rtc.is_alive() {
            self.down = true;
        }
    }

    fn send_voice(&mut self, now: Instant) {
        self.seq += 1;
        self.time = self.time.wrapping_add(PACKET_TICKS);
        let header = VoiceHeader {
            source: self.source,
            payload_type: OPUS,
            seq: self.seq,
            time: self.time,
            level: -20,
        };
        self.send_packet(now, header, &[0x55; VOICE_BYTES - 6]);
    }

    /// Sends a voice packet: who sends it and its count, and then `rest`.
    pub fn send_packet(&mut self, now: Instant, header: VoiceHeader, rest: &[u8]) {
        self.count += 1;
        let values = ExtensionValues {
            audio_level: Some(header.level),
            voice_activity: Some(true),
            ..Default::default()
        };
        let mut payload = (self.n as u16).to_be_bytes().to_vec();
        payload.extend(self.count.to_be_bytes());
        payload.extend(rest);
        let write = RtpWrite::new(
            Pt::from(header.payload_type),
            SeqNo::from(header.seq),
            header.time,
            now,
            payload,
        );
        let source = Ssrc::from(header.source);
        let mut api = self.rtc.direct_api();
        if header.source != self.source {
            // One stream for each mid: str0m spins with a packet in a second one.
            api.remove_stream_tx(Ssrc::from(self.source));
            api.declare_stream_tx(source, None, microphone(), None);
            self.source = header.source;
        }
        if let Some(stream) = api.stream_tx(&source) {
            stream.write_rtp(write.ext_vals(values));
            self.rtc_at = now;
        }
    }

    fn handle_event(&mut self, now: Instant, event: RtcEvent) {
        match event {
            RtcEvent::Connected => {
                self.connected = true;
                self.voice_at = now;
            }
            RtcEvent::RtpPacket(packet) => {
                let ssrc = *packet.header.ssrc;
                let slot = self.slot_ssrcs.iter().position(|known| *known == ssrc);
                if let ([a, b, c, d, e, f, ..], Some(slot)) = (&packet.payload[..], slot) {
                    self.heard.push(Heard {
                        slot,
                        speaker: usize::from(u16::from_be_bytes([*a, *b])),
                        count: u32::from_be_bytes([*c, *d, *e, *f]),
                    });
                }
            }
            RtcEvent::ChannelOpen(id, _) => {
                self.channel = Some(id);
                if let Some(sealed) = self.hello.take() {
                    self.say(now, &ClientMessage::Hello { sealed });
                }
                if self.leaving_at.is_some() {
                    self.say(now, &ClientMessage::Leave);
                }
            }
            RtcEvent::ChannelData(data) => {
                if let Ok(message) = RelayMessage::read(&data.data) {
                    self.handle_message(now, message);
                }
            }
            RtcEvent::Closed
            | RtcEvent::IceConnectionStateChange(IceConnectionState::Disconnected) => {
                self.down = true;
            }
            _ => {}
        }
    }

    fn handle_message(&mut self, now: Instant, message: RelayMessage) {
        match message {
            RelayMessage::Welcome {
                participant,
                participants,
                ..
            } => {
                self.participant = Some(participant);
                self.ping_at = now + PING_TIME;
                let entries = participants.into_iter().map(|entry| (entry.id, entry));
                self.roster.extend(entries);
            }
            RelayMessage::Roster {
                joined,
                left,
                changed,
                ..
            } => {
                let entries = joined.into_iter().chain(changed);
                self.roster.extend(entries.map(|entry| (entry.id, entry)));
                self.roster.retain(|id, _| !left.contains(id));
                self.speaking.retain(|id| !left.contains(id));
            }
            RelayMessage::Slots { slots } => {
                for state in slots {
                    if let Some(slot) = self.slots.get_mut(usize::from(state.slot)) {
                        *slot = state.participant;
                    }
                }
            }
            RelayMessage::Migrate => self.asked_to_migrate = true,
            RelayMessage::Ended { .. } => self.down = true,
            RelayMessage::Speaking { started, stopped } => {
                self.speaking.extend(started);
                self.speaking.retain(|id| !stopped.contains(id));
            }
            RelayMessage::Pong { .. } | RelayMessage::Chat { .. } | RelayMessage::Unknown => {}
        }
    }
}

fn microphone() -> Mid {
    Mid::from("mic")
}
