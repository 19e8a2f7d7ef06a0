//! Text chat.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use hyper::Method;
use serde_json::{Value, json};
use wire::control::{ControlCommand, PushTarget};

use crate::shard::Shard;
use crate::target::Target;

const AUTHORS: usize = 6;
const MESSAGES_EACH: usize = 4;
/// Polls until a message has come, at the pace that the host says.
const POLLS_MAX: usize = 5;

/// The messages of a room's channel.
fn messages(room: &str) -> String {
    format!("/v1/chat/channels/room~{room}~main/messages")
}

async fn post(target: &Target, token: &str, path: &str, key: &str, text: &str) -> Result<u64> {
    let body = json!({ "key": key, "text": text });
    let reply = target.expect(201, Method::POST, path, token, body).await?;
    reply["message"]["seq"].as_u64().context("a number")
}

pub(super) async fn a_conversation(target: &Target) -> Result<()> {
    let (token, path) = (
        target.secrets.chat_token("talk-p1", "talk"),
        messages("talk"),
    );
    let other = target.secrets.chat_token("talk-p2", "talk");
    let first = post(target, &token, &path, "a", "good morning").await?;
    let second = post(target, &other, &path, "a", "and to you \u{1f44b}").await?;
    ensure!(second == first + 1, "{first} {second}");
    let edit = json!({ "text": "good evening", "version": 1 });
    let stale = json!({ "text": "good night", "version": 1 });
    let one = format!("{path}/{first}");
    target
        .expect(200, Method::PATCH, &one, &token, edit.clone())
        .await?;
    target
        .refuses("version-conflict", Method::PATCH, &one, &token, stale)
        .await?;
    target
        .refuses("not-moderator", Method::PATCH, &one, &other, edit)
        .await?;
    let two = format!("{path}/{second}");
    target
        .expect(200, Method::DELETE, &two, &other, Value::Null)
        .await?;
    let history = target
        .expect(200, Method::GET, &path, &token, Value::Null)
        .await?;
    let texts: Vec<&Value> = history["messages"]
        .as_array()
        .context("messages")?
        .iter()
        .map(|message| &message["text"])
        .collect();
    ensure!(texts == [&json!("good evening"), &Value::Null], "{history}");
    ensure!(history["messages"][1]["deleted"] == "author");
    Ok(())
}

pub(super) async fn a_retry(target: &Target) -> Result<()> {
    let (token, path) = (
        target.secrets.chat_token("retry-p1", "retry"),
        messages("retry"),
    );
    let first = post(target, &token, &path, "once", "hello").await?;
    let again = post(target, &token, &path, "once", "hello").await?;
    ensure!(first == again);
    let next = post(target, &token, &path, "twice", "hello").await?;
    ensure!(next == first + 1);
    Ok(())
}

pub(super) async fn waits(target: &Target) -> Result<()> {
    let path = messages("waits");
    let [author, reader] =
        ["waits-p1", "waits-p2"].map(|player| target.secrets.chat_token(player, "waits"));
    let first = post(target, &author, &path, "a", "one").await?;
    let asked = format!("{path}?after={first}&wait=20");
    let read = async {
        for _ in 0..POLLS_MAX {
            let page = target
                .expect(200, Method::GET, &asked, &reader, Value::Null)
                .await?;
            if page["next"].is_u64() {
                return Ok(page);
            }
            let pause_ms = page["poll_after_ms"].as_u64().context("a pace")?;
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        }
        bail!("the message never came")
    };
    // Nobody else writes there, so what is waited for is in this one post.
    let (page, posted) = tokio::join!(read, post(target, &author, &path, "b", "two"));
    let (page, posted) = (page?, posted?);
    ensure!(page["messages"][0]["seq"] == posted, "{page}");
    ensure!(page["messages"][0]["text"] == "two", "{page}");
    ensure!(page["poll_after_ms"].is_null(), "{page}");
    let odd = format!("{path}?wait=soon");
    target
        .refuses("cursor-invalid", Method::GET, &odd, &reader, Value::Null)
        .await
}

pub(super) async fn many_authors(target: &Target) -> Result<()> {
    let path = messages("crowd");
    let authors = (0..AUTHORS).map(|author| {
        let token = target
            .secrets
            .chat_token(&format!("crowd-p{author}"), "crowd");
        let path = &path;
        Box::pin(async move {
            let mut numbers = Vec::new();
            for n in 0..MESSAGES_EACH {
                let key = format!("k{n}");
                // A crowd may lose every attempt; the key makes the next request the same message.
                for _ in 0..20 {
                    let body = json!({ "key": key, "text": "hi" });
                    let reply = target.call(Method::POST, path, &token, &body).await?;
                    if reply.status == 201 {
                        let message: Value = reply.json()?;
                        numbers.extend(message["message"]["seq"].as_u64());
                        break;
                    }
                    ensure!(reply.problem() == "conflict", "{reply:?}");
                }
            }
            Ok(numbers)
        }) as _
    });
    let numbers: Vec<Result<Vec<u64>>> = edge::testing::schedule::join_all(authors.collect()).await;
    let mut all = Vec::new();
    for numbers in numbers {
        let numbers = numbers?;
        ensure!(numbers.is_sorted(), "an author's messages keep their order");
        all.extend(numbers);
    }
    let distinct: BTreeSet<u64> = all.iter().copied().collect();
    let (first, last) = (
        *distinct.first().context("none")?,
        *distinct.last().context("none")?,
    );
    let count = (AUTHORS * MESSAGES_EACH) as u64;
    ensure!(
        all.len() as u64 == count && distinct.len() as u64 == count,
        "{all:?}"
    );
    ensure!(last - first + 1 == count, "no gaps: {distinct:?}");
    Ok(())
}

