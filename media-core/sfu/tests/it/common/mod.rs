//! A small world on a virtual clock: one shard, str0m clients, a network with a fixed delay.

#![allow(unreachable_pub, reason = "each module of tests uses its part")]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use allocation_counter::measure;
use sfu::{
    Admission, BadMessage, BadTicket, ChannelGrant, ChannelKey, Command, Config, DataChannel,
    Event, Hello, Notice, Path, Permissions, PlayerKey, Protocol, Request, RoomKey, RosterEntry,
    SessionId, Sfu, Source, TopicKey, WallClock,
};
use str0m::channel::{ChannelConfig, ChannelId};
use str0m::config::{CryptoProvider, DtlsCert, DtlsVersion, Fingerprint};
use str0m::crypto::from_feature_flags;
use str0m::media::{Frequency, MediaKind, Mid, Pt};
use str0m::net::{Protocol as Transport, Receive};
use str0m::rtp::rtcp::SenderInfo;
use str0m::rtp::{Extension, ExtensionMap, ExtensionValues, RtpPacket, RtpWrite, SeqNo, Ssrc};
use str0m::stats::MediaEgressStats;
use str0m::{Candidate, Event as RtcEvent, IceCreds, Input, Output, Rtc, RtcConfig};

pub const SERVER: &str = "10.0.0.1:7410";
pub const UNIX_S: u64 = 1_700_000_000;
pub const OPUS: u8 = 111;
const LEVEL_ID: u8 = 3;
const DELAY: Duration = Duration::from_millis(1);

/// What player3 has subscribed to.
pub const TOPIC: TopicKey = TopicKey([7; 8]);

/// Tickets and messages in the clear; the sealed form is tested where it is implemented.
#[derive(Default)]
pub struct PlainProtocol {
    pub tickets: BTreeMap<String, Admission>,
}

impl Protocol for PlainProtocol {
    type Profile = String;

    fn open(&self, ufrag: &str) -> Result<Admission, BadTicket> {
        self.tickets.get(ufrag).cloned().ok_or(BadTicket::Sealed)
    }

    fn data_channel(&self, label: &str) -> Option<DataChannel> {
        match label {
            "lv" => Some(DataChannel::Messages),
            "lv-pos" => Some(DataChannel::Positions),
            _ => None,
        }
    }

    fn read(&self, _: SessionId, message: &[u8]) -> Result<Request<String>, BadMessage> {
        let text = std::str::from_utf8(message).map_err(|_| BadMessage)?;
        let words: Vec<&str> = text.split(' ').collect();
        match words[..] {
            ["hello", name, channels] => {
                let both = Permissions {
                    speak: true,
                    listen: true,
                };
                let grant = |c: &str| ChannelGrant {
                    channel: channel(c),
                    permissions: both,
                };
                Ok(Request::Hello(Hello {
                    issued_at_ms: 1,
                    profile: name.to_owned(),
                    channels: channels.split(',').map(grant).collect(),
                    topics: match name {
                        "player3" => vec![TOPIC],
                        _ => Vec::new(),
                    },
                    blocked: Vec::new(),
                }))
            }
            ["ping", id] => Ok(Request::Ping {
                id: id.parse().map_err(|_| BadMessage)?,
            }),
            ["state", muted, deafened] => Ok(Request::State {
                muted: muted == "1",
                deafened: deafened == "1",
            }),
            ["leave"] => Ok(Request::Leave),
            ["novel"] => Ok(Request::Unknown),
            _ => Err(BadMessage),
        }
    }

