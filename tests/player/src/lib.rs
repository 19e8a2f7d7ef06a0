//! A native client: joins through the edge and talks to the relay over a real UDP socket, with
//! str0m as the WebRTC stack.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use client::{Connection, Event, Voice};
use scenarios::http::{Http, Reply};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::timeout_at;
use wire::channel::{ClientMessage, RelayMessage};
use wire::join::{JoinReply, JoinRequest};

/// The monotonic clock.
#[expect(
    clippy::disallowed_methods,
    reason = "a shell reads clocks, in one place"
)]
pub fn now() -> Instant {
    Instant::now()
}

/// Time between two voice packets.
pub const PACKET_TIME: Duration = Duration::from_millis(20);
/// Longest wait of a test for anything.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What a client saw.
#[derive(Debug)]
pub enum Seen {
    /// DTLS is done.
    Connected,
    /// The first voice packet left.
    SentVoice,
    /// A data-channel message.
    Message(RelayMessage),
    /// A voice packet: slot, first payload byte, sequence number.
    Voice {
        /// The slot, from 0.
        slot: u8,
        /// Says who spoke.
        mark: u8,
        /// Extended.
        seq: u64,
    },
    /// The connection is over.
    Closed,
}

enum Order {
    Say(ClientMessage),
    Talk(bool),
}

/// How to join.
#[derive(Debug, Clone)]
pub struct Options {
    /// Number of slots.
    pub slots: u8,
    /// First byte of each voice packet.
    pub mark: u8,
    /// Talk from the start.
    pub talks: bool,
    /// Where to bind.
    pub bind: SocketAddr,
}

impl Options {
    /// Four slots; silent; IPv4 loopback.
    pub fn new(mark: u8) -> Self {
        Self {
            slots: 4,
            mark,
            talks: false,
            bind: ([127, 0, 0, 1], 0).into(),
        }
    }
}

/// A client in a room. Dropping it leaves without a word, as a crash would.
pub struct Client {
    /// The edge's reply.
    pub joined: JoinReply,
    /// When the join request was sent.
    pub started_at: Instant,
    /// What happened, with the time of it.
    pub seen: mpsc::UnboundedReceiver<(Instant, Seen)>,
    orders: mpsc::UnboundedSender<Order>,
    task: tokio::task::JoinHandle<()>,
}

/// An offer and what is needed to use its answer.
pub struct Offer {
    connection: Connection,
    /// The SDP.
    pub sdp: String,
    socket: UdpSocket,
}

impl Offer {
    /// An offer as the SDK makes it: a microphone, slots, a data channel.
    ///
    /// # Errors
    /// When no socket can be had.
    pub async fn new(options: &Options) -> Result<Self> {
        let socket = UdpSocket::bind(options.bind).await?;
        let crypto = Arc::new(str0m::crypto::from_feature_flags());
        let certificate = crypto.dtls_provider.generate_certificate();
        let certificate = certificate.context("no certificate")?;
        let mut settings = client::Options::new(crypto, certificate, socket.local_addr()?);
        settings.slots = options.slots;
        let (connection, sdp) = Connection::offer(settings, now()).map_err(anyhow::Error::msg)?;
        Ok(Self {
            connection,
            sdp,
            socket,
        })
    }
}

/// Joins and waits for nothing: the connection goes on in the background.
///
/// # Errors
/// When the edge refuses, with its problem; when its answer is not SDP that str0m takes.
pub async fn join(
    http: &Http,
    edge: &str,
    room: &str,
    token: &str,
    options: Options,
) -> Result<Client> {
    let offer = Offer::new(&options).await?;
    let started_at = now();
    let reply = post_join(http, edge, room, token, &offer.sdp).await?;
    if reply.status != hyper::StatusCode::CREATED {
        bail!(
            "the join was refused: {}",
            String::from_utf8_lossy(&reply.body)
        );
    }
    connect(reply.json()?, offer, options, started_at)
}

/// Sends the join request.
///
/// # Errors
/// When there is no reply.
pub async fn post_join(
    http: &Http,
    edge: &str,
    room: &str,
    token: &str,
    sdp: &str,
) -> Result<Reply> {
    let request = JoinRequest {
        offer: sdp.to_owned(),
        channels: None,
        region: None,
        lost: None,
    };
    let body = serde_json::to_vec(&request)?;
    http.post(&format!("{edge}/v1/rooms/{room}/sessions"), token, body)
        .await
}

fn connect(
    joined: JoinReply,
    offer: Offer,
    options: Options,
    started_at: Instant,
) -> Result<Client> {
    let Offer {
        mut connection,
        socket,
        ..
    } = offer;
    let accepted = connection.handle_reply(now(), &joined);
    accepted.map_err(anyhow::Error::msg)?;
    let (sender, seen) = mpsc::unbounded_channel();
    let (orders, order_queue) = mpsc::unbounded_channel();
    let engine = Engine {
        connection,
        socket,
        mark: options.mark,
        talks: options.talks,
        seq: 1,
        voice_at: now(),
        seen: sender,
        orders: order_queue,
    };
    let task = tokio::spawn(engine.run());
    Ok(Client {
        joined,
        started_at,
        seen,
        orders,
        task,
    })
}

