//! The running service that browser and aiortc tests talk to.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::clock::{now, pause};
use crate::workspace::Workspace;

/// The edge host compiles its components first.
const READY_LIMIT: Duration = Duration::from_secs(120);

const STOP_LIMIT: Duration = Duration::from_secs(15);

const POLL: Duration = Duration::from_millis(50);

/// The program `rig` of tests/e2e: an edge host and a relay on free ports. It prints one JSON line
/// when it is ready and stops when its standard input closes, so it cannot be left behind.
pub(crate) struct Rig {
    child: Child,
    stdin: Option<ChildStdin>,
    /// What tests find in their environment: every text of the ready line, such as EDGE_URL.
    variables: Vec<(String, String)>,
}

impl Rig {
    /// Starts the rig that `cargo build --workspace --all-targets` has built.
    pub(crate) fn start(workspace: &Workspace) -> Result<Self> {
        let mut command = Command::new(workspace.binary("rig"));
        command.current_dir(&workspace.root);
        Self::spawn(command, READY_LIMIT)
    }

    fn spawn(mut command: Command, limit: Duration) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the rig of tests/e2e does not start")?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("standard output is piped");
        let mut rig = Self {
            child,
            stdin,
            variables: Vec::new(),
        };
        let (sender, first) = mpsc::channel();
        // Read to the end: a full pipe would stop the rig.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(variables) = ready_line(&line) {
                    // Nobody listens once the rig is ready.
                    let _ = sender.send(variables);
                }
            }
        });
        match first.recv_timeout(limit) {
            Ok(variables) => rig.variables = variables,
            Err(mpsc::RecvTimeoutError::Disconnected) => bail!("the rig ended before it was ready"),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                bail!("the rig was not ready after {} s", limit.as_secs_f32())
            }
        }
        Ok(rig)
    }

    /// Puts the rig's addresses in a command's environment.
    pub(crate) fn prepare(&self, command: &mut Command) {
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let deadline = now() + STOP_LIMIT;
        while now() < deadline {
            match self.child.try_wait() {
                Ok(None) => pause(POLL),
                _ => return,
            }
        }
        eprintln!("the rig did not stop when its input closed, and was killed");
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("the rig cannot be killed: {error}");
        }
    }
}

/// The texts of a JSON object that names EDGE_URL; other lines are none.
fn ready_line(line: &str) -> Option<Vec<(String, String)>> {
    let value: Value = serde_json::from_str(line).ok()?;
    let object = value
        .as_object()
        .filter(|object| object.contains_key("EDGE_URL"))?;
    let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    Some(object.iter().filter_map(text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn the_ready_line_becomes_the_environment() {
        let script = "echo starting; echo '{\"EDGE_URL\":\"http://e\",\"n\":1}'; cat > /dev/null";
        let rig = Rig::spawn(sh(script), READY_LIMIT).unwrap();
        let mut command = sh("test \"$EDGE_URL\" = http://e");
        rig.prepare(&mut command);
        assert!(command.status().unwrap().success());
        assert_eq!(rig.variables.len(), 1, "numbers are left out");
    }

    #[test]
    fn a_rig_that_ends_or_hangs_is_an_error() {
        let error = Rig::spawn(sh("exit 1"), READY_LIMIT)
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("ended before"), "{error}");
        let short = Duration::from_millis(50);
        let error = Rig::spawn(sh("cat > /dev/null"), short)
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("not ready after"), "{error}");
    }

    #[test]
    fn closing_its_input_stops_it() {
        let rig = Rig::spawn(
            sh("echo '{\"EDGE_URL\":\"e\"}'; cat > /dev/null"),
            READY_LIMIT,
        )
        .unwrap();
        let started = now();
        drop(rig);
        assert!(started.elapsed() < STOP_LIMIT, "it was not killed");
    }
}
