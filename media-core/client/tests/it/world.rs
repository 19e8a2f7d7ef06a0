//! Relays, an edge that answers offers, and calls, on a network with a delay of 1 ms.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::{Call, CallEvent, CallOptions, Cause, Command, JoinId, Options, Voice};
use relay::SealedProtocol;
use sfu::{Config, Path, Sfu, WallClock};
use signalling::{answer, offer};
use str0m::config::{CryptoProvider, DtlsCert};
use wire::fleet::{Candidate, Transport};
use wire::hello::{ChannelGrant, Hello};
use wire::join::JoinReply;
use wire::keys::{ShardKey, ShardKeys};
use wire::ticket::{ChannelKind, Permissions, TICKET_VERSION, Ticket, ice_password};
use wire::{BootId, ChannelKey, ChannelName, PlayerKey, RoomKey, RoomName, SessionId, SessionRef};

pub(crate) const UNIX_S: u64 = 1_700_000_000;
const BOOT: BootId = BootId([7; 8]);
const DELAY: Duration = Duration::from_millis(1);
const FRAME: Duration = Duration::from_millis(20);
/// Longest wait of a test, of virtual time.
const LIMIT: Duration = Duration::from_secs(60);

fn keys() -> ShardKeys {
    ShardKey::new(0, [5; 32]).subkeys()
}

pub(crate) fn crypto() -> (Arc<CryptoProvider>, DtlsCert) {
    let crypto = Arc::new(str0m::crypto::from_feature_flags());
    let certificate = crypto.dtls_provider.generate_certificate().unwrap();
    (crypto, certificate)
}

/// A shard, and whether its datagrams get through.
pub(crate) struct Relay {
    pub(crate) sfu: Sfu<SealedProtocol>,
    pub(crate) is_up: bool,
    address: SocketAddr,
    fingerprint: String,
}

/// A call and what is known of it.
pub(crate) struct Player {
    pub(crate) call: Call,
    pub(crate) address: SocketAddr,
    /// Sends a packet with its number each 20 ms.
    pub(crate) talks: bool,
    /// When it heard whom, by the first byte, and whether from a relay that is being left.
    pub(crate) heard: Vec<(Instant, u8, bool)>,
    /// States and failures, and when.
    pub(crate) told: Vec<(Instant, String)>,
    /// When it asked the edge.
    pub(crate) asked: Vec<Instant>,
    voice_at: Instant,
    seq: u64,
}

type Packet = (Instant, SocketAddr, SocketAddr, Vec<u8>);

/// What the edge does with a join.
pub(crate) enum Edge {
    /// Sends everybody to this relay.
    To(usize),
    /// Says no.
    Fails(Cause),
    /// Says nothing.
    Silent,
}

pub(crate) struct World {
    pub(crate) t0: Instant,
    pub(crate) now: Instant,
    pub(crate) relays: Vec<Relay>,
    pub(crate) players: Vec<Player>,
    pub(crate) edge: Edge,
    pub(crate) sent: Vec<(SocketAddr, SocketAddr)>,
    in_flight: VecDeque<Packet>,
    sessions: u8,
}

