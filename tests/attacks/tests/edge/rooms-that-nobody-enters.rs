//! Joins of one token, each into a room of its own, that send the relay nothing; and others who
//! open rooms meanwhile.

use std::time::Duration;

use scenarios::http::Method;
use scenarios::requests::OFFER;
use scenarios::shard::Shard;
use serde_json::json;

use crate::attacked;
use crate::storm::{Sent, Storm};

/// New rooms of others.
const ROOMS: usize = 145;
/// Of each that opens some.
const ROOMS_EACH: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn rooms_that_nobody_enters_take_no_place_of_others() {
    let (host, scale, _alone) = attacked().await;
    let target = &host.target;
    // A small region: half as many places as he could ask for in a few seconds.
    let mut shard = Shard::start(target, "rooms-0", "rooms").await.unwrap();
    shard.heartbeat.capacity = if scale.is_large { 4_000 } else { 2_000 };
    shard.beat(target).await.unwrap();
    let secrets = target.secrets.clone();
    let storm = Storm::start(target, 8, move |sender, turn| Sent {
        method: Method::POST,
        path: format!("/v1/rooms/mal-{sender}-{turn}/sessions"),
        token: secrets.token("mal", "mal-*"),
        body: json!({ "offer": OFFER, "region": "rooms" }).to_string(),
    });
    let mut placed = 0;
    for n in 0..ROOMS {
        let token = target
            .secrets
            .token(&format!("host-{}", n / ROOMS_EACH), "open-*");
        let path = format!("/v1/rooms/open-{n}/sessions");
        let body = json!({ "offer": OFFER, "region": "rooms" });
        let reply = target
            .call(Method::POST, &path, &token, &body)
            .await
            .unwrap();
        placed += usize::from(reply.status == 201);
        assert_eq!(reply.status, 201, "room {n}, {placed} before: {reply:?}");
        if n % 20 == 0 {
            shard.beat(target).await.unwrap();
        }
    }
    let answers = storm.after(Duration::from_millis(100)).await;
    println!("{placed} of {ROOMS} new rooms were placed beside joins of one token: {answers:?}");
    assert!(answers["too-fast"] > answers["201"], "{answers:?}");
}
