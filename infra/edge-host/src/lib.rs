//! Serves the Wasm components of a Spin manifest on one machine.
//!
//! [`start`] loads what the manifest names, listens, and returns a [`Running`]. Each request gets a
//! fresh instance from a pool and leaves one [`InvocationRecord`]. Everything is bounded by
//! [`Limits`]. The binary of the same name is a thin shell around this library; tests start it in
//! their own process on port 0.

mod answer;
mod bindings;
mod clock;
mod config;
mod database;
mod engine;
mod guest;
mod guest_log;
mod health;
mod invoke;
mod lanes;
mod manifest;
mod objects;
mod outbound;
mod partitions;
mod record;
mod refusal;
mod route;
mod server;
mod sources;
mod sqlite;
mod stall;
mod variables;
mod waiters;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use wasmtime_wasi_http::p3::bindings::ServicePre;

pub use config::{Config, DevTokenRequest, LANES, Limits, TokenMint};
pub use engine::CodeSource;
pub use manifest::ManifestError;
pub use record::RecordSink;
pub use wire::record::InvocationRecord;

use database::Databases;
use engine::EpochTicker;
use guest::Grants;
use invoke::Function;
use lanes::Lanes;
use manifest::Manifest;
use objects::Objects;
use outbound::OutboundClient;
use partitions::Partitions;
use record::Recorder;
use route::Routes;
use server::App;
use waiters::Waiters;
use wire::until::UNTIL_VARIABLE;

/// A host that is serving. Dropping it cuts off what is in flight; [`Running::stop`] lets it
/// finish.
pub struct Running {
    address: SocketAddr,
    code: BTreeMap<String, CodeSource>,
    app: Arc<App>,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    _ticker: EpochTicker,
}

/// Starts serving. Returns once requests are accepted.
///
/// Must be called on a tokio runtime with its I/O and time drivers on.
///
/// # Errors
///
/// A [`ManifestError`], a component that cannot be read or compiled, a database that cannot be
/// opened, or an address that cannot be listened on; each says what to change.
pub fn start(config: Config) -> Starting {
    Box::pin(start_here(config))
}

/// What [`start`] returns. An `async fn` is compiled by whoever awaits it, and all of wasmtime's
/// generics with it; this one is compiled once, here.
pub type Starting = Pin<Box<dyn Future<Output = anyhow::Result<Running>> + Send>>;

async fn start_here(config: Config) -> anyhow::Result<Running> {
    let environment = |key: &str| std::env::var(key).ok();
    let manifest = Manifest::read(&config.spin_toml, &config.variables, environment)?;
    // The port first: it is the most likely fault, and compiling takes seconds.
    let listener = TcpListener::bind(config.listen).await.with_context(|| {
        format!(
            "cannot listen on {}; choose another address with --listen",
            config.listen
        )
    })?;
    let address = listener.local_addr()?;
    let records = config.records.clone();
    let recorder = Recorder::start(records).context("the record writer could not be started")?;
    let loading = tokio::task::spawn_blocking(move || load(&config, manifest, recorder));
    let (app, ticker, code) = loading
        .await
        .context("loading the application panicked")??;
    let app = Arc::new(app);
    let (stop, stopping) = watch::channel(false);
    let server = tokio::spawn(server::serve(listener, app.clone(), stopping));
    Ok(Running {
        address,
        code,
        app,
        stop,
        server,
        _ticker: ticker,
    })
}

/// Compiles the components of the manifest into `config.cache_dir` and checks that each can be
/// loaded from there. Neither values of variables nor databases are needed: this is for building an
/// image.
///
/// # Errors
///
/// A [`ManifestError`], a component that cannot be read or compiled, or a folder that cannot be
/// written.
pub fn compile(config: &Config) -> anyhow::Result<usize> {
    let engine = engine::engine(&config.limits, config.portable_code)?;
    let sources = manifest::Manifest::sources(&config.spin_toml)?;
    for source in &sources {
        engine::load(&engine, source, &config.cache_dir)?;
        let (_, code, _) = engine::load(&engine, source, &config.cache_dir)?;
        if code != CodeSource::Cached {
            anyhow::bail!(
                "{}: what was compiled cannot be loaded from {}; check --cache-dir and its disk",
                source.display(),
                config.cache_dir.display()
            );
        }
    }
    Ok(sources.len())
}

