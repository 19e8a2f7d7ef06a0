//! Sealed admission: no state before proof, a ticket opens once, and only for its owner.

use std::net::SocketAddr;
use std::time::Duration;

use crate::common::{Client, UNIX_S, Want, World, binding_request};
use sfu::RejectReason;
use wire::channel::{ClientMessage, EndReason, RelayMessage};

fn world_of(want: Want) -> World {
    let mut world = World::new(&[want]);
    world.start_all();
    world
}

fn rejected(world: &World, reason: RejectReason) -> u64 {
    world.sfu.stats().rejected(reason)
}

#[test]
fn a_wrong_password_makes_no_session() {
    let mut world = world_of(Want {
        other_password: true,
        ..Want::default()
    });
    world.run_ms(3000);
    assert_eq!(world.sfu.stats().admitted, 0);
    assert_eq!(world.sfu.rooms(), 0);
    assert!(rejected(&world, RejectReason::Integrity) > 0);
}

#[test]
fn an_expired_ticket_makes_no_session() {
    let mut world = world_of(Want {
        expires_at: UNIX_S - 1,
        ..Want::default()
    });
    world.run_ms(3000);
    assert_eq!(world.sfu.stats().admitted, 0);
    assert!(rejected(&world, RejectReason::TicketExpired) > 0);
}

#[test]
fn a_ticket_with_an_impossible_payload_type_makes_no_session() {
    let opus = Want {
        opus: 128,
        ..Want::default()
    };
    let red = Want {
        red: Some(255),
        ..Want::default()
    };
    for want in [opus, red] {
        let mut world = world_of(want);
        world.run_ms(1000);
        assert_eq!((world.sfu.stats().admitted, world.sfu.rooms()), (0, 0));
        assert!(rejected(&world, RejectReason::TicketMalformed) > 0);
    }
}

#[test]
fn another_clients_certificate_makes_no_participant() {
    let mut world = world_of(Want {
        other_certificate: true,
        ..Want::default()
    });
    world.clients[0].level = Some(-20);
    world.run_ms(3000);
    let stats = world.sfu.stats();
    assert_eq!((stats.connected, stats.voice_in), (0, 0));
    assert_eq!(stats.ended(sfu::EndReason::Fingerprint), 1);
    assert_eq!((world.sfu.sessions(), world.sfu.rooms()), (0, 0));
}

#[test]
fn a_ticket_does_not_open_a_second_session() {
    let mut world = world_of(Want::default());
    world.run_until("welcome", |w| w.clients[0].is_welcome());
    world.say(0, ClientMessage::Leave);
    world.run_until("gone", |w| w.sfu.sessions() == 0);
    assert_eq!(world.sfu.stats().ended(sfu::EndReason::Left), 1);
    // A binding request as the client sent it first, from anywhere.
    let request = binding_request(
        &world.clients[0].ufrag,
        &world.clients[0].admission.ice_password,
    );
    world.inject("10.9.9.9:9".parse().unwrap(), &request);
    world.run_ms(100);
    assert_eq!(world.sfu.sessions(), 0);
    assert_eq!(rejected(&world, RejectReason::TicketUsed), 1);
    // Also after the memory of it may go: the ticket has expired by then.
    world.run_ms(61_000);
    world.inject("10.9.9.9:9".parse().unwrap(), &request);
    world.run_ms(100);
    assert_eq!(world.sfu.sessions(), 0);
    assert_eq!(rejected(&world, RejectReason::TicketExpired), 1);
}

#[test]
fn a_session_survives_a_change_of_address() {
    let mut world = World::new(&[Want::default(), Want::default()]);
    world.start_all();
    world.run_until("welcome", World::are_welcome);
    let ufrag = world.clients[0].ufrag.clone();
    let request = binding_request(&ufrag, &world.clients[0].admission.ice_password);
    world.run_ms(70_000);
    // Its ticket has expired, but the session lives: a new address of it is welcome.
    world.inject("10.0.1.77:4000".parse().unwrap(), &request);
    world.run_ms(100);
    assert_eq!(world.sfu.sessions(), 2);
    assert_eq!(rejected(&world, RejectReason::TicketExpired), 0);
}

#[test]
fn the_shard_admits_no_more_than_its_capacity() {
    let wants = vec![Want::default(); 5];
    let mut world = World::with(&wants, |config| config.max_sessions = 3);
    world.start_all();
    world.run_ms(2000);
    assert_eq!(world.sfu.participants(), 3);
    assert!(rejected(&world, RejectReason::Full) > 0);
}

#[test]
fn an_unfinished_handshake_is_forgotten() {
    let mut world = World::new(&[Want::default()]);
    let client = &world.clients[0];
    let request = binding_request(&client.ufrag, &client.admission.ice_password);
    world.inject("10.9.9.9:9".parse().unwrap(), &request);
    world.run_ms(100);
    assert_eq!(world.sfu.sessions(), 1);
    world.run_ms(11_000);
    assert_eq!((world.sfu.sessions(), world.sfu.rooms()), (0, 0));
    assert_eq!(world.sfu.stats().ended(sfu::EndReason::Handshake), 1);
}

