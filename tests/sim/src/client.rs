//! A client behind a NAT that does what a game's client does, and says in each voice packet who
//! sent it: a [`Connection`] that never gives up, so that what the relay does on a bad network is
//! seen to its end. What no game's client does is here: any bytes as a message, any packet as
//! voice.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::client::{Connection, Event, Options, Voice, VoiceReceived};
pub use ::client::{Contact, LEVEL_ID, OPUS};
use str0m::config::{CryptoProvider, DtlsVersion};
use wire::channel::{ClientMessage, Participant, RelayMessage};

/// A payload type that clients can send and that is in no ticket.
pub const NOT_NEGOTIATED: u8 = 96;
/// Time between two voice packets: longer than a browser's, so that a run costs less.
const PACKET_TIME: Duration = Duration::from_millis(40);
const PACKET_TICKS: u32 = 1920;
/// Of this client itself: the connection pings only where it may also give up.
const PING_TIME: Duration = Duration::from_secs(1);
/// A client that said good-bye waits no longer for the answer: longer than a game's, so that a
/// relay which does not answer is told from a network that does not.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
const VOICE_BYTES: usize = 40;
/// What a hostile client sends at once.
const FLOOD_PACKETS: usize = 400;
const FLOOD_BYTES: usize = 300;

/// Whether a datagram of a client is voice: its header is in the clear.
pub(crate) fn is_voice(data: &[u8]) -> bool {
    matches!(data, [first, second, ..] if first >> 6 == 2 && second & 0x7f == OPUS)
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
    connection: Connection,
    local: SocketAddr,
    server: SocketAddr,
    /// Its handshake is done.
    pub connected: bool,
    /// Crashed, ended or given up.
    pub down: bool,
    pub(crate) talking: bool,
    pub(crate) muted: bool,
    pub(crate) deafened: bool,
    pub(crate) leaving_at: Option<Instant>,
    pub(crate) asked_to_migrate: bool,
    /// What it heard since somebody took it.
    pub heard: Vec<Heard>,
    source: u32,
    seq: u64,
    time: u32,
    count: u32,
    /// Since then there may be something to send.
    acted_at: Option<Instant>,
    voice_at: Instant,
    ping_at: Option<Instant>,
}

impl Client {
    /// Client number `n` with a certificate of its own; it does nothing before [`Client::start`].
    pub fn new(
        now: Instant,
        n: usize,
        crypto: &Arc<CryptoProvider>,
        dtls: DtlsVersion,
        server: SocketAddr,
    ) -> Self {
        let [high, low] = (n as u16).to_be_bytes();
        let local = SocketAddr::from(([10, 1, high, low], 5000));
        let certificate = crypto
            .dtls_provider
            .generate_certificate()
            .expect("the provider makes certificates");
        let mut options = Options::new(Arc::clone(crypto), certificate, local);
        options.other_payload_types = vec![NOT_NEGOTIATED];
        options.dtls = dtls;
        Self {
            n,
            connection: Connection::new(options, now),
            local,
            server,
            connected: false,
            down: false,
            talking: false,
            muted: false,
            deafened: false,
            leaving_at: None,
            asked_to_migrate: false,
            heard: Vec::new(),
            source: 0,
            seq: 0,
            time: 0,
            count: 0,
            acted_at: None,
            voice_at: now,
            ping_at: None,
        }
    }

    /// First bytes of the certificate's fingerprint, for the ticket.
    pub fn fingerprint(&mut self) -> [u8; 16] {
        let bytes = self.connection.fingerprint();
        bytes[..16].try_into().expect("SHA-256 has 32 bytes")
    }

    /// The address that the client has before any NAT.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Own number in the room, once welcome.
    pub fn participant(&self) -> Option<u32> {
        self.connection.view().own()
    }

    pub(crate) fn roster(&self) -> &BTreeMap<u32, Participant> {
        self.connection.view().participants()
    }

    /// Numbers of those who talk, as the relay said.
    pub(crate) fn speaking(&self) -> &BTreeSet<u32> {
        self.connection.view().speaking()
    }

    pub(crate) fn slots(&self) -> &[Option<u32>] {
        self.connection.view().slots()
    }

    /// Starts to connect; voice will come from a first source that `start` chooses.
    pub fn start(&mut self, now: Instant, contact: Contact, source: (u32, u64, u32)) {
        let taken = self.connection.handle_contact(now, contact);
        taken.expect("a contact of the world's own");
        self.change_source(source);
    }

    /// Sends voice from another source, as a browser does after a change of device.
    pub(crate) fn change_source(&mut self, source: (u32, u64, u32)) {
        (self.source, self.seq, self.time) = source;
        self.connection.change_source(self.source);
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
        self.say(now, ClientMessage::State { muted, deafened });
    }

