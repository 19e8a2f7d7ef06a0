//! The whole service in this process: the edge host with the real components, and relays.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use edge_host::{InvocationRecord, RecordSink};
use relay::Settings;
use scenarios::programs;
pub use scenarios::tokens::{Secrets, claims};
use tempfile::TempDir;
use tokio::sync::mpsc;
use wire::{RegionName, ShardId};

use crate::http::Http;

/// Region of every relay of a test.
pub const REGION: &str = "dev";
/// Usage records that may wait for a test that reads none.
const LINES_MAX: usize = 4096;

/// A running edge host.
pub struct Edge {
    /// Of this service.
    pub secrets: Secrets,
    /// For requests to it.
    pub http: Http,
    /// One for each request that it served.
    pub records: mpsc::UnboundedReceiver<InvocationRecord>,
    running: edge_host::Running,
    _state: TempDir,
}

impl Edge {
    /// Serves the components of `functions/spin.toml` on a free port with an empty store.
    ///
    /// # Errors
    /// When a component has not been built.
    pub async fn start() -> Result<Self> {
        Self::start_with(|_| {}).await
    }

    /// As [`Edge::start`], after `change` of the configuration.
    ///
    /// # Errors
    /// When a component has not been built.
    pub async fn start_with(change: impl FnOnce(&mut edge_host::Config)) -> Result<Self> {
        let secrets = Secrets::generate();
        let state = TempDir::new()?;
        let mut config = edge_host::Config::new(manifest(), state.path());
        config.cache_dir = programs::compiled_components()?;
        let (sender, records) = mpsc::unbounded_channel();
        config.records = RecordSink::Channel(sender);
        let key_set = secrets.key_set();
        let fleet_secret = secrets.fleet_base64();
        config
            .variables
            .insert("fleet_secret".to_owned(), fleet_secret);
        config.variables.insert("token_keys".to_owned(), key_set);
        let any = r#"[{"shards": "*"}]"#.to_owned();
        config.variables.insert("static_shards".to_owned(), any);
        change(&mut config);
        let running = edge_host::start(config)
            .await
            .context("the edge host does not start; `cargo xtask wasm` builds its components")?;
        Ok(Self {
            secrets,
            http: Http::default(),
            records,
            running,
            _state: state,
        })
    }

    /// Its base address.
    pub fn url(&self) -> String {
        format!("http://{}", self.running.address())
    }

    /// Starts a relay shard in this process and waits for its first accepted heartbeat.
    ///
    /// # Errors
    /// A sentence of the relay.
    pub async fn start_relay(&self, shard: &str) -> Result<Relay> {
        self.start_relay_with(shard, |_| {}).await
    }

    /// As [`Edge::start_relay`], after `change` of the configuration.
    ///
    /// # Errors
    /// A sentence of the relay.
    pub async fn start_relay_with(
        &self,
        shard: &str,
        change: impl FnOnce(&mut relay::Config),
    ) -> Result<Relay> {
        let shard: ShardId = shard.parse()?;
        let key = self.secrets.fleet().shard_key(&shard, 0);
        let mut config = relay::Config {
            shard,
            region: RegionName::new(REGION)?,
            edge: self.url().parse()?,
            keys: vec![key],
            settings: Settings {
                listen: vec!["127.0.0.1:0".parse()?],
                listen_tcp: vec!["127.0.0.1:0".parse()?],
                health: "127.0.0.1:0".parse()?,
                control: "127.0.0.1:0".parse()?,
                max_participants: 4000,
                full_cpu_percent: 100,
                drain_seconds: 1,
                ..Settings::default()
            },
            usage_journal: None,
        };
        change(&mut config);
        let (sender, lines) = mpsc::channel(LINES_MAX);
        let running = relay::start(config, sender).await?;
        running.ready().await;
        Ok(Relay { running, lines })
    }

    /// Stops it in good order.
    pub async fn stop(self) {
        self.running.stop().await;
    }
}

/// A running relay.
pub struct Relay {
    /// The relay.
    pub running: relay::Running,
    /// Its usage records.
    pub lines: mpsc::Receiver<String>,
}

impl Relay {
    /// Value of a metric, all labels included in `name`.
    ///
    /// # Errors
    /// When the relay does not answer or has no such metric.
    pub async fn metric(&self, http: &Http, name: &str) -> Result<f64> {
        let url = format!("http://{}/metrics", self.running.health());
        let text = String::from_utf8(http.get(&url, "").await?.body.to_vec())?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(line
            .with_context(|| format!("no metric {name} in\n{text}"))?
            .parse()?)
    }
}

/// The manifest of the service.
pub fn manifest() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../functions/spin.toml")
}
