//! The binary: command line, ready line, signals.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::common::player::Client;
use crate::common::{FakeEdge, WAIT_MAX, key};
use nix::sys::signal::Signal;
use process::{Process, Stream};
use tempfile::NamedTempFile;
use tokio::time::timeout;
use wire::SessionId;
use wire::channel::{EndReason, RelayMessage};
use wire::control::{CONTROL_PATH, ControlCommand, ControlMessage};
use wire::fleet::ShardState;

fn command(edge: &str, extra: &[&str]) -> Command {
    let mut command = process::command(env!("CARGO_BIN_EXE_relay"));
    command
        .args(["--shard", "dev-0", "--region", "dev", "--edge", edge])
        .args(extra)
        .env("RELAY_SHARD_KEYS", key().to_base64());
    command
}

fn start(command: Command) -> Process {
    Process::start("relay", command).unwrap()
}

const FREE_PORTS: [&str; 8] = [
    "--listen",
    "127.0.0.1:0",
    "--health",
    "127.0.0.1:0",
    "--control",
    "127.0.0.1:0",
    "--drain-seconds",
    "0",
];

/// The status and all that it writes, when it has ended.
async fn output(command: Command) -> (Option<i32>, String) {
    let relay = start(command);
    let status = ended(&relay, WAIT_MAX).await;
    (status, relay.lines().join("\n"))
}

async fn ended(relay: &Process, limit: Duration) -> Option<i32> {
    let status = relay.until(move |relay| relay.ended(limit)).await;
    status.unwrap().code()
}

/// Waits for what it says on standard error.
async fn told(relay: &Process, part: &'static str) -> String {
    let wanted = move |stream, line: &str| {
        (stream == Stream::Err && line.contains(part)).then(|| line.to_owned())
    };
    let line = relay.until(move |relay| relay.line(part, WAIT_MAX, wanted));
    line.await.unwrap()
}

async fn ready(relay: &Process) -> serde_json::Value {
    let ready = relay.until(|relay| relay.ready("ready", WAIT_MAX));
    ready.await.unwrap()
}

#[tokio::test]
async fn it_says_ready_and_ends_well_on_either_signal() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let edge = FakeEdge::start().await;
        let relay = start(command(&edge.url, &FREE_PORTS));
        let line = ready(&relay).await;
        let health = line["health"].as_str().unwrap().parse().unwrap();
        for path in ["/healthz", "/readyz"] {
            assert_eq!(crate::common::get(health, path).await.0, 200);
        }
        relay.signal(signal).unwrap();
        assert_eq!(ended(&relay, Duration::from_secs(3)).await, Some(0));
    }
}

#[tokio::test]
async fn a_taken_port_is_named_with_its_flag() {
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (tcp_address, udp_address) = (tcp.local_addr().unwrap(), udp.local_addr().unwrap());
    let free = || "127.0.0.1:0".to_owned();
    for (listen, control, health, wanted) in [
        (
            free(),
            free(),
            tcp_address.to_string(),
            format!("relay: {tcp_address} is taken; choose another address or port with --health"),
        ),
        (
            free(),
            tcp_address.to_string(),
            free(),
            format!("relay: {tcp_address} is taken; choose another address or port with --control"),
        ),
        (
            udp_address.to_string(),
            free(),
            free(),
            format!("relay: {udp_address} is taken; choose another address or port with --listen"),
        ),
    ] {
        let flags = [
            "--listen",
            &listen,
            "--control",
            &control,
            "--health",
            &health,
        ];
        let (status, error) = output(command("http://127.0.0.1:1", &flags)).await;
        assert_eq!(status, Some(1));
        assert!(error.lines().any(|line| line == wanted), "{error}");
    }
}

#[tokio::test]
async fn a_wrong_command_line_is_explained() {
    let (status, error) = output(command("ftp://edge.example", &[])).await;
    assert_eq!(status, Some(2));
    assert!(error.contains("use https://HOST"), "{error}");
}

/// A relay that is told to trust what is in `authorities`.
fn over_tls(edge: &str, authorities: &Path) -> Command {
    let mut command = command(edge, &FREE_PORTS);
    command
        .env("SSL_CERT_FILE", authorities)
        .env_remove("SSL_CERT_DIR");
    command
}

#[tokio::test]
async fn an_edge_over_https_is_trusted_by_its_certificate_only() {
    let (mut edge, certificate) = FakeEdge::start_tls().await;
    let relay = start(over_tls(&edge.url, certificate.path()));
    edge.heartbeat().await;
    relay.stop().unwrap();
    assert_eq!(ended(&relay, WAIT_MAX).await, Some(0));

    let (mut stranger, _) = FakeEdge::start_tls().await;
    let relay = start(over_tls(&stranger.url, certificate.path()));
    let line = told(&relay, "heartbeats fail").await;
    assert!(
        line.contains("tls") && !line.contains("127.0.0.1"),
        "{line}"
    );
    assert_eq!(stranger.waiting(), 0);
}

