//! Long polls of one player, more than a host has instances, and of a crowd of tokens of his:
//! others join, and the relay is heard.

use std::time::{Duration, Instant};

use scenarios::http::Method;
use scenarios::requests::OFFER;
use scenarios::shard::Shard;
use scenarios::target::Target;
use serde_json::json;

use crate::attacked;
use crate::storm::{Sent, Storm};

/// Longest time of a join, where the machine has other things to do.
const JOIN_MAX: Duration = Duration::from_secs(5);

async fn joins(target: &Target, shard: &Shard, count: usize, of: &str) -> Vec<Duration> {
    let mut took = Vec::new();
    for n in 0..count {
        let token = target.secrets.token(&format!("{of}-{n}"), "quiet");
        let body = json!({ "offer": OFFER, "region": "polls" });
        let began = now();
        let reply = target
            .call(Method::POST, "/v1/rooms/quiet/sessions", &token, &body)
            .await
            .unwrap();
        assert_eq!(reply.status, 201, "join {n}: {reply:?}");
        took.push(began.elapsed());
        shard.beat(target).await.unwrap();
    }
    took.sort();
    took
}

#[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
fn now() -> Instant {
    Instant::now()
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_keep_nobody_from_joining() {
    let (host, scale, _alone) = attacked().await;
    let target = &host.target;
    let shard = Shard::start(target, "polls-0", "polls").await.unwrap();
    let polls = if scale.is_large { 1_000 } else { 140 };
    for tokens in [1, polls] {
        let secrets = target.secrets.clone();
        let storm = Storm::start(target, polls, move |sender, _| Sent {
            method: Method::GET,
            path: "/v1/chat/channels/room~noise~main/messages?after=0&wait=20".to_owned(),
            token: secrets.another_token("mal", "noise", sender % tokens),
            body: String::new(),
        });
        let took = joins(target, &shard, 60, &format!("of-{tokens}")).await;
        let answers = storm.end().await;
        println!(
            "{polls} polls of {tokens} tokens of one player: 60 of 60 joins, p50 {:?}, longest \
             {:?}; they were told {answers:?}",
            took[30], took[59]
        );
        assert!(took[59] < JOIN_MAX);
    }
}
