//! A check of connectivity makes a path a candidate; what is sent there before the client has
//! answered from there is at most three times what came.

use std::net::SocketAddr;
use std::time::Duration;

use crate::common::{SERVER, Want, World, binding_request, hello, is_voice, nominate_once};
use sfu::{Command, DropReason, Path, RejectReason};
use str0m::config::DtlsVersion;
use wire::channel::ClientMessage;

/// First byte of a DTLS record with a part of a handshake.
const HANDSHAKE: u8 = 22;
/// Somebody who is no player.
const STRANGER: &str = "10.7.7.7:7000";

fn stranger() -> SocketAddr {
    STRANGER.parse().unwrap()
}

/// A talks, all others listen.
fn talking(wants: &[Want]) -> World {
    let mut world = World::new(wants);
    world.start_all();
    world.run_until("everybody is there", |world| {
        let mut clients = world.clients.iter().zip(wants);
        clients.all(|(client, want)| match want.no_channel {
            true => client.is_connected(),
            false => client.is_welcome(),
        })
    });
    world.clients[0].level = Some(-20);
    world.run_ms(1_000);
    world
}

/// A check with the password of client `n`.
fn forged(world: &World, n: usize) -> Vec<u8> {
    let client = &world.clients[n];
    binding_request(&client.ufrag, &client.admission.ice_password)
}

/// The last check that client `n` sent, as somebody on its way recorded it.
fn recorded(world: &mut World, n: usize) -> Vec<u8> {
    world.recorded = Some(Vec::new());
    world.run_ms(5_000);
    let own = world.clients[n].address;
    let recorded = world.recorded.take().unwrap();
    let mut checks = recorded
        .into_iter()
        .filter(|(from, data)| *from == own && data.first() == Some(&0));
    checks.next_back().unwrap().1
}

/// Bytes that the stranger got.
fn bytes_to_stranger(world: &World) -> usize {
    let to =
        |(address, data): &(SocketAddr, Vec<u8>)| (*address == stranger()).then_some(data.len());
    world.to_others.iter().filter_map(to).sum()
}

/// Runs for so many ms; the longest time between two packets that client `n` heard.
fn longest_gap(world: &mut World, n: usize, ms: u64) -> Duration {
    let mut last = world.now;
    let before = world.clients[n].heard.len();
    world.run_ms(ms);
    let mut longest = Duration::ZERO;
    for heard in &world.clients[n].heard[before..] {
        longest = longest.max(heard.at - last);
        last = heard.at;
    }
    longest.max(world.now - last)
}

const NO_GAP: Duration = Duration::from_millis(25);

#[test]
fn a_forged_check_takes_no_path_from_another() {
    let mut world = talking(&[Want::default(), Want::default(), Want::default()]);
    let (check, victim) = (forged(&world, 2), world.clients[1].address);
    for _ in 0..50 {
        world.inject(victim, &check);
        assert!(longest_gap(&mut world, 1, 100) <= NO_GAP);
    }
    assert_eq!(world.sfu.stats().rejected(RejectReason::PathTaken), 50);
    assert!(longest_gap(&mut world, 2, 100) <= NO_GAP, "nor his own");
}

#[test]
fn a_join_from_a_path_that_is_taken_leaves_nothing() {
    let mut world = World::new(&[Want::default(), Want::default()]);
    world.start(0);
    world.run_until("the first is there", |world| world.clients[0].is_welcome());
    let (check, victim) = (forged(&world, 1), world.clients[0].address);
    world.inject(victim, &check);
    world.run_ms(100);
    assert_eq!(world.sfu.stats().rejected(RejectReason::PathTaken), 1);
    assert_eq!(world.sfu.sessions(), 1);
    world.inject(stranger(), &check);
    world.run_ms(100);
    assert_eq!(world.sfu.sessions(), 2, "from elsewhere it is let in");
}

#[test]
fn a_third_party_gets_three_times_what_was_sent_in_its_name() {
    let mut world = talking(&[Want::default(), Want::default()]);
    let check = forged(&world, 1);
    for n in 1..=20 {
        world.inject(stranger(), &check);
        assert!(longest_gap(&mut world, 1, 500) <= NO_GAP, "voice goes on");
        let got = bytes_to_stranger(&world);
        assert!(got > 0, "it is answered");
        assert!(got <= 3 * n * check.len(), "{got} bytes for {n} checks");
        assert!(!world.to_others.iter().any(|(_, data)| is_voice(data)));
    }
}

#[test]
fn a_recorded_check_moves_nobody() {
    let mut world = talking(&[Want::default(), Want::default()]);
    let check = recorded(&mut world, 1);
    for _ in 0..20 {
        world.inject(stranger(), &check);
        assert!(longest_gap(&mut world, 1, 500) <= NO_GAP);
    }
    assert!(!world.to_others.iter().any(|(_, data)| is_voice(data)));
}

/// Whoever recorded the check has the question too, and passes it on to its client, who answers it
/// from where he is.
#[test]
fn a_question_that_is_passed_on_is_not_answered_from_there() {
    let mut world = talking(&[Want::default(), Want::default()]);
    let check = recorded(&mut world, 1);
    for _ in 0..20 {
        world.inject(stranger(), &check);
        world.run_ms(50);
        for (_, question) in std::mem::take(&mut world.to_others) {
            let now = world.now;
            world.clients[1]
                .connection
                .handle_datagram(now, SERVER.parse().unwrap(), &question);
        }
        assert!(longest_gap(&mut world, 1, 500) <= NO_GAP);
    }
    assert!(!world.to_others.iter().any(|(_, data)| is_voice(data)));
}

