//! Datagrams into a live core. An input is a program: strangers send bytes, tickets are shown from
//! anywhere, real clients join, talk and misbehave, what was seen is played again, time passes.
//!
//! After every step: nobody has a session without a proof that the reference in `proof` accepts,
//! nobody else is sent a datagram, one ticket opens one session, only the owner of its certificate
//! gets in, nobody hears whom he may not, no sequence number is used twice in a slot or jumps so
//! far that a receiver loses count, queues are bounded, and draining ends. After the last step
//! everybody goes silent, and nothing is left.

pub mod sessions;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use relay::SealedProtocol;
use sfu::{
    Audience, Command, Config, EndReason, Event, Path, PlayerKey, Push, SessionId, Sfu, TopicKey,
    WallClock,
};
use sim::client::{Client, Contact, NOT_NEGOTIATED, OPUS, VoiceHeader};
use sim::queues;
use str0m::RtcConfig;
use str0m::config::{CryptoProvider, DtlsCert, DtlsVersion};
use str0m::crypto::from_feature_flags;
use wire::BootId;
use wire::channel::ClientMessage;
use wire::ticket::ice_password;

use crate::behind::Behind;
use crate::hostile::{Fault, Peer, Spec, flip};
use crate::plain;
use crate::program::Program;
use crate::proof::{Proofs, binding_request};
use crate::{BOOT, keys, protocol, world};

const UNIX_S: u64 = 1_800_000_000;
/// Clients of one input.
const PEERS_MAX: usize = 4;
/// Steps of one input.
const STEPS_MAX: usize = 256;
/// Virtual time of one input.
const TIME_MAX: Duration = Duration::from_secs(40);
/// After the last client fell silent, the longest timers and some.
const AFTERMATH: Duration = Duration::from_secs(80);
/// Datagrams that may be played again.
const SEEN_MAX: usize = 64;
/// Rounds between clients and core without time passing.
const ROUNDS_MAX: usize = 2000;
/// Numbers of one slot are never further apart than this: receivers guess the rest (RFC 3711).
const JUMP_MAX: u16 = 1 << 13;
/// Part of what the edge pushes.
const PUSHED: &[u8] = b"{\"type\":\"chat\"}";
/// Datagrams that one round may bring forth.
const TRANSMITS_MAX: usize = 4096;

/// What every input may share, because it does not change.
struct Fixture {
    t0: Instant,
    crypto: Arc<CryptoProvider>,
    /// The same, but for handshakes.
    plain: Arc<CryptoProvider>,
    certificate: DtlsCert,
    fingerprint: String,
}

#[expect(
    clippy::disallowed_methods,
    reason = "virtual time needs an instant to start from"
)]
fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let t0 = Instant::now();
        let crypto = Arc::new(from_feature_flags());
        let plain = plain::provider(&crypto);
        let provider = crypto.dtls_provider;
        let certificate = provider.generate_certificate().expect("a certificate");
        let mut probe = RtcConfig::new()
            .set_crypto_provider(Arc::clone(&crypto))
            .set_dtls_cert(certificate.clone())
            .build(t0);
        let fingerprint = probe.direct_api().local_dtls_fingerprint().to_string();
        Fixture {
            t0,
            crypto,
            plain,
            certificate,
            fingerprint,
        }
    })
}

/// One program.
pub fn run(data: &[u8]) {
    let mut world = World::new(&fixture().crypto);
    let mut program = Program::new(data);
    for _ in 0..STEPS_MAX {
        if world.step(&mut program).is_none() {
            break;
        }
        world.exchange();
    }
    world.end();
}

/// Few paths, so that they meet; one is a TCP connection, the last of a family in which the shard
/// has no address.
fn path(n: u8) -> Path {
    match n % 8 {
        7 => Path::udp((Ipv6Addr::LOCALHOST, 4000).into()),
        6 => Path::tcp(([10, 9, 0, 6], 4000).into()),
        n => Path::udp(([10, 9, 0, n], 4000).into()),
    }
}

