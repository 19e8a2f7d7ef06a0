//! Who is in a room: its relay is asked, and believed only where it answers this question.

use std::sync::{Arc, Mutex};

use edge::http::Response;
use edge::ports::Unreachable;
use edge::testing::host::RelaySays;
use serde_json::Value;
use wire::channel::Participant;
use wire::claims::{Claims, Role};
use wire::control::{ControlCommand, ControlMessage, page_of, seal_players};
use wire::fleet::{Heartbeat, ShardState};
use wire::limits::MAX_ANSWER_BYTES;
use wire::moderation::{RoomPlayer, RoomPlayers};
use wire::{BootId, RoomKey, SessionId};

use crate::rig::{
    BOOT, NOW_MS, Rig, claims, heartbeat, problem, read, request, secret, shard_keys, share,
};

fn ask(rig: &Rig, who: &Claims, query: &str) -> Response {
    let path = format!("/v1/rooms/lobby/players{query}");
    rig.send(request(who, "GET", &path, Value::Null))
}

fn refusal(rig: &Rig) -> &'static str {
    ask(rig, &claims("mod"), "").outcome
}

/// A shard that carries the lobby.
fn carrying() -> Rig {
    let rig = Rig::with_shard();
    assert_eq!(rig.join("player-1").status, 201);
    *rig.relay_answers.lock().unwrap() = Ok(200);
    rig
}

fn says(rig: &Rig, answer: impl Fn(&str) -> String + Send + 'static) {
    let says = move |question: &str| answer(question).into_bytes();
    *rig.relay_says.lock().unwrap() = RelaySays(Box::new(says));
}

fn question(sealed: &str) -> ControlMessage {
    ControlMessage::open(sealed, &shard_keys(), BOOT).expect("sealed for this shard")
}

/// The answer of a room of six hundred thousand to a question: those with numbers above the one
/// that it names.
fn answer(sealed: &str) -> String {
    let message = question(sealed);
    let ControlCommand::Players { room, after } = message.command else {
        panic!("another command");
    };
    assert_eq!(room, RoomKey::of(&"lobby".parse().unwrap()));
    let players = (after + 1..=600_000).map(player);
    seal_players(&page_of(players), &shard_keys(), BOOT, message.nonce)
}

fn player(id: u32) -> RoomPlayer {
    RoomPlayer {
        participant: Participant {
            id,
            player: Some(format!("p{id}").parse().unwrap()),
            name: format!("Name of {id}"),
            channels: vec!["main".parse().unwrap()],
            muted: false,
            server_muted: true,
            deafened: false,
            speaker: true,
        },
        session: SessionId([7; 8]),
        talking: true,
        since_ms: 1_700_000_000_000,
    }
}

#[test]
fn moderators_and_the_games_server_learn_who_is_there_page_by_page() {
    let rig = carrying();
    says(&rig, answer);
    let mut server = claims("server");
    server.grants.clear();
    server.role = Some(Role::GameServer);
    for who in [claims("mod"), server] {
        let response = ask(&rig, &who, "");
        let first: RoomPlayers = read(&response);
        assert_eq!((first.players.len(), first.next), (1000, Some(1000)));
        assert_eq!(first.players[4], player(5));
        let share = share(&response);
        // Whether the token was revoked, the room's home and its shard.
        assert_eq!((share.store_calls, share.store_writes), (3, 0));
        assert_eq!(response.header("cache-control"), Some("no-store"));
        let second: RoomPlayers = read(&ask(&rig, &who, "?after=1000"));
        assert_eq!(second.players[0].participant.id, 1001);
        let last: RoomPlayers = read(&ask(&rig, &who, "?after=599999"));
        assert_eq!((last.players.len(), last.next), (1, None));
    }
}

#[test]
fn others_do_not() {
    let rig = carrying();
    says(&rig, answer);
    let mut operator = claims("op");
    operator.grants.clear();
    operator.role = Some(Role::Operator);
    let mut elsewhere = claims("mod");
    elsewhere.grants[0].room = "other".into();
    let mut of_a_channel = claims("mod");
    of_a_channel.grants[0].channels = vec!["main".into()];
    rig.take_posts();
    for who in [claims("player-1"), operator, elsewhere, of_a_channel] {
        assert_eq!(problem(&ask(&rig, &who, "")), "not-moderator");
    }
    for query in ["?after=-1", "?after=x", "?after=4294967296", "?after="] {
        let response = ask(&rig, &claims("mod"), query);
        assert_eq!(problem(&response), "cursor-invalid", "{query}");
    }
    assert!(rig.take_posts().is_empty(), "the relay was not asked");
}

