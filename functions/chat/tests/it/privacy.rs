//! What is kept of a player can be exported and erased, and no text leaves by a side door.

use crate::rig::{NOW_MS, ROOM, Rig, claims, problem, read, request, share};
use edge::store::{Query, Store};
use edge::testing::schedule::block_on;
use serde_json::{Value, json};
use wire::chat::{EraseReply, ExportReply, ExportedItem, MessageReply};
use wire::claims::{Claims, Role};

const SECRET_TEXT: &str = "xylophone-quartz-7";

fn officer() -> Claims {
    Claims {
        role: Some(Role::Privacy),
        grants: vec![],
        ..claims("officer")
    }
}

fn export(rig: &Rig, player: &str) -> Vec<ExportedItem> {
    let (mut items, mut next) = (Vec::new(), None::<String>);
    loop {
        let query = next.map(|next| format!("?next={next}")).unwrap_or_default();
        let path = format!("/v1/chat/players/{player}/data{query}");
        let reply: ExportReply = read(&rig.send(request(&officer(), "GET", &path, Value::Null)));
        items.extend(reply.items);
        next = reply.next;
        if next.is_none() {
            return items;
        }
    }
}

fn erase(rig: &Rig, player: &str) -> u64 {
    let (mut erased, mut next) = (0, None::<String>);
    loop {
        let query = next.map(|next| format!("?next={next}")).unwrap_or_default();
        let path = format!("/v1/chat/players/{player}/data{query}");
        let reply: EraseReply = read(&rig.send(request(&officer(), "DELETE", &path, Value::Null)));
        erased += reply.erased;
        next = reply.next;
        if next.is_none() {
            return erased;
        }
    }
}

/// A player who did everything, in channels of more messages than one step looks at.
fn busy_life(rig: &Rig) {
    for n in 0..1_100 {
        let (player, text) = match n % 3 {
            0 => ("ann", format!("{SECRET_TEXT} {n}")),
            _ => ("bob", format!("noise {n}")),
        };
        assert_eq!(rig.post(player, ROOM, &format!("k{n}"), &text).status, 201);
    }
    rig.post("ann", "direct~bob", "d", SECRET_TEXT);
    rig.post("ann", "world~eu-1", "w", SECRET_TEXT);
    let mention = json!({ "key": "m", "text": "hey", "mentions": ["ann", "cem"] });
    rig.call(
        "bob",
        "POST",
        "/v1/chat/channels/room~lobby~main/messages",
        mention,
    );
    for (method, path, body) in [
        (
            "PUT",
            "/v1/chat/channels/room~lobby~main/messages/2/reactions/fire",
            Value::Null,
        ),
        (
            "PUT",
            "/v1/chat/channels/room~lobby~main/read",
            json!({ "seq": 9 }),
        ),
        ("PUT", "/v1/chat/presence", json!({ "status": "online" })),
        ("PUT", "/v1/chat/blocks/cem", Value::Null),
    ] {
        assert!(rig.call("ann", method, path, body).status < 300, "{path}");
    }
    rig.call("dan", "PUT", "/v1/chat/blocks/ann", Value::Null);
}

fn partitions() -> Vec<String> {
    let players = ["ann", "bob", "cem", "dan"].map(|player| format!("chat-player#{player}"));
    let channels = [ROOM, "direct~ann~bob", "world~eu-1"];
    let of_channels = channels.into_iter().flat_map(|channel| {
        ["chat", "chat-react", "chat-floor"].map(|kind| format!("{kind}#{channel}"))
    });
    players.into_iter().chain(of_channels).collect()
}

/// Everything that the store has, as text.
fn whole_store(rig: &Rig) -> String {
    let mut text = String::new();
    for partition in partitions() {
        let items = rig.store.inner.query(NOW_MS, Query::all(&partition, 2_000));
        for item in block_on(items).unwrap() {
            text.push_str(&format!("{partition} {} ", item.sort));
            text.push_str(&String::from_utf8(item.value).unwrap());
            text.push('\n');
        }
    }
    text
}

#[test]
fn an_export_has_everything_once() {
    let rig = Rig::unlimited(1);
    busy_life(&rig);
    let items = export(&rig, "ann");
    let count = |what: &str| items.iter().filter(|item| item.what == what).count();
    assert_eq!(count("message"), 367 + 2);
    assert_eq!(
        (count("reactions"), count("read"), count("presence")),
        (1, 1, 1)
    );
    assert_eq!((count("block"), count("blocked-by")), (1, 1));
    // Blocking makes an author of both in their direct channel.
    assert_eq!(count("author"), 3 + 2);
    let texts = items
        .iter()
        .filter(|item| item.value.to_string().contains(SECRET_TEXT));
    assert_eq!(texts.count(), 369);
    assert!(export(&rig, "nobody").is_empty());
}

