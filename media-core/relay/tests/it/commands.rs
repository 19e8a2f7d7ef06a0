//! What the edge orders of a player acts on his voice.

use crate::common::player::{Client, Noticed};
use crate::common::{FakeEdge, call, config, key, metrics_until, sample, start};
use http::StatusCode;
use relay::Running;
use wire::channel::{EndReason, RelayMessage};
use wire::control::{CONTROL_PATH, ControlCommand, ControlMessage, PendingCommand, open_players};
use wire::fleet::Heartbeat;
use wire::hello::{ChannelGrant, Hello};
use wire::moderation::RoomPlayers;
use wire::{RoomKey, SessionId};

struct World {
    running: Running,
    heartbeat: Heartbeat,
    nonces: u8,
    edge: FakeEdge,
}

impl World {
    async fn start() -> (Self, Client, Client) {
        let mut edge = FakeEdge::start().await;
        let running = start(config(&edge.url, 1)).await;
        let heartbeat = edge.heartbeat().await;
        let mut a = Client::join(1, &heartbeat).await;
        let mut b = Client::join(2, &heartbeat).await;
        assert_ne!(a.until_welcome().await, b.until_welcome().await);
        a.talk(true);
        until_heard(&mut b).await;
        let world = Self {
            running,
            heartbeat,
            nonces: 0,
            edge,
        };
        (world, a, b)
    }

    async fn order(&mut self, command: ControlCommand) -> (StatusCode, String) {
        self.nonces += 1;
        let sealed = ControlMessage {
            at_ms: self.heartbeat.sent_at_ms + u64::from(self.nonces),
            nonce: SessionId([self.nonces; 8]),
            command,
        }
        .seal(&key().subkeys(), self.heartbeat.boot);
        call(self.running.control(), "POST", CONTROL_PATH, &[], sealed).await
    }
}

/// A question about a room, sealed, and its nonce.
fn question(heartbeat: &Heartbeat, nonce: u8, room: RoomKey, after: u32) -> (String, SessionId) {
    let nonce = SessionId([nonce; 8]);
    let message = ControlMessage {
        at_ms: heartbeat.sent_at_ms,
        nonce,
        command: ControlCommand::Players { room, after },
    };
    (message.seal(&key().subkeys(), heartbeat.boot), nonce)
}

impl World {
    /// Who is in a room as the relay says, behind a number.
    async fn players(&mut self, room: RoomKey, after: u32) -> RoomPlayers {
        self.nonces += 1;
        let (sealed, nonce) = question(&self.heartbeat, self.nonces, room, after);
        let posted = call(self.running.control(), "POST", CONTROL_PATH, &[], sealed);
        let (status, answer) = posted.await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        open_players(&answer, &key().subkeys(), self.heartbeat.boot, nonce).unwrap()
    }
}

fn room() -> RoomKey {
    RoomKey::of(&"lobby".parse().unwrap())
}

async fn until_heard(client: &mut Client) {
    let voice = |noticed: &Noticed| matches!(noticed, Noticed::Voice { .. }).then_some(());
    client.until(voice).await;
}

/// Whether any voice came since the last look.
fn heard(client: &mut Client) -> bool {
    std::iter::from_fn(|| client.noticed.try_recv().ok())
        .any(|noticed| matches!(noticed, Noticed::Voice { .. }))
}

