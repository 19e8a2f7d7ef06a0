//! A client of a relay: str0m on a real socket, in its own task.
#![expect(
    clippy::disallowed_methods,
    reason = "clients on real sockets need real time"
)]

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::{Connection, Contact, Event, Options, Voice};
use str0m::net::Protocol;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::time::timeout;
use wire::channel::{EndReason, RelayMessage};
use wire::fleet::{Heartbeat, Transport};
use wire::hello::{ChannelGrant, Hello};
use wire::ticket::{ChannelKind, Permissions, TICKET_VERSION, Ticket, ice_password};
use wire::{ChannelKey, ChannelName, RoomKey, RoomName, SessionId, TopicKey};

use super::{WAIT_MAX, key};

const SLOTS: u8 = 2;
const FRAME: Duration = Duration::from_millis(20);

/// What a client notices.
#[derive(Debug)]
pub(crate) enum Noticed {
    Message(RelayMessage),
    Voice { slot: u8, first_byte: u8, seq: u64 },
}

/// What a client is to do.
enum Order {
    Talk(bool),
    /// Send so many voice packets at once.
    Flood(usize),
    /// Read what the relay sends, or leave it.
    Read(bool),
    /// Write these bytes, as they are.
    Write(Vec<u8>),
}

/// A client in its own task.
pub(crate) struct Client {
    pub(crate) session: SessionId,
    pub(crate) player: wire::PlayerKey,
    pub(crate) noticed: mpsc::UnboundedReceiver<Noticed>,
    orders: mpsc::UnboundedSender<Order>,
}

impl Client {
    /// Joins as the edge would let it; `number` becomes its session, player and voice.
    pub(crate) async fn join(number: u8, heartbeat: &Heartbeat) -> Self {
        Self::join_over(Transport::Udp, number, heartbeat).await
    }

    /// As [`Client::join`], over the transport that is asked for.
    pub(crate) async fn join_over(transport: Transport, number: u8, heartbeat: &Heartbeat) -> Self {
        let session = SessionId([number; 8]);
        let mut candidates = heartbeat.candidates.iter();
        let relay = candidates.find(|candidate| candidate.transport == transport);
        let relay = relay.expect("a candidate of the transport").address;
        let link = Link::open(transport, relay).await;
        let crypto = Arc::new(str0m::crypto::from_feature_flags());
        let certificate = crypto.dtls_provider.generate_certificate().unwrap();
        let mut options = Options::new(crypto, certificate, link.local());
        options.protocol = link.protocol();
        let mut connection = Connection::new(options, Instant::now());
        let fingerprint = connection.fingerprint()[..16].try_into();
        let (ufrag, sealed) = seal(number, heartbeat, fingerprint.unwrap());
        let contact = Contact {
            relay,
            fingerprint: heartbeat.fingerprint.clone(),
            password: ice_password(&key().subkeys(), &ufrag),
            ufrag,
            slot_ssrcs: (0..SLOTS).map(|slot| session.slot_ssrc(slot)).collect(),
            has_channel: true,
            hello: Some(sealed),
        };
        connection.handle_contact(Instant::now(), contact).unwrap();
        let (sender, noticed) = mpsc::unbounded_channel();
        let (orders, received) = mpsc::unbounded_channel();
        let player_task = Player {
            number,
            connection,
            link,
            relay,
            sender,
        };
        tokio::spawn(player_task.run(received));
        Self {
            session,
            player: wire::PlayerKey([number; 16]),
            noticed,
            orders,
        }
    }

    pub(crate) fn talk(&self, talking: bool) {
        self.orders.send(Order::Talk(talking)).unwrap();
    }

    pub(crate) fn flood(&self, packets: usize) {
        self.orders.send(Order::Flood(packets)).unwrap();
    }

    /// Reads what the relay sends, as at the start, or leaves it.
    pub(crate) fn read(&self, reading: bool) {
        self.orders.send(Order::Read(reading)).unwrap();
    }

    /// Writes bytes on the connection, as they are.
    pub(crate) fn write(&self, bytes: Vec<u8>) {
        self.orders.send(Order::Write(bytes)).unwrap();
    }

