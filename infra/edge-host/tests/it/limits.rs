//! Each bound, what the client is told, and that the host goes on serving.
#![expect(
    clippy::disallowed_methods,
    reason = "tests with real processes need deadlines"
)]

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use crate::support::{PATIENCE, Rig, read_to_end};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_computes_for_ever_is_stopped_by_the_clock() {
    let mut rig = Rig::with_limits(|limits| {
        limits.request_ms = 200;
        limits.request_fuel = u64::MAX;
    })
    .await;
    let started = Instant::now();
    rig.get("/spin").await.assert_problem(504, "deadline");
    assert!(started.elapsed() >= Duration::from_millis(200));
    let record = rig.record().await;
    assert_eq!((record.status, record.outcome.as_str()), (504, "deadline"));
    assert!(
        record.fuel > 1_000_000 && record.duration_us >= 200_000,
        "{record:?}"
    );
    rig.get("/hello").await.assert_ok("hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_waits_for_ever_is_stopped_by_the_clock() {
    let mut rig = Rig::with_limits(|limits| limits.request_ms = 100).await;
    rig.get("/sleep?3600000")
        .await
        .assert_problem(504, "deadline");
    assert_eq!(rig.record().await.outcome, "deadline");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_computes_for_ever_is_stopped_by_its_fuel() {
    let mut rig = Rig::with_limits(|limits| limits.request_fuel = 10_000_000).await;
    rig.get("/spin").await.assert_problem(504, "deadline");
    let record = rig.record().await;
    assert_eq!(record.outcome, "fuel");
    assert_eq!(record.fuel, 10_000_000);
}

#[tokio::test(flavor = "current_thread")]
async fn computing_components_do_not_keep_others_from_running() {
    // One thread, one endless computation: only giving way lets the second request be served.
    let rig = Rig::with_limits(|limits| {
        limits.request_ms = 2_000;
        limits.request_fuel = u64::MAX;
    })
    .await;
    let endless = rig.get("/spin");
    let quick = async {
        let mut served = 0;
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(500) {
            rig.get("/hello").await.assert_ok("hello");
            served += 1;
        }
        served
    };
    let (endless, served) = tokio::join!(endless, quick);
    endless.assert_problem(504, "deadline");
    assert!(served >= 2, "{served}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_cannot_take_more_memory_than_the_limit() {
    let mut rig = Rig::with_limits(|limits| limits.instance_memory_bytes = 16 << 20).await;
    rig.get("/allocate").await.assert_problem(500, "internal");
    let record = rig.record().await;
    assert_eq!(record.outcome, "trap");
    let peak = record.peak_memory_bytes;
    assert!((8 << 20..=16 << 20).contains(&peak), "{peak}");
    // The slot is used again, cleared.
    rig.get("/hello").await.assert_ok("hello");
    rig.record().await;
    assert!(rig.records.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_a_component_is_internal_and_tells_no_detail() {
    let mut rig = Rig::start().await;
    for (path, outcome) in [("/panic", "trap"), ("/error", "error")] {
        let reply = rig.get(path).await;
        reply.assert_problem(500, "internal");
        assert!(!reply.body.contains("fixture"), "{}", reply.body);
        let record = rig.record().await;
        assert_eq!(record.outcome, outcome);
        assert!(
            path == "/error" || record.log_bytes > 0,
            "a panic message is logged"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_over_the_limit_is_not_sent() {
    let mut rig = Rig::with_limits(|limits| limits.reply_body_bytes = 100_000).await;
    let reply = rig.get("/big?100000").await;
    assert_eq!(reply.body.len(), 100_000);
    rig.record().await;
    rig.get("/big?100001").await.assert_problem(500, "internal");
    assert_eq!(rig.record().await.outcome, "reply-too-large");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_body_over_the_limit_is_refused_by_length_and_by_chunks() {
    let mut rig = Rig::with_limits(|limits| limits.request_body_bytes = 1_000).await;
    assert_eq!(rig.post("/echo", "x".repeat(1_000)).await.status, 200);
    rig.record().await;
    rig.post("/echo", "x".repeat(1_001))
        .await
        .assert_problem(413, "body-too-large");
    let record = rig.record().await;
    assert_eq!(
        (record.outcome.as_str(), record.fuel),
        ("body-too-large", 0)
    );

    let chunk = format!("190\r\n{}\r\n", "x".repeat(0x190));
    let head = "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let reply = rig
        .raw(format!("{head}{chunk}{chunk}{chunk}0\r\n\r\n").as_bytes())
        .await;
    assert!(
        reply.starts_with("HTTP/1.1 413") && reply.contains("1000 bytes"),
        "{reply}"
    );
    // Never sent in full, and answered all the same.
    let head = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 999999999\r\n\r\n";
    let reply = rig.raw(head.as_bytes()).await;
    assert!(
        reply.starts_with("HTTP/1.1 413") && reply.contains("connection: close"),
        "{reply}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_bounded_in_number_and_size() {
    let rig = Rig::start().await;
    let many: String = (0..100)
        .map(|number| format!("x-{number}: 1\r\n"))
        .collect();
    let reply = rig
        .raw(format!("GET /hello HTTP/1.1\r\n{many}\r\n").as_bytes())
        .await;
    assert!(reply.starts_with("HTTP/1.1 431"), "{reply}");
    let long = "y".repeat(20_000);
    let reply = rig
        .raw(format!("GET /hello HTTP/1.1\r\nx: {long}\r\n\r\n").as_bytes())
        .await;
    assert!(reply.starts_with("HTTP/1.1 431"), "{reply}");
    let reply = rig
        .raw(format!("GET /{long} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes())
        .await;
    assert!(reply.starts_with("HTTP/1.1 4"), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_slowly_is_cut_off() {
    let rig = Rig::with_limits(|limits| {
        limits.header_read_ms = 100;
        limits.body_read_ms = 100;
    })
    .await;
    // Half a request line, then nothing.
    assert!(!rig.raw(b"GET /hel").await.contains("200"));
    // Nothing at all, and nothing after a first request.
    assert_eq!(rig.raw(b"").await, "");
    let idle = rig.raw(b"GET /hello HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(idle.starts_with("HTTP/1.1 200"), "{idle}");
    // Half a body.
    let half = rig
        .raw(b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc")
        .await;
    assert!(
        half.starts_with("HTTP/1.1 400") && half.contains("within 100 ms"),
        "{half}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_cut_off() {
    let rig = Rig::with_limits(|limits| {
        limits.write_stall_ms = 100;
        limits.reply_body_bytes = 32 << 20;
    })
    .await;
    let mut stream = rig.connect().await;
    let request = b"GET /big?16000000 HTTP/1.1\r\nhost: a\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    // The host holds the rest of the reply. Once it has given up, writing to it fails.
    let given_up = async {
        while !stream
            .try_write(b"x")
            .is_err_and(|cause| cause.kind() != ErrorKind::WouldBlock)
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, given_up)
        .await
        .expect("the host closes the connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_requests_than_instances_are_told_to_come_back() {
    let mut rig = Rig::with_limits(|limits| {
        limits.concurrent_requests = 2;
        limits.queue_ms = 50;
        limits.request_ms = 1_000;
    })
    .await;
    let (first, second, third) = tokio::join!(
        rig.get("/sleep?3600000"),
        rig.get("/sleep?3600000"),
        async {
            rig.until_in_flight(2).await;
            rig.get("/hello").await
        }
    );
    third.assert_problem(503, "overloaded");
    assert_eq!(third.headers["retry-after"], "1");
    first.assert_problem(504, "deadline");
    second.assert_problem(504, "deadline");
    assert_eq!(rig.record().await.outcome, "overloaded");
    // Every slot of the pool came back.
    for _ in 0..8 {
        rig.get("/hello").await.assert_ok("hello");
    }
    assert_eq!(rig.running.in_flight(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pool_serves_as_many_as_it_says_and_recovers_from_every_end() {
    let rig = Rig::with_limits(|limits| {
        limits.concurrent_requests = 4;
        limits.request_ms = 300;
        limits.instance_memory_bytes = 8 << 20;
    })
    .await;
    for path in [
        "/panic",
        "/spin",
        "/allocate",
        "/sleep?3600000",
        "/error",
        "/sqlite/abandon?trap",
    ] {
        let (a, b, c, d) = tokio::join!(rig.get(path), rig.get(path), rig.get(path), rig.get(path));
        for reply in [a, b, c, d] {
            assert!(
                reply.status.is_server_error() && reply.status != 503,
                "{path} {}",
                reply.body
            );
        }
    }
    for _ in 0..8 {
        rig.get("/hello").await.assert_ok("hello");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_component_prints_is_counted_and_bounded() {
    let mut rig = Rig::start().await;
    rig.get("/flood?1048576").await.assert_ok("flooded");
    assert_eq!(rig.record().await.log_bytes, 2 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_http_is_refused_and_the_host_goes_on() {
    let rig = Rig::start().await;
    let malformed: [&[u8]; 7] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET /hello HTTP/9.9\r\n\r\n",
        b"GET /hello HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ];
    for bytes in malformed {
        let reply = rig.raw(bytes).await;
        assert!(
            reply.is_empty() || reply.starts_with("HTTP/1.1 4"),
            "{bytes:?}: {reply}"
        );
    }
    let bad_host = rig
        .raw(b"GET /hello HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n")
        .await;
    assert!(bad_host.starts_with("HTTP/1.1 400"), "{bad_host}");
    // A body that ends early.
    let mut stream = rig.connect().await;
    let half = b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc";
    stream.write_all(half).await.unwrap();
    stream.shutdown().await.unwrap();
    let reply = read_to_end(&mut stream).await;
    assert!(
        reply.is_empty() || reply.starts_with("HTTP/1.1 400"),
        "{reply}"
    );
    rig.get("/hello").await.assert_ok("hello");
}
