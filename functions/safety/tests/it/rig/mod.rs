//! The whole function on ports that a test controls, and beside it on the same store those that
//! read what it writes: chat and signalling. Each may touch only what it lists.

#![allow(unreachable_pub, reason = "each module of tests uses its part")]

use std::ops::Deref;

use edge::http::{Request, Response};
use edge::testing::calls;
use edge::testing::host::{self, Host};
use edge::testing::schedule::block_on;
use serde_json::{Value, json};
use wire::BootId;
use wire::claims::{Claims, Grant, Permission};
use wire::fleet::{Candidate, Heartbeat, Load, ShardState, Transport};
use wire::keys::ShardKeys;
use wire::routes::Function;
use wire::ticket::TICKET_VERSION;

pub use edge::testing::calls::{problem, read, share};
pub use edge::testing::host::{NOW_MS, secret, signing_key};

pub const ROOM: &str = "room~lobby~main";
pub const BOOT: BootId = BootId([7; 8]);
const OFFER: &str = include_str!("../../../../signalling/tests/offers/chromium.sdp");
pub const EPOCH: u8 = 3;
const SHARD: &str = "eu-1-a";

pub struct Rig(Host);

impl Rig {
    /// One whose policy allows any rate.
    pub fn unlimited(seed: u64) -> Self {
        let policy = include_str!("../../../../edge/policy.json")
            .replace("\"burst\": 6", "\"burst\": 1000")
            .replace("\"per_minute\": 40", "\"per_minute\": 1000");
        let mut host = Host::new("safety", seed);
        host.set("policy", &policy);
        Self(host)
    }

    /// One with a live shard.
    pub fn with_shard() -> Self {
        let rig = Self(Host::new("safety", 1));
        rig.beat(&heartbeat());
        rig
    }

    /// Has it answered by the function whose it is.
    pub fn send(&self, request: Request) -> Response {
        match request.route().map(|route| route.function) {
            Some(Function::Chat) => block_on(chat::handle(&&self.beside("chat"), request)),
            Some(Function::Matchmaking) => {
                block_on(matchmaking::handle(&&self.beside("matchmaking"), request))
            }
            Some(Function::Signalling) => {
                let host = &&self.beside("signalling");
                block_on(signalling::handle(host, request))
            }
            _ => block_on(safety::handle(self, request)),
        }
    }

    pub fn call(&self, player: &str, method: &str, path: &str, body: Value) -> Response {
        self.send(request(&claims(player), method, path, body))
    }

    pub fn post(&self, player: &str, channel: &str, key: &str, text: &str) -> Response {
        let path = format!("/v1/chat/channels/{channel}/messages");
        self.call(player, "POST", &path, json!({ "key": key, "text": text }))
    }

    pub fn history(&self, player: &str, channel: &str) -> wire::chat::HistoryReply {
        self.history_of(player, channel, "")
    }

    pub fn history_of(&self, player: &str, channel: &str, query: &str) -> wire::chat::HistoryReply {
        let path = format!("/v1/chat/channels/{channel}/messages?{query}");
        read(&self.call(player, "GET", &path, Value::Null))
    }

    /// Has a player ask to join the lobby.
    pub fn join(&self, player: &str) -> Response {
        let body = json!({ "offer": OFFER });
        self.call(player, "POST", "/v1/rooms/lobby/sessions", body)
    }
}

/// What the shard says of itself.
pub fn heartbeat() -> Heartbeat {
    let candidate = Candidate {
        transport: Transport::Udp,
        address: "192.0.2.1:7410".parse().unwrap(),
    };
    Heartbeat {
        shard: SHARD.parse().unwrap(),
        region: "eu-1".parse().unwrap(),
        boot: BOOT,
        epoch: EPOCH,
        sent_at_ms: NOW_MS,
        sequence: 0,
        state: ShardState::Open,
        candidates: vec![candidate],
        fingerprint: format!("sha-256 {}", vec!["0A"; 32].join(":")),
        control_url: "http://192.0.2.1:7411/".into(),
        ticket_version: TICKET_VERSION,
        load: Load::default(),
        capacity: 100,
        large: Vec::new(),
        refused: Vec::new(),
        taken: Vec::new(),
    }
}

pub fn shard_keys() -> ShardKeys {
    let shard = SHARD.parse().unwrap();
    secret().shard_key(&shard, EPOCH).subkeys()
}

/// Somebody who may speak and write everywhere in `lobby`, and write to everybody; players whose
/// names begin with `mod` may moderate.
pub fn claims(player: &str) -> Claims {
    use Permission::{Chat, Listen, Moderate, Speak};
    let mut permissions = vec![Listen, Speak, Chat];
    if player.starts_with("mod") {
        permissions.push(Moderate);
    }
    let grants = ["lobby", "squad", "direct", "world"].map(|room| Grant {
        room: room.into(),
        channels: vec!["*".into()],
        permissions: permissions.clone(),
    });
    Claims {
        grants: grants.into(),
        ..host::claims(player, None)
    }
}

pub fn request(claims: &Claims, method: &str, path: &str, body: Value) -> Request {
    calls::request(calls::bearer(claims, &signing_key()), method, path, &body)
}

impl Deref for Rig {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.0
    }
}
