//! A native client: joins through the edge and talks to the relay over a real UDP socket, with
//! str0m as the WebRTC stack.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use scenarios::http::{Http, Reply};
use str0m::change::{SdpAnswer, SdpOffer};
use str0m::channel::ChannelId;
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{ExtensionValues, RtpWrite, Ssrc};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};
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
    /// A voice packet: slot's SSRC, first payload byte, sequence number.
    Voice {
        /// Of the slot.
        ssrc: u32,
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
    pub slots: usize,
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
    rtc: Rtc,
    pending: str0m::change::SdpPendingOffer,
    microphone: Mid,
    /// The SDP.
    pub sdp: String,
    socket: UdpSocket,
    address: SocketAddr,
}

impl Offer {
    /// An offer as the SDK makes it: a microphone, slots, a data channel.
    ///
    /// # Errors
    /// When no socket can be had.
    pub async fn new(options: &Options) -> Result<Self> {
        let socket = UdpSocket::bind(options.bind).await?;
        let address = socket.local_addr()?;
        let mut rtc = RtcConfig::new()
            .clear_codecs()
            .enable_opus(true, false)
            .set_rtp_mode(true)
            .build(now());
        rtc.add_local_candidate(Candidate::host(address, "udp")?);
        let mut changes = rtc.sdp_api();
        let send = Direction::SendOnly;
        let microphone = changes.add_media(MediaKind::Audio, send, None, None, None);
        for _ in 0..options.slots {
            changes.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
        }
        changes.add_channel(wire::channel::LABEL.to_owned());
        let (offer, pending): (SdpOffer, _) = changes.apply().context("nothing to offer")?;
        let sdp = offer.to_sdp_string();
        Ok(Self {
            rtc,
            pending,
            microphone,
            sdp,
            socket,
            address,
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
        mut rtc,
        pending,
        microphone,
        socket,
        address,
        ..
    } = offer;
    let answer = SdpAnswer::from_sdp_string(&joined.answer)?;
    rtc.sdp_api().accept_answer(pending, answer)?;
    let mut api = rtc.direct_api();
    let stream = api
        .stream_tx_by_mid(microphone, None)
        .context("no outgoing stream")?;
    let (source, seen) = (stream.ssrc(), mpsc::unbounded_channel());
    let (orders, order_queue) = mpsc::unbounded_channel();
    let engine = Engine {
        rtc,
        socket,
        address,
        microphone,
        source,
        mark: options.mark,
        talks: options.talks,
        connected: false,
        hello: Some(joined.hello.clone()),
        channel: None,
        waiting: Vec::new(),
        seq: 1,
        voice_at: now(),
        seen: seen.0,
        orders: order_queue,
    };
    let task = tokio::spawn(engine.run());
    Ok(Client {
        joined,
        started_at,
        seen: seen.1,
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
    rtc: Rtc,
    socket: UdpSocket,
    address: SocketAddr,
    microphone: Mid,
    source: Ssrc,
    mark: u8,
    talks: bool,
    connected: bool,
    hello: Option<String>,
    channel: Option<ChannelId>,
    waiting: Vec<ClientMessage>,
    seq: u64,
    voice_at: Instant,
    seen: mpsc::UnboundedSender<(Instant, Seen)>,
    orders: mpsc::UnboundedReceiver<Order>,
}

impl Engine {
    async fn run(mut self) {
        let mut buffer = vec![0; 2048];
        let _ = self.rtc.handle_input(Input::Timeout(now()));
        while let Some(rtc_at) = self.drain().await {
            let speaks = self.talks && self.connected;
            let at = if speaks {
                rtc_at.min(self.voice_at)
            } else {
                rtc_at
            };
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => {
                    // A closed port of the relay is an error here; the connection times out.
                    if let Ok((length, from)) = received {
                        self.receive(from, &buffer[..length]);
                    }
                }
                order = self.orders.recv() => match order {
                    Some(Order::Say(message)) => self.say(message),
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
                    let _ = self.rtc.handle_input(Input::Timeout(now()));
                }
            }
        }
        self.tell(Seen::Closed);
    }

    fn tell(&self, seen: Seen) {
        // Nobody may be listening any more.
        let _ = self.seen.send((now(), seen));
    }

    fn receive(&mut self, from: SocketAddr, data: &[u8]) {
        if let Ok(receive) = Receive::new(Protocol::Udp, from, self.address, data) {
            let _ = self.rtc.handle_input(Input::Receive(now(), receive));
        }
    }

    /// Sends what there is to send; when to come back, or none when the connection is over.
    async fn drain(&mut self) -> Option<Instant> {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) if self.rtc.is_alive() => return Some(at),
                Ok(Output::Timeout(_)) | Err(_) => return None,
                Ok(Output::Transmit(transmit)) => {
                    let _ = self
                        .socket
                        .send_to(&transmit.contents, transmit.destination)
                        .await;
                }
                Ok(Output::Event(event)) => self.handle_event(event),
            }
        }
    }

    fn handle_event(&mut self, event: Event) {
        match event {
            Event::Connected => {
                self.connected = true;
                self.tell(Seen::Connected);
                if self.talks {
                    self.send_voice();
                    let _ = self.rtc.handle_input(Input::Timeout(now()));
                    self.tell(Seen::SentVoice);
                }
            }
            Event::RtpPacket(packet) => self.tell(Seen::Voice {
                ssrc: *packet.header.ssrc,
                mark: packet.payload.first().copied().unwrap_or_default(),
                seq: *packet.seq_no,
            }),
            Event::ChannelOpen(id, _) => {
                self.channel = Some(id);
                let hello = self
                    .hello
                    .take()
                    .map(|sealed| ClientMessage::Hello { sealed });
                let waiting = std::mem::take(&mut self.waiting);
                hello
                    .into_iter()
                    .chain(waiting)
                    .for_each(|message| self.say(message));
            }
            Event::ChannelData(data) => {
                if let Ok(message) = RelayMessage::read(&data.data) {
                    self.tell(Seen::Message(message));
                }
            }
            _ => {}
        }
    }

    fn say(&mut self, message: ClientMessage) {
        let Some(mut channel) = self.channel.and_then(|id| self.rtc.channel(id)) else {
            return self.waiting.push(message);
        };
        let text = serde_json::to_vec(&message).expect("a message has string keys only");
        let _ = channel.write(false, &text);
    }

    fn send_voice(&mut self) {
        self.voice_at = now() + PACKET_TIME;
        let Some(payload_type) = self
            .rtc
            .media(self.microphone)
            .and_then(|m| m.remote_pts().first().copied())
        else {
            return;
        };
        let values = ExtensionValues {
            audio_level: Some(-20),
            voice_activity: Some(true),
            ..Default::default()
        };
        let payload = [self.mark; 60];
        let time = (self.seq * 960) as u32;
        let write =
            RtpWrite::new(payload_type, self.seq.into(), time, now(), payload).ext_vals(values);
        self.seq += 1;
        if let Some(stream) = self.rtc.direct_api().stream_tx(&self.source) {
            stream.write_rtp(write);
        }
    }
}
