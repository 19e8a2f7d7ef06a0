//! Enrolment by an operator's token.

use edge::http::Response;
use edge::testing::host::any_terms;
use edge::testing::schedule::{block_on, interleave};
use edge::testing::{FaultyStore, Patience, calls};
use serde_json::{Value, json};
use wire::BootId;
use wire::claims::Role;
use wire::enrolment::{EnrolmentRequest, Proof, Secret};
use wire::fleet::{Candidate, Heartbeat, Load, ShardState, Transport};
use wire::ticket::TICKET_VERSION;

use crate::rig::{HOUR_S, NOW_MS, Rig, request, secret, token};

#[test]
fn a_relay_gets_its_names_and_keys_for_a_token() {
    let mut rig = Rig::new();
    rig.set("edge_url", "https://voice.example.com/");
    let made = rig.token_for("eu-1");
    assert_eq!(made.record.expires_at_ms, NOW_MS + HOUR_S * 1000);
    let reply = rig.enrolled(&request(1, &made.token));
    assert_eq!(reply.relay.as_str(), "eu-1");
    assert_eq!(
        (reply.region.as_str(), reply.capacity, reply.epoch),
        ("eu", 500, 0)
    );
    assert_eq!(reply.edge.as_deref(), Some("https://voice.example.com"));
    let names: Vec<&str> = reply.shards.iter().map(|s| s.shard.as_str()).collect();
    assert_eq!(names, ["eu-1-0", "eu-1-1"]);
    for shard in &reply.shards {
        let key = secret().shard_key(&shard.shard, 0).to_base64();
        assert_eq!(shard.key, Secret(key));
        let registration = rig.registration(shard.shard.as_str()).unwrap();
        assert_eq!(
            (registration.region.as_str(), registration.capacity),
            ("eu", 500)
        );
    }
    let shown = rig.operator("GET", "/v1/relays/eu-1/enrolment", &Value::Null);
    let shown: Value = calls::read(&shown);
    assert_eq!(
        (&shown["by"], &shown["shards"]),
        (&json!("token"), &json!(2))
    );
    assert_eq!(rig.tokens().tokens[0].used_at_ms, Some(NOW_MS));
}

#[test]
fn neither_the_fleet_secret_nor_a_token_is_ever_kept_or_told() {
    let rig = Rig::new();
    let made = rig.token_for("eu-1");
    let asked = request(1, &made.token);
    let reply = rig.enrol(&asked);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let replies = [
        calls::text(&reply),
        calls::text(&rig.operator("GET", "/v1/relays/enrolment-tokens", &Value::Null)),
        calls::text(&rig.operator("GET", "/v1/relays/eu-1/enrolment", &Value::Null)),
    ];
    let kept = rig.store.inner.everything();
    let kept = kept
        .iter()
        .map(|(_, item)| String::from_utf8_lossy(&item.value).into_owned());
    let secrets = [
        made.token.0[16..].to_owned(),
        String::from(asked.claim),
        rig.variables.0["fleet_secret"].clone(),
    ];
    for text in replies.into_iter().chain(kept) {
        assert!(
            secrets.iter().all(|secret| !text.contains(secret)),
            "{text}"
        );
    }
}

#[test]
fn a_token_is_one_relays_who_may_ask_again() {
    let rig = Rig::new();
    let made = rig.token_for("eu-1");
    let first = rig.enrolled(&request(1, &made.token));
    // The reply was lost: the same relay gets the same.
    assert_eq!(rig.enrolled(&request(1, &made.token)), first);
    let other = rig.enrol(&request(2, &made.token));
    assert_eq!((other.status, other.outcome), (409, "proof-used"));
    // It comes with fewer shards, and its other name is free again when it is forgotten.
    let fewer = EnrolmentRequest {
        shards: 1,
        ..request(1, &made.token)
    };
    assert_eq!(rig.enrolled(&fewer).shards[0].shard.as_str(), "eu-1");
    assert_eq!(rig.registration("eu-1-1"), None);
}

/// Asks until the answer is one that stays, as a relay does.
async fn until_told(rig: &Rig, asked: &EnrolmentRequest) -> Response {
    loop {
        let body = serde_json::to_value(asked).unwrap();
        let sent = calls::request(String::new(), "POST", "/v1/relays/enrolment", &body);
        let reply = fleet::handle(rig, sent).await;
        if reply.status != 503 {
            return reply;
        }
    }
}

