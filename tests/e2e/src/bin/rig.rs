//! The service that browser and aiortc tests talk to: an edge host and a relay as child processes
//! on free ports. Prints one JSON line with their addresses when both are ready, and stops when
//! its standard input closes.
//!
//! `RIG_CONTROL` takes `POST /kill-relay` (SIGKILL, as a crash) and `POST /start-relay`; both
//! answer 204 once it is done.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use e2e::http::serve;
use e2e::service::{REGION, manifest};
use edge::token::SigningKey;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use process::{Process, Stream};
use scenarios::programs;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use wire::keys::FleetSecret;

const SHARD: &str = "rig";
/// Components may have to be compiled first, on a machine that is busy.
const START_LIMIT: Duration = Duration::from_secs(300);

#[tokio::main]
async fn main() -> Result<()> {
    let state = TempDir::new()?;
    let rig = Arc::new(Rig::start(state.path()).await?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let control = format!("http://{}", listener.local_addr()?);
    let ready = serde_json::json!({"EDGE_URL": rig.edge_url, "RIG_CONTROL": control});
    print_line(&ready.to_string());
    let serving = tokio::spawn(take_orders(listener, Arc::clone(&rig)));
    let mut rest = Vec::new();
    tokio::io::stdin().read_to_end(&mut rest).await?;
    serving.abort();
    rig.relay.lock().await.take();
    Ok(())
}

struct Rig {
    edge_url: String,
    key_file: PathBuf,
    relay: Mutex<Option<Process>>,
    _edge: Process,
}

impl Rig {
    async fn start(state: &Path) -> Result<Self> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|_| anyhow::anyhow!("no randomness"))?;
        // One set of random bytes serves as both: this service lives for one test run.
        let signing = SigningKey::new(secret);
        let signing_file = write(state, "signing-key", &signing.to_base64())?;
        let shard_key = FleetSecret::new(secret).shard_key(&SHARD.parse()?, 0);
        let key_file = write(state, "shard-key", &shard_key.to_base64())?;
        let mut command = sibling("edge-host")?;
        command
            .arg("--spin-toml")
            .arg(manifest())
            .args(["--listen", "127.0.0.1:0", "--state-dir"])
            .arg(state.join("edge"))
            .arg("--cache-dir")
            .arg(programs::compiled_components()?)
            .arg("--dev-signing-key")
            .arg(signing_file)
            .env("SPIN_VARIABLE_FLEET_SECRET", signing.to_base64())
            .env(
                "SPIN_VARIABLE_STATIC_SHARDS",
                format!(r#"[{{"shards": "{SHARD}"}}]"#),
            )
            .env("SPIN_VARIABLE_TOKEN_KEYS", signing.key_set_json("dev"));
        let (edge, line) = spawn_until("edge-host", command, "listening").await?;
        let address = line["address"]
            .as_str()
            .context("the edge host names its address")?;
        let edge_url = format!("http://{address}");
        let rig = Self {
            edge_url,
            key_file,
            relay: Mutex::default(),
            _edge: edge,
        };
        rig.start_relay().await?;
        Ok(rig)
    }

    async fn start_relay(&self) -> Result<()> {
        let mut relay = self.relay.lock().await;
        if relay.is_some() {
            bail!("the relay runs already");
        }
        let mut command = sibling("relay")?;
        command
            .args([
                "--shard",
                SHARD,
                "--region",
                REGION,
                "--edge",
                &self.edge_url,
            ])
            .args([
                "--listen",
                "127.0.0.1:0",
                "--listen-tcp",
                "127.0.0.1:0",
                "--control",
                "127.0.0.1:0",
                "--health",
                "127.0.0.1:0",
                "--key-file",
            ])
            .arg(&self.key_file);
        *relay = Some(spawn_until("relay", command, "ready").await?.0);
        Ok(())
    }

    async fn kill_relay(&self) -> Result<()> {
        let relay = self.relay.lock().await.take().context("no relay runs")?;
        relay.until(Process::kill).await;
        Ok(())
    }
}

async fn take_orders(listener: TcpListener, rig: Arc<Rig>) {
    let answer = move |request: Request<Incoming>| {
        let rig = Arc::clone(&rig);
        async move {
            let done = match request.uri().path() {
                "/kill-relay" => rig.kill_relay().await,
                "/start-relay" => rig.start_relay().await,
                path => Err(anyhow::anyhow!("{path} is not an order of this rig")),
            };
            let (status, text) = match done {
                Ok(()) => (StatusCode::NO_CONTENT, String::new()),
                Err(error) => (StatusCode::CONFLICT, format!("{error:#}\n")),
            };
            Response::builder()
                .status(status)
                .body(Full::new(Bytes::from(text)))
        }
    };
    serve(listener, answer).await;
}

/// A program that was built beside this one.
fn sibling(name: &str) -> Result<Command> {
    Ok(process::command(programs::of_workspace(name)?))
}

/// Starts a program and waits for its JSON line whose `event` is `event`. What it says on standard
/// error is shown.
async fn spawn_until(
    name: &str,
    command: Command,
    event: &'static str,
) -> Result<(Process, serde_json::Value)> {
    let program = Process::start_and(name, command, |stream, line| {
        if stream == Stream::Err {
            eprintln!("{line}");
        }
    })?;
    let line = program.until(|it| it.ready(event, START_LIMIT)).await?;
    Ok((program, line))
}

fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    std::fs::write(&path, text)?;
    Ok(path)
}

#[expect(
    clippy::print_stdout,
    reason = "the ready line is this program's output"
)]
fn print_line(line: &str) {
    println!("{line}");
}
