//! A running program.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use serde_json::Value;

use crate::launch;
use crate::lines::{Lines, Stream, read};

/// The kernel ends a killed program at once, but for one that hangs in a device.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// A handle of a running program. The last one kills it when it is dropped.
#[derive(Clone)]
pub struct Process {
    child: Arc<Owned>,
}

struct Owned {
    watched: Arc<Watched>,
}

/// What the threads that watch a program share with its handles.
struct Watched {
    name: String,
    pid: Pid,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    lines: Lines,
    /// Outputs that are not at their end.
    open: usize,
    /// How it ended. Until this is set nobody has reaped it, so its id is no other program's.
    status: Option<ExitStatus>,
}

impl State {
    /// Whether nothing can come any more.
    fn is_over(&self) -> bool {
        self.open == 0 && self.status.is_some()
    }
}

impl Process {
    /// Starts `command`, which [`crate::command`] makes; `name` is for errors. Its standard input
    /// is empty, and both outputs are read.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(name: &str, command: Command) -> Result<Self> {
        Self::start_and(name, command, |_, _| {})
    }

    /// As [`Process::start`]; each line is also given to `take`, in threads of this crate.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_and(
        name: &str,
        mut command: Command,
        take: impl FnMut(Stream, &str) + Send + 'static,
    ) -> Result<Self> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = launch::spawn(command).with_context(|| format!("{name} does not start"))?;
        let pid = Pid::from_raw(i32::try_from(child.id()).context("a process id has 31 bits")?);
        let state = State {
            open: 2,
            ..State::default()
        };
        let watched = Arc::new(Watched {
            name: name.to_owned(),
            pid,
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let take = Arc::new(Mutex::new(take));
        let out = child.stdout.take().context("standard output is piped")?;
        let err = child.stderr.take().context("standard error is piped")?;
        follow(&watched, out, Stream::Out, &take);
        follow(&watched, err, Stream::Err, &take);
        await_end(&watched, child);
        Ok(Self {
            child: Arc::new(Owned { watched }),
        })
    }

    /// The name under which it was started.
    pub fn name(&self) -> &str {
        &self.watched().name
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.watched().pid.as_raw().unsigned_abs()
    }

    /// Waits for the line of standard output that is a JSON object whose `event` is `event`.
    ///
    /// # Errors
    /// When it ends first, or `limit` passes.
    pub fn ready(&self, event: &str, limit: Duration) -> Result<Value> {
        self.line(&format!("the event `{event}`"), limit, |stream, line| {
            let value: Value = serde_json::from_str(line).ok()?;
            (stream == Stream::Out && value["event"] == event).then_some(value)
        })
    }

    /// Waits for a line, of those that it wrote before too, in which `wanted` finds something;
    /// `what` that is, for the error.
    ///
    /// # Errors
    /// When it ends first, or `limit` passes.
    pub fn line<T>(
        &self,
        what: &str,
        limit: Duration,
        mut wanted: impl FnMut(Stream, &str) -> Option<T>,
    ) -> Result<T> {
        let (mut next, mut found) = (0, None);
        let state = self.wait(limit, |state| {
            found = state.lines.find(&mut next, &mut wanted);
            found.is_none() && !state.is_over()
        });
        let (name, tail) = (&self.watched().name, state.lines.tail());
        match (found, state.status) {
            (Some(found), _) => Ok(found),
            (None, Some(status)) => bail!("{name} ended ({status}) before {what}; {tail}"),
            (None, None) => bail!("{name} runs, but {what} did not come in {limit:?}; {tail}"),
        }
    }

    /// Waits for its end, and for the last of what it wrote.
    ///
    /// # Errors
    /// When it runs after `limit`.
    pub fn ended(&self, limit: Duration) -> Result<ExitStatus> {
        let state = self.wait(limit, |state| !state.is_over());
        let (name, tail) = (&self.watched().name, state.lines.tail());
        state
            .status
            .with_context(|| format!("{name} runs after {limit:?}; {tail}"))
    }

    /// What it has written, on both outputs: the last [`crate::LINES_MAX`] lines.
    pub fn lines(&self) -> Vec<String> {
        self.state().lines.texts().map(str::to_owned).collect()
    }

    /// How many lines came before those of [`Process::lines`].
    pub fn lines_forgotten(&self) -> usize {
        self.state().lines.forgotten()
    }

    /// Whether it has not ended.
    pub fn runs(&self) -> bool {
        self.state().status.is_none()
    }

    /// Asks it to end, with SIGTERM.
    ///
    /// # Errors
    /// When it has ended.
    pub fn stop(&self) -> Result<()> {
        self.signal(Signal::SIGTERM)
    }

    /// Freezes it, with SIGSTOP, and waits until it stands still: its connections stay, and nothing
    /// of it answers.
    ///
    /// # Errors
    /// When it has ended.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)?;
        look(
            self.watched().pid,
            WaitPidFlag::WSTOPPED | WaitPidFlag::WEXITED,
        );
        Ok(())
    }

    /// Lets it go on after [`Process::freeze`].
    ///
    /// # Errors
    /// When it has ended.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.watched().signal(signal)
    }

    /// Kills it as a crash would, and waits until it is gone.
    pub fn kill(&self) {
        self.watched().kill();
    }

    /// Waits in async code: `wait` runs in a thread of tokio's for what may block.
    #[cfg(feature = "tokio")]
    pub async fn until<T: Send + 'static>(
        &self,
        wait: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> T {
        let process = self.clone();
        let waited = tokio::task::spawn_blocking(move || wait(&process));
        waited.await.expect("waiting does not panic")
    }

    fn watched(&self) -> &Watched {
        &self.child.watched
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.watched().state()
    }

    fn wait(
        &self,
        limit: Duration,
        goes_on: impl FnMut(&mut State) -> bool,
    ) -> MutexGuard<'_, State> {
        self.watched().wait(limit, goes_on)
    }
}

