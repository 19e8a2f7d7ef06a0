//! A caller: a player's stay in a room (`client::Call`) over a real socket, and what he notices.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use client::{Call, CallEvent, CallOptions, Cause, Command, JoinId, Options, State, Voice};
use str0m::config::{CryptoProvider, DtlsCert};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use wire::ShardId;
use wire::join::JoinReply;

use crate::edge::Edge;
use crate::heard::{INAUDIBLE, Packet};
use crate::now;

/// Time between two voice packets.
const PACKET_TIME: Duration = Duration::from_millis(20);
/// RTP clock ticks of a packet (RFC 7587).
const PACKET_TICKS: u32 = 960;
/// Opus at 24 kbit/s.
const PACKET_BYTES: usize = 60;
/// Longest datagram.
const DATAGRAM_BYTES_MAX: usize = 2048;
/// Datagrams that are taken before timers and voice have their turn.
const RECEIVED_MAX: usize = 32;

/// What all callers of a drill share.
#[derive(Clone)]
pub struct Line {
    /// The edge that they join through.
    pub edge: Edge,
    /// Where their sockets are bound.
    pub bind: IpAddr,
    /// Times of what they hear count from here.
    pub base: Instant,
    crypto: Arc<CryptoProvider>,
    certificate: DtlsCert,
}

impl Line {
    /// One certificate serves all: making it is the most expensive part of a client.
    ///
    /// # Errors
    /// When no certificate can be made.
    pub fn new(edge: Edge, bind: IpAddr) -> Result<Self> {
        let crypto = Arc::new(str0m::crypto::from_feature_flags());
        let certificate = crypto.dtls_provider.generate_certificate();
        Ok(Self {
            edge,
            bind,
            base: now(),
            crypto,
            certificate: certificate.context("no certificate can be made")?,
        })
    }

    /// The time by which packets are noted.
    pub fn time(&self) -> Duration {
        now() - self.base
    }
}

/// Who he is and what he does.
#[derive(Debug, Clone)]
pub struct Role {
    /// Unique in the drill; his packets say it.
    pub number: u16,
    /// His player id.
    pub player: String,
    /// His room.
    pub room: String,
    /// Whether he talks from the start.
    pub speaks: bool,
    /// Whether packets are noted one by one, or only the last of each speaker.
    pub notes: bool,
}

/// What he has noticed.
#[derive(Debug, Clone, Default)]
pub struct Noticed {
    /// Packets since the last [`Caller::forget`].
    pub heard: Vec<Packet>,
    /// When each speaker was last heard.
    pub last: BTreeMap<u16, Duration>,
    /// The shard of the edge's last answer.
    pub shard: Option<ShardId>,
    /// Whether he is in.
    pub is_connected: bool,
    /// When he last came in.
    pub connected_at: Option<Duration>,
    /// Times that a connection was lost.
    pub losses: u64,
    /// Attempts that failed, by their cause.
    pub failures: BTreeMap<String, u64>,
    /// How long the edge took to answer joins, seconds, refusals included.
    pub answers_s: Vec<f64>,
    /// Why his call is over.
    pub ended: Option<String>,
}

enum Order {
    Talk(bool),
    Leave,
}

/// A caller. Dropped, he is gone without a word, as after a crash.
pub struct Caller {
    /// Who he is.
    pub role: Role,
    noticed: Arc<Mutex<Noticed>>,
    orders: mpsc::UnboundedSender<Order>,
    task: Option<JoinHandle<()>>,
}

impl Caller {
    /// Starts to join.
    ///
    /// # Errors
    /// When no socket can be had.
    pub async fn start(line: &Line, role: Role) -> Result<Self> {
        let socket = UdpSocket::bind(SocketAddr::new(line.bind, 0)).await?;
        let certificate = line.certificate.clone();
        let crypto = Arc::clone(&line.crypto);
        let options = CallOptions {
            connection: Options::new(crypto, certificate, socket.local_addr()?),
            seed: u64::from(role.number),
        };
        let (orders, order_queue) = mpsc::unbounded_channel();
        let (answers, answer_queue) = mpsc::unbounded_channel();
        let noticed = Arc::<Mutex<Noticed>>::default();
        let engine = Engine {
            call: Call::new(options, now()),
            line: line.clone(),
            speaks: role.speaks,
            role: role.clone(),
            socket,
            voice_at: now(),
            seq: 0,
            noticed: Arc::clone(&noticed),
            orders: order_queue,
            answers,
            answer_queue,
        };
        Ok(Self {
            role,
            noticed,
            orders,
            task: Some(tokio::spawn(engine.run())),
        })
    }

    /// What he has noticed so far.
    pub fn noticed(&self) -> MutexGuard<'_, Noticed> {
        lock(&self.noticed)
    }

    /// Whether he is in and has heard each of `speakers` a moment ago.
    pub fn hears(&self, speakers: &[u16], time: Duration) -> bool {
        let noticed = self.noticed();
        let is_audible = |speaker| {
            let last = noticed.last.get(speaker);
            last.is_some_and(|last| *last + INAUDIBLE > time)
        };
        noticed.is_connected && speakers.iter().all(is_audible)
    }

    /// Forgets the packets, and what happened to his calls.
    pub fn forget(&self) {
        let mut noticed = self.noticed();
        noticed.heard.clear();
        noticed.losses = 0;
        noticed.failures.clear();
        noticed.answers_s.clear();
    }

    /// Starts or stops to talk.
    pub fn talk(&self, talks: bool) {
        // One whose call is over takes no orders.
        let _ = self.orders.send(Order::Talk(talks));
    }

    /// Leaves, and waits until the relay knows.
    pub async fn leave(mut self) {
        let _ = self.orders.send(Order::Leave);
        if let Some(task) = self.task.take() {
            // It ends by itself, a moment after the relay's last word at the latest.
            let _ = task.await;
        }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

fn lock(noticed: &Mutex<Noticed>) -> MutexGuard<'_, Noticed> {
    noticed.lock().unwrap_or_else(PoisonError::into_inner)
}

