//! Relays, homes, joins.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use edge::config::DEFAULT_REGION;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::sleep;
use wire::RoomKey;
use wire::control::ControlCommand;
use wire::fleet::ShardList;
use wire::join::JoinReply;

use crate::shard::Shard;
use crate::target::{Target, check};

const OFFER: &str = include_str!("../../../../functions/signalling/tests/offers/chromium.sdp");
const WHIP_OFFER: &str =
    include_str!("../../../../functions/signalling/tests/offers/aiortc-whip.sdp");
const JOINS_AT_ONCE: usize = 12;
/// Between two joins of a player who may join only so often.
const PAUSE: Duration = Duration::from_millis(300);

async fn join(target: &Target, player: &str, room: &str, region: &str) -> Result<JoinReply> {
    let token = target.secrets.token(player, room);
    let path = format!("/v1/rooms/{room}/sessions");
    let body = json!({ "offer": OFFER, "region": region });
    let reply = target
        .expect(201, Method::POST, &path, &token, body)
        .await?;
    Ok(serde_json::from_value(reply)?)
}

pub(super) async fn a_shard_is_listed(target: &Target) -> Result<()> {
    let shard = Shard::start(target, "listed-0", "listed").await?;
    let token = target.secrets.operator_token();
    for path in ["/v1/relays?region=listed", "/v1/relays"] {
        let list = target.expect(200, Method::GET, path, &token, Value::Null);
        let list: ShardList = serde_json::from_value(list.await?)?;
        let found = list
            .relays
            .iter()
            .find(|listed| listed.record.heartbeat.shard == shard.heartbeat.shard);
        let found = found.with_context(|| format!("{path} lists it"))?;
        ensure!(found.record.heartbeat.control_url == shard.heartbeat.control_url);
        ensure!(!found.record.draining);
    }
    let empty = target.expect(
        200,
        Method::GET,
        "/v1/relays?region=nowhere",
        &token,
        Value::Null,
    );
    ensure!(empty.await? == json!({ "relays": [] }));
    Ok(())
}

pub(super) async fn forged_heartbeats(target: &Target) -> Result<()> {
    let shard = Shard::start(target, "forged-0", "forged").await?;
    for spoil in [
        |signature: &mut String| signature.truncate(signature.len() - 1),
        |signature: &mut String| *signature = "Shard AAAA".to_owned(),
        |signature: &mut String| *signature = "Bearer x".to_owned(),
    ] {
        let (reply, _) = shard.send(target, spoil).await?;
        check(&reply)?;
        ensure!(reply.problem() == "signature-invalid", "{reply:?}");
        ensure!(reply.headers["www-authenticate"] == "Shard");
    }
    Ok(())
}

pub(super) async fn join_and_leave(target: &Target) -> Result<()> {
    let shard = Shard::start(target, "joined-0", "joined").await?;
    let first = join(target, "join-p1", "join-room", "joined").await?;
    let second = join(target, "join-p2", "join-room", "elsewhere").await?;
    for joined in [&first, &second] {
        ensure!(
            joined.relay == shard.heartbeat.shard,
            "both are where the room is"
        );
        ensure!(joined.region.as_str() == "joined");
        ensure!(joined.answer.contains("a=ice-ufrag:") && joined.answer.contains("a=ice-lite"));
        ensure!(
            joined.answer.contains("192.0.2.1 7410"),
            "the shard's address"
        );
    }
    ensure!(first.session != second.session);
    let token = target.secrets.token("join-p1", "join-room");
    let path = format!("/v1/rooms/join-room/sessions/{}", first.session);
    target
        .expect(204, Method::DELETE, &path, &token, Value::Null)
        .await?;
    let commands = shard.commands();
    let [ControlCommand::End { session, .. }] = commands.as_slice() else {
        anyhow::bail!("the relay was told {commands:?}");
    };
    ensure!(*session == first.session.session, "its own session");
    let home = target
        .expect(
            200,
            Method::GET,
            "/v1/homes/join-room",
            &target.secrets.operator_token(),
            Value::Null,
        )
        .await?;
    ensure!(home["shard"] == "joined-0" && home["epoch"] == 1, "{home}");
    Ok(())
}

pub(super) async fn whip(target: &Target) -> Result<()> {
    // WHIP has no way to name a region, so the room is placed in the function's own.
    let _shard = Shard::start(target, "whip-0", DEFAULT_REGION).await?;
    let token = target.secrets.token("whip-p1", "whip-room");
    let url = target.url("/v1/rooms/whip-room/whip");
    let sent = target
        .http
        .send(Method::POST, &url, &token, "application/sdp", WHIP_OFFER);
    let reply = sent.await?;
    check(&reply)?;
    ensure!(reply.status == StatusCode::CREATED, "{reply:?}");
    ensure!(reply.headers["content-type"] == "application/sdp");
    ensure!(reply.body.starts_with(b"v=0"));
    let location = reply.headers["location"].to_str()?;
    target
        .expect(204, Method::DELETE, location, &token, Value::Null)
        .await?;
    Ok(())
}