    fn write(&self, notice: &Notice<'_, String>) -> Vec<u8> {
        let names = |entries: &[RosterEntry<'_, String>]| {
            let mut text = String::new();
            for entry in entries {
                let name = entry.profile.map_or("?", String::as_str);
                let mark = if entry.muted { "/muted" } else { "" };
                write!(text, "{}={name}{mark},", entry.id).unwrap();
            }
            text
        };
        let text = match notice {
            Notice::Welcome {
                participant,
                participants,
                slots,
                profile,
                ..
            } => {
                format!(
                    "welcome {participant} {profile} {slots} {}",
                    names(participants)
                )
            }
            Notice::Roster {
                joined,
                left,
                changed,
                ..
            } => {
                format!(
                    "roster joined:{} left:{left:?} changed:{}",
                    names(joined),
                    names(changed)
                )
            }
            Notice::Slots { changes, .. } => {
                let who = |carried: sfu::Carried| match carried.source {
                    Source::Participant(number) => number,
                };
                let changes = changes.iter().map(|c| (c.slot, c.carries.map(who)));
                format!("slots {:?}", changes.collect::<Vec<_>>())
            }
            Notice::Speaking { started, stopped } => format!("speaking {started:?} {stopped:?}"),
            Notice::Pong { id } => format!("pong {id}"),
            Notice::Migrate => "migrate".to_owned(),
            Notice::Ended(reason) => format!("ended {}", reason.label()),
        };
        text.into_bytes()
    }
}

pub fn channel(name: &str) -> ChannelKey {
    let mut key = [0; 8];
    key[..name.len()].copy_from_slice(name.as_bytes());
    ChannelKey(key)
}

/// A str0m client.
pub struct Client {
    pub rtc: Rtc,
    /// As the client knows it, and as the shard sees it: a NAT may change the latter.
    local: SocketAddr,
    pub address: SocketAddr,
    /// Its datagrams travel on a connection.
    pub tcp: bool,
    pub admission: Admission,
    pub ufrag: String,
    channel: Option<ChannelId>,
    pub connected: bool,
    /// Whether packets to and from it get through.
    pub online: bool,
    /// Sends packets of this level each 20 ms while set.
    pub level: Option<i8>,
    pub source: u32,
    number: u8,
    rtc_at: Instant,
    voice_at: Instant,
    pub seq: u64,
    /// What it sends instead of its number, with which payload type.
    pub payload: Option<(u8, Vec<u8>)>,
    pub heard: Vec<RtpPacket>,
    /// Sender reports: when they came and what they said.
    pub reports: Vec<(Instant, SenderInfo)>,
    /// What it knows each second of how its own voice is received.
    pub received: Vec<MediaEgressStats>,
    pub messages: Vec<String>,
    hello: Option<String>,
    to_send: Vec<Vec<u8>>,
}

pub struct World {
    pub t0: Instant,
    pub now: Instant,
    pub sfu: Sfu<PlainProtocol>,
    pub clients: Vec<Client>,
    pub events: Vec<Event>,
    /// Memory allocations of the core for each voice packet given to it, and for each one that it
    /// gave out.
    pub allocations: (Vec<u64>, Vec<u64>),
    /// What clients sent, while set.
    pub recorded: Option<Vec<(SocketAddr, Vec<u8>)>>,
    /// What happens on the way to what clients send, while set.
    pub tamper: Option<fn(&mut Vec<u8>)>,
    in_flight: BinaryHeap<Reverse<Packet>>,
    order: u64,
    server_fingerprint: Fingerprint,
}

/// Arrival, order of sending, from, to, payload.
type Packet = (Instant, u64, SocketAddr, SocketAddr, Vec<u8>);

/// What a test wants of a client.
#[derive(Clone)]
pub struct Want {
    pub room: &'static str,
    pub channels: &'static str,
    pub slots: usize,
    pub player: u8,
    pub expires_at: u64,
    pub hello: bool,
    /// The ticket says that nobody may hear him.
    pub server_muted: bool,
    /// Use another certificate than the ticket names.
    pub other_certificate: bool,
    /// Use another password than the ticket's.
    pub other_password: bool,
    pub dtls: DtlsVersion,
    /// Connect by ICE-TCP.
    pub tcp: bool,
    pub opus: u8,
    /// Payload type of RED, where negotiated.
    pub red: Option<u8>,
}

