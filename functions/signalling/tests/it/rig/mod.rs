//! A whole function on ports that a test controls: memory for a store, a fixed clock, ids that
//! count, and a relay link that remembers what was sent.

#![allow(unreachable_pub, reason = "each module of tests uses its part")]

use std::ops::{Deref, DerefMut};

use edge::http::{Request, Response};
use edge::testing::calls;
use edge::testing::host::{self, Host};
use edge::testing::schedule::block_on;
use wire::BootId;
use wire::claims::{Claims, Grant, Permission};
use wire::fleet::{Candidate, Heartbeat, Load, ShardState, Transport};
use wire::keys::ShardKeys;
use wire::problem::Problem;
use wire::ticket::TICKET_VERSION;

pub use edge::testing::calls::share;
pub use edge::testing::host::{NOW_MS, secret, signing_key};

pub const NOW_S: u64 = NOW_MS / 1000;
pub const BOOT: BootId = BootId([7; 8]);
pub const FINGERPRINT: &str = "sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:\
                               10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F";

pub struct Rig(Host);

impl Rig {
    /// A function with its settings and no relay.
    pub fn without_relay() -> Self {
        Self(Host::counting("signalling"))
    }

    /// With one live shard.
    pub fn new() -> Self {
        Self::with_shard(&heartbeat())
    }

    /// With the shard of this heartbeat.
    pub fn with_shard(heartbeat: &Heartbeat) -> Self {
        let rig = Self::without_relay();
        rig.beat(heartbeat);
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
        sequence: 0,
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
        large: Vec::new(),
        refused: Vec::new(),
        taken: Vec::new(),
    }
}

pub fn shard_keys() -> ShardKeys {
    secret()
        .shard_key(&heartbeat().shard, heartbeat().epoch)
        .subkeys()
}

pub fn claims() -> Claims {
    let grant = |channel: &str, permissions: &[Permission]| Grant {
        room: "lobby".into(),
        channels: vec![channel.into()],
        permissions: permissions.to_vec(),
    };
    Claims {
        exp: NOW_S + 60,
        name: Some("Ann".into()),
        grants: vec![
            grant("main", &[Permission::Speak, Permission::Listen]),
            grant("team-*", &[Permission::Listen]),
        ],
        ..host::claims("player-1", None)
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

impl Deref for Rig {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.0
    }
}

impl DerefMut for Rig {
    fn deref_mut(&mut self) -> &mut Host {
        &mut self.0
    }
}
