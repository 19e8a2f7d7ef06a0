//! What is refused, and how that is said.

use anyhow::{Result, ensure};
use hyper::Method;
use serde_json::{Value, json};
use wire::claims::{Claims, Role};
use wire::limits::MAX_BODY_BYTES;
use wire::routes::{Auth, JSON, ROUTES};

use crate::target::{Target, check};
use crate::tokens::{Secrets, claims};

const JOIN: &str = "/v1/rooms/refused/sessions";

pub(super) async fn tokens(target: &Target) -> Result<()> {
    let good = claims("refused-p1", "refused");
    let token = target.secrets.sign(&good);
    let expired = target.secrets.sign(&Claims {
        exp: 1_000,
        ..good.clone()
    });
    let audience = target.secrets.sign(&Claims {
        aud: "another".into(),
        ..good.clone()
    });
    let other_room = target.secrets.token("refused-p1", "another-room");
    let strangers = Secrets::generate().sign(&good);
    let cut = &token[..token.len() - 2];
    for (token, problem) in [
        ("", "token-invalid"),
        ("a.b.c", "token-invalid"),
        (cut, "token-invalid"),
        (strangers.as_str(), "token-invalid"),
        (expired.as_str(), "token-expired"),
        (audience.as_str(), "token-audience"),
        (other_room.as_str(), "room-not-granted"),
    ] {
        let body = json!({ "offer": "v=0" });
        let reply = target.call(Method::POST, JOIN, token, &body).await?;
        ensure!(reply.problem() == problem, "{reply:?} is not {problem}");
        if reply.status == 401 {
            ensure!(reply.headers["www-authenticate"] == "Bearer");
        }
    }
    Ok(())
}

pub(super) async fn addresses(target: &Target) -> Result<()> {
    let token = target.secrets.token("refused-p1", "refused");
    for path in [
        "/v1/rooms/refused",
        "/v1/chat/nothing",
        "/v1/relays/a/b/c",
        "/v1/rooms/a/sessions/",
    ] {
        target
            .refuses("unknown-route", Method::POST, path, &token, Value::Null)
            .await?;
    }
    let reply = target
        .call(Method::PATCH, JOIN, &token, &Value::Null)
        .await?;
    ensure!(reply.problem() == "method-not-allowed" && reply.headers["allow"] == "POST, OPTIONS");
    let bad_names = ["/v1/rooms/a%20b/sessions", "/v1/rooms/%C3%A9/sessions"];
    for path in bad_names {
        let body = json!({ "offer": "v=0" });
        target
            .refuses("name-invalid", Method::POST, path, &token, body)
            .await?;
    }
    Ok(())
}

pub(super) async fn bodies(target: &Target) -> Result<()> {
    let token = target.secrets.token("refused-p1", "refused");
    let url = target.url(JOIN);
    let send = async |media_type: &str, body: Vec<u8>| {
        let sent = target
            .http
            .send(Method::POST, &url, &token, media_type, body);
        let reply = sent.await?;
        check(&reply)?;
        Ok::<_, anyhow::Error>(reply.problem())
    };
    let json = "application/json";
    ensure!(send(json, vec![b' '; MAX_BODY_BYTES + 1]).await? == "body-too-large");
    ensure!(send("text/plain", b"{}".to_vec()).await? == "media-type-unsupported");
    // Bytes that are no text are left out: cargo-lambda's emulator does not carry them.
    for body in [b"{".as_slice(), b"", b"[]", b"{}", b"{\"offer\": 7}"] {
        let problem = send(json, body.to_vec()).await?;
        ensure!(problem == "body-invalid", "{body:?}: {problem}");
    }
    ensure!(send(json, br#"{"offer": "nonsense"}"#.to_vec()).await? == "offer-invalid");
    Ok(())
}

/// A struct could be read from a list of its fields, and from an empty one where all have defaults.
pub(super) async fn lists(target: &Target) -> Result<()> {
    let caller = |role| Claims {
        role,
        ..claims("refused-p1", "refused")
    };
    let game_server = target.secrets.sign(&caller(Some(Role::GameServer)));
    let everything = target.secrets.everything_token();
    for route in ROUTES.iter().filter(|route| route.body == Some(JSON)) {
        let path = route
            .path
            .replace("{channel}", "room~refused~main")
            .replace("{seq}", "1")
            .replace(['{', '}'], "");
        let token = match route.auth {
            Auth::GameServer => &game_server,
            _ => &everything,
        };
        let reply = target
            .call(route.method.parse()?, &path, token, &json!([]))
            .await?;
        // Where what is asked for does not exist, that is said first.
        let problem = reply.problem();
        let refusals = [
            "body-invalid",
            "unknown-message",
            "unknown-queue",
            "unknown-match",
        ];
        ensure!(
            refusals.contains(&problem.as_str()),
            "{} took a list: {reply:?}",
            route.name
        );
    }
    Ok(())
}

pub(super) async fn roles(target: &Target) -> Result<()> {
    let player = target.secrets.token("refused-p1", "refused");
    for path in [
        "/v1/relays",
        "/v1/homes/refused",
        "/v1/relays/enrolment-tokens",
        "/v1/relays/a/enrolment",
    ] {
        target
            .refuses("operator-only", Method::GET, path, &player, Value::Null)
            .await?;
    }
    let body = json!({ "draining": true });
    target
        .refuses(
            "operator-only",
            Method::PUT,
            "/v1/relays/a/drain",
            &player,
            body,
        )
        .await?;
    let operator = target.secrets.operator_token();
    for token in [&player, &operator] {
        let path = "/v1/chat/players/refused-p1/data";
        target
            .refuses("privacy-only", Method::GET, path, token, Value::Null)
            .await?;
    }
    Ok(())
}

pub(super) async fn preflights(target: &Target) -> Result<()> {
    for (path, methods) in [
        (JOIN, "POST, OPTIONS"),
        ("/v1/chat/channels/party~x/messages", "POST, GET, OPTIONS"),
        ("/v1/relays", "GET, OPTIONS"),
    ] {
        let reply = target.call(Method::OPTIONS, path, "", &Value::Null).await?;
        ensure!(reply.status == 204, "{path}: {reply:?}");
        ensure!(
            reply.headers["access-control-allow-methods"] == methods,
            "{reply:?}"
        );
        let headers = reply.headers["access-control-allow-headers"].to_str()?;
        ensure!(headers.contains("authorization") && headers.contains("content-type"));
    }
    Ok(())
}