pub(super) async fn pushed(target: &Target) -> Result<()> {
    let shard = Shard::start(target, "push-0", "push").await?;
    let token = target.secrets.token("push-p1", "push-room");
    let offer = include_str!("../../../../functions/signalling/tests/offers/chromium.sdp");
    let body = json!({ "offer": offer, "region": "push" });
    let path = "/v1/rooms/push-room/sessions";
    target.expect(201, Method::POST, path, &token, body).await?;
    let token = target.secrets.chat_token("push-p1", "push-room");
    post(target, &token, &messages("push-room"), "a", "anybody here?").await?;
    let commands = shard.commands();
    let [ControlCommand::Push { to, message, .. }] = commands.as_slice() else {
        anyhow::bail!("the relay was told {commands:?}");
    };
    ensure!(matches!(to, PushTarget::Channel { .. }), "{to:?}");
    ensure!(message.contains("anybody here?"), "{message}");
    Ok(())
}

pub(super) async fn reactions(target: &Target) -> Result<()> {
    let (token, path) = (
        target.secrets.chat_token("react-p1", "react"),
        messages("react"),
    );
    let other = target.secrets.chat_token("react-p2", "react");
    let seq = post(target, &token, &path, "a", "a goal!").await?;
    let thumb = format!("{path}/{seq}/reactions/%F0%9F%91%8D");
    for token in [&token, &other, &other] {
        target
            .expect(204, Method::PUT, &thumb, token, Value::Null)
            .await?;
    }
    let count = async || -> Result<Value> {
        let history = target
            .expect(200, Method::GET, &path, &token, Value::Null)
            .await?;
        Ok(history["messages"][0]["reactions"].clone())
    };
    ensure!(count().await? == json!([{ "reaction": "\u{1f44d}", "count": 2, "mine": true }]));
    target
        .expect(204, Method::DELETE, &thumb, &token, Value::Null)
        .await?;
    ensure!(count().await?[0]["count"] == 1);
    target
        .expect(204, Method::DELETE, &thumb, &other, Value::Null)
        .await?;
    let left = count().await?;
    ensure!(left.is_null() || left == json!([]), "{left}");
    Ok(())
}

pub(super) async fn unread(target: &Target) -> Result<()> {
    let (token, path) = (
        target.secrets.chat_token("read-p1", "read"),
        messages("read"),
    );
    let reader = target.secrets.chat_token("read-p2", "read");
    let mut last = 0;
    for key in ["a", "b", "c"] {
        last = post(target, &token, &path, key, "news").await?;
    }
    let marker = json!({ "seq": last - 1 });
    let read = "/v1/chat/channels/room~read~main/read";
    target
        .expect(200, Method::PUT, read, &reader, marker)
        .await?;
    // A marker never goes back.
    let back = json!({ "seq": last - 2 });
    let kept = target.expect(200, Method::PUT, read, &reader, back).await?;
    ensure!(kept["seq"] == last - 1, "{kept}");
    let asked = "/v1/chat/unread?in=room~read~main";
    let unread = target
        .expect(200, Method::GET, asked, &reader, Value::Null)
        .await?;
    ensure!(unread["channels"][0]["unread"] == 1, "{unread}");
    Ok(())
}

