//! Child processes that run until they are told to stop, and never outlive xtask.
//!
//! No orphans: xtask starts itself as `__launch`, which asks the kernel for SIGTERM when its parent
//! dies (Linux's parent-death signal, kept over `exec`) and then becomes the program. That needs no
//! `unsafe`, unlike `pre_exec`. On other systems a child outlives a killed xtask, though not a
//! stopped one.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};
use serde_json::Value;

use crate::clock::{now, pause};

/// First argument of xtask as a launcher; then the parent's pid, the program and its arguments.
pub(crate) const LAUNCH: &str = "__launch";

/// How long a child may take to end after SIGTERM.
pub(crate) const STOP_GRACE: Duration = Duration::from_secs(5);

/// Lines of a child's output that an error shows.
const TAIL_LINES: usize = 20;

const POLL: Duration = Duration::from_millis(20);

/// Longest wait for what a child that has ended printed.
const LAST_WORDS: Duration = Duration::from_secs(1);

type Tail = Arc<Mutex<VecDeque<String>>>;

/// The body of `xtask __launch`; returns only when the program could not be started.
pub(crate) fn launch(args: &[String]) -> ExitCode {
    let [parent, program, rest @ ..] = args else {
        eprintln!("error: {LAUNCH} PARENT PROGRAM [ARGUMENT..]");
        return ExitCode::FAILURE;
    };
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_pdeathsig(Signal::SIGTERM) {
        eprintln!("error: no signal at the parent's death: {error}");
        return ExitCode::FAILURE;
    }
    // The parent may have died before the line above.
    if parent.parse() != Ok(getppid().as_raw()) {
        return ExitCode::FAILURE;
    }
    let error = Command::new(program).args(rest).exec();
    eprintln!("error: {program} does not start: {error}");
    ExitCode::FAILURE
}

/// A command that runs xtask itself: the file that is running, even after a build has replaced it
/// on disk, when its name leads nowhere (`xtask (deleted)`) or to another.
#[expect(clippy::disallowed_methods, reason = "where there is no /proc")]
pub(crate) fn myself() -> Result<Command> {
    let link = PathBuf::from("/proc/self/exe");
    Ok(Command::new(if link.exists() {
        link
    } else {
        std::env::current_exe()?
    }))
}

/// A command that runs `program` under the launcher. The thread that starts it must live as long
/// as the child shall: the parent-death signal is about threads.
pub(crate) fn launched(program: &Path) -> Result<Command> {
    let mut command = myself()?;
    command
        .arg(LAUNCH)
        .arg(std::process::id().to_string())
        .arg(program);
    Ok(command)
}

/// A running child.
pub(crate) struct Supervised {
    pub(crate) name: &'static str,
    child: Child,
    lines: Option<Receiver<String>>,
    tail: Tail,
}