impl World {
    /// Two relays, of which the first is everybody's home.
    pub(crate) fn new() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "virtual time needs an instant to start from"
        )]
        let t0 = Instant::now();
        let relays = (1..=2).map(|n| Relay::new(n, t0)).collect();
        Self {
            t0,
            now: t0,
            relays,
            players: Vec::new(),
            edge: Edge::To(0),
            sent: Vec::new(),
            in_flight: VecDeque::new(),
            sessions: 0,
        }
    }

    /// One more player, who begins to join.
    pub(crate) fn enter(&mut self) -> usize {
        let n = self.players.len() as u8 + 1;
        let address = SocketAddr::from(([10, 0, 1, n], 5000));
        let (crypto, certificate) = crypto();
        let options = CallOptions {
            connection: Options {
                positions: true,
                ..Options::new(crypto, certificate, address)
            },
            seed: n.into(),
        };
        self.players.push(Player {
            call: Call::new(options, self.now),
            address,
            talks: false,
            heard: Vec::new(),
            told: Vec::new(),
            asked: Vec::new(),
            voice_at: self.now,
            seq: 0,
        });
        self.players.len() - 1
    }

    pub(crate) fn command(&mut self, n: usize, command: Command) {
        self.players[n].call.handle_command(self.now, command);
        self.drain();
    }

    pub(crate) fn order(&mut self, relay: usize, command: sfu::Command) {
        self.relays[relay].sfu.handle_command(self.now, command);
        self.drain();
    }

    /// Runs until `done`.
    #[track_caller]
    pub(crate) fn run_until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let until = self.now + LIMIT;
        while !done(self) {
            let told = || self.players.iter().map(|it| &it.told).collect::<Vec<_>>();
            let next = self.next_at().filter(|at| *at < until);
            let next = next.unwrap_or_else(|| panic!("not in time: {what}; {:?}", told()));
            self.now = self.now.max(next);
            self.step();
        }
    }

    pub(crate) fn run_ms(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        while let Some(at) = self.next_at().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.step();
        }
        self.now = until;
    }

    fn next_at(&self) -> Option<Instant> {
        let calls = self.players.iter().filter_map(|it| it.call.poll_timeout());
        let talking = self.players.iter().filter(|it| it.talks);
        let voices = talking.map(|it| it.voice_at);
        let relays = self.relays.iter().filter_map(|it| it.sfu.poll_timeout());
        let packets = self.in_flight.front().map(|packet| packet.0);
        calls.chain(voices).chain(relays).chain(packets).min()
    }

    fn step(&mut self) {
        let now = self.now;
        while self.in_flight.front().is_some_and(|packet| packet.0 <= now) {
            let (_, from, to, data) = self.in_flight.pop_front().unwrap();
            if let Some(relay) = self
                .relays
                .iter_mut()
                .find(|it| it.address == to && it.is_up)
            {
                relay.sfu.handle_datagram(now, Path::udp(from), &data);
            } else if let Some(player) = self.players.iter_mut().find(|it| it.address == to) {
                player.call.handle_datagram(now, from, &data);
            }
        }
        for relay in &mut self.relays {
            if relay.sfu.poll_timeout().is_some_and(|at| at <= now) {
                relay.sfu.handle_timeout(now);
            }
        }
        for (n, player) in self.players.iter_mut().enumerate() {
            if player.talks && player.voice_at <= now {
                player.voice_at = now + FRAME;
                player.seq += 1;
                let voice = Voice {
                    seq: player.seq,
                    time: player.seq as u32 * 960,
                    level: -20,
                    payload: vec![n as u8; 60],
                    payload_type: None,
                };
                player.call.handle_voice(now, voice);
            }
            if player.call.poll_timeout().is_some_and(|at| at <= now) {
                player.call.handle_timeout(now);
            }
        }
        self.drain();
    }

    fn drain(&mut self) {
        let at = self.now + DELAY;
        for relay in &mut self.relays {
            while let Some(transmit) = relay.sfu.poll_transmit() {
                if relay.is_up {
                    let packet = (
                        at,
                        relay.address,
                        transmit.to.address,
                        transmit.data.to_vec(),
                    );
                    self.in_flight.push_back(packet);
                }
            }
            while relay.sfu.poll_event().is_some() {}
        }
        for n in 0..self.players.len() {
            while let Some(event) = self.players[n].call.poll_event() {
                self.handle(n, event);
            }
            let player = &mut self.players[n];
            while let Some(transmit) = player.call.poll_transmit() {
                self.sent.push((player.address, transmit.destination));
                let packet = (at, player.address, transmit.destination, transmit.data);
                self.in_flight.push_back(packet);
            }
        }
    }

    fn handle(&mut self, n: usize, event: CallEvent) {
        let now = self.now;
        let player = &mut self.players[n];
        match event {
            CallEvent::Join(id, offer) => {
                player.asked.push(now);
                self.answer(n, id, &offer);
            }
            CallEvent::Failed(cause) => player.told.push((now, format!("failed: {cause:?}"))),
            CallEvent::State(state) => player.told.push((now, format!("{state:?}"))),
            CallEvent::Heard(heard) => {
                let whose = heard.voice.payload[0];
                player.heard.push((now, whose, heard.is_leaving));
            }
            CallEvent::Changed(_)
            | CallEvent::Chat(..)
            | CallEvent::Quality
            | CallEvent::Settings(_) => {}
        }
    }

    fn answer(&mut self, n: usize, id: JoinId, sdp: &str) {
        let reply = match &self.edge {
            Edge::Silent => return,
            Edge::Fails(cause) => Err(cause.clone()),
            Edge::To(relay) => {
                self.sessions += 1;
                Ok(self.relays[*relay].admit(self.sessions, n, sdp))
            }
        };
        self.players[n].call.handle_reply(self.now, id, reply);
    }

    /// Whether everybody is connected and sees as many players as there are.
    pub(crate) fn are_together(&self) -> bool {
        let count = self.players.len();
        self.players
            .iter()
            .all(|it| it.call.players().len() == count)
    }

    /// The longest pause between two packets of `whose` that player `n` heard since `from`.
    pub(crate) fn longest_gap(&self, n: usize, whose: u8, from: Instant) -> Duration {
        let times = self.players[n].heard.iter().filter(|it| it.1 == whose);
        let times: Vec<_> = times.map(|it| it.0).filter(|at| *at >= from).collect();
        let gaps = times.windows(2).map(|two| two[1] - two[0]);
        gaps.max().expect("somebody is heard")
    }

    /// What players were told, in order.
    pub(crate) fn told(&self, n: usize) -> Vec<&str> {
        self.players[n]
            .told
            .iter()
            .map(|it| it.1.as_str())
            .collect()
    }
}

