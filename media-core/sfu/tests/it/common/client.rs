//! A client of the core: a [`Connection`], and what it noticed.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::{Connection, Contact, Event, Options, Reception, SlotReport, Voice, VoiceReceived};
use sfu::Admission;
use str0m::config::CryptoProvider;
use str0m::net::Protocol as Transport;
use wire::channel::{ClientMessage, RelayMessage};

use super::{OPUS, SERVER, Want, admission, certificate, tickets};

const FRAME: Duration = Duration::from_millis(20);

pub struct Client {
    pub connection: Connection,
    /// As the shard sees it: a NAT may have changed it.
    pub address: SocketAddr,
    /// Its datagrams travel on a connection.
    pub tcp: bool,
    pub admission: Admission,
    pub ufrag: String,
    /// Whether packets to and from it get through.
    pub online: bool,
    /// Sends packets of this level each 20 ms while set.
    pub level: Option<i8>,
    pub seq: u64,
    /// What it sends instead of its number, with which payload type.
    pub payload: Option<(u8, Vec<u8>)>,
    pub heard: Vec<Heard>,
    /// What it was told of the slots' voice, and when.
    pub reports: Vec<(Instant, SlotReport)>,
    /// What it was told of its own.
    pub receptions: Vec<Reception>,
    pub messages: Vec<RelayMessage>,
    number: u8,
    voice_at: Instant,
    /// Until it starts.
    contact: Option<Contact>,
}

/// A packet that came, and when.
pub struct Heard {
    pub at: Instant,
    pub voice: VoiceReceived,
}

impl Client {
    pub(super) fn new(
        now: Instant,
        n: u8,
        want: &Want,
        crypto: &Arc<CryptoProvider>,
        relay_fingerprint: &str,
    ) -> Self {
        let address = SocketAddr::from(([10, 0, 1, n], 5000));
        let mut options = Options::new(Arc::clone(crypto), certificate(crypto), address);
        options.dtls = want.dtls;
        options.source = Some(77_000 + u32::from(n));
        options.reception_every = Some(Duration::from_secs(1));
        let payload_types = [want.opus].into_iter().chain(want.red);
        options.other_payload_types = payload_types.filter(|other| *other != OPUS).collect();
        if want.tcp {
            options.protocol = Transport::Tcp;
        }
        let mut connection = Connection::new(options, now);
        let mut fingerprint = connection.fingerprint();
        if want.other_certificate {
            fingerprint[3] ^= 1;
        }
        let admission = admission(n, want, &fingerprint);
        let ufrag = format!("ticket-{n}");
        let mut password = admission.ice_password.clone();
        if want.other_password {
            password.push('x');
        }
        let contact = Contact {
            relay: SERVER.parse().unwrap(),
            fingerprint: relay_fingerprint.to_owned(),
            ufrag: ufrag.clone(),
            password,
            slot_ssrcs: admission.slot_ssrcs.clone(),
            has_channel: !want.no_channel,
            hello: want.hello.then(|| tickets::hello(n, want)),
        };
        Self {
            connection,
            address,
            tcp: want.tcp,
            admission,
            ufrag,
            online: false,
            level: None,
            seq: 100,
            payload: None,
            heard: Vec::new(),
            reports: Vec::new(),
            receptions: Vec::new(),
            messages: Vec::new(),
            number: n,
            voice_at: now,
            contact: Some(contact),
        }
    }

    pub(super) fn start(&mut self, now: Instant) {
        self.online = true;
        let contact = self.contact.take().expect("a client starts once");
        self.connection.handle_contact(now, contact).unwrap();
    }

    pub(super) fn say(&mut self, now: Instant, message: ClientMessage) {
        assert!(self.is_welcome(), "the channel is open");
        self.connection.handle_message(now, message);
    }

    /// Opens so many data channels besides its own.
    pub fn open_channels(&mut self, now: Instant, count: usize) {
        for n in 0..count {
            self.connection.open_channel(now, &format!("other-{n}"));
        }
    }

    /// Sends so many voice packets at once.
    pub fn flood(&mut self, now: Instant, count: usize) {
        for _ in 0..count {
            self.send_voice(now, -20);
        }
    }

    pub fn is_connected(&self) -> bool {
        self.connection.is_connected()
    }

    pub fn is_welcome(&self) -> bool {
        self.connection.welcome_at().is_some()
    }

    pub fn was_told(&self, wanted: impl Fn(&RelayMessage) -> bool) -> bool {
        self.messages.iter().any(wanted)
    }

    /// Whether it was told of a change of who talks: `started`, then `stopped`.
    pub fn was_told_speaking(&self, started: &[u32], stopped: &[u32]) -> bool {
        let told = RelayMessage::Speaking {
            started: started.to_vec(),
            stopped: stopped.to_vec(),
        };
        self.messages.contains(&told)
    }

    /// Whether it was told that these left, and of nobody who came.
    pub fn was_told_left(&self, gone: &[u32]) -> bool {
        self.was_told(|message| match message {
            RelayMessage::Roster { joined, left, .. } => joined.is_empty() && left == gone,
            _ => false,
        })
    }

    /// Sequence numbers and timestamps heard in slot `slot`.
    pub fn heard_in(&self, slot: u8) -> Vec<(u64, u32)> {
        let voices = self.heard.iter().map(|heard| &heard.voice);
        let here = voices.filter(|voice| voice.slot == slot);
        here.map(|voice| (voice.seq, voice.time)).collect()
    }

    /// First bytes of the payloads heard: each client sends its own number there.
    pub fn voices(&self) -> BTreeSet<u8> {
        let voices = self.heard.iter().map(|heard| heard.voice.payload[0]);
        voices.collect()
    }

    pub(super) fn next_at(&self) -> Option<Instant> {
        let talks = self.level.is_some() && self.is_connected();
        let voice_at = talks.then_some(self.voice_at);
        let next = self.connection.poll_timeout().into_iter().chain(voice_at);
        next.min().filter(|_| self.online)
    }

    pub(super) fn handle_datagram(&mut self, now: Instant, data: &[u8]) {
        if self.online {
            let server = SERVER.parse().unwrap();
            self.connection.handle_datagram(now, server, data);
        }
    }

    /// Lets time pass; returns what it sends.
    pub(super) fn advance(&mut self, now: Instant) -> Vec<Vec<u8>> {
        if self.next_at().is_some_and(|at| at <= now) {
            let talks = self.is_connected() && now >= self.voice_at;
            if let Some(level) = self.level.filter(|_| talks) {
                self.voice_at = now + FRAME;
                self.send_voice(now, level);
            }
            self.connection.handle_timeout(now);
        }
        while let Some(event) = self.connection.poll_event() {
            match event {
                Event::Voice(voice) => self.heard.push(Heard { at: now, voice }),
                Event::Report(report) => self.reports.push((now, report)),
                Event::Reception(reception) => self.receptions.push(reception),
                Event::Message(message, _) => self.messages.push(message),
                Event::Connected | Event::Closed(_) => {}
            }
        }
        let sent = std::iter::from_fn(|| self.connection.poll_transmit());
        sent.map(|transmit| transmit.data).collect()
    }

    fn send_voice(&mut self, now: Instant, level: i8) {
        self.seq += 1;
        let plain = (self.admission.opus_payload_type, vec![self.number; 60]);
        let (payload_type, payload) = self.payload.clone().unwrap_or(plain);
        let voice = Voice {
            seq: self.seq,
            time: self.seq as u32 * 960,
            level,
            payload,
            payload_type: Some(payload_type),
        };
        self.connection.handle_voice(now, voice);
    }
}