    pub(crate) fn leave(&mut self, now: Instant) {
        self.leaving_at = Some(now);
        self.say(now, ClientMessage::Leave);
    }

    fn say(&mut self, now: Instant, message: ClientMessage) {
        self.connection.handle_message(now, message);
        self.acted_at = Some(now);
    }

    /// Sends `message` on the data channel, whatever it is, once the channel is open.
    pub fn write(&mut self, now: Instant, message: &[u8]) {
        self.connection.handle_bytes(now, message);
        self.acted_at = Some(now);
    }

    /// When the client wants to be advanced; none when it is down.
    pub fn next_at(&self) -> Option<Instant> {
        if self.down {
            return None;
        }
        let voice_at = (self.talking && self.connected).then_some(self.voice_at);
        let own = [self.acted_at, voice_at, self.ping_at]
            .into_iter()
            .flatten();
        own.chain(self.connection.poll_timeout()).min()
    }

    /// Takes a datagram of the relay.
    pub fn handle_datagram(&mut self, now: Instant, data: &[u8]) {
        if self.down {
            return;
        }
        self.connection.handle_datagram(now, self.server, data);
        self.settle(now);
        self.acted_at = Some(now);
    }

    /// Lets time pass; returns what the client sends.
    pub fn advance(&mut self, now: Instant) -> Vec<Vec<u8>> {
        if self.next_at().is_none_or(|at| now < at) {
            return Vec::new();
        }
        if self.talking && self.connected && now >= self.voice_at {
            self.voice_at = now + PACKET_TIME;
            self.send_voice(now, VOICE_BYTES);
        }
        if self.ping_at.is_some_and(|at| now >= at) {
            self.ping_at = Some(now + PING_TIME);
            self.say(now, ClientMessage::Ping { id: 1 });
        }
        self.connection.handle_timeout(now);
        self.settle(now);
        self.acted_at = None;
        let has_waited = |at| now.saturating_duration_since(at) > PATIENCE;
        self.down |= self.leaving_at.is_some_and(has_waited);
        let sent = std::iter::from_fn(|| self.connection.poll_transmit());
        sent.map(|transmit| transmit.data).collect()
    }

    /// Sends far more than anybody says.
    pub(crate) fn flood(&mut self, now: Instant) {
        if self.connected && !self.down {
            (0..FLOOD_PACKETS).for_each(|_| self.send_voice(now, FLOOD_BYTES));
        }
    }

    fn send_voice(&mut self, now: Instant, bytes: usize) {
        self.seq += 1;
        self.time = self.time.wrapping_add(PACKET_TICKS);
        let header = VoiceHeader {
            source: self.source,
            payload_type: OPUS,
            seq: self.seq,
            time: self.time,
            level: -20,
        };
        // Six say whose it is.
        self.send_packet(now, header, &vec![0x55; bytes - 6]);
    }

    /// Sends a voice packet: who sends it and its count, and then `rest`.
    pub fn send_packet(&mut self, now: Instant, header: VoiceHeader, rest: &[u8]) {
        self.count += 1;
        let mut payload = (self.n as u16).to_be_bytes().to_vec();
        payload.extend(self.count.to_be_bytes());
        payload.extend(rest);
        if header.source != self.source {
            self.source = header.source;
            self.connection.change_source(header.source);
        }
        let voice = Voice {
            seq: header.seq,
            time: header.time,
            level: header.level,
            payload,
            payload_type: Some(header.payload_type),
        };
        self.connection.handle_voice(now, voice);
        self.acted_at = Some(now);
    }

    /// Takes what happened on the connection.
    fn settle(&mut self, now: Instant) {
        while let Some(event) = self.connection.poll_event() {
            match event {
                Event::Connected => {
                    self.connected = true;
                    self.voice_at = now;
                }
                Event::Voice(voice) => self.heard.extend(heard(&voice)),
                Event::Message(RelayMessage::Welcome { .. }, _) => {
                    self.ping_at = Some(now + PING_TIME);
                }
                Event::Message(RelayMessage::Migrate, _) => self.asked_to_migrate = true,
                Event::Closed(_) => self.down = true,
                Event::Message(..) | Event::Report(_) | Event::Reception(_) => {}
            }
        }
    }
}

fn heard(voice: &VoiceReceived) -> Option<Heard> {
    let (speaker, rest) = voice.payload.split_first_chunk()?;
    Some(Heard {
        slot: voice.slot.into(),
        speaker: u16::from_be_bytes(*speaker).into(),
        count: u32::from_be_bytes(*rest.first_chunk()?),
    })
}
