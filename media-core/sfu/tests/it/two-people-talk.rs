//! Voice from one participant reaches the others, and only those who should hear it.

use std::collections::BTreeSet;

use crate::common::{self, Want, World};
use sfu::DropReason;
use wire::channel::{ClientMessage, RelayMessage, SlotState};

fn rooms(wants: &[(&'static str, &'static str)]) -> World {
    let wants: Vec<Want> = wants
        .iter()
        .map(|&(room, channels)| Want {
            room,
            channels,
            ..Want::default()
        })
        .collect();
    let mut world = World::new(&wants);
    world.start_all();
    world.run_until("everybody is welcome", World::are_welcome);
    world
}

fn state(muted: bool, deafened: bool) -> ClientMessage {
    ClientMessage::State { muted, deafened }
}

#[test]
fn each_hears_the_other_and_not_himself() {
    let mut world = rooms(&[("room", "main"), ("room", "main")]);
    for client in &mut world.clients {
        client.level = Some(-20);
    }
    world.run_ms(2000);
    assert_eq!(world.clients[0].voices(), BTreeSet::from([2]));
    assert_eq!(world.clients[1].voices(), BTreeSet::from([1]));
    let heard = world.clients[0].heard.len();
    assert!(
        (95..=101).contains(&heard),
        "2 s are 100 packets, heard {heard}"
    );
}

#[test]
fn slots_have_continuous_numbers_and_forward_times_across_speakers() {
    let mut world = rooms(&[("room", "main"); 3]);
    // One slot and two speakers who take turns.
    for turn in 0..6 {
        world.clients[turn % 2].level = Some(-20);
        world.run_ms(300);
        world.clients[turn % 2].level = None;
        world.run_ms(500);
    }
    let listener = &world.clients[2];
    assert_eq!(listener.voices(), BTreeSet::from([1, 2]));
    for slot in 0..2 {
        let heard = listener.heard_in(slot);
        assert!(heard.len() >= 40, "each speaker keeps his slot");
        for pair in heard.windows(2) {
            assert_eq!(pair[1].0, pair[0].0 + 1, "no gap between talk spurts");
            assert!(
                pair[1].1.wrapping_sub(pair[0].1) as i32 > 0,
                "time goes forward"
            );
        }
    }
}

#[test]
fn a_slot_is_taken_over_from_the_one_who_is_silent_longest() {
    let mut world = World::new(&[
        Want {
            slots: 1,
            ..Want::default()
        },
        Want::default(),
        Want::default(),
        Want::default(),
    ]);
    world.start_all();
    world.run_until("welcome", World::are_welcome);
    world.clients[1].level = Some(-20);
    world.run_ms(200);
    world.clients[2].level = Some(-20);
    world.run_ms(200);
    assert_eq!(
        world.clients[0].voices(),
        BTreeSet::from([2]),
        "the only slot is in use"
    );
    assert!(world.sfu.stats().dropped(DropReason::NoSlot) > 0);
    world.clients[1].level = None;
    world.run_ms(1000);
    assert_eq!(world.clients[0].voices(), BTreeSet::from([2, 3]));
    let heard = world.clients[0].heard_in(0);
    for pair in heard.windows(2) {
        assert_eq!(
            pair[1].0,
            pair[0].0 + 1,
            "a change of speaker leaves no gap"
        );
        assert!(
            pair[1].1.wrapping_sub(pair[0].1) as i32 >= 960,
            "one packet at least"
        );
    }
    let markers = world.clients[0]
        .heard
        .iter()
        .filter(|heard| heard.voice.starts)
        .count();
    assert_eq!(markers, 2, "each talk spurt starts with the marker");
    for participant in [Some(2), Some(3)] {
        let slots = vec![SlotState {
            slot: 0,
            participant,
            channel: Some("main".parse().unwrap()),
        }];
        let told = RelayMessage::Slots { slots };
        assert!(world.clients[0].messages.contains(&told));
    }
}

