//! RED (RFC 2198): passed on to who takes it, unwrapped for who does not.

use crate::common::{Client, OPUS, Want, World};
use sfu::DropReason;

const RED: u8 = 63;

/// A RED payload: a redundant block of 60 bytes, 20 ms old, and a primary one of `primary` bytes.
fn red(primary: usize) -> Vec<u8> {
    let mut payload = vec![0x80 | OPUS, (960 >> 6) as u8, 0, 60, OPUS];
    payload.extend([7; 60]);
    payload.resize(payload.len() + primary, 9);
    payload
}

/// A speaker with RED, and listeners: with RED, without, and with other payload types.
fn world() -> World {
    let with = |opus, red| Want {
        opus,
        red,
        ..Want::default()
    };
    let mut world = World::new(&[
        with(OPUS, Some(RED)),
        with(OPUS, Some(100)),
        with(OPUS, None),
        with(109, Some(RED)),
    ]);
    world.start_all();
    world.run_until("all are in the room", World::are_welcome);
    world.clients[0].level = Some(-20);
    world
}

/// Payload types and payloads that a client has heard.
fn heard(client: &Client) -> Vec<(u8, &[u8])> {
    let voices = client.heard.iter().map(|heard| &heard.voice);
    voices
        .map(|voice| (voice.payload_type, &voice.payload[..]))
        .collect()
}

#[test]
fn red_reaches_those_who_take_it_and_opus_the_others() {
    let mut world = world();
    world.clients[0].payload = Some((RED, red(50)));
    world.run_ms(500);
    let (wrapped, plain) = (red(50), vec![9; 50]);
    for (n, payload_type, payload) in [(1, 100, &wrapped), (2, OPUS, &plain), (3, 109, &plain)] {
        let heard = heard(&world.clients[n]);
        assert!(heard.len() > 20, "client {n}");
        assert!(
            heard
                .iter()
                .all(|packet| *packet == (payload_type, payload.as_slice()))
        );
        let numbers = world.clients[n].heard_in(0);
        assert!(
            numbers.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1),
            "client {n}"
        );
    }
}

#[test]
fn a_speaker_may_change_between_red_and_opus_within_a_slot() {
    let mut world = world();
    for round in 0..6 {
        world.clients[0].payload = (round % 2 == 0).then(|| (RED, red(50)));
        world.run_ms(100);
    }
    let types: std::collections::BTreeSet<u8> = heard(&world.clients[1])
        .iter()
        .map(|packet| packet.0)
        .collect();
    assert_eq!(types, [100, OPUS].into());
    let numbers = world.clients[1].heard_in(0);
    assert!(numbers.len() > 25);
    assert!(
        numbers
            .windows(2)
            .all(|pair| pair[1].0 == pair[0].0 + 1 && pair[1].1 > pair[0].1)
    );
}

#[test]
fn comfort_noise_is_silence_inside_red_too() {
    let mut world = world();
    world.clients[0].payload = Some((RED, red(1)));
    world.run_ms(500);
    assert!(world.sfu.stats().dropped(DropReason::Silence) > 20);
    assert!(world.clients.iter().all(|client| client.heard.is_empty()));
}

#[test]
fn malformed_red_is_dropped_and_counted() {
    let mut world = world();
    let other_codec = [vec![0], vec![9; 50]].concat();
    for broken in [
        vec![0x80 | OPUS, 0, 0, 60],
        red(50)[..40].to_vec(),
        other_codec,
    ] {
        world.clients[0].payload = Some((RED, broken));
        world.run_ms(200);
    }
    assert!(world.sfu.stats().dropped(DropReason::RedMalformed) > 20);
    assert!(world.clients.iter().all(|client| client.heard.is_empty()));
}