impl Supervised {
    /// Starts `command` in a process group of its own, so that Ctrl-C reaches xtask alone and the
    /// children end in order. Its standard output goes to the file `log`, its standard error to
    /// the terminal under its name.
    pub(crate) fn spawn(name: &'static str, mut command: Command, log: &Path) -> Result<Self> {
        let log = File::create(log).with_context(|| format!("{}", log.display()))?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("{name} does not start"))?;
        let tail = Tail::default();
        let (sender, lines) = mpsc::channel();
        let stdout = child.stdout.take().expect("standard output is piped");
        let stderr = child.stderr.take().expect("standard error is piped");
        read_stdout(stdout, log, sender, Arc::clone(&tail));
        read_stderr(name, stderr, Arc::clone(&tail));
        Ok(Self {
            name,
            child,
            lines: Some(lines),
            tail,
        })
    }

    /// Waits until the child prints a JSON line whose `event` is `event`, and returns that line.
    ///
    /// # Errors
    /// The child ends first, `limit` passes, or `cancelled` says so; with the child's last lines.
    pub(crate) fn wait_ready(
        &mut self,
        event: &str,
        limit: Duration,
        cancelled: impl Fn() -> bool,
    ) -> Result<Value> {
        let lines = self.lines.take().context("readiness is waited for once")?;
        let deadline = now() + limit;
        loop {
            match lines.recv_timeout(POLL) {
                Ok(line) => {
                    let value: Value = serde_json::from_str(&line).unwrap_or_default();
                    if value["event"] == event {
                        return Ok(value);
                    }
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => pause(POLL),
            }
            if let Some(status) = self.exited()? {
                // What it printed last may not be read yet.
                while lines.recv_timeout(LAST_WORDS).is_ok() {}
                bail!(
                    "{} ended before it was ready ({status}){}",
                    self.name,
                    self.last_lines()
                );
            }
            if cancelled() {
                bail!("stopped while {} was starting", self.name);
            }
            if now() > deadline {
                let seconds = limit.as_secs_f32();
                bail!(
                    "{} was not ready after {seconds} s{}",
                    self.name,
                    self.last_lines()
                );
            }
        }
    }

    /// How the child ended, if it did.
    pub(crate) fn exited(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .with_context(|| format!("{} cannot be waited for", self.name))
    }

    /// The last lines that the child printed, indented, for an error.
    pub(crate) fn last_lines(&self) -> String {
        let tail = self.tail.lock().expect("no holder of this lock panics");
        if tail.is_empty() {
            return "; it printed nothing".to_owned();
        }
        let lines: String = tail.iter().map(|line| format!("\n  {line}")).collect();
        format!("; its last lines:{lines}")
    }

    /// SIGTERM, then SIGKILL when it has not ended after `grace`. Whether it ended by itself.
    pub(crate) fn stop(&mut self, grace: Duration) -> Result<bool> {
        if self.exited()?.is_some() {
            return Ok(true);
        }
        let pid = i32::try_from(self.child.id()).context("a pid fits 31 bits")?;
        kill(Pid::from_raw(pid), Signal::SIGTERM).with_context(|| format!("stop {}", self.name))?;
        let deadline = now() + grace;
        while now() < deadline {
            if self.exited()?.is_some() {
                return Ok(true);
            }
            pause(POLL);
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(false)
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        if let Err(error) = self.stop(STOP_GRACE) {
            eprintln!("{}: {error:#}", self.name);
        }
    }
}

fn read_stdout(
    stdout: impl Read + Send + 'static,
    mut log: File,
    lines: Sender<String>,
    tail: Tail,
) {
    std::thread::spawn(move || {
        let mut lines = Some(lines);
        each_line(stdout, |line| {
            // A full disk must not stop the child.
            let _ = writeln!(log, "{line}");
            // Once somebody is ready, nobody listens, and nothing may pile up.
            if let Some(sender) = &lines {
                remember(&tail, &line);
                if sender.send(line).is_err() {
                    lines = None;
                }
            }
        });
    });
}

fn read_stderr(name: &'static str, stderr: impl Read + Send + 'static, tail: Tail) {
    std::thread::spawn(move || {
        each_line(stderr, |line| {
            eprintln!("{name} | {line}");
            remember(&tail, &line);
        });
    });
}

fn each_line(source: impl Read, mut take: impl FnMut(String)) {
    for line in BufReader::new(source).split(b'\n') {
        let Ok(line) = line else { return };
        take(String::from_utf8_lossy(&line).into_owned());
    }
}

fn remember(tail: &Tail, line: &str) {
    let mut tail = tail.lock().expect("no holder of this lock panics");
    if tail.len() == TAIL_LINES {
        tail.pop_front();
    }
    tail.push_back(line.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn spawn(script: &str) -> Supervised {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Supervised::spawn("sample", command, Path::new("/dev/null")).unwrap()
    }

    #[test]
    fn readiness_is_the_named_event() {
        let mut child = spawn(
            "echo noise; echo '{\"event\":\"other\"}'; \
            echo '{\"event\":\"ready\",\"address\":\"a:1\"}'; exec sleep 600",
        );
        let ready = child.wait_ready("ready", LONG, || false).unwrap();
        assert_eq!(ready["address"], "a:1");
        assert!(child.exited().unwrap().is_none());
        assert!(child.stop(LONG).unwrap());
        assert!(child.exited().unwrap().is_some());
    }

    #[test]
    fn a_child_that_dies_early_shows_its_last_lines() {
        let mut child = spawn("echo from-stdout; echo from-stderr >&2; exit 4");
        let error = child
            .wait_ready("ready", LONG, || false)
            .unwrap_err()
            .to_string();
        assert!(error.contains("ended before it was ready"), "{error}");
        assert!(error.contains("from-stdout"), "{error}");
    }

    #[test]
    fn a_child_that_is_never_ready_meets_a_deadline() {
        let mut child = spawn("exec sleep 600");
        let limit = Duration::from_millis(50);
        let error = child
            .wait_ready("ready", limit, || false)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("not ready after") && error.contains("nothing"),
            "{error}"
        );
    }

    #[test]
    fn waiting_can_be_cancelled() {
        let mut child = spawn("exec sleep 600");
        let error = child
            .wait_ready("ready", LONG, || true)
            .unwrap_err()
            .to_string();
        assert!(error.contains("stopped while sample"), "{error}");
    }

    #[test]
    fn a_child_that_ignores_sigterm_is_killed() {
        let mut child = spawn(
            "trap '' TERM; echo '{\"event\":\"ready\"}'; \
            while :; do sleep 0.1; done",
        );
        child.wait_ready("ready", LONG, || false).unwrap();
        assert!(!child.stop(Duration::from_millis(100)).unwrap());
        assert!(child.exited().unwrap().is_some());
    }
}
