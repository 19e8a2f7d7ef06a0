//! A service on this machine: an edge host and relays as processes of their own, to which faults
//! are caused.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::edge::token::SigningKey;
use anyhow::{Context as _, Result, bail, ensure};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use process::{Process, Stream};
use scenarios::programs;
use scenarios::tokens::{KEY_ID, Secrets};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::sleep;
use wire::ShardId;
use wire::record::InvocationRecord;

use crate::edge::{Edge, Tokens};
use crate::now;

/// Components may have to be compiled first, on a machine that is busy.
const START_LIMIT: Duration = Duration::from_secs(300);
/// Longest wait for the end of a relay that drains.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(90);
/// Over how long a drain asks its participants to move, seconds.
const DRAIN_SECONDS: u16 = 5;
/// Longest wait for the locks of the database.
const LOCK_LIMIT: Duration = Duration::from_secs(10);
/// Where the locks of SQLite's write-ahead log begin in its `-shm` file (`UNIX_SHM_BASE`), and how
/// many there are: writing, checkpoint, recovery and five of readers.
const SHM_LOCKS: (libc::off_t, libc::off_t) = (120, 8);
/// Any name will do: the only one here.
const REGION: &str = "drill";

/// The processes, stopped when dropped.
pub struct Local {
    secrets: Secrets,
    folder: TempDir,
    address: SocketAddr,
    edge: Option<Process>,
    relays: BTreeMap<ShardId, Relay>,
    participants: u32,
    /// Files whose locks are held.
    locked: Vec<OwnedFd>,
}

struct Relay {
    key_file: PathBuf,
    running: Option<Running>,
}

struct Running {
    process: Process,
    health: SocketAddr,
}

impl Local {
    /// Starts an edge host; each relay takes so many participants.
    ///
    /// # Errors
    /// When the program or a component is not built.
    pub async fn start(participants: u32) -> Result<Self> {
        let mut local = Self {
            secrets: Secrets::generate(),
            folder: TempDir::new()?,
            address: ([127, 0, 0, 1], 0).into(),
            edge: None,
            relays: BTreeMap::new(),
            participants,
            locked: Vec::new(),
        };
        local.start_edge().await?;
        Ok(local)
    }

    /// How callers join through it.
    ///
    /// # Errors
    /// When this machine trusts nobody's certificates.
    pub fn edge(&self) -> Result<Edge> {
        let key = Box::new(SigningKey::new(self.secrets.signing));
        let id = KEY_ID.to_owned();
        Edge::new(&self.url(), Tokens::Key { key, id })
    }

    /// The base address of the edge, the same after each start.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Names of the relays that have been started, running or not.
    pub fn shards(&self) -> Vec<ShardId> {
        self.relays.keys().cloned().collect()
    }

    /// Starts the edge host, where it was before.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_edge(&mut self) -> Result<()> {
        let mut command = process::command(programs::of_workspace("edge-host")?);
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../functions/spin.toml");
        command
            .arg("--spin-toml")
            .arg(manifest)
            .args(["--listen", &self.address.to_string(), "--state-dir"])
            .arg(self.folder.path())
            .arg("--cache-dir")
            .arg(programs::compiled_components()?)
            .args(["--variable", &format!("region={REGION}")])
            .env("SPIN_VARIABLE_FLEET_SECRET", self.secrets.fleet_base64())
            .env("SPIN_VARIABLE_TOKEN_KEYS", self.secrets.key_set())
            .env("SPIN_VARIABLE_STATIC_SHARDS", r#"[{"shards": "*"}]"#);
        let (process, line) = spawn("edge-host", command, "listening").await?;
        self.address = address(&line["address"])?;
        self.edge = Some(process);
        Ok(())
    }