fn server() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 7410))
}

struct World {
    now: Instant,
    crypto: Arc<CryptoProvider>,
    sfu: Sfu<SealedProtocol>,
    proofs: Proofs,
    peers: Vec<Peer>,
    /// How many of them, from the first, do nothing wrong.
    harmless: usize,
    seen: VecDeque<Vec<u8>>,
    connected: BTreeSet<[u8; 8]>,
    ended: BTreeSet<[u8; 8]>,
    /// Voice was sent that does not say whose it is.
    voice_lies: bool,
    /// What each slot has sent, by SSRC.
    slots: BTreeMap<u32, Numbers>,
}

/// Sequence numbers of one slot, roll-overs included.
#[derive(Default)]
struct Numbers {
    last: u64,
    sent: BTreeSet<u64>,
}

impl Numbers {
    fn see(&mut self, number: u16) {
        if self.sent.is_empty() {
            self.last = u64::from(number) + (1 << 16);
        }
        let step = number.wrapping_sub(self.last as u16) as i16;
        assert!(step.unsigned_abs() <= JUMP_MAX, "a slot jumps by {step}");
        let number = self.last.wrapping_add_signed(i64::from(step));
        self.last = self.last.max(number);
        assert!(self.sent.insert(number), "a slot repeats a number");
    }
}

impl World {
    fn new(crypto: &Arc<CryptoProvider>) -> Self {
        let fixture = fixture();
        let crypto = Arc::clone(crypto);
        let certificate = fixture.certificate.clone();
        let mut config = Config::new(Arc::clone(&crypto), certificate, vec![server()]);
        config.local_tcp = vec![server()];
        (config.max_sessions, config.max_room_sessions) = (6, 4);
        let clock = WallClock {
            at: fixture.t0,
            unix_ms: UNIX_S * 1000,
        };
        let protocol = protocol();
        Self {
            now: fixture.t0,
            crypto: Arc::clone(&crypto),
            sfu: Sfu::new(config, protocol, clock, 1, fixture.t0),
            proofs: Proofs::new(crypto),
            peers: Vec::new(),
            harmless: 0,
            seen: VecDeque::new(),
            connected: BTreeSet::new(),
            ended: BTreeSet::new(),
            voice_lies: false,
            slots: BTreeMap::new(),
        }
    }

    /// Carries out the next instruction; none when the program is over.
    fn step(&mut self, program: &mut Program<'_>) -> Option<()> {
        match program.byte()? % 10 {
            0 => self.wait(program),
            1 => {
                let from = path(program.byte()?);
                let data = program.bytes()?.to_vec();
                self.deliver(from, data);
                Some(())
            }
            2 => self.check_connectivity(program),
            3 => self.join(program),
            4 => self.disturb(program),
            5 => self.say(program),
            6 => self.talk(program),
            7 => self.command(program),
            8 => self.replay(program),
            _ => {
                let n = self.peer(program)?;
                self.peers[n].path = path(program.byte()?);
                Some(())
            }
        }
    }

    fn elapsed(&self) -> Duration {
        self.now.saturating_duration_since(fixture().t0)
    }

    fn peer(&self, program: &mut Program<'_>) -> Option<usize> {
        let n = usize::from(program.byte()?).checked_rem(self.peers.len() - self.harmless);
        Some(self.harmless + n?)
    }

    fn wait(&mut self, program: &mut Program<'_>) -> Option<()> {
        let ms = program.word()?;
        let time = Duration::from_millis(u64::from(ms) % 16_000);
        self.run_for(time.min(TIME_MAX.saturating_sub(self.elapsed())));
        Some(())
    }

