//! What is pushed, to whom, and what it costs.

use crate::rig::{ROOM, Rig, claims, problem, read, request, secret, share};
use edge::blocks;
use edge::ports::{Clock, Unreachable};
use edge::testing::schedule::block_on;
use serde_json::{Value, json};
use wire::chat::{HistoryReply, MessageReply};
use wire::claims::{Age, Claims, Platform};
use wire::control::{PushAuthor, PushTarget};
use wire::{ChannelKey, PlayerId, PlayerKey, RoomKey, TopicKey};

const MESSAGES: &str = "/v1/chat/channels/room~lobby~main/messages";

fn rig() -> Rig {
    let rig = Rig::unlimited(1);
    rig.start_shard("eu-1-a");
    rig.place_room("lobby");
    rig.place_room("squad");
    rig
}

#[test]
fn a_message_is_one_push_whatever_happens_to_it_later() {
    let rig = rig();
    let posted: MessageReply = read(&rig.post("ann", ROOM, "k", "hello"));
    let room = "lobby".parse().unwrap();
    let to = PushTarget::Channel {
        room: RoomKey::of(&room),
        channel: ChannelKey::of(&room, &"main".parse().unwrap()),
    };
    let pushes = rig.take_pushes();
    let [(shard, target, message)] = pushes.as_slice() else {
        panic!("one push: {pushes:?}");
    };
    assert_eq!((shard.as_str(), *target), ("eu-1-a", to));
    assert_eq!(message["channel"], ROOM);
    assert_eq!(message["event"]["kind"], "posted");
    assert_eq!(
        message["event"]["message"],
        serde_json::to_value(&posted.message).unwrap()
    );
    assert_eq!(message["event"]["tail"], json!(posted.tail));
    rig.post("ann", ROOM, "k", "hello");
    assert_eq!(rig.take_pushes().len(), 0, "a retry says nothing again");
    let path = format!("{MESSAGES}/1");
    rig.call("ann", "PATCH", &path, json!({ "text": "hi", "version": 1 }));
    rig.call("bob", "PUT", &format!("{path}/reactions/fire"), Value::Null);
    rig.call(
        "bob",
        "POST",
        "/v1/chat/channels/room~lobby~main/typing",
        Value::Null,
    );
    rig.call("ann", "DELETE", &path, Value::Null);
    let pushes = rig.take_pushes();
    let kinds: Vec<_> = pushes
        .iter()
        .map(|(_, _, m)| m["event"]["kind"].clone())
        .collect();
    assert_eq!(kinds, ["changed", "reacted", "typing", "changed"]);
}

#[test]
fn the_route_is_looked_up_once_in_half_a_minute() {
    let rig = rig();
    let mut tail = read::<MessageReply>(&rig.post("ann", ROOM, "k0", "x")).tail;
    let mut reads = Vec::new();
    for n in 1..8 {
        rig.pass(5_000);
        rig.start_shard("eu-1-a");
        let body = json!({ "key": format!("k{n}"), "text": "x", "tail": tail });
        let response = rig.call("ann", "POST", MESSAGES, body);
        reads.push(share(&response).store_reads);
        tail = read::<MessageReply>(&response).tail;
    }
    // Message 2, 4 and 8 raise the floor, which is a read. The route is two: where the room is, and
    // whom she blocks.
    assert_eq!(reads, [2, 1, 2, 1, 1, 4, 2]);
    assert_eq!(rig.take_pushes().len(), 8);
}

#[test]
fn a_direct_message_is_pushed_to_the_room_where_the_other_is() {
    let rig = rig();
    rig.post("ann", "direct~bob", "k1", "x");
    assert_eq!(rig.take_pushes().len(), 0, "bob is nowhere");
    let here = json!({ "status": "online", "room": "lobby" });
    rig.call("bob", "PUT", "/v1/chat/presence", here);
    rig.pass(10_000);
    rig.start_shard("eu-1-a");
    rig.post("ann", "direct~bob", "k2", "x");
    let (_, target, message) = rig.take_pushes().remove(0);
    let player = secret().player_key(&"bob".parse().unwrap(), 3);
    let room = RoomKey::of(&"lobby".parse().unwrap());
    assert_eq!(target, PushTarget::Player { room, player });
    assert_eq!(message["channel"], "direct~ann", "as bob addresses it");
}

