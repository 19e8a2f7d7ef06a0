//! One player's sessions leave room for everybody else's, and whoever hears has said who he is.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::common::{Client, Want, World};
use sfu::{EndReason, PlaceLimits, RejectReason};
use wire::channel::RelayMessage;

/// A session of one player that never says hello, in a room of its own.
fn ghost() -> Want {
    Want {
        room: "haunted",
        player: 200,
        hello: false,
        ..Want::default()
    }
}

#[test]
fn the_half_open_sessions_of_one_token_keep_nobody_out() {
    let honest = 40;
    let wants = [vec![ghost(); 150], vec![Want::default(); honest]].concat();
    let mut world = World::with(&wants, |config| {
        config.max_sessions = 50;
        config.max_room_sessions = 50;
    });
    for n in 0..wants.len() {
        world.start(n);
        // One with a certificate, some with the first datagram only.
        let is_ghost = n < 150;
        world.run_ms(if is_ghost && n % 3 > 0 { 1 } else { 40 });
    }
    let honest = |client: &Client| client.is_welcome();
    world.run_until("all of the others are in", |w| {
        w.clients[150..].iter().all(honest)
    });
    let ended = world.sfu.stats().ended(EndReason::HalfOpen);
    assert!(ended >= 100, "{ended} made room for the next");
    assert!(
        world.sfu.sessions() <= 42,
        "{} sessions",
        world.sfu.sessions()
    );
    world.run_ms(12_000);
    assert_eq!(world.sfu.participants(), 40, "no ghost is left");
    assert_eq!(world.sfu.queues().holders, 40);
}

#[test]
fn ghosts_in_channels_of_their_own_make_nobody_deaf() {
    let ghost = |n: usize| Want {
        channels: Box::leak(format!("c{n}").into_boxed_str()),
        hello: false,
        ..Want::default()
    };
    let ghosts = 130;
    let wants = [(0..ghosts).map(ghost).collect(), vec![Want::default(); 2]].concat();
    let mut world = World::new(&wants);
    (0..ghosts).for_each(|n| world.start(n));
    world.run_until("all ghosts are there", |w| w.sfu.participants() == ghosts);
    (0..2).for_each(|n| world.start(ghosts + n));
    world.clients[ghosts].level = Some(-20);
    world.run_ms(2_000);
    assert_eq!(world.sfu.participants(), ghosts + 2);
    let heard = world.clients[ghosts + 1].heard.len();
    assert!(heard > 50, "{heard} packets heard");
}

#[test]
fn the_fifth_session_of_a_player_is_refused_at_once_and_one_that_ended_makes_room() {
    let names = ["a", "b", "c", "d", "e"];
    let of = |room| Want {
        room,
        player: 9,
        ..Want::default()
    };
    let mut world = World::new(&names.map(of));
    for n in 0..4 {
        world.start(n);
        world.run_until("he is in", |w| w.clients[n].is_welcome());
    }
    world.start(4);
    world.run_ms(500);
    assert!(world.sfu.stats().rejected(RejectReason::PlayerSessions) > 0);
    assert_eq!(world.sfu.participants(), 4);
    world.say(0, wire::channel::ClientMessage::Leave);
    world.run_until("the fifth is in", |w| w.clients[4].is_welcome());
}

#[test]
fn whoever_comes_back_gets_in_where_the_rest_is_reserved() {
    let mut wants = vec![Want::default(); 9];
    wants[8].player = 1;
    wants.push(Want {
        room: "other",
        player: 1,
        ..Want::default()
    });
    let mut world = World::with(&wants, |config| {
        config.max_sessions = 10;
        config.places = PlaceLimits {
            reserve_percent: 20,
            ..PlaceLimits::DEFAULT
        };
    });
    (0..8).for_each(|n| world.start(n));
    world.run_until("eight are in", |w| {
        w.clients[..8].iter().all(Client::is_welcome)
    });
    world.start(9);
    world.run_ms(500);
    assert!(world.sfu.stats().rejected(RejectReason::Reserve) > 0);
    // His network changed, and the shard does not know yet that his first session is dead.
    world.clients[0].online = false;
    world.start(8);
    world.run_until("he is back", |w| w.clients[8].is_welcome());
    world.run_ms(500);
    assert_eq!(world.sfu.stats().ended(EndReason::Replaced), 1);
    assert_eq!(world.sfu.sessions(), 8);
}

#[test]
fn a_ghost_hears_nothing_and_ends() {
    let ghost = Want {
        hello: false,
        ..Want::default()
    };
    let mut world = World::new(&[ghost, Want::default(), Want::default()]);
    world.start_all();
    let others = |w: &World| w.clients[1..].iter().all(Client::is_welcome);
    world.run_until("the others are in", others);
    world.clients[1].level = Some(-20);
    world.run_ms(9_000);
    assert_eq!(world.clients[0].heard.len(), 0, "before a hello");
    assert!(world.clients[2].heard.len() > 400, "voice goes on");
    assert_eq!(world.sfu.participants(), 3);
    world.run_ms(2_000);
    assert_eq!(world.sfu.stats().ended(EndReason::NoHello), 1);
    assert_eq!(world.sfu.participants(), 2);
    assert!(world.clients[1].was_told_left(&[1]));
    let told = |it: &RelayMessage| matches!(it, RelayMessage::Ended { .. });
    assert!(world.clients[0].was_told(told), "and he is told why");
}

#[test]
fn who_publishes_only_stays_and_hears_nothing() {
    let whip = Want {
        hello: false,
        says_hello: false,
        ..Want::default()
    };
    let mut world = World::new(&[whip, Want::default()]);
    world.start_all();
    world.run_until("both are in", |w| w.sfu.participants() == 2);
    for client in &mut world.clients {
        client.level = Some(-20);
    }
    world.run_ms(20_000);
    assert_eq!(world.sfu.participants(), 2);
    assert_eq!(world.clients[0].heard.len(), 0);
    assert_eq!(world.clients[1].voices(), BTreeSet::from([1]));
}

#[test]
fn a_hello_that_is_late_is_in_time() {
    let mut world = World::with(&[Want::default(), Want::default()], |config| {
        config.hello_timeout = Duration::from_millis(100);
    });
    world.start_all();
    world.run_until("both are in", World::are_welcome);
    world.clients[0].level = Some(-20);
    world.run_ms(1_000);
    assert_eq!(world.sfu.participants(), 2, "each hello was taken");
    assert!(world.clients[1].heard.len() > 40);
}