#[test]
fn where_nobody_can_be_nobody_is() {
    let rig = Rig::with_shard();
    let nobody = RoomPlayers::default();
    let list = |rig: &Rig| read::<RoomPlayers>(&ask(rig, &claims("mod"), ""));
    assert_eq!(list(&rig), nobody, "a room without a home");
    assert_eq!(rig.join("player-1").status, 201);
    let beats = |state, ms| {
        rig.beat(&Heartbeat {
            state,
            sent_at_ms: NOW_MS + ms,
            ..heartbeat()
        });
    };
    beats(ShardState::Stopping, 1);
    assert_eq!(list(&rig), nobody, "its relay said farewell");
    beats(ShardState::Open, 2);
    rig.pass(11_000);
    assert_eq!(refusal(&rig), "no-live-relay", "it may be there");
    rig.pass(3_600_000);
    assert_eq!(list(&rig), nobody, "its relay is forgotten");
    assert!(rig.take_posts().is_empty());
}

#[test]
fn a_relay_that_cannot_answer_is_told_from_one_that_is_not_there() {
    let rig = carrying();
    for (relay, outcome) in [
        (Err(Unreachable), "no-live-relay"),
        (Ok(422), "command-unknown"),
        (Ok(503), "overloaded"),
        (Ok(401), "no-live-relay"),
        (Ok(202), "no-live-relay"),
        (Ok(200), "no-live-relay"),
    ] {
        *rig.relay_answers.lock().unwrap() = relay;
        assert_eq!(refusal(&rig), outcome, "{relay:?}");
    }
    says(&rig, answer);
    assert_eq!(refusal(&rig), "ok");
}

#[test]
fn what_is_no_answer_to_this_question_is_not_believed() {
    let rig = carrying();
    let heard = Arc::new(Mutex::new(String::new()));
    let hears = Arc::clone(&heard);
    says(&rig, move |sealed| {
        let answer = answer(sealed);
        *hears.lock().unwrap() = answer.clone();
        answer
    });
    assert_eq!(refusal(&rig), "ok");
    let before = heard.lock().unwrap().clone();
    let some = || page_of((1..9).map(player));
    let many = RoomPlayers {
        players: (1..=1001).map(player).collect(),
        next: None,
    };
    let sealed = |page: &RoomPlayers, boot, nonce| seal_players(page, &shard_keys(), boot, nonce);
    says(&rig, move |_| before.clone());
    assert_eq!(refusal(&rig), "no-live-relay", "an answer of before");
    says(&rig, move |_| sealed(&some(), BOOT, SessionId([1; 8])));
    assert_eq!(refusal(&rig), "no-live-relay", "to another question");
    says(&rig, move |of| {
        sealed(&some(), BootId([1; 8]), question(of).nonce)
    });
    assert_eq!(refusal(&rig), "no-live-relay", "of another run");
    let other = secret().shard_key(&"another".parse().unwrap(), 3).subkeys();
    says(&rig, move |of| {
        seal_players(&some(), &other, BOOT, question(of).nonce)
    });
    assert_eq!(refusal(&rig), "no-live-relay", "of another shard");
    says(&rig, move |of| sealed(&many, BOOT, question(of).nonce));
    assert_eq!(refusal(&rig), "no-live-relay", "more than a page");
    says(&rig, |of| of.to_owned());
    assert_eq!(refusal(&rig), "no-live-relay", "the question itself");
    says(&rig, |of| answer(of) + "A");
    assert_eq!(refusal(&rig), "no-live-relay", "changed");
    says(&rig, |_| "A".repeat(MAX_ANSWER_BYTES + 1));
    assert_eq!(refusal(&rig), "no-live-relay", "too long");
    *rig.relay_says.lock().unwrap() = RelaySays(Box::new(|_| vec![0xff; 100]));
    assert_eq!(refusal(&rig), "no-live-relay", "no text");
    says(&rig, answer);
    assert_eq!(refusal(&rig), "ok");
}
