//! Hosts as processes of their own: each on free ports with an empty store, stopped when dropped.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use process::Process;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use wire::record::InvocationRecord;
use wire::routes::Function;

use crate::http::Http;
use crate::instance::{self, Instance};
use crate::moto::{self, Moto};
use crate::programs;
use crate::sts::{EDGE_URL, Sts};
use crate::target::Target;
use crate::tokens::Secrets;

/// Name of the table, and path of the secrets, in the emulator.
pub const TABLE: &str = "lifeverse";
const PARAMETERS: &str = "/lifeverse/test";
/// Where shards of scenarios listen.
const RELAY_CONTROL_HOSTS: &str = "http://127.0.0.1:*";
/// Names of the settings of [`Sts::settings`] on Spin, and on Lambda.
const SPIN_STS: [&str; 3] = [
    "SPIN_VARIABLE_EDGE_URL",
    "SPIN_VARIABLE_ENROLMENT_AWS",
    "SPIN_VARIABLE_STS_HOSTS",
];
const LAMBDA_STS: [&str; 3] = [
    "LIFEVERSE_EDGE_URL",
    "LIFEVERSE_ENROLMENT_AWS",
    "LIFEVERSE_STS_HOSTS",
];
/// Components are compiled first, on a machine that may be busy.
const READY_LIMIT: Duration = Duration::from_secs(120);

/// A running host.
pub struct Host {
    /// The head of its column.
    pub name: &'static str,
    /// To call it.
    pub target: Target,
    /// What it tells of each invocation, where that can be had.
    pub records: Option<mpsc::UnboundedReceiver<InvocationRecord>>,
    // In the order in which they stop.
    functions: Vec<Instance>,
    process: Process,
    _moto: Option<Moto>,
    _state: TempDir,
}

impl Host {
    /// Id of its process, of Lambda's that hands requests on.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// What it has told of invocations so far and nobody has taken.
    pub fn records(&mut self) -> Vec<InvocationRecord> {
        let mut found = Vec::new();
        if let Some(records) = &mut self.records {
            while let Ok(record) = records.try_recv() {
                found.push(record);
            }
        }
        let lines = self.functions.iter().flat_map(Instance::lines);
        found.extend(lines.filter_map(|line| serde_json::from_str(&line).ok()));
        found
    }
}

