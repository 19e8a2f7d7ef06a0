//! The game takes a player's tokens back: none from before opens a room, a channel or a list from
//! then on, and his sessions end wherever they are.

use edge::directory;
use edge::testing::Patience;
use edge::testing::host::{self, any_terms};
use edge::testing::schedule::block_on;
use serde_json::{Value, json};
use wire::claims::{Claims, Role};
use wire::moderation::RevocationReply;

use crate::rig::{NOW_MS, ROOM, Rig, claims, heartbeat, problem, read, request};

const NOW_S: u64 = NOW_MS / 1000;
const MINUTE_MS: u64 = 60_000;
const WHIP_OFFER: &str = include_str!("../../../signalling/tests/offers/gstreamer-whip.sdp");
const OFFER: &str = include_str!("../../../signalling/tests/offers/chromium.sdp");

fn revoke(rig: &Rig, player: &str) -> u64 {
    let operator = host::claims("ops", Some(Role::Operator));
    let path = format!("/v1/players/{player}/revocation");
    let reply = rig.send(request(&operator, "PUT", &path, Value::Null));
    assert_eq!(reply.status, 200);
    read::<RevocationReply>(&reply).not_before
}

/// Ann with a token of that second, or one that does not say of which.
fn ann(iat: Option<u64>) -> Claims {
    Claims {
        iat,
        ..claims("ann")
    }
}

/// What each kind of request comes to with a token.
fn tried(rig: &Rig, claims: &Claims, key: &str) -> Vec<String> {
    let mut whip = request(claims, "POST", "/v1/rooms/lobby/whip", Value::Null);
    whip.content_type = Some("application/sdp".into());
    whip.body = WHIP_OFFER.into();
    let ask = |method, path: &str, body| request(claims, method, path, body);
    let messages = format!("/v1/chat/channels/{ROOM}/messages");
    let requests = [
        ask(
            "POST",
            "/v1/rooms/lobby/sessions",
            json!({ "offer": OFFER }),
        ),
        whip,
        ask("POST", &messages, json!({ "key": key, "text": "hello" })),
        ask("GET", &messages, Value::Null),
        ask("GET", "/v1/chat/presence?players=bob", Value::Null),
        ask("GET", "/v1/chat/blocks", Value::Null),
        ask("PUT", "/v1/chat/blocks/bob", Value::Null),
    ];
    let told = |request| match problem(&rig.send(request)) {
        none if none.is_empty() => "ok".to_owned(),
        problem => problem,
    };
    requests.map(told).to_vec()
}

#[test]
fn no_token_from_before_opens_anything_and_a_new_one_does() {
    let rig = Rig::with_shard();
    assert_eq!(tried(&rig, &ann(Some(NOW_S)), "a"), ["ok"; 7]);
    rig.pass(MINUTE_MS);
    let not_before = revoke(&rig, "ann");
    assert_eq!(not_before, NOW_S + 61);
    for iat in [Some(NOW_S), Some(NOW_S + 60), None] {
        let told = tried(&rig, &ann(iat), "b");
        assert_eq!(told, ["token-revoked"; 7], "{iat:?}");
    }
    rig.pass(1_000);
    rig.beat(&wire::fleet::Heartbeat {
        sent_at_ms: NOW_MS + MINUTE_MS + 1_000,
        ..heartbeat()
    });
    assert_eq!(tried(&rig, &ann(Some(not_before)), "c"), ["ok"; 7]);
    assert_eq!(tried(&rig, &claims("bob"), "d")[..4], ["ok"; 4]);
}

#[test]
fn who_wrote_a_moment_ago_writes_for_a_minute_at_most() {
    let rig = Rig::with_shard();
    let old = ann(Some(NOW_S));
    let post = |key: &str| {
        let path = format!("/v1/chat/channels/{ROOM}/messages");
        let body = json!({ "key": key, "text": "hello" });
        rig.send(request(&old, "POST", &path, body)).status
    };
    assert_eq!(post("a"), 201);
    revoke(&rig, "ann");
    rig.pass(MINUTE_MS - 1);
    assert_eq!(post("b"), 201);
    rig.pass(1);
    assert_eq!(post("c"), 401);
}

#[test]
fn only_operators_may() {
    let rig = Rig::with_shard();
    let refused = rig.call("mod", "PUT", "/v1/players/ann/revocation", Value::Null);
    assert_eq!(problem(&refused), "operator-only");
    let operator = host::claims("ops", Some(Role::Operator));
    let path = "/v1/players/a%20b/revocation";
    let refused = rig.send(request(&operator, "PUT", path, Value::Null));
    assert_eq!(problem(&refused), "name-invalid");
}

#[test]
fn every_shard_hears_of_it_with_its_next_heartbeat_until_it_says_so() {
    let rig = Rig::with_shard();
    rig.pass(1_000);
    revoke(&rig, "ann");
    let beat = |after_ms: u64, taken: Vec<wire::SessionId>| {
        let (sent_at_ms, store) = (NOW_MS + after_ms, rig.store.inner.open());
        let heartbeat = wire::fleet::Heartbeat {
            sent_at_ms,
            taken,
            ..heartbeat()
        };
        let beat =
            directory::record_heartbeat(&Patience, &store, sent_at_ms, &heartbeat, &any_terms);
        block_on(beat).unwrap().ended
    };
    let told = beat(1_500, Vec::new());
    let [ended] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!(ended.player.as_str(), "ann");
    assert_eq!(ended.at_ms, NOW_MS + 1_000);
    assert_eq!(beat(3_500, Vec::new()), told, "it may not have arrived");
    assert_eq!(beat(5_500, vec![ended.nonce()]), []);
    assert_eq!(beat(7_500, Vec::new()), []);
    rig.pass(7_000);
    revoke(&rig, "ann");
    assert_eq!(beat(9_500, Vec::new()).len(), 1, "of what came since");
}