    /// Ends the edge host as a crash would.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill_edge(&mut self) -> Result<()> {
        let edge = self.edge.take().context("the edge host does not run")?;
        edge.until(Process::kill).await;
        Ok(())
    }

    /// Starts a relay, and waits until the fleet has it.
    ///
    /// # Errors
    /// When it runs already, or does not come up.
    pub async fn start_relay(&mut self, shard: &ShardId) -> Result<()> {
        let url = self.url();
        let key_file = self.key_file(shard)?;
        let relay = self.relays.entry(shard.clone()).or_insert(Relay {
            key_file,
            running: None,
        });
        ensure!(relay.running.is_none(), "relay {shard} runs already");
        let mut command = process::command(programs::of_workspace("relay")?);
        command
            .args(["--shard", shard.as_str(), "--region", REGION])
            .args(["--edge", &url, "--key-file"])
            .arg(&relay.key_file)
            .args(["--listen", "127.0.0.1:0", "--listen-tcp", "127.0.0.1:0"])
            .args(["--control", "127.0.0.1:0", "--health", "127.0.0.1:0"])
            // What a fault does is measured, and not what a machine does that is too small.
            .args(["--full-cpu-percent", "100", "--full-packets", "0"])
            .args(["--max-participants", &self.participants.to_string()])
            .args(["--drain-on-term", "--drain-seconds"])
            .arg(DRAIN_SECONDS.to_string());
        let (process, line) = spawn(shard.as_str(), command, "ready").await?;
        let health = address(&line["health"])?;
        relay.running = Some(Running { process, health });
        Ok(())
    }

    fn key_file(&self, shard: &ShardId) -> Result<PathBuf> {
        let file = self.folder.path().join(format!("{shard}.key"));
        let key = self.secrets.fleet().shard_key(shard, 0);
        std::fs::write(&file, key.to_base64())?;
        Ok(file)
    }

    /// The process of a relay.
    ///
    /// # Errors
    /// When it does not run.
    pub fn relay(&self, shard: &ShardId) -> Result<&Process> {
        Ok(&self.running(shard)?.process)
    }

    /// Where a relay tells its metrics.
    ///
    /// # Errors
    /// When it does not run.
    pub fn health(&self, shard: &ShardId) -> Result<SocketAddr> {
        Ok(self.running(shard)?.health)
    }

    fn running(&self, shard: &ShardId) -> Result<&Running> {
        let relay = self.relays.get(shard);
        let running = relay.and_then(|relay| relay.running.as_ref());
        running.with_context(|| format!("relay {shard} does not run"))
    }

    /// Ends a relay as a crash would.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill_relay(&mut self, shard: &ShardId) -> Result<()> {
        self.relay(shard)?.clone().until(Process::kill).await;
        self.forget_relay(shard);
        Ok(())
    }

    /// Asks a relay to end; [`Local::await_drained`] waits for it.
    ///
    /// # Errors
    /// When it does not run.
    pub fn drain_relay(&mut self, shard: &ShardId) -> Result<()> {
        self.relay(shard)?.stop()
    }

    /// Waits for the end of a relay that drains.
    ///
    /// # Errors
    /// When it runs after [`DRAIN_LIMIT`]; it is killed.
    pub async fn await_drained(&mut self, shard: &ShardId) -> Result<()> {
        let process = self.relay(shard)?.clone();
        let ended = process.until(|it| it.ended(DRAIN_LIMIT)).await;
        process.until(Process::kill).await;
        self.forget_relay(shard);
        ended.map(drop)
    }

    fn forget_relay(&mut self, shard: &ShardId) {
        if let Some(relay) = self.relays.get_mut(shard) {
            relay.running = None;
        }
    }

    /// Makes the store unavailable: every lock of the database's log is held, as by a process that
    /// hangs, so that the edge host reads and writes nothing. (Rights would not stop root, and a
    /// file that is moved away stays open.)
    ///
    /// # Errors
    /// When there is no database, or its locks are not to be had.
    pub async fn lock_store(&mut self) -> Result<()> {
        let folder = self.folder.path().join("sqlite");
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.to_string_lossy().ends_with("-shm") {
                let file = lock(&path).await?;
                self.locked.push(file);
            }
        }
        if self.locked.is_empty() {
            bail!("{} holds no database that is open", folder.display());
        }
        Ok(())
    }

    /// Lets the store go on.
    pub fn unlock_store(&mut self) {
        self.locked.clear();
    }

    /// The process of the edge host.
    ///
    /// # Errors
    /// When it does not run.
    pub fn edge_process(&self) -> Result<&Process> {
        self.edge.as_ref().context("the edge host does not run")
    }

    /// What the edge host has recorded of its invocations since it started.
    ///
    /// # Errors
    /// When it does not run.
    pub fn records(&self) -> Result<Vec<InvocationRecord>> {
        let lines = self.edge_process()?.lines();
        let records = lines
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok());
        Ok(records.collect())
    }
}

/// Takes all locks of a `-shm` file. They end with the file.
async fn lock(path: &Path) -> Result<OwnedFd> {
    let file = std::fs::File::options().read(true).write(true).open(path)?;
    let file = OwnedFd::from(file);
    let all = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: SHM_LOCKS.0,
        l_len: SHM_LOCKS.1,
        l_pid: 0,
    };
    let until = now() + LOCK_LIMIT;
    // A reader has one for as long as its statement takes.
    while let Err(error) = fcntl(&file, FcntlArg::F_OFD_SETLK(&all)) {
        if now() > until {
            bail!("the locks of {} are not to be had: {error}", path.display());
        }
        sleep(Duration::from_millis(1)).await;
    }
    Ok(file)
}

fn address(value: &Value) -> Result<SocketAddr> {
    let text = value.as_str().context("it names an address")?;
    Ok(text.parse()?)
}

/// Starts a program and waits for its line whose `event` is `event`. What it warns of is shown
/// where `DRILL_LOG` is set.
async fn spawn(
    name: &str,
    mut command: std::process::Command,
    event: &'static str,
) -> Result<(Process, Value)> {
    let shown = std::env::var_os("DRILL_LOG").is_some();
    command.env("RUST_LOG", if shown { "info" } else { "error" });
    let tag = name.to_owned();
    let process = Process::start_and(name, command, move |stream, line| {
        if shown && stream == Stream::Err {
            tell(&tag, line);
        }
    })?;
    let line = process
        .until(move |it| it.ready(event, START_LIMIT))
        .await?;
    Ok((process, line))
}

#[expect(clippy::print_stderr, reason = "it was asked for")]
fn tell(name: &str, line: &str) {
    eprintln!("{name}: {line}");
}
