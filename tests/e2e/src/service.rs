//! The whole service in this process: the edge host with the real components, and relays.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use edge::token::{SigningKey, sign};
use edge_host::{InvocationRecord, RecordSink};
use tempfile::TempDir;
use tokio::sync::mpsc;
use wire::claims::{Claims, Grant, Permission, Role};
use wire::keys::FleetSecret;
use wire::{RegionName, ShardId};

use crate::http::Http;
use crate::unix_s;

/// Region of every relay of a test.
pub const REGION: &str = "dev";
pub(crate) const KEY_ID: &str = "test";
/// Usage records that may wait for a test that reads none.
const LINES_MAX: usize = 4096;

/// Secrets of one service.
pub struct Secrets {
    pub(crate) fleet: [u8; 32],
    pub(crate) signing: [u8; 32],
}

impl Secrets {
    /// Fresh ones.
    pub fn generate() -> Self {
        let mut secrets = Self {
            fleet: [0; 32],
            signing: [0; 32],
        };
        for secret in [&mut secrets.fleet, &mut secrets.signing] {
            getrandom::fill(secret).expect("the system has randomness");
        }
        secrets
    }

    /// The fleet secret.
    pub fn fleet(&self) -> FleetSecret {
        FleetSecret::new(self.fleet)
    }

    /// Signs claims as a game's backend would.
    pub fn sign(&self, claims: &Claims) -> String {
        sign(claims, &SigningKey::new(self.signing), KEY_ID)
    }

    /// A token of `player` for every channel of `room`, one hour long.
    pub fn token(&self, player: &str, room: &str) -> String {
        self.sign(&claims(player, room))
    }

    /// A token of `player` who may also write in every channel of `room`, to everybody and to the
    /// world.
    pub fn chat_token(&self, player: &str, room: &str) -> String {
        let mut claims = claims(player, room);
        for name in [room, "direct", "world"] {
            claims.grants.push(Grant {
                room: name.to_owned(),
                channels: vec!["*".to_owned()],
                permissions: vec![Permission::Listen, Permission::Chat],
            });
        }
        self.sign(&claims)
    }

    /// A token of an operator.
    pub fn operator_token(&self) -> String {
        self.sign(&Claims {
            role: Some(Role::Operator),
            ..claims("operator", "none")
        })
    }
}

/// Claims that let `player` speak and listen in every channel of `room` for an hour.
pub fn claims(player: &str, room: &str) -> Claims {
    Claims {
        sub: player.parse().expect("a test uses good names"),
        aud: edge::config::DEFAULT_AUDIENCE.to_owned(),
        exp: unix_s() + 3600,
        nbf: None,
        iat: None,
        name: Some(format!("Player {player}")),
        profile: wire::claims::Profile::default(),
        role: None,
        grants: vec![Grant {
            room: room.to_owned(),
            channels: vec!["*".to_owned()],
            permissions: vec![Permission::Speak, Permission::Listen],
        }],
    }
}

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
        let (sender, records) = mpsc::unbounded_channel();
        config.records = RecordSink::Channel(sender);
        let key_set = SigningKey::new(secrets.signing).key_set_json(KEY_ID);
        let fleet_secret = base64(&secrets.fleet);
        config
            .variables
            .insert("fleet_secret".to_owned(), fleet_secret);
        config.variables.insert("token_keys".to_owned(), key_set);
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
            listen: vec!["127.0.0.1:0".parse()?],
            listen_tcp: vec!["127.0.0.1:0".parse()?],
            advertise: Vec::new(),
            control: "127.0.0.1:0".parse()?,
            control_url: None,
            keys: vec![key],
            participants_max: 4000,
            full_cpu_percent: 100,
            full_packets_per_s: 0,
            drain_seconds: 1,
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
        let url = format!("http://{}/metrics", self.running.control());
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

fn base64(bytes: &[u8; 32]) -> String {
    // A signing key has the same text form.
    SigningKey::new(*bytes).to_base64()
}
