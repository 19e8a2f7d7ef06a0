//! A client of a relay: str0m on a real socket, in its own task.
#![expect(
    clippy::disallowed_methods,
    reason = "clients on real sockets need real time"
)]

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::channel::{ChannelConfig, ChannelId};
use str0m::config::Fingerprint;
use str0m::media::{Frequency, MediaKind, Mid, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{Extension, ExtensionMap, ExtensionValues, RtpWrite, SeqNo, Ssrc};
use str0m::{Candidate, Event, IceCreds, Input, Output, Rtc, RtcConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::time::timeout;
use wire::channel::{ClientMessage, EndReason, RelayMessage};
use wire::fleet::{Heartbeat, Transport};
use wire::hello::{ChannelGrant, Hello};
use wire::ticket::{Permissions, Ticket, ice_password};
use wire::{ChannelKey, ChannelName, RoomKey, RoomName, SessionId};

use super::{WAIT_MAX, key};

const OPUS: u8 = 111;
const LEVEL_ID: u8 = 3;
const MIC_SSRC: u32 = 4711;
const FRAME: Duration = Duration::from_millis(20);

/// What a client notices.
#[derive(Debug)]
pub(crate) enum Noticed {
    Message(RelayMessage),
    Voice { ssrc: u32, first_byte: u8, seq: u64 },
}

/// What a client is to do.
enum Order {
    Talk(bool),
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
        let keys = key().subkeys();
        let room: RoomName = "lobby".parse().unwrap();
        let channel: ChannelName = "main".parse().unwrap();
        let both = Permissions::SPEAK.with(Permissions::LISTEN);
        let (session, player) = (SessionId([number; 8]), wire::PlayerKey([number; 16]));
        let mut rtc = new_rtc();
        let fingerprint = rtc.direct_api().local_dtls_fingerprint().bytes[..16].try_into();
        let ufrag = Ticket {
            expires_at: u32::try_from(heartbeat.sent_at_ms / 1000 + 60).unwrap(),
            session,
            player,
            fingerprint: fingerprint.unwrap(),
            room: RoomKey::of(&room),
            channel: ChannelKey::of(&room, &channel),
            permissions: both,
            opus_payload_type: OPUS,
            red_payload_type: 0,
            audio_level_id: LEVEL_ID,
            slots: 2,
        }
        .seal(&keys, heartbeat.boot);
        let sealed = Hello {
            session,
            player: format!("player-{number}").parse().unwrap(),
            name: format!("Player {number}"),
            room,
            channels: vec![ChannelGrant {
                channel,
                permissions: both.0,
            }],
            world: number != 2,
        }
        .seal(&keys, heartbeat.boot);
        let mut candidates = heartbeat.candidates.iter();
        let relay = candidates.find(|candidate| candidate.transport == transport);
        let relay = relay.expect("a candidate of the transport").address;
        let link = Link::open(transport, relay).await;
        let (local, protocol) = (link.local(), link.protocol());
        rtc.add_local_candidate(Candidate::host(local, protocol).unwrap());
        rtc.add_remote_candidate(Candidate::host(relay, protocol).unwrap());
        let mut api = rtc.direct_api();
        api.set_ice_controlling(true);
        let pass = ice_password(&keys, &ufrag);
        api.set_remote_ice_credentials(IceCreds { ufrag, pass });
        api.declare_media(Mid::from("mic"), MediaKind::Audio);
        api.declare_stream_tx(Ssrc::from(MIC_SSRC), None, Mid::from("mic"), None);
        for slot in 0..2 {
            let mid = Mid::from(format!("s{slot}").as_str());
            api.declare_media(mid, MediaKind::Audio);
            api.expect_stream_rx(Ssrc::from(session.slot_ssrc(slot)), None, mid, None);
        }
        api.set_remote_fingerprint(heartbeat.fingerprint.parse::<Fingerprint>().unwrap());
        api.start_dtls(true).unwrap();
        api.start_sctp(true);
        api.create_data_channel(ChannelConfig {
            label: "lv".to_owned(),
            ..Default::default()
        });
        let (sender, noticed) = mpsc::unbounded_channel();
        let (orders, received) = mpsc::unbounded_channel();
        let hello = ClientMessage::Hello { sealed };
        let player_task = Player {
            number,
            rtc,
            link,
            local,
            relay,
            sender,
            hello,
        };
        tokio::spawn(player_task.run(received));
        Self {
            session,
            player,
            noticed,
            orders,
        }
    }

    pub(crate) fn talk(&self, talking: bool) {
        self.orders.send(Order::Talk(talking)).unwrap();
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

fn new_rtc() -> Rtc {
    let mut extensions = ExtensionMap::empty();
    extensions.set(LEVEL_ID, Extension::AudioLevel);
    let mut settings = RtcConfig::new()
        .set_crypto_provider(Arc::new(str0m::crypto::from_feature_flags()))
        .clear_codecs()
        .set_rtp_mode(true)
        .set_extension_map(extensions);
    settings.codec_config().add_config(
        Pt::from(OPUS),
        None,
        str0m::format::Codec::Opus,
        Frequency::FORTY_EIGHT_KHZ,
        Some(2),
        str0m::format::FormatParams::default(),
    );
    settings.build(Instant::now())
}

/// The part of a client that runs in its task.
struct Player {
    number: u8,
    rtc: Rtc,
    link: Link,
    local: SocketAddr,
    relay: SocketAddr,
    sender: mpsc::UnboundedSender<Noticed>,
    hello: ClientMessage,
}

impl Player {
    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut buffer = [0; 2048];
        let mut frames = tokio::time::interval(FRAME);
        let (mut talking, mut reading, mut seq) = (false, true, 100u64);
        loop {
            let _ = self.rtc.handle_input(Input::Timeout(Instant::now()));
            let Some(wake) = self.drain().await else {
                return;
            };
            tokio::select! {
                received = self.link.recv(&mut buffer), if reading => {
                    // A closed port of the relay is an error here.
                    let count = match received {
                        Ok(count) => count,
                        Err(_) if self.link.protocol() == Protocol::Udp => continue,
                        Err(_) => return,
                    };
                    let protocol = self.link.protocol();
                    let receive =
                        Receive::new(protocol, self.relay, self.local, &buffer[..count]);
                    if let Ok(receive) = receive {
                        let _ = self.rtc.handle_input(Input::Receive(Instant::now(), receive));
                        if self.drain().await.is_none() { return }
                    }
                }
                () = tokio::time::sleep_until(wake.into()) => {}
                order = orders.recv() => match order {
                    Some(Order::Talk(change)) => talking = change,
                    Some(Order::Read(change)) => reading = change,
                    Some(Order::Write(bytes)) => self.link.write(&bytes).await,
                    None => return,
                },
                _ = frames.tick(), if talking => {
                    seq += 1;
                    self.speak(seq);
                }
            }
        }
    }

    fn speak(&mut self, seq: u64) {
        let values = ExtensionValues {
            audio_level: Some(-20),
            voice_activity: Some(true),
            ..Default::default()
        };
        let time = seq as u32 * 960;
        let payload = [self.number; 60];
        let write = RtpWrite::new(
            Pt::from(OPUS),
            SeqNo::from(seq),
            time,
            Instant::now(),
            payload,
        )
        .ext_vals(values);
        let mut api = self.rtc.direct_api();
        api.stream_tx(&Ssrc::from(MIC_SSRC))
            .unwrap()
            .write_rtp(write);
    }

    /// Sends what there is to send; the time of the next timeout, or none when the test is over.
    async fn drain(&mut self) -> Option<Instant> {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => return Some(at),
                Ok(Output::Transmit(transmit)) => {
                    self.link.send(&transmit.contents).await;
                }
                Ok(Output::Event(event)) => self.handle(event)?,
                Err(_) => return Some(Instant::now() + FRAME),
            }
        }
    }

    fn handle(&mut self, event: Event) -> Option<()> {
        match event {
            Event::ChannelOpen(id, _) => self.say_hello(id),
            Event::ChannelData(data) => {
                let message = RelayMessage::read(&data.data).expect("a message of the protocol");
                self.sender.send(Noticed::Message(message)).ok()?;
            }
            Event::RtpPacket(packet) => {
                let (ssrc, first_byte) = (*packet.header.ssrc, packet.payload[0]);
                let seq = *packet.seq_no;
                let voice = Noticed::Voice {
                    ssrc,
                    first_byte,
                    seq,
                };
                self.sender.send(voice).ok()?;
            }
            _ => {}
        }
        Some(())
    }

    fn say_hello(&mut self, id: ChannelId) {
        let hello = serde_json::to_vec(&self.hello).unwrap();
        assert!(self.rtc.channel(id).unwrap().write(false, &hello).unwrap());
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