impl Client {
    /// Sends a data-channel message.
    pub fn say(&self, message: ClientMessage) {
        // A closed connection takes no orders; the test sees that it is closed.
        let _ = self.orders.send(Order::Say(message));
    }

    /// Starts or stops to talk.
    pub fn talk(&self, talks: bool) {
        let _ = self.orders.send(Order::Talk(talks));
    }

    /// Waits for something that `wanted` recognises, and gives when it happened.
    ///
    /// # Errors
    /// When it does not come within [`PATIENCE`].
    pub async fn wait_for<T>(
        &mut self,
        what: &str,
        mut wanted: impl FnMut(&Seen) -> Option<T>,
    ) -> Result<(Instant, T)> {
        let until = now() + PATIENCE;
        loop {
            let next = timeout_at(until.into(), self.seen.recv()).await;
            let seen = next.with_context(|| format!("not within {PATIENCE:?}: {what}"))?;
            let (at, seen) = seen.with_context(|| format!("closed before: {what}"))?;
            if let Some(value) = wanted(&seen) {
                return Ok((at, value));
            }
        }
    }

    /// Waits for the welcome.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn welcome(&mut self) -> Result<RelayMessage> {
        let welcome = |seen: &Seen| match seen {
            Seen::Message(message @ RelayMessage::Welcome { .. }) => Some(message.clone()),
            _ => None,
        };
        Ok(self.wait_for("welcome", welcome).await?.1)
    }

    /// Waits for a voice packet of the client whose mark is `mark`.
    ///
    /// # Errors
    /// When none comes.
    pub async fn hears(&mut self, mark: u8) -> Result<Instant> {
        let voice =
            |seen: &Seen| matches!(seen, Seen::Voice { mark: m, .. } if *m == mark).then_some(());
        Ok(self.wait_for(&format!("voice of {mark}"), voice).await?.0)
    }

    /// What has been seen so far and not waited for.
    pub fn drain(&mut self) -> Vec<(Instant, Seen)> {
        std::iter::from_fn(|| self.seen.try_recv().ok()).collect()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Engine {
    connection: Connection,
    socket: UdpSocket,
    mark: u8,
    talks: bool,
    seq: u64,
    voice_at: Instant,
    seen: mpsc::UnboundedSender<(Instant, Seen)>,
    orders: mpsc::UnboundedReceiver<Order>,
}

impl Engine {
    async fn run(mut self) {
        let mut buffer = vec![0; 2048];
        self.connection.handle_timeout(now());
        while let Some(due_at) = self.drain().await {
            let speaks = self.talks && self.connection.is_connected();
            let at = if speaks {
                due_at.min(self.voice_at)
            } else {
                due_at
            };
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => {
                    // A closed port of the relay is an error here; the connection times out.
                    if let Ok((length, from)) = received {
                        self.connection.handle_datagram(now(), from, &buffer[..length]);
                    }
                }
                order = self.orders.recv() => match order {
                    Some(Order::Say(message)) => self.connection.handle_message(now(), message),
                    Some(Order::Talk(talks)) => {
                        self.talks = talks;
                        self.voice_at = now();
                    }
                    None => return,
                },
                () = tokio::time::sleep_until(at.into()) => {
                    if speaks && now() >= self.voice_at {
                        self.send_voice();
                    }
                    self.connection.handle_timeout(now());
                }
            }
        }
        self.tell(Seen::Closed);
    }

    fn tell(&self, seen: Seen) {
        // Nobody may be listening any more.
        let _ = self.seen.send((now(), seen));
    }

    /// Sends what there is to send; when to come back, or none when the connection is over.
    async fn drain(&mut self) -> Option<Instant> {
        loop {
            while let Some(transmit) = self.connection.poll_transmit() {
                let _ = self
                    .socket
                    .send_to(&transmit.data, transmit.destination)
                    .await;
            }
            match self.connection.poll_event() {
                Some(event) => self.handle_event(event),
                None => return self.connection.poll_timeout(),
            }
        }
    }

    fn handle_event(&mut self, event: Event) {
        match event {
            Event::Connected => {
                self.tell(Seen::Connected);
                if self.talks {
                    self.send_voice();
                    self.tell(Seen::SentVoice);
                }
            }
            Event::Voice(voice) => self.tell(Seen::Voice {
                slot: voice.slot,
                mark: voice.payload.first().copied().unwrap_or_default(),
                seq: voice.seq,
            }),
            Event::Message(message, _) => self.tell(Seen::Message(message)),
            Event::Report(_) | Event::Reception(_) | Event::Closed(_) => {}
        }
    }

    fn send_voice(&mut self) {
        self.voice_at = now() + PACKET_TIME;
        let voice = Voice {
            seq: self.seq,
            time: (self.seq * 960) as u32,
            level: -20,
            payload: vec![self.mark; 60],
            payload_type: None,
        };
        self.seq += 1;
        self.connection.handle_voice(now(), voice);
    }
}