    /// Somebody shows a ticket: right or not, of a client or of nobody, with whatever attributes.
    fn check_connectivity(&mut self, program: &mut Program<'_>) -> Option<()> {
        let (flags, from) = (program.byte()?, path(program.byte()?));
        let spec = Spec::read(program, SessionId([0xf0 | flags & 3; 8]))?;
        let own = program.bytes()?;
        let attributes = program.bytes()?;
        let fingerprint = [flags & 4; 16];
        let boot = if flags & 8 == 0 { BOOT } else { BootId([8; 8]) };
        let ticket = spec.ticket(fingerprint, UNIX_S);
        let ufrag = ticket.seal(spec.reads(), &keys(), boot);
        let right = ice_password(&keys(), &ufrag);
        let password = if flags & 16 == 0 { &right } else { "wrong" };
        let own = String::from_utf8_lossy(own);
        let username = format!("{ufrag}:{own}");
        self.proofs.issue(ufrag, spec.session, right.clone());
        let crypto = &fixture().crypto;
        let mut request = binding_request(crypto, &username, attributes, password);
        if flags & 32 != 0 {
            request = flip(request, program.word()?, program.byte()?);
        }
        self.deliver(from, request);
        Some(())
    }

    fn join(&mut self, program: &mut Program<'_>) -> Option<()> {
        let n = self.peers.len();
        let spec = Spec::read(program, SessionId([n as u8 + 1; 8]))?;
        if n < PEERS_MAX {
            self.admit(spec, path(n as u8));
        }
        Some(())
    }

    /// Lets a client begin to join from `path`.
    fn admit(&mut self, spec: Spec, path: Path) {
        let n = self.peers.len();
        let dtls = DtlsVersion::Dtls12;
        let mut client = Client::new(self.now, n, &self.crypto, dtls, server());
        let unix_s = UNIX_S + self.elapsed().as_secs();
        let ticket = spec.ticket(client.fingerprint(), unix_s);
        let ufrag = ticket.seal(spec.reads(), &keys(), BOOT);
        let password = ice_password(&keys(), &ufrag);
        self.proofs
            .issue(ufrag.clone(), spec.session, password.clone());
        let hello = spec.hello().map(|hello| hello.seal(&keys(), BOOT));
        let slots = ticket.slots.min(wire::limits::MAX_SLOTS as u8);
        let contact = Contact {
            relay: server(),
            fingerprint: fixture().fingerprint.clone(),
            ufrag,
            password,
            slot_ssrcs: (0..slots)
                .map(|slot| ticket.session.slot_ssrc(slot))
                .collect(),
            has_channel: hello.is_some(),
            hello: hello.clone(),
        };
        let streams = contact.slot_ssrcs.iter();
        self.slots
            .extend(streams.map(|&ssrc| (ssrc, Numbers::default())));
        client.start(self.now, contact, (n as u32 + 1, 1, 1));
        self.peers.push(Peer {
            spec,
            client,
            path,
            fault: None,
            hello,
            inbox: Vec::new(),
            behind: Behind::default(),
        });
    }

    fn disturb(&mut self, program: &mut Program<'_>) -> Option<()> {
        let n = self.peer(program)?;
        let fault = match program.byte()? % 5 {
            0 => Fault::Flip {
                at: program.word()?,
                with: program.byte()?,
            },
            1 => Fault::Cut {
                to: program.word()?,
            },
            2 => Fault::Twice,
            3 => Fault::Lost,
            _ => Fault::From(path(program.byte()?)),
        };
        self.peers[n].fault = Some(fault);
        Some(())
    }

    /// A data-channel message: any bytes, or the hello of any client.
    fn say(&mut self, program: &mut Program<'_>) -> Option<()> {
        let n = self.peer(program)?;
        let kind = program.byte()?;
        let message = if kind == 0 {
            let of = self.peer(program)?;
            let sealed = self.peers[of].hello.clone().unwrap_or_default();
            let hello = ClientMessage::Hello { sealed };
            serde_json::to_vec(&hello).expect("our messages have string keys only")
        } else {
            program.bytes()?.repeat(usize::from(kind))
        };
        self.peers[n].client.write(self.now, &message);
        Some(())
    }

