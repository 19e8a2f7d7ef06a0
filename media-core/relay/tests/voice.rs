//! Two clients talk through a relay: real sockets, real tickets, real threads.

#![expect(
    clippy::disallowed_methods,
    reason = "clients on real sockets need real time"
)]
#![allow(
    clippy::unwrap_used,
    reason = "a failure in a helper is a failure of its test"
)]

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{FakeEdge, WAIT_MAX, call, config, key, metrics_until, sample};
use relay::{LINES_MAX, Running};
use str0m::channel::{ChannelConfig, ChannelId};
use str0m::config::Fingerprint;
use str0m::media::{Frequency, MediaKind, Mid, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{Extension, ExtensionMap, ExtensionValues, RtpWrite, SeqNo, Ssrc};
use str0m::{Candidate, Event, IceCreds, Input, Output, Rtc, RtcConfig};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::timeout;
use wire::channel::{ClientMessage, EndReason, RelayMessage};
use wire::control::{CONTROL_PATH, ControlCommand, ControlMessage, PushTarget};
use wire::fleet::Heartbeat;
use wire::hello::{ChannelGrant, Hello};
use wire::ticket::{Permissions, Ticket, ice_password};
use wire::{ChannelKey, ChannelName, RoomKey, RoomName, SessionId};

const OPUS: u8 = 111;
const LEVEL_ID: u8 = 3;
const MIC_SSRC: u32 = 4711;
const FRAME: Duration = Duration::from_millis(20);

/// What a client notices.
#[derive(Debug)]
enum Noticed {
    Message(RelayMessage),
    Voice { ssrc: u32, first_byte: u8 },
}

/// A client in its own task.
struct Client {
    session: SessionId,
    player: wire::PlayerKey,
    noticed: mpsc::UnboundedReceiver<Noticed>,
    talk: mpsc::UnboundedSender<bool>,
}

impl Client {
    /// Joins as the edge would let it; `number` becomes its session, player and voice.
    async fn join(number: u8, heartbeat: &Heartbeat) -> Self {
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
        let relay = heartbeat.candidates[0].address;
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let local = socket.local_addr().unwrap();
        rtc.add_local_candidate(Candidate::host(local, "udp").unwrap());
        rtc.add_remote_candidate(Candidate::host(relay, "udp").unwrap());
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
        let (talk, talks) = mpsc::unbounded_channel();
        let hello = ClientMessage::Hello { sealed };
        let player_task = Player {
            number,
            rtc,
            socket,
            local,
            relay,
            sender,
            hello,
        };
        tokio::spawn(player_task.run(talks));
        Self {
            session,
            player,
            noticed,
            talk,
        }
    }

    fn talk(&self, talking: bool) {
        self.talk.send(talking).unwrap();
    }

    /// Waits for a notice that `wanted` accepts.
    async fn until<T>(&mut self, wanted: impl Fn(&Noticed) -> Option<T>) -> T {
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

    async fn until_message<T>(&mut self, wanted: impl Fn(&RelayMessage) -> Option<T>) -> T {
        self.until(|noticed| match noticed {
            Noticed::Message(message) => wanted(message),
            Noticed::Voice { .. } => None,
        })
        .await
    }

    async fn until_welcome(&mut self) -> u32 {
        self.until_message(|message| match message {
            RelayMessage::Welcome { participant, .. } => Some(*participant),
            _ => None,
        })
        .await
    }

    async fn until_ended(&mut self) -> EndReason {
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
    socket: UdpSocket,
    local: SocketAddr,
    relay: SocketAddr,
    sender: mpsc::UnboundedSender<Noticed>,
    hello: ClientMessage,
}

impl Player {
    async fn run(mut self, mut talks: mpsc::UnboundedReceiver<bool>) {
        let mut buffer = [0; 2048];
        let mut frames = tokio::time::interval(FRAME);
        let (mut talking, mut seq) = (false, 100u64);
        loop {
            let _ = self.rtc.handle_input(Input::Timeout(Instant::now()));
            let Some(wake) = self.drain().await else {
                return;
            };
            tokio::select! {
                received = self.socket.recv(&mut buffer) => {
                    // A closed port of the relay is an error here.
                    let Ok(count) = received else { continue };
                    let receive =
                        Receive::new(Protocol::Udp, self.relay, self.local, &buffer[..count]);
                    if let Ok(receive) = receive {
                        let _ = self.rtc.handle_input(Input::Receive(Instant::now(), receive));
                        if self.drain().await.is_none() { return }
                    }
                }
                () = tokio::time::sleep_until(wake.into()) => {}
                change = talks.recv() => match change {
                    Some(change) => talking = change,
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
                    let _ = self
                        .socket
                        .send_to(&transmit.contents, transmit.destination)
                        .await;
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
                self.sender.send(Noticed::Voice { ssrc, first_byte }).ok()?;
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

/// A relay with its edge and output.
struct World {
    running: Running,
    edge: FakeEdge,
    heartbeat: Heartbeat,
    lines: mpsc::Receiver<String>,
}

impl World {
    async fn start() -> Self {
        let mut edge = FakeEdge::start().await;
        let (sender, lines) = mpsc::channel(LINES_MAX);
        let running = relay::start(config(&edge.url, 1), sender).await.unwrap();
        let heartbeat = edge.heartbeat().await;
        Self {
            running,
            edge,
            heartbeat,
            lines,
        }
    }

    /// Two clients in one room, both welcome.
    async fn pair(&self) -> (Client, Client) {
        let mut a = Client::join(1, &self.heartbeat).await;
        let mut b = Client::join(2, &self.heartbeat).await;
        assert_ne!(a.until_welcome().await, b.until_welcome().await);
        (a, b)
    }
}

#[tokio::test]
async fn one_talks_and_the_other_hears_in_his_slot() {
    let world = World::start().await;
    let (mut a, mut b) = world.pair().await;
    a.talk(true);
    let slot = b
        .until(|noticed| match noticed {
            Noticed::Voice { ssrc, first_byte } => Some((*ssrc, *first_byte)),
            Noticed::Message(_) => None,
        })
        .await;
    assert_eq!(slot, (b.session.slot_ssrc(0), 1));
    a.until_message(|message| match message {
        RelayMessage::Speaking { started, .. } if !started.is_empty() => Some(()),
        _ => None,
    })
    .await;
    let text = metrics_until(world.running.control(), |text| {
        sample(text, "relay_voice_packets_forwarded_total{shard=\"dev-0\"}") >= 10.0
    })
    .await;
    assert_eq!(sample(&text, "relay_participants{shard=\"dev-0\"}"), 2.0);
    assert_eq!(sample(&text, "relay_rooms{shard=\"dev-0\"}"), 1.0);
    assert!(sample(&text, "relay_cpu_seconds_total{shard=\"dev-0\"}") > 0.0);
    let echo = std::iter::from_fn(|| a.noticed.try_recv().ok())
        .any(|noticed| matches!(noticed, Noticed::Voice { .. }));
    assert!(!echo, "nobody hears himself");
    world.running.stop().await.unwrap();
}

#[tokio::test]
async fn the_edge_can_end_one_session_and_not_another_players() {
    let world = World::start().await;
    let (mut a, mut b) = world.pair().await;
    for (nonce, session, player) in [(1, b.session, a.player), (2, a.session, a.player)] {
        let sealed = ControlMessage {
            at_ms: world.heartbeat.sent_at_ms,
            nonce: SessionId([nonce; 8]),
            command: ControlCommand::End {
                session,
                player,
                reason: EndReason::Kicked,
            },
        }
        .seal(&key().subkeys(), world.heartbeat.boot);
        let reply = call(world.running.control(), "POST", CONTROL_PATH, &[], sealed).await;
        assert_eq!(reply.0, 202);
    }
    assert_eq!(a.until_ended().await, EndReason::Kicked);
    world.running.stop().await.unwrap();
    assert_eq!(b.until_ended().await, EndReason::RelayStopping);
}

#[tokio::test]
async fn the_edge_can_push_a_message_to_a_room() {
    let world = World::start().await;
    let (mut a, mut b) = world.pair().await;
    let event = Box::new(wire::chat::ChatEvent::Fetch { seq: 7 });
    let channel = "room~lobby~main".parse().unwrap();
    let message = RelayMessage::Chat { channel, event };
    let push = |nonce: u8, to: PushTarget| {
        let message = serde_json::to_string(&message).unwrap();
        let command = ControlCommand::Push { to, message };
        ControlMessage {
            at_ms: world.heartbeat.sent_at_ms,
            nonce: SessionId([nonce; 8]),
            command,
        }
        .seal(&key().subkeys(), world.heartbeat.boot)
    };
    let room = RoomKey::of(&"lobby".parse().unwrap());
    let control = world.running.control();
    for sealed in [
        push(1, PushTarget::Room { room }),
        push(2, PushTarget::World),
    ] {
        let reply = call(control, "POST", CONTROL_PATH, &[], sealed).await;
        assert_eq!(reply.0, 202);
    }
    let same = |seen: &RelayMessage| (*seen == message).then_some(());
    a.until_message(same).await;
    a.until_message(same).await;
    b.until_message(same).await;
    world.running.stop().await.unwrap();
}

#[tokio::test]
async fn a_drain_asks_everybody_to_migrate() {
    let world = World::start().await;
    let (mut a, mut b) = world.pair().await;
    world.edge.set(http::StatusCode::OK, true);
    for client in [&mut a, &mut b] {
        client
            .until_message(|message| (*message == RelayMessage::Migrate).then_some(()))
            .await;
    }
    world.running.stop().await.unwrap();
}

#[tokio::test]
async fn a_stop_leaves_a_usage_record() {
    let mut world = World::start().await;
    let (mut a, mut b) = world.pair().await;
    a.talk(true);
    b.until(|noticed| matches!(noticed, Noticed::Voice { .. }).then_some(()))
        .await;
    world.running.stop().await.unwrap();
    assert_eq!(a.until_ended().await, EndReason::RelayStopping);
    let (mut participant_ms, mut talk_ms, mut packets_out) = (0, 0, 0);
    while let Some(line) = world.lines.recv().await {
        let record: wire::record::UsageRecord = serde_json::from_str(&line).unwrap();
        assert_eq!(record.room, RoomKey::of(&"lobby".parse().unwrap()));
        participant_ms += record.participant_ms;
        talk_ms += record.talk_ms;
        packets_out += record.packets_out;
    }
    assert!(participant_ms > 0 && talk_ms > 0 && packets_out > 0);
}
