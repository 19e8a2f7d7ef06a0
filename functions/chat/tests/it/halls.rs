//! Halls of a large region's world channel: who is told, which there are, and that who is muted,
//! granted or erased in a region is so in each of its halls.

use std::collections::{BTreeMap, BTreeSet};

use crate::rig::{Rig, claims, problem, read, request};
use edge::directory::{GROWS_AFTER_MS, MAX_BUCKET_SHARDS};
use edge::ports::Clock;
use serde_json::{Value, json};
use wire::Hall;
use wire::chat::{AuditReply, EraseReply, ExportReply, MessageReply};
use wire::claims::{Claims, Grant, Permission, Role};
use wire::control::PushTarget;

const SHARDS: usize = MAX_BUCKET_SHARDS + 1;
/// In how many buckets they are.
const HALLS: u8 = 4;

fn beat_all(rig: &Rig) {
    (0..SHARDS).for_each(|number| rig.start_shard(&format!("eu-1-{number}")));
}

/// A region that has grown just now.
fn grown(rig: &Rig) {
    beat_all(rig);
    rig.pass(GROWS_AFTER_MS);
    beat_all(rig);
}

fn hall(number: u8) -> Hall {
    Hall {
        region: "eu-1".parse().unwrap(),
        number,
    }
}

fn world(number: u8) -> String {
    format!("world~{}", hall(number))
}

/// The shards of each bucket, by the store.
fn buckets(rig: &Rig) -> BTreeMap<String, BTreeSet<String>> {
    let mut buckets = BTreeMap::<_, BTreeSet<_>>::new();
    for (partition, item) in rig.store.inner.everything() {
        let is_there = item.expires_at_ms.is_none_or(|at| at > rig.now_ms());
        if let Some(shard) = item.sort.strip_suffix("#shard").filter(|_| is_there) {
            buckets
                .entry(partition)
                .or_default()
                .insert(shard.to_owned());
        }
    }
    buckets
}

/// The shards that were told something in this hall, and nothing else.
fn told(rig: &Rig, number: u8) -> BTreeSet<String> {
    let topic = hall(number).topic();
    let pushes = rig.take_pushes().into_iter();
    let shard = |(shard, target, message): (wire::ShardId, PushTarget, Value)| {
        assert_eq!(target, PushTarget::Topic { topic });
        assert_eq!(message["channel"], world(number).as_str());
        shard.to_string()
    };
    pushes.map(shard).collect()
}

#[test]
fn a_message_is_told_to_the_shards_of_its_hall_and_to_no_others() {
    let rig = Rig::unlimited(1);
    grown(&rig);
    let mut buckets = buckets(&rig);
    assert_eq!(buckets.len(), usize::from(HALLS));
    let whole: BTreeSet<String> = buckets.values().flatten().cloned().collect();
    assert_eq!(whole.len(), SHARDS);
    // Who was there before the region grew reads its first hall until he joins again.
    rig.post("ann", &world(0), "k", "to all of you");
    assert_eq!(told(&rig, 0), whole);
    rig.post("ann", &world(1), "k", "to those who came since");
    assert_eq!(told(&rig, 1), buckets["region#eu-1#1"]);
    rig.pass(GROWS_AFTER_MS);
    beat_all(&rig);
    for number in 0..HALLS {
        let response = rig.post("ann", &world(number), "k2", "hello");
        assert_eq!(response.status, 201);
        let partition = match number {
            0 => "region#eu-1".to_owned(),
            number => format!("region#eu-1#{number}"),
        };
        assert_eq!(Some(told(&rig, number)), buckets.remove(&partition));
    }
}

#[test]
fn a_hall_that_the_region_does_not_have_is_refused_and_leaves_nothing() {
    for (is_large, last) in [(true, HALLS - 1), (false, 0)] {
        let rig = Rig::unlimited(2);
        match is_large {
            true => grown(&rig),
            false => rig.start_shard("eu-1-0"),
        }
        let before = rig.store.inner.everything().len();
        for number in [last + 1, 255] {
            let channel = world(number);
            assert_eq!(
                problem(&rig.post("ann", &channel, "k", "x")),
                "name-invalid"
            );
            let path = |what: &str| format!("/v1/chat/channels/{channel}/{what}");
            let typing = rig.call("ann", "POST", &path("typing"), Value::Null);
            assert_eq!(problem(&typing), "name-invalid");
            let locked = json!({ "locked": true });
            let settings = rig.call("mod", "PUT", &path("settings"), locked);
            assert_eq!(problem(&settings), "name-invalid");
            assert_eq!(rig.history("ann", &channel, "").messages, []);
        }
        assert_eq!(rig.store.inner.everything().len(), before);
        assert_eq!(rig.post("ann", &world(last), "k", "x").status, 201);
    }
    let rig = Rig::new(2);
    for odd in ["world~eu-1~0", "world~eu-1~07", "world~eu-1~256"] {
        assert_eq!(problem(&rig.post("ann", odd, "k", "x")), "name-invalid");
    }
}

#[test]
fn a_grant_of_the_region_is_one_of_its_halls_and_of_no_others() {
    let rig = Rig::unlimited(3);
    grown(&rig);
    let granted = |channel: &str| Claims {
        grants: vec![Grant {
            room: "world".into(),
            channels: vec![channel.into()],
            permissions: vec![Permission::Listen, Permission::Chat],
        }],
        ..claims("ann")
    };
    let post = |claims: &Claims, key: &str| {
        let path = format!("/v1/chat/channels/{}/messages", world(3));
        let body = json!({ "key": key, "text": "x" });
        rig.send(request(claims, "POST", &path, body))
    };
    assert_eq!(post(&granted("eu-1"), "k1").status, 201);
    assert_eq!(post(&granted("*"), "k2").status, 201);
    for other in ["eu", "eu-1~3", "us-1"] {
        assert_eq!(
            problem(&post(&granted(other), "k3")),
            "channel-not-granted",
            "{other}"
        );
    }
}

