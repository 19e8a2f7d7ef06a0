//! Whoever has the key of one shard says that it has a million places, is elsewhere, and is not
//! drained: rooms go where they would have gone, and the operator ends it.

use scenarios::hosts;
use scenarios::http::Method;
use scenarios::requests::OFFER;
use scenarios::shard::Shard;
use scenarios::target::Target;
use serde_json::json;
use wire::join::JoinReply;

use crate::alone;

const ROOMS: usize = 60;
const SHARDS: usize = 4;
const REGISTERED: &str = r#"[
    {"shards": "keys-*", "region": "keys", "capacity": 500, "control_host": "127.0.0.1"}
]"#;

/// How many of so many new rooms the first shard gets.
async fn drawn(target: &Target, shards: &[Shard], name: &str) -> usize {
    let mut drawn = 0;
    for n in 0..ROOMS {
        let player = format!("{name}-{n}");
        let token = target.secrets.token(&player, &player);
        let path = format!("/v1/rooms/{player}/sessions");
        let body = json!({ "offer": OFFER, "region": "keys" });
        let joined = target.expect(201, Method::POST, &path, &token, body);
        let reply: JoinReply = serde_json::from_value(joined.await.unwrap()).unwrap();
        drawn += usize::from(reply.relay.as_str() == "keys-0");
        for shard in &shards[1..] {
            shard.beat(target).await.unwrap();
        }
    }
    drawn
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_key_draws_nothing_and_is_revoked() {
    let _alone = alone().await;
    let host = hosts::edge_host_of(REGISTERED).await.unwrap();
    let target = &host.target;
    let mut shards = Vec::new();
    for n in 0..SHARDS {
        let mut shard = start(target, n).await;
        shard.heartbeat.load.participants = 100;
        shard.beat(target).await.unwrap();
        shards.push(shard);
    }
    let thief = &mut shards[0];
    thief.heartbeat.load.participants = 0;
    for (capacity, region) in [(1_000_000, "keys"), (500, "elsewhere")] {
        thief.heartbeat.capacity = capacity;
        thief.heartbeat.region = region.parse().unwrap();
        let (reply, _) = thief.send(target, |_| {}).await.unwrap();
        assert_eq!(reply.problem(), "registration-exceeded", "{reply:?}");
    }
    let rooms = drawn(target, &shards, "after").await;
    println!("{rooms} of {ROOMS} new rooms on the shard whose key was stolen, one of {SHARDS}");
    assert!(rooms <= ROOMS / 2, "{rooms} rooms");

    let operator = target.secrets.operator_token();
    let path = "/v1/relays/keys-0/revocation";
    let body = json!({});
    let revoked = target.call(Method::PUT, path, &operator, &body);
    assert_eq!(revoked.await.unwrap().status, 200);
    let thief = &mut shards[0];
    (thief.heartbeat.capacity, thief.heartbeat.region) = (500, "keys".parse().unwrap());
    let (reply, _) = thief.send(target, |_| {}).await.unwrap();
    assert_eq!(reply.problem(), "shard-revoked", "{reply:?}");
}

async fn start(target: &Target, number: usize) -> Shard {
    Shard::start_with(target, &format!("keys-{number}"), "keys", 500)
        .await
        .unwrap()
}
