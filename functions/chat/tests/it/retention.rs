//! Messages live as long as policy says, and no text leaves by a side door.

use crate::rig::{NOW_MS, ROOM, Rig, share};
use edge::store::{Query, Store};
use edge::testing::schedule::block_on;
use serde_json::json;

const SECRET_TEXT: &str = "xylophone-quartz-7";

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
