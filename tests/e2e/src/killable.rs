//! An edge host as a process of its own, on a fixed port and state folder, that can be killed.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use process::Process;
use scenarios::programs;
use scenarios::tokens::Secrets;
use tempfile::TempDir;
use tokio::sync::{Mutex, watch};

use crate::service::manifest;

/// Components may have to be compiled first, on a machine that is busy.
const START_LIMIT: Duration = Duration::from_secs(120);

/// A policy whose rate limits do not bind, for load.
pub fn unlimited_policy() -> String {
    include_str!("../../../functions/edge/policy.json")
        .replace("\"burst\": 6", "\"burst\": 1000")
        .replace("\"per_minute\": 40", "\"per_minute\": 1000")
}

/// The process, which comes back where it was.
pub struct KillableEdge {
    /// Of this service.
    pub secrets: Secrets,
    address: SocketAddr,
    state: TempDir,
    process: Mutex<Process>,
    up: watch::Sender<bool>,
}

impl KillableEdge {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// When the binary or a component has not been built.
    pub async fn start() -> Result<Self> {
        let (secrets, state) = (Secrets::generate(), TempDir::new()?);
        let free = ([127, 0, 0, 1], 0).into();
        let (process, address) = spawn(&secrets, state.path(), free).await?;
        Ok(Self {
            secrets,
            address,
            state,
            process: Mutex::new(process),
            up: watch::Sender::new(true),
        })
    }

    /// Its base address, the same after each start.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Kills it as a crash would, and starts it again with the same state.
    ///
    /// # Errors
    /// When it does not come back.
    pub async fn kill_and_start(&self) -> Result<()> {
        let mut process = self.process.lock().await;
        self.up.send_replace(false);
        process.until(Process::kill).await;
        let (started, _) = spawn(&self.secrets, self.state.path(), self.address).await?;
        *process = started;
        self.up.send_replace(true);
        Ok(())
    }

    /// Waits until it runs.
    ///
    /// # Errors
    /// When it does not within ten seconds.
    pub async fn wait_until_up(&self) -> Result<()> {
        let mut up = self.up.subscribe();
        let waiting = up.wait_for(|up| *up);
        tokio::time::timeout(Duration::from_secs(30), waiting)
            .await
            .context("it stays down")??;
        Ok(())
    }
}

async fn spawn(
    secrets: &Secrets,
    state: &Path,
    listen: SocketAddr,
) -> Result<(Process, SocketAddr)> {
    let mut command = process::command(programs::of_workspace("edge-host")?);
    command
        .arg("--spin-toml")
        .arg(manifest())
        .args(["--listen", &listen.to_string(), "--state-dir"])
        .arg(state)
        .arg("--cache-dir")
        .arg(programs::compiled_components()?)
        .env("SPIN_VARIABLE_FLEET_SECRET", secrets.fleet_base64())
        .env("SPIN_VARIABLE_TOKEN_KEYS", secrets.key_set())
        .env("SPIN_VARIABLE_POLICY", unlimited_policy());
    let process = Process::start("edge-host", command)?;
    let line = process
        .until(|it| it.ready("listening", START_LIMIT))
        .await?;
    let address = line["address"].as_str().context("it names its address")?;
    Ok((process, address.parse()?))
}
