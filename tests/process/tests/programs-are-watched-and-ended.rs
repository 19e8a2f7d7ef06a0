//! Programs of a shell: what they write is seen, and none is left behind.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use process::{Process, Stream};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(50);

fn sh(script: &str) -> Process {
    let mut command = process::command("sh");
    command.args(["-c", script]);
    Process::start("sample", command).unwrap()
}

fn is_there(pid: u32) -> bool {
    PathBuf::from(format!("/proc/{pid}")).exists()
}

#[test]
fn readiness_is_the_named_event_and_every_line_is_kept() {
    let sample = sh("echo noise; echo '{\"event\":\"other\"}'; echo aside >&2; \
        echo '{\"event\":\"ready\",\"address\":\"a:1\"}'; exec sleep 600");
    // A second wait finds what the first has passed.
    for _ in 0..2 {
        assert_eq!(sample.ready("ready", LONG).unwrap()["address"], "a:1");
    }
    let aside = |stream, line: &str| (stream == Stream::Err).then(|| line.to_owned());
    assert_eq!(sample.line("an aside", LONG, aside).unwrap(), "aside");
    assert!(sample.runs());
    sample.stop().unwrap();
    assert_eq!(sample.ended(LONG).unwrap().code(), None);
    assert_eq!((sample.lines().len(), sample.lines_forgotten()), (4, 0));
}

#[test]
fn errors_say_what_was_waited_for_and_what_came_instead() {
    let early = sh("echo from-out; echo from-err >&2; exit 4");
    let error = early.ready("ready", LONG).unwrap_err().to_string();
    for part in ["sample ended", "4", "`ready`", "from-out", "from-err"] {
        assert!(error.contains(part), "{part} in {error}");
    }
    let error = early.stop().unwrap_err().to_string();
    assert!(error.contains("it has ended"), "{error}");
    let silent = sh("exec sleep 600");
    let error = silent.ready("ready", SHORT).unwrap_err().to_string();
    assert!(
        error.contains("50ms") && error.contains("written nothing"),
        "{error}"
    );
    let error = silent.ended(SHORT).unwrap_err().to_string();
    assert!(error.contains("runs after 50ms"), "{error}");
    let absent = Process::start("absent", process::command("/no/such/program"));
    if let Ok(absent) = absent {
        let error = absent.ready("ready", LONG).unwrap_err().to_string();
        assert!(error.contains("/no/such/program"), "{error}");
    }
}

#[test]
fn a_frozen_program_stands_still_and_goes_on() {
    let counter = sh("n=0; while sleep 0.01; do n=$((n+1)); echo $n; done");
    let counts = |more: u64, limit| {
        let wanted = |_, line: &str| line.parse::<u64>().ok().filter(|count| *count >= more);
        counter.line("a count", limit, wanted)
    };
    counts(1, LONG).unwrap();
    counter.freeze().unwrap();
    // What was written before is read to its end first: then nothing more comes.
    let far = counts(u64::MAX, SHORT).unwrap_err().to_string();
    let last = far.lines().last().unwrap().trim().parse::<u64>().unwrap();
    assert!(counts(last + 1, SHORT).is_err());
    counter.thaw().unwrap();
    counts(last + 1, LONG).unwrap();
    // Frozen ones end too.
    counter.freeze().unwrap();
    counter.kill();
    assert!(!counter.runs());
}

#[test]
fn the_last_handle_ends_it_even_in_a_panic() {
    let first = sh("trap '' TERM; exec sleep 600");
    let (second, pid) = (first.clone(), first.id());
    drop(first);
    assert!(second.runs());
    let panicked = std::panic::catch_unwind(move || {
        let _held = second;
        panic!("on purpose");
    });
    assert!(panicked.is_err() && !is_there(pid));
}

#[test]
fn lines_are_handed_on_as_they_come() {
    let (sender, lines) = std::sync::mpsc::channel();
    let mut command = process::command("sh");
    command.args(["-c", "echo a; echo b >&2"]);
    let sample = Process::start_and("sample", command, move |stream, line| {
        sender.send((stream, line.to_owned())).unwrap();
    });
    let sample = sample.unwrap();
    assert!(sample.ended(LONG).unwrap().success());
    let mut taken: Vec<_> = lines.iter().take(2).collect();
    taken.sort_by_key(|(_, line)| line.clone());
    let expected = [(Stream::Out, "a"), (Stream::Err, "b")];
    assert_eq!(
        taken,
        expected.map(|(stream, line)| (stream, line.to_owned()))
    );
}

/// The parent of [`children_do_not_outlive_a_killed_parent`], in a program of its own.
#[test]
#[ignore = "another test starts it"]
fn a_parent_that_waits_for_its_end() {
    let child = sh("exec sleep 600 > \"$HELD\"");
    let _ = child.ended(LONG * 10);
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "it starts itself, built a moment ago"
)]
fn children_do_not_outlive_a_killed_parent() {
    if !PathBuf::from("/usr/bin/setpriv").is_file() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let held = folder.path().join("held");
    nix::unistd::mkfifo(&held, nix::sys::stat::Mode::S_IRWXU).unwrap();
    // It reads until nobody holds the other end, which the child does as long as it lives.
    let mut reader = process::command("sh");
    reader.args(["-c", "exec < \"$HELD\"; echo held; cat"]);
    let reader = Process::start("reader", {
        reader.env("HELD", &held);
        reader
    })
    .unwrap();
    let mut parent = Command::new(std::env::current_exe().unwrap());
    parent
        .args(["--ignored", "--exact", "a_parent_that_waits_for_its_end"])
        .env("HELD", &held);
    let parent = Process::start("parent", parent).unwrap();
    let held = |_, line: &str| (line == "held").then_some(());
    reader.line("the child", LONG, held).unwrap();
    assert!(reader.ended(SHORT).is_err());
    parent.kill();
    assert!(reader.ended(LONG).unwrap().success());
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn async_code_waits_without_standing_still() {
    let sample = sh("read line; echo '{\"event\":\"ready\"}'; exec sleep 600");
    let (waited, other) = tokio::join!(sample.until(|it| it.ready("ready", LONG)), async { 7 });
    assert_eq!(
        (waited.unwrap()["event"].as_str(), other),
        (Some("ready"), 7)
    );
}