#[tokio::test]
async fn https_without_an_authority_to_trust_is_explained() {
    let nothing = NamedTempFile::new().unwrap();
    let (status, error) = output(over_tls("https://edge.example", nothing.path())).await;
    assert_eq!(status, Some(1));
    assert!(error.contains("install ca-certificates"), "{error}");
}

#[tokio::test]
async fn help_names_the_flags() {
    let mut command = process::command(env!("CARGO_BIN_EXE_relay"));
    command.arg("--help");
    let (status, help) = output(command).await;
    assert_eq!(status, Some(0));
    assert!(help.contains("--advertise <IP>"));
}

#[tokio::test]
async fn the_log_holds_no_address() {
    let mut edge = FakeEdge::start().await;
    edge.set(http::StatusCode::UNAUTHORIZED, false);
    let refused = start(command(&edge.url, &FREE_PORTS));
    edge.heartbeat().await;
    edge.heartbeat().await;
    refused.stop().unwrap();
    ended(&refused, WAIT_MAX).await;
    let alone = start(command("http://127.0.0.1:1", &FREE_PORTS));
    told(&alone, "heartbeats fail").await;
    let log = [refused.lines(), alone.lines()].concat().join("\n");
    assert!(
        log.contains("heartbeats are refused") && log.contains("socket is open"),
        "{log}"
    );
    assert!(!log.contains("127.0.0.1"), "{log}");
}

/// A relay that drains on SIGTERM, when it is ready.
async fn draining(edge: &FakeEdge, limit: &str) -> Process {
    let mut flags = FREE_PORTS.to_vec();
    flags.extend(["--drain-on-term", "--drain-limit-seconds", limit]);
    let relay = start(command(&edge.url, &flags));
    ready(&relay).await;
    relay
}

#[tokio::test]
async fn sigterm_drains_before_the_end_whatever_the_fleet_says() {
    let mut edge = FakeEdge::start().await;
    let relay = draining(&edge, "60").await;
    edge.waiting();
    relay.stop().unwrap();
    // The edge goes on replying that the shard should not drain.
    let states = async {
        let mut states = vec![edge.heartbeat().await.state];
        while states.last() != Some(&ShardState::Stopping) {
            states.push(edge.heartbeat().await.state);
        }
        states
    };
    let states = timeout(WAIT_MAX, states).await.unwrap();
    let first = states
        .iter()
        .position(|state| *state == ShardState::Draining);
    let first = first.unwrap_or_else(|| panic!("it never drained: {states:?}"));
    let (last, drained) = states[first..].split_last().unwrap();
    assert_eq!(*last, ShardState::Stopping);
    assert!(
        drained.iter().all(|state| *state == ShardState::Draining),
        "{states:?}"
    );
    assert_eq!(ended(&relay, WAIT_MAX).await, Some(0));
}

#[tokio::test]
async fn a_drain_ends_at_its_limit_and_at_a_second_signal() {
    let mut edge = FakeEdge::start().await;
    for (limit, signals) in [("1", 1), ("3600", 2)] {
        let relay = draining(&edge, limit).await;
        edge.waiting();
        let heartbeat = edge.heartbeat().await;
        let mut staying = Client::join(1, &heartbeat).await;
        staying.until_welcome().await;
        relay.stop().unwrap();
        staying
            .until_message(|message| (*message == RelayMessage::Migrate).then_some(()))
            .await;
        if signals == 2 {
            relay.stop().unwrap();
        }
        // He stays, and is told when it is over.
        assert_eq!(staying.until_ended().await, EndReason::RelayStopping);
        assert_eq!(ended(&relay, WAIT_MAX).await, Some(0));
    }
}

#[tokio::test]
async fn a_drain_ends_when_the_last_has_gone() {
    let mut edge = FakeEdge::start().await;
    let relay = draining(&edge, "3600").await;
    edge.waiting();
    let heartbeat = edge.heartbeat().await;
    let mut leaving = Client::join(1, &heartbeat).await;
    leaving.until_welcome().await;
    relay.stop().unwrap();
    leaving
        .until_message(|message| (*message == RelayMessage::Migrate).then_some(()))
        .await;
    let command = ControlCommand::End {
        session: leaving.session,
        player: leaving.player,
        reason: EndReason::Left,
    };
    let sealed = ControlMessage {
        at_ms: heartbeat.sent_at_ms,
        nonce: SessionId([1; 8]),
        command,
    }
    .seal(&key().subkeys(), heartbeat.boot);
    let control = heartbeat.control_url.strip_prefix("http://").unwrap();
    let control = control.parse().unwrap();
    let reply = crate::common::call(control, "POST", CONTROL_PATH, &[], sealed).await;
    assert_eq!(reply.0, 202);
    assert_eq!(ended(&relay, WAIT_MAX).await, Some(0));
}
