//! Who has lost his relay joins again: the edge asks the relay before it sends anybody there.

use edge::http::Response;
use edge::ports::Unreachable;
use edge::testing::host::RelaySays;
use wire::control::{ControlCommand, ControlMessage, seal_players};
use wire::fleet::Heartbeat;
use wire::join::JoinReply;
use wire::moderation::RoomPlayers;
use wire::{RoomKey, ShardId};

use crate::rig::{BOOT, Rig, heartbeat, join_body, offer, problem, secret, share};

/// Two shards, and the one that the room is on, which was last heard of 1.9 s ago.
fn rig() -> (Rig, ShardId) {
    let rig = Rig::new();
    let reply = rig.join(&join_body(&offer("chromium")));
    let home = relay_of(&reply);
    rig.pass(10);
    rig.beat(&Heartbeat {
        shard: "eu-1-b".parse().expect("a name"),
        ..heartbeat()
    });
    rig.pass(1_890);
    (rig, home)
}

fn relay_of(response: &Response) -> ShardId {
    assert_eq!(response.status, 201, "{response:?}");
    let reply: JoinReply = serde_json::from_slice(&response.body).expect("a reply");
    reply.relay
}

fn lost(rig: &Rig, lost: &str) -> Response {
    let body = serde_json::json!({ "offer": offer("chromium"), "lost": lost });
    rig.join(&body.to_string())
}

/// The relay answers a question as it does.
fn says(rig: &Rig, shard: &ShardId) {
    let keys = secret().shard_key(shard, heartbeat().epoch).subkeys();
    let says = move |sealed: &str| {
        let question = ControlMessage::open(sealed, &keys, BOOT).expect("sealed for this run");
        let room = RoomKey::of(&"lobby".parse().expect("a name"));
        let after = u32::MAX;
        assert_eq!(question.command, ControlCommand::Players { room, after });
        seal_players(&RoomPlayers::default(), &keys, BOOT, question.nonce).into_bytes()
    };
    *rig.relay_says.lock().expect("no panic") = RelaySays(Box::new(says));
}

#[test]
fn a_relay_that_does_not_answer_or_is_another_run_is_left() {
    for (what, answer) in [
        ("nobody there", Err(Unreachable)),
        ("another run cannot open it", Ok(401)),
        ("something else", Ok(404)),
        ("no answer to the question", Ok(200)),
    ] {
        let (rig, home) = rig();
        *rig.relay_answers.lock().expect("no panic") = answer;
        assert_eq!(
            relay_of(&lost(&rig, home.as_str())).as_str(),
            "eu-1-b",
            "{what}"
        );
        assert_eq!(rig.take_posts().len(), 1);
        // Whoever comes next finds the room there, and asks nobody.
        let next = lost(&rig, home.as_str());
        assert_eq!(relay_of(&next).as_str(), "eu-1-b");
        assert_eq!(rig.take_posts().len(), 0);
        assert_eq!(
            (share(&next).store_reads, share(&next).store_writes),
            (3, 0)
        );
    }
}

#[test]
fn a_relay_that_answers_is_where_the_room_stays() {
    let (rig, home) = rig();
    says(&rig, &home);
    *rig.relay_answers.lock().expect("no panic") = Ok(200);
    let reply = lost(&rig, home.as_str());
    assert_eq!(relay_of(&reply), home);
    let (_, shard, _) = rig.take_posts().remove(0);
    assert_eq!(shard, home);
    // No more of the store than any join.
    assert_eq!(
        (share(&reply).store_reads, share(&reply).store_writes),
        (3, 0)
    );
    // One that is busy, or of a release that knows no questions, says so itself.
    for status in [422, 503] {
        *rig.relay_answers.lock().expect("no panic") = Ok(status);
        assert_eq!(relay_of(&lost(&rig, home.as_str())), home, "{status}");
    }
    // Nobody is asked for what was not lost.
    rig.take_posts();
    *rig.relay_answers.lock().expect("no panic") = Err(Unreachable);
    for other in ["eu-1-b", "eu-1-never"] {
        assert_eq!(relay_of(&lost(&rig, other)), home);
    }
    assert_eq!(rig.take_posts().len(), 0);
}

#[test]
fn a_relay_that_the_store_has_not_heard_of_is_asked_too() {
    let (rig, home) = rig();
    says(&rig, &home);
    *rig.relay_answers.lock().expect("no panic") = Ok(200);
    rig.pass(30_000);
    rig.beat(&Heartbeat {
        shard: "eu-1-b".parse().expect("a name"),
        sent_at_ms: edge::ports::Clock::now_ms(&rig),
        ..heartbeat()
    });
    let stays = rig.join(&join_body(&offer("chromium")));
    assert_eq!(relay_of(&stays), home);
    *rig.relay_answers.lock().expect("no panic") = Err(Unreachable);
    assert_eq!(
        relay_of(&rig.join(&join_body(&offer("chromium")))).as_str(),
        "eu-1-b"
    );
}

#[test]
fn what_is_no_name_of_a_relay_is_refused() {
    let (rig, _) = rig();
    for odd in ["", "a b", &"x".repeat(49)] {
        assert!(problem(&lost(&rig, odd)).type_uri.ends_with("body-invalid"));
    }
}
