//! A call is joined, moves without a gap, comes back after a loss, and ends for good reasons.

use std::time::Duration;

use client::{Cause, Command, Refusal, State};
use sfu::{EndReason, PlayerKey, SessionId};

use crate::world::{Edge, World, names};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Two players who hear each other.
fn pair() -> World {
    let mut world = World::new();
    for _ in 0..2 {
        let n = world.enter();
        world.players[n].talks = true;
    }
    world.run_until("both are there", World::are_together);
    let hear = |world: &World| world.players.iter().all(|it| it.heard.len() > 10);
    world.run_until("both are heard", hear);
    world
}

#[test]
fn two_join_by_offer_and_answer_and_hear_each_other_in_named_slots() {
    let mut world = pair();
    for (n, other) in [(0, 1), (1, 0)] {
        assert_eq!(world.told(n), ["Connected"]);
        assert_eq!(world.players[n].asked.len(), 1);
        assert!(
            world.players[n]
                .heard
                .iter()
                .all(|it| it.1 == other && !it.2)
        );
        let view = world.players[n].call.view().unwrap();
        let slot = view.player_in(0).expect("slot 0 is taken").as_str();
        assert_eq!(slot, format!("p{other}"));
        assert_eq!(view.speaking().len(), 2);
    }
    world.command(
        0,
        Command::State {
            muted: true,
            deafened: false,
        },
    );
    let muted = |world: &World| names(&world.players[1].call)["Player 0"];
    world.run_until("the other sees it", muted);
}

#[test]
fn a_drained_room_moves_and_nobody_is_silent_for_a_tenth_of_a_second() {
    let mut world = pair();
    world.command(
        1,
        Command::State {
            muted: false,
            deafened: false,
        },
    );
    world.edge = Edge::To(1);
    let from = world.now;
    world.order(0, sfu::Command::Drain { over: ms(3000) });
    world.run_until("it moves", |world| {
        world.players.iter().any(|it| it.call.is_moving())
    });
    world.run_until("it has moved", |world| {
        let done = |it: &crate::world::Player| !it.call.is_moving() && it.asked.len() == 2;
        world.players.iter().all(done) && world.are_together()
    });
    world.run_ms(1000);
    for (n, other) in [(0, 1), (1, 0)] {
        let gap = world.longest_gap(n, other, from);
        assert!(gap < ms(100), "player {n} heard nothing for {gap:?}");
        assert_eq!(
            world.told(n),
            ["Connected"],
            "the application notices nothing"
        );
        let left = world.players[n].heard.iter().filter(|it| it.2).count();
        let times: Vec<_> = world.players[n].heard.iter().map(|it| it.0).collect();
        let twice = times.windows(2).filter(|two| two[0] == two[1]).count();
        // A slot that nobody is known to hold is left open, until the slot map is there.
        assert!(twice <= 5, "{twice} packets were heard from both relays");
        assert!(n == 0 || left > 0 || world.players[0].heard.iter().any(|it| it.2));
    }
    let old = ([10, 0, 0, 1], 7410).into();
    world.run_ms(1000);
    world.sent.clear();
    world.run_ms(1000);
    assert!(
        world.sent.iter().all(|(_, to)| *to != old),
        "the old relay is left"
    );
}

#[test]
fn a_dead_relay_is_noticed_in_two_seconds_and_all_meet_on_the_next() {
    let mut world = pair();
    let killed = world.now;
    world.relays[0].is_up = false;
    world.edge = Edge::To(1);
    world.run_until("they notice", |world| {
        world.players.iter().all(|it| it.asked.len() == 2)
    });
    assert!(world.now - killed <= ms(2100), "{:?}", world.now - killed);
    world.run_until("they are back", |world| {
        let connected = |it: &crate::world::Player| *it.call.state() == State::Connected;
        world.players.iter().all(connected) && world.are_together()
    });
    assert!(world.now - killed < ms(5000));
    for n in 0..2 {
        let reconnecting = "Reconnecting(ConnectionLost)";
        assert_eq!(world.told(n), ["Connected", reconnecting, "Connected"]);
    }
}