#[test]
fn an_erasure_leaves_nothing_of_the_player_and_everything_of_others() {
    let rig = Rig::unlimited(2);
    busy_life(&rig);
    assert!(whole_store(&rig).contains(SECRET_TEXT));
    assert!(erase(&rig, "ann") > 369);
    let left = whole_store(&rig);
    assert!(!left.contains(SECRET_TEXT));
    let named: Vec<&str> = left.lines().filter(|line| line.contains("ann")).collect();
    // What is left are keys of direct channels: the others' own items, and tombstones until they
    // expire.
    let is_others = |line: &&str| {
        line.starts_with("chat-player#") && line.contains("in#direct~ann~")
            || line.starts_with("chat#direct~ann~bob ") && line.contains("\"erasure\"")
            || line.starts_with("chat-floor#direct~ann~bob ")
    };
    assert!(named.iter().all(is_others), "{named:#?}");
    assert_eq!(erase(&rig, "ann"), 0);
    let history = rig.history("bob", ROOM, "after=0&limit=100");
    assert_eq!(history.messages.len(), 100, "numbers have no holes");
    assert_eq!(history.messages[1].text.as_deref(), Some("noise 1"));
    let last = rig.history("bob", ROOM, "").messages.pop().unwrap();
    assert_eq!(last.mentions.len(), 1, "others' texts stay, without him");
    let next: MessageReply = read(&rig.post("bob", ROOM, "next", "x"));
    assert_eq!(next.message.seq, last.seq + 1);
}

#[test]
fn only_the_privacy_role_may_export_and_erase() {
    let rig = Rig::new(3);
    for method in ["GET", "DELETE"] {
        let path = "/v1/chat/players/ann/data";
        for role in [None, Some(Role::Operator)] {
            let claims = Claims {
                role,
                ..claims("ann")
            };
            let response = rig.send(request(&claims, method, path, Value::Null));
            assert_eq!(problem(&response), "privacy-only");
        }
        let path = format!("{path}?next=bm9uc2Vuc2U");
        let response = rig.send(request(&officer(), method, &path, Value::Null));
        assert_eq!(problem(&response), "cursor-invalid");
    }
}

#[test]
fn messages_are_gone_when_their_retention_is_over() {
    let rig = Rig::unlimited(4);
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    for (channel, days) in [
        ("world~eu-1", 1),
        ("party~squad", 7),
        (ROOM, 30),
        ("direct~bob", 90),
    ] {
        assert_eq!(rig.post("ann", channel, "k", "x").status, 201);
        let partition = match channel {
            "direct~bob" => "chat#direct~ann~bob".to_owned(),
            other => format!("chat#{other}"),
        };
        let items = rig.store.inner.query(NOW_MS, Query::all(&partition, 2));
        let item = block_on(items).unwrap().remove(0);
        assert_eq!(
            item.expires_at_ms,
            Some(NOW_MS + days * DAY_MS),
            "{channel}"
        );
    }
}

#[test]
fn no_text_gets_into_a_record_a_refusal_or_a_header() {
    let rig = Rig::unlimited(5);
    let path = "/v1/chat/channels/room~lobby~main/messages";
    let texts = [
        json!({ "key": "k1", "text": SECRET_TEXT }),
        json!({ "key": "k2", "text": format!("{SECRET_TEXT} http://x") }),
        json!({ "key": "k3", "text": format!("{SECRET_TEXT}\u{7}") }),
        json!({ "key": "k4", "text": SECRET_TEXT.repeat(100) }),
        json!({ "key": SECRET_TEXT, "text": 1 }),
        json!({ "key": "k5", "phrase": format!("{SECRET_TEXT} ") }),
        json!({ "key": "k6", "text": "a", "attachments": [{ "id": format!("{SECRET_TEXT}/") }] }),
        json!([SECRET_TEXT]),
        json!(SECRET_TEXT),
    ];
    for body in texts {
        let response = rig.call("ann", "POST", path, body.clone());
        let record = serde_json::to_string(&share(&response)).unwrap();
        assert!(!record.contains(SECRET_TEXT), "{record}");
        if response.status >= 300 {
            let text = String::from_utf8(response.body.clone()).unwrap();
            assert!(!text.contains(SECRET_TEXT), "{body}: {text}");
        }
        for (name, value) in &response.headers {
            assert!(!value.contains(SECRET_TEXT), "{name}: {value}");
        }
    }
}