impl Default for Want {
    fn default() -> Self {
        Self {
            room: "room",
            channels: "main",
            slots: 4,
            player: 0,
            expires_at: UNIX_S + 60,
            hello: true,
            server_muted: false,
            other_certificate: false,
            other_password: false,
            dtls: DtlsVersion::Auto,
            tcp: false,
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

/// The tickets of the world: `world.join` adds them, so admissions are decided before `new`.
fn admission(n: u8, want: &Want, fingerprint: &Fingerprint) -> Admission {
    let mut room = [0; 8];
    room[..want.room.len()].copy_from_slice(want.room.as_bytes());
    let first = want.channels.split(',').next().unwrap();
    Admission {
        issued_at_ms: 0,
        expires_at_unix_s: want.expires_at,
        session: SessionId([n; 8]),
        player: PlayerKey([if want.player == 0 { n } else { want.player }; 16]),
        fingerprint: fingerprint.bytes[..16].try_into().unwrap(),
        room: RoomKey(room),
        channel: channel(first),
        permissions: Permissions {
            speak: true,
            listen: true,
        },
        server_muted: want.server_muted,
        opus_payload_type: want.opus,
        red_payload_type: want.red,
        audio_level_id: Some(LEVEL_ID),
        slot_ssrcs: (0..want.slots)
            .map(|slot| 1000 * u32::from(n) + slot as u32 + 1)
            .collect(),
        ice_password: format!("password-of-the-session-{n:03}"),
    }
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
        let mut config = Config::new(
            Arc::clone(&crypto),
            server_certificate,
            vec![SERVER.parse().unwrap()],
        );
        config.local_tcp = vec![SERVER.parse().unwrap()];
        change(&mut config);
        let mut protocol = PlainProtocol::default();
        let mut clients = Vec::new();
        for (i, want) in wants.iter().enumerate() {
            let n = i as u8 + 1;
            let client = Client::new(t0, n, want, &crypto);
            protocol
                .tickets
                .insert(client.ufrag.clone(), client.admission.clone());
            clients.push(client);
        }
        let probe = RtcConfig::new()
            .set_crypto_provider(Arc::clone(&crypto))
            .set_dtls_cert(config.certificate.clone());
        let server_fingerprint = probe
            .build(t0)
            .direct_api()
            .local_dtls_fingerprint()
            .clone();
        let clock = WallClock {
            at: t0,
            unix_ms: UNIX_S * 1000,
        };
        let sfu = Sfu::new(config, protocol, clock, 7, t0);
        let mut world = Self {
            t0,
            now: t0,
            sfu,
            clients,
            events: Vec::new(),
            allocations: (Vec::new(), Vec::new()),
            recorded: None,
            tamper: None,
            in_flight: BinaryHeap::new(),
            order: 0,
            server_fingerprint,
        };
        for n in 0..world.clients.len() {
            world.clients[n].online = false;
        }
        world
    }

    /// Client `n` starts to connect.
    pub fn start(&mut self, n: usize) {
        let fingerprint = self.server_fingerprint.clone();
        let now = self.now;
        self.clients[n].start(now, fingerprint);
    }

    pub fn start_all(&mut self) {
        (0..self.clients.len()).for_each(|n| self.start(n));
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
        for n in 0..self.clients.len() {
            let (address, online) = (self.clients[n].address, self.clients[n].online);
            for mut data in self.clients[n].advance(now) {
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
            }
            self.send(server, to.address, transmit.data);
        }
        while let Some(event) = self.sfu.poll_event() {
            self.events.push(event);
        }
    }
}

/// Whether a datagram is RTP with the payload type of all clients.
pub fn is_voice(data: &[u8]) -> bool {
    matches!(data, [128..=191, second, ..] if second & 0x7f == OPUS)
}

impl Client {
    #[expect(clippy::too_many_lines, reason = "all that a client of a test has")]
    fn new(now: Instant, n: u8, want: &Want, crypto: &Arc<CryptoProvider>) -> Self {
        let address: SocketAddr = format!("10.0.1.{n}:5000").parse().unwrap();
        let certificate_used = certificate(crypto);
        let mut extensions = ExtensionMap::empty();
        extensions.set(LEVEL_ID, Extension::AudioLevel);
        let mut settings = RtcConfig::new()
            .set_crypto_provider(Arc::clone(crypto))
            .set_dtls_cert(certificate_used)
            .set_dtls_version(want.dtls)
            .clear_codecs()
            .set_rtp_mode(true)
            .set_stats_interval(Some(Duration::from_secs(1)))
            .set_extension_map(extensions);
        for payload_type in [want.opus].into_iter().chain(want.red) {
            settings.codec_config().add_config(
                Pt::from(payload_type),
                None,
                str0m::format::Codec::Opus,
                Frequency::FORTY_EIGHT_KHZ,
                Some(2),
                str0m::format::FormatParams::default(),
            );
        }
        let mut rtc = settings.build(now);
        let mut fingerprint = rtc.direct_api().local_dtls_fingerprint().clone();
        if want.other_certificate {
            fingerprint.bytes[3] ^= 1;
        }
        let admission = admission(n, want, &fingerprint);
        let protocol = if want.tcp { "tcp" } else { "udp" };
        rtc.add_local_candidate(Candidate::host(address, protocol).unwrap());
        rtc.add_remote_candidate(Candidate::host(SERVER.parse().unwrap(), protocol).unwrap());
        let ufrag = format!("ticket-{n}");
        let mut pass = admission.ice_password.clone();
        if want.other_password {
            pass.push('x');
        }
        let hello = want
            .hello
            .then(|| format!("hello player{n} {}", want.channels));
        let mut api = rtc.direct_api();
        api.set_ice_controlling(true);
        api.set_remote_ice_credentials(IceCreds {
            ufrag: ufrag.clone(),
            pass,
        });
        api.declare_media(Mid::from("mic"), MediaKind::Audio);
        let source = 77_000 + u32::from(n);
        api.declare_stream_tx(Ssrc::from(source), None, Mid::from("mic"), None);
        for &ssrc in &admission.slot_ssrcs {
            let mid = Mid::from(format!("m{ssrc}").as_str());
            api.declare_media(mid, MediaKind::Audio);
            api.expect_stream_rx(Ssrc::from(ssrc), None, mid, None);
        }
        Self {
            rtc,
            local: address,
            address,
            tcp: want.tcp,
            admission,
            ufrag,
            channel: None,
            connected: false,
            online: false,
            level: None,
            source,
            number: n,
            rtc_at: now,
            voice_at: now,
            seq: 100,
            payload: None,
            heard: Vec::new(),
            reports: Vec::new(),
            received: Vec::new(),
            messages: Vec::new(),
            hello,
            to_send: Vec::new(),
        }
    }

    fn start(&mut self, now: Instant, server: Fingerprint) {
        self.online = true;
        self.rtc_at = now;
        let mut api = self.rtc.direct_api();
        api.set_remote_fingerprint(server);
        api.start_dtls(true).unwrap();
        api.start_sctp(true);
        api.create_data_channel(ChannelConfig {
            label: "lv".to_owned(),
            ..Default::default()
        });
        self.rtc.handle_input(Input::Timeout(now)).unwrap();
    }

    /// Sends voice from another source, as a browser does after a device change.
    pub fn change_source(&mut self, ssrc: u32) {
        let mut api = self.rtc.direct_api();
        api.remove_stream_tx(Ssrc::from(self.source));
        api.declare_stream_tx(Ssrc::from(ssrc), None, Mid::from("mic"), None);
        self.source = ssrc;
    }

    pub fn say(&mut self, message: &str) {
        let id = self.channel.expect("the channel is open");
        assert!(
            self.rtc
                .channel(id)
                .unwrap()
                .write(false, message.as_bytes())
                .unwrap()
        );
    }

    /// Whether a message that starts with `start` came.
    pub fn was_told(&self, start: &str) -> bool {
        self.messages
            .iter()
            .any(|message| message.starts_with(start))
    }

    /// Sequence numbers and timestamps heard in slot `slot`.
    pub fn heard_in(&self, slot: usize) -> Vec<(u64, u32)> {
        let ssrc = Ssrc::from(self.admission.slot_ssrcs[slot]);
        let packets = self
            .heard
            .iter()
            .filter(|packet| packet.header.ssrc == ssrc);
        packets
            .map(|packet| (*packet.seq_no, packet.header.timestamp))
            .collect()
    }

    /// First bytes of the payloads heard: each client sends its own number there.
    pub fn voices(&self) -> std::collections::BTreeSet<u8> {
        self.heard.iter().map(|packet| packet.payload[0]).collect()
    }

    fn next_at(&self) -> Option<Instant> {
        let talks = self.level.is_some() && self.connected;
        let at = if talks {
            self.rtc_at.min(self.voice_at)
        } else {
            self.rtc_at
        };
        self.online.then_some(at)
    }

    fn handle_datagram(&mut self, now: Instant, data: &[u8]) {
        if !self.online {
            return;
        }
        let server = SERVER.parse().unwrap();
        let transport = match self.tcp {
            true => Transport::Tcp,
            false => Transport::Udp,
        };
        if let Ok(receive) = Receive::new(transport, server, self.local, data) {
            let _ = self.rtc.handle_input(Input::Receive(now, receive));
            // str0m wants to be drained between two inputs.
            self.drain(now);
            self.rtc_at = now;
        }
    }

    /// Lets time pass; returns what it sends.
    fn advance(&mut self, now: Instant) -> Vec<Vec<u8>> {
        if self.next_at().is_none_or(|at| now < at) {
            return Vec::new();
        }
        if let Some(level) = self
            .level
            .filter(|_| self.connected && now >= self.voice_at)
        {
            self.voice_at = now + Duration::from_millis(20);
            self.send_voice(now, level);
        }
        let _ = self.rtc.handle_input(Input::Timeout(now));
        self.drain(now);
        std::mem::take(&mut self.to_send)
    }

    fn drain(&mut self, now: Instant) {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.rtc_at = at.max(now + Duration::from_micros(100));
                    return;
                }
                Ok(Output::Transmit(transmit)) => {
                    self.to_send.push(Vec::from(transmit.contents));
                }
                Ok(Output::Event(event)) => self.handle_event(event),
                Err(_) => {
                    self.rtc_at = now + Duration::from_millis(50);
                    return;
                }
            }
        }
    }

    fn send_voice(&mut self, now: Instant, level: i8) {
        self.seq += 1;
        let time = self.seq as u32 * 960;
        let values = ExtensionValues {
            audio_level: Some(level),
            voice_activity: Some(level > -50),
            ..Default::default()
        };
        let opus = self.admission.opus_payload_type;
        let plain = (opus, vec![self.number; 60]);
        let (payload_type, payload) = self.payload.clone().unwrap_or(plain);
        let payload_type = Pt::from(payload_type);
        let write =
            RtpWrite::new(payload_type, SeqNo::from(self.seq), time, now, payload).ext_vals(values);
        let source = Ssrc::from(self.source);
        self.rtc
            .direct_api()
            .stream_tx(&source)
            .unwrap()
            .write_rtp(write);
    }

    fn handle_event(&mut self, event: RtcEvent) {
        match event {
            RtcEvent::Connected => self.connected = true,
            RtcEvent::RtpPacket(packet) => self.heard.push(packet),
            RtcEvent::SenderFeedback(feedback) => {
                let at = feedback.received_at;
                self.reports.push((at, feedback.sender_info));
            }
            RtcEvent::MediaEgressStats(stats) => self.received.push(stats),
            RtcEvent::ChannelOpen(id, _) => {
                self.channel = Some(id);
                if let Some(hello) = self.hello.take() {
                    self.say(&hello);
                }
            }
            RtcEvent::ChannelData(data) => {
                self.messages.push(String::from_utf8(data.data).unwrap());
            }
            RtcEvent::Closed => self.connected = false,
            _ => {}
        }
    }
}