fn tell_routes(routes: &Routes<usize>, functions: &[Function]) {
    for (pattern, index) in routes.iter() {
        let component = &functions[*index].grants.component;
        tracing::info!(route = pattern.text(), component, "serving");
    }
}

type Loaded = (App, EpochTicker, BTreeMap<String, CodeSource>);

fn load(config: &Config, manifest: Manifest, recorder: Recorder) -> anyhow::Result<Loaded> {
    let limits = config.limits;
    let engine = engine::engine(&limits, config.portable_code)?;
    let linker = engine::linker(&engine)?;
    let names: BTreeSet<String> = manifest
        .components
        .iter()
        .flat_map(|it| it.databases.iter().cloned())
        .collect();
    let databases = Databases::open(&config.state_dir.join("sqlite"), names, &limits)
        .map_err(|cause| anyhow!("{cause}; check --state-dir"))?;
    let databases = Arc::new(databases);
    let client = OutboundClient::new(&limits, Objects::new(config.state_dir.join("objects")));
    let waiters = Arc::new(Waiters::new(&limits));
    let mut functions = Vec::new();
    let mut code = BTreeMap::new();
    for mut spec in manifest.components {
        let knows_until = (UNTIL_VARIABLE.to_owned(), "1".to_owned());
        spec.environment.push(knows_until);
        let (component, source, build) = engine::load(&engine, &spec.source, &config.cache_dir)?;
        let pre = linker
            .instantiate_pre(&component)
            .and_then(ServicePre::new)
            .map_err(anyhow::Error::from);
        let pre = pre.with_context(|| {
            format!(
                "{}: not a component that edge-host can serve; it must \
                 export wasi:http/handler@0.3.0 (spin-sdk 7) and import only spin:sqlite, \
                 spin:variables and of WASI cli, clocks, http, io and random: no files, no \
                 sockets",
                spec.source.display()
            )
        })?;
        code.insert(spec.name.clone(), source);
        let grants = Grants {
            outbound: client.restrict(&spec.name, spec.allowed_hosts),
            partitions: Partitions::of(&spec.name),
            component: spec.name,
            variables: spec.variables,
            environment: spec.environment,
            database_names: spec.databases,
            databases: databases.clone(),
            waiters: waiters.clone(),
            memory_bytes: limits.instance_memory_bytes,
            log_bytes: limits.log_bytes,
            sqlite_busy_ms: limits.sqlite_busy_ms,
        };
        functions.push(Function {
            pre,
            grants: Arc::new(grants),
            build,
        });
    }
    let ticker = EpochTicker::start(&engine)?;
    tell_routes(&manifest.routes, &functions);
    let app = App {
        engine,
        functions,
        routes: manifest.routes,
        limits,
        lanes: Lanes::new(&limits),
        rates: Default::default(),
        waiters,
        recorder,
        malformed_shares: Default::default(),
        stopping: Default::default(),
        dev_token: config.dev_token.clone(),
    };
    Ok((app, ticker, code))
}

impl Running {
    /// Where it listens, with the port that the system chose for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where each component's code came from, by component name.
    pub fn code(&self) -> &BTreeMap<String, CodeSource> {
        &self.code
    }

    /// Requests that are in components now.
    pub fn in_flight(&self) -> usize {
        self.app.lanes.in_flight()
    }

    /// Requests that wait for news, and are in no component meanwhile.
    pub fn waiting(&self) -> usize {
        self.app.waiters.waiting()
    }

    /// Invocation records lost because their reader was too slow.
    pub fn records_dropped(&self) -> u64 {
        self.app.recorder.dropped()
    }

    /// `lv-record` headers that were not understood.
    pub fn malformed_shares(&self) -> u64 {
        self.app
            .malformed_shares
            .load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Stops accepting, answers those that wait for news that there is none yet, waits for requests
    /// in flight up to `Limits::drain_ms`, and flushes the records.
    pub async fn stop(mut self) {
        self.app
            .stopping
            .store(true, std::sync::atomic::Ordering::Relaxed);
        self.app.waiters.stop();
        // Nobody listens when the server task has ended already.
        let _ = self.stop.send(true);
        if let Err(cause) = (&mut self.server).await {
            tracing::error!(%cause, "the server task failed");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.abort();
    }
}