#[test]
fn a_direct_message_is_pushed_to_nobody_whose_token_does_not_let_him_read_it() {
    let adult = Some(Age::Adult);
    for (granted, age, refused) in [
        ("an*", adult, None),
        ("ann", adult, None),
        ("cyd", adult, Some("channel-not-granted")),
        ("anna*", adult, Some("channel-not-granted")),
        ("*", Some(Age::Child), Some("policy-refused")),
    ] {
        let (rig, is_pushed) = (rig(), refused.is_none());
        let mut bob = claims("bob");
        bob.profile.age = age;
        let direct = bob.grants.iter_mut().find(|grant| grant.room == "direct");
        direct.expect("a grant").channels = vec![granted.into()];
        let here = json!({ "status": "online", "room": "lobby" });
        rig.send(request(&bob, "PUT", "/v1/chat/presence", here));
        rig.post("ann", "direct~bob", "k", "x");
        assert_eq!(rig.take_pushes().len(), usize::from(is_pushed), "{granted}");
        let path = "/v1/chat/channels/direct~ann/messages";
        let history = rig.send(request(&bob, "GET", path, Value::Null));
        match is_pushed {
            true => assert_eq!(read::<HistoryReply>(&history).messages.len(), 1),
            false => assert_eq!(Some(problem(&history).as_str()), refused),
        }
    }
}

/// Whether a relay hands what `author` wrote to a reader of whom the hello says this: the rule of
/// `sfu/src/room/audience.rs` in its own words.
fn is_handed(
    author: &PushAuthor,
    (reader, platform, one_platform): (PlayerKey, Platform, bool),
    blocked: &[PlayerKey],
) -> bool {
    let is_hidden = blocked.contains(&author.player) || author.blocked.contains(&reader);
    let is_near = author.platform == platform.name() || (!author.one_platform && !one_platform);
    reader == author.player || (is_near && !is_hidden)
}

#[test]
fn what_a_push_says_lets_a_relay_hand_it_to_those_who_could_fetch_it() {
    let rig = rig();
    let key = |player: &PlayerId| secret().player_key(player, 3);
    let player = |name: String, (platform, cross_play): (Platform, bool)| {
        let mut claims = claims(&name);
        claims.profile.platform = Some(platform);
        claims.profile.cross_play = Some(cross_play);
        claims
    };
    let block = |by: &Claims, other: &Claims| {
        let path = format!("/v1/chat/blocks/{}", other.sub);
        assert_eq!(rig.send(request(by, "PUT", &path, Value::Null)).status, 204);
    };
    let plays = [Platform::Pc, Platform::Console]
        .into_iter()
        .flat_map(|platform| [(platform, true), (platform, false)]);
    let (mut count, mut shown) = (0, 0);
    for (his, mine) in plays
        .clone()
        .flat_map(|his| plays.clone().map(move |mine| (his, mine)))
    {
        for blocking in ["nobody", "author", "reader", "many"] {
            count += 1;
            let author = player(format!("a{count}"), his);
            let reader = player(format!("b{count}"), mine);
            match blocking {
                "author" => block(&author, &reader),
                "reader" => block(&reader, &author),
                // More than are kept with the way.
                "many" => {
                    (0..9).for_each(|n| block(&author, &player(format!("c{n}"), mine)));
                    block(&author, &reader);
                }
                _ => {}
            }
            for turn in 0..2 {
                let body = json!({ "key": format!("k{turn}"), "text": "x" });
                let posted = rig.send(request(&author, "POST", MESSAGES, body));
                let seq = read::<MessageReply>(&posted).message.seq;
                let path = format!("{MESSAGES}?after={}&limit=1", seq - 1);
                let said = rig.take_authored().remove(0).3.expect("an author");
                for (one, plays) in [(&reader, mine), (&author, his)] {
                    let history = rig.send(request(one, "GET", &path, Value::Null));
                    let is_shown = !read::<HistoryReply>(&history).messages.is_empty();
                    // As his hello says it.
                    let blocked = blocks::newest_of(&rig.store.inner, rig.now_ms(), &one.sub);
                    let blocked = block_on(blocked).unwrap();
                    let blocked: Vec<PlayerKey> = blocked.iter().map(key).collect();
                    let who = (key(&one.sub), plays.0, !plays.1);
                    let case = (his, mine, blocking, turn, &one.sub);
                    let is_handed = is_handed(&said, who, &blocked);
                    assert_eq!(is_handed, is_shown, "{case:?}: {said:?}");
                    shown += u32::from(is_shown && one.sub == reader.sub);
                }
            }
        }
    }
    assert_eq!((count, shown), (64, 20), "of some he may read");
}

