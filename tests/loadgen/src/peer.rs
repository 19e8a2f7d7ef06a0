//! One client of the swarm: a str0m instance and its socket, without a thread of its own.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use client::{Connection, Contact, Event, LEVEL_ID, OPUS, Options};
use str0m::config::{CryptoProvider, DtlsCert, DtlsVersion};
use udp::{RecvBatch, SendBatch, Socket};
use wire::channel::{ClientMessage, RelayMessage};
use wire::fleet::Heartbeat;
use wire::hello::{ChannelGrant, Hello};
use wire::keys::ShardKeys;
use wire::ticket::{ChannelKind, Permissions, TICKET_VERSION, Ticket, ice_password};
use wire::{ChannelKey, ChannelName, PlayerKey, RoomKey, RoomName, SessionId};

use crate::edge::Edge;
use crate::floor::client_options;
use crate::{nanos_since, unix_s};

/// Opus at 24 kbit/s, bytes of one millisecond.
const BYTES_PER_MS: usize = 3;
/// RTP clock ticks of one millisecond (RFC 7587).
const TICKS_PER_MS: u32 = 48;
/// Longer than any run.
const NEVER: Duration = Duration::from_secs(24 * 3600);
/// Datagrams that a peer keeps, if it keeps any.
const KEPT_MAX: usize = 256;
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
    /// Says hello, and so hears others and gets rosters, as every real client does. Its ticket says
    /// the same.
    pub hello: bool,
    /// Hears nobody, by his own wish, and is told of everything all the same.
    pub deafened: bool,
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
    /// Whose tickets they have; none where each peer is a player of its own.
    pub player: Option<u32>,
    /// Its peers never say the hello that their tickets announce.
    pub withholds_hello: bool,
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
            player: None,
            withholds_hello: false,
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
        player[..4].copy_from_slice(&self.player.unwrap_or(number).to_be_bytes());
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
            channel_kind: ChannelKind::Group,
            server_muted: false,
            says_hello: role.hello,
            recorded: false,
            home_epoch: 0,
            hello_version: TICKET_VERSION,
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
            topics: Vec::new(),
            muted_until_ms: None,
            until_ms: None,
            blocked: Vec::new(),
            platform: String::new(),
            one_platform: false,
            issued_at_ms: 0,
        };
        let boot = heartbeat.boot;
        let ufrag = ticket.seal(TICKET_VERSION, keys, boot);
        let relay = heartbeat.candidates.first().context("an address")?.address;
        Ok(Contact {
            relay,
            fingerprint: heartbeat.fingerprint.clone(),
            password: ice_password(keys, &ufrag),
            ufrag,
            slot_ssrcs: (0..role.slots)
                .map(|slot| session.slot_ssrc(slot))
                .collect(),
            has_channel: true,
            hello: Some(hello.seal(keys, boot)),
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
    /// Messages of the relay.
    pub messages: u64,
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
    connection: Connection,
    socket: Socket,
    base: Instant,
    /// When it wants [`Peer::handle_timeout`].
    pub timeout_at: Instant,
    /// When its next packet is due, if it speaks.
    pub voice_at: Option<Instant>,
    /// How far it is in its pattern when the swarm begins to talk.
    pub spurt_offset: Duration,
    seq: u32,
    hello: Option<String>,
    relay: SocketAddr,
    kept: Option<VecDeque<Vec<u8>>>,
}

impl Peer {
    /// A client that starts to connect at its first timeout. `number` is unique on the shard.
    ///
    /// # Errors
    /// When the edge refuses, or no socket can be had.
    pub fn new(common: &Common, number: u32, role: Role, now: Instant) -> Result<Self> {
        let mut contact = common.admit(number, &role)?;
        contact.hello = contact
            .hello
            .filter(|_| role.hello && !common.withholds_hello);
        let (hello, relay) = (contact.hello.clone(), contact.relay);
        let socket = Socket::bind(([127, 0, 0, 1], 0).into(), &client_options())?;
        let crypto = Arc::clone(&common.crypto);
        let certificate = common.certificate.clone();
        let mut options = Options::new(crypto, certificate, socket.local_address());
        options.dtls = DtlsVersion::Dtls13;
        let mut connection = Connection::new(options, now);
        let accepted = connection.handle_contact(now, contact);
        accepted.map_err(anyhow::Error::msg)?;
        Ok(Self {
            number,
            role,
            voice: common.voice,
            connection,
            socket,
            base: common.base,
            timeout_at: now,
            voice_at: None,
            spurt_offset: Duration::ZERO,
            seq: 0,
            hello,
            relay,
            kept: None,
        })
    }

    /// Its socket, to wait for.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Goes on with another address, as if a NAT had forgotten it.
    ///
    /// # Errors
    /// When no socket can be had.
    pub fn rebind(&mut self) -> Result<()> {
        self.socket = Socket::bind(([127, 0, 0, 1], 0).into(), &client_options())?;
        Ok(())
    }

    /// Where its relay is.
    pub fn relay(&self) -> SocketAddr {
        self.relay
    }

    /// What it says hello with.
    pub fn hello(&self) -> Option<&str> {
        self.hello.as_deref()
    }

    /// Whether its connection is over.
    pub fn is_over(&self) -> bool {
        self.connection.is_closed()
    }

    /// From now on keeps the last [`KEPT_MAX`] datagrams that it sends.
    pub fn keep_sent(&mut self) {
        self.kept.get_or_insert_default();
    }

    /// What it has kept of what it sent.
    pub fn kept(&self) -> impl Iterator<Item = &[u8]> {
        self.kept.iter().flatten().map(Vec::as_slice)
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
            self.connection
                .handle_datagram(now, datagram.from, datagram.data);
            self.drain(now, batch, noticed);
        }
        batch.flush(&self.socket);
        Ok(())
    }

    /// Lets due timers act.
    pub fn handle_timeout(&mut self, now: Instant, batch: &mut SendBatch, noticed: &mut Noticed) {
        self.connection.handle_timeout(now);
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
        let voice = client::Voice {
            seq: self.seq.into(),
            time: self.seq.wrapping_mul(u32::from(packet_ms) * TICKS_PER_MS),
            level: -20,
            payload,
            payload_type: None,
        };
        self.connection.handle_voice(now, voice);
        self.drain(now, batch, noticed);
        batch.flush(&self.socket);
        true
    }

    /// Does what no peer of a swarm does, and sends what comes of it.
    pub fn act(
        &mut self,
        now: Instant,
        batch: &mut SendBatch,
        noticed: &mut Noticed,
        what: impl FnOnce(&mut Connection, Instant),
    ) {
        what(&mut self.connection, now);
        self.drain(now, batch, noticed);
        batch.flush(&self.socket);
    }

    fn drain(&mut self, now: Instant, batch: &mut SendBatch, noticed: &mut Noticed) {
        loop {
            while let Some(transmit) = self.connection.poll_transmit() {
                batch.push(&self.socket, transmit.destination, &transmit.data);
                if let Some(kept) = &mut self.kept {
                    kept.truncate(KEPT_MAX - 1);
                    kept.push_front(transmit.data);
                }
            }
            let Some(event) = self.connection.poll_event() else {
                break;
            };
            self.handle_event(now, event, noticed);
        }
        // One whose connection is over wants nothing more.
        let due = self.connection.poll_timeout();
        self.timeout_at = due.unwrap_or(now + NEVER);
    }

    fn handle_event(&mut self, now: Instant, event: Event, noticed: &mut Noticed) {
        match event {
            Event::Connected => noticed.connected = true,
            Event::Message(message, _) => {
                noticed.messages += 1;
                let is_welcome = matches!(message, RelayMessage::Welcome { .. });
                noticed.welcomed |= is_welcome;
                if is_welcome && self.role.deafened {
                    let state = ClientMessage::State {
                        muted: true,
                        deafened: true,
                    };
                    self.connection.handle_message(now, state);
                }
            }
            Event::Voice(voice) => {
                noticed.voice += 1;
                if let Some(stamp) = voice.payload.first_chunk::<8>() {
                    let sent_ns = u64::from_be_bytes(*stamp);
                    let age_ns = nanos_since(self.base, now).saturating_sub(sent_ns);
                    noticed.ages_ns.push(age_ns);
                }
            }
            Event::Report(_) | Event::Reception(_) | Event::Closed(_) => {}
        }
    }
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
