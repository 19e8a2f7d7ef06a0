//! A later hello changes channels while a session runs; positions have a channel of their own.

use client::Command;
use sfu::DropReason;

use crate::world::{Relay, World};

/// Two players in the channel `main`, of whom the second talks. Sessions count from 1.
fn pair() -> World {
    let mut world = World::new();
    for _ in 0..2 {
        world.enter();
    }
    world.players[1].talks = true;
    world.run_until("both are there", World::are_together);
    world.run_until("he is heard", |world| world.players[0].heard.len() > 10);
    world
}

fn again(world: &mut World, player: usize, channels: &[&str], at_ms: u64) {
    let hello = Relay::hello(player as u8 + 1, player, channels, at_ms);
    let sealed = Relay::seal(&hello);
    world.command(player, Command::Hello { sealed });
    world.run_ms(300);
}

fn through(world: &World) -> Option<String> {
    let view = world.players[0].call.view().unwrap();
    view.channel_in(0).map(ToString::to_string)
}

fn heard_in(world: &mut World, ms: u64) -> usize {
    let before = world.players[0].heard.len();
    world.run_ms(ms);
    world.players[0].heard.len() - before
}

#[test]
fn a_newer_hello_moves_a_player_to_other_channels_and_an_older_one_does_not() {
    let mut world = pair();
    assert_eq!(through(&world).as_deref(), Some("main"));
    // Heard on, through the first of the listener's channels that both have.
    again(&mut world, 0, &["red", "main"], 2);
    assert_eq!(through(&world).as_deref(), Some("main"));
    again(&mut world, 1, &["red"], 2);
    assert!(heard_in(&mut world, 200) > 5, "in the team now");
    assert_eq!(through(&world).as_deref(), Some("red"));
    assert!(world.are_together(), "the roster names both");

    again(&mut world, 0, &["blue"], 3);
    assert_eq!(heard_in(&mut world, 200), 0, "not his team any more");
    assert!(world.players.iter().all(|it| it.call.view().is_some()));
    // What he was once allowed is not allowed again by sending it again.
    for old in [1, 2, 3] {
        again(&mut world, 0, &["red"], old);
        assert_eq!(heard_in(&mut world, 200), 0, "hello {old}");
    }
    let dropped = world.relays[0].sfu.stats();
    assert_eq!(dropped.dropped(DropReason::BadMessage), 3);
    again(&mut world, 0, &["red"], 4);
    assert!(heard_in(&mut world, 200) > 5);
    assert_eq!(world.told(0), ["Connected"], "one session all the time");
}

#[test]
fn positions_are_told_apart_from_messages_by_the_label_of_their_channel() {
    let mut world = pair();
    let frame = [b"{}".to_vec(), vec![0; 14]].concat();
    for _ in 0..10 {
        world.command(0, Command::Position(frame.clone()));
        world.run_ms(100);
    }
    let stats = world.relays[0].sfu.stats();
    assert_eq!(
        stats.dropped(DropReason::Position),
        10,
        "no channel takes one"
    );
    assert_eq!(stats.dropped(DropReason::BadMessage), 0);
    assert!(heard_in(&mut world, 200) > 5, "the call goes on");
}
