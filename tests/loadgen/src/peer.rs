//! One client of the swarm: a str0m instance and its socket, without a thread of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use str0m::channel::{ChannelConfig, ChannelId};
use str0m::config::{CryptoProvider, DtlsCert, DtlsVersion, Fingerprint};
use str0m::format::{Codec, FormatParams};
use str0m::media::{Frequency, MediaKind, Mid, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{Extension, ExtensionMap, ExtensionValues, RtpWrite, SeqNo, Ssrc};
use str0m::{Candidate, Event, IceCreds, Input, Output, Rtc, RtcConfig};
use udp::{RecvBatch, SendBatch, Socket};
use wire::channel::{ClientMessage, RelayMessage};
use wire::fleet::Heartbeat;
use wire::hello::{ChannelGrant, Hello};
use wire::keys::ShardKeys;
use wire::ticket::{Permissions, Ticket, ice_password};
use wire::{ChannelKey, ChannelName, PlayerKey, RoomKey, RoomName, SessionId};

use crate::edge::Edge;
use crate::floor::client_options;
use crate::{nanos_since, unix_s};

/// Opus at 24 kbit/s, bytes of one millisecond.
const BYTES_PER_MS: usize = 3;
/// RTP clock ticks of one millisecond (RFC 7587).
const TICKS_PER_MS: u32 = 48;
/// Payload type of Opus.
pub const OPUS: u8 = 111;
/// Header extension id of the audio level.
pub const LEVEL_ID: u8 = 3;
/// A peer whose str0m reports an error tries again after this.
const RETRY: Duration = Duration::from_millis(20);
const MICROPHONE_SSRC: u32 = 4711;
/// How long a ticket opens its session; joining a whole swarm takes less.
const TICKET_S: u64 = 120;
/// First and last payload type under which RTCP shows itself (RFC 5761).
const RTCP_TYPES: std::ops::RangeInclusive<u8> = 64..=95;

/// What a peer does in its room.
#[derive(Debug, Clone)]
pub struct Role {
    /// The room.
    pub room: RoomName,
    /// Talks whenever the swarm talks, and hears nobody.
    pub speaks: bool,
    /// Decrypts voice and measures its latency; otherwise it is counted by its clear header.
    pub probes: bool,
    /// Says hello, and so gets rosters, as every real client does.
    pub hello: bool,
    /// Slots, 1 to 16.
    pub slots: u8,
}

/// How speakers send.
#[derive(Debug, Clone, Copy)]
pub struct Voice {
    /// Length of a packet, milliseconds: 10, 20, 40 or 60.
    pub packet_ms: u16,
    /// Packets that are lost on the way to the relay, in a thousand.
    pub loss_permille: u16,
}

impl Default for Voice {
    fn default() -> Self {
        Self {
            packet_ms: 20,
            loss_permille: 0,
        }
    }
}

impl Voice {
    /// Time between two packets.
    pub fn packet_time(self) -> Duration {
        Duration::from_millis(self.packet_ms.into())
    }

    /// Whether packet `seq` of peer `number` is lost: by chance, but the same in every run.
    fn loses(self, number: u32, seq: u32) -> bool {
        let mut z = (u64::from(number) << 32 | u64::from(seq)).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % 1000 < u64::from(self.loss_permille)
    }
}

/// How peers get in.
#[derive(Clone)]
pub enum Entry {
    /// With tickets that are sealed here: joining costs nobody but the relay.
    Sealed {
        /// The shard's keys.
        keys: Box<ShardKeys>,
        /// The shard's heartbeat.
        heartbeat: Box<Heartbeat>,
    },
    /// Through the edge.
    Edge(Box<Edge>),
}

/// How a peer reaches its relay.
#[derive(Debug, Clone)]
pub struct Contact {
    /// The relay's address.
    pub relay: SocketAddr,
    /// `sha-256 AB:CD:..` of the relay's certificate.
    pub fingerprint: String,
    /// The sealed ticket.
    pub ufrag: String,
    /// What belongs to it.
    pub password: String,
    /// SSRC of each slot.
    pub slot_ssrcs: Vec<u32>,
    /// The sealed hello.
    pub hello: String,
}

/// What all peers of a swarm share.
#[derive(Clone)]
pub struct Common {
    crypto: Arc<CryptoProvider>,
    certificate: DtlsCert,
    fingerprint: [u8; 32],
    entry: Entry,
    /// How its speakers send.
    pub voice: Voice,
    /// Times in payloads count from here.
    pub base: Instant,
}

impl Common {
    /// One certificate serves all peers: making it is the most expensive part of a client.
    ///
    /// # Errors
    /// When no certificate can be made.
    pub fn new(entry: Entry, voice: Voice, base: Instant) -> Result<Self> {
        let crypto = Arc::new(str0m::crypto::from_feature_flags());
        let certificate = crypto
            .dtls_provider
            .generate_certificate()
            .context("no certificate")?;
        let digest = crypto.sha256_provider.sha256(&certificate.certificate);
        Ok(Self {
            fingerprint: digest,
            crypto,
            certificate,
            entry,
            voice,
            base,
        })
    }

    fn admit(&self, number: u32, role: &Role) -> Result<Contact> {
        match &self.entry {
            Entry::Sealed { keys, heartbeat } => self.seal(keys, heartbeat, number, role),
            Entry::Edge(edge) => {
                let bytes = self.fingerprint.map(|byte| format!("{byte:02X}"));
                let fingerprint = format!("sha-256 {}", bytes.join(":"));
                let (room, slots) = (&role.room, role.slots);
                edge.join(&player_id(number), room, !role.speaks, slots, &fingerprint)
            }
        }
    }

    /// The session's ticket and sealed hello, as the edge would make them.
    fn seal(
        &self,
        keys: &ShardKeys,
        heartbeat: &Heartbeat,
        number: u32,
        role: &Role,
    ) -> Result<Contact> {
        let (mut session, mut player) = ([0; 8], [0; 16]);
        session[..4].copy_from_slice(&number.to_be_bytes());
        player[..4].copy_from_slice(&number.to_be_bytes());
        let session = SessionId(session);
        let channel: ChannelName = "main".parse()?;
        let permissions = if role.speaks {
            Permissions::SPEAK
        } else {
            Permissions::SPEAK.with(Permissions::LISTEN)
        };
        let ticket = Ticket {
            expires_at: u32::try_from(unix_s() + TICKET_S)?,
            session,
            player: PlayerKey(player),
            fingerprint: self.fingerprint[..16].try_into()?,
            room: RoomKey::of(&role.room),
            channel: ChannelKey::of(&role.room, &channel),
            permissions,
            opus_payload_type: OPUS,
            red_payload_type: 0,
            audio_level_id: LEVEL_ID,
            slots: role.slots,
        };
        let hello = Hello {
            session,
            player: player_id(number).parse()?,
            name: format!("Player {number}"),
            room: role.room.clone(),
            channels: vec![ChannelGrant {
                channel,
                permissions: permissions.0,
            }],
            world: false,
        };
        let boot = heartbeat.boot;
        let ufrag = ticket.seal(keys, boot);
        let relay = heartbeat.candidates.first().context("an address")?.address;
        Ok(Contact {
            relay,
            fingerprint: heartbeat.fingerprint.clone(),
            password: ice_password(keys, &ufrag),
            ufrag,
            slot_ssrcs: (0..role.slots)
                .map(|slot| session.slot_ssrc(slot))
                .collect(),
            hello: hello.seal(keys, boot),
        })
    }
}

fn player_id(number: u32) -> String {
    format!("player-{number}")
}

/// What came of a turn of a peer.
#[derive(Debug, Default)]
pub struct Noticed {
    /// DTLS is done.
    pub connected: bool,
    /// The relay said welcome.
    pub welcomed: bool,
    /// Voice packets that arrived, decrypted or not.
    pub voice: u64,
    /// Ages of decrypted voice packets, nanoseconds.
    pub ages_ns: Vec<u64>,
}

/// A client of the swarm.
pub struct Peer {
    number: u32,
    role: Role,
    voice: Voice,
    rtc: Rtc,
    socket: Socket,
    hello: Option<String>,
    base: Instant,
    /// When it wants [`Peer::handle_timeout`].
    pub timeout_at: Instant,
    /// When its next packet is due, if it speaks.
    pub voice_at: Option<Instant>,
    seq: u32,
}

impl Peer {
    /// A client that starts to connect at its first timeout. `number` is unique on the shard.
    ///
    /// # Errors
    /// When the edge refuses, or no socket can be had.
    pub fn new(common: &Common, number: u32, role: Role, now: Instant) -> Result<Self> {
        let contact = common.admit(number, &role)?;
        let socket = Socket::bind(([127, 0, 0, 1], 0).into(), &client_options())?;
        let mut rtc = new_rtc(common, now);
        rtc.add_local_candidate(Candidate::host(socket.local_address(), "udp")?);
        rtc.add_remote_candidate(Candidate::host(contact.relay, "udp")?);
        let mut api = rtc.direct_api();
        api.set_ice_controlling(true);
        api.set_remote_ice_credentials(IceCreds {
            ufrag: contact.ufrag,
            pass: contact.password,
        });
        let microphone = Mid::from("mic");
        api.declare_media(microphone, MediaKind::Audio);
        api.declare_stream_tx(Ssrc::from(MICROPHONE_SSRC), None, microphone, None);
        for (slot, &ssrc) in contact.slot_ssrcs.iter().enumerate() {
            let mid = Mid::from(format!("s{slot}").as_str());
            api.declare_media(mid, MediaKind::Audio);
            api.expect_stream_rx(Ssrc::from(ssrc), None, mid, None);
        }
        let fingerprint: Fingerprint = contact
            .fingerprint
            .parse()
            .map_err(|_| anyhow::anyhow!("the relay's fingerprint is none"))?;
        api.set_remote_fingerprint(fingerprint);
        api.start_dtls(true)?;
        api.start_sctp(true);
        api.create_data_channel(ChannelConfig {
            label: wire::channel::LABEL.to_owned(),
            ..Default::default()
        });
        Ok(Self {
            hello: role.hello.then_some(contact.hello),
            number,
            role,
            voice: common.voice,
            rtc,
            socket,
            base: common.base,
            timeout_at: now,
            voice_at: None,
            seq: 0,
        })
    }

    /// Its socket, to wait for.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// What it does.
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// Takes what has arrived, one batch.
    ///
    /// # Errors
    /// When the socket has failed for good.
    pub fn receive(
        &mut self,
        now: Instant,
        received: &mut RecvBatch,
        batch: &mut SendBatch,
        noticed: &mut Noticed,
    ) -> Result<()> {
        self.socket.recv(received)?;
        for datagram in received.datagrams() {
            if !self.role.probes && is_voice(datagram.data) {
                noticed.voice += 1;
                continue;
            }
            let local = self.socket.local_address();
            let Ok(receive) = Receive::new(Protocol::Udp, datagram.from, local, datagram.data)
            else {
                continue;
            };
            // A datagram that str0m does not like is its own loss.
            let _ = self.rtc.handle_input(Input::Receive(now, receive));
            self.drain(now, batch, noticed);
        }
        batch.flush(&self.socket);
        Ok(())
    }

    /// Lets due timers act.
    pub fn handle_timeout(&mut self, now: Instant, batch: &mut SendBatch, noticed: &mut Noticed) {
        let _ = self.rtc.handle_input(Input::Timeout(now));
        self.drain(now, batch, noticed);
        batch.flush(&self.socket);
    }

    /// Sends the voice packet that is due at [`Peer::voice_at`], stamped with `now`.
    /// False when the network is to lose it.
    pub fn speak(&mut self, now: Instant, batch: &mut SendBatch, noticed: &mut Noticed) -> bool {
        let Some(due) = self.voice_at else {
            return false;
        };
        self.voice_at = Some(due + self.voice.packet_time());
        self.seq += 1;
        if self.voice.loses(self.number, self.seq) {
            return false;
        }
        let packet_ms = self.voice.packet_ms;
        let mut payload = vec![0xfc; usize::from(packet_ms) * BYTES_PER_MS];
        payload[..8].copy_from_slice(&nanos_since(self.base, now).to_be_bytes());
        let values = ExtensionValues {
            audio_level: Some(-20),
            voice_activity: Some(true),
            ..Default::default()
        };
        let time = self.seq.wrapping_mul(u32::from(packet_ms) * TICKS_PER_MS);
        let seq = SeqNo::from(u64::from(self.seq));
        let write = RtpWrite::new(Pt::from(OPUS), seq, time, now, payload).ext_vals(values);
        let mut api = self.rtc.direct_api();
        if let Some(stream) = api.stream_tx(&Ssrc::from(MICROPHONE_SSRC)) {
            stream.write_rtp(write);
        }
        self.handle_timeout(now, batch, noticed);
        true
    }

    fn drain(&mut self, now: Instant, batch: &mut SendBatch, noticed: &mut Noticed) {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.timeout_at = at;
                    return;
                }
                Ok(Output::Transmit(transmit)) => {
                    batch.push(&self.socket, transmit.destination, &transmit.contents);
                }
                Ok(Output::Event(event)) => self.handle_event(now, event, noticed),
                Err(_) => {
                    self.timeout_at = now + RETRY;
                    return;
                }
            }
        }
    }

    fn handle_event(&mut self, now: Instant, event: Event, noticed: &mut Noticed) {
        match event {
            Event::Connected => noticed.connected = true,
            Event::ChannelOpen(id, _) => self.say_hello(id),
            Event::ChannelData(data) => {
                let message = RelayMessage::read(&data.data);
                noticed.welcomed |= matches!(message, Ok(RelayMessage::Welcome { .. }));
            }
            Event::RtpPacket(packet) => {
                noticed.voice += 1;
                if let Some(stamp) = packet.payload.first_chunk::<8>() {
                    let sent_ns = u64::from_be_bytes(*stamp);
                    let age_ns = nanos_since(self.base, now).saturating_sub(sent_ns);
                    noticed.ages_ns.push(age_ns);
                }
            }
            _ => {}
        }
    }

    fn say_hello(&mut self, id: ChannelId) {
        let Some(sealed) = self.hello.take() else {
            return;
        };
        let hello = serde_json::to_vec(&ClientMessage::Hello { sealed })
            .expect("a message has string keys only");
        if let Some(mut channel) = self.rtc.channel(id) {
            // Refused only when the connection is over.
            let _ = channel.write(false, &hello);
        }
    }
}

