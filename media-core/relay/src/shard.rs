//! The thread of one shard: sockets in, core, sockets out.

use std::cmp::Reverse;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use sfu::{Command, Event, Meter, Sfu, Transport, Work};
use str0m::config::{CryptoProvider, DtlsCert, Fingerprint};
use udp::{Poller, RecvBatch, SendBatch, SendStats, Socket, thread_cpu_time};
use wire::fleet::{LARGE_ROOM, LargeRoom, RefusedRoom};
use wire::limits::MAX_LARGE_ROOMS;

use crate::clock;
use crate::config::StartError;
use crate::exposition::Histogram;
use crate::handle::{Order, ShardHandle, Snapshot};
use crate::overload::{Limits, Overload, Sample};
use crate::protocol::SealedProtocol;
use crate::streams::Streams;
use crate::usage::Books;

/// Longest wait of a turn, so that health can tell an idle loop from a stuck one.
const WAIT_MAX: Duration = Duration::from_millis(200);

/// Of the shard's thread: some nine times the share of a usual one, and woken before it.
const NICE: i32 = -10;

/// Time between two publications of the shard's figures.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(200);

/// Time between two looks at the wall clock.
const CLOCK_INTERVAL: Duration = Duration::from_secs(1);

/// Longest time that a shard stays for its last words after it was told to stop.
const STOP_MAX: Duration = Duration::from_millis(700);

/// Orders taken per turn.
const ORDERS_PER_TURN_MAX: usize = 64;

/// Media connections of one shard for each session that it may have: a client that comes back
/// opens the next before the last is gone.
const CONNECTIONS_PER_SESSION_MAX: usize = 2;

/// The relay's DTLS certificate, made anew at each start.
#[derive(Clone)]
pub(crate) struct Certificate {
    crypto: Arc<CryptoProvider>,
    certificate: DtlsCert,
    /// `sha-256 AB:CD:..` (RFC 8122).
    pub(crate) fingerprint: String,
}

impl Certificate {
    pub(crate) fn generate() -> Result<Self, StartError> {
        let crypto = Arc::new(str0m::crypto::from_feature_flags());
        let certificate = crypto
            .dtls_provider
            .generate_certificate()
            .ok_or_else(|| StartError("a DTLS certificate cannot be made".to_owned()))?;
        let digest = crypto.sha256_provider.sha256(&certificate.certificate);
        let fingerprint = Fingerprint {
            hash_func: "sha-256".to_owned(),
            bytes: digest.to_vec(),
        }
        .to_string();
        Ok(Self {
            crypto,
            certificate,
            fingerprint,
        })
    }
}

/// What a shard is made of.
pub(crate) struct Parts {
    pub(crate) sockets: Vec<Socket>,
    pub(crate) poller: Poller,
    pub(crate) orders: Receiver<Order>,
    pub(crate) handle: Arc<ShardHandle>,
    pub(crate) protocol: SealedProtocol,
    pub(crate) certificate: Certificate,
    /// Addresses as clients know them; the first of each family is what str0m is told.
    pub(crate) local: Vec<SocketAddr>,
    /// The same for TCP.
    pub(crate) local_tcp: Vec<SocketAddr>,
    pub(crate) limits: Limits,
    /// Most sessions of one room.
    pub(crate) max_room: u32,
    pub(crate) speaker: sfu::SpeakerLimits,
    pub(crate) work: sfu::WorkLimits,
    pub(crate) places: sfu::PlaceLimits,
    pub(crate) hello: Duration,
    /// What is sent to where a client may not be.
    pub(crate) paths: sfu::PathLimits,
    pub(crate) push: sfu::PushLimits,
    pub(crate) states_per_s: u32,
    pub(crate) drain: Duration,
    pub(crate) seed: u64,
    pub(crate) usage_interval: Duration,
    pub(crate) books: Books,
}

/// CPU time of the shard's thread, so that nobody pays for what else the machine does.
struct ThreadTime;

impl Meter for ThreadTime {
    fn begin(&self) -> Duration {
        thread_cpu_time()
    }

    fn spent(&self, began: Duration, _: Work) -> Duration {
        thread_cpu_time().saturating_sub(began)
    }
}

/// A shard, ready to run.
pub(crate) struct ShardLoop {
    /// Each with what waits to be sent through it; the index is the poller's token.
    lanes: Vec<Lane>,
    streams: Streams,
    poller: Poller,
    received: RecvBatch,
    orders: Receiver<Order>,
    handle: Arc<ShardHandle>,
    core: Sfu<SealedProtocol>,
    overload: Overload,
    drain: Duration,
    books: Books,
    turns: Histogram,
    transits: Histogram,
    /// When the datagrams of this turn arrived, since the Unix epoch.
    arrivals: Vec<Duration>,
    publish_at: Instant,
    clock_at: Instant,
    stop_by: Option<Instant>,
}

/// One socket and its batch.
struct Lane {
    socket: Socket,
    batch: SendBatch,
}

