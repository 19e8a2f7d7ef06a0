//! The whole function on ports that a test controls: a store that may fail by a seed, a clock that
//! a test moves, and a relay that remembers what was sealed for it.

#![allow(unreachable_pub, reason = "each module of tests uses its part")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use edge::directory;
use edge::http::{Request, Response};
use edge::ports::{
    Clock, Entropy, RelayLink, Storage, Timer, Unreachable, VariableFault, Variables,
};
use edge::testing::schedule::{block_on, yield_now};
use edge::testing::{FaultyStore, FixedVariables, MemoryStore, Patience, calls};
use edge::token::SigningKey;
use serde_json::{Value, json};
use wire::claims::{Claims, Grant, Permission, Profile};
use wire::control::{ControlCommand, ControlMessage, PushTarget};
use wire::fleet::{Heartbeat, Load, ShardState};
use wire::keys::FleetSecret;
use wire::ticket::TICKET_VERSION;
use wire::{BootId, ShardId};

pub use edge::testing::calls::{problem, read, share};

pub const NOW_MS: u64 = 1_700_000_000_000;
pub const ROOM: &str = "room~lobby~main";
const SECRET: &str = "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=";
const BOOT: BootId = BootId([7; 8]);

pub struct Rig {
    pub store: FaultyStore,
    pub variables: FixedVariables,
    pub now_ms: AtomicU64,
    pub pushes: Mutex<Vec<(ShardId, PushTarget, Value)>>,
    pub relay_answers: Mutex<Result<u16, Unreachable>>,
}

impl Rig {
    pub fn new(seed: u64) -> Self {
        let keys = signing_key().key_set_json("dev");
        let variables = [
            ("fleet_secret", SECRET),
            ("token_keys", keys.as_str()),
            ("region", "eu-1"),
        ];
        Self {
            store: FaultyStore::new(MemoryStore::of("chat"), seed, 0),
            variables: FixedVariables::new(&variables),
            now_ms: AtomicU64::new(NOW_MS),
            pushes: Mutex::default(),
            relay_answers: Mutex::new(Ok(202)),
        }
    }

    /// A rig whose policy allows any rate.
    pub fn unlimited(seed: u64) -> Self {
        let mut rig = Self::new(seed);
        let policy = built_in_policy()
            .replace("\"burst\": 6", "\"burst\": 1000")
            .replace("\"per_minute\": 40", "\"per_minute\": 1000");
        rig.variables.0.insert("policy".into(), policy);
        rig
    }

    pub fn pass(&self, ms: u64) {
        self.now_ms.fetch_add(ms, Ordering::Relaxed);
    }

    pub fn send(&self, request: Request) -> Response {
        block_on(chat::handle(self, request))
    }

    pub fn call(&self, player: &str, method: &str, path: &str, body: Value) -> Response {
        self.send(request(&claims(player), method, path, body))
    }

    pub fn post(&self, player: &str, channel: &str, key: &str, text: &str) -> Response {
        let path = format!("/v1/chat/channels/{channel}/messages");
        self.call(player, "POST", &path, json!({ "key": key, "text": text }))
    }

    pub fn history(&self, player: &str, channel: &str, query: &str) -> wire::chat::HistoryReply {
        let path = format!("/v1/chat/channels/{channel}/messages?{query}");
        read(&self.call(player, "GET", &path, Value::Null))
    }

    /// One live shard, and the room `lobby` at home on it.
    pub fn start_shard(&self, shard: &str) {
        self.start_shard_of(shard, TICKET_VERSION);
    }

    /// The same, of a release that reads tickets up to this version.
    pub fn start_shard_of(&self, shard: &str, ticket_version: u8) {
        let heartbeat = Heartbeat {
            shard: shard.parse().unwrap(),
            region: "eu-1".parse().unwrap(),
            boot: BOOT,
            epoch: 3,
            sent_at_ms: self.now_ms(),
            state: ShardState::Open,
            candidates: vec![],
            fingerprint: "sha-256 00".into(),
            control_url: "http://192.0.2.1:7411/".into(),
            ticket_version,
            load: Load::default(),
            capacity: 100,
            refused: vec![],
        };
        let store = &self.store.inner.open();
        block_on(directory::record_heartbeat(
            &Patience,
            store,
            self.now_ms(),
            &heartbeat,
        ))
        .unwrap();
    }

    pub fn place_room(&self, room: &str) {
        let (room, region) = (room.parse().unwrap(), "eu-1".parse().unwrap());
        let placed =
            directory::home_of(&Patience, &self.store.inner, self.now_ms(), &room, &region);
        block_on(placed).unwrap();
    }

    pub fn take_pushes(&self) -> Vec<(ShardId, PushTarget, Value)> {
        std::mem::take(&mut self.pushes.lock().unwrap())
    }
}

pub fn built_in_policy() -> String {
    include_str!("../../../../edge/policy.json").to_owned()
}

pub fn signing_key() -> SigningKey {
    SigningKey::new([1; 32])
}

pub fn secret() -> FleetSecret {
    FleetSecret::from_base64(SECRET).unwrap()
}

/// Somebody who may write everywhere in `lobby`, `squad`, to everybody and to his region; players
/// whose names begin with `mod` may moderate.
pub fn claims(player: &str) -> Claims {
    let mut permissions = vec![Permission::Listen, Permission::Chat];
    if player.starts_with("mod") {
        permissions.push(Permission::Moderate);
    }
    let grant = |room: &str, channel: &str| Grant {
        room: room.into(),
        channels: vec![channel.into()],
        permissions: permissions.clone(),
    };
    Claims {
        sub: player.parse().unwrap(),
        aud: "lifeverse-voice".into(),
        exp: u64::MAX / 1000,
        nbf: None,
        iat: None,
        name: Some(format!("Name of {player}")),
        profile: Profile::default(),
        role: None,
        grants: vec![
            grant("lobby", "*"),
            grant("squad", "party"),
            grant("direct", "*"),
            grant("world", "eu-*"),
        ],
    }
}

pub fn request(claims: &Claims, method: &str, path: &str, body: Value) -> Request {
    calls::request(calls::bearer(claims, &signing_key()), method, path, &body)
}

impl Storage for Rig {
    type Store = FaultyStore;

    fn store(&self) -> &FaultyStore {
        &self.store
    }
}

impl Clock for Rig {
    fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::Relaxed)
    }
}

impl Timer for Rig {
    /// Time passes for everybody.
    async fn sleep(&self, ms: u64) {
        yield_now().await;
        self.pass(ms);
    }
}

impl Entropy for Rig {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill_with(|| self.store.chance.next() as u8);
    }
}

impl Variables for Rig {
    async fn variable(&self, name: &str) -> Result<Option<String>, VariableFault> {
        self.variables.variable(name).await
    }
}

impl RelayLink for Rig {
    async fn post(&self, url: &str, shard: &ShardId, sealed: String) -> Result<u16, Unreachable> {
        assert_eq!(url, "http://192.0.2.1:7411/v1/control");
        let keys = secret().shard_key(shard, 3).subkeys();
        let message = ControlMessage::open(&sealed, &keys, BOOT).unwrap();
        let ControlCommand::Push { to, message } = message.command else {
            panic!("chat only pushes");
        };
        let message = serde_json::from_str(&message).unwrap();
        self.pushes
            .lock()
            .unwrap()
            .push((shard.clone(), to, message));
        *self.relay_answers.lock().unwrap()
    }
}
