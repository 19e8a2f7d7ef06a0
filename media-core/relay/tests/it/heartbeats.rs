//! What a relay tells the fleet, and what it does when the fleet answers, or does not.

use crate::common::{FakeEdge, WAIT_MAX, call, config, get, metrics_until, sample, start};
use http::StatusCode;
use tokio::time::timeout;
use wire::fleet::ShardState;

#[tokio::test]
async fn the_first_comes_at_once_and_says_all() {
    let mut edge = FakeEdge::start().await;
    let running = start(config(&edge.url, 1)).await;
    let first = edge.heartbeat().await;
    assert_eq!(first.state, ShardState::Open);
    assert_eq!(
        (first.shard.as_str(), first.region.as_str()),
        ("dev-0", "dev")
    );
    assert_eq!(first.candidates[0].address, running.media()[0]);
    assert_eq!(first.control_url, format!("http://{}", running.control()));
    assert!(first.fingerprint.starts_with("sha-256 "));
    assert_eq!((first.capacity, first.load.participants), (100, 0));
    let second = edge.heartbeat().await;
    assert_eq!(second.boot, first.boot);
    let apart_ms = second.sent_at_ms.saturating_sub(first.sent_at_ms);
    assert!(apart_ms >= 1_900, "{apart_ms} ms apart");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn the_ready_line_waits_for_every_shard() {
    let mut edge = FakeEdge::start().await;
    edge.set(StatusCode::SERVICE_UNAVAILABLE, false);
    let running = start(config(&edge.url, 2)).await;
    edge.heartbeat().await;
    let (status, body) = get(running.health(), "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("heartbeat-never-accepted"), "{body}");
    // Nobody is to be sent there, and nobody is to kill it for that.
    assert_eq!(get(running.health(), "/healthz").await.0, StatusCode::OK);
    edge.set(StatusCode::OK, false);
    let line = timeout(WAIT_MAX, running.ready()).await.unwrap();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["event"], "ready");
    assert_eq!(line["shards"], serde_json::json!(["dev-0-0", "dev-0-1"]));
    assert_eq!(line["media"].as_array().unwrap().len(), 2);
    assert_eq!(get(running.health(), "/readyz").await.0, StatusCode::OK);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn shards_have_their_own_port_and_boot() {
    let mut edge = FakeEdge::start().await;
    let running = start(config(&edge.url, 2)).await;
    let (a, b) = (edge.heartbeat().await, edge.heartbeat().await);
    assert_ne!(a.shard, b.shard);
    assert_ne!(a.boot, b.boot);
    assert_ne!(a.candidates, b.candidates);
    assert_eq!(a.control_url, b.control_url);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_refusal_is_retried_soon_and_counted() {
    let mut edge = FakeEdge::start().await;
    edge.set(StatusCode::UNAUTHORIZED, false);
    let running = start(config(&edge.url, 1)).await;
    let first = edge.heartbeat().await.sent_at_ms;
    let second = edge.heartbeat().await.sent_at_ms;
    assert!(
        (240..1_500).contains(&(second - first)),
        "{} ms apart",
        second - first
    );
    edge.set(StatusCode::OK, false);
    let accepted = "relay_heartbeats_total{shard=\"dev-0\",outcome=\"accepted\"}";
    let text = metrics_until(running.health(), |text| sample(text, accepted) >= 1.0).await;
    let failed = sample(
        &text,
        "relay_heartbeats_total{shard=\"dev-0\",outcome=\"failed\"}",
    );
    assert!(failed >= 2.0);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_relay_goes_by_the_clock_of_the_edge_and_counts_its_heartbeats() {
    const HOUR_MS: u64 = 3_600_000;
    let mut edge = FakeEdge::start().await;
    let running = start(config(&edge.url, 1)).await;
    let first = edge.heartbeat().await;
    // Forth by its replies; and back, where it takes no heartbeat any more, by their date.
    for (status, clock_ms) in [
        (StatusCode::OK, first.sent_at_ms + HOUR_MS),
        (StatusCode::BAD_REQUEST, first.sent_at_ms),
    ] {
        edge.answer.lock().unwrap().clock_ms = Some(clock_ms);
        edge.set(status, false);
        let near = |ms: u64| ms.abs_diff(clock_ms) < 20_000;
        let mut last = edge.heartbeat().await;
        while !near(last.sent_at_ms) {
            let next = edge.heartbeat().await;
            assert_eq!(next.sequence, last.sequence + 1);
            last = next;
        }
        edge.answer.lock().unwrap().clock_ms = None;
        edge.set(StatusCode::OK, false);
    }
    running.stop().await.unwrap();
}

#[tokio::test]
async fn an_edge_that_is_not_there_yet_is_no_reason_to_end() {
    let mut running = start(config("http://127.0.0.1:1", 1)).await;
    let failed = "relay_heartbeats_total{shard=\"dev-0\",outcome=\"failed\"}";
    metrics_until(running.health(), |text| sample(text, failed) >= 2.0).await;
    let failure = timeout(std::time::Duration::ZERO, running.failure()).await;
    assert!(failure.is_err(), "nothing has failed");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_drain_is_followed_and_told_at_once() {
    let mut edge = FakeEdge::start().await;
    let running = start(config(&edge.url, 1)).await;
    assert_eq!(edge.heartbeat().await.state, ShardState::Open);
    edge.set(StatusCode::OK, true);
    let before = edge.heartbeat().await;
    assert_eq!(before.state, ShardState::Open);
    let told = edge.heartbeat().await;
    assert_eq!(told.state, ShardState::Draining);
    assert!(told.sent_at_ms - before.sent_at_ms < 1_500);
    let (_, text) = get(running.health(), "/metrics").await;
    assert_eq!(sample(&text, "relay_draining{shard=\"dev-0\"}"), 1.0);
    let (status, body) = get(running.health(), "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("\"draining\""), "{body}");
    edge.set(StatusCode::OK, false);
    assert_eq!(edge.heartbeat().await.state, ShardState::Draining);
    assert_eq!(edge.heartbeat().await.state, ShardState::Open);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn the_last_says_stopping() {
    let mut edge = FakeEdge::start().await;
    let running = start(config(&edge.url, 2)).await;
    timeout(WAIT_MAX, running.ready()).await.unwrap();
    edge.waiting();
    let endpoints = [running.control(), running.health()];
    timeout(std::time::Duration::from_secs(2), running.stop())
        .await
        .unwrap()
        .unwrap();
    let states = [edge.heartbeat().await.state, edge.heartbeat().await.state];
    assert_eq!(states, [ShardState::Stopping; 2]);
    assert_eq!(edge.waiting(), 0);
    for endpoint in endpoints {
        let connected = tokio::net::TcpStream::connect(endpoint).await;
        assert!(connected.is_err(), "the endpoints are closed");
    }
}

#[tokio::test]
async fn a_relay_ends_in_time_although_the_edge_does_not_answer() {
    // A listener that accepts and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let running = start(config(
        &format!("http://{}", silent.local_addr().unwrap()),
        1,
    ))
    .await;
    let (status, _) = call(running.health(), "GET", "/readyz", &[], "").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    timeout(std::time::Duration::from_secs(2), running.stop())
        .await
        .unwrap()
        .unwrap();
}