#[test]
fn silence_of_a_client_ends_its_session() {
    let mut world = World::new(&[Want::default(), Want::default()]);
    world.start_all();
    world.run_until("welcome", World::are_welcome);
    world.clients[0].online = false;
    world.run_ms(20_000);
    assert_eq!(world.sfu.stats().ended(sfu::EndReason::Timeout), 1);
    assert_eq!(world.sfu.participants(), 1);
    assert!(world.clients[1].was_told_left(&[1]));
}

#[test]
fn garbage_changes_nothing_and_disturbs_nobody() {
    let mut world = World::new(&[Want::default(), Want::default()]);
    world.start_all();
    world.run_until("welcome", World::are_welcome);
    world.clients[0].level = Some(-20);
    world.run_ms(200);
    let peer = world.clients[0].address;
    let stranger: SocketAddr = "10.9.9.9:9".parse().unwrap();
    let request = binding_request("ticket-1", "not the password of this ticket");
    let sessions = world.sfu.sessions();
    let mut state = 7u64;
    for n in 0..3000u32 {
        let mut garbage: Vec<u8> = (0..n % 200)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        match n % 4 {
            // The first byte decides the kind: STUN, DTLS, RTP, none.
            0 => garbage.splice(0..0, request.iter().copied()).for_each(drop),
            1 => garbage.insert(0, 22),
            2 => garbage
                .splice(0..0, [128, 111, 0, 1, 0, 0, 0, 0, n as u8, 1, 2, 3])
                .for_each(drop),
            _ => {}
        }
        let from = if n % 8 < 4 { peer } else { stranger };
        world.inject(from, &garbage);
        if n % 100 == 0 {
            world.inject(stranger, &request);
            world.run_ms(20);
        }
    }
    world.run_ms(1000);
    assert_eq!(world.sfu.sessions(), sessions);
    let heard = world.clients[1].heard.len();
    world.run_ms(1000);
    let more = world.clients[1].heard.len() - heard;
    assert!(
        (48..=51).contains(&more),
        "the call goes on: {more} packets in a second"
    );
    for reason in [
        RejectReason::UnknownKind,
        RejectReason::NoSession,
        RejectReason::StunMalformed,
        RejectReason::Integrity,
    ] {
        assert!(rejected(&world, reason) > 0, "{}", reason.label());
    }
}

#[test]
fn a_draining_shard_asks_everybody_to_migrate() {
    let mut world = World::new(&vec![Want::default(); 4]);
    world.start_all();
    world.run_until("welcome", World::are_welcome);
    world.command(sfu::Command::Drain {
        over: Duration::from_secs(2),
    });
    world.run_ms(2100);
    let asked = |it: &Client| it.messages.contains(&RelayMessage::Migrate);
    assert!(world.clients.iter().all(asked));
    world.command(sfu::Command::Stop);
    world.run_until("gone", |w| w.sfu.sessions() == 0);
    let ended = ended(EndReason::RelayStopping);
    let told = |it: &Client| it.messages.contains(&ended);
    assert!(world.clients.iter().all(told));
}

#[test]
fn who_comes_while_a_shard_drains_is_asked_as_well() {
    let mut world = World::new(&vec![Want::default(); 12]);
    world.start(0);
    world.run_until("welcome", |w| w.clients[0].is_welcome());
    let over = Duration::from_secs(2);
    world.command(sfu::Command::Drain { over });
    // Some are in their handshake when the others are asked, and some are not there yet.
    let mut asked_at = Vec::new();
    for n in 1..12 {
        world.start(n);
        world.run_ms(137);
    }
    let began = world.now;
    for _ in 0..60 {
        world.run_ms(50);
        let asked = |it: &&Client| it.messages.contains(&RelayMessage::Migrate);
        asked_at.push((
            world.now - began,
            world.clients.iter().filter(asked).count(),
        ));
    }
    assert!(world.clients.iter().all(Client::is_welcome));
    let (_, all) = asked_at[59];
    assert_eq!(all, 12, "{asked_at:?}");
    // The last of them come within 1.5 s, and are not asked all at once.
    let (_, at_once) = asked_at[0];
    assert!(at_once < 12, "{asked_at:?}");
    world.command(sfu::Command::Undrain);
    let before = world.clients[0].messages.len();
    world.run_ms(3_000);
    let later = &world.clients[0].messages[before..];
    assert!(!later.contains(&RelayMessage::Migrate));
}

#[test]
fn a_second_join_of_a_player_replaces_the_first() {
    let want = Want {
        player: 9,
        ..Want::default()
    };
    let mut world = World::new(&[want.clone(), want, Want::default()]);
    world.start(0);
    world.start(2);
    world.run_until("welcome", |w| w.clients[0].is_welcome());
    world.start(1);
    let replaced = ended(EndReason::Replaced);
    world.run_until("replaced", |w| w.clients[0].messages.contains(&replaced));
    assert!(world.clients[1].is_welcome(), "only once the second is in");
    world.run_ms(1000);
    assert_eq!(world.sfu.participants(), 2);
    assert!(!world.clients[2].connection.is_closed());
}

fn ended(reason: EndReason) -> RelayMessage {
    RelayMessage::Ended { reason }
}
