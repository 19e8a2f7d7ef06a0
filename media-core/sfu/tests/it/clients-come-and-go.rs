//! Sessions that move, vanish or come back: found by the simulation, each kept here as it was.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::common::{Client, UNIX_S, Want, World, is_voice};
use sfu::{EndReason, Path, RejectReason};
use wire::channel::{ClientMessage, RelayMessage};

fn welcome_all(world: &mut World) {
    world.start_all();
    world.run_until("everybody is welcome", World::are_welcome);
}

#[test]
fn a_session_lives_as_long_as_its_client_is_heard_and_consent_lasts() {
    let mut world = World::with(
        &[Want::default(), Want::default(), Want::default()],
        |config| {
            // Longer than str0m's ICE agent waits.
            config.consent_timeout = Duration::from_secs(30);
        },
    );
    welcome_all(&mut world);
    world.clients[1].online = false;
    world.run_ms(25_000);
    assert_eq!(world.sfu.participants(), 3);
    // In time, and str0m finds him again.
    world.clients[1].online = true;
    world.run_ms(5_000);
    world.clients[0].online = false;
    world.run_ms(40_000);
    assert_eq!(world.sfu.stats().ended(EndReason::Timeout), 1);
    assert_eq!(world.sfu.participants(), 2);
    world.clients[1].level = Some(-20);
    world.run_ms(500);
    assert_eq!(world.clients[2].voices(), BTreeSet::from([2]));
    assert!(world.clients[2].was_told_left(&[1]));
    world.say(1, ClientMessage::Ping { id: 7 });
    world.run_ms(500);
    let pong = RelayMessage::Pong { id: 7 };
    assert!(world.clients[1].messages.contains(&pong));
}

#[test]
fn a_player_with_two_sessions_does_not_hear_himself() {
    let moves = |hello| Want {
        player: 9,
        hello,
        says_hello: hello,
        ..Want::default()
    };
    // Without a hello, the second session does not replace the first.
    let mut world = World::new(&[moves(true), moves(false), Want::default()]);
    world.start(0);
    world.start(2);
    world.run_until("the first is welcome", |w| w.clients[0].is_welcome());
    world.start(1);
    world.run_until("all are connected", |w| {
        w.clients.iter().all(Client::is_connected)
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
        w.clients[..2].iter().all(Client::is_welcome)
    });
    world.clients[0].level = Some(-20);
    world.run_until("he is heard", |w| w.clients[1].was_told_speaking(&[1], &[]));
    world.start(2);
    world.run_until("the third is welcome", |w| w.clients[2].is_welcome());
    world.run_ms(300);
    world.clients[0].level = None;
    world.run_until("he is silent", |w| {
        w.clients[1].was_told_speaking(&[], &[1])
    });
    world.run_ms(300);
    let of_speaking = |it: &RelayMessage| matches!(it, RelayMessage::Speaking { .. });
    assert!(!world.clients[2].was_told(of_speaking));
}

#[test]
fn whoever_leaves_while_voice_is_being_sent_takes_it_from_nobody() {
    let mut world = World::new(&vec![Want::default(); 6]);
    welcome_all(&mut world);
    let voice = world.lose_voice(0);
    for (gone_before, voice) in voice.iter().take(2).enumerate() {
        let from = world.clients[0].address;
        let (now, sfu) = (world.now, &mut world.sfu);
        sfu.handle_datagram(now, from, voice);
        let served = sfu.poll_transmit().unwrap().to.address;
        let gone = world.clients.iter().find(|c| c.address == served).unwrap();
        let (session, player) = (gone.admission.session, gone.admission.player);
        let reason = EndReason::Kicked;
        sfu.handle_command(
            now,
            sfu::Command::End {
                session,
                player,
                reason,
            },
        );
        let mut heard = BTreeSet::from([served]);
        while let Some(transmit) = sfu.poll_transmit() {
            assert!(!is_voice(&transmit.data) || heard.insert(transmit.to.address));
        }
        // All but the speaker and who went before.
        assert_eq!(heard.len(), 5 - gone_before);
    }
}

#[test]
fn a_path_that_is_gone_is_sent_nothing() {
    let want = Want {
        tcp: true,
        ..Want::default()
    };
    let mut world = World::new(&[Want::default(), want]);
    welcome_all(&mut world);
    let voice = world.lose_voice(0);
    let from = world.clients[0].address;
    let closed = Path::tcp(world.clients[1].address);
    let (now, sfu) = (world.now, &mut world.sfu);
    sfu.handle_datagram(now, from, &voice[0]);
    let to = std::iter::from_fn(|| sfu.poll_transmit()).map(|transmit| transmit.to);
    assert!(to.collect::<Vec<_>>().contains(&closed));
    sfu.handle_closed(now, closed);
    sfu.handle_datagram(now, from, &voice[1]);
    // Also what str0m sends: a message that its room gets.
    let push = sfu::Command::Push {
        to: sfu::Audience::Room(world.clients[1].admission.room),
        message: b"news".as_slice().into(),
    };
    sfu.handle_command(now, push);
    let to = std::iter::from_fn(|| sfu.poll_transmit()).map(|transmit| transmit.to);
    assert!(!to.collect::<Vec<_>>().contains(&closed));
}

#[test]
fn a_ticket_opens_nothing_again_when_the_wall_clock_steps_back() {
    let mut world = World::new(&[Want::default(), Want::default()]);
    welcome_all(&mut world);
    let set = |world: &World, unix_s: u64| {
        let (at, unix_ms) = (world.now, unix_s * 1000);
        sfu::Command::SetWallClock(sfu::WallClock { at, unix_ms })
    };
    world.recorded = Some(Vec::new());
    world.run_ms(5000);
    let recorded = world.recorded.take().unwrap();
    let own = world.clients[0].address;
    let check = recorded
        .iter()
        .find(|(from, data)| *from == own && data[0] == 0);
    let check = check.unwrap().1.clone();
    // An hour ahead while both sessions end, one of which has what is remembered looked through.
    let ahead = set(&world, UNIX_S + 3600);
    world.command(ahead);
    (0..2).for_each(|n| world.say(n, ClientMessage::Leave));
    world.run_ms(2000);
    assert_eq!(world.sfu.sessions(), 0);
    let back = set(&world, UNIX_S + 10);
    world.command(back);
    let admitted = world.sfu.stats().admitted;
    world.clients[0].online = false;
    world.inject("10.0.7.7:7000".parse().unwrap(), &check);
    world.run_ms(100);
    assert_eq!(world.sfu.stats().admitted, admitted);
    assert_eq!(world.sfu.stats().rejected(RejectReason::TicketUsed), 1);
}
