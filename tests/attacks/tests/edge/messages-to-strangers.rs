//! Direct messages to hundreds who do not know him, with as many logins as he likes.

use scenarios::http::Method;
use serde_json::json;
use wire::claims::Permission;

use crate::attacked;
use crate::storm::{Sent, Storm};

/// Strangers to whom somebody may write first in an hour.
const STRANGERS_MAX: usize = 30;
const SENDERS: usize = 16;
/// Messages of each login: what one may is not what holds here.
const MESSAGES_EACH: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn nobody_writes_to_hundreds_of_strangers() {
    let (host, scale, _alone) = attacked().await;
    let target = &host.target;
    let secrets = target.secrets.clone();
    let storm = Storm::start(target, SENDERS, move |sender, turn| {
        let number = sender + SENDERS * turn;
        let mut claims = scenarios::tokens::claims("mal", "direct");
        claims.name = Some((sender + turn / MESSAGES_EACH * SENDERS).to_string());
        claims.grants[0].permissions.push(Permission::Chat);
        Sent {
            method: Method::POST,
            path: format!("/v1/chat/channels/direct~stranger-{number}/messages"),
            token: secrets.sign(&claims),
            body: json!({ "key": format!("k{number}"), "text": "buy my gold" }).to_string(),
        }
    });
    let answers = storm.after(scale.time / 2).await;
    println!("direct messages to strangers, as fast as one player can: {answers:?}");
    let accepted = answers.get("201").copied().unwrap_or(0);
    assert_eq!(accepted, STRANGERS_MAX, "{answers:?}");
    assert!(answers["too-fast"] > 10 * STRANGERS_MAX, "{answers:?}");
    // Others write on.
    let ann = target.secrets.chat_token("ann", "lobby");
    let path = "/v1/chat/channels/direct~bob/messages";
    let body = json!({ "key": "k", "text": "hello" });
    target
        .expect(201, Method::POST, path, &ann, body)
        .await
        .unwrap();
}
