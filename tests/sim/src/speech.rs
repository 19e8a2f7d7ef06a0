//! One who speaks and one who listens, over a network that loses, so that what comes of it can be
//! rated: the real core with the relay's own protocol, real clients, and an encoder that does what
//! its client says, or not. What Opus would make of it is not decoded: the listener counts what
//! came and what was repeated, and the E-model rates that.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::{Adapter, Connection, Event, LEVEL_ID, OPUS, Options, Repeater, Settings, Voice};
use quality::repeats::{copies, has_fec};
use quality::{Adaptation, Carries, Counts, Heard, Tally, score};
use relay::SealedProtocol;
use sfu::{Config, Sfu, WallClock};
use str0m::RtcConfig;
use str0m::config::CryptoProvider;
use str0m::crypto::from_feature_flags;
use str0m_netem::{GilbertElliot, NetemConfig, Probability, RandomLoss};
use wire::SessionId;
use wire::channel::RelayMessage;
use wire::keys::{ShardKey, ShardKeys};

use crate::chance::Chance;
use crate::dtls;
use crate::model::{Grant, Plan};
use crate::network::{Datagram, Link};
use crate::tickets::{self, BOOT};
use crate::world::{UNIX_S, some_instant};

/// Payload type of RED.
const RED: u8 = 63;
/// One way between a client and the shard.
const LATENCY: Duration = Duration::from_millis(30);
/// What the ends add (as `sfu` says it) without the 20 ms of a packet.
const ENDS: Duration = Duration::from_millis(30);
/// Before voice is rated: the sender needs a report or two to adapt.
const WARM_UP: Duration = Duration::from_secs(15);
/// Speech is rated in pieces of this length, and the ratings averaged: as a listener would.
const PIECE: Duration = Duration::from_secs(5);
const PIECES: u32 = 12;
/// SILK alone, wideband, 20 and 40 ms, one frame (RFC 6716 section 3.1).
const TOC_20_MS: u8 = 9 << 3;
const TOC_40_MS: u8 = 10 << 3;
/// In the byte after it: there is voice, and the frame before is repeated.
const VOICE: u8 = 0x80;
const FEC: [u8; 2] = [0x40, 0x20];

/// Where packets are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the speaker to the relay.
    Up,
    /// From the relay to the listener.
    Down,
}

/// A network, and whether the sender adapts to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// Where.
    pub way: Way,
    /// Share of datagrams lost, 0 to 1.
    pub lost: f32,
    /// Mean length of a burst, packets; 1 for losses that have nothing to do with each other.
    pub burst: f32,
    /// The encoder does what the client says.
    pub adaptive: bool,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// R of the E-model, 0 to 100: the mean over the pieces.
    pub rating: f64,
    /// Mean opinion score, 1 to 4.5, likewise.
    pub mos: f64,
    /// Share of the frames lost, and of those that nothing made good.
    pub lost: f64,
    /// See there.
    pub concealed: f64,
    /// What the listener was sent, voice and all else, bytes of UDP payload a second.
    pub bytes_per_s: f64,
    /// How the encoder was set at the end.
    pub settings: Settings,
}

/// Rates a case; one seed makes one run.
///
/// # Panics
/// When the two do not get to hear each other: the world is broken.
pub fn rate(case: Case, seed: u64) -> Outcome {
    let mut stage = Stage::new(seed);
    stage.run(Duration::from_secs(5));
    assert!(stage.are_welcome(), "both are in the room");
    stage.lose(case, seed);
    stage.adaptive = case.adaptive;
    stage.run(WARM_UP);
    stage.take();
    let (mut counts, mut rating, mut mos) = (Counts::default(), 0.0, 0.0);
    let bytes_before = stage.bytes_down;
    for _ in 0..PIECES {
        stage.run(PIECE);
        let piece = stage.take();
        let rated = score(&stage.heard(&piece));
        rating += rated.r() / f64::from(PIECES);
        mos += rated.mos() / f64::from(PIECES);
        counts.add(&piece);
    }
    let bytes = (stage.bytes_down - bytes_before) as f64;
    let share = |count| counts.share(count).expect("frames came");
    Outcome {
        rating,
        mos,
        lost: share(counts.lost),
        concealed: share(counts.concealed()),
        bytes_per_s: bytes / (PIECE * PIECES).as_secs_f64(),
        settings: stage.settings,
    }
}

/// A client and its way to the shard and back.
struct Person {
    connection: Connection,
    address: SocketAddr,
    up: Link,
    down: Link,
}

struct Stage {
    now: Instant,
    sfu: Sfu<SealedProtocol>,
    server: SocketAddr,
    /// The speaker, then the listener.
    people: [Person; 2],
    adaptive: bool,
    adapter: Adapter,
    settings: Settings,
    repeater: Repeater,
    seq: u64,
    time: u32,
    voice_at: Instant,
    tally: Tally,
    bytes_down: usize,
}

