use wire::routes::{HEARTBEAT, JOIN};

use super::*;
use crate::store::{Key, Store};
use crate::testing::calls::share;
use crate::testing::{MemoryStore, schedule::block_on};

fn request(method: &str, path: &str) -> Request {
    Request {
        method: method.into(),
        path: path.into(),
        ..Request::default()
    }
}

fn run(request: &Request) -> Response {
    let store = MemoryStore::default();
    block_on(serve(
        Function::Signalling,
        &store,
        request,
        async |call, store| {
            store.get(0, Key::new("a", "b")).await?;
            Ok(Response::json(200, &call.parameters).with("x-route", call.route.name))
        },
    ))
}

#[test]
fn a_request_is_of_a_route_by_method_and_address() {
    let of = |method: &str, path: &str| {
        let request = Request {
            method: method.into(),
            path: path.into(),
            ..Request::default()
        };
        request.route()
    };
    assert_eq!(of("POST", "/v1/rooms/lobby/sessions"), Some("join"));
    assert_eq!(of("GET", "/v1/rooms/lobby/sessions"), None);
    assert_eq!(of("GET", "/v1/chat/presence"), Some("chat-presence"));
    assert_eq!(of("GET", "/v2"), None);
}

#[test]
fn a_path_finds_its_route_and_parameters() {
    let response = run(&request("POST", "/v1/rooms/lobby%2D1/sessions"));
    assert_eq!(response.header("x-route"), Some("join"));
    assert_eq!(response.body, br#"["lobby-1"]"#);
    let response = run(&request("DELETE", "/v1/rooms/lobby/sessions/dev-0~00ff"));
    assert_eq!(response.body, br#"["lobby","dev-0~00ff"]"#);
    let wanted = FunctionShare {
        route: "leave".into(),
        outcome: "ok".into(),
        store_calls: 1,
        store_reads: 1,
        store_writes: 0,
        store_read_units: 1,
        store_write_units: 0,
    };
    assert_eq!(share(&response), wanted);
}

#[test]
fn what_no_route_takes_is_refused() {
    for path in [
        "/",
        "",
        "/v1/rooms",
        "/v1/rooms/a/sessions/",
        "/v1/rooms/a/sessions/b/c",
        "/v1/relays",
    ] {
        let response = run(&request("POST", path));
        assert_eq!(
            (response.status, response.outcome),
            (404, "unknown-route"),
            "{path}"
        );
        assert_eq!(response.header("content-type"), Some(MEDIA_TYPE));
    }
    let response = run(&request("PATCH", "/v1/rooms/a/sessions/b"));
    assert_eq!(
        (response.status, response.header("allow")),
        (405, Some("DELETE, OPTIONS"))
    );
    assert_eq!(share(&response).route, "unknown");
}

#[test]
fn preflights_are_answered_for_every_path() {
    let response = run(&request("OPTIONS", "/v1/rooms/a/whip"));
    assert_eq!(response.status, 204);
    assert_eq!(
        response.header("access-control-allow-methods"),
        Some("POST, OPTIONS")
    );
    assert_eq!(
        response.header("access-control-allow-headers"),
        Some("authorization, content-type")
    );
    assert_eq!(response.header("access-control-allow-origin"), Some("*"));
    assert_eq!(response.header("accept-post"), Some("application/sdp"));
    let response = run(&request("OPTIONS", "/v1/rooms/a/sessions"));
    assert_eq!(response.header("accept-post"), None);
    assert_eq!(run(&request("OPTIONS", "/nowhere")).status, 404);
}

#[test]
fn a_body_over_the_limit_is_refused() {
    let mut request = request("POST", "/v1/rooms/a/sessions");
    request.body = vec![0; MAX_BODY_BYTES];
    assert_eq!(run(&request).status, 200);
    request.body.push(0);
    assert_eq!(run(&request).outcome, "body-too-large");
}

#[test]
fn refusals_carry_what_http_asks_for() {
    let refuse = |function, method, path: &str, kind| {
        let store = MemoryStore::default();
        let refusal = Err(Refusal::new(kind, "Change it."));
        block_on(serve(
            function,
            &store,
            &request(method, path),
            async |_, _| refusal,
        ))
    };
    let join = JOIN.path;
    let token = refuse(
        Function::Signalling,
        "POST",
        join,
        ProblemKind::TokenInvalid,
    );
    assert_eq!(token.header("www-authenticate"), Some("Bearer"));
    assert_eq!(
        token.header("access-control-expose-headers"),
        Some("location, retry-after")
    );
    let beat = refuse(
        Function::Fleet,
        "POST",
        HEARTBEAT.path,
        ProblemKind::SignatureInvalid,
    );
    assert_eq!(beat.header("www-authenticate"), Some("Shard"));
    let busy = refuse(Function::Signalling, "POST", join, ProblemKind::NoLiveRelay);
    assert_eq!((busy.status, busy.header("retry-after")), (503, Some("1")));
    let problem: wire::problem::Problem = serde_json::from_slice(&busy.body).unwrap();
    assert_eq!(problem.detail, "Change it.");
    assert_eq!(share(&busy).outcome, "no-live-relay");
}

#[test]
fn queries_and_content_types_are_read() {
    let request = Request {
        query: Some("a=1&region=eu%2d1&region=x&flag".into()),
        content_type: Some("Application/SDP; charset=utf-8".into()),
        ..Request::default()
    };
    assert_eq!(request.query_value("region").as_deref(), Some("eu-1"));
    assert_eq!(request.query_value("flag").as_deref(), Some(""));
    assert_eq!(request.query_value("b"), None);
    assert!(request.has_content_type("application/sdp"));
    assert!(!request.has_content_type("application/json"));
}

#[test]
fn broken_percent_signs_stay() {
    for (text, wanted) in [
        ("%", "%"),
        ("%4", "%4"),
        ("%zz", "%zz"),
        ("a%41%", "aA%"),
        ("%ff", "\u{fffd}"),
    ] {
        assert_eq!(percent_decode(text), wanted);
    }
}