impl ShardLoop {
    pub(crate) fn new(parts: Parts) -> io::Result<Self> {
        let mut lanes = Vec::new();
        for (token, socket) in (0..).zip(parts.sockets) {
            parts.poller.add(&socket, token)?;
            log_granted(&parts.handle, &socket);
            lanes.push(Lane {
                batch: SendBatch::new(&socket),
                socket,
            });
        }
        let now = clock::now();
        let Certificate {
            crypto,
            certificate,
            ..
        } = parts.certificate;
        let mut config = sfu::Config::new(crypto, certificate, parts.local);
        config.local_tcp = parts.local_tcp;
        config.max_sessions = usize::try_from(parts.limits.sessions).unwrap_or(usize::MAX);
        config.max_room_sessions = usize::try_from(parts.max_room).unwrap_or(usize::MAX);
        config.speaker = parts.speaker;
        config.work = parts.work;
        config.places = parts.places;
        config.hello_timeout = parts.hello;
        config.paths = parts.paths;
        config.push = parts.push;
        config.max_states_per_s = parts.states_per_s;
        config.meter = Arc::new(ThreadTime);
        config.usage_interval = parts.usage_interval;
        let connections_max = config
            .max_sessions
            .saturating_mul(CONNECTIONS_PER_SESSION_MAX);
        let clock = parts.handle.wall_clock(now);
        let core = Sfu::new(config, parts.protocol, clock, parts.seed, now);
        Ok(Self {
            lanes,
            streams: Streams::new(connections_max),
            poller: parts.poller,
            received: RecvBatch::new(),
            orders: parts.orders,
            handle: parts.handle,
            core,
            overload: Overload::new(parts.limits),
            drain: parts.drain,
            books: parts.books,
            turns: Histogram::default(),
            transits: Histogram::default(),
            arrivals: Vec::new(),
            publish_at: now,
            clock_at: now + CLOCK_INTERVAL,
            stop_by: None,
        })
    }

    /// Turns until told to stop.
    ///
    /// # Errors
    /// When a socket or the poller fails for good.
    pub(crate) fn run(mut self) -> io::Result<()> {
        self.handle.note_start(clock::now());
        self.go_first();
        loop {
            let began = clock::now();
            self.receive()?;
            self.take_orders();
            let now = clock::now();
            if self.core.poll_timeout().is_some_and(|at| at <= now) {
                self.core.handle_timeout(now);
            }
            self.send();
            self.note_transits();
            self.drain_events();
            let ended = clock::now();
            self.turns.observe(ended.saturating_duration_since(began));
            self.handle.turned.set(ended);
            self.keep_books(ended);
            if self.is_done(ended) {
                self.core.take_usage(ended);
                self.drain_events();
                self.handle.publish(self.snapshot());
                return Ok(());
            }
            self.poller.wait(Some(self.wait(ended)))?;
        }
    }

    /// Voice does not wait for what else the machine does: heartbeats, logs, a relay that starts.
    fn go_first(&self) {
        let shard = &self.handle.id;
        match udp::set_thread_nice(NICE) {
            Ok(()) => tracing::debug!(%shard, nice = NICE, "the shard goes before others"),
            Err(error) => {
                let kind = error.kind();
                tracing::info!(%shard, %kind, nice = NICE, "the shard waits its turn like others");
            }
        }
    }

    /// Gives the core what has arrived: one batch per socket and turn, so that what the core
    /// answers leaves before the next batch is looked at.
    fn receive(&mut self) -> io::Result<()> {
        let Self {
            lanes,
            poller,
            received,
            core,
            streams,
            arrivals,
            ..
        } = self;
        for token in poller.readable() {
            if Streams::has(token) {
                streams.receive(core, clock::now(), token);
                continue;
            }
            let lane = &mut lanes[usize::try_from(token).expect("tokens are indices")];
            lane.socket.recv(received)?;
            let now = clock::now();
            for datagram in received.datagrams() {
                core.handle_datagram(now, datagram.from, datagram.data);
                arrivals.extend(datagram.arrived);
            }
        }
        Ok(())
    }

    fn take_orders(&mut self) {
        for _ in 0..ORDERS_PER_TURN_MAX {
            let Ok(order) = self.orders.try_recv() else {
                break;
            };
            let now = clock::now();
            let command = match order {
                Order::Command(command) => command,
                Order::Question(question, asker) => {
                    question.answer(&self.core, now, asker);
                    continue;
                }
                Order::Connection(arrival) => {
                    let (streams, core) = (&mut self.streams, &mut self.core);
                    streams.open(&self.poller, core, now, arrival);
                    continue;
                }
                Order::Drain(true) => Command::Drain { over: self.drain },
                Order::Drain(false) => Command::Undrain,
                Order::Stop => {
                    self.stop_by = Some(now + STOP_MAX);
                    Command::Stop
                }
                Order::Abandon => {
                    self.stop_by = Some(now);
                    continue;
                }
            };
            self.core.handle_command(now, command);
        }
    }

