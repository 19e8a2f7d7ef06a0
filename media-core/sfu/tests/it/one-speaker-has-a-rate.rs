//! However much one client says, who hears him gets what a speaker may say, and nobody else's voice
//! suffers.

use crate::common::{OPUS, Want, World};
use sfu::DropReason;
use std::collections::BTreeSet;

/// One who floods, one who talks, and two who listen.
fn world() -> World {
    let mut world = World::new(&vec![Want::default(); 4]);
    world.start_all();
    world.run_until("all are in the room", World::are_welcome);
    world
}

#[test]
fn a_flood_reaches_listeners_as_one_speaker_and_leaves_others_as_they_were() {
    let mut world = world();
    world.clients[1].level = Some(-20);
    let before = world.clients[1].seq;
    for _ in 0..1000 {
        let now = world.now;
        // 6,000 packets a second.
        world.clients[0].flood(now, 6);
        world.run_ms(1);
    }
    world.clients[1].level = None;
    world.run_ms(20);
    let said = world.clients[1].seq - before;
    for listener in 2..4 {
        let of = |number: u8| {
            let heard = world.clients[listener].heard.iter();
            heard.filter(|one| one.voice.payload[0] == number).count() as u64
        };
        assert!((130..=25 + 112).contains(&of(1)), "{} of the flood", of(1));
        assert_eq!(of(2), said, "of who talks");
        for slot in 0..4 {
            let numbers = world.clients[listener].heard_in(slot);
            let once: BTreeSet<u64> = numbers.iter().map(|(number, _)| *number).collect();
            assert_eq!(once.len(), numbers.len(), "no number is used twice");
        }
    }
    let dropped = world.sfu.stats().dropped(DropReason::Rate);
    assert!(dropped > 5_800, "{dropped}");
}

#[test]
fn a_payload_that_no_voice_has_reaches_nobody() {
    let mut world = world();
    world.clients[0].payload = Some((OPUS, vec![1; 401]));
    world.clients[0].level = Some(-20);
    world.run_ms(500);
    assert!(world.sfu.stats().dropped(DropReason::PayloadSize) > 20);
    assert!(world.clients[2].heard.is_empty());
    world.clients[0].payload = Some((OPUS, vec![1; 400]));
    world.run_ms(400);
    assert!(world.clients[2].heard.len() > 15, "the longest one does");
}
