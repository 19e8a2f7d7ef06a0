//! What `start` is told.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::record::RecordSink;

/// How to serve an application.
#[derive(Clone, Debug)]
pub struct Config {
    /// The manifest.
    pub spin_toml: PathBuf,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Holds the databases (`sqlite/`) and what functions put (`objects/`). Created when missing.
    pub state_dir: PathBuf,
    /// Holds compiled components, of any number of hosts; `cache/` of the state folder unless set.
    /// Code is run from here, so nobody else may write to it. Created when missing.
    pub cache_dir: PathBuf,
    /// Compiles for every processor of this architecture instead of for this one, so that the cache
    /// can be filled on another machine ([`crate::compile`]).
    pub portable_code: bool,
    /// Values of application variables; they come before the environment's.
    pub variables: BTreeMap<String, String>,
    /// Bounds on everything.
    pub limits: Limits,
    /// Where invocation records go.
    pub records: RecordSink,
    /// Serves `POST /dev/token` when present. For development only: it gives anybody a token.
    pub dev_token: Option<TokenMint>,
}

impl Config {
    /// The default configuration for a manifest: a free loopback port, records on stdout, no
    /// development endpoint.
    pub fn new(spin_toml: impl Into<PathBuf>, state_dir: impl Into<PathBuf>) -> Self {
        let state_dir = state_dir.into();
        Self {
            spin_toml: spin_toml.into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            cache_dir: state_dir.join("cache"),
            state_dir,
            portable_code: false,
            variables: BTreeMap::new(),
            limits: Limits::default(),
            records: RecordSink::default(),
            dev_token: None,
        }
    }
}

/// Lanes of requests that share the instances: one for each [`wire::routes::Class`], in its order,
/// and one for everything that no route of the API takes.
pub const LANES: usize = 8;

/// Shares of the lanes: heartbeats, joins, writes, reads, polls, queues, operators, others. Writes
/// wait for relays; reads and polls compute only, so few of them keep both cores of a small machine
/// busy, and more would only be in the way of joins.
const SHARES: [u32; LANES] = [8, 40, 44, 4, 4, 12, 8, 8];

/// Bounds of one host. Each has its unit in its name; `Default` gives the values in the README.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests in components at the same time. Also the size of the instance pool.
    pub concurrent_requests: u32,
    /// How each lane shares in them, relative to the others. Each has one at least.
    pub shares: [u32; LANES],
    /// Requests that wait for an instance of their lane, for each of its instances; one more gets
    /// 503.
    pub queued_per_instance: usize,
    /// How long they wait before they get 503.
    pub queue_ms: u64,
    /// Requests that wait for news and have no instance meanwhile; further ones are answered that
    /// there is none yet.
    pub waiting_requests: usize,
    /// The same of one player.
    pub waiting_per_player: usize,
    /// What is kept of them: headers, bodies, replies and what they wait for.
    pub waiting_bytes: usize,
    /// How long one waits.
    pub waiting_ms: u64,
    /// Open client connections; further ones wait in the listen queue.
    pub connections: usize,
    /// Linear memory of one instance.
    pub instance_memory_bytes: usize,
    /// Wall time of one request in a component.
    pub request_ms: u64,
    /// Wasm fuel of one request, about one unit per instruction.
    pub request_fuel: u64,
    /// Request body.
    pub request_body_bytes: usize,
    /// Reply body.
    pub reply_body_bytes: usize,
    /// Request line and headers together; at least 8192.
    pub header_bytes: usize,
    /// Number of request headers.
    pub headers: usize,
    /// From a new connection or the last reply to the end of the next request's headers.
    pub header_read_ms: u64,
    /// From the headers to the end of the request body.
    pub body_read_ms: u64,
    /// A client that takes no byte of a reply for this long is cut off.
    pub write_stall_ms: u64,
    /// One outbound request, from connecting to the last byte of the reply.
    pub outbound_ms: u64,
    /// Reply body of an outbound request.
    pub outbound_body_bytes: usize,
    /// Idle outbound connections kept per destination.
    pub outbound_idle_connections: usize,
    /// What a component may write to stdout and stderr per request; the rest is cut off.
    pub log_bytes: usize,
    /// How long a statement waits for another writer.
    pub sqlite_busy_ms: u64,
    /// Rows of one statement, all values together.
    pub sqlite_result_bytes: usize,
    /// Size of one database file.
    pub sqlite_database_bytes: u64,
    /// How long `stop` waits for requests in flight.
    pub drain_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            concurrent_requests: 128,
            shares: SHARES,
            queued_per_instance: 64,
            queue_ms: 1_000,
            waiting_requests: 8_192,
            waiting_per_player: 16,
            waiting_bytes: 64 << 20,
            waiting_ms: wire::until::MAX_WAIT_S * 1_000,
            // Those that wait, and as many again.
            connections: 16_384,
            instance_memory_bytes: 64 << 20,
            request_ms: 5_000,
            request_fuel: 2_000_000_000,
            request_body_bytes: 64 << 10,
            reply_body_bytes: 4 << 20,
            header_bytes: 16 << 10,
            headers: 64,
            header_read_ms: 15_000,
            body_read_ms: 5_000,
            write_stall_ms: 10_000,
            outbound_ms: 2_000,
            outbound_body_bytes: 1 << 20,
            outbound_idle_connections: 32,
            log_bytes: 16 << 10,
            sqlite_busy_ms: 2_000,
            sqlite_result_bytes: 4 << 20,
            sqlite_database_bytes: 4 << 30,
            drain_ms: 10_000,
        }
    }
}

impl Limits {
    /// The instances of each lane.
    pub(crate) fn instances(&self) -> [u32; LANES] {
        let all = self.shares.iter().sum::<u32>().max(1);
        self.shares.map(|share| {
            let instances = u64::from(self.concurrent_requests) * u64::from(share);
            u32::try_from(instances / u64::from(all)).map_or(1, |it| it.max(1))
        })
    }
}

/// A limit in milliseconds as a duration.
pub(crate) fn milliseconds(limit_ms: u64) -> Duration {
    Duration::from_millis(limit_ms)
}

/// The body of `POST /dev/token`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct DevTokenRequest {
    /// Player id.
    pub player: String,
    /// Room, or a pattern the token format knows.
    pub room: String,
    /// Display name.
    #[serde(default)]
    pub name: Option<String>,
    /// Whether the player may moderate the room.
    #[serde(default)]
    pub moderator: bool,
}

type Mint = dyn Fn(DevTokenRequest) -> Result<String, String> + Send + Sync;

/// Makes a token for the development endpoint; the error is a sentence that says what to change.
#[derive(Clone)]
pub struct TokenMint(Arc<Mint>);

impl TokenMint {
    /// Wraps the function that knows the token format and holds the key.
    pub fn new(
        mint: impl Fn(DevTokenRequest) -> Result<String, String> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(mint))
    }

    pub(crate) fn mint(&self, request: DevTokenRequest) -> Result<String, String> {
        (self.0)(request)
    }
}

impl std::fmt::Debug for TokenMint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenMint")
    }
}