    fn send(&mut self) {
        while let Some(transmit) = self.core.poll_transmit() {
            let to = transmit.to.address;
            if transmit.to.transport == Transport::Tcp {
                self.streams.send(to, &transmit.data);
                continue;
            }
            let v4 = to.is_ipv4();
            let family = |lane: &&mut Lane| lane.socket.local_address().is_ipv4() == v4;
            // The core answers only who has written, so the family has a socket.
            if let Some(lane) = self.lanes.iter_mut().find(family) {
                lane.batch.push(&lane.socket, to, &transmit.data);
            }
        }
        for lane in self.lanes.iter_mut().filter(|lane| !lane.batch.is_empty()) {
            lane.batch.flush(&lane.socket);
        }
        self.streams
            .flush(&self.poller, &mut self.core, clock::now());
    }

    /// What came in this turn has been answered.
    fn note_transits(&mut self) {
        if self.arrivals.is_empty() {
            return;
        }
        let sent = clock::since_epoch();
        for arrived in self.arrivals.drain(..) {
            self.transits.observe(sent.saturating_sub(arrived));
        }
    }

    fn drain_events(&mut self) {
        while let Some(event) = self.core.poll_event() {
            if let Event::Used(record) = event {
                let counted = self.core.stats().usage;
                self.books.note(&record, &counted, thread_cpu_time());
            }
        }
    }

    fn keep_books(&mut self, now: Instant) {
        if now >= self.publish_at {
            self.publish_at = now + PUBLISH_INTERVAL;
            let snapshot = self.snapshot();
            let sample = Sample {
                at: now,
                cpu: snapshot.cpu,
                packets: snapshot.sent.datagrams,
                sessions: snapshot.sessions.into(),
            };
            // First, because news of the load makes the next heartbeat come at once.
            self.handle.publish(snapshot);
            self.weigh(sample);
        }
        if now >= self.clock_at {
            self.clock_at = now + CLOCK_INTERVAL;
            self.streams.sweep(&mut self.core, now);
            let clock = self.handle.wall_clock(now);
            self.core.handle_command(now, Command::SetWallClock(clock));
        }
    }

    /// Decides whether the shard is full, and tells the core and the heartbeat.
    fn weigh(&mut self, sample: Sample) {
        let full = self.overload.observe(sample);
        let was = self.handle.full();
        if was.is_some() != full.is_some() {
            self.core
                .handle_command(sample.at, Command::SetFull(full.is_some()));
        }
        let refused = self.core.refused_rooms();
        let refused = refused.map(|(room, occupied)| RefusedRoom {
            room: wire::RoomKey(room.0),
            occupied,
        });
        self.handle.set_full(full, refused.collect());
    }

    fn is_done(&self, now: Instant) -> bool {
        self.stop_by
            .is_some_and(|by| now >= by || self.core.sessions() == 0)
    }

    fn wait(&self, now: Instant) -> Duration {
        let due = self.core.poll_timeout();
        due.map_or(WAIT_MAX, |at| at.saturating_duration_since(now))
            .min(WAIT_MAX)
    }

    /// The largest rooms first.
    fn large_rooms(&self) -> Vec<LargeRoom> {
        let rooms = self.core.rooms_of(LARGE_ROOM as usize);
        let mut large: Vec<LargeRoom> = rooms
            .map(|(room, participants)| LargeRoom {
                room: wire::RoomKey(room.0),
                participants: u32::try_from(participants).unwrap_or(u32::MAX),
            })
            .collect();
        large.sort_by_key(|room| Reverse(room.participants));
        large.truncate(MAX_LARGE_ROOMS);
        large
    }

    fn snapshot(&self) -> Snapshot {
        let mut sent = SendStats::default();
        let mut overflows = 0;
        for lane in &self.lanes {
            sent += lane.batch.stats();
            overflows += lane.socket.receive_overflows();
        }
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Snapshot {
            sessions: count(self.core.sessions()),
            participants: count(self.core.participants()),
            rooms: count(self.core.rooms()),
            large: self.large_rooms(),
            core: self.core.stats().clone(),
            received: self.received.stats(),
            overflows,
            sent,
            connections: count(self.streams.len()),
            streams: self.streams.stats(),
            usage: self.core.usage(clock::now()),
            cpu: thread_cpu_time(),
            turns: self.turns.clone(),
            transits: self.transits.clone(),
        }
    }
}

fn log_granted(handle: &ShardHandle, socket: &Socket) {
    let granted = socket.granted();
    let family = if socket.local_address().is_ipv4() {
        "ipv4"
    } else {
        "ipv6"
    };
    tracing::info!(
        shard = %handle.id,
        family,
        receive_buffer_bytes = granted.receive_buffer_bytes,
        send_buffer_bytes = granted.send_buffer_bytes,
        gso = granted.gso,
        gro = granted.gro,
        "socket is open"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_has_the_form_of_rfc_8122() {
        let fingerprint = Certificate::generate().expect("a certificate").fingerprint;
        let digest = fingerprint
            .strip_prefix("sha-256 ")
            .expect("the hash's name");
        assert_eq!(digest.split(':').count(), 32);
        assert!(
            digest
                .split(':')
                .all(|byte| u8::from_str_radix(byte, 16).is_ok())
        );
    }
}