/// Functions that have a build for Lambda.
pub fn functions() -> [(Function, &'static str); 5] {
    [
        (Function::Signalling, "signalling"),
        (Function::Fleet, "fleet"),
        (Function::Chat, "chat"),
        (Function::Matchmaking, "matchmaking"),
        (Function::Safety, "safety"),
    ]
}

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn target(base: String, secrets: Secrets, sts: Sts) -> Target {
    Target {
        base,
        http: Http::default(),
        secrets,
        sts: Some(sts),
        counts_rates: true,
    }
}

/// Starts edge-host with the components of `functions/spin.toml`. The variables `EDGE_HOST` and
/// `SPIN_TOML` name another program and manifest.
///
/// # Errors
/// When the program or a component has not been built.
pub async fn edge_host() -> Result<Host> {
    edge_host_with(&programs::compiled_components()?).await
}

/// As [`edge_host`], with the compiled components that are in `cache`; the others go there.
///
/// # Errors
/// As those of [`edge_host`].
pub async fn edge_host_with(cache: &Path) -> Result<Host> {
    start_edge_host(cache, STATIC_SHARDS).await
}

/// As [`edge_host`], with what its shards are registered for (the setting `static_shards`).
///
/// # Errors
/// As those of [`edge_host`].
pub async fn edge_host_of(static_shards: &str) -> Result<Host> {
    start_edge_host(&programs::compiled_components()?, static_shards).await
}

async fn start_edge_host(cache: &Path, static_shards: &str) -> Result<Host> {
    let (secrets, state) = (Secrets::generate(), TempDir::new()?);
    let sts = Sts::start().await?;
    let program = match std::env::var_os("EDGE_HOST") {
        Some(path) => path.into(),
        None => programs::of_workspace("edge-host")?,
    };
    let manifest = std::env::var_os("SPIN_TOML").map(PathBuf::from);
    let manifest = manifest.unwrap_or_else(|| root().join("functions/spin.toml"));
    let mut command = process::command(program);
    command
        .arg("--spin-toml")
        .arg(manifest)
        .args(["--listen", "127.0.0.1:0", "--state-dir"])
        .arg(state.path())
        .arg("--cache-dir")
        .arg(cache)
        .envs(spin_variables(&secrets, static_shards))
        .envs(sts.settings(EDGE_URL, SPIN_STS));
    let (sender, records) = mpsc::unbounded_channel();
    let process = Process::start_and("edge-host", command, move |stream, line| {
        instance::hand_on(&sender, stream, line);
    })?;
    let line = process
        .until(|it| it.ready("listening", READY_LIMIT))
        .await?;
    let address = line["address"].as_str().context("it names its address")?;
    Ok(Host {
        name: "edge-host",
        target: target(format!("http://{address}"), secrets, sts),
        records: Some(records),
        functions: Vec::new(),
        process,
        _moto: None,
        _state: state,
    })
}

/// Lets every shard be what it says: tests of heartbeats begin with what they say.
const STATIC_SHARDS: &str = r#"[{"shards": "*"}]"#;

fn spin_variables(secrets: &Secrets, shards: &str) -> [(&'static str, String); 4] {
    [
        ("SPIN_VARIABLE_FLEET_SECRET", secrets.fleet_base64()),
        ("SPIN_VARIABLE_TOKEN_KEYS", secrets.key_set()),
        (
            "SPIN_VARIABLE_RELAY_CONTROL_HOSTS",
            RELAY_CONTROL_HOSTS.to_owned(),
        ),
        ("SPIN_VARIABLE_STATIC_SHARDS", shards.to_owned()),
    ]
}

/// A table that is there already, such as one that Terraform made, and the emulator that has it.
#[derive(Debug)]
pub struct Deployed {
    /// Where AWS is.
    pub url: String,
    /// Name of the table.
    pub table: String,
}

impl Deployed {
    /// What the variables `SCENARIOS_AWS_URL` and `SCENARIOS_TABLE` name, if both are set.
    pub fn of_environment() -> Option<Self> {
        let read = |name| std::env::var(name).ok();
        let (url, table) = (read("SCENARIOS_AWS_URL")?, read("SCENARIOS_TABLE")?);
        Some(Self { url, table })
    }
}

/// Starts the functions as they run on Lambda, behind `cargo lambda watch`, with the emulator of
/// AWS. They are started here and not by cargo-lambda, which would build them once more.
///
/// # Errors
/// When a function or a tool is missing.
pub async fn lambda() -> Result<Host> {
    let secrets = Secrets::generate();
    let moto = emulator(&secrets).await?;
    lambda_with(secrets, moto, TABLE).await
}

/// As [`lambda`], with a table that somebody else made.
///
/// # Errors
/// As those of [`lambda`].
pub async fn lambda_on(deployed: &Deployed) -> Result<Host> {
    let secrets = Secrets::generate();
    let moto = Moto::at(deployed.url.clone());
    put_secrets(&moto, &secrets).await?;
    lambda_with(secrets, moto, &deployed.table).await
}

async fn lambda_with(secrets: Secrets, moto: Moto, table: &str) -> Result<Host> {
    let state = TempDir::new()?;
    let sts = Sts::start().await?;
    let port = free_port()?;
    let mut watch = process::command(programs::of_python("cargo-lambda")?);
    watch
        .args([
            "lambda",
            "watch",
            "--only-lambda-apis",
            "--disable-cors",
            "--quiet",
        ])
        .args([
            "--invoke-address",
            "127.0.0.1",
            "--invoke-port",
            &port.to_string(),
        ])
        .current_dir(root());
    let watch = Process::start("cargo-lambda", watch)?;
    let target = target(format!("http://127.0.0.1:{port}"), secrets, sts);
    wait_until_open(port).await?;
    let settings = target
        .sts
        .as_ref()
        .map(|sts| sts.settings(EDGE_URL, LAMBDA_STS));
    let settings = settings.unwrap_or_default();
    let mut instances = Vec::new();
    for (_, function) in functions() {
        let name = format!("{function}-lambda");
        let mut environment = environment(moto.url(), &name, &target.base);
        environment.extend(settings.clone());
        // Of two values the last one counts.
        environment.push(("LIFEVERSE_TABLE", table.to_owned()));
        let program = programs::of_workspace(&name)?;
        instances.push(instance::start(&program, &environment, None)?);
    }
    Ok(Host {
        name: "lambda",
        target,
        records: None,
        functions: instances,
        process: watch,
        _moto: Some(moto),
        _state: state,
    })
}

/// An emulator of AWS with the table and the secrets.
///
/// # Errors
/// When it is not installed.
pub async fn emulator(secrets: &Secrets) -> Result<Moto> {
    emulator_in(secrets, &[moto::REGION]).await
}

/// The same in several regions, between which nothing is replicated.
///
/// # Errors
/// When it is not installed.
pub async fn emulator_in(secrets: &Secrets, regions: &[&'static str]) -> Result<Moto> {
    let mut moto = Moto::start().await?;
    for region in regions {
        moto.turn_to(region);
        moto.create_table(TABLE).await?;
        put_secrets(&moto, secrets).await?;
    }
    Ok(moto)
}

async fn put_secrets(moto: &Moto, secrets: &Secrets) -> Result<()> {
    let derived = edge::config::derived(&secrets.fleet());
    let both = [
        ("fleet_secret", secrets.fleet_base64()),
        ("token_keys", secrets.key_set()),
    ];
    for (name, value) in both.into_iter().chain(derived) {
        moto.put_secret(&format!("{PARAMETERS}/{name}"), &value)
            .await?;
    }
    Ok(())
}

/// Memory of a function as deployed, MB.
pub fn memory_mb(function: &str) -> u32 {
    let all: serde_json::Value =
        serde_json::from_str(include_str!("../../../functions/permissions.json"))
            .expect("a test of edge-lambda reads it");
    let memory = all[function]["memory_mb"].as_u64();
    memory.and_then(|mb| mb.try_into().ok()).unwrap_or(128)
}

/// The environment that Lambda and Terraform give a function, for one that finds AWS at `aws` and
/// has its events from `gateway`.
pub fn environment(aws: &str, name: &str, gateway: &str) -> Vec<(&'static str, String)> {
    let mut environment = vec![
        ("AWS_ENDPOINT_URL", aws.to_owned()),
        ("AWS_LAMBDA_RUNTIME_API", format!("{gateway}/.rt/{name}")),
        ("AWS_LAMBDA_FUNCTION_NAME", name.to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1".to_owned()),
        (
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
            memory_mb(name.trim_end_matches("-lambda")).to_string(),
        ),
        ("LIFEVERSE_TABLE", TABLE.to_owned()),
        ("LIFEVERSE_PARAMETERS", PARAMETERS.to_owned()),
        (
            "LIFEVERSE_RELAY_CONTROL_HOSTS",
            RELAY_CONTROL_HOSTS.to_owned(),
        ),
        ("LIFEVERSE_STATIC_SHARDS", STATIC_SHARDS.to_owned()),
    ];
    environment.extend(moto::ENVIRONMENT.map(|(name, value)| (name, value.to_owned())));
    environment
}

/// Starts an unmodified Spin, or nothing where it is not installed.
///
/// # Errors
/// When it is installed and does not start.
pub async fn spin() -> Result<Option<Host>> {
    let (secrets, state) = (Secrets::generate(), TempDir::new()?);
    let sts = Sts::start().await?;
    let port = free_port()?;
    if !is_installed("spin") {
        return Ok(None);
    }
    let mut command = process::command("spin");
    command
        .args([
            "up",
            "--quiet",
            "--listen",
            &format!("127.0.0.1:{port}"),
            "--from",
        ])
        .arg(root().join("functions/spin.toml"))
        .arg("--state-dir")
        .arg(state.path())
        .envs(spin_variables(&secrets, STATIC_SHARDS))
        .envs(sts.settings(EDGE_URL, SPIN_STS));
    let child = Process::start("spin", command)?;
    wait_until_open(port).await?;
    Ok(Some(Host {
        name: "spin",
        target: Target {
            counts_rates: false,
            ..target(format!("http://127.0.0.1:{port}"), secrets, sts)
        },
        records: None,
        functions: Vec::new(),
        process: child,
        _moto: None,
        _state: state,
    }))
}

/// Whether there is a program of this name to start.
fn is_installed(name: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| folder.join(name).is_file())
}

/// A port that was free a moment ago, for programs that do not say which one they took.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

async fn wait_until_open(port: u16) -> Result<()> {
    let opened = async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(READY_LIMIT, opened)
        .await
        .with_context(|| format!("nothing listens on port {port}"))
}