/// One check, and the shortest datagram that begins a handshake.
#[test]
fn a_handshake_in_somebody_elses_name_is_no_amplifier() {
    let begun = |factor| {
        let client = Want {
            dtls: DtlsVersion::Dtls12,
            ..Want::default()
        };
        let mut world = World::with(&[client], |config| config.paths.unproved_factor = factor);
        world.recorded = Some(Vec::new());
        world.start_all();
        world
    };
    for (factor, is_bounded) in [(3, true), (u32::MAX, false)] {
        let mut world = begun(factor);
        world.run_until("welcome", World::are_welcome);
        let mut sent = world.recorded.take().unwrap().into_iter();
        let (_, hello) = sent.find(|(_, data)| data[0] == HANDSHAKE).unwrap();
        let mut world = begun(factor);
        let check = forged(&world, 0);
        for data in [&check, &hello] {
            world.inject(stranger(), data);
        }
        world.run_ms(9_000);
        let (came, got) = (check.len() + hello.len(), bytes_to_stranger(&world));
        assert!(got > 0, "it is answered");
        assert_eq!(got <= 3 * came, is_bounded, "{got} bytes for {came}");
    }
}

#[test]
fn a_join_is_not_held_up() {
    for dtls in [DtlsVersion::Dtls12, DtlsVersion::Dtls13] {
        let times = [3, u32::MAX].map(|factor| {
            let want = Want {
                dtls,
                ..Want::default()
            };
            let mut world = World::with(&[want], |config| config.paths.unproved_factor = factor);
            let began = world.now;
            world.start_all();
            world.run_until("welcome", World::are_welcome);
            let dropped = world.sfu.stats().dropped(DropReason::Unproved);
            assert_eq!(dropped, 0, "{dtls:?}");
            world.now - began
        });
        assert_eq!(times[0], times[1], "{dtls:?}");
    }
}

#[test]
fn a_path_that_is_silent_for_five_seconds_is_sent_nothing() {
    let mut world = talking(&[Want::default(), Want::default()]);
    world.clients[1].online = false;
    // Nothing arrives from a client that is off, so what the shard sends is seen where it leaves.
    let out = |world: &World| world.sfu.stats().datagrams_out;
    world.run_ms(5_100);
    let before = out(&world);
    world.run_ms(5_000);
    assert_eq!(world.sfu.participants(), 2, "consent of the session lasts");
    let sent = out(&world) - before;
    // Reports and answers to him who talks.
    assert!(sent < 20, "{sent} datagrams");
    world.clients[1].online = true;
    world.run_ms(4_000);
    assert!(
        longest_gap(&mut world, 1, 1_000) <= NO_GAP,
        "and comes back"
    );
}

#[test]
fn a_client_that_nominates_once_is_found_where_his_nat_put_him() {
    for is_talking in [true, false] {
        let mut world = talking(&[Want::default(), Want::default()]);
        world.clients[1].level = is_talking.then_some(-20);
        world.tamper = Some(nominate_once);
        world.run_ms(1_000);
        world.clients[1].address = "10.0.9.9:6000".parse().unwrap();
        let gap = longest_gap(&mut world, 1, 10_000);
        println!("gap {gap:?}, talks: {is_talking}");
        // His next check is up to 3 s away; of one who is silent it is waited whether the old path
        // is.
        let most = if is_talking { 3_100 } else { 5_200 };
        assert!(gap <= Duration::from_millis(most), "{gap:?}");
        assert!(longest_gap(&mut world, 1, 1_000) <= NO_GAP);
    }
}

#[test]
fn a_listener_without_data_channel_is_found_by_his_reports() {
    let listener = Want {
        no_channel: true,
        hello: false,
        ..Want::default()
    };
    let mut world = talking(&[Want::default(), listener.clone()]);
    // He cannot say it: the edge does.
    let session = world.clients[1].admission.session;
    let sealed = hello(session.0[0], &listener);
    let said = serde_json::to_vec(&ClientMessage::Hello { sealed }).unwrap();
    let message = said.into();
    world.command(Command::Hello { session, message });
    world.run_ms(1_000);
    world.clients[1].address = "10.0.9.9:6000".parse().unwrap();
    let gap = longest_gap(&mut world, 1, 30_000);
    println!("gap {gap:?}");
    // A check, and a report.
    assert!(gap <= Duration::from_secs(3 + 9), "{gap:?}");
    assert!(longest_gap(&mut world, 1, 1_000) <= NO_GAP);
    let check = forged(&world, 1);
    for _ in 0..20 {
        world.inject(stranger(), &check);
        assert!(longest_gap(&mut world, 1, 500) <= NO_GAP);
    }
    let got = bytes_to_stranger(&world);
    assert!(got <= 3 * 20 * check.len(), "{got} bytes");
}

#[test]
fn an_address_that_a_nat_gives_to_another_is_his() {
    let mut world = talking(&[Want::default(), Want::default(), Want::default()]);
    let given = world.clients[2].address;
    world.clients[2].online = false;
    world.clients[2].address = "10.0.9.9:6000".parse().unwrap();
    world.clients[1].address = given;
    world.run_ms(6_000);
    let before = world.clients[1].heard.len();
    world.run_ms(6_000);
    assert!(world.clients[1].heard.len() > before, "he is heard there");
    assert!(longest_gap(&mut world, 1, 1_000) <= NO_GAP);
}

#[test]
fn a_second_tcp_connection_with_a_recorded_check_moves_nobody() {
    let mut world = talking(&[Want::default(), Want::default()]);
    let check = recorded(&mut world, 1);
    let path = Path::tcp(stranger());
    for _ in 0..10 {
        let now = world.now;
        world.sfu.handle_datagram(now, path, &check);
        assert!(longest_gap(&mut world, 1, 500) <= NO_GAP);
    }
    assert!(!world.to_others.iter().any(|(_, data)| is_voice(data)));
}