    /// Whether it has noticed nothing so far.
    pub(crate) fn was_left_out(&mut self) -> bool {
        self.noticed.try_recv().is_err()
    }

    /// Waits for a notice that `wanted` accepts.
    pub(crate) async fn until<T>(&mut self, wanted: impl Fn(&Noticed) -> Option<T>) -> T {
        let look = async {
            loop {
                let noticed = self.noticed.recv().await.expect("the client lives");
                if let Some(found) = wanted(&noticed) {
                    return found;
                }
            }
        };
        timeout(WAIT_MAX, look).await.expect("noticed in time")
    }

    pub(crate) async fn until_message<T>(
        &mut self,
        wanted: impl Fn(&RelayMessage) -> Option<T>,
    ) -> T {
        self.until(|noticed| match noticed {
            Noticed::Message(message) => wanted(message),
            Noticed::Voice { .. } => None,
        })
        .await
    }

    pub(crate) async fn until_welcome(&mut self) -> u32 {
        self.until_message(|message| match message {
            RelayMessage::Welcome { participant, .. } => Some(*participant),
            _ => None,
        })
        .await
    }

    pub(crate) async fn until_ended(&mut self) -> EndReason {
        self.until_message(|message| match message {
            RelayMessage::Ended { reason } => Some(*reason),
            _ => None,
        })
        .await
    }
}

/// Ticket and hello of a client, as the edge would seal them for a relay.
fn seal(number: u8, heartbeat: &Heartbeat, fingerprint: [u8; 16]) -> (String, String) {
    let (keys, session) = (key().subkeys(), SessionId([number; 8]));
    let room: RoomName = "lobby".parse().unwrap();
    let channel: ChannelName = "main".parse().unwrap();
    let both = Permissions::SPEAK.with(Permissions::LISTEN);
    let ticket = Ticket {
        expires_at: u32::try_from(heartbeat.sent_at_ms / 1000 + 60).unwrap(),
        session,
        player: wire::PlayerKey([number; 16]),
        fingerprint,
        room: RoomKey::of(&room),
        channel: ChannelKey::of(&room, &channel),
        permissions: both,
        opus_payload_type: client::OPUS,
        red_payload_type: 0,
        audio_level_id: client::LEVEL_ID,
        slots: SLOTS,
        channel_kind: ChannelKind::Group,
        server_muted: false,
        says_hello: true,
        recorded: false,
        home_epoch: 0,
        hello_version: TICKET_VERSION,
    };
    let hello = Hello {
        session,
        player: format!("player-{number}").parse().unwrap(),
        name: format!("Player {number}"),
        room,
        channels: vec![ChannelGrant {
            channel,
            permissions: both.0,
        }],
        // One as an edge of the release before would seal it.
        world: number == 1,
        topics: match number {
            1 | 2 => Vec::new(),
            _ => vec![TopicKey::world(&heartbeat.region)],
        },
        muted_until_ms: None,
        until_ms: None,
        blocked: Vec::new(),
        platform: String::new(),
        one_platform: false,
        issued_at_ms: 0,
    };
    let boot = heartbeat.boot;
    let ufrag = ticket.seal(heartbeat.ticket_version, &keys, boot);
    (ufrag, hello.seal(&keys, boot))
}

/// The part of a client that runs in its task.
struct Player {
    number: u8,
    connection: Connection,
    link: Link,
    relay: SocketAddr,
    sender: mpsc::UnboundedSender<Noticed>,
}

