//! Sessions that move, vanish or come back: found by the simulation, each kept here as it was.

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::{Want, World};
use sfu::EndReason;

fn welcome_all(world: &mut World) {
    world.start_all();
    world.run_until("everybody is welcome", |w| {
        w.clients.iter().all(|c| c.was_told("welcome"))
    });
}

#[test]
fn a_session_that_ice_gives_up_is_out_of_its_room() {
    let mut world = World::with(
        &[Want::default(), Want::default(), Want::default()],
        |config| {
            // Later than str0m's own timer.
            config.consent_timeout = Duration::from_secs(120);
        },
    );
    welcome_all(&mut world);
    world.clients[0].online = false;
    world.run_ms(60_000);
    assert_eq!(world.sfu.stats().ended(EndReason::Timeout), 1);
    assert_eq!(world.sfu.participants(), 2);
    world.clients[1].level = Some(-20);
    world.run_ms(500);
    assert_eq!(world.clients[2].voices(), BTreeSet::from([2]));
    assert!(world.clients[2].was_told("roster joined: left:[1]"));
}

#[test]
fn a_player_with_two_sessions_does_not_hear_himself() {
    let moves = |hello| Want {
        player: 9,
        hello,
        ..Want::default()
    };
    // Without a hello, the second session does not replace the first.
    let mut world = World::new(&[moves(true), moves(false), Want::default()]);
    world.start(0);
    world.start(2);
    world.run_until("the first is welcome", |w| w.clients[0].was_told("welcome"));
    world.start(1);
    world.run_until("all are connected", |w| {
        w.clients.iter().all(|c| c.connected)
    });
    world.run_ms(500);
    world.clients[0].level = Some(-20);
    world.run_ms(500);
    assert_eq!(world.clients[1].voices(), BTreeSet::new());
    assert_eq!(world.clients[2].voices(), BTreeSet::from([1]));
}

#[test]
fn a_client_whose_nat_gives_it_another_address_hears_on() {
    let mut world = World::new(&[Want::default(), Want::default()]);
    welcome_all(&mut world);
    world.clients[0].level = Some(-20);
    world.run_ms(500);
    world.clients[1].address = "10.0.9.9:6000".parse().unwrap();
    // Until the next check of connectivity the shard cannot know.
    world.run_ms(5_000);
    let heard = world.clients[1].heard.len();
    world.run_ms(1_000);
    let since = world.clients[1].heard.len() - heard;
    assert!(
        (48..=51).contains(&since),
        "1 s is 50 packets, heard {since}"
    );
}

#[test]
fn nobody_is_told_of_a_talk_spurt_whose_end_he_is_not_told() {
    let of = |channels| Want {
        channels,
        ..Want::default()
    };
    let mut world = World::new(&[of("main"), of("main"), of("team")]);
    world.start(0);
    world.start(1);
    world.run_until("two are welcome", |w| {
        w.clients[..2].iter().all(|c| c.was_told("welcome"))
    });
    world.clients[0].level = Some(-20);
    world.run_until("he is heard", |w| w.clients[1].was_told("speaking [1] []"));
    world.start(2);
    world.run_until("the third is welcome", |w| w.clients[2].was_told("welcome"));
    world.run_ms(300);
    world.clients[0].level = None;
    world.run_until("he is silent", |w| w.clients[1].was_told("speaking [] [1]"));
    world.run_ms(300);
    assert!(!world.clients[2].was_told("speaking"));
}