#[test]
fn what_nobody_wrote_names_no_author_and_what_is_said_of_a_message_names_its_own() {
    let rig = rig();
    rig.post("ann", ROOM, "k", "hello");
    let locked = json!({ "locked": true, "slow_s": 0 });
    rig.call(
        "mod1",
        "PUT",
        "/v1/chat/channels/room~lobby~main/settings",
        locked,
    );
    let open = json!({ "locked": false, "slow_s": 0 });
    rig.call(
        "mod1",
        "PUT",
        "/v1/chat/channels/room~lobby~main/settings",
        open,
    );
    let path = format!("{MESSAGES}/1/reactions/fire");
    rig.call("bob", "PUT", &path, Value::Null);
    rig.call(
        "bob",
        "POST",
        "/v1/chat/channels/room~lobby~main/typing",
        Value::Null,
    );
    rig.call("mod1", "DELETE", &format!("{MESSAGES}/1"), Value::Null);
    let authors = rig.take_authored().into_iter();
    let authors: Vec<_> = authors
        .map(|(_, _, _, said)| said.map(|said| said.player))
        .collect();
    let key = |name: &str| Some(secret().player_key(&name.parse().unwrap(), 3));
    let (ann, bob) = (key("ann"), key("bob"));
    assert_eq!(authors, [ann, None, None, ann, bob, ann]);
}

#[test]
fn the_world_is_one_write_and_one_push_for_each_shard() {
    let rig = rig();
    rig.start_shard("eu-1-b");
    // One of the release before knows no topics.
    rig.start_shard_of("eu-1-c", 1);
    let response = rig.post("ann", "world~eu-1", "k", "hello all");
    assert_eq!(
        share(&response).store_writes,
        3,
        "author, message, and the first floor"
    );
    let pushes = rig.take_pushes();
    let shards: Vec<_> = pushes
        .iter()
        .map(|(shard, target, _)| (shard.as_str(), *target))
        .collect();
    let topic = PushTarget::Topic {
        topic: TopicKey::world(&"eu-1".parse().unwrap()),
    };
    assert_eq!(
        shards,
        [
            ("eu-1-a", topic),
            ("eu-1-b", topic),
            ("eu-1-c", PushTarget::World)
        ]
    );
    rig.pass(10_000);
    rig.start_shard("eu-1-b");
    rig.post("ann", "world~eu-1", "k2", "hello again");
    assert_eq!(rig.take_pushes().len(), 1, "only live ones");
}

#[test]
fn a_party_is_pushed_to_its_whole_room() {
    let rig = rig();
    rig.post("ann", "party~squad", "k", "go");
    let room = RoomKey::of(&"squad".parse().unwrap());
    assert_eq!(rig.take_pushes()[0].1, PushTarget::Room { room });
}

#[test]
fn a_relay_that_does_not_answer_costs_nothing_but_the_push() {
    let rig = rig();
    *rig.relay_answers.lock().unwrap() = Err(Unreachable);
    let response = rig.post("ann", ROOM, "k", "x");
    assert_eq!(read::<MessageReply>(&response).message.seq, 1);
    *rig.relay_answers.lock().unwrap() = Ok(401);
    assert_eq!(rig.post("ann", ROOM, "k2", "x").status, 201);
}

#[test]
fn the_longest_message_that_limits_allow_is_pushed_whole() {
    let mut rig = rig();
    let mut moderator = claims("mod");
    moderator.profile.persona = Some(wire::claims::Persona::Moderator);
    moderator.profile.age = Some(wire::claims::Age::Adult);
    let mut policy: Value = serde_json::from_str(&rig.variables.0["policy"]).unwrap();
    for rule in policy["rules"].as_array_mut().unwrap() {
        if rule["set"].get("max_chars").is_some() {
            rule["set"]["max_chars"] = json!(2000);
        }
    }
    rig.set("policy", &policy.to_string());
    for (text, kind) in [
        ("\"".repeat(2_000), "posted"),
        ("\u{10ffff}".repeat(2_000), "posted"),
    ] {
        let body = json!({ "key": format!("k{}", text.len()), "text": text });
        let response = rig.send(request(&moderator, "POST", MESSAGES, body));
        read::<MessageReply>(&response);
        assert_eq!(rig.take_pushes()[0].2["event"]["kind"], kind);
    }
    let mentions: Vec<String> = (0..16).map(|n| format!("{n:0>64}")).collect();
    let attachment = json!({ "id": "x".repeat(128), "kind": "y".repeat(64) });
    let body = json!({
        "key": "long", "text": "\u{10ffff}".repeat(2_000), "mentions": mentions,
        "attachments": [attachment, attachment, attachment, attachment],
    });
    let posted: MessageReply = read(&rig.send(request(&moderator, "POST", MESSAGES, body)));
    let pushed = rig.take_pushes().remove(0).2;
    let wanted = serde_json::to_value(&posted.message).unwrap();
    assert!(pushed["event"]["message"] == wanted);
}
