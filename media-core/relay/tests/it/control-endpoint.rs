//! What the control endpoint takes and refuses.

use std::net::SocketAddr;
use std::time::Duration;

use crate::common::{FakeEdge, WAIT_MAX, call, config, get, key, metrics_until, sample, start};
use http::StatusCode;
use relay::Running;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::time::{Instant, timeout};
use wire::BootId;
use wire::channel::EndReason;
use wire::control::{CONTROL_PATH, ControlCommand, ControlMessage, SHARD_HEADER, seal_json};
use wire::fleet::Heartbeat;

/// A relay, its first heartbeat, and the edge that must outlive it.
async fn relay(shards: usize) -> (Running, Heartbeat, FakeEdge) {
    let mut edge = FakeEdge::start().await;
    let running = start(config(&edge.url, shards)).await;
    timeout(WAIT_MAX, running.ready()).await.unwrap();
    let heartbeat = edge.heartbeat().await;
    (running, heartbeat, edge)
}

fn message(at_ms: u64, nonce: u8) -> ControlMessage {
    ControlMessage {
        at_ms,
        nonce: wire::SessionId([nonce; 8]),
        command: ControlCommand::End {
            session: wire::SessionId([1; 8]),
            player: wire::PlayerKey([2; 16]),
            reason: EndReason::Kicked,
        },
    }
}

fn seal(message: &ControlMessage, boot: BootId) -> String {
    message.seal(&key().subkeys(), boot)
}