impl Watched {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    fn wait(
        &self,
        limit: Duration,
        goes_on: impl FnMut(&mut State) -> bool,
    ) -> MutexGuard<'_, State> {
        let waited = self
            .changed
            .wait_timeout_while(self.state(), limit, goes_on);
        waited.expect("no holder of this lock panics").0
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let state = self.state();
        if let Some(status) = state.status {
            let (name, tail) = (&self.name, state.lines.tail());
            bail!("{name} takes no {signal}: it has ended ({status}); {tail}");
        }
        kill(self.pid, signal).with_context(|| format!("{} takes no {signal}", self.name))
    }

    fn kill(&self) {
        // It may have ended by itself.
        let _ = self.signal(Signal::SIGKILL);
        drop(self.wait(KILL_LIMIT, |state| state.status.is_none()));
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.watched.kill();
    }
}

/// Reads an output to its end.
fn follow(
    watched: &Arc<Watched>,
    output: impl Read + Send + 'static,
    stream: Stream,
    take: &Arc<Mutex<impl FnMut(Stream, &str) + Send + 'static>>,
) {
    let (watched, take) = (Arc::clone(watched), Arc::clone(take));
    std::thread::spawn(move || {
        read(output, |line| {
            if let Ok(mut take) = take.lock() {
                take(stream, &line);
            }
            watched.state().lines.push(stream, line);
            watched.changed.notify_all();
        });
        watched.state().open -= 1;
        watched.changed.notify_all();
    });
}

/// Notes the end of a child. It is reaped under the lock, so that no signal meets a stranger who
/// has its id by then.
fn await_end(watched: &Arc<Watched>, mut child: Child) {
    let watched = Arc::clone(watched);
    std::thread::spawn(move || {
        look(watched.pid, WaitPidFlag::WEXITED);
        let mut state = watched.state();
        state.status = child.wait().ok();
        drop(state);
        watched.changed.notify_all();
    });
}

/// Waits for what `events` names and leaves it for others to see. A child that was reaped is no
/// error: it has ended.
fn look(pid: Pid, events: WaitPidFlag) {
    let events = events | WaitPidFlag::WNOWAIT;
    while waitid(Id::Pid(pid), events) == Err(nix::errno::Errno::EINTR) {}
}
