//! What a component and a client see when all is well, and what each request leaves behind.

use crate::support::{Folder, Rig, SECRET, config, read_to_end};
use bytes::Bytes;
use edge_host::TokenMint;
use http::Request;
use http_body_util::Full;
use tokio::io::AsyncWriteExt;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_reaches_its_component() {
    let rig = Rig::start().await;
    rig.get("/hello").await.assert_ok("hello");
    rig.post("/echo", "some bytes")
        .await
        .assert_ok("some bytes");
    let limit = rig.post("/echo", "x".repeat(64 << 10)).await;
    assert_eq!(limit.body.len(), 64 << 10);
    let head = rig.send("HEAD", "/hello", "").await;
    assert_eq!((head.status.as_u16(), head.body.as_str()), (200, ""));
    assert_eq!(head.headers["content-length"], "5");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_sees_what_spin_would_tell_it_and_nothing_forged() {
    let rig = Rig::start().await;
    let request = Request::get(rig.url("/rooms/lobby/headers?q=1"))
        .header("spin-client-addr", "9.9.9.9:9")
        .header("spin-path-match-evil", "1")
        .header("x-own", "kept")
        .body(Full::new(Bytes::new()));
    // The fixture lists headers under /headers only, so the path is one it does not know.
    let reply = rig.request(request.unwrap()).await;
    assert_eq!(reply.body, "the fixture has no such route");
    let request = Request::get(rig.url("/headers"))
        .header("spin-client-addr", "9.9.9.9:9")
        .header("spin-path-match-evil", "1")
        .header("x-own", "kept")
        .body(Full::new(Bytes::new()));
    let listed = rig.request(request.unwrap()).await.body;
    assert!(
        listed.starts_with(&format!("GET {}\n", rig.url("/headers"))),
        "{listed}"
    );
    assert!(listed.contains("x-own: kept\n"), "{listed}");
    assert!(listed.contains("spin-path-info: /headers\n"), "{listed}");
    assert!(listed.contains("spin-matched-route: /...\n"), "{listed}");
    assert!(listed.contains("spin-client-addr: 127.0.0.1:"), "{listed}");
    assert!(
        !listed.contains("9.9.9.9") && !listed.contains("evil"),
        "{listed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_come_from_the_manifest_with_their_templates_expanded() {
    let rig = Rig::start().await;
    rig.get("/variable?greeting")
        .await
        .assert_ok("good day, player");
    rig.get("/variable?secret").await.assert_ok(SECRET);
    for name in ["fixture_secret", "nothing"] {
        let reply = rig.get(&format!("/variable?{name}")).await;
        assert!(reply.body.contains("Undefined"), "{}", reply.body);
    }
    assert!(rig.get("/variable?No").await.body.contains("InvalidName"));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_leaves_one_record() {
    let mut rig = Rig::start().await;
    rig.post("/echo", "12345").await;
    let record = rig.record().await;
    assert_eq!(record.function, "fixture");
    assert_eq!(
        (record.route.as_str(), record.host.as_str()),
        ("/...", "edge-host")
    );
    assert_eq!((record.method.as_str(), record.status), ("POST", 200));
    assert_eq!(record.outcome, "ok");
    assert_eq!(
        (record.bytes_in, record.bytes_out, record.log_bytes),
        (5, 5, 0)
    );
    assert!(record.fuel > 1_000, "{record:?}");
    assert!(record.peak_memory_bytes >= 64 << 10, "{record:?}");
    assert!(
        record.duration_us > 0 && record.at_ms > 1_600_000_000_000,
        "{record:?}"
    );
    let line = serde_json::to_value(&record).unwrap();
    assert_eq!(line["kind"], "invocation");

    rig.get("/rooms/secret-room/x").await;
    let record = rig.record().await;
    assert_eq!(
        (record.route.as_str(), record.status),
        ("/rooms/:room/...", 404)
    );
    assert_eq!(record.outcome, "refused");
    assert!(rig.records.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_hands_over_its_share_of_the_record() {
    let mut rig = Rig::start().await;
    let whole =
        "{'route':'join','outcome':'created','store_reads':3,'store_writes':1,'later':'field'}";
    let reply = rig
        .get(&format!("/share?{}", whole.replace('\'', "%27")))
        .await;
    // The query stays encoded, so this header is not JSON: ignored and counted.
    assert_eq!(reply.status, 200);
    assert_eq!(rig.record().await.route, "/...");
    assert_eq!(rig.running.malformed_shares(), 1);

    let reply = rig.get(&format!("/share?{whole}")).await;
    assert!(!reply.headers.contains_key("lv-record"));
    let record = rig.record().await;
    assert_eq!(
        (record.route.as_str(), record.outcome.as_str()),
        ("join", "created")
    );
    assert_eq!((record.store_reads, record.store_writes), (3, 1));

    rig.get("/share?{'route':'page'}").await;
    let record = rig.record().await;
    assert_eq!(
        (record.route.as_str(), record.outcome.as_str()),
        ("page", "ok")
    );
    assert_eq!(rig.running.malformed_shares(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_serves_several_requests() {
    let rig = Rig::start().await;
    let mut stream = rig.connect().await;
    let hello = "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n";
    let last = "GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    // Pipelined: all sent before the first reply.
    stream
        .write_all(format!("{hello}{hello}{last}").as_bytes())
        .await
        .unwrap();
    let replies = read_to_end(&mut stream).await;
    assert_eq!(replies.matches("HTTP/1.1 200 OK").count(), 3, "{replies}");
    let old = rig.raw(b"GET /hello HTTP/1.0\r\n\r\n").await;
    assert!(
        old.starts_with("HTTP/1.0 200 OK") && old.ends_with("hello"),
        "{old}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_without_a_route_is_unknown() {
    let folder = Folder::new();
    let config = config(&folder.0);
    let text = std::fs::read_to_string(&config.spin_toml).unwrap();
    std::fs::write(&config.spin_toml, text.replace("\"/...\"", "\"/api/...\"")).unwrap();
    let mut rig = Rig::of(folder, config).await;
    rig.get("/hello").await.assert_problem(404, "unknown-route");
    let record = rig.record().await;
    assert_eq!(
        (record.function.as_str(), record.outcome.as_str()),
        ("edge-host", "unknown-route")
    );
    // Off unless it was turned on.
    rig.post("/dev/token", "{}")
        .await
        .assert_problem(404, "unknown-route");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_development_endpoint_gives_a_token() {
    let rig = Rig::with(|config| {
        config.dev_token = Some(TokenMint::new(|request| match request.player.as_str() {
            "bad" => Err("player: bad".to_owned()),
            player => Ok(format!("{player}/{}/{:?}", request.room, request.name)),
        }));
    })
    .await;
    let reply = rig
        .post(
            "/dev/token",
            r#"{"player":"p1","room":"lobby","name":"Ann"}"#,
        )
        .await;
    reply.assert_ok(r#"{"token":"p1/lobby/Some(\"Ann\")"}"#);
    assert_eq!(reply.headers["access-control-allow-origin"], "*");
    rig.post("/dev/token", r#"{"player":"p1","room":"r"}"#)
        .await
        .assert_ok(r#"{"token":"p1/r/None"}"#);
    rig.post("/dev/token", "no json")
        .await
        .assert_problem(400, "body-invalid");
    let refused = rig
        .post("/dev/token", r#"{"player":"bad","room":"r"}"#)
        .await;
    refused.assert_problem(400, "body-invalid");
    let reply = rig.get("/dev/token").await;
    reply.assert_problem(405, "method-not-allowed");
    assert_eq!(reply.headers["allow"], "POST, OPTIONS");
    let preflight = rig.send("OPTIONS", "/dev/token", "").await;
    assert_eq!(preflight.status, 204);
    assert_eq!(
        preflight.headers["access-control-allow-methods"],
        "POST, OPTIONS"
    );
}
