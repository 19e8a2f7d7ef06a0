//! What the edge pushes reaches exactly those it is for, unchanged.

use std::sync::Arc;

use crate::common::{Client, TOPIC, Want, World, channel, party};
use sfu::{Audience, Command, DropReason, News, PlayerKey, Push, RoomKey, TopicKey};
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
    world.command(Command::Push(Push::new(to, message)));
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
        (party("room"), "to the room", vec![1, 2]),
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
        (Audience::Room(RoomKey([9; 8]), TOPIC), "to no room", vec![]),
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
    world.clients[0].online = false;
    let long = message("x".repeat(16 * 1024));
    let pushed = bytes(&long);
    for _ in 0..200 {
        let message = Arc::clone(&pushed);
        world.command(Command::Push(Push::new(party("room"), message)));
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

#[test]
fn a_flood_of_pushes_becomes_news_and_the_last_of_it_arrives() {
    let mut world = world();
    let (flood, others) = (
        message("x".repeat(600)),
        message("to the other room".to_owned()),
    );
    let news = |number: u64| {
        let event = Box::new(ChatEvent::Fetch {
            seq: number,
            within_ms: 4_000,
        });
        let channel = "room~room~main".parse().unwrap();
        RelayMessage::Chat { channel, event }
    };
    for number in 0..2_000 {
        let text = Push {
            news: Some(News {
                number,
                message: bytes(&news(number)),
            }),
            ..Push::new(party("room"), bytes(&flood))
        };
        world.command(Command::Push(text));
        if number % 20 == 19 {
            world.run_ms(1);
        }
    }
    world.command(Command::Push(Push::new(party("other"), bytes(&others))));
    world.run_ms(1_000);
    let stats = world.sfu.stats();
    // A quarter of a second's at once, and 1.1 s of 5,000.
    assert!(stats.pushed <= 1_250 + 5_500 + 40, "{stats:?}");
    assert!(stats.dropped(DropReason::PushRate) > 500, "{stats:?}");
    assert!(stats.told_of_news > 0, "{stats:?}");
    for client in &world.clients[..2] {
        let texts = client.messages.iter().filter(|one| **one == flood);
        assert!(texts.count() > 100, "as many as may");
        assert!(
            client.messages.contains(&news(1_999)),
            "and that there is more"
        );
    }
    let waited = world.clients[2].messages.contains(&others);
    assert!(waited, "nobody starves behind a flood");
}
