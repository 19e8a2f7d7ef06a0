//! A child whose direct messages are off, and a game that grants rooms by the names of kinds of
//! channels: no spelling leads past either.

use scenarios::http::Method;
use scenarios::requests::OFFER;
use serde_json::{Value, json};
use wire::claims::{Age, Grant, Permission};

use crate::attacked;

#[tokio::test(flavor = "multi_thread")]
async fn no_name_of_a_room_opens_another_kind_of_channel() {
    let (host, _, _alone) = attacked().await;
    let target = &host.target;
    let of_age = |player: &str, age: Age| {
        let mut claims = scenarios::tokens::claims(player, "lobby");
        claims.profile.age = Some(age);
        for room in ["direct", "world", "kim", "mal"] {
            claims.grants.push(Grant {
                room: room.to_owned(),
                channels: vec!["*".to_owned()],
                permissions: vec![Permission::Speak, Permission::Listen, Permission::Chat],
            });
        }
        target.secrets.sign(&claims)
    };
    let (adult, child) = (of_age("mal", Age::Adult), of_age("kim", Age::Child));
    let post = json!({ "key": "k", "text": "where do you live" });

    // What an adult writes to a child, the child does not read, under any name of the channel.
    let path = "/v1/chat/channels/direct~kim/messages";
    let sent = target.call(Method::POST, path, &adult, &post);
    println!("an adult to a child: {}", sent.await.unwrap().status);
    let mut refused = 0;
    for channel in [
        "direct~mal",
        "direct%7Emal",
        "%64irect~mal",
        "Direct~mal",
        "direct~~mal",
        "direct~mal~",
        "room~direct~mal",
        "room%7Edirect~mal",
        "room~direct~kim",
        "room~world~dev",
        "party~direct",
        "party~world",
        "world~dev",
    ] {
        let path = format!("/v1/chat/channels/{channel}/messages");
        for (method, body) in [(Method::GET, &Value::Null), (Method::POST, &post)] {
            let reply = target
                .call(method.clone(), &path, &child, body)
                .await
                .unwrap();
            let problem = reply.problem();
            assert!(
                ["policy-refused", "name-invalid"].contains(&problem.as_str()),
                "{method} {channel}: {reply:?}"
            );
            refused += 1;
        }
    }
    // Nor is there a room of such a name, whatever the token grants.
    for room in ["direct", "world"] {
        for wanted in ["sessions", "whip"] {
            let path = format!("/v1/rooms/{room}/{wanted}");
            let body = json!({ "offer": OFFER });
            let refusal = target.refuses("name-invalid", Method::POST, &path, &adult, body);
            refusal.await.unwrap();
            refused += 1;
        }
    }
    println!("{refused} spellings of a channel or room are refused");
}
