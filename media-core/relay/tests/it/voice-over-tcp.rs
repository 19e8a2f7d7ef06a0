//! Players without UDP: ICE-TCP through the real relay, and those who misuse its port.

use std::net::SocketAddr;
use std::time::Duration;

use crate::common::player::{Client, Noticed, framed};
use crate::common::{FakeEdge, WAIT_MAX, call, config, key, metrics_until, sample, start};
use relay::Running;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use wire::SessionId;
use wire::channel::EndReason;
use wire::control::{CONTROL_PATH, ControlCommand, ControlMessage};
use wire::fleet::{Heartbeat, Transport};

/// A relay of some shards with a TCP port, and their first heartbeats.
async fn relay(shards: usize) -> (FakeEdge, Running, Vec<Heartbeat>) {
    let mut edge = FakeEdge::start().await;
    let mut config = config(&edge.url, shards);
    config.settings.listen_tcp = vec!["127.0.0.1:0".parse().unwrap()];
    let running = start(config).await;
    let mut heartbeats = Vec::new();
    for _ in 0..shards {
        heartbeats.push(edge.heartbeat().await);
    }
    (edge, running, heartbeats)
}

async fn hears(client: &mut Client, voice: u8) {
    let heard = |noticed: &Noticed| {
        matches!(noticed, Noticed::Voice { first_byte, .. } if *first_byte == voice).then_some(())
    };
    client.until(heard).await;
}

