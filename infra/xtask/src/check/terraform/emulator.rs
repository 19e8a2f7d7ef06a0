//! The emulator of AWS that a plan is applied on; it ends when this is dropped.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::install;
use crate::workspace::Workspace;

/// Python has much to read before it listens.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// The bucket of the state.
pub(super) const BUCKET: &str = "lifeverse-state";

pub(super) struct Emulator {
    child: Child,
    pub(super) url: String,
}

impl Emulator {
    /// Starts one with a bucket for the state.
    ///
    /// # Errors
    /// When it is not installed or does not listen within a minute.
    pub(super) fn start(workspace: &Workspace, scratch: &Path) -> Result<Self> {
        let tools = install::aws_tools(workspace)?;
        let read = |path: &str| {
            let path = workspace.root.join(path);
            fs::read_to_string(&path).with_context(|| format!("{}", path.display()))
        };
        let program = read("terraform/emulator.py")? + &read("tests/scenarios/moto_in_turn.py")?;
        let file = scratch.join("emulator.py");
        fs::write(&file, program).with_context(|| format!("{}", file.display()))?;
        let mut child = Command::new(tools.join("python"))
            .arg(&file)
            .args(["--host", "127.0.0.1", "--port", "0"])
            // Backups are made by a policy that is AWS's own.
            .env("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("the emulator does not start")?;
        let stderr = child.stderr.take().expect("standard error is piped");
        let (sender, url) = mpsc::channel();
        // Read to the end: a full pipe would stop it.
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some((_, url)) = line.split_once("Running on ") {
                    let _ = sender.send(url.trim().to_owned());
                }
            }
        });
        let mut emulator = Self {
            child,
            url: String::new(),
        };
        let url = url.recv_timeout(READY_LIMIT);
        emulator.url = url.context("the emulator did not listen within a minute")?;
        emulator.make_bucket(&tools)?;
        Ok(emulator)
    }

    fn make_bucket(&self, tools: &Path) -> Result<()> {
        let program = "import boto3, sys
s3 = boto3.client('s3', endpoint_url=sys.argv[1], region_name='us-east-1',
    aws_access_key_id='test', aws_secret_access_key='test')
s3.create_bucket(Bucket=sys.argv[2])";
        let made = Command::new(tools.join("python"))
            .args(["-c", program, &self.url, BUCKET])
            .status();
        if !made.context("python does not start")?.success() {
            bail!("the emulator makes no bucket for the state");
        }
        Ok(())
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
