//! What the edge orders about a player holds for whoever comes with a ticket from before, although
//! his room is not here yet, or not any more.

use crate::common::{UNIX_S, Want, World, room};
use sfu::{Command, PlayerKey};
use wire::channel::ClientMessage;

const AT_MS: u64 = UNIX_S * 1000;

/// Mutes the first client.
fn mute(until_ms: Option<u64>, at_ms: u64) -> Command {
    Command::Mute {
        room: room("room"),
        player: PlayerKey([1; 16]),
        until_ms,
        at_ms,
    }
}

/// Whether the others are told that the first client may not be heard.
fn is_muted(world: &World) -> bool {
    let mut known = world.clients[0].connection.view().participants().values();
    known.any(|one| one.server_muted)
}

#[test]
fn a_mute_that_comes_before_its_room() {
    let mut world = World::new(&[Want::default(), Want::default()]);
    world.command(mute(Some(AT_MS + 3_600_000), AT_MS));
    world.start_all();
    world.run_until("all are in", World::are_welcome);
    assert!(is_muted(&world));
    world.clients[0].level = Some(-20);
    world.run_ms(500);
    assert!(world.clients[1].heard.is_empty());
    world.command(mute(None, AT_MS + 1_000));
    world.run_ms(500);
    assert!(!is_muted(&world) && !world.clients[1].heard.is_empty());
}

#[test]
fn the_later_of_two_mutes_holds_whatever_came_first() {
    let mut world = World::new(&[Want::default()]);
    world.command(mute(None, AT_MS + 1_000));
    world.command(mute(Some(AT_MS + 3_600_000), AT_MS));
    world.start(0);
    world.run_until("he is in", World::are_welcome);
    assert!(!is_muted(&world));
}

#[test]
fn a_mute_that_outlives_its_room() {
    let mut world = World::new(&[Want::default(), Want::default()]);
    world.start(1);
    world.run_until("one is in", |w| w.clients[1].is_welcome());
    world.command(mute(Some(AT_MS + 3_600_000), AT_MS));
    world.say(1, ClientMessage::Leave);
    world.run_until("the room is gone", |w| w.sfu.rooms() == 0);
    world.start(0);
    world.run_until("the other is in", |w| w.clients[0].is_welcome());
    assert!(is_muted(&world));
}

#[test]
fn a_block_that_comes_before_its_room() {
    let mut world = World::new(&[Want::default(), Want::default()]);
    world.command(Command::Block {
        room: room("room"),
        player: PlayerKey([2; 16]),
        other: PlayerKey([1; 16]),
        blocked: true,
        at_ms: AT_MS,
    });
    world.start_all();
    world.run_until("all are in", World::are_welcome);
    world.clients[0].level = Some(-20);
    world.run_ms(500);
    assert!(world.clients[1].heard.is_empty());
}
