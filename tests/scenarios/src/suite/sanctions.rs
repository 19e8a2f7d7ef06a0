//! Moderators of a room act on its players: at once, and at their next join.

use anyhow::{Result, ensure};
use hyper::Method;
use serde_json::{Value, json};
use wire::channel::Participant;
use wire::control::ControlCommand;
use wire::hello::Hello;
use wire::join::JoinReply;
use wire::moderation::{RoomPlayer, RoomPlayers};
use wire::{RoomKey, SessionId};

use crate::shard::Shard;
use crate::target::Target;

const OFFER: &str = include_str!("../../../../functions/signalling/tests/offers/chromium.sdp");
const ROOM: &str = "sanction-room";
const SESSIONS: &str = "/v1/rooms/sanction-room/sessions";
const MUTE: &str = "/v1/rooms/sanction-room/mutes/sanction-p1";
const PLAYERS: &str = "/v1/rooms/sanction-room/players";
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

    shard.set_full(false);
    list(target, &shard, &moderator, &token).await?;

    // Nobody else may.
    let body = json!({ "seconds": 1 });
    target
        .refuses("not-moderator", Method::PUT, BAN, &token, body)
        .await
}

/// Whoever moderates the room learns who is in its voice: many, page by page.
async fn list(target: &Target, shard: &Shard, moderator: &str, other: &str) -> Result<()> {
    let all: Vec<RoomPlayer> = (1..=1500).map(player).collect();
    shard.set_players(all.clone());
    let mut listed = Vec::new();
    loop {
        let after = listed
            .last()
            .map_or(0, |one: &RoomPlayer| one.participant.id);
        let path = format!("{PLAYERS}?after={after}");
        let reply = target.expect(200, Method::GET, &path, moderator, Value::Null);
        let page: RoomPlayers = serde_json::from_value(reply.await?)?;
        listed.extend(page.players);
        let Some(next) = page.next else {
            break;
        };
        let last = listed.last().map(|one| one.participant.id);
        ensure!(last == Some(next), "{next} is not the last of the page");
    }
    ensure!(
        listed == all,
        "{} of {} are listed",
        listed.len(),
        all.len()
    );
    let refuses = |problem: &'static str, query: &str, token: &str| {
        let (path, token) = (format!("{PLAYERS}{query}"), token.to_owned());
        async move {
            target
                .refuses(problem, Method::GET, &path, &token, Value::Null)
                .await
        }
    };
    refuses("not-moderator", "", other).await?;
    let elsewhere = target.secrets.moderator_token("sanction-mod", "other-room");
    refuses("not-moderator", "", &elsewhere).await?;
    refuses("cursor-invalid", "?after=x", moderator).await?;
    shard.set_repeats(true);
    refuses("no-live-relay", "", moderator).await?;
    shard.set_repeats(false);
    shard.set_full(true);
    refuses("overloaded", "", moderator).await?;
    shard.set_full(false);
    // Nobody is in a room without a home.
    let owner = target.secrets.moderator_token("sanction-mod", "no-room");
    let path = "/v1/rooms/no-room/players";
    let reply = target.expect(200, Method::GET, path, &owner, Value::Null);
    ensure!(reply.await? == json!({ "players": [] }));
    Ok(())
}

/// One with a name as long as there may be.
fn player(id: u32) -> RoomPlayer {
    RoomPlayer {
        participant: Participant {
            id,
            player: format!("sanction-p{id}").parse().ok(),
            name: "\u{1f600}".repeat(64),
            channels: vec!["main".parse().expect("a name")],
            muted: true,
            server_muted: false,
            deafened: false,
            speaker: true,
        },
        session: SessionId([7; 8]),
        talking: false,
        since_ms: 1_700_000_000_000,
    }
}