impl Player {
    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut buffer = [0; 2048];
        let mut frames = tokio::time::interval(FRAME);
        let (mut talking, mut reading, mut seq) = (false, true, 100u64);
        while let Some(wake) = self.drain().await {
            tokio::select! {
                received = self.link.recv(&mut buffer), if reading => {
                    // A closed port of the relay is an error here.
                    let count = match received {
                        Ok(count) => count,
                        Err(_) if self.link.protocol() == Protocol::Udp => continue,
                        Err(_) => return,
                    };
                    let now = Instant::now();
                    self.connection.handle_datagram(now, self.relay, &buffer[..count]);
                }
                () = tokio::time::sleep_until(wake.into()) => {}
                order = orders.recv() => match order {
                    Some(Order::Talk(change)) => talking = change,
                    Some(Order::Flood(packets)) => for _ in 0..packets {
                        seq += 1;
                        self.speak(seq);
                    },
                    Some(Order::Read(change)) => reading = change,
                    Some(Order::Write(bytes)) => self.link.write(&bytes).await,
                    None => return,
                },
                _ = frames.tick(), if talking => {
                    seq += 1;
                    self.speak(seq);
                }
            }
            self.connection.handle_timeout(Instant::now());
        }
        // One that is over keeps its link, which is the relay's to close.
        while orders.recv().await.is_some() {}
    }

    fn speak(&mut self, seq: u64) {
        let voice = Voice {
            seq,
            time: seq as u32 * 960,
            level: -20,
            payload: vec![self.number; 60],
            payload_type: None,
        };
        self.connection.handle_voice(Instant::now(), voice);
    }

    /// Sends what there is to send; the time of the next timeout, or none when the test is over.
    async fn drain(&mut self) -> Option<Instant> {
        while let Some(transmit) = self.connection.poll_transmit() {
            self.link.send(&transmit.data).await;
        }
        while let Some(event) = self.connection.poll_event() {
            let noticed = match event {
                Event::Message(message, _) => Noticed::Message(message),
                Event::Voice(voice) => Noticed::Voice {
                    slot: voice.slot,
                    first_byte: voice.payload[0],
                    seq: voice.seq,
                },
                Event::Connected | Event::Report(_) | Event::Reception(_) | Event::Closed(_) => {
                    continue;
                }
            };
            self.sender.send(noticed).ok()?;
        }
        self.connection.poll_timeout()
    }
}

/// What carries a client's datagrams.
enum Link {
    Udp(UdpSocket),
    /// With what was read of a frame that is not whole.
    Tcp(TcpStream, Vec<u8>),
}

impl Link {
    async fn open(transport: Transport, relay: SocketAddr) -> Self {
        match transport {
            Transport::Udp => {
                let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                socket.connect(relay).await.unwrap();
                Self::Udp(socket)
            }
            Transport::Tcp => {
                let socket = TcpSocket::new_v4().unwrap();
                // Small, so that a client that does not read is a slow one soon.
                socket.set_recv_buffer_size(2048).unwrap();
                let connection = socket.connect(relay).await.unwrap();
                connection.set_nodelay(true).unwrap();
                Self::Tcp(connection, Vec::new())
            }
        }
    }

    fn local(&self) -> SocketAddr {
        match self {
            Self::Udp(socket) => socket.local_addr().unwrap(),
            Self::Tcp(connection, _) => connection.local_addr().unwrap(),
        }
    }

    fn protocol(&self) -> Protocol {
        match self {
            Self::Udp(_) => Protocol::Udp,
            Self::Tcp(..) => Protocol::Tcp,
        }
    }

    /// The next datagram. Cancel-safe.
    async fn recv(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (connection, partial) = match self {
            Self::Udp(socket) => return socket.recv(buffer).await,
            Self::Tcp(connection, partial) => (connection, partial),
        };
        loop {
            if let [high, low, rest @ ..] = partial.as_slice() {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                if let Some(datagram) = rest.get(..length) {
                    buffer[..length].copy_from_slice(datagram);
                    partial.drain(..2 + length);
                    return Ok(length);
                }
            }
            if connection.read_buf(partial).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Sends what can be sent; the relay may be gone.
    async fn send(&mut self, datagram: &[u8]) {
        match self {
            Self::Udp(socket) => drop(socket.send(datagram).await),
            Self::Tcp(..) => self.write(&framed(datagram)).await,
        }
    }

    /// Writes bytes on a connection, as they are.
    async fn write(&mut self, bytes: &[u8]) {
        if let Self::Tcp(connection, _) = self {
            let _ = connection.write_all(bytes).await;
        }
    }
}

/// A datagram as it travels on a connection.
pub(crate) fn framed(datagram: &[u8]) -> Vec<u8> {
    let length = u16::try_from(datagram.len()).unwrap();
    [length.to_be_bytes().as_slice(), datagram].concat()
}
