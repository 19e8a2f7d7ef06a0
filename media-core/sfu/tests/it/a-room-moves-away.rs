//! A shard that was taken for dead learns that a room lives elsewhere: who is there follows, and
//! nobody comes any more who was sent there before.

use crate::common::{Client, Want, World, room};
use sfu::{Command, RejectReason};
use wire::channel::{EndReason, RelayMessage};

fn want(room: &'static str, home_epoch: u8) -> Want {
    Want {
        room,
        home_epoch,
        ..Want::default()
    }
}

fn moved(room_name: &str, epoch: u8) -> Command {
    Command::Moved {
        room: room(room_name),
        epoch,
    }
}

fn is_asked(client: &Client) -> bool {
    client.messages.contains(&RelayMessage::Migrate)
}

#[test]
fn who_came_for_an_earlier_home_is_asked_to_follow_once_and_ended_if_he_stays() {
    let mut world = World::new(&[want("room", 1), want("room", 2), want("other", 1)]);
    world.start_all();
    world.run_until("all are in", World::are_welcome);
    for _ in 0..3 {
        world.command(moved("room", 2));
        world.run_ms(400);
    }
    world.run_ms(200);
    let asked: Vec<bool> = world.clients.iter().map(is_asked).collect();
    assert_eq!(asked, [true, false, false]);
    let times = world.clients[0].messages.iter();
    assert_eq!(times.filter(|it| **it == RelayMessage::Migrate).count(), 1);
    let ended = RelayMessage::Ended {
        reason: EndReason::RelayStopping,
    };
    world.run_ms(28_000);
    assert!(
        !world.clients[0].messages.contains(&ended),
        "he may be slow"
    );
    world.run_ms(2_000);
    assert!(world.clients[0].messages.contains(&ended));
    world.run_ms(500);
    assert_eq!(world.sfu.participants(), 2);
}

#[test]
fn nobody_comes_with_a_ticket_from_before_and_whoever_has_a_later_one_does() {
    let mut world = World::new(&[want("room", 1), want("room", 255), want("room", 3)]);
    world.command(moved("room", 2));
    world.start(0);
    world.run_ms(300);
    assert!(world.sfu.stats().rejected(RejectReason::Moved) > 0);
    assert_eq!(world.sfu.sessions(), 0, "refused without a trace");
    // Of the epoch only the low bits are known: 255 came before 256 + 2.
    world.start(1);
    world.run_ms(300);
    assert_eq!(world.sfu.sessions(), 0);
    // The room has come back since.
    world.start(2);
    world.run_until("let in", |w| w.clients[2].is_welcome());
    world.run_ms(1_000);
    assert!(!is_asked(&world.clients[2]));
}

#[test]
fn who_is_about_to_come_in_is_asked_as_soon_as_he_can_be() {
    let mut world = World::new(&[want("room", 1), want("room", 1)]);
    world.start(0);
    world.run_until("one is in", |w| w.clients[0].is_welcome());
    world.start(1);
    world.run_until("on the way", |w| w.sfu.sessions() == 2);
    assert!(!world.clients[1].is_welcome());
    world.command(moved("room", 2));
    world.run_until("asked", |w| w.clients.iter().all(is_asked));
}

#[test]
fn a_publisher_who_cannot_be_asked_is_ended() {
    let publisher = Want {
        hello: false,
        says_hello: false,
        no_channel: true,
        ..want("room", 1)
    };
    let mut world = World::new(&[publisher]);
    world.start(0);
    world.run_until("in the room", |w| w.sfu.participants() == 1);
    world.command(moved("room", 2));
    world.run_ms(29_000);
    assert_eq!(world.sfu.participants(), 1);
    world.run_ms(2_500);
    assert_eq!(world.sfu.sessions(), 0);
}

#[test]
fn who_has_followed_the_room_is_not_there_when_it_comes_back() {
    let mut world = World::new(&[want("room", 1), want("room", 1), want("room", 3)]);
    world.start(0);
    world.start(1);
    world.run_until("both are in", |w| {
        w.clients[..2].iter().all(Client::is_welcome)
    });
    world.command(moved("room", 2));
    // One has gone without a word that arrived; the other takes his time.
    world.clients[1].online = false;
    world.run_ms(1_600);
    assert_eq!(world.sfu.participants(), 2);
    world.start(2);
    world.run_until("let in", |w| w.clients[2].is_welcome());
    assert_eq!(world.sfu.participants(), 2, "he and the slow one");
    let ended = RelayMessage::Ended {
        reason: EndReason::Timeout,
    };
    world.run_ms(500);
    assert!(!world.clients[0].messages.contains(&ended));
}