fn assert_problem((status, body): (StatusCode, String), wanted: (u16, &str)) {
    let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
    let name = format!("https://lifeverse.dev/problems/{}", wanted.1);
    assert_eq!(
        (status.as_u16(), &problem["type"]),
        (wanted.0, &name.into()),
        "{body}"
    );
    assert!(!problem["detail"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn a_sealed_message_is_taken_once() {
    let (running, heartbeat, _edge) = relay(1).await;
    let post = |body: String| call(running.control(), "POST", CONTROL_PATH, &[], body);
    let sealed = seal(&message(heartbeat.sent_at_ms, 1), heartbeat.boot);
    assert_eq!(post(sealed.clone()).await.0, StatusCode::ACCEPTED);
    assert_problem(post(sealed).await, (401, "signature-invalid"));
    let next = seal(&message(heartbeat.sent_at_ms, 2), heartbeat.boot);
    assert_eq!(post(next).await.0, StatusCode::ACCEPTED);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_not_sealed_for_this_boot_and_time_is_refused() {
    let (running, heartbeat, _edge) = relay(1).await;
    let now_ms = heartbeat.sent_at_ms;
    let other_key = wire::keys::ShardKey::new(0, [6; 32]).subkeys();
    for body in [
        String::new(),
        "garbage".to_owned(),
        seal(&message(now_ms, 1), BootId([0; 8])),
        seal(&message(now_ms - 120_000, 2), heartbeat.boot),
        seal(&message(now_ms + 120_000, 3), heartbeat.boot),
        message(now_ms, 4).seal(&other_key, heartbeat.boot),
    ] {
        let reply = call(running.control(), "POST", CONTROL_PATH, &[], body).await;
        assert_problem(reply, (401, "signature-invalid"));
    }
    let reply = call(
        running.control(),
        "POST",
        CONTROL_PATH,
        &[],
        vec![0xff; 100],
    )
    .await;
    assert_problem(reply, (401, "signature-invalid"));
    let reply = call(
        running.control(),
        "POST",
        CONTROL_PATH,
        &[],
        vec![b'a'; 65 * 1024],
    )
    .await;
    assert_problem(reply, (413, "body-too-large"));
    running.stop().await.unwrap();
}

/// A command of a later release is genuine, and no secret is guessed by it.
#[tokio::test]
async fn a_command_that_is_not_known_is_told_from_a_wrong_seal() {
    let (running, heartbeat, _edge) = relay(1).await;
    let at_ms = heartbeat.sent_at_ms;
    let room = "0101010101010101";
    let player = "02".repeat(16);
    let other_key = wire::keys::ShardKey::new(0, [6; 32]).subkeys();
    for command in [
        json!({ "do": "levitate", "player": "0" }),
        // What the edge is to ask of relays one day, who may be of this release then.
        json!({ "do": "evict", "room": room }),
        json!({ "do": "settings", "room": room, "settings": { "slots": 4 } }),
        json!({ "do": "clip", "room": room, "player": player, "seconds": 10 }),
        json!({ "do": "push", "to": { "who": "all-who-sleep" }, "message": "{}" }),
        json!(7),
    ] {
        let message = json!({ "at_ms": at_ms, "nonce": "0101010101010101", "command": command });
        let body = seal_json(&message, &key().subkeys(), heartbeat.boot);
        let reply = call(running.control(), "POST", CONTROL_PATH, &[], body).await;
        assert_problem(reply, (422, "command-unknown"));
        let body = seal_json(&message, &other_key, heartbeat.boot);
        let reply = call(running.control(), "POST", CONTROL_PATH, &[], body).await;
        assert_problem(reply, (401, "signature-invalid"));
    }
    running.stop().await.unwrap();
}

#[tokio::test]
async fn one_of_several_shards_must_be_named() {
    let (running, heartbeat, _edge) = relay(2).await;
    let sealed = seal(&message(heartbeat.sent_at_ms, 1), heartbeat.boot);
    let post = |shard: &'static [(&'static str, &'static str)]| {
        call(
            running.control(),
            "POST",
            CONTROL_PATH,
            shard,
            sealed.clone(),
        )
    };
    assert_problem(post(&[]).await, (404, "unknown-relay"));
    assert_problem(
        post(&[(SHARD_HEADER, "dev-0-7")]).await,
        (404, "unknown-relay"),
    );
    let (own, other) = match heartbeat.shard.as_str() {
        "dev-0-0" => ([(SHARD_HEADER, "dev-0-0")], [(SHARD_HEADER, "dev-0-1")]),
        _ => ([(SHARD_HEADER, "dev-0-1")], [(SHARD_HEADER, "dev-0-0")]),
    };
    let reply = call(
        running.control(),
        "POST",
        CONTROL_PATH,
        &other,
        sealed.clone(),
    )
    .await;
    assert_problem(reply, (401, "signature-invalid"));
    let reply = call(
        running.control(),
        "POST",
        CONTROL_PATH,
        &own,
        sealed.clone(),
    )
    .await;
    assert_eq!(reply.0, StatusCode::ACCEPTED);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_with_what_to_change() {
    let (running, ..) = relay(1).await;
    for path in ["/", "/metrics", "/healthz", "/readyz"] {
        let reply = get(running.control(), path).await;
        assert_problem(reply, (404, "unknown-route"));
    }
    for path in ["/", CONTROL_PATH] {
        let reply = get(running.health(), path).await;
        assert_problem(reply, (404, "unknown-route"));
    }
    let sealed = call(running.health(), "POST", CONTROL_PATH, &[], "sealed").await;
    assert_problem(sealed, (404, "unknown-route"));
    assert_problem(
        get(running.control(), CONTROL_PATH).await,
        (405, "method-not-allowed"),
    );
    let reply = call(running.health(), "POST", "/metrics", &[], "").await;
    assert_problem(reply, (405, "method-not-allowed"));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn strangers_datagrams_are_counted_by_reason_and_leave_nothing_behind() {
    let (running, ..) = relay(1).await;
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut stun = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    stun.resize(20, 7);
    for _ in 0..100 {
        for datagram in [&b"garbage"[..], &[22; 40], &[128; 60], &stun, &[]] {
            stranger
                .send_to(datagram, running.media()[0])
                .await
                .unwrap();
        }
        tokio::task::yield_now().await;
    }
    let received = "relay_datagrams_received_total{shard=\"dev-0\"}";
    let text = metrics_until(running.health(), |text| sample(text, received) >= 500.0).await;
    let rejected = |reason: &str| {
        let labels = format!("{{shard=\"dev-0\",reason=\"{reason}\"}}");
        sample(&text, &format!("relay_datagrams_rejected_total{labels}"))
    };
    assert_eq!(rejected("no-session"), 200.0);
    assert_eq!(rejected("stun-malformed"), 100.0);
    assert_eq!(rejected("unknown-kind"), 200.0);
    assert_eq!(sample(&text, "relay_sessions{shard=\"dev-0\"}"), 0.0);
    assert_eq!(
        sample(&text, "relay_datagrams_sent_total{shard=\"dev-0\"}"),
        0.0
    );
    running.stop().await.unwrap();
}

#[tokio::test]
async fn ipv6_arrives_where_the_machine_has_it() {
    if std::net::UdpSocket::bind("[::1]:0").is_err() {
        eprintln!("skipped: this machine has no IPv6");
        return;
    }
    let mut edge = FakeEdge::start().await;
    let mut both = config(&edge.url, 1);
    both.settings.listen = vec!["0.0.0.0:0".parse().unwrap(), "[::]:0".parse().unwrap()];
    both.settings.advertise = vec!["::1".parse().unwrap(), "127.0.0.1".parse().unwrap()];
    let running = start(both).await;
    let candidates = edge.heartbeat().await.candidates;
    for candidate in &candidates {
        let family = if candidate.address.is_ipv4() {
            "127.0.0.1:0"
        } else {
            "[::1]:0"
        };
        let stranger = UdpSocket::bind(family).await.unwrap();
        stranger
            .send_to(b"garbage", candidate.address)
            .await
            .unwrap();
    }
    assert_eq!(candidates.len(), 2);
    let received = "relay_datagrams_received_total{shard=\"dev-0\"}";
    metrics_until(running.health(), |text| sample(text, received) == 2.0).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_dropped_relay_is_gone_like_a_killed_one() {
    let (running, _, mut edge) = relay(2).await;
    let (control, media) = (running.control(), running.media().to_vec());
    edge.waiting();
    drop(running);
    let gone = async {
        while tokio::net::TcpStream::connect(control).await.is_ok()
            || media
                .iter()
                .any(|address| std::net::UdpSocket::bind(address).is_err())
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(WAIT_MAX, gone).await.expect("its ports are free");
    assert_eq!(edge.waiting(), 0, "no farewell");
}

#[tokio::test]
async fn metrics_are_well_formed_and_name_no_address() {
    let (running, ..) = relay(2).await;
    let (status, text) = get(running.health(), "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    let mut families = std::collections::BTreeSet::new();
    for line in text.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            let name = family.split(' ').next().unwrap();
            assert!(families.insert(name.to_owned()), "{name} twice");
            assert!(
                !family.ends_with(" counter") || name.ends_with("_total"),
                "{name}"
            );
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').unwrap();
            value.parse::<f64>().unwrap();
            let name = name.split('{').next().unwrap();
            let known = |suffix| {
                name.strip_suffix(suffix)
                    .is_some_and(|n| families.contains(n))
            };
            assert!(families.contains(name) || ["_bucket", "_sum", "_count"].iter().any(known));
        }
    }
    assert!(!text.contains("127.0.0.1"));
    running.stop().await.unwrap();
}

/// Connects from a source of this machine.
async fn connect_from(source: u8, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    let from = SocketAddr::from(([127, 0, 7, source], 0));
    socket.bind(from).unwrap();
    socket.connect(to).await.unwrap()
}

/// The value of one outcome at the control endpoint.
fn outcome(text: &str, outcome: &str) -> f64 {
    let name = format!("relay_control_accepts_total{{outcome=\"{outcome}\"}}");
    sample(text, &name)
}

#[tokio::test]
async fn the_edge_gets_in_whoever_holds_the_door() {
    udp::raise_descriptor_limit().unwrap();
    let (running, heartbeat, _edge) = relay(1).await;
    let mut held = Vec::new();
    for n in 0..1200_u32 {
        // Sixty each of more sources than fill the door.
        let source = (n % 20) as u8 + 1;
        held.push(connect_from(source, running.control()).await);
    }
    let sealed = seal(&message(heartbeat.sent_at_ms, 1), heartbeat.boot);
    let posted = call(running.control(), "POST", CONTROL_PATH, &[], sealed);
    let (status, _) = timeout(WAIT_MAX, posted).await.unwrap();
    assert_eq!(status, StatusCode::ACCEPTED);
    // And all of them go, those who lost their place first.
    let gone = |text: &str| outcome(text, "busy") + outcome(text, "late") >= 1200.0;
    let text = metrics_until(running.health(), gone).await;
    assert!(outcome(&text, "busy") >= 170.0);
    assert_eq!(sample(&text, "relay_control_strangers"), 0.0);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn one_source_has_a_share_of_the_door() {
    let (running, ..) = relay(1).await;
    let mut first = connect_from(1, running.control()).await;
    let mut held = Vec::new();
    for _ in 0..64 {
        held.push(connect_from(1, running.control()).await);
    }
    let mut byte = [0];
    let read = timeout(WAIT_MAX, first.read(&mut byte)).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "its oldest is ended");
    metrics_until(running.health(), |text| outcome(text, "busy-source") >= 1.0).await;
    running.stop().await.unwrap();
}

/// Sends `text` a byte at a time, and returns after how long the relay ended the connection, and
/// what it said.
async fn ended_after(running: &Running, text: &str, every: Duration) -> (Duration, String) {
    let (mut read, mut write) = connect_from(2, running.control()).await.into_split();
    let began = Instant::now();
    let bytes = text.as_bytes().to_vec();
    let writing = tokio::spawn(async move {
        let mut turns = tokio::time::interval(every);
        for byte in bytes {
            turns.tick().await;
            if write.write_all(&[byte]).await.is_err() {
                return;
            }
        }
        // Open, and nothing more.
        std::future::pending::<()>().await;
    });
    let mut told = Vec::new();
    let end = timeout(WAIT_MAX, read.read_to_end(&mut told)).await;
    writing.abort();
    // An end or a reset.
    let _ = end.expect("ended in time");
    (began.elapsed(), String::from_utf8_lossy(&told).into_owned())
}

#[tokio::test]
async fn a_slow_stranger_has_three_seconds_for_each_part() {
    let (running, ..) = relay(1).await;
    let head = "POST /v1/control HTTP/1.1\r\nhost: relay\r\ncontent-length: 1000\r\n\r\n";
    let with_body = [head, &"x".repeat(600)].concat();
    let slow = Duration::from_millis(100);
    let fast = Duration::from_micros(100);
    let (idle, byte_by_byte, no_body, slow_body) = tokio::join!(
        ended_after(&running, "", fast),
        ended_after(&running, head, slow),
        ended_after(&running, head, fast),
        ended_after(&running, &with_body, Duration::from_millis(7)),
    );
    for (name, (after, told), at_least_s, at_most_s, status) in [
        ("no head", idle, 2, 5, ""),
        ("a head byte by byte", byte_by_byte, 2, 5, ""),
        ("no body", no_body, 2, 5, "HTTP/1.1 400"),
        ("a body byte by byte", slow_body, 3, 8, "HTTP/1.1 400"),
    ] {
        let span = Duration::from_secs(at_least_s)..Duration::from_secs(at_most_s);
        assert!(span.contains(&after), "{name}: {after:?}");
        assert!(told.starts_with(status), "{name}: {told}");
    }
    let ended = |text: &str| outcome(text, "late") == 2.0 && outcome(text, "unproved") == 2.0;
    metrics_until(running.health(), ended).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn the_edge_keeps_its_connection_and_a_stranger_does_not() {
    let (running, heartbeat, _edge) = relay(1).await;
    let sealed = |nonce| seal(&message(heartbeat.sent_at_ms, nonce), heartbeat.boot);
    let request = |body: &str| {
        let length = body.len();
        format!(
            "POST /v1/control HTTP/1.1\r\nhost: relay\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    };
    let mut known = connect_from(3, running.control()).await;
    for nonce in 1..4 {
        known
            .write_all(request(&sealed(nonce)).as_bytes())
            .await
            .unwrap();
        let mut told = [0; 12];
        let read = timeout(WAIT_MAX, known.read_exact(&mut told));
        read.await.unwrap().unwrap();
        assert_eq!(&told, b"HTTP/1.1 202");
        // The rest of the reply, up to its body.
        let mut last = [0; 2];
        while &last != b"{}" {
            last[0] = last[1];
            known.read_exact(&mut last[1..]).await.unwrap();
        }
    }
    let mut stranger = connect_from(3, running.control()).await;
    let elsewhere = "GET /healthz HTTP/1.1\r\nhost: relay\r\n\r\n";
    stranger.write_all(elsewhere.as_bytes()).await.unwrap();
    let mut told = String::new();
    let read = timeout(WAIT_MAX, stranger.read_to_string(&mut told));
    read.await.unwrap().unwrap();
    assert!(told.starts_with("HTTP/1.1 404"), "{told}");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn who_cannot_seal_has_one_guess_per_connection() {
    let (running, ..) = relay(1).await;
    let mut stream = TcpStream::connect(running.control()).await.unwrap();
    let request = "POST /v1/control HTTP/1.1\r\nhost: relay\r\ncontent-length: 5\r\n\r\nguess";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut told = String::new();
    let read = timeout(WAIT_MAX, stream.read_to_string(&mut told));
    read.await.unwrap().unwrap();
    assert!(told.starts_with("HTTP/1.1 401"), "{told}");
    running.stop().await.unwrap();
}
