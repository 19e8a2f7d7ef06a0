//! What the edge pushes reaches exactly those it is for, unchanged.

use std::sync::Arc;

use crate::common::{TOPIC, Want, World, channel};
use sfu::{Audience, Command, DropReason, PlayerKey, RoomKey, TopicKey};

fn push(world: &mut World, to: Audience, text: &str) {
    let message: Arc<[u8]> = text.as_bytes().into();
    world.command(Command::Push { to, message });
    world.run_ms(200);
}

/// The numbers of the clients who were told `text`, from 1.
fn told(world: &World, text: &str) -> Vec<usize> {
    let was_told = |n: &usize| world.clients[*n - 1].messages.iter().any(|m| m == text);
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
            ..want("room", "main")
        },
    ];
    let mut world = World::new(&wants);
    world.start_all();
    world.run_until("everybody with a hello is welcome", |w| {
        w.clients[..3].iter().all(|c| c.was_told("welcome")) && w.clients[3].connected
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
            Audience::Channel(room, channel("team")),
            "to the team",
            vec![2],
        ),
        (
            Audience::Channel(room, channel("nobody")),
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
    let message: Arc<[u8]> = vec![b'x'; 16 * 1024].into();
    for _ in 0..200 {
        let message = Arc::clone(&message);
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
    world.run_until("he is heard again", |w| w.clients[0].was_told("xxx"));
}
