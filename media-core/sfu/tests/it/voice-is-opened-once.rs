//! What a client sends is heard when it is authentic and new, and the client learns how well it
//! arrives.

use std::time::Duration;

use crate::common::{OPUS, Want, World, is_voice};
use sfu::RejectReason;

fn two_talkers() -> World {
    let mut world = World::new(&[Want::default(), Want::default()]);
    world.start_all();
    world.run_until("both are welcome", World::are_welcome);
    world
}

fn refused(world: &World) -> u64 {
    world.sfu.stats().rejected(RejectReason::Srtp)
}

#[test]
fn what_was_heard_is_not_heard_again() {
    let mut world = two_talkers();
    world.recorded = Some(Vec::new());
    world.clients[0].level = Some(-20);
    world.run_ms(3000);
    world.clients[0].level = None;
    world.run_ms(1000);
    let recorded = world.recorded.take().unwrap();
    let voice = recorded.iter().filter(|(_, data)| is_voice(data));
    let (heard, taken) = (world.clients[1].heard.len(), world.sfu.stats().voice_in);
    assert!(heard >= 149 && refused(&world) == 0);
    let mut replayed = 0;
    for (from, data) in voice {
        world.inject(*from, data);
        replayed += 1;
    }
    world.run_ms(1000);
    assert_eq!(world.clients[1].heard.len(), heard);
    assert_eq!(world.sfu.stats().voice_in, taken);
    assert_eq!(refused(&world), replayed);
    world.clients[0].level = Some(-20);
    world.run_ms(1000);
    assert!(world.clients[1].heard.len() >= heard + 49, "and goes on");
}

#[test]
fn what_was_changed_on_the_way_is_not_heard_and_changes_nothing() {
    let payload = |data: &mut Vec<u8>| {
        if is_voice(data) {
            *data.last_mut().unwrap() ^= 1;
        }
    };
    // Another one each time.
    let source = |data: &mut Vec<u8>| {
        if is_voice(data) {
            data[8] = data[3] | 1;
        }
    };
    let changes: [fn(&mut Vec<u8>); 2] = [payload, source];
    for change in changes {
        let mut world = two_talkers();
        world.clients[0].level = Some(-20);
        world.run_ms(1000);
        let heard = world.clients[1].heard.len();
        world.tamper = Some(change);
        world.run_ms(1000);
        let on_the_way = 1;
        assert!(world.clients[1].heard.len() <= heard + on_the_way);
        assert!((49..=51).contains(&refused(&world)), "{}", refused(&world));
        world.tamper = None;
        world.run_ms(1000);
        assert!(world.clients[1].heard.len() >= heard + 49);
    }
}

#[test]
fn voice_before_the_handshake_is_refused() {
    let mut world = World::new(&[Want::default()]);
    world.start(0);
    world.run_until("the session is there", |w| w.sfu.sessions() == 1);
    let from = world.clients[0].address;
    world.inject(from, &[&[0x80, OPUS][..], &[0; 80]].concat());
    world.inject(from, &[&[0x80, 200][..], &[0; 80]].concat());
    world.run_ms(10);
    assert_eq!(refused(&world), 2);
}

#[test]
fn a_speaker_is_told_how_well_he_is_received() {
    let mut world = two_talkers();
    world.clients[0].level = Some(-20);
    world.run_ms(20_000);
    // A quarter of the packets is lost from here.
    world.tamper = Some(|data| {
        if is_voice(data) && data[3].is_multiple_of(4) {
            data.clear();
        }
    });
    world.run_ms(30_000);
    let receptions = &world.clients[0].receptions;
    assert!((4..=20).contains(&receptions.len()), "one in 2.5 to 7.5 s");
    let last = receptions.last().unwrap();
    // It is up to 7.5 s old.
    assert!((270..=376).contains(&last.packets_lost), "{last:?}");
    assert!((2100..=2600).contains(&last.highest), "{last:?}");
    assert!(receptions[0].loss < 0.01 && (0.2..0.3).contains(&last.loss));
    assert!(last.round_trip.unwrap() <= Duration::from_millis(4));
    // Whoever says nothing has nothing to be told.
    assert_eq!(world.clients[1].receptions, []);
}