    fn talk(&mut self, program: &mut Program<'_>) -> Option<()> {
        let n = self.peer(program)?;
        let header = VoiceHeader {
            source: u32::from(program.byte()? % 16),
            payload_type: if program.byte()? == NOT_NEGOTIATED {
                NOT_NEGOTIATED
            } else {
                OPUS
            },
            seq: u64::from(program.word()?),
            time: u32::from(program.word()?) << 8,
            level: -(program.byte()? as i8 & 127),
        };
        let payload = program.bytes()?;
        if self.peers[n].client.connected && !self.peers[n].client.down {
            let client = &mut self.peers[n].client;
            client.send_packet(self.now, header, payload);
        }
        Some(())
    }

    fn command(&mut self, program: &mut Program<'_>) -> Option<()> {
        let (kind, with) = (program.byte()?, program.byte()?);
        let command = match kind % 12 {
            8 => Command::SetFull(with & 1 == 0),
            9 | 10 => {
                let message = PUSHED.repeat(usize::from(kind)).into();
                Command::Push(Push::new(self.audience(with), message))
            }
            11 => {
                self.sfu.handle_closed(self.now, path(with));
                return Some(());
            }
            0 => Command::Stop,
            1 => Command::Undrain,
            2 => Command::Drain {
                over: Duration::from_millis(u64::from(with) * 20),
            },
            3 => Command::SetWallClock(WallClock {
                at: self.now,
                unix_ms: (UNIX_S + self.elapsed().as_secs() + u64::from(with)) * 1000,
            }),
            _ => {
                let spec = &self.peers.get(usize::from(with) % PEERS_MAX)?.spec;
                let reasons = EndReason::ALL;
                Command::End {
                    session: spec.session,
                    player: PlayerKey([spec.player.wrapping_add(kind >> 7); 16]),
                    reason: reasons[usize::from(with >> 2) % reasons.len()],
                }
            }
        };
        self.sfu.handle_command(self.now, command);
        Some(())
    }

    fn audience(&self, with: u8) -> Audience {
        let Some(peer) = self.peers.get(usize::from(with) % PEERS_MAX) else {
            return Audience::Topic(TopicKey(world().0));
        };
        let (room, channel) = peer.spec.place();
        match with >> 6 {
            0 => Audience::Room(room, TopicKey(world().0)),
            1 => Audience::Channel(room, channel),
            2 => Audience::Player(room, PlayerKey(peer.spec.player_key().0)),
            _ => Audience::Topic(TopicKey(world().0)),
        }
    }

    /// Something that the shard was sent before, changed or not, from anywhere.
    fn replay(&mut self, program: &mut Program<'_>) -> Option<()> {
        let (which, from) = (usize::from(program.byte()?), path(program.byte()?));
        let (at, with) = (program.word()?, program.byte()?);
        if let Some(n) = which.checked_rem(self.seen.len()) {
            let data = flip(self.seen[n].clone(), at, with);
            self.deliver(from, data);
        }
        Some(())
    }

    fn deliver(&mut self, from: Path, data: Vec<u8>) {
        self.proofs.see(from, &data);
        self.sfu.handle_datagram(self.now, from, &data);
        self.seen.push_back(data);
        if self.seen.len() > SEEN_MAX {
            self.seen.pop_front();
        }
    }

