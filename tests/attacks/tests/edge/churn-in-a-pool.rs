//! A queue in which many do nothing but queue up and take it back, as fast as they are let; and
//! pairs of others who want a duel.

use std::time::{Duration, Instant};

use scenarios::http::Method;
use scenarios::shard::Shard;
use scenarios::target::Target;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::attacked;

const TICKETS: &str = "/v1/match/queues/attacked/tickets";
/// Longest wait of nine in ten, where the machine has other things to do; whose partner was given to
/// one of those who go waits until somebody else comes.
const WAIT_MAX: Duration = Duration::from_secs(5);

#[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
fn now() -> Instant {
    Instant::now()
}

fn body(player: &str, key: usize) -> Value {
    json!({ "key": format!("k{key}"), "players": [{ "player": player, "details": {} }] })
}

/// Queues up and takes it back until it is ended; it adds up how often.
async fn churn(target: &Target, number: usize, count: &std::sync::atomic::AtomicUsize) {
    let player = format!("mal-{number}");
    for turn in 0.. {
        let token = target.secrets.another_token(&player, "duel", turn / 20);
        let body = body(&player, turn);
        let asked = target.call(Method::POST, TICKETS, &token, &body);
        let Ok(reply) = asked.await else { continue };
        let Ok(ticket) = reply.json::<Value>() else {
            continue;
        };
        if let Some(id) = ticket["ticket"].as_str() {
            let path = format!("{TICKETS}/{id}");
            let _ = target
                .call(Method::DELETE, &path, &token, &Value::Null)
                .await;
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

/// Queues up, and asks as it is told until there is a match. How long that took.
async fn play(target: &Target, player: String) -> Duration {
    let began = now();
    let token = target.secrets.token(&player, "duel");
    let queued = target.expect(201, Method::POST, TICKETS, &token, body(&player, 0));
    let mut ticket = queued.await.unwrap();
    let path = format!("{TICKETS}/{}", ticket["ticket"].as_str().unwrap());
    while ticket["status"] != "matched" {
        let pause_ms = ticket["poll_after_ms"].as_u64().unwrap_or(100);
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        let asked = target.expect(200, Method::GET, &path, &token, Value::Null);
        ticket = asked.await.unwrap();
    }
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_and_goes_keeps_nobody_waiting() {
    let (host, scale, _alone) = attacked().await;
    let host = std::sync::Arc::new(host);
    let shard = Shard::start(&host.target, "churn-0", "churn")
        .await
        .unwrap();
    let mode = json!({
        "mode": "duel", "version": 1, "max_wait_s": 60,
        "teams": [{ "name": "side", "count": 2, "players": { "min": 1, "max": 1 } }],
    });
    let rules = json!({ "version": 1, "modes": [mode] });
    let operator = host.target.secrets.operator_token();
    let path = "/v1/match/queues/attacked";
    let set = host.target.expect(200, Method::PUT, path, &operator, rules);
    set.await.unwrap();

    let (churners, pairs) = if scale.is_large { (300, 20) } else { (30, 4) };
    let count = std::sync::Arc::<std::sync::atomic::AtomicUsize>::default();
    let mut storm = JoinSet::new();
    for number in 0..churners {
        let (host, count) = (host.clone(), count.clone());
        storm.spawn(async move { churn(&host.target, number, &count).await });
    }
    let mut waits = Vec::new();
    for pair in 0..pairs {
        let both = tokio::join!(
            play(&host.target, format!("ann-{pair}")),
            play(&host.target, format!("bob-{pair}")),
        );
        waits.extend([both.0, both.1]);
        shard.beat(&host.target).await.unwrap();
    }
    storm.shutdown().await;
    waits.sort();
    let came = count.load(std::sync::atomic::Ordering::Relaxed);
    println!(
        "{came} tickets of {churners} taken back at once: {} others waited {:?} (p50), {:?} at most",
        waits.len(),
        waits[waits.len() / 2],
        waits[waits.len() - 1]
    );
    assert!(came >= 5 * churners, "the attack is one: {came}");
    assert!(waits[waits.len() * 9 / 10 - 1] < WAIT_MAX, "{waits:?}");
}