#[test]
fn of_relays_that_ask_at_once_one_gets_in_however_the_store_fails() {
    for seed in 0..300 {
        let mut rig = Rig::new();
        let tokens = [rig.token_for("eu-1"), rig.token_for("eu-1")];
        rig.store = FaultyStore::new(rig.store.inner.clone(), seed, 100);
        // Two relays for each of two tokens for one name.
        let asked: Vec<EnrolmentRequest> = (0..4)
            .map(|claim| request(claim, &tokens[usize::from(claim) % 2].token))
            .collect();
        let tasks = asked
            .iter()
            .map(|asked| Box::pin(until_told(&rig, asked)) as _);
        let replies: Vec<Response> = interleave(seed, tasks.collect());
        let inside: Vec<usize> = (0..4).filter(|at| replies[*at].status == 201).collect();
        assert_eq!(inside.len(), 1, "seed {seed}: {inside:?}");
        for reply in replies.iter().filter(|reply| reply.status != 201) {
            assert!(
                ["proof-used", "relay-enrolled"].contains(&reply.outcome),
                "seed {seed}"
            );
        }
        rig.store = FaultyStore::new(rig.store.inner.clone(), seed, 0);
        let owner = asked[inside[0]].claim.digest();
        for shard in ["eu-1-0", "eu-1-1"] {
            assert_eq!(rig.registration(shard).unwrap().owner, owner, "seed {seed}");
        }
    }
}

#[test]
fn what_is_no_token_of_ours_says_so_and_changes_nothing() {
    let rig = Rig::new();
    let made = rig.token_for("eu-1");
    let Secret(good) = &made.token;
    let mut changed = good.clone();
    changed.replace_range(20..21, if &good[20..21] == "A" { "B" } else { "A" });
    for bad in ["", "lve1_", &good[1..], &changed, &format!("{good}=")] {
        let reply = rig.enrol(&request(1, &Secret(bad.to_owned())));
        assert_eq!(
            (reply.status, reply.outcome),
            (401, "proof-invalid"),
            "{bad}"
        );
        assert_eq!(reply.header("www-authenticate"), Some("Proof"));
    }
    assert_eq!(rig.tokens().tokens[0].used_at_ms, None);
    assert_eq!(rig.registration("eu-1-0"), None);
}

#[test]
fn a_token_expires_and_can_be_taken_back() {
    let rig = Rig::new();
    let (first, second) = (rig.token_for("eu-1"), rig.token_for("eu-2"));
    let path = format!("/v1/relays/enrolment-tokens/{}", first.record.id);
    assert_eq!(rig.operator("DELETE", &path, &Value::Null).status, 204);
    let gone = rig.operator("DELETE", &path, &Value::Null);
    assert_eq!(gone.outcome, "unknown-enrolment");
    let reply = rig.enrol(&request(1, &first.token));
    assert_eq!(reply.outcome, "proof-invalid");
    rig.pass(HOUR_S * 1000);
    let reply = rig.enrol(&request(1, &second.token));
    assert_eq!((reply.status, reply.outcome), (401, "proof-expired"));
    assert_eq!(rig.tokens().tokens.len(), 1, "it is listed for a day");
    rig.pass(25 * HOUR_S * 1000);
    assert!(rig.tokens().tokens.is_empty());
}

#[test]
fn a_token_is_for_its_region_and_capacity() {
    let rig = Rig::new();
    let made = rig.token_for("eu-1");
    let asked = request(1, &made.token);
    let elsewhere = EnrolmentRequest {
        region: Some("us".parse().unwrap()),
        ..asked.clone()
    };
    let larger = EnrolmentRequest {
        capacity: 501,
        ..asked.clone()
    };
    let largest = EnrolmentRequest {
        shards: 128,
        capacity: u32::MAX,
        ..asked.clone()
    };
    for request in [elsewhere, larger, largest] {
        let reply = rig.enrol(&request);
        assert_eq!((reply.status, reply.outcome), (403, "enrolment-refused"));
    }
    // None of that used it up.
    let here = EnrolmentRequest {
        region: Some("eu".parse().unwrap()),
        ..asked
    };
    rig.enrolled(&here);
}

#[test]
fn a_name_is_one_relays_until_an_operator_frees_it() {
    let rig = Rig::new();
    let (first, second) = (rig.token_for("eu-1"), rig.token_for("eu-1"));
    rig.enrolled(&request(1, &first.token));
    let reply = rig.enrol(&request(2, &second.token));
    assert_eq!((reply.status, reply.outcome), (409, "relay-enrolled"));
    // A relay whose shards would have the names of another's.
    let one = EnrolmentRequest {
        shards: 1,
        ..request(3, &rig.token_for("eu-1-1").token)
    };
    assert_eq!(rig.enrol(&one).outcome, "relay-enrolled");
    let path = "/v1/relays/eu-1/enrolment";
    assert_eq!(rig.operator("DELETE", path, &Value::Null).status, 204);
    assert_eq!(
        rig.operator("DELETE", path, &Value::Null).outcome,
        "unknown-enrolment"
    );
    rig.enrolled(&request(2, &second.token));
}