#[test]
fn a_relay_that_does_not_answer_is_given_up_with_more_patience_each_time() {
    let mut world = World::new();
    world.relays[0].is_up = false;
    world.enter();
    world.run_until("four attempts", |world| world.players[0].asked.len() == 4);
    let asked = &world.players[0].asked;
    let pauses: Vec<_> = asked.windows(2).map(|two| two[1] - two[0]).collect();
    // 1.5, 2.25 and 3.375 s of patience, and 125 to 250, 250 to 500, 500 to 1,000 ms of pause.
    for (pause, (least, most)) in pauses
        .iter()
        .zip([(1625, 1760), (2500, 2760), (3875, 4390)])
    {
        assert!((ms(least)..ms(most)).contains(pause), "{pauses:?}");
    }
    assert_eq!(world.told(0), ["failed: RelayUnreachable"; 3]);
}

#[test]
fn an_edge_that_is_silent_is_asked_again_after_six_seconds() {
    let mut world = World::new();
    world.edge = Edge::Silent;
    world.enter();
    world.run_until("two attempts", |world| world.players[0].asked.len() == 2);
    assert!((ms(6125)..ms(6260)).contains(&(world.now - world.t0)));
    assert_eq!(world.told(0), ["failed: Network"]);
    // Online again: no pause is waited for.
    world.run_until("a third fails", |world| world.players[0].told.len() == 2);
    let failed = world.now;
    world.edge = Edge::To(0);
    world.command(0, Command::Online);
    world.run_until("it is asked", |world| world.players[0].asked.len() == 3);
    assert_eq!(world.now, failed);
}

#[test]
fn a_refusal_ends_the_call_and_a_passing_one_waits_as_long_as_was_asked() {
    let refusal = |status, retry_after| {
        Cause::Refused(Refusal {
            status,
            problem: "a-problem".to_owned(),
            retry_after,
        })
    };
    let mut world = World::new();
    world.edge = Edge::Fails(refusal(429, Some(ms(3000))));
    world.enter();
    world.run_until("it fails", |world| !world.told(0).is_empty());
    let failed = world.now;
    let stop = refusal(403, None);
    world.edge = Edge::Fails(stop.clone());
    world.run_until("it is asked again", |world| {
        world.players[0].asked.len() == 2
    });
    assert_eq!(world.now - failed, ms(3000));
    assert_eq!(*world.players[0].call.state(), State::Ended(stop));
    assert_eq!(world.players[0].call.poll_timeout(), None);
}

#[test]
fn who_is_kicked_stays_out_and_who_leaves_is_gone_at_once() {
    let mut world = pair();
    let kick = sfu::Command::End {
        session: SessionId([1; 8]),
        player: PlayerKey([0; 16]),
        reason: EndReason::Kicked,
    };
    world.order(0, kick);
    world.run_until("he knows", |world| world.told(0).len() == 2);
    assert_eq!(*world.players[0].call.state(), State::Ended(Cause::Kicked));
    world.players[0].talks = false;
    world.run_until("the other sees it", |world| {
        world.players[1].call.players().len() == 1
    });
    world.command(1, Command::Leave);
    assert_eq!(*world.players[1].call.state(), State::Ended(Cause::Left));
    world.players[1].talks = false;
    let left = world.now;
    let done = |world: &World| world.players[1].call.poll_timeout().is_none();
    world.run_until("the relay has heard it", done);
    assert!(world.now - left < client::LEAVE_MAX);
    world.run_ms(30_000);
    assert!(world.players.iter().all(|it| it.asked.len() == 1));
}

#[test]
fn who_joins_elsewhere_ends_the_first_call_and_not_his_own_new_connection() {
    let mut world = pair();
    // The second player joins again, as himself, at the same relay: his own doing.
    world.relays[0].is_up = false;
    world.run_until("he is asked", |world| world.players[1].asked.len() == 2);
    world.relays[0].is_up = true;
    world.run_until("he is back", |world| {
        world
            .players
            .iter()
            .all(|it| *it.call.state() == State::Connected)
    });
    let ended = |world: &World, n: usize| matches!(world.players[n].call.state(), State::Ended(_));
    world.run_ms(3000);
    assert!(!ended(&world, 0) && !ended(&world, 1));
}

#[test]
fn a_relay_that_sends_everybody_away_again_and_again_is_left_at_the_pace_of_the_schedule() {
    let mut world = pair();
    let before = world.players[1].asked.len();
    // Its room stays on it, so whoever comes back is sent away again.
    for _ in 0..200 {
        world.order(0, sfu::Command::Drain { over: ms(0) });
        world.run_ms(50);
    }
    let asked = world.players[1].asked.len() - before;
    assert!((2..=12).contains(&asked), "{asked} joins in ten seconds");
    world.order(0, sfu::Command::Undrain);
    world.run_ms(6_000);
    assert_eq!(*world.players[1].call.state(), State::Connected);
}
