//! The built program: what it says to a person, and that it leaves nothing behind.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests; clippy knows only the test functions themselves"
)]

use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const XTASK: &str = env!("CARGO_BIN_EXE_xtask");

fn xtask(line: &str) -> Output {
    Command::new(XTASK)
        .args(line.split_whitespace())
        .output()
        .unwrap()
}

fn error(line: &str) -> String {
    let output = xtask(line);
    assert!(!output.status.success(), "`{line}` succeeded");
    assert!(output.stdout.is_empty(), "an error goes to standard error");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn without_arguments_it_helps() {
    let output = xtask("");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("  up ") && text.contains("  test "), "{text}");
}

#[test]
fn a_mistyped_command_or_flag_names_the_near_one() {
    assert!(error("tets").contains("exists: 'test'"));
    assert!(error("up --lsten x").contains("exists: '--listen'"));
}

#[test]
fn a_taken_port_is_told_before_anything_is_built() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = tcp.local_addr().unwrap();
    let free = "--media-port 0 --control 127.0.0.1:0 --health 127.0.0.1:0 --listen 127.0.0.1:0";
    let said = error(&format!(
        "up {}",
        free.replace("--listen 127.0.0.1:0", &format!("--listen {taken}"))
    ));
    assert!(
        said.contains("taken; choose another with --listen"),
        "{said}"
    );
    let control = format!("up --media-port 0 --listen 127.0.0.1:0 --control {taken}");
    assert!(error(&control).contains("taken; choose another with --control"));

    // On every address, because the relay takes the machine's own.
    let udp = UdpSocket::bind("0.0.0.0:0").unwrap();
    let port = udp.local_addr().unwrap().port();
    let media = format!(
        "up --listen 127.0.0.1:0 --control 127.0.0.1:0 --health 127.0.0.1:0 --media-port {port}"
    );
    assert!(error(&media).contains("taken; choose another with --media-port"));
}

/// The launcher's promise: a parent killed without warning takes its children with it.
#[cfg(target_os = "linux")]
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a test with real processes needs a deadline"
)]
fn a_killed_parent_leaves_no_child() {
    let script = format!("'{XTASK}' __launch $$ sleep 600 & echo $!; wait");
    let mut parent = Command::new("sh")
        .args(["-c", &script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(parent.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    let child = Path::new("/proc").join(line.trim());
    let deadline = Instant::now() + Duration::from_secs(30);
    let name = || std::fs::read_to_string(child.join("comm")).unwrap_or_default();
    while name().trim() != "sleep" {
        assert!(
            Instant::now() < deadline,
            "the launcher did not become `sleep` but {:?}",
            name()
        );
        std::thread::yield_now();
    }
    parent.kill().unwrap();
    parent.wait().unwrap();
    // Gone, or a zombie that nobody has reaped yet.
    let state = || std::fs::read_to_string(child.join("stat")).unwrap_or_default();
    while state()
        .rsplit(')')
        .next()
        .is_some_and(|rest| !rest.starts_with(" Z") && !rest.is_empty())
    {
        assert!(
            Instant::now() < deadline,
            "the child outlived its parent: {}",
            state()
        );
        std::thread::yield_now();
    }
}

#[test]
fn the_launcher_gives_up_when_its_parent_is_another() {
    let output = xtask("__launch 1 echo started");
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(!xtask("__launch").status.success());
}