type Answer = (JoinId, Result<JoinReply, Cause>);

struct Engine {
    call: Call,
    line: Line,
    role: Role,
    speaks: bool,
    socket: UdpSocket,
    voice_at: Instant,
    seq: u64,
    noticed: Arc<Mutex<Noticed>>,
    orders: mpsc::UnboundedReceiver<Order>,
    answers: mpsc::UnboundedSender<Answer>,
    answer_queue: mpsc::UnboundedReceiver<Answer>,
}

impl Engine {
    async fn run(mut self) {
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        while let Some(due_at) = self.drain().await {
            let at = match self.speaks {
                true => due_at.min(self.voice_at),
                false => due_at,
            };
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => {
                    // A closed port of a relay is an error here; the call notices the silence.
                    if let Ok((length, from)) = received {
                        self.call.handle_datagram(now(), from, &buffer[..length]);
                        self.receive_more(&mut buffer);
                    }
                }
                Some((id, answer)) = self.answer_queue.recv() => {
                    self.call.handle_reply(now(), id, answer);
                }
                order = self.orders.recv() => match order {
                    Some(Order::Talk(talks)) => {
                        self.speaks = talks;
                        self.voice_at = now();
                    }
                    Some(Order::Leave) | None => self.call.handle_command(now(), Command::Leave),
                },
                () = tokio::time::sleep_until(at.into()) => {
                    if self.speaks && now() >= self.voice_at {
                        self.speak();
                    }
                    self.call.handle_timeout(now());
                }
            }
        }
    }

    fn receive_more(&mut self, buffer: &mut [u8]) {
        for _ in 1..RECEIVED_MAX {
            let Ok((length, from)) = self.socket.try_recv_from(buffer) else {
                return;
            };
            self.call.handle_datagram(now(), from, &buffer[..length]);
        }
    }

    /// Sends the packet that is due. The schedule does not wait: what is late is sent late.
    fn speak(&mut self) {
        self.voice_at += PACKET_TIME;
        self.seq += 1;
        let mut payload = vec![0xfc; PACKET_BYTES];
        payload[..2].copy_from_slice(&self.role.number.to_be_bytes());
        let voice = Voice {
            seq: self.seq,
            time: (self.seq as u32).wrapping_mul(PACKET_TICKS),
            level: -20,
            payload,
            payload_type: None,
        };
        self.call.handle_voice(now(), voice);
    }

    /// Sends what there is to send; when to come back, or none when the call is over.
    async fn drain(&mut self) -> Option<Instant> {
        loop {
            while let Some(transmit) = self.call.poll_transmit() {
                // What is not sent is lost, as any datagram may be.
                let _ = self
                    .socket
                    .send_to(&transmit.data, transmit.destination)
                    .await;
            }
            match self.call.poll_event() {
                Some(event) => self.handle_event(event),
                None => return self.call.poll_timeout(),
            }
        }
    }

    fn handle_event(&mut self, event: CallEvent) {
        match event {
            CallEvent::Join(id, offer) => self.ask(id, offer),
            CallEvent::Failed(cause) => {
                let mut noticed = lock(&self.noticed);
                *noticed
                    .failures
                    .entry(cause.label().to_owned())
                    .or_default() += 1;
            }
            CallEvent::State(state) => {
                let time = self.line.time();
                let mut noticed = lock(&self.noticed);
                noticed.is_connected = state == State::Connected;
                match state {
                    State::Connected => noticed.connected_at = Some(time),
                    State::Reconnecting(_) => noticed.losses += 1,
                    State::Ended(cause) => noticed.ended = Some(cause.label().to_owned()),
                    State::Connecting => {}
                }
            }
            CallEvent::Heard(heard) => {
                let [high, low, ..] = heard.voice.payload[..] else {
                    return;
                };
                let (at, speaker) = (self.line.time(), u16::from_be_bytes([high, low]));
                let mut noticed = lock(&self.noticed);
                noticed.last.insert(speaker, at);
                if self.role.notes {
                    noticed.heard.push(Packet { at, speaker });
                }
            }
            CallEvent::Changed(_)
            | CallEvent::Chat(..)
            | CallEvent::Quality
            | CallEvent::Settings(_) => {}
        }
    }

    fn ask(&self, id: JoinId, offer: String) {
        let (edge, role) = (self.line.edge.clone(), self.role.clone());
        let (noticed, answers) = (Arc::clone(&self.noticed), self.answers.clone());
        let asked = (offer, self.call.lost().cloned());
        tokio::spawn(async move {
            let began = now();
            let answer = edge.join(&role.player, &role.room, asked).await;
            {
                let mut noticed = lock(&noticed);
                if !matches!(answer, Err(Cause::Network)) {
                    noticed.answers_s.push((now() - began).as_secs_f64());
                }
                if let Ok(reply) = &answer {
                    noticed.shard = Some(reply.relay.clone());
                }
            }
            // His call may be over.
            let _ = answers.send((id, answer));
        });
    }
}