/// Whether `one` hears nothing while `other` hears ten packets, soon after an order.
async fn is_left_out(one: &mut Client, other: &mut Client) -> bool {
    for _ in 0..5 {
        // What waits in a queue was said before, and would pass for what is said now.
        heard(one);
        heard(other);
        for _ in 0..10 {
            until_heard(other).await;
        }
        if !heard(one) {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn a_player_is_silenced_whatever_he_sends_and_heard_again() {
    let (mut world, a, mut b) = World::start().await;
    let until_ms = world.heartbeat.sent_at_ms + 3_600_000;
    let mute = |muted: bool| ControlCommand::Mute {
        room: room(),
        player: a.player,
        until_ms: muted.then_some(until_ms),
    };
    for _ in 0..2 {
        assert_eq!(world.order(mute(true)).await.0, StatusCode::ACCEPTED);
        let is_muted = |message: &RelayMessage| match message {
            RelayMessage::Roster { changed, .. } => {
                changed.iter().any(|one| one.server_muted).then_some(())
            }
            _ => None,
        };
        b.until_message(is_muted).await;
        // As much as a bystander needs to be sure: a round trip to the shard, and no voice since.
        assert_eq!(world.order(mute(true)).await.0, StatusCode::ACCEPTED);
        assert!(
            !heard(&mut b),
            "after he was told that the other is silenced"
        );
        assert_eq!(world.order(mute(false)).await.0, StatusCode::ACCEPTED);
        until_heard(&mut b).await;
    }
    world.running.stop().await.unwrap();
}

#[tokio::test]
async fn a_block_silences_both_ways_and_nobody_else() {
    let (mut world, a, mut b) = World::start().await;
    let mut c = Client::join(3, &world.heartbeat).await;
    c.until_welcome().await;
    // The one who hears blocks the one who talks, and the other way round.
    for (player, other) in [(b.player, a.player), (a.player, b.player)] {
        let block = |blocked| ControlCommand::Block {
            room: room(),
            player,
            other,
            blocked,
        };
        assert_eq!(world.order(block(true)).await.0, StatusCode::ACCEPTED);
        assert!(is_left_out(&mut b, &mut c).await);
        assert_eq!(world.order(block(false)).await.0, StatusCode::ACCEPTED);
        until_heard(&mut b).await;
    }
    world.running.stop().await.unwrap();
}

#[tokio::test]
async fn a_kick_ends_what_the_player_has_in_the_room_and_leaves_others() {
    let (mut world, mut a, mut b) = World::start().await;
    let kick = |player| ControlCommand::Kick {
        room: room(),
        player,
    };
    // Somebody who comes and goes between two tellings is never told of.
    let mute = ControlCommand::Mute {
        room: room(),
        player: b.player,
        until_ms: Some(world.heartbeat.sent_at_ms + 3_600_000),
    };
    assert_eq!(world.order(mute).await.0, StatusCode::ACCEPTED);
    let knows = |message: &RelayMessage| match message {
        RelayMessage::Roster {
            joined, changed, ..
        } => {
            let mut told = joined.iter().chain(changed);
            told.any(|one| one.server_muted).then_some(())
        }
        _ => None,
    };
    a.until_message(knows).await;
    assert_eq!(world.order(kick(b.player)).await.0, StatusCode::ACCEPTED);
    assert_eq!(b.until_ended().await, EndReason::Kicked);
    let elsewhere = ControlCommand::Kick {
        room: RoomKey([9; 8]),
        player: a.player,
    };
    assert_eq!(world.order(elsewhere).await.0, StatusCode::ACCEPTED);
    let left = |message: &RelayMessage| match message {
        RelayMessage::Roster { left, .. } => (!left.is_empty()).then_some(()),
        _ => None,
    };
    a.until_message(left).await;
    world.running.stop().await.unwrap();
}

#[tokio::test]
async fn a_grant_is_a_hello_that_the_edge_brings() {
    let (mut world, _a, mut b) = World::start().await;
    let mut c = Client::join(3, &world.heartbeat).await;
    c.until_welcome().await;
    let hello = |session, issued_at_ms| Hello {
        session,
        player: "player-2".parse().unwrap(),
        name: "Bob, renamed".to_owned(),
        room: "lobby".parse().unwrap(),
        channels: vec![ChannelGrant {
            channel: "elsewhere".parse().unwrap(),
            permissions: 3,
        }],
        world: false,
        topics: Vec::new(),
        muted_until_ms: None,
        until_ms: None,
        blocked: Vec::new(),
        platform: String::new(),
        one_platform: false,
        issued_at_ms,
    };
    let seal = |hello: Hello, boot| hello.seal(&key().subkeys(), boot);
    let (boot, session) = (world.heartbeat.boot, b.session);
    let grant = |hello| ControlCommand::Grant { session, hello };
    // One for another session is no good here, nor one as old as the first.
    for useless in [
        seal(hello(SessionId([77; 8]), 5), boot),
        seal(hello(session, 0), boot),
        "garbage".to_owned(),
    ] {
        assert_eq!(world.order(grant(useless)).await.0, StatusCode::ACCEPTED);
    }
    let good = seal(hello(session, 5), boot);
    assert_eq!(world.order(grant(good)).await.0, StatusCode::ACCEPTED);
    b.until_welcome().await;
    assert!(is_left_out(&mut b, &mut c).await, "in another channel");
    world.running.stop().await.unwrap();
}

/// What could not be posted comes with the reply to a heartbeat, again until the relay has said
/// that it has it; what it does not know is not asked for again either.
#[tokio::test]
async fn what_did_not_arrive_is_handed_over() {
    let (mut world, a, mut b) = World::start().await;
    let at_ms = world.heartbeat.sent_at_ms;
    let pending = |nonce: u8, command: serde_json::Value| PendingCommand {
        at_ms,
        nonce: SessionId([nonce; 8]),
        command,
    };
    let kick = ControlCommand::Kick {
        room: room(),
        player: b.player,
    };
    let kick = serde_json::to_value(kick).unwrap();
    let novel = serde_json::json!({ "do": "levitate" });
    world.edge.waiting();
    world
        .edge
        .hand_over(vec![pending(1, novel), pending(2, kick)]);
    assert_eq!(b.until_ended().await, EndReason::Kicked);
    loop {
        let taken = world.edge.heartbeat().await.taken;
        if !taken.is_empty() {
            assert_eq!(taken, [SessionId([1; 8]), SessionId([2; 8])]);
            break;
        }
    }
    assert_eq!(world.edge.heartbeat().await.taken, [], "said once");
    let name = "relay_commands_handed_over_total{shard=\"dev-0\"}";
    let health = world.running.health();
    metrics_until(health, |text| sample(text, name) == 2.0).await;
    drop(a);
    world.running.stop().await.unwrap();
}

#[tokio::test]
async fn whoever_asks_learns_who_is_in_a_room_and_what_they_do() {
    let (mut world, a, b) = World::start().await;
    let began_ms = world.heartbeat.sent_at_ms;
    let page = world.players(room(), 0).await;
    assert_eq!(page.next, None);
    let [first, second] = &page.players[..] else {
        panic!("two are there: {page:?}");
    };
    assert!(first.participant.id < second.participant.id);
    for one in &page.players {
        let of = [&a, &b]
            .into_iter()
            .find(|client| client.session == one.session);
        let of = of.expect("one of the two");
        let name = format!("player-{}", of.session.0[0]);
        assert_eq!(one.participant.player, Some(name.parse().unwrap()));
        assert_eq!(one.talking, of.session == a.session);
        assert!(one.participant.speaker && !one.participant.channels.is_empty());
        assert!((began_ms - 60_000..began_ms + 60_000).contains(&one.since_ms));
    }
    // The second page of two is that of the second.
    let rest = world.players(room(), first.participant.id).await;
    let left: Vec<u32> = rest.players.iter().map(|one| one.participant.id).collect();
    assert_eq!(left, [second.participant.id]);
    assert!(world.players(room(), u32::MAX).await.players.is_empty());
    assert!(
        world.players(RoomKey([9; 8]), 0).await.players.is_empty(),
        "elsewhere"
    );
    // Silenced, he talks no more, whatever he sends.
    let mute = ControlCommand::Mute {
        room: room(),
        player: a.player,
        until_ms: Some(began_ms + 3_600_000),
    };
    assert_eq!(world.order(mute).await.0, StatusCode::ACCEPTED);
    let page = world.players(room(), 0).await;
    let talker = page.players.iter().find(|one| one.session == a.session);
    let talker = talker.expect("he is still there");
    assert!(talker.participant.server_muted && !talker.talking);
    // Who is removed is gone.
    let kick = ControlCommand::Kick {
        room: room(),
        player: a.player,
    };
    assert_eq!(world.order(kick).await.0, StatusCode::ACCEPTED);
    let page = world.players(room(), 0).await;
    let left: Vec<SessionId> = page.players.iter().map(|one| one.session).collect();
    assert_eq!(left, [b.session]);
    world.running.stop().await.unwrap();
}

#[tokio::test]
async fn a_question_is_answered_once_and_for_its_nonce_only() {
    let (world, _a, _b) = World::start().await;
    let (boot, keys) = (world.heartbeat.boot, key().subkeys());
    let post = |sealed: String| call(world.running.control(), "POST", CONTROL_PATH, &[], sealed);
    let (sealed, nonce) = question(&world.heartbeat, 101, room(), 0);
    let (status, answer) = post(sealed.clone()).await;
    assert_eq!(status, StatusCode::OK);
    assert!(open_players(&answer, &keys, boot, nonce).is_ok());
    let other = SessionId([102; 8]);
    assert!(open_players(&answer, &keys, boot, other).is_err());
    assert!(!answer.contains("player"), "it is sealed");
    let (status, refused) = post(sealed).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{refused}");
    // What is not sealed for it learns nothing.
    let (forged, _) = question(&world.heartbeat, 103, room(), 0);
    let (status, _) = post(forged.replace('A', "B") + "AA").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    world.running.stop().await.unwrap();
}