impl Stage {
    fn new(seed: u64) -> Self {
        let now = some_instant();
        let crypto = dtls::seeded(&from_feature_flags(), seed);
        let certificate = crypto
            .dtls_provider
            .generate_certificate()
            .expect("the provider makes certificates");
        let mut probe = RtcConfig::new()
            .set_crypto_provider(Arc::clone(&crypto))
            .set_dtls_cert(certificate.clone())
            .build(now);
        let fingerprint = probe.direct_api().local_dtls_fingerprint().to_string();
        let server = SocketAddr::from(([10, 0, 0, 1], 7410));
        let keys = ShardKey::new(0, [5; 32]).subkeys();
        let region = "eu".parse().expect("a region");
        let protocol = SealedProtocol::new(ShardKey::new(0, [5; 32]).subkeys(), BOOT, &region);
        let config = Config::new(Arc::clone(&crypto), certificate, vec![server]);
        let clock = WallClock {
            at: now,
            unix_ms: UNIX_S * 1000,
        };
        let mut chance = Chance::new(seed);
        let relay = (server, fingerprint.as_str(), &keys);
        let people = [0, 1].map(|n| Person::new(now, n, &crypto, relay, &mut chance));
        Self {
            now,
            sfu: Sfu::new(config, protocol, clock, seed, now),
            server,
            people,
            adaptive: false,
            adapter: Adapter::default(),
            settings: Adaptation::default().settings(),
            repeater: Repeater::default(),
            seq: 1000,
            time: 0,
            voice_at: now,
            tally: Tally::default(),
            bytes_down: 0,
        }
    }

    fn are_welcome(&self) -> bool {
        let mut people = self.people.iter();
        people.all(|person| person.connection.welcome_at().is_some())
    }

    /// From now on datagrams are lost.
    fn lose(&mut self, case: Case, seed: u64) {
        let lossy = loses(steady(seed), case.lost, case.burst);
        match case.way {
            Way::Up => self.people[0].up.set_config(lossy),
            Way::Down => self.people[1].down.set_config(lossy),
        }
    }

    /// What the listener has counted since the last time.
    fn take(&mut self) -> Counts {
        self.tally.take()
    }

    /// What a piece of speech is rated by. A repetition comes with a later packet, for which the
    /// listener's buffer has to wait.
    fn heard(&self, counts: &Counts) -> Heard {
        let settings = self.settings;
        let repeats = settings.copies.max(u8::from(settings.fec_percent > 0));
        let packets = u32::from(1 + repeats);
        let packet = Duration::from_millis(settings.packet_ms.into());
        let share = |count| counts.share(count).unwrap_or(1.0);
        Heard {
            concealed: share(counts.concealed()),
            coarse: share(counts.coarse),
            burst_ratio: counts.burst_ratio(),
            delay: ENDS + LATENCY * 2 + packet * packets,
            bitrate_bps: settings.bitrate_bps,
        }
    }

    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.next_at().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.step();
        }
        self.now = until;
    }

    fn next_at(&self) -> Option<Instant> {
        let people = self.people.iter();
        let of_people = people.flat_map(|person| {
            let links = [person.up.next_at(), person.down.next_at()];
            links.into_iter().chain([person.connection.poll_timeout()])
        });
        let own = [
            self.sfu.poll_timeout(),
            Some(self.voice_at),
            self.adapter.poll_timeout(),
        ];
        of_people.chain(own).flatten().min()
    }

    fn step(&mut self) {
        let now = self.now;
        for person in &mut self.people {
            for datagram in person.up.arrived(now) {
                self.sfu.handle_datagram(now, datagram.peer, &datagram.data);
            }
            for datagram in person.down.arrived(now) {
                let server = self.server;
                person
                    .connection
                    .handle_datagram(now, server, &datagram.data);
            }
        }
        if self.sfu.poll_timeout().is_some_and(|at| at <= now) {
            self.sfu.handle_timeout(now);
        }
        while let Some(transmit) = self.sfu.poll_transmit() {
            let peer = transmit.to.address;
            let Some(n) = self.people.iter().position(|person| person.address == peer) else {
                continue;
            };
            let data = transmit.data;
            self.bytes_down += if n == 1 { data.len() } else { 0 };
            self.people[n].down.send(now, Datagram { peer, data });
        }
        while self.sfu.poll_event().is_some() {}
        if now >= self.voice_at {
            self.speak();
        }
        let settings = self.adapter.handle_timeout(now);
        self.obey(settings);
        for n in 0..self.people.len() {
            self.people[n].connection.handle_timeout(now);
            self.settle(n);
        }
    }

    /// Sends a packet of the one who speaks.
    fn speak(&mut self) {
        let Settings {
            fec_percent,
            copies,
            packet_ms,
            bitrate_bps,
        } = self.settings;
        self.voice_at = self.now + Duration::from_millis(packet_ms.into());
        self.seq += 1;
        self.time = self.time.wrapping_add(48 * u32::from(packet_ms));
        let bytes = bitrate_bps as usize * usize::from(packet_ms) / 8000;
        let is_long = packet_ms > 20;
        let mut frame = vec![0x55; bytes];
        frame[0] = if is_long { TOC_40_MS } else { TOC_20_MS };
        let fec = FEC[usize::from(is_long)];
        frame[1] = if fec_percent > 0 && copies == 0 {
            VOICE | fec
        } else {
            VOICE
        };
        let payload = self.repeater.pack(OPUS, self.time, &frame, copies);
        let (payload_type, payload) = match copies {
            0 => (OPUS, frame),
            _ => (RED, payload),
        };
        let voice = Voice {
            seq: self.seq,
            time: self.time,
            level: -20,
            payload,
            payload_type: Some(payload_type),
        };
        self.people[0].connection.handle_voice(self.now, voice);
    }

    /// Takes what happened at one of them, and what he sends.
    fn settle(&mut self, n: usize) {
        let now = self.now;
        while let Some(event) = self.people[n].connection.poll_event() {
            match event {
                Event::Voice(voice) if n == 1 => {
                    let carries = if voice.payload_type == RED {
                        Carries {
                            copies: copies(&voice.payload),
                            coarse: false,
                        }
                    } else {
                        Carries {
                            copies: 0,
                            coarse: has_fec(&voice.payload),
                        }
                    };
                    self.tally.note(voice.seq, carries);
                }
                Event::Message(message @ RelayMessage::Quality { .. }, _) if n == 0 => {
                    let settings = self.adapter.handle_message(now, &message);
                    self.obey(settings);
                }
                _ => {}
            }
        }
        let person = &mut self.people[n];
        while let Some(transmit) = person.connection.poll_transmit() {
            let (peer, data) = (person.address, transmit.data);
            person.up.send(now, Datagram { peer, data });
        }
    }

    fn obey(&mut self, settings: Option<Settings>) {
        if let Some(settings) = settings.filter(|_| self.adaptive) {
            self.settings = settings;
        }
    }
}