pub(super) async fn moderation(target: &Target) -> Result<()> {
    let (token, path) = (target.secrets.chat_token("mod-p1", "mod"), messages("mod"));
    let moderator = target.secrets.moderator_token("mod-m", "mod");
    let channel = "/v1/chat/channels/room~mod~main";
    let settings = format!("{channel}/settings");
    let locked = json!({ "locked": true, "slow_s": 0 });
    target
        .refuses(
            "not-moderator",
            Method::PUT,
            &settings,
            &token,
            locked.clone(),
        )
        .await?;
    target
        .expect(200, Method::PUT, &settings, &moderator, locked)
        .await?;
    let body = json!({ "key": "a", "text": "hello" });
    target
        .refuses("channel-locked", Method::POST, &path, &token, body.clone())
        .await?;
    let open = json!({ "locked": false, "slow_s": 0 });
    target
        .expect(200, Method::PUT, &settings, &moderator, open)
        .await?;
    target
        .expect(201, Method::POST, &path, &token, body)
        .await?;
    let mute = format!("{channel}/mutes/mod-p1");
    let how = json!({ "seconds": 600, "reason": "a test" });
    target
        .expect(204, Method::PUT, &mute, &moderator, how)
        .await?;
    let more = json!({ "key": "b", "text": "hello?" });
    target
        .refuses("muted", Method::POST, &path, &token, more.clone())
        .await?;
    target
        .expect(204, Method::DELETE, &mute, &moderator, Value::Null)
        .await?;
    target
        .expect(201, Method::POST, &path, &token, more)
        .await?;
    let audit = format!("{channel}/audit");
    target
        .refuses("not-moderator", Method::GET, &audit, &token, Value::Null)
        .await?;
    let trail = target
        .expect(200, Method::GET, &audit, &moderator, Value::Null)
        .await?;
    let entries = trail["entries"].as_array().context("entries")?.len();
    ensure!(entries == 4, "two settings, a mute, its end: {trail}");
    Ok(())
}

pub(super) async fn reports(target: &Target) -> Result<()> {
    let (token, path) = (
        target.secrets.chat_token("report-p1", "report"),
        messages("report"),
    );
    let other = target.secrets.chat_token("report-p2", "report");
    let seq = post(target, &token, &path, "a", "something nasty").await?;
    let report = json!({ "reason": "it is nasty" });
    let address = format!("{path}/{seq}/report");
    target
        .expect(201, Method::POST, &address, &other, report)
        .await?;
    let moderator = target.secrets.moderator_token("report-m", "report");
    let list = "/v1/chat/channels/room~report~main/reports";
    let list = target
        .expect(200, Method::GET, list, &moderator, Value::Null)
        .await?;
    ensure!(
        list["reports"][0]["seq"] == seq && list["reports"][0]["reporter"] == "report-p2",
        "{list}"
    );
    ensure!(list["reports"][0]["messages"][0]["text"] == "something nasty");
    Ok(())
}

pub(super) async fn blocks(target: &Target) -> Result<()> {
    let token = target.secrets.chat_token("block-p1", "block");
    let other = target.secrets.chat_token("block-p2", "block");
    let path = "/v1/chat/channels/direct~block-p1/messages";
    post(target, &other, path, "a", "hello").await?;
    let block = "/v1/chat/blocks/block-p2";
    target
        .expect(204, Method::PUT, block, &token, Value::Null)
        .await?;
    let list = target
        .expect(200, Method::GET, "/v1/chat/blocks", &token, Value::Null)
        .await?;
    ensure!(list == json!({ "players": ["block-p2"] }), "{list}");
    let body = json!({ "key": "b", "text": "why?" });
    target
        .refuses("blocked", Method::POST, path, &other, body.clone())
        .await?;
    target
        .expect(204, Method::DELETE, block, &token, Value::Null)
        .await?;
    target.expect(201, Method::POST, path, &other, body).await?;
    Ok(())
}

pub(super) async fn presence(target: &Target) -> Result<()> {
    let token = target.secrets.chat_token("here-p1", "here");
    let other = target.secrets.chat_token("here-p2", "here");
    let set = json!({ "status": "busy" });
    target
        .expect(204, Method::PUT, "/v1/chat/presence", &token, set)
        .await?;
    let asked = "/v1/chat/presence?players=here-p1,here-p2";
    let shown = target
        .expect(200, Method::GET, asked, &other, Value::Null)
        .await?;
    let wanted = json!({ "players": [
        { "player": "here-p1", "status": "busy" },
        { "player": "here-p2", "status": "offline" },
    ] });
    ensure!(shown == wanted, "{shown}");
    Ok(())
}

pub(super) async fn data_of_a_player(target: &Target) -> Result<()> {
    let (token, path) = (
        target.secrets.chat_token("data-p1", "data"),
        messages("data"),
    );
    let other = target.secrets.chat_token("data-p2", "data");
    post(target, &token, &path, "a", "my secret").await?;
    post(target, &other, &path, "a", "not mine").await?;
    let privacy = target.secrets.privacy_token();
    let data = "/v1/chat/players/data-p1/data";
    let exported = target
        .expect(200, Method::GET, data, &privacy, Value::Null)
        .await?
        .to_string();
    ensure!(
        exported.contains("my secret") && !exported.contains("not mine"),
        "{exported}"
    );
    let mut cursor = String::new();
    for _ in 0..20 {
        let address = format!("{data}{cursor}");
        let step = target
            .expect(200, Method::DELETE, &address, &privacy, Value::Null)
            .await?;
        match step["next"].as_str() {
            Some(next) => cursor = format!("?next={next}"),
            None => break,
        }
    }
    let history = target
        .expect(200, Method::GET, &path, &other, Value::Null)
        .await?
        .to_string();
    ensure!(
        !history.contains("my secret") && history.contains("not mine"),
        "{history}"
    );
    Ok(())
}
