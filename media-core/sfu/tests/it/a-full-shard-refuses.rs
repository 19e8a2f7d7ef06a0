//! A full shard lets nobody new in, says so at once, and keeps those that it has.

use crate::common::{Want, World, room};
use sfu::{Command, RejectReason};
use str0m::ice::{StunMessage, StunMessageBuilder, TransId};

fn binding_request(ufrag: &str, password: &str) -> Vec<u8> {
    let crypto = str0m::crypto::from_feature_flags();
    let username = format!("{ufrag}:client");
    let request = StunMessageBuilder::new().binding().request();
    let request = request.username(&username).prio(1).ice_controlling(1);
    let mut buffer = vec![0; 512];
    let hmac = |key: &[u8], parts: &[&[u8]]| crypto.sha1_hmac_provider.sha1_hmac(key, parts);
    let length = request
        .build(TransId::new())
        .to_bytes(Some(password.as_bytes()), &mut buffer, hmac)
        .unwrap();
    buffer.truncate(length);
    buffer
}

/// One live client of `room`, and a stranger with a ticket for `wanted`.
fn full_world(wanted: &'static str) -> World {
    let stranger = Want {
        room: wanted,
        ..Want::default()
    };
    let mut world = World::new(&[Want::default(), stranger]);
    world.start(0);
    world.run_until("welcome", |w| w.clients[0].is_welcome());
    world.command(Command::SetFull(true));
    world
}

/// Sends a request of client 1 and returns what the shard answers.
fn answers(world: &mut World, password: &str) -> Vec<Vec<u8>> {
    let request = binding_request(&world.clients[1].ufrag.clone(), password);
    let from = world.clients[1].address;
    world.sfu.handle_datagram(world.now, from, &request);
    let mut answers = Vec::new();
    while let Some(transmit) = world.sfu.poll_transmit() {
        if transmit.to.address == from {
            assert!(transmit.data.len() < request.len(), "nothing to amplify");
            answers.push(transmit.data);
        }
    }
    answers
}

#[test]
fn a_good_ticket_gets_an_authentic_error_and_leaves_nothing() {
    let mut world = full_world("room");
    let password = world.clients[1].admission.ice_password.clone();
    let answers = answers(&mut world, &password);
    let [answer] = answers.as_slice() else {
        panic!("{} answers", answers.len());
    };
    let message = StunMessage::parse(answer).unwrap();
    assert_eq!(message.error_code(), Some((508, "Insufficient Capacity")));
    let crypto = str0m::crypto::from_feature_flags();
    let hmac = |key: &[u8], parts: &[&[u8]]| crypto.sha1_hmac_provider.sha1_hmac(key, parts);
    assert!(message.verify(password.as_bytes(), hmac));
    assert_eq!(world.sfu.sessions(), 1);
    assert_eq!(world.sfu.stats().rejected(RejectReason::Full), 1);
}

#[test]
fn a_forged_request_gets_no_answer() {
    let mut world = full_world("other");
    assert!(answers(&mut world, "not-the-password").is_empty());
    assert_eq!(world.sfu.stats().rejected(RejectReason::Integrity), 1);
    assert_eq!(world.sfu.refused_rooms().count(), 0);
}

#[test]
fn the_shell_learns_which_rooms_were_refused_and_whether_they_are_here() {
    for (name, occupied) in [("room", true), ("other", false)] {
        let mut world = full_world(name);
        let password = world.clients[1].admission.ice_password.clone();
        answers(&mut world, &password);
        answers(&mut world, &password);
        let refused: Vec<_> = world.sfu.refused_rooms().collect();
        assert_eq!(refused, [(room(name), occupied)]);
        world.command(Command::SetFull(false));
        assert_eq!(world.sfu.refused_rooms().count(), 0);
        world.start(1);
        world.run_until("let in", |w| w.clients[1].is_welcome());
    }
}

#[test]
fn those_inside_lose_nothing_while_others_are_refused() {
    let mut world = World::new(&vec![Want::default(); 12]);
    (0..2).for_each(|n| world.start(n));
    world.run_until("welcome", |w| w.sfu.participants() == 2);
    world.clients[0].level = Some(-20);
    world.run_ms(500);
    world.command(Command::SetFull(true));
    (2..12).for_each(|n| world.start(n));
    world.run_ms(5_000);
    assert_eq!(world.sfu.sessions(), 2, "nobody came in");
    assert!(world.sfu.stats().rejected(RejectReason::Full) >= 10);
    let heard = world.clients[1].heard_in(0);
    assert!(heard.len() >= 270, "{} packets", heard.len());
    let gaps = heard.windows(2).filter(|pair| pair[1].0 != pair[0].0 + 1);
    assert_eq!(gaps.count(), 0, "not one is missing");
}
