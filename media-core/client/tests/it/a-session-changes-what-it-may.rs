//! A later hello changes channels while a session runs; positions have a channel of their own.

use client::{Command, State};
use sfu::{DropReason, EndReason, PlayerKey, RejectReason, RoomKey};
use wire::RoomName;

use crate::world::{Edge, Relay, UNIX_S, World};

/// Two players in the channel `main`, of whom the second talks. Sessions count from 1.
fn pair() -> World {
    let mut world = World::new();
    for _ in 0..2 {
        world.enter();
    }
    world.players[1].talks = true;
    world.run_until("both are there", World::are_together);
    world.run_until("he is heard", |world| world.players[0].heard.len() > 10);
    world
}

fn again(world: &mut World, player: usize, channels: &[&str], at_ms: u64) {
    let hello = Relay::hello(player as u8 + 1, player, channels, at_ms);
    let sealed = Relay::seal(&hello);
    world.command(player, Command::Hello { sealed });
    world.run_ms(300);
}

fn through(world: &World) -> Option<String> {
    let view = world.players[0].call.view().unwrap();
    view.channel_in(0).map(ToString::to_string)
}

fn heard_in(world: &mut World, ms: u64) -> usize {
    let before = world.players[0].heard.len();
    world.run_ms(ms);
    world.players[0].heard.len() - before
}

#[test]
fn a_newer_hello_moves_a_player_to_other_channels_and_an_older_one_does_not() {
    let mut world = pair();
    assert_eq!(through(&world).as_deref(), Some("main"));
    // Heard on, through the first of the listener's channels that both have.
    again(&mut world, 0, &["red", "main"], 2);
    assert_eq!(through(&world).as_deref(), Some("main"));
    again(&mut world, 1, &["red"], 2);
    assert!(heard_in(&mut world, 200) > 5, "in the team now");
    assert_eq!(through(&world).as_deref(), Some("red"));
    assert!(world.are_together(), "the roster names both");

    again(&mut world, 0, &["blue"], 3);
    assert_eq!(heard_in(&mut world, 200), 0, "not his team any more");
    assert!(world.players.iter().all(|it| it.call.view().is_some()));
    // What he was once allowed is not allowed again by sending it again.
    for old in [1, 2, 3] {
        again(&mut world, 0, &["red"], old);
        assert_eq!(heard_in(&mut world, 200), 0, "hello {old}");
    }
    let dropped = world.relays[0].sfu.stats();
    assert_eq!(dropped.dropped(DropReason::BadMessage), 3);
    again(&mut world, 0, &["red"], 4);
    assert!(heard_in(&mut world, 200) > 5);
    assert_eq!(world.told(0), ["Connected"], "one session all the time");
}

#[test]
fn positions_are_told_apart_from_messages_by_the_label_of_their_channel() {
    let mut world = pair();
    let frame = [b"{}".to_vec(), vec![0; 14]].concat();
    for _ in 0..10 {
        world.command(0, Command::Position(frame.clone()));
        world.run_ms(100);
    }
    let stats = world.relays[0].sfu.stats();
    assert_eq!(
        stats.dropped(DropReason::Position),
        10,
        "no channel takes one"
    );
    assert_eq!(stats.dropped(DropReason::BadMessage), 0);
    assert!(heard_in(&mut world, 200) > 5, "the call goes on");
}

/// When the edge orders something, Unix milliseconds: tickets here are made for an hour from then.
const AT_MS: u64 = 1_700_000_000_000;

fn room() -> RoomKey {
    let lobby: RoomName = "lobby".parse().unwrap();
    RoomKey(wire::RoomKey::of(&lobby).0)
}

fn player(n: u8) -> PlayerKey {
    PlayerKey([n; 16])
}

/// Nothing of the talker is heard from 5 ms after the order on; 2 ms of them are the way.
fn is_silent_at_once(world: &mut World, order: sfu::Command) {
    world.order(0, order);
    world.run_ms(5);
    assert_eq!(heard_in(world, 500), 0);
}

#[test]
fn the_edge_silences_at_once_and_of_two_orders_the_later_counts() {
    let mut world = pair();
    let mute = |muted: bool, at_ms| sfu::Command::Mute {
        room: room(),
        player: player(1),
        until_ms: muted.then_some(AT_MS + 3_600_000),
        at_ms,
    };
    is_silent_at_once(&mut world, mute(true, AT_MS));
    world.order(0, mute(false, AT_MS + 2));
    assert!(heard_in(&mut world, 200) > 5, "he is heard again");
    world.order(0, mute(true, AT_MS + 1));
    assert!(heard_in(&mut world, 200) > 5, "an order that was overtaken");
}

#[test]
fn an_order_to_be_silent_ends_by_itself() {
    let mut world = pair();
    let now_ms = AT_MS + (world.now - world.t0).as_millis() as u64;
    let order = sfu::Command::Mute {
        room: room(),
        player: player(1),
        until_ms: Some(now_ms + 5_000),
        at_ms: AT_MS,
    };
    is_silent_at_once(&mut world, order);
    assert!(heard_in(&mut world, 4_000) == 0);
    world.run_ms(600);
    assert!(heard_in(&mut world, 200) > 5, "his time is over");
    let view = world.players[0].call.view().unwrap();
    assert!(view.participants().values().all(|one| !one.server_muted));
}