fn new_rtc(common: &Common, now: Instant) -> Rtc {
    let mut extensions = ExtensionMap::empty();
    extensions.set(LEVEL_ID, Extension::AudioLevel);
    let mut settings = RtcConfig::new()
        .set_crypto_provider(Arc::clone(&common.crypto))
        .set_dtls_cert(common.certificate.clone())
        .set_dtls_version(DtlsVersion::Dtls13)
        .clear_codecs()
        .set_rtp_mode(true)
        .set_extension_map(extensions);
    settings.codec_config().add_config(
        Pt::from(OPUS),
        None,
        Codec::Opus,
        Frequency::FORTY_EIGHT_KHZ,
        Some(2),
        FormatParams::default(),
    );
    settings.build(now)
}

/// Whether a datagram is RTP and not RTCP (RFC 5761), by its clear header.
fn is_voice(data: &[u8]) -> bool {
    match data {
        [first, second, ..] => {
            (128..=191).contains(first) && !RTCP_TYPES.contains(&(second & 0x7f))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_is_lost_as_was_asked_for_and_the_same_again() {
        let voice = Voice {
            loss_permille: 50,
            ..Voice::default()
        };
        let lost = |number| (0..10_000).filter(|&seq| voice.loses(number, seq)).count();
        assert!((400..600).contains(&lost(1)), "{}", lost(1));
        assert_eq!(lost(1), lost(1));
        assert!((0..10_000).all(|seq| !Voice::default().loses(1, seq)));
    }

    #[test]
    fn voice_is_told_from_everything_else_by_its_first_bytes() {
        assert!(is_voice(&[0x80, OPUS, 0, 1]));
        assert!(is_voice(&[0x90, 0x80 | OPUS, 0, 1]), "with a marker");
        for rtcp in 200..=207 {
            assert!(!is_voice(&[0x80, rtcp, 0, 1]));
        }
        assert!(!is_voice(&[0, 1, 0, 0]), "STUN");
        assert!(!is_voice(&[22, 254, 253]), "DTLS");
        assert!(!is_voice(&[]));
    }
}
