//! Who may write and read in which kind of channel, by his age, whoever is at the other end and
//! however the channel is spelled.

use crate::rig::{Rig, claims, problem, read, request};
use edge::http::Response;
use edge::policy::{Policy, WorldRight};
use serde_json::{Value, json};
use wire::chat::HistoryReply;
use wire::claims::{Age, Claims, Grant, Permission};

const AGES: [Age; 3] = [Age::Child, Age::Teen, Age::Adult];
const KINDS: [&str; 4] = ["room", "party", "direct", "world"];

fn of_age(player: &str, age: Age) -> Claims {
    let mut claims = claims(player);
    claims.profile.age = Some(age);
    claims
}

/// A channel of a kind, as somebody addresses it who has it with `other`.
fn channel(kind: &str, other: &str) -> String {
    match kind {
        "room" => "room~lobby~main".into(),
        "party" => "party~squad".into(),
        "direct" => format!("direct~{other}"),
        _ => "world~eu-1".into(),
    }
}

fn post(rig: &Rig, who: &Claims, channel: &str, text: &str) -> Response {
    let path = format!("/v1/chat/channels/{channel}/messages");
    rig.send(request(
        who,
        "POST",
        &path,
        json!({ "key": "k", "text": text }),
    ))
}

fn get(rig: &Rig, who: &Claims, channel: &str) -> Response {
    let path = format!("/v1/chat/channels/{channel}/messages");
    rig.send(request(who, "GET", &path, Value::Null))
}

/// Whether the table lets somebody of this age write there, and read.
fn allowed(age: Age, kind: &str) -> (bool, bool) {
    let rights = Policy::built_in().rights(&of_age("p", age).profile);
    match kind {
        "direct" => (rights.direct, rights.direct),
        "world" => (
            rights.world == WorldRight::Write,
            rights.world != WorldRight::Off,
        ),
        _ => (true, true),
    }
}

#[test]
fn what_somebody_writes_reaches_whom_his_own_age_lets_read_it() {
    let mut reached = 0;
    for (seed, kind) in KINDS.into_iter().enumerate() {
        for writer_age in AGES {
            for reader_age in AGES {
                let rig = Rig::new(seed as u64);
                let writer = of_age("wim", writer_age);
                let reader = of_age("rea", reader_age);
                let case = format!("{kind}: {writer_age:?} to {reader_age:?}");
                let posted = post(&rig, &writer, &channel(kind, "rea"), "hello");
                let (may_write, _) = allowed(writer_age, kind);
                assert_eq!(posted.status == 201, may_write, "{case}");
                let got = get(&rig, &reader, &channel(kind, "wim"));
                let (_, may_read) = allowed(reader_age, kind);
                assert_eq!(got.status == 200, may_read, "{case}");
                for (response, may) in [(&posted, may_write), (&got, may_read)] {
                    assert!(may || problem(response) == "policy-refused", "{case}");
                }
                if may_read {
                    let messages = read::<HistoryReply>(&got).messages;
                    assert_eq!(messages.len(), usize::from(may_write), "{case}");
                    reached += messages.len();
                }
            }
        }
    }
    // All nine of a room and of a party; four between teenagers and adults of the two others.
    assert_eq!(reached, 9 + 9 + 4 + 4);
}

#[test]
fn no_other_spelling_leads_round_the_rules_of_a_channel() {
    let child = of_age("kim", Age::Child);
    let rig = Rig::new(1);
    for (spelling, wanted) in [
        ("direct~ann", "policy-refused"),
        ("direct%7Eann", "policy-refused"),
        ("%64irect~ann", "policy-refused"),
        ("Direct~ann", "name-invalid"),
        ("direct~~ann", "name-invalid"),
        ("direct~ann~", "name-invalid"),
        ("direct~ann%00", "name-invalid"),
        ("room~direct~ann", "name-invalid"),
        ("room%7Edirect~ann", "name-invalid"),
        ("room~Direct~ann", "channel-not-granted"),
        ("party~direct", "name-invalid"),
        ("world~eu-1", "policy-refused"),
        ("room~world~eu-1", "name-invalid"),
        ("party~world", "name-invalid"),
    ] {
        for response in [
            post(&rig, &child, spelling, "hello"),
            get(&rig, &child, spelling),
        ] {
            assert_eq!(problem(&response), wanted, "{spelling}");
        }
    }
}

#[test]
fn who_may_write_in_all_rooms_may_not_write_to_all_players() {
    let rig = Rig::new(2);
    let host = Claims {
        grants: vec![Grant {
            room: "*".into(),
            channels: vec!["*".into()],
            permissions: vec![Permission::Chat, Permission::Moderate],
        }],
        ..claims("host")
    };
    assert_eq!(post(&rig, &host, "room~any~main", "hello").status, 201);
    for channel in ["direct~ann", "world~eu-1"] {
        let refused = post(&rig, &host, channel, "hello");
        assert_eq!(problem(&refused), "channel-not-granted", "{channel}");
    }
}