#[test]
fn a_block_silences_at_once_whoever_of_the_two_gives_it() {
    let mut world = pair();
    for (at_ms, player_, other) in [(AT_MS, 0, 1), (AT_MS + 10, 1, 0)] {
        let block = |blocked, at_ms| sfu::Command::Block {
            room: room(),
            player: player(player_),
            other: player(other),
            blocked,
            at_ms,
        };
        is_silent_at_once(&mut world, block(true, at_ms));
        world.order(0, block(false, at_ms + 1));
        assert!(heard_in(&mut world, 200) > 5, "and not any more");
    }
}

#[test]
fn who_is_kicked_while_he_joins_does_not_get_in_with_the_ticket_that_he_has() {
    let mut world = pair();
    let kick = |n, at_ms| sfu::Command::Kick {
        room: room(),
        player: player(n),
        at_ms,
    };
    // Ended although he is only on his way, and although he is not there at all.
    for after_ms in [0, 1, 3] {
        let joining = world.enter();
        world.run_ms(after_ms);
        let far = AT_MS + 3_600_000 * 2;
        world.order(0, kick(joining as u8, far));
        world.run_ms(3_000);
        assert!(
            world.players[joining].call.players().is_empty(),
            "{after_ms}"
        );
        world.command(joining, Command::Leave);
    }
    let rejected = world.relays[0].sfu.stats().rejected(RejectReason::Kicked);
    assert!(rejected > 0, "tickets of before came");
    assert!(heard_in(&mut world, 200) > 5, "the others talk on");
    // An order from before he came, which is late, is not about him.
    world.order(0, kick(1, 1));
    world.run_ms(100);
    assert!(!matches!(world.players[1].call.state(), State::Ended(_)));
    world.order(0, kick(1, AT_MS + 3_600_000 * 3));
    world.run_ms(100);
    assert!(matches!(world.players[1].call.state(), State::Ended(_)));
}

#[test]
fn whose_tokens_were_taken_back_is_out_of_every_room_and_comes_again_with_new_ones() {
    let mut world = pair();
    let revoke = |n, at_ms| sfu::Command::Revoke {
        player: player(n),
        at_ms,
    };
    let state = |world: &World, n: usize| world.players[n].call.state().clone();
    world.order(0, revoke(1, 1));
    world.run_ms(100);
    let is_over = |state| matches!(state, State::Ended(_));
    assert!(!is_over(state(&world, 1)), "he joined since");
    // Ended on his way, and before his first datagram.
    for after_ms in [1, 0] {
        let joining = world.enter();
        world.run_ms(after_ms);
        world.order(0, revoke(joining as u8, AT_MS + 3_600_000));
        world.run_ms(3_000);
        assert!(world.players[joining].call.players().is_empty());
        world.command(joining, Command::Leave);
    }
    let rejected = world.relays[0].sfu.stats().rejected(RejectReason::Kicked);
    assert!(rejected > 0, "his ticket is of before");
    assert!(heard_in(&mut world, 200) > 5, "nobody else is concerned");
    world.order(0, revoke(1, AT_MS + 3_600_000 * 2));
    world.run_ms(100);
    assert!(is_over(state(&world, 1)));
    assert!(!is_over(state(&world, 0)));
}

/// A hello of a session by which it ends after a while.
fn limit(world: &mut World, session: u8, player: usize, left_ms: u64) {
    let now_ms = UNIX_S * 1000 + (world.now - world.t0).as_millis() as u64;
    let mut hello = Relay::hello(session, player, &["main"], now_ms);
    hello.until_ms = Some(now_ms + left_ms);
    let sealed = Relay::seal(&hello);
    world.command(player, Command::Hello { sealed });
}

#[test]
fn a_session_ends_with_its_token_and_goes_on_with_a_newer_one() {
    let mut world = pair();
    let from = world.now;
    limit(&mut world, 2, 1, 60_000);
    world.run_ms(29_000);
    assert_eq!(world.players[1].asked.len(), 1);
    world.run_ms(3_000);
    assert_eq!(world.players[1].asked.len(), 2, "he comes again in time");
    world.run_ms(30_000);
    assert_eq!(*world.players[1].call.state(), State::Connected);
    let gap = world.longest_gap(0, 1, from);
    assert!(gap.as_millis() < 100, "nothing was heard for {gap:?}");
    let ended = |world: &World| world.relays[0].sfu.stats().ended(EndReason::TokenExpired);
    assert_eq!(ended(&world), 0);

    limit(&mut world, 1, 0, 60_000);
    world.edge = Edge::Silent;
    world.run_ms(59_000);
    assert_eq!(ended(&world), 0);
    world.run_ms(1_500);
    assert_eq!(ended(&world), 1, "without one it is over");
    assert_eq!(world.players[1].call.players().len(), 1);
}
