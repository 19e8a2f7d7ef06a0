//! The world channel of a region.

use anyhow::{Result, ensure};
use hyper::Method;
use serde_json::{Value, json};
use wire::Hall;
use wire::control::{ControlCommand, PushTarget};

use crate::shard::Shard;
use crate::target::Target;

const OFFER: &str = include_str!("../../../../functions/signalling/tests/offers/chromium.sdp");

/// The region has few shards, so its world channel is one hall. Of a large one:
/// `functions/chat/tests/it/halls.rs`.
pub(super) async fn is_one_hall(target: &Target) -> Result<()> {
    let shard = Shard::start(target, "hall-0", "hall").await?;
    let elsewhere = Shard::start(target, "hall-other-0", "hall-other").await?;
    let token = target.secrets.chat_token("hall-p1", "hall-room");
    let body = json!({ "offer": OFFER, "region": "hall" });
    let join = "/v1/rooms/hall-room/sessions";
    let joined = target.expect(201, Method::POST, join, &token, body.clone());
    let joined = joined.await?;
    ensure!(joined["world"] == "world~hall", "{joined}");
    let no_grant = target.secrets.token("hall-p2", "hall-room");
    let joined = target.expect(201, Method::POST, join, &no_grant, body);
    let joined = joined.await?;
    ensure!(joined.get("world").is_none(), "{joined}");
    let path = |channel: &str, what: &str| format!("/v1/chat/channels/{channel}/{what}");
    let said = json!({ "key": "a", "text": "hello, world" });
    let messages = path("world~hall", "messages");
    target
        .expect(201, Method::POST, &messages, &token, said.clone())
        .await?;
    let topic = Hall::first("hall".parse()?).topic();
    let commands = shard.commands();
    let [ControlCommand::Push { to, message, .. }] = commands.as_slice() else {
        anyhow::bail!("the relay was told {commands:?}");
    };
    ensure!(*to == PushTarget::Topic { topic }, "{to:?}");
    ensure!(message.contains("hello, world"), "{message}");
    ensure!(elsewhere.commands().is_empty(), "another region was told");
    for none in [
        "world~hall~1",
        "world~hall~255",
        "world~hall~0",
        "world~hall~256",
    ] {
        let messages = path(none, "messages");
        target
            .refuses(
                "name-invalid",
                Method::POST,
                &messages,
                &token,
                said.clone(),
            )
            .await?;
    }
    let moderator = target.secrets.everything_token();
    // In whichever hall it is said.
    for (n, hall) in ["world~hall", "world~hall~7"].into_iter().enumerate() {
        let mute = path(hall, "mutes/hall-p1");
        let how = json!({ "seconds": 600, "reason": "a test" });
        target
            .expect(204, Method::PUT, &mute, &moderator, how)
            .await?;
        let more = json!({ "key": format!("m{n}"), "text": "hello?" });
        target
            .refuses("muted", Method::POST, &messages, &token, more.clone())
            .await?;
        let unmute = path("world~hall", "mutes/hall-p1");
        target
            .expect(204, Method::DELETE, &unmute, &moderator, Value::Null)
            .await?;
        target
            .expect(201, Method::POST, &messages, &token, more)
            .await?;
    }
    Ok(())
}
