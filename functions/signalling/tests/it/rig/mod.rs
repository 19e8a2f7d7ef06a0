//! A whole function on ports that a test controls: memory for a store, a fixed clock, ids that
//! count, and a relay link that remembers what was sent.

#![allow(unreachable_pub, reason = "each module of tests uses its part")]

use std::sync::Mutex;

use edge::directory;
use edge::http::{Request, Response};
use edge::ports::{
    Clock, Entropy, RelayLink, Storage, Timer, Unreachable, VariableFault, Variables,
};
use edge::testing::schedule::{block_on, yield_now};
use edge::testing::{CountingEntropy, FixedVariables, MemoryStore, Patience, calls};
use edge::token::SigningKey;
use wire::claims::{Claims, Grant, Permission};
use wire::fleet::{Candidate, Heartbeat, Load, ShardState, Transport};
use wire::keys::{FleetSecret, ShardKeys};
use wire::problem::Problem;
use wire::ticket::TICKET_VERSION;
use wire::{BootId, ShardId};

pub use edge::testing::calls::share;

pub const NOW_MS: u64 = 1_700_000_000_000;
pub const NOW_S: u64 = NOW_MS / 1000;
pub const BOOT: BootId = BootId([7; 8]);
pub const FINGERPRINT: &str = "sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:\
                               10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F";
const SECRET: &str = "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=";

pub struct Rig {
    pub store: MemoryStore,
    pub variables: FixedVariables,
    pub posts: Mutex<Vec<(String, ShardId, String)>>,
    pub relay_answers: Result<u16, Unreachable>,
    pub now_ms: u64,
    entropy: CountingEntropy,
}

impl Rig {
    /// A function with its settings and no relay.
    pub fn without_relay() -> Self {
        let keys = signing_key().key_set_json("dev");
        let variables = [
            ("fleet_secret", SECRET),
            ("token_keys", keys.as_str()),
            ("region", "eu-1"),
        ];
        Self {
            store: MemoryStore::of("signalling"),
            variables: FixedVariables::new(&variables),
            posts: Mutex::default(),
            relay_answers: Ok(204),
            now_ms: NOW_MS,
            entropy: CountingEntropy::default(),
        }
    }

    /// With one live shard.
    pub fn new() -> Self {
        Self::with_shard(&heartbeat())
    }

    /// With the shard of this heartbeat.
    pub fn with_shard(heartbeat: &Heartbeat) -> Self {
        let rig = Self::without_relay();
        let store = &rig.store.open();
        block_on(directory::record_heartbeat(
            &Patience, store, NOW_MS, heartbeat,
        ))
        .unwrap();
        rig
    }

    pub fn handle(&self, request: Request) -> Response {
        block_on(signalling::handle(self, request))
    }

    pub fn join(&self, body: &str) -> Response {
        self.handle(join_request(body))
    }
}

pub fn heartbeat() -> Heartbeat {
    let candidate = |address: &str| Candidate {
        transport: Transport::Udp,
        address: address.parse().unwrap(),
    };
    let tcp = Candidate {
        transport: Transport::Tcp,
        ..candidate("192.0.2.1:443")
    };
    Heartbeat {
        shard: "eu-1-a".parse().unwrap(),
        region: "eu-1".parse().unwrap(),
        boot: BOOT,
        epoch: 3,
        sent_at_ms: NOW_MS,
        state: ShardState::Open,
        candidates: vec![
            candidate("192.0.2.1:7410"),
            tcp,
            candidate("[2001:db8::1]:7410"),
        ],
        fingerprint: FINGERPRINT.into(),
        control_url: "http://192.0.2.1:7411/".into(),
        ticket_version: TICKET_VERSION,
        load: Load::default(),
        capacity: 100,
        refused: Vec::new(),
    }
}

pub fn secret() -> FleetSecret {
    FleetSecret::from_base64(SECRET).unwrap()
}

pub fn shard_keys() -> ShardKeys {
    secret()
        .shard_key(&heartbeat().shard, heartbeat().epoch)
        .subkeys()
}

pub fn signing_key() -> SigningKey {
    SigningKey::new([1; 32])
}

pub fn claims() -> Claims {
    let grant = |channel: &str, permissions: &[Permission]| Grant {
        room: "lobby".into(),
        channels: vec![channel.into()],
        permissions: permissions.to_vec(),
    };
    Claims {
        sub: "player-1".parse().unwrap(),
        aud: "lifeverse-voice".into(),
        exp: NOW_S + 60,
        nbf: None,
        iat: None,
        name: Some("Ann".into()),
        profile: wire::claims::Profile::default(),
        role: None,
        grants: vec![
            grant("main", &[Permission::Speak, Permission::Listen]),
            grant("team-*", &[Permission::Listen]),
        ],
    }
}

pub fn bearer(claims: &Claims) -> Option<String> {
    Some(calls::bearer(claims, &signing_key()))
}

pub fn join_request(body: &str) -> Request {
    Request {
        method: "POST".into(),
        path: "/v1/rooms/lobby/sessions".into(),
        query: None,
        authorization: bearer(&claims()),
        content_type: Some("application/json".into()),
        body: body.into(),
    }
}

pub fn join_body(offer: &str) -> String {
    serde_json::json!({ "offer": offer }).to_string()
}

pub fn offer(name: &str) -> String {
    let path = format!("{}/tests/offers/{name}.sdp", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub fn problem(response: &Response) -> Problem {
    assert_eq!(
        response.header("content-type"),
        Some("application/problem+json")
    );
    serde_json::from_slice(&response.body).unwrap()
}

impl Storage for Rig {
    type Store = MemoryStore;

    fn store(&self) -> &MemoryStore {
        &self.store
    }
}

impl Clock for Rig {
    fn now_ms(&self) -> u64 {
        self.now_ms
    }
}

impl Timer for Rig {
    async fn sleep(&self, _ms: u64) {
        yield_now().await;
    }
}

impl Entropy for Rig {
    fn fill(&self, bytes: &mut [u8]) {
        self.entropy.fill(bytes);
    }
}

impl Variables for Rig {
    async fn variable(&self, name: &str) -> Result<Option<String>, VariableFault> {
        self.variables.variable(name).await
    }
}

impl RelayLink for Rig {
    async fn post(&self, url: &str, shard: &ShardId, sealed: String) -> Result<u16, Unreachable> {
        self.posts
            .lock()
            .unwrap()
            .push((url.to_owned(), shard.clone(), sealed));
        self.relay_answers
    }
}
