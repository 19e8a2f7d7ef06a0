//! Requests at one version of a function, as the gateway would send them.

use anyhow::{Context, Result, bail};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

/// What each function is asked: it reads the store and the keys, and changes nothing.
const QUESTIONS: [(&str, &str, &str); 5] = [
    ("chat", "GET", "/v1/chat/unread"),
    ("fleet", "GET", "/v1/relays"),
    ("matchmaking", "GET", "/v1/match/seat"),
    ("safety", "GET", "/v1/chat/blocks"),
    // A session that nobody has: the answer is the same as for one that has ended.
    (
        "signalling",
        "DELETE",
        "/v1/rooms/deployment/sessions/AAAAAAAAAAAAAAAAAAAAAA",
    ),
];

/// The event for a function, with an operator's token.
///
/// # Errors
/// A function of which nobody said what to ask it.
pub(super) fn event(function: &str, token: &str, id: &str) -> Result<Value> {
    let question = QUESTIONS.iter().find(|(name, ..)| *name == function);
    let Some((_, method, path)) = question else {
        bail!("say in infra/xtask/src/deploy/probe.rs what to ask {function}");
    };
    Ok(json!({
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": "",
        "headers": { "authorization": format!("Bearer {token}") },
        "requestContext": { "requestId": id, "http": { "method": method, "path": path } },
        "isBase64Encoded": false,
    }))
}

/// What is wrong with an answer; `failed` is what Lambda says of an invocation that ended badly.
pub(super) fn fault(status: u16, failed: &str, body: &str) -> Option<String> {
    if status / 100 != 2 || !failed.is_empty() {
        return Some(format!(
            "the invocation failed ({status} {failed}): {}",
            start_of(body)
        ));
    }
    let reply: Option<Value> = serde_json::from_str(body).ok();
    let answered = reply
        .as_ref()
        .and_then(|reply| reply["statusCode"].as_u64());
    match answered {
        None => Some(format!(
            "its answer is none of a function: {}",
            start_of(body)
        )),
        // It knows neither the keys nor what they may do.
        Some(401 | 403) => Some("it refuses an operator's token".to_owned()),
        Some(500..) => Some(format!("it answers {}", answered.unwrap_or_default())),
        Some(_) => None,
    }
}

fn start_of(text: &str) -> String {
    text.chars().take(200).collect()
}

/// Refuses a token that ends before a deployment does: its end would look like a fault of the
/// version.
///
/// # Errors
/// How to make one that lasts.
pub(super) fn check_token(token: &str, now_s: u64, needed_s: u64) -> Result<()> {
    let ends = || -> Option<u64> {
        let claims = BASE64URL_NOPAD
            .decode(token.split('.').nth(1)?.as_bytes())
            .ok()?;
        serde_json::from_slice::<Value>(&claims).ok()?["exp"].as_u64()
    };
    let ends = ends().context("OPERATOR_TOKEN is no token of `cargo xtask token`")?;
    if ends < now_s + needed_s {
        bail!(
            "OPERATOR_TOKEN ends in {} s and this takes up to {needed_s} s: `cargo xtask token \
             --player deployer --room '*' --operator --key FILE --ttl {needed_s}` makes one",
            ends.saturating_sub(now_s)
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_is_asked_something() {
        let permissions = include_str!("../../../../functions/permissions.json");
        let permissions: Value = serde_json::from_str(permissions).unwrap();
        let document = include_str!("../../../../functions/wire/openapi.json");
        let document: Value = serde_json::from_str(document).unwrap();
        for name in permissions.as_object().unwrap().keys() {
            let event = event(name, "t", "1").unwrap();
            let path = event["rawPath"].as_str().unwrap();
            let path = path.replace("/deployment/", "/{room}/");
            let path = path.replace("AAAAAAAAAAAAAAAAAAAAAA", "{session}");
            let method = event["requestContext"]["http"]["method"].as_str().unwrap();
            let tag = &document["paths"][path][method.to_lowercase()]["tags"][0];
            assert_eq!(tag, name);
        }
        assert!(event("other", "t", "1").is_err());
    }

    #[test]
    fn answers_that_show_a_broken_version_are_faults() {
        assert_eq!(fault(200, "", r#"{"statusCode":200}"#), None);
        assert_eq!(fault(200, "", r#"{"statusCode":404}"#), None);
        for (status, failed, body) in [
            (200, "Unhandled", "{}"),
            (502, "", ""),
            (200, "", "[]"),
            (200, "", r#"{"statusCode":503}"#),
            (200, "", r#"{"statusCode":401}"#),
        ] {
            assert!(
                fault(status, failed, body).is_some(),
                "{status} {failed} {body}"
            );
        }
    }

    #[test]
    fn a_token_lasts_as_long_as_the_deployment() {
        let token = format!("x.{}.y", BASE64URL_NOPAD.encode(br#"{"exp":1000}"#));
        assert!(check_token(&token, 100, 900).is_ok());
        let said = check_token(&token, 101, 900).unwrap_err().to_string();
        assert!(
            said.contains("899 s") && said.contains("--ttl 900"),
            "{said}"
        );
        assert!(check_token("no token", 0, 1).is_err());
    }
}