impl Person {
    fn new(
        now: Instant,
        n: usize,
        crypto: &Arc<CryptoProvider>,
        (server, fingerprint, keys): (SocketAddr, &str, &ShardKeys),
        chance: &mut Chance,
    ) -> Self {
        let address = SocketAddr::from(([10, 1, 0, n as u8 + 1], 5000));
        let certificate = crypto
            .dtls_provider
            .generate_certificate()
            .expect("the provider makes certificates");
        let mut options = Options::new(Arc::clone(crypto), certificate, address);
        options.other_payload_types = vec![RED];
        options.source = Some(4711 + n as u32);
        let mut connection = Connection::new(options, now);
        let grant = Grant {
            channel: 0,
            speak: true,
            listen: true,
        };
        let plan = Plan {
            player: n,
            room: 0,
            grants: vec![grant],
            slots: 2,
            whip: false,
            ghost: false,
        };
        let session = SessionId([n as u8 + 1; 8]);
        let print = connection.fingerprint();
        let print = print[..16].try_into().expect("SHA-256 has 32 bytes");
        let mut ticket = tickets::ticket(&plan, session, print, UNIX_S);
        ticket.red_payload_type = RED;
        debug_assert_eq!(ticket.audio_level_id, LEVEL_ID);
        let hello = tickets::hello(&plan, session).seal(keys, BOOT);
        let hello = (true, Some(hello));
        let contact = tickets::contact(&ticket, keys, hello, server, fingerprint.to_owned());
        let taken = connection.handle_contact(now, contact);
        taken.expect("a contact of the world's own");
        Self {
            connection,
            address,
            up: Link::of(steady(chance.any())),
            down: Link::of(steady(chance.any())),
        }
    }
}

/// A network that loses nothing.
fn steady(seed: u64) -> NetemConfig {
    NetemConfig::new().latency(LATENCY).seed(seed)
}

fn loses(config: NetemConfig, lost: f32, burst: f32) -> NetemConfig {
    let all = Probability::new(1.0);
    if lost <= 0.0 {
        return config;
    }
    if burst <= 1.0 {
        return config.loss(RandomLoss::new(Probability::new(lost)));
    }
    config.loss(
        GilbertElliot::new()
            .good_duration(burst * (1.0 - lost) / lost)
            .bad_duration(burst)
            .loss_in_bad(all)
            .loss_in_good(Probability::new(0.0)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_who_adapts_is_heard_better() {
        for way in [Way::Up, Way::Down] {
            let case = |adaptive| Case {
                way,
                lost: 0.1,
                burst: 1.0,
                adaptive,
            };
            let (plain, adapted) = (rate(case(false), 1), rate(case(true), 1));
            assert!((0.08..0.12).contains(&plain.lost), "{way:?}: {plain:?}");
            assert_eq!(plain.lost, plain.concealed, "{way:?}");
            assert!(
                adapted.concealed < plain.concealed / 3.0,
                "{way:?}: {adapted:?}"
            );
            assert!(
                adapted.mos > plain.mos + 0.5,
                "{way:?}: {plain:?}, {adapted:?}"
            );
            assert_eq!(rate(case(true), 1), adapted, "a seed makes one run");
        }
    }

    #[test]
    fn nothing_is_done_where_nothing_is_lost() {
        let case = |adaptive| Case {
            way: Way::Up,
            lost: 0.0,
            burst: 1.0,
            adaptive,
        };
        assert_eq!(rate(case(true), 2), rate(case(false), 2));
    }
}