#[tokio::test]
async fn one_port_leads_to_every_shard_and_voice_goes_both_ways() {
    let (_edge, running, heartbeats) = relay(2).await;
    for heartbeat in &heartbeats {
        let tcp = heartbeat.candidates.last().unwrap();
        assert_eq!(
            (tcp.transport, tcp.address),
            (Transport::Tcp, running.media_tcp()[0])
        );
    }
    for (heartbeat, number) in heartbeats.iter().zip([1, 3]) {
        let mut a = Client::join_over(Transport::Tcp, number, heartbeat).await;
        let mut b = Client::join_over(Transport::Udp, number + 1, heartbeat).await;
        assert_ne!(a.until_welcome().await, b.until_welcome().await);
        a.talk(true);
        b.talk(true);
        hears(&mut a, number + 1).await;
        hears(&mut b, number).await;
        let opened = format!(
            "relay_tcp_connections_opened_total{{shard=\"{}\"}}",
            heartbeat.shard
        );
        metrics_until(running.health(), |text| sample(text, &opened) == 1.0).await;
    }
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_read_loses_voice_and_nobody_else_does() {
    let (_edge, running, heartbeats) = relay(1).await;
    let mut slow = Client::join_over(Transport::Tcp, 1, &heartbeats[0]).await;
    let mut talker = Client::join(2, &heartbeats[0]).await;
    let mut other = Client::join(3, &heartbeats[0]).await;
    slow.until_welcome().await;
    talker.until_welcome().await;
    other.until_welcome().await;
    talker.talk(true);
    hears(&mut slow, 2).await;
    slow.read(false);
    let slow_drops = "relay_tcp_drops_total{shard=\"dev-0\",reason=\"slow\"}";
    let text = metrics_until(running.health(), |text| sample(text, slow_drops) > 20.0).await;
    assert_eq!(sample(&text, "relay_tcp_connections{shard=\"dev-0\"}"), 1.0);
    other.noticed.try_recv().expect("the others hear on");
    // What did wait is read, and then new voice comes.
    while slow.noticed.try_recv().is_ok() {}
    slow.read(true);
    for _ in 0..100 {
        hears(&mut slow, 2).await;
    }
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_frame_that_is_too_long_ends_the_connection() {
    let (_edge, running, heartbeats) = relay(1).await;
    let mut client = Client::join_over(Transport::Tcp, 1, &heartbeats[0]).await;
    client.until_welcome().await;
    client.write(vec![0xff; 4]);
    let closed = "relay_tcp_connections_closed_total{shard=\"dev-0\",reason=\"frame-too-long\"}";
    let text = metrics_until(running.health(), |text| sample(text, closed) == 1.0).await;
    assert_eq!(sample(&text, "relay_tcp_connections{shard=\"dev-0\"}"), 0.0);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn connections_of_the_gone_and_of_the_ended_are_closed() {
    let (_edge, running, heartbeats) = relay(1).await;
    let mut gone = Client::join_over(Transport::Tcp, 1, &heartbeats[0]).await;
    let mut ended = Client::join_over(Transport::Tcp, 2, &heartbeats[0]).await;
    gone.until_welcome().await;
    ended.until_welcome().await;
    drop(gone);
    let sealed = ControlMessage {
        at_ms: heartbeats[0].sent_at_ms,
        nonce: SessionId([1; 8]),
        command: ControlCommand::End {
            session: ended.session,
            player: ended.player,
            reason: EndReason::Kicked,
        },
    }
    .seal(&key().subkeys(), heartbeats[0].boot);
    let reply = call(running.control(), "POST", CONTROL_PATH, &[], sealed).await;
    assert_eq!(reply.0, 202);
    assert_eq!(ended.until_ended().await, EndReason::Kicked);
    for reason in ["peer", "no-session"] {
        let closed = "relay_tcp_connections_closed_total{shard=\"dev-0\",reason=";
        let closed = format!("{closed}\"{reason}\"}}");
        metrics_until(running.health(), |text| sample(text, &closed) == 1.0).await;
    }
    running.stop().await.unwrap();
}

/// Sends bytes to the TCP port and waits until the relay closes the connection.
async fn is_closed_after(relay: SocketAddr, bytes: &[u8]) {
    let mut connection = TcpStream::connect(relay).await.unwrap();
    connection.write_all(bytes).await.unwrap();
    let mut rest = Vec::new();
    // Closed with or without unread bytes of ours: end or reset.
    let ended = timeout(WAIT_MAX, connection.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "not closed after {bytes:?}");
    assert!(rest.is_empty(), "a stranger is told nothing");
}

#[tokio::test]
async fn what_is_no_ticket_is_closed_and_counted() {
    let (_edge, running, _heartbeats) = relay(1).await;
    let tcp = running.media_tcp()[0];
    let mut request = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    request.extend([0; 12]);
    let username = format!("{}:abcd", "A".repeat(110));
    request.extend([0, 6, 0, username.len() as u8]);
    request.extend(username.as_bytes());
    request.push(0);
    request[3] = (request.len() - 20) as u8;
    for (bytes, outcome) in [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "not-stun"),
        (vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3], "not-stun"),
        (framed(&[0x80; 40]), "not-stun"),
        (framed(&[]), "not-stun"),
        (vec![2, 0x57], "late"),
        (framed(&request), "ticket"),
        (Vec::new(), "late"),
    ] {
        let name = format!("relay_tcp_accepts_total{{outcome=\"{outcome}\"}}");
        let (_, text) = crate::common::get(running.health(), "/metrics").await;
        let before = sample(&text, &name);
        is_closed_after(tcp, &bytes).await;
        metrics_until(running.health(), |text| sample(text, &name) == before + 1.0).await;
    }
    let (_, text) = crate::common::get(running.health(), "/metrics").await;
    assert_eq!(sample(&text, "relay_tcp_strangers"), 0.0);
    assert_eq!(
        sample(&text, "relay_sessions_admitted_total{shard=\"dev-0\"}"),
        0.0
    );
    running.stop().await.unwrap();
}

#[tokio::test]
async fn thousands_who_say_nothing_are_bounded_and_go_and_a_player_still_gets_in() {
    udp::raise_descriptor_limit().unwrap();
    let (_edge, running, heartbeats) = relay(1).await;
    let tcp = running.media_tcp()[0];
    let mut idle = Vec::new();
    for source in 1..=25_u8 {
        for _ in 0..80 {
            let socket = TcpSocket::new_v4().unwrap();
            socket
                .bind(SocketAddr::from(([127, 0, 9, source], 0)))
                .unwrap();
            idle.push(socket.connect(tcp).await.unwrap());
        }
    }
    let count = |text: &str, outcome: &str| {
        sample(
            text,
            &format!("relay_tcp_accepts_total{{outcome=\"{outcome}\"}}"),
        )
    };
    let all_met = |text: &str| {
        let closed = ["busy", "busy-source", "late"].map(|outcome| count(text, outcome));
        assert!(sample(text, "relay_tcp_strangers") <= 1024.0);
        closed.iter().sum::<f64>() >= idle.len() as f64
    };
    // While they hold every place.
    let mut client = Client::join_over(Transport::Tcp, 1, &heartbeats[0]).await;
    client.until_welcome().await;
    let text = metrics_until(running.health(), all_met).await;
    assert!(
        count(&text, "busy-source") >= 16.0,
        "64 of one source at a time"
    );
    assert!(count(&text, "busy") > 0.0, "the places were full");
    timeout(Duration::from_secs(2), running.stop())
        .await
        .unwrap()
        .unwrap();
}
