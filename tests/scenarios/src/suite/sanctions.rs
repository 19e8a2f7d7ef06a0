//! Moderators of a room act on its players: at once, and at their next join.

use anyhow::{Result, ensure};
use hyper::Method;
use serde_json::{Value, json};
use wire::RoomKey;
use wire::control::ControlCommand;
use wire::hello::Hello;
use wire::join::JoinReply;

use crate::shard::Shard;
use crate::target::Target;

const OFFER: &str = include_str!("../../../../functions/signalling/tests/offers/chromium.sdp");
const ROOM: &str = "sanction-room";
const SESSIONS: &str = "/v1/rooms/sanction-room/sessions";
const MUTE: &str = "/v1/rooms/sanction-room/mutes/sanction-p1";
const BAN: &str = "/v1/rooms/sanction-room/bans/sanction-p1";

/// Until when the hello of a player's join says that he is silenced.
async fn join(target: &Target, shard: &Shard) -> Result<Option<u64>> {
    let token = target.secrets.token("sanction-p1", ROOM);
    let body = json!({ "offer": OFFER, "region": "sanctions" });
    let reply = target.expect(201, Method::POST, SESSIONS, &token, body);
    let reply: JoinReply = serde_json::from_value(reply.await?)?;
    let heartbeat = &shard.heartbeat;
    let keys = target.secrets.fleet().shard_key(&heartbeat.shard, 0);
    let hello = Hello::open(&reply.hello, &keys.subkeys(), heartbeat.boot)?;
    Ok(hello.muted_until_ms)
}

pub(super) async fn act(target: &Target) -> Result<()> {
    let mut shard = Shard::start(target, "sanction-0", "sanctions").await?;
    let moderator = target.secrets.moderator_token("sanction-mod", ROOM);
    let ask = |method: Method, path: &'static str, body: Value| {
        let moderator = &moderator;
        async move { target.expect(204, method, path, moderator, body).await }
    };
    ensure!(join(target, &shard).await?.is_none());
    ask(Method::PUT, MUTE, json!({ "seconds": 600 })).await?;
    let until_ms = join(target, &shard).await?;
    ensure!(
        until_ms.is_some(),
        "his ticket does not say that he is silenced"
    );
    ask(Method::DELETE, MUTE, Value::Null).await?;
    ensure!(join(target, &shard).await?.is_none());

    ask(Method::PUT, BAN, json!({ "seconds": 600 })).await?;
    let token = target.secrets.token("sanction-p1", ROOM);
    let body = json!({ "offer": OFFER });
    target
        .refuses("banned", Method::POST, SESSIONS, &token, body)
        .await?;
    ask(Method::DELETE, BAN, Value::Null).await?;
    ensure!(join(target, &shard).await?.is_none());

    let room = RoomKey::of(&ROOM.parse()?);
    let player = target
        .secrets
        .fleet()
        .player_key(&"sanction-p1".parse()?, 0);
    let mute = |until_ms| ControlCommand::Mute {
        room,
        player,
        until_ms,
    };
    let told = [
        mute(until_ms),
        mute(None),
        ControlCommand::Kick { room, player },
    ];
    ensure!(shard.commands() == told, "{:?}", shard.commands());

    // What the relay does not take is handed over until it says that it has it.
    shard.set_full(true);
    ask(Method::PUT, MUTE, json!({ "seconds": 600 })).await?;
    let until_ms = join(target, &shard).await?;
    ask(Method::DELETE, MUTE, Value::Null).await?;
    let handed_over = shard.handed_over(target).await?;
    let wanted = [mute(until_ms), mute(None)];
    ensure!(handed_over == wanted, "{handed_over:?}");
    let handed_over = shard.handed_over(target).await?;
    ensure!(handed_over.is_empty(), "again: {handed_over:?}");

    // Nobody else may.
    let body = json!({ "seconds": 1 });
    target
        .refuses("not-moderator", Method::PUT, BAN, &token, body)
        .await
}
