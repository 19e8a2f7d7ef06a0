//! The binary: command line, ready line, signals.

use std::path::Path;
use std::process::{Output, Stdio};

use crate::common::player::Client;
use crate::common::{FakeEdge, WAIT_MAX, key};
use tempfile::NamedTempFile;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use wire::SessionId;
use wire::channel::{EndReason, RelayMessage};
use wire::control::{CONTROL_PATH, ControlCommand, ControlMessage};
use wire::fleet::ShardState;

fn command(edge: &str, extra: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay"));
    command
        .args(["--shard", "dev-0", "--region", "dev", "--edge", edge])
        .args(extra)
        .env("RELAY_SHARD_KEYS", key().to_base64())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
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

async fn output(mut command: Command) -> Output {
    timeout(WAIT_MAX, command.output()).await.unwrap().unwrap()
}

async fn signal(child: &Child, name: &str) {
    let id = child.id().expect("it runs").to_string();
    let status = Command::new("kill")
        .args([name, &id])
        .status()
        .await
        .unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn it_says_ready_and_ends_well_on_either_signal() {
    for name in ["-INT", "-TERM"] {
        let edge = FakeEdge::start().await;
        let mut child = command(&edge.url, &FREE_PORTS).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = timeout(WAIT_MAX, lines.next_line())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["event"], "ready");
        let health = line["health"].as_str().unwrap().parse().unwrap();
        for path in ["/healthz", "/readyz"] {
            assert_eq!(crate::common::get(health, path).await.0, 200);
        }
        signal(&child, name).await;
        let limit = std::time::Duration::from_secs(3);
        let status = timeout(limit, child.wait())
            .await
            .expect("it ends in time")
            .unwrap();
        assert_eq!(status.code(), Some(0));
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
        let output = output(command("http://127.0.0.1:1", &flags)).await;
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.lines().any(|line| line == wanted), "{error}");
    }
}

#[tokio::test]
async fn a_wrong_command_line_is_explained() {
    let output = output(command("ftp://edge.example", &[])).await;
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
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
    let mut child = over_tls(&edge.url, certificate.path()).spawn().unwrap();
    edge.heartbeat().await;
    signal(&child, "-TERM").await;
    assert!(
        timeout(WAIT_MAX, child.wait())
            .await
            .unwrap()
            .unwrap()
            .success()
    );

    let (mut stranger, _) = FakeEdge::start_tls().await;
    let mut child = over_tls(&stranger.url, certificate.path()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let told = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("heartbeats fail") {
                return line;
            }
        }
        panic!("it ended without a word");
    };
    let line = timeout(WAIT_MAX, told).await.unwrap();
    assert!(
        line.contains("tls") && !line.contains("127.0.0.1"),
        "{line}"
    );
    assert_eq!(stranger.waiting(), 0);
}

#[tokio::test]
async fn https_without_an_authority_to_trust_is_explained() {
    let nothing = NamedTempFile::new().unwrap();
    let output = output(over_tls("https://edge.example", nothing.path())).await;
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("install ca-certificates"), "{error}");
}

#[tokio::test]
async fn help_names_the_flags() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay"));
    command.arg("--help");
    let output = output(command).await;
    assert_eq!(output.status.code(), Some(0));
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("--advertise IP")
    );
}

#[tokio::test]
async fn the_log_holds_no_address() {
    let mut edge = FakeEdge::start().await;
    edge.set(http::StatusCode::UNAUTHORIZED, false);
    let mut child = command(&edge.url, &FREE_PORTS).spawn().unwrap();
    edge.heartbeat().await;
    edge.heartbeat().await;
    signal(&child, "-TERM").await;
    let output = timeout(WAIT_MAX, child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    child = command("http://127.0.0.1:1", &FREE_PORTS).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut log = String::from_utf8(output.stderr).unwrap();
    while !log.contains("heartbeats fail") {
        let line = timeout(WAIT_MAX, lines.next_line()).await.unwrap().unwrap();
        log += &line.expect("the log goes on until heartbeats fail");
    }
    assert!(
        log.contains("heartbeats are refused") && log.contains("socket is open"),
        "{log}"
    );
    assert!(!log.contains("127.0.0.1"), "{log}");
}

/// A relay that drains on SIGTERM, when it is ready.
async fn draining(edge: &FakeEdge, limit: &str) -> Child {
    let mut flags = FREE_PORTS.to_vec();
    flags.extend(["--drain-on-term", "--drain-limit-seconds", limit]);
    let mut child = command(&edge.url, &flags).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    timeout(WAIT_MAX, lines.next_line()).await.unwrap().unwrap();
    // Usage records go on coming there.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    child
}

async fn ends_well(mut child: Child) {
    let status = timeout(WAIT_MAX, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn sigterm_drains_before_the_end_whatever_the_fleet_says() {
    let mut edge = FakeEdge::start().await;
    let child = draining(&edge, "60").await;
    edge.waiting();
    signal(&child, "-TERM").await;
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
    ends_well(child).await;
}

#[tokio::test]
async fn a_drain_ends_at_its_limit_and_at_a_second_signal() {
    let mut edge = FakeEdge::start().await;
    for (limit, signals) in [("1", 1), ("3600", 2)] {
        let child = draining(&edge, limit).await;
        edge.waiting();
        let heartbeat = edge.heartbeat().await;
        let mut staying = Client::join(1, &heartbeat).await;
        staying.until_welcome().await;
        signal(&child, "-TERM").await;
        staying
            .until_message(|message| (*message == RelayMessage::Migrate).then_some(()))
            .await;
        if signals == 2 {
            signal(&child, "-TERM").await;
        }
        // He stays, and is told when it is over.
        assert_eq!(staying.until_ended().await, EndReason::RelayStopping);
        ends_well(child).await;
    }
}

#[tokio::test]
async fn a_drain_ends_when_the_last_has_gone() {
    let mut edge = FakeEdge::start().await;
    let child = draining(&edge, "3600").await;
    edge.waiting();
    let heartbeat = edge.heartbeat().await;
    let mut leaving = Client::join(1, &heartbeat).await;
    leaving.until_welcome().await;
    signal(&child, "-TERM").await;
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
    ends_well(child).await;
}
