//! Requests as callers make them, and what replies say.

use serde::de::DeserializeOwned;
use serde_json::Value;
use wire::claims::Claims;
use wire::problem::{MEDIA_TYPE, Problem, TYPE_BASE};
use wire::record::{FunctionShare, SHARE_HEADER};
use wire::routes::Route;

use crate::http::{Request, Response};
use crate::token::{SigningKey, sign};

/// The `authorization` of who has `claims`, signed with `key` under the id `dev`.
pub fn bearer(claims: &Claims, key: &SigningKey) -> String {
    format!("Bearer {}", sign(claims, key, "dev"))
}

/// A request for `path`, which may have a query, with `body` as JSON unless it is null.
pub fn request(authorization: String, method: &str, path: &str, body: &Value) -> Request {
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (path, None),
    };
    let body = (!body.is_null()).then(|| body.to_string().into_bytes());
    Request {
        method: method.into(),
        path: path.into(),
        query,
        authorization: Some(authorization),
        content_type: body.is_some().then(|| "application/json".into()),
        body: body.unwrap_or_default(),
    }
}

/// Requests of a route whose parameters or body are none; at best the channel is a good one.
pub fn garbage(authorization: &str, route: &Route, channel: &str) -> Vec<Request> {
    let parameters = [
        (channel, "ann", "1"),
        ("x", "\u{e9}", "x"),
        ("%00", "%ff", "-1"),
    ];
    let bodies = [
        &b""[..],
        b"\xff",
        b"null",
        b"[]",
        b"{}",
        b"{\"seq\":-1,\"seconds\":-1}",
        b"\"\\ud800\"",
    ];
    let of = |((channel, player, seq), body): ((&str, &str, &str), &[u8])| {
        let path = route
            .path
            .replace("{channel}", channel)
            .replace("{room}", channel)
            .replace("{player}", player)
            .replace("{seq}", seq)
            .replace("{reaction}", "%00");
        Request {
            body: body.to_vec(),
            query: Some("in=&players=%ff&next=x&after=x".into()),
            content_type: Some("application/json".into()),
            ..request(authorization.into(), route.method, &path, &Value::Null)
        }
    };
    let with = |body| parameters.map(|parameters| of((parameters, body)));
    bodies.into_iter().flat_map(with).collect()
}

/// The reply's body as text.
pub fn text(reply: &Response) -> String {
    String::from_utf8_lossy(&reply.body).into_owned()
}

/// What a successful reply says.
///
/// # Panics
/// When it is a refusal, or says something else.
#[track_caller]
pub fn read<T: DeserializeOwned>(reply: &Response) -> T {
    assert!(reply.status < 300, "{}", text(reply));
    serde_json::from_slice(&reply.body).unwrap_or_else(|error| panic!("{error}: {}", text(reply)))
}

/// Name of the problem that a reply tells; empty when it tells none.
///
/// # Panics
/// When it is a problem of no known form.
#[track_caller]
pub fn problem(reply: &Response) -> String {
    if reply.header("content-type") != Some(MEDIA_TYPE) {
        return String::new();
    }
    let problem: Problem = serde_json::from_slice(&reply.body).expect("a problem has its members");
    let name = problem.type_uri.strip_prefix(TYPE_BASE);
    name.expect("all problems have one base").to_owned()
}

/// The function's share of the invocation record.
///
/// # Panics
/// When the reply has none.
#[track_caller]
pub fn share(reply: &Response) -> FunctionShare {
    let share = reply.header(SHARE_HEADER).expect("every reply has one");
    serde_json::from_str(share).expect("a share is JSON")
}