impl Relay {
    fn new(n: u8, now: Instant) -> Self {
        let (crypto, certificate) = crypto();
        let digest = crypto.sha256_provider.sha256(&certificate.certificate);
        let bytes = digest.map(|byte| format!("{byte:02X}"));
        let address = SocketAddr::from(([10, 0, 0, n], 7410));
        let config = Config::new(crypto, certificate, vec![address]);
        let clock = WallClock {
            at: now,
            unix_ms: UNIX_S * 1000,
        };
        let protocol = SealedProtocol::new(keys(), BOOT, &"eu".parse().expect("a region"));
        Self {
            sfu: Sfu::new(config, protocol, clock, n.into(), now),
            is_up: true,
            address,
            fingerprint: format!("sha-256 {}", bytes.join(":")),
        }
    }

    /// The hello of a session, for these channels.
    pub(crate) fn hello(session: u8, player: usize, channels: &[&str], issued_at_ms: u64) -> Hello {
        let both = Permissions::SPEAK.with(Permissions::LISTEN);
        let grant = |channel: &&str| ChannelGrant {
            channel: channel.parse().unwrap(),
            permissions: both.0,
        };
        Hello {
            session: SessionId([session; 8]),
            player: format!("p{player}").parse().unwrap(),
            name: format!("Player {player}"),
            room: "lobby".parse().unwrap(),
            channels: channels.iter().map(grant).collect(),
            world: false,
            topics: Vec::new(),
            party: None,
            muted_until_ms: None,
            until_ms: None,
            blocked: Vec::new(),
            platform: String::new(),
            one_platform: false,
            issued_at_ms,
        }
    }

    /// A hello as the edge seals it.
    pub(crate) fn seal(hello: &Hello) -> String {
        hello.seal(&keys(), BOOT)
    }

    /// The edge's reply to an offer, from the edge's own parts.
    fn admit(&self, number: u8, player: usize, sdp: &str) -> JoinReply {
        let offer = offer::read(sdp).unwrap();
        let (room, channel): (RoomName, ChannelName) =
            ("lobby".parse().unwrap(), "main".parse().unwrap());
        let both = Permissions::SPEAK.with(Permissions::LISTEN);
        let session = SessionId([number; 8]);
        let ticket = Ticket {
            expires_at: (UNIX_S + 3600) as u32,
            session,
            player: PlayerKey([player as u8; 16]),
            fingerprint: offer.fingerprint_prefix(),
            room: RoomKey::of(&room),
            channel: ChannelKey::of(&room, &channel),
            permissions: both,
            opus_payload_type: offer.opus_payload_type,
            red_payload_type: 0,
            audio_level_id: offer.audio_level_id.unwrap_or(0),
            slots: offer.slots,
            channel_kind: ChannelKind::Group,
            server_muted: false,
            says_hello: true,
            recorded: false,
            home_epoch: 0,
            hello_version: TICKET_VERSION,
        };
        let hello = Self::hello(number, player, &["main"], 1);
        let ufrag = ticket.seal(TICKET_VERSION, &keys(), BOOT);
        let candidate = Candidate {
            transport: Transport::Udp,
            address: self.address,
        };
        let admission = answer::Admission {
            session,
            ufrag: &ufrag,
            password: &ice_password(&keys(), &ufrag),
            fingerprint: &self.fingerprint,
            candidates: &[candidate],
        };
        let shard: wire::ShardId = "test-0".parse().unwrap();
        JoinReply {
            session: SessionRef {
                shard: shard.clone(),
                session,
            },
            answer: answer::write(&offer, &admission),
            hello: Self::seal(&hello),
            region: "eu".parse().unwrap(),
            relay: shard,
            world: None,
            expires_at: UNIX_S + 60,
        }
    }
}

/// Players by name, for a comparison.
pub(crate) fn names(call: &Call) -> BTreeMap<String, bool> {
    let view = call.view().unwrap();
    let entries = view.participants().values();
    let muted = entries.map(|it| (it.name.clone(), it.muted));
    muted.collect()
}
