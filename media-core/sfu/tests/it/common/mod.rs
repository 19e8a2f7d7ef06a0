//! A small world on a virtual clock: one shard, real clients, a network with a fixed delay.

#![allow(unreachable_pub, reason = "each module of tests uses its part")]

mod client;
mod tickets;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use allocation_counter::measure;
use sfu::{
    Admission, Command, Config, Event, Path, Permissions, PlayerKey, SessionId, Sfu, WallClock,
};
use str0m::config::{CryptoProvider, DtlsCert, DtlsVersion};
use str0m::crypto::from_feature_flags;
use str0m::ice::{StunMessage, TransId};
use wire::channel::ClientMessage;

pub use ::client::OPUS;
pub use client::Client;
pub use tickets::{TOPIC, channel, hello, party, room};

use tickets::ClearTickets;

pub const SERVER: &str = "10.0.0.1:7410";
pub const UNIX_S: u64 = 1_700_000_000;
const DELAY: Duration = Duration::from_millis(1);

pub struct World {
    pub t0: Instant,
    pub now: Instant,
    pub sfu: Sfu<ClearTickets>,
    pub clients: Vec<Client>,
    pub events: Vec<Event>,
    /// Memory allocations of the core for each voice packet given to it, and for each one that it
    /// gave out.
    pub allocations: (Vec<u64>, Vec<u64>),
    /// What clients sent, while set.
    pub recorded: Option<Vec<(SocketAddr, Vec<u8>)>>,
    /// What the shard sent to addresses that are no client's.
    pub to_others: Vec<(SocketAddr, Vec<u8>)>,
    /// What happens on the way to what clients send, while set.
    pub tamper: Option<fn(&mut Vec<u8>)>,
    in_flight: BinaryHeap<Reverse<Packet>>,
    order: u64,
}

/// Arrival, order of sending, from, to, payload.
type Packet = (Instant, u64, SocketAddr, SocketAddr, Vec<u8>);

/// What a test wants of a client.
#[derive(Clone)]
pub struct Want {
    pub room: &'static str,
    /// How often the room had moved when he was let in.
    pub home_epoch: u8,
    pub channels: &'static str,
    pub slots: usize,
    pub player: u8,
    pub expires_at: u64,
    pub hello: bool,
    /// The ticket says that a hello comes; none does unless `hello`.
    pub says_hello: bool,
    /// The ticket says that nobody may hear him.
    pub server_muted: bool,
    /// Use another certificate than the ticket names.
    pub other_certificate: bool,
    /// Use another password than the ticket's.
    pub other_password: bool,
    pub dtls: DtlsVersion,
    /// Connect by ICE-TCP.
    pub tcp: bool,
    /// Has no data channel, as a WHIP client.
    pub no_channel: bool,
    pub opus: u8,
    /// Payload type of RED, where negotiated.
    pub red: Option<u8>,
}

impl Default for Want {
    fn default() -> Self {
        Self {
            room: "room",
            home_epoch: 1,
            channels: "main",
            slots: 4,
            player: 0,
            expires_at: UNIX_S + 60,
            hello: true,
            says_hello: true,
            server_muted: false,
            other_certificate: false,
            other_password: false,
            dtls: DtlsVersion::Auto,
            tcp: false,
            no_channel: false,
            opus: OPUS,
            red: None,
        }
    }
}

fn certificate(crypto: &CryptoProvider) -> DtlsCert {
    crypto
        .dtls_provider
        .generate_certificate()
        .expect("aws-lc-rs makes certificates")
}

/// What the ticket of client `n` says.
fn admission(n: u8, want: &Want, fingerprint: &[u8]) -> Admission {
    let first = want.channels.split(',').next().unwrap();
    Admission {
        issued_at_ms: 0,
        expires_at_unix_s: want.expires_at,
        session: SessionId([n; 8]),
        player: PlayerKey([if want.player == 0 { n } else { want.player }; 16]),
        fingerprint: fingerprint[..16].try_into().unwrap(),
        room: room(want.room),
        home_epoch: want.home_epoch,
        channel: channel(want.room, first),
        permissions: Permissions {
            speak: true,
            listen: true,
        },
        server_muted: want.server_muted,
        says_hello: want.says_hello,
        opus_payload_type: want.opus,
        red_payload_type: want.red,
        audio_level_id: Some(::client::LEVEL_ID),
        slot_ssrcs: (0..want.slots)
            .map(|slot| 1000 * u32::from(n) + slot as u32 + 1)
            .collect(),
        ice_password: password(n),
    }
}

