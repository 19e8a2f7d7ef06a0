//! The whole function on ports that a test controls: a store that may fail by a seed, a clock that
//! a test moves, and a relay that remembers what was sealed for it.

#![allow(unreachable_pub, reason = "each module of tests uses its part")]

use std::ops::{Deref, DerefMut};

use edge::directory;
use edge::http::{Request, Response};
use edge::ports::Clock;
use edge::testing::host::{self, Host};
use edge::testing::schedule::block_on;
use edge::testing::{Patience, calls};
use serde_json::{Value, json};
use wire::claims::{Claims, Grant, Permission};
use wire::control::{ControlCommand, ControlMessage, PushAuthor, PushTarget};
use wire::fleet::{Heartbeat, Load, ShardState};
use wire::routes::Function;
use wire::ticket::TICKET_VERSION;
use wire::{BootId, ShardId};

pub use edge::testing::calls::{problem, read, share};
pub use edge::testing::host::{NOW_MS, secret, signing_key};

pub const ROOM: &str = "room~lobby~main";
const BOOT: BootId = BootId([7; 8]);

pub struct Rig(Host);

impl Rig {
    pub fn new(seed: u64) -> Self {
        Self(Host::new("chat", seed))
    }

    /// A rig whose policy allows any rate.
    pub fn unlimited(seed: u64) -> Self {
        let mut rig = Self::new(seed);
        let policy = built_in_policy()
            .replace("\"burst\": 6", "\"burst\": 1000")
            .replace("\"per_minute\": 40", "\"per_minute\": 1000");
        rig.set("policy", &policy);
        rig
    }

    /// What safety does is done by it, on the same store.
    pub fn send(&self, request: Request) -> Response {
        match request.route().map(|route| route.function) {
            Some(Function::Safety) => block_on(safety::handle(&&self.beside("safety"), request)),
            _ => block_on(chat::handle(self, request)),
        }
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
            sequence: 0,
            state: ShardState::Open,
            candidates: vec![],
            fingerprint: "sha-256 00".into(),
            control_url: "http://192.0.2.1:7411/".into(),
            ticket_version,
            load: Load::default(),
            capacity: 100,
            large: Vec::new(),
            refused: vec![],
            taken: vec![],
        };
        self.beat(&heartbeat);
    }

    pub fn place_room(&self, room: &str) {
        let (room, region) = (room.parse().unwrap(), "eu-1".parse().unwrap());
        let placed = directory::home_of(
            &Patience,
            &self.store.inner,
            self.now_ms(),
            &room,
            &region,
            &directory::Hearsay,
        );
        block_on(placed).unwrap();
    }

    /// What was pushed since it was last taken, as relays read it.
    pub fn take_pushes(&self) -> Vec<(ShardId, PushTarget, Value)> {
        let all = self.take_authored().into_iter();
        all.map(|(shard, to, message, _)| (shard, to, message))
            .collect()
    }

    /// The same, and who wrote it.
    pub fn take_authored(&self) -> Vec<(ShardId, PushTarget, Value, Option<PushAuthor>)> {
        let push = |(url, shard, sealed): (String, ShardId, String)| {
            assert_eq!(url, "http://192.0.2.1:7411/v1/control");
            let keys = secret().shard_key(&shard, 3).subkeys();
            let message = ControlMessage::open(&sealed, &keys, BOOT).unwrap();
            let ControlCommand::Push {
                to,
                message,
                author,
            } = message.command
            else {
                panic!("chat only pushes");
            };
            (shard, to, serde_json::from_str(&message).unwrap(), author)
        };
        self.take_posts().into_iter().map(push).collect()
    }
}

pub fn built_in_policy() -> String {
    include_str!("../../../../edge/policy.json").to_owned()
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
        grants: vec![
            grant("lobby", "*"),
            grant("squad", "party"),
            grant("direct", "*"),
            grant("world", "eu-*"),
        ],
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

impl DerefMut for Rig {
    fn deref_mut(&mut self) -> &mut Host {
        &mut self.0
    }
}