pub(super) async fn joins_converge(target: &Target) -> Result<()> {
    let _shards = (
        Shard::start(target, "converge-0", "converge").await?,
        Shard::start(target, "converge-1", "converge").await?,
        Shard::start(target, "converge-2", "converge").await?,
    );
    let players: Vec<String> = (0..JOINS_AT_ONCE)
        .map(|i| format!("converge-p{i}"))
        .collect();
    let joins = players
        .iter()
        .map(|player| Box::pin(join(target, player, "converge-room", "converge")) as _);
    let joined = edge::testing::schedule::join_all(joins.collect()).await;
    let joined: Vec<JoinReply> = joined.into_iter().collect::<Result<_>>()?;
    let distinct: std::collections::BTreeSet<&str> =
        joined.iter().map(|reply| reply.relay.as_str()).collect();
    ensure!(distinct.len() == 1, "they are on {distinct:?}");
    Ok(())
}

pub(super) async fn a_drained_shard(target: &Target) -> Result<()> {
    let old = Shard::start(target, "drain-0", "drain").await?;
    let joined = join(target, "drain-p1", "drain-room", "drain").await?;
    ensure!(joined.relay.as_str() == "drain-0");
    let new = Shard::start(target, "drain-1", "drain").await?;
    let operator = target.secrets.operator_token();
    let drain = json!({ "draining": true });
    let record = target.expect(
        200,
        Method::PUT,
        "/v1/relays/drain-0/drain",
        &operator,
        drain,
    );
    ensure!(record.await?["draining"] == true);
    ensure!(old.beat(target).await?.draining, "the shard hears of it");
    ensure!(!new.beat(target).await?.draining);
    let moved = join(target, "drain-p1", "drain-room", "drain").await?;
    ensure!(moved.relay.as_str() == "drain-1", "{}", moved.relay);
    let home = target.expect(
        200,
        Method::GET,
        "/v1/homes/drain-room",
        &operator,
        Value::Null,
    );
    ensure!(home.await?["epoch"] == 2);
    let unknown = json!({ "draining": true });
    target
        .refuses(
            "unknown-relay",
            Method::PUT,
            "/v1/relays/drain-9/drain",
            &operator,
            unknown,
        )
        .await
}

pub(super) async fn a_lost_shard(target: &Target) -> Result<()> {
    let old = Shard::start(target, "lost-0", "lost").await?;
    let joined = join(target, "lost-p1", "lost-room", "lost").await?;
    ensure!(joined.relay.as_str() == "lost-0");
    let new = Shard::start(target, "lost-1", "lost").await?;
    let token = target.secrets.token("lost-p1", "lost-room");
    let body = json!({ "offer": OFFER, "lost": "lost-0" });
    let again = async || {
        let path = "/v1/rooms/lost-room/sessions";
        let reply = target.expect(201, Method::POST, path, &token, body.clone());
        anyhow::Ok(serde_json::from_value::<JoinReply>(reply.await?)?.relay)
    };
    // It answers, however often it is lost: more than a second after its heartbeat, too.
    for _ in 0..5 {
        ensure!(again().await?.as_str() == "lost-0", "it answers");
        sleep(PAUSE).await;
    }
    old.fall_silent();
    // The last heartbeat must be missed first, which the edge waits for.
    let moved = again().await?;
    ensure!(moved.as_str() == "lost-1", "{moved} is silent");
    let found = join(target, "lost-p2", "lost-room", "lost").await?;
    ensure!(found.relay == moved, "everybody follows");
    let told = old.beat(target).await?.moved;
    ensure!(told.len() == 1 && told[0].epoch == 2, "{told:?}");
    ensure!(told[0].room == RoomKey::of(&"lost-room".parse()?));
    ensure!(new.beat(target).await?.moved.is_empty());
    Ok(())
}

pub(super) async fn no_relay(target: &Target) -> Result<()> {
    let token = target.secrets.token("lonely-p1", "lonely-room");
    let body = json!({ "offer": OFFER, "region": "desert" });
    let sent = target.call(
        Method::POST,
        "/v1/rooms/lonely-room/sessions",
        &token,
        &body,
    );
    let reply = sent.await?;
    ensure!(reply.problem() == "no-live-relay", "{reply:?}");
    ensure!(reply.headers.contains_key("retry-after"));
    let operator = target.secrets.operator_token();
    target
        .refuses(
            "unknown-room",
            Method::GET,
            "/v1/homes/lonely-room",
            &operator,
            Value::Null,
        )
        .await
}
