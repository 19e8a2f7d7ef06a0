//! Two clients talk through a relay: real sockets, real tickets, real threads.

use crate::common::player::{Client, Noticed};
use crate::common::{FakeEdge, call, config, key, metrics_until, sample};
use relay::{LINES_MAX, Running};
use tokio::sync::mpsc;
use wire::channel::{EndReason, RelayMessage};
use wire::control::{CONTROL_PATH, ControlCommand, ControlMessage, PushTarget};
use wire::fleet::Heartbeat;
use wire::{RoomKey, SessionId, TopicKey};

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
            Noticed::Voice {
                slot, first_byte, ..
            } => Some((*slot, *first_byte)),
            Noticed::Message(_) => None,
        })
        .await;
    assert_eq!(slot, (0, 1));
    a.until_message(|message| match message {
        RelayMessage::Speaking { started, .. } if !started.is_empty() => Some(()),
        _ => None,
    })
    .await;
    let text = metrics_until(world.running.health(), |text| {
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
    let event = Box::new(wire::chat::ChatEvent::Fetch {
        seq: 7,
        within_ms: 0,
    });
    let channel = "room~lobby~main".parse().unwrap();
    let message = RelayMessage::Chat { channel, event };
    let push = |nonce: u8, to: PushTarget| {
        let message = serde_json::to_string(&message).unwrap();
        let author = None;
        let command = ControlCommand::Push {
            to,
            message,
            author,
        };
        ControlMessage {
            at_ms: world.heartbeat.sent_at_ms,
            nonce: SessionId([nonce; 8]),
            command,
        }
        .seal(&key().subkeys(), world.heartbeat.boot)
    };
    let room = RoomKey::of(&"lobby".parse().unwrap());
    let topic = TopicKey::world(&world.heartbeat.region);
    let control = world.running.control();
    for sealed in [
        push(1, PushTarget::Room { room }),
        // As an edge of the release before says it, and as this one does.
        push(2, PushTarget::World),
        push(3, PushTarget::Topic { topic }),
    ] {
        let reply = call(control, "POST", CONTROL_PATH, &[], sealed).await;
        assert_eq!(reply.0, 202);
    }
    let same = |seen: &RelayMessage| (*seen == message).then_some(());
    for _ in 0..3 {
        a.until_message(same).await;
    }
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
