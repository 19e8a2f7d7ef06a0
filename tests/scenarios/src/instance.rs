//! A function's process as Lambda starts and ends it.

use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};

use anyhow::{Context, Result};
use tokio::sync::mpsc;
use wire::record::InvocationRecord;

/// A running function; it ends when the last handle is dropped.
#[derive(Clone)]
pub struct Instance {
    running: Arc<Running>,
}

struct Running {
    id: u32,
    child: Mutex<Child>,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Instance {
    /// Starts `program` with nothing but `environment`. Its records go to `records` too.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(
        program: &Path,
        environment: &[(&'static str, String)],
        records: Option<mpsc::UnboundedSender<InvocationRecord>>,
    ) -> Result<Self> {
        let mut child = Command::new(program)
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} does not start", program.display()))?;
        let lines = Arc::default();
        let stdout = child.stdout.take().context("standard output is piped")?;
        let stderr = child.stderr.take().context("standard error is piped")?;
        read(stdout, Arc::clone(&lines), records);
        read(stderr, Arc::clone(&lines), None);
        let running = Running {
            id: child.id(),
            child: Mutex::new(child),
            lines,
        };
        Ok(Self {
            running: Arc::new(running),
        })
    }

    /// Of its process.
    pub fn id(&self) -> u32 {
        self.running.id
    }

    /// Ends it at once and waits for that: until then, it might be given an event that it never
    /// answers.
    pub fn kill(&self) {
        self.running.kill();
    }

    /// What it has printed, on both outputs.
    pub fn lines(&self) -> Vec<String> {
        lock(&self.running.lines).clone()
    }
}

impl Running {
    fn kill(&self) {
        let mut child = lock(&self.child);
        // It may have ended by itself.
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads to the end: a full pipe would stop the function.
fn read(
    output: impl Read + Send + 'static,
    lines: Arc<Mutex<Vec<String>>>,
    records: Option<mpsc::UnboundedSender<InvocationRecord>>,
) {
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Some(records) = &records
                && let Ok(record) = serde_json::from_str(&line)
            {
                // Nobody may want it any more.
                let _ = records.send(record);
            }
            lock(&lines).push(line);
        }
    });
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder of this lock panics")
}