fn password(n: u8) -> String {
    format!("password-of-the-session-{n:03}")
}

impl World {
    /// A world whose clients will be `wants`, in this order; none has started yet.
    pub fn new(wants: &[Want]) -> Self {
        Self::with(wants, |_| {})
    }

    pub fn with(wants: &[Want], change: impl FnOnce(&mut Config)) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "virtual time needs an instant to start from"
        )]
        let t0 = Instant::now();
        let crypto = Arc::new(from_feature_flags());
        let server_certificate = certificate(&crypto);
        let digest = crypto
            .sha256_provider
            .sha256(&server_certificate.certificate);
        let fingerprint = digest.map(|byte| format!("{byte:02X}")).join(":");
        let fingerprint = format!("sha-256 {fingerprint}");
        let mut config = Config::new(
            Arc::clone(&crypto),
            server_certificate,
            vec![SERVER.parse().unwrap()],
        );
        config.local_tcp = vec![SERVER.parse().unwrap()];
        change(&mut config);
        let mut protocol = ClearTickets::default();
        let mut clients = Vec::new();
        for (i, want) in wants.iter().enumerate() {
            let n = i as u8 + 1;
            let client = Client::new(t0, n, want, &crypto, &fingerprint);
            protocol
                .tickets
                .insert(client.ufrag.clone(), client.admission.clone());
            clients.push(client);
        }
        let clock = WallClock {
            at: t0,
            unix_ms: UNIX_S * 1000,
        };
        let sfu = Sfu::new(config, protocol, clock, 7, t0);
        Self {
            t0,
            now: t0,
            sfu,
            clients,
            events: Vec::new(),
            allocations: (Vec::new(), Vec::new()),
            recorded: None,
            to_others: Vec::new(),
            tamper: None,
            in_flight: BinaryHeap::new(),
            order: 0,
        }
    }

    /// Client `n` starts to connect.
    pub fn start(&mut self, n: usize) {
        self.clients[n].start(self.now);
    }

    pub fn start_all(&mut self) {
        (0..self.clients.len()).for_each(|n| self.start(n));
    }

    /// Client `n` says something on its data channel.
    pub fn say(&mut self, n: usize, message: ClientMessage) {
        self.clients[n].say(self.now, message);
        self.advance(n);
    }

    /// Whether everybody is welcome.
    pub fn are_welcome(&self) -> bool {
        self.clients.iter().all(Client::is_welcome)
    }

    /// Puts a datagram on the way to the shard.
    pub fn inject(&mut self, from: SocketAddr, data: &[u8]) {
        self.send(from, SERVER.parse().unwrap(), data.to_vec());
    }

    fn send(&mut self, from: SocketAddr, to: SocketAddr, data: Vec<u8>) {
        self.order += 1;
        self.in_flight
            .push(Reverse((self.now + DELAY, self.order, from, to, data)));
    }

    pub fn command(&mut self, command: Command) {
        self.sfu.handle_command(self.now, command);
        self.drain_sfu();
    }

    pub fn run_ms(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        while let Some(at) = self.next_at().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.step();
        }
        self.now = until;
    }

    /// Runs until `done`, at most ten virtual seconds.
    pub fn run_until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let until = self.now + Duration::from_secs(10);
        while !done(self) {
            let at = self.next_at().unwrap_or(until);
            assert!(at < until, "not within 10 s: {what}");
            self.now = self.now.max(at);
            self.step();
        }
    }

    fn next_at(&self) -> Option<Instant> {
        let clients = self.clients.iter().filter_map(Client::next_at);
        let packets = self.in_flight.peek().map(|Reverse(packet)| packet.0);
        clients.chain(packets).chain(self.sfu.poll_timeout()).min()
    }

    fn step(&mut self) {
        let now = self.now;
        while let Some(Reverse(packet)) = self.in_flight.peek() {
            if packet.0 > now {
                break;
            }
            let Reverse((_, _, from, to, data)) = self.in_flight.pop().unwrap();
            if to == SERVER.parse().unwrap() {
                let path = self.path(from);
                let counted = measure(|| self.sfu.handle_datagram(now, path, &data));
                if is_voice(&data) {
                    self.allocations.0.push(counted.count_total);
                }
            } else if let Some(client) = self.clients.iter_mut().find(|c| c.address == to) {
                client.handle_datagram(now, &data);
            }
        }
        if self.sfu.poll_timeout().is_some_and(|at| at <= now) {
            self.sfu.handle_timeout(now);
        }
        self.drain_sfu();
        (0..self.clients.len()).for_each(|n| self.advance(n));
    }

    /// Lets client `n` do what it has to do now.
    fn advance(&mut self, n: usize) {
        let (address, online) = (self.clients[n].address, self.clients[n].online);
        for mut data in self.clients[n].advance(self.now) {
            if let Some(recorded) = &mut self.recorded {
                recorded.push((address, data.clone()));
            }
            if let Some(tamper) = self.tamper {
                tamper(&mut data);
            }
            if online {
                self.send(address, SERVER.parse().unwrap(), data);
            }
        }
    }

    /// Voice of client `n` that has not arrived: lets him talk for a moment, and loses it.
    pub fn lose_voice(&mut self, n: usize) -> Vec<Vec<u8>> {
        self.recorded = Some(Vec::new());
        self.tamper = Some(|data| {
            if is_voice(data) {
                data.clear();
            }
        });
        self.clients[n].level = Some(-20);
        self.run_ms(50);
        self.clients[n].level = None;
        self.tamper = None;
        let own = |(from, data): (SocketAddr, Vec<u8>)| {
            (from == self.clients[n].address && is_voice(&data)).then_some(data)
        };
        let recorded = self.recorded.take().unwrap_or_default();
        recorded.into_iter().filter_map(own).collect()
    }

    /// The way to whoever has `address`.
    pub fn path(&self, address: SocketAddr) -> Path {
        let is_tcp = self.clients.iter().any(|c| c.address == address && c.tcp);
        if is_tcp {
            Path::tcp(address)
        } else {
            Path::udp(address)
        }
    }

    fn drain_sfu(&mut self) {
        let server = SERVER.parse().unwrap();
        loop {
            let mut next = None;
            let counted = measure(|| next = self.sfu.poll_transmit());
            let Some(transmit) = next else { break };
            if is_voice(&transmit.data) {
                self.allocations.1.push(counted.count_total);
            }
            let to = transmit.to;
            let receiver = self.clients.iter().find(|c| c.address == to.address);
            if let Some(client) = receiver {
                let own = client.tcp == (to.transport == sfu::Transport::Tcp);
                assert!(own, "sent to a client's other transport");
            } else {
                self.to_others.push((to.address, transmit.data.clone()));
            }
            self.send(server, to.address, transmit.data);
        }
        while let Some(event) = self.sfu.poll_event() {
            self.events.push(event);
        }
    }
}

