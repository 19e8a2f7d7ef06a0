//! What the edge pushes reaches exactly those it is for, unchanged.

use std::sync::Arc;

use crate::common::{Client, TOPIC, Want, World, channel};
use sfu::{Audience, Command, DropReason, PlayerKey, RoomKey, TopicKey};
use wire::channel::RelayMessage;
use wire::chat::ChatEvent;

/// A message of the edge in which `text` stands.
fn message(text: String) -> RelayMessage {
    let event = ChatEvent::Reacted {
        seq: 1,
        player: "p1".parse().unwrap(),
        reaction: text,
        added: true,
    };
    RelayMessage::Chat {
        channel: "room~room~main".parse().unwrap(),
        event: Box::new(event),
    }
}

fn bytes(message: &RelayMessage) -> Arc<[u8]> {
    serde_json::to_vec(message).unwrap().into()
}

fn push(world: &mut World, to: Audience, text: &str) {
    let message = bytes(&message(text.to_owned()));
    world.command(Command::Push { to, message });
    world.run_ms(200);
}

/// The numbers of the clients who were told `text`, from 1.
fn told(world: &World, text: &str) -> Vec<usize> {
    let message = message(text.to_owned());
    let was_told = |n: &usize| world.clients[*n - 1].messages.contains(&message);
    (1..=world.clients.len()).filter(was_told).collect()
}

fn world() -> World {
    let want = |room, channels| Want {
        room,
        channels,
        ..Want::default()
    };
    let wants = [
        want("room", "main"),
        want("room", "main,team"),
        // The harness lets this one read the world channel.
        want("other", "main"),
        Want {
            hello: false,
            says_hello: false,
            ..want("room", "main")
        },
    ];
    let mut world = World::new(&wants);
    world.start_all();
    world.run_until("everybody with a hello is welcome", |w| {
        w.clients[..3].iter().all(Client::is_welcome) && w.clients[3].is_connected()
    });
    world.run_ms(500);
    world
}

#[test]
fn a_push_reaches_its_audience_and_nobody_else() {
    let mut world = world();
    let room = world.clients[0].admission.room;
    let player = world.clients[1].admission.player;
    for (to, text, wanted) in [
        (Audience::Room(room), "to the room", vec![1, 2]),
        (
            Audience::Channel(room, channel("room", "team")),
            "to the team",
            vec![2],
        ),
        (
            Audience::Channel(room, channel("room", "nobody")),
            "to nobody",
            vec![],
        ),
        (Audience::Player(room, player), "to one", vec![2]),
        (
            Audience::Player(room, PlayerKey([9; 16])),
            "to a stranger",
            vec![],
        ),
        (Audience::Room(RoomKey([9; 8])), "to no room", vec![]),
        (Audience::Topic(TOPIC), "to the topic", vec![3]),
        (Audience::Topic(TopicKey([8; 8])), "to no topic", vec![]),
    ] {
        push(&mut world, to, text);
        assert_eq!(told(&world, text), wanted, "{text}");
    }
    assert_eq!(world.sfu.stats().pushed, 5);
}

#[test]
fn a_client_who_reads_nothing_misses_pushes_and_keeps_his_session() {
    let mut world = world();
    let room = world.clients[0].admission.room;
    world.clients[0].online = false;
    let long = message("x".repeat(16 * 1024));
    let pushed = bytes(&long);
    for _ in 0..200 {
        let message = Arc::clone(&pushed);
        world.command(Command::Push {
            to: Audience::Room(room),
            message,
        });
        world.run_ms(5);
    }
    let stats = world.sfu.stats();
    assert!(stats.dropped(DropReason::Backlog) > 100, "{stats:?}");
    assert_eq!(world.sfu.sessions(), 4);
    world.clients[0].online = true;
    world.run_until("he is heard again", |w| {
        w.clients[0].messages.contains(&long)
    });
}
