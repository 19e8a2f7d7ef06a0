//! Queues and matches.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use hyper::Method;
use serde_json::{Value, json};

use crate::shard::Shard;
use crate::target::Target;

/// Requests for one ticket before a match is given up.
const MAX_POLLS: usize = 40;

async fn queue_up(target: &Target, player: &str, key: &str) -> Result<Value> {
    let token = target.secrets.token(player, "none");
    let body = json!({ "key": key, "players": [{ "player": player, "details": {} }] });
    let path = "/v1/match/queues/duel/tickets";
    target.expect(201, Method::POST, path, &token, body).await
}

/// Asks for a ticket as often as the reply says until it is matched.
async fn matched(target: &Target, player: &str, ticket: &Value) -> Result<Value> {
    let id = ticket["ticket"].as_str().context("a ticket has an id")?;
    let path = format!("/v1/match/queues/duel/tickets/{id}");
    let token = target.secrets.token(player, "none");
    for _ in 0..MAX_POLLS {
        let state = target
            .expect(200, Method::GET, &path, &token, Value::Null)
            .await?;
        if state["status"] == "matched" {
            return Ok(state["match"].clone());
        }
        let pause_ms = state["poll_after_ms"].as_u64().unwrap_or(100);
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }
    bail!("{player} is not matched after {MAX_POLLS} requests")
}

pub(super) async fn two_meet(target: &Target) -> Result<()> {
    let _shard = Shard::start(target, "meet-0", "meet").await?;
    let ann = queue_up(target, "meet-ann", "a").await?;
    let again = queue_up(target, "meet-ann", "a").await?;
    ensure!(
        ann["ticket"] == again["ticket"],
        "a retry is the same ticket"
    );
    let bob = queue_up(target, "meet-bob", "a").await?;
    let tick = "/v1/match/queues/duel/tick";
    let operator = target.secrets.operator_token();
    target
        .expect(200, Method::POST, tick, &operator, Value::Null)
        .await?;
    let player = target.secrets.token("meet-ann", "none");
    target
        .refuses("operator-only", Method::POST, tick, &player, Value::Null)
        .await?;
    let ann = matched(target, "meet-ann", &ann).await?;
    let bob = matched(target, "meet-bob", &bob).await?;
    ensure!(
        ann["id"] == bob["id"] && ann["room"] == bob["room"],
        "{ann} {bob}"
    );
    let seat = ann["seat"]["token"].as_str().context("a seat")?;
    let room = ann["room"].as_str().context("a room")?;
    ensure!(!seat.is_empty() && room.starts_with("match-"), "{ann}");
    Ok(())
}

pub(super) async fn who_leaves(target: &Target) -> Result<()> {
    let ticket = queue_up(target, "leave-ann", "a").await?;
    let id = ticket["ticket"].as_str().context("a ticket has an id")?;
    let path = format!("/v1/match/queues/duel/tickets/{id}");
    let token = target.secrets.token("leave-ann", "none");
    let other = target.secrets.token("leave-eve", "none");
    let theirs = target
        .call(Method::GET, &path, &other, &Value::Null)
        .await?;
    ensure!(theirs.status.is_client_error(), "{theirs:?}");
    let left = target
        .call(Method::DELETE, &path, &token, &Value::Null)
        .await?;
    ensure!(left.status.is_success(), "{left:?}");
    let missing = "/v1/match/queues/no-such-queue";
    target
        .refuses("unknown-queue", Method::GET, missing, &token, Value::Null)
        .await
}