/// A nominating connectivity check, as whoever knows the password can make it.
pub fn binding_request(ufrag: &str, password: &str) -> Vec<u8> {
    sealed_check(ufrag, password, TransId::new(), true)
}

fn sealed_check(ufrag: &str, password: &str, id: TransId, nominates: bool) -> Vec<u8> {
    let crypto = from_feature_flags();
    let username = format!("{ufrag}:client");
    let message = StunMessage::binding_request(&username, id, true, 1, 1, nominates);
    let mut buffer = vec![0; 512];
    let hmac = |key: &[u8], parts: &[&[u8]]| crypto.sha1_hmac_provider.sha1_hmac(key, parts);
    let length = message
        .to_bytes(Some(password.as_bytes()), &mut buffer, hmac)
        .unwrap();
    buffer.truncate(length);
    buffer
}

/// Whether a datagram is RTP with the payload type of all clients.
pub fn is_voice(data: &[u8]) -> bool {
    matches!(data, [128..=191, second, ..] if second & 0x7f == OPUS)
}

/// Takes the nomination from a check, as if its client had nominated once, long ago.
pub fn nominate_once(data: &mut Vec<u8>) {
    if data.first() != Some(&0) {
        return;
    }
    let Ok(message) = StunMessage::parse(data) else {
        return;
    };
    let Some((ufrag, _)) = message
        .split_username()
        .filter(|_| message.is_binding_request())
    else {
        return;
    };
    let number: u8 = ufrag["ticket-".len()..].parse().unwrap();
    *data = sealed_check(ufrag, &password(number), message.trans_id(), false);
}