#[test]
fn who_is_muted_or_too_fast_in_one_hall_is_so_in_each() {
    let rig = Rig::unlimited(4);
    grown(&rig);
    let mute = |method: &str, channel: &str| {
        let path = format!("/v1/chat/channels/{channel}/mutes/ann");
        let body = match method {
            "PUT" => json!({ "seconds": 600, "reason": "spam" }),
            _ => Value::Null,
        };
        rig.call("mod", method, &path, body)
    };
    let answers = |key: &str| {
        let answer = |number| match rig.post("ann", &world(number), key, "x") {
            response if response.status == 201 => "taken".to_owned(),
            response => problem(&response),
        };
        (0..HALLS).map(answer).collect::<BTreeSet<_>>()
    };
    let one = |what: &str| BTreeSet::from([what.to_owned()]);
    for (n, (muted_in, unmuted_in)) in [(3, 0), (0, 2)].into_iter().enumerate() {
        assert_eq!(answers(&format!("before-{n}")), one("taken"));
        assert_eq!(mute("PUT", &world(muted_in)).status, 204);
        assert_eq!(answers(&format!("muted-{n}")), one("muted"));
        assert_eq!(mute("DELETE", &world(unmuted_in)).status, 204);
    }
    assert_eq!(answers("after"), one("taken"));
    // What holds in all of them is in one trail.
    let trail = rig.call(
        "mod",
        "GET",
        "/v1/chat/channels/world~eu-1/audit",
        Value::Null,
    );
    assert_eq!(read::<AuditReply>(&trail).entries.len(), 4);
    let limited = Rig::new(4);
    grown(&limited);
    let posted = (0..12).map(|n: u8| {
        let channel = world(n % HALLS);
        limited.post("ann", &channel, &format!("k{n}"), "x").status
    });
    assert_eq!(posted.filter(|status| *status == 201).count(), 6);
}

#[test]
fn a_key_is_another_one_in_each_hall() {
    let rig = Rig::unlimited(5);
    grown(&rig);
    for n in 0..3 {
        rig.post("bob", &world(1), &format!("k{n}"), "before");
    }
    let post = |number, text: &str| {
        let reply: MessageReply = read(&rig.post("ann", &world(number), "same", text));
        (reply.message.seq, reply.message.text.unwrap())
    };
    for _ in 0..2 {
        assert_eq!(post(1, "one"), (4, "one".to_owned()));
        assert_eq!(post(2, "two"), (1, "two".to_owned()));
        assert_eq!(post(0, "nought"), (1, "nought".to_owned()));
    }
}

#[test]
fn a_moderator_deletes_in_a_hall_and_those_there_are_told() {
    let rig = Rig::unlimited(6);
    grown(&rig);
    rig.post("ann", &world(2), "k", "rude");
    rig.post("ann", &world(3), "k", "kind");
    rig.take_pushes();
    let path = format!("/v1/chat/channels/{}/messages/1", world(2));
    assert_eq!(rig.call("mod", "DELETE", &path, Value::Null).status, 200);
    assert_eq!(told(&rig, 2), buckets(&rig)["region#eu-1#2"]);
    let texts = |number| {
        let messages = rig.history("bob", &world(number), "").messages;
        messages
            .into_iter()
            .map(|message| message.text)
            .collect::<Vec<_>>()
    };
    assert_eq!(texts(2), [None]);
    assert_eq!(texts(3), [Some("kind".to_owned())]);
}

#[test]
fn what_a_player_wrote_in_halls_is_exported_and_erased() {
    let rig = Rig::unlimited(7);
    grown(&rig);
    for n in 0..1_100 {
        let author = ["ann", "bob"][n % 2];
        let reply = rig.post(author, &world(2), &format!("k{n}"), "x");
        assert_eq!(reply.status, 201);
    }
    rig.post("ann", &world(3), "k", "x");
    rig.post("bob", &world(1), "k", "x");
    let react = format!("/v1/chat/channels/{}/messages/1/reactions/wave", world(1));
    assert_eq!(rig.call("ann", "PUT", &react, Value::Null).status, 204);
    let officer = Claims {
        role: Some(Role::Privacy),
        ..claims("officer")
    };
    let step = |method: &str, next: Option<String>| {
        let query = next.map(|next| format!("?next={next}")).unwrap_or_default();
        let path = format!("/v1/chat/players/ann/data{query}");
        rig.send(request(&officer, method, &path, Value::Null))
    };
    let export = || {
        let (mut items, mut next) = (Vec::new(), None);
        loop {
            let reply: ExportReply = read(&step("GET", next));
            items.extend(reply.items);
            next = reply.next;
            if next.is_none() {
                return items;
            }
        }
    };
    let count = |what: &str, place: &str| {
        let items = export();
        let is = |item: &&wire::chat::ExportedItem| item.what == what && item.place == place;
        items.iter().filter(is).count()
    };
    assert_eq!(count("message", &world(2)), 550);
    assert_eq!(count("message", &world(3)), 1);
    assert_eq!(count("reactions", &world(1)), 1);
    let mut next = None;
    loop {
        let reply: EraseReply = read(&step("DELETE", next));
        next = reply.next;
        if next.is_none() {
            break;
        }
    }
    assert!(export().is_empty());
    let left = rig.history("bob", &world(2), "limit=100").messages;
    let mut authors = left.iter().filter_map(|message| message.author.as_ref());
    assert!(authors.all(|author| author.as_str() == "bob"));
}