#[test]
fn rooms_and_channels_keep_apart() {
    let mut world = rooms(&[
        ("a", "main"),
        ("a", "main"),
        ("b", "main"),
        ("a", "red"),
        ("a", "red,main"),
    ]);
    world.clients[0].level = Some(-20);
    world.clients[3].level = Some(-20);
    world.run_ms(500);
    let voices: Vec<_> = world.clients.iter().map(common::Client::voices).collect();
    let expected = [vec![], vec![1], vec![], vec![], vec![1, 4]];
    assert_eq!(voices, expected.map(BTreeSet::from_iter));
}

#[test]
fn silence_is_not_sent() {
    let mut world = rooms(&[("room", "main"); 2]);
    world.clients[0].level = Some(-90);
    world.run_ms(1000);
    assert!(world.clients[1].heard.is_empty());
    assert!(world.sfu.stats().dropped(DropReason::Silence) >= 49);
    let of_speaking = |it: &RelayMessage| matches!(it, RelayMessage::Speaking { .. });
    assert!(!world.clients[1].was_told(of_speaking));
    world.clients[0].level = Some(-30);
    world.run_ms(200);
    assert!(world.clients[1].was_told_speaking(&[1], &[]));
    world.clients[0].level = Some(-90);
    world.run_ms(1000);
    assert!(world.clients[1].was_told_speaking(&[], &[1]));
}

#[test]
fn mute_and_deafen_are_enforced() {
    let mut world = rooms(&[("room", "main"); 2]);
    world.clients[0].level = Some(-20);
    world.run_ms(200);
    world.say(0, state(true, false));
    world.run_ms(200);
    let before = world.clients[1].heard.len();
    world.run_ms(500);
    assert_eq!(
        world.clients[1].heard.len(),
        before,
        "a muted speaker is silent"
    );
    let known = world.clients[1].connection.view().participants();
    assert_eq!((known[&1].muted, known[&2].muted), (true, false));
    world.say(0, state(false, false));
    world.run_ms(300);
    let unmuted = world.clients[1].heard.len();
    assert!(unmuted > before);
    world.say(1, state(false, true));
    world.run_ms(200);
    let deafened = world.clients[1].heard.len();
    world.run_ms(500);
    assert_eq!(
        world.clients[1].heard.len(),
        deafened,
        "a deafened listener gets nothing"
    );
    world.say(1, state(false, false));
    world.run_ms(300);
    let numbers = world.clients[1].heard_in(0);
    assert!(numbers.len() > deafened);
    assert!(
        numbers.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1),
        "no loss is made up"
    );
}

#[test]
fn the_source_of_a_microphone_may_change() {
    let mut world = rooms(&[("room", "main"); 2]);
    world.clients[0].level = Some(-20);
    world.run_ms(500);
    world.clients[0].connection.change_source(4242);
    world.clients[0].seq = 30_000;
    world.run_ms(500);
    let heard = world.clients[1].heard_in(0);
    assert!(heard.len() > 45, "heard {}", heard.len());
    assert!(heard.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1));
    assert!(
        heard
            .windows(2)
            .all(|pair| pair[1].1.wrapping_sub(pair[0].1) as i32 > 0)
    );
}

#[test]
fn a_session_without_hello_still_has_voice() {
    let whip = Want {
        hello: false,
        says_hello: false,
        slots: 0,
        ..Want::default()
    };
    let mut world = World::new(&[whip, Want::default()]);
    world.start_all();
    world.run_until("welcome", |w| {
        w.clients[1].is_welcome() && w.clients[0].is_connected()
    });
    world.clients[0].level = Some(-20);
    world.run_ms(300);
    assert_eq!(world.clients[1].voices(), BTreeSet::from([1]));
    let known = world.clients[1].connection.view().participants();
    assert_eq!((known.len(), known[&1].player.as_ref()), (2, None));
}