#[test]
fn a_name_under_which_a_relay_runs_is_not_given_away() {
    let rig = Rig::new();
    let running = Heartbeat {
        shard: "eu-1-0".parse().unwrap(),
        region: "eu".parse().unwrap(),
        boot: BootId([7; 8]),
        epoch: 0,
        sent_at_ms: NOW_MS,
        sequence: 0,
        state: ShardState::Open,
        candidates: vec![Candidate {
            transport: Transport::Udp,
            address: "192.0.2.1:7410".parse().unwrap(),
        }],
        fingerprint: format!("sha-256 {}", ["AB"; 32].join(":")),
        control_url: "http://192.0.2.1:7411".into(),
        ticket_version: TICKET_VERSION,
        load: Load::default(),
        capacity: 100,
        large: Vec::new(),
        refused: Vec::new(),
        taken: Vec::new(),
    };
    block_on(edge::directory::record_heartbeat(
        &Patience, &rig.store, NOW_MS, &running, &any_terms,
    ))
    .unwrap();
    let made = rig.token_for("eu-1");
    let reply = rig.enrol(&request(1, &made.token));
    assert_eq!(reply.outcome, "relay-enrolled", "{}", calls::text(&reply));
    rig.pass(20_000);
    rig.enrolled(&request(1, &made.token));
}

#[test]
fn requests_that_make_no_sense_are_told_what_to_change() {
    let rig = Rig::new();
    let good = serde_json::to_value(request(1, &rig.token_for("eu-1").token)).unwrap();
    for (member, value) in [
        ("shards", json!(0)),
        ("shards", json!(129)),
        ("capacity", json!(0)),
        ("capacity", json!(-1)),
        ("claim", json!("short")),
        ("region", json!("a region")),
        ("proof", json!({ "by": "word of honour" })),
        ("proof", json!("lve1_")),
    ] {
        let mut bad = good.clone();
        bad[member] = value;
        let reply = rig.send(&bad);
        assert_eq!(
            (reply.status, reply.outcome),
            (400, "body-invalid"),
            "{bad}"
        );
    }
    for (member, value) in [
        ("capacity", json!(0)),
        ("expires_in_s", json!(0)),
        ("expires_in_s", json!(31 * 24 * 3600)),
        ("relay", json!("a".repeat(45))),
        ("region", json!("")),
    ] {
        let mut body = json!({ "region": "eu", "capacity": 1, "expires_in_s": 60 });
        body[member] = value;
        let reply = rig.operator("POST", "/v1/relays/enrolment-tokens", &body);
        assert_eq!(reply.outcome, "body-invalid", "{body}");
    }
}

#[test]
fn tokens_are_made_seen_and_taken_back_by_operators_only() {
    let rig = Rig::new();
    let body = json!({ "region": "eu", "capacity": 1, "expires_in_s": 60 });
    for (method, path) in [
        ("POST", "/v1/relays/enrolment-tokens"),
        ("GET", "/v1/relays/enrolment-tokens"),
        ("DELETE", "/v1/relays/enrolment-tokens/0123456789abcdef"),
        ("GET", "/v1/relays/eu-1/enrolment"),
        ("DELETE", "/v1/relays/eu-1/enrolment"),
    ] {
        let reply = rig.handle(calls::request(
            token(Some(Role::GameServer)),
            method,
            path,
            &body,
        ));
        assert_eq!(
            (reply.status, reply.outcome),
            (403, "operator-only"),
            "{method} {path}"
        );
    }
    // A token without a name gets one of its own.
    let made: Value = calls::read(&rig.operator("POST", "/v1/relays/enrolment-tokens", &body));
    let id = made["id"].as_str().unwrap();
    assert_eq!(made["relay"], format!("relay-{id}"));
    let unnamed = EnrolmentRequest {
        shards: 1,
        capacity: 1,
        proof: Proof::Token {
            token: Secret(made["token"].as_str().unwrap().to_owned()),
        },
        ..request(1, &Secret(String::new()))
    };
    assert_eq!(rig.enrolled(&unnamed).relay.as_str(), made["relay"]);
}