    /// Lets `time` pass.
    fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            self.exchange();
            let clients = self.peers.iter().filter_map(|peer| peer.client.next_at());
            match clients.chain(self.sfu.poll_timeout()).min() {
                Some(at) if at <= until => self.now = self.now.max(at),
                _ => break,
            }
        }
        self.now = until;
    }

    /// Lets the core and the clients talk until nobody has anything to do at this moment.
    fn exchange(&mut self) {
        for _ in 0..ROUNDS_MAX {
            if self.sfu.poll_timeout().is_some_and(|at| at <= self.now) {
                self.sfu.handle_timeout(self.now);
            }
            self.settle();
            if !self.advance_clients() {
                let is_idle = self.sfu.poll_timeout().is_none_or(|at| at > self.now);
                if is_idle {
                    return;
                }
            }
        }
        panic!("the shard and its clients do not come to rest");
    }

    /// Whether a client did anything.
    fn advance_clients(&mut self) -> bool {
        let mut has_acted = false;
        for n in 0..self.peers.len() {
            let (now, peer) = (self.now, &mut self.peers[n]);
            for data in std::mem::take(&mut peer.inbox) {
                peer.client.handle_datagram(now, &data);
            }
            if peer.client.next_at().is_none_or(|at| at > now) {
                continue;
            }
            has_acted = true;
            let sent = peer.client.advance(now);
            let arriving: Vec<_> = sent
                .into_iter()
                .flat_map(|data| self.peers[n].send(data))
                .collect();
            for (from, data) in arriving {
                self.deliver(from, data);
            }
            let listener = &self.peers[n];
            let has_red = self.peers.iter().any(|peer| peer.spec.has_red);
            let in_the_clear = !has_red && !self.voice_lies;
            for heard in listener.client.heard.iter().filter(|_| in_the_clear) {
                let speaker = &self.peers[heard.speaker].spec;
                assert!(
                    listener.spec.may_hear(speaker),
                    "client {n} hears client {}",
                    heard.speaker
                );
            }
            self.peers[n].client.heard.clear();
        }
        has_acted
    }

    /// Takes what the shard has to say, and checks it.
    fn settle(&mut self) {
        for count in 0.. {
            assert!(count < TRANSMITS_MAX, "the shard sends without end");
            let Some(transmit) = self.sfu.poll_transmit() else {
                break;
            };
            assert!(
                self.proofs.has_path(transmit.to),
                "{:?} was sent something and has shown no ticket",
                transmit.to
            );
            // Header fields of voice are in the clear.
            if let [_, _, s0, s1, _, _, _, _, a, b, c, d, ..] = transmit.data[..]
                && let Some(slot) = self.slots.get_mut(&u32::from_be_bytes([a, b, c, d]))
                && transmit.data[0] >> 6 == 2
            {
                slot.see(u16::from_be_bytes([s0, s1]));
            }
            for peer in &mut self.peers {
                if peer.path == transmit.to {
                    peer.inbox.push(transmit.data.clone());
                }
            }
        }
        while let Some(event) = self.sfu.poll_event() {
            match event {
                Event::Connected { session } => self.connected(session),
                Event::Ended { session, .. } => {
                    assert!(self.proofs.has_session(session), "it never began");
                    assert!(self.ended.insert(session.0), "it ended before");
                }
                Event::Used(_) => {}
            }
        }
        if let Err(wrong) = queues::check(&self.sfu) {
            panic!("{wrong}");
        }
        let admitted = self.sfu.stats().admitted as usize;
        assert!(admitted <= self.proofs.sessions(), "admitted without proof");
        assert_eq!(
            admitted,
            self.ended.len() + self.sfu.sessions(),
            "a session began twice"
        );
        assert!(self.sfu.rooms() <= self.sfu.sessions());
        assert!(self.sfu.participants() <= self.connected.len());
    }

    fn connected(&mut self, session: SessionId) {
        assert!(self.proofs.has_session(session), "connected without proof");
        assert!(self.connected.insert(session.0), "it connected before");
        let owner = self
            .peers
            .iter()
            .find(|peer| peer.spec.session == session)
            .expect("only a client can shake hands");
        assert!(owner.spec.is_owner, "another one's ticket");
    }

    /// Everybody falls silent; in the end nothing is left.
    fn end(&mut self) {
        for peer in &mut self.peers {
            peer.client.down = true;
        }
        self.run_for(AFTERMATH);
        assert_eq!((self.sfu.sessions(), self.sfu.rooms()), (0, 0));
        if let Err(wrong) = queues::check_empty(&self.sfu) {
            panic!("{wrong}");
        }
    }
}
