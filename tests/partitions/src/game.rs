//! The functions on one store, and the requests that players and relays make.

use std::cell::Cell;

use edge::http::{Request, Response};
use edge::ports::{
    Clock, Entropy, IdentityLink, IdentityReply, RelayInquiry, RelayLink, RelayReply, Storage,
    Timer, Unreachable, VariableFault, Variables,
};
use edge::testing::host::{self, NOW_MS, secret, signing_key};
use edge::testing::schedule::{Chance, block_on};
use edge::testing::{FaultyStore, FixedVariables, LimitedStore, MemoryStore, calls};
use serde_json::{Value, json};
use wire::chat::{DIRECT_ROOM, WORLD_ROOM};
use wire::claims::{Claims, Grant, Permission, Role};
use wire::fleet::{Candidate, Heartbeat, Load, ShardState, Transport, sign_heartbeat};
use wire::ticket::TICKET_VERSION;
use wire::{BootId, ShardId};

const OFFER: &str = include_str!("../../../functions/signalling/tests/offers/chromium.sdp");
/// The region of everything.
pub const REGION: &str = "eu";
/// What a shard takes.
pub const CAPACITY: u32 = 1_000;

/// A player who may moderate.
pub const MODERATOR: &str = "moderator";

/// The game: time stands until somebody lets it pass.
#[derive(Debug)]
pub struct Game {
    /// What everybody keeps.
    pub store: LimitedStore<FaultyStore>,
    now_ms: Cell<u64>,
    chance: Chance,
    variables: FixedVariables,
    posts: Cell<u64>,
}

/// Which function a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// Joins and leaves.
    Signalling,
    /// Heartbeats.
    Fleet,
    /// Messages.
    Chat,
    /// Reports and sanctions.
    Safety,
    /// Tickets.
    Matchmaking,
}

impl Game {
    /// With a store that only tells what is used of each partition.
    pub fn new(seed: u64) -> Self {
        // It gives up the turn before each call, and fails none.
        let store = FaultyStore::new(MemoryStore::default(), seed, 0);
        Self::on(LimitedStore::unlimited(store), seed)
    }

    /// The same game from here on, on a store that refuses what is over the limits of a partition.
    #[must_use]
    pub fn limited(self) -> Self {
        Self {
            store: LimitedStore::new(self.store.inner),
            ..self
        }
    }

    fn on(store: LimitedStore<FaultyStore>, seed: u64) -> Self {
        let keys = signing_key().key_set_json("dev");
        // Authors who write more than the policy lets one write.
        let policy = include_str!("../../../functions/edge/policy.json")
            .replace("\"burst\": 6", "\"burst\": 1000")
            .replace("\"per_minute\": 40", "\"per_minute\": 1000");
        let variables = [
            ("fleet_secret", host::SECRET),
            ("token_keys", keys.as_str()),
            ("region", REGION),
            ("static_shards", r#"[{"shards": "*"}]"#),
            ("token_life_s", "18446744073709551615"),
            ("policy", policy.as_str()),
        ];
        Self {
            store,
            now_ms: Cell::new(NOW_MS),
            chance: Chance::new(seed),
            variables: FixedVariables::new(&variables).with_derived(),
            posts: Cell::new(0),
        }
    }

    /// Unix milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    /// Lets time pass.
    pub fn pass(&self, ms: u64) {
        self.now_ms.set(self.now_ms.get() + ms);
    }

    /// Requests to relays since this was last asked.
    pub fn take_posts(&self) -> u64 {
        self.posts.take()
    }

    /// Serves a request.
    pub fn send(&self, function: Function, request: Request) -> Response {
        match function {
            Function::Signalling => block_on(signalling::handle(self, request)),
            Function::Fleet => block_on(fleet::handle(self, request)),
            Function::Chat => block_on(chat::handle(self, request)),
            Function::Safety => block_on(safety::handle(self, request)),
            Function::Matchmaking => block_on(matchmaking::handle(self, request)),
        }
    }

    /// A request of a player, who may do everything that players may.
    pub fn player(
        &self,
        function: Function,
        player: &str,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Response {
        self.send(function, self.request(player, method, path, body))
    }

    /// The same, not sent yet.
    pub fn request(&self, player: &str, method: &str, path: &str, body: &Value) -> Request {
        let bearer = calls::bearer(&claims(player), &signing_key());
        calls::request(bearer, method, path, body)
    }

    /// A request of an operator.
    pub fn operator(&self, function: Function, method: &str, path: &str, body: &Value) -> Response {
        let claims = host::claims("operator", Some(Role::Operator));
        let bearer = calls::bearer(&claims, &signing_key());
        self.send(function, calls::request(bearer, method, path, body))
    }

    /// The heartbeat of a shard with so many participants.
    ///
    /// # Panics
    /// Never.
    pub fn beat(&self, number: usize, participants: u32) -> Response {
        let heartbeat = heartbeat(number, self.now_ms(), participants);
        let body = serde_json::to_vec(&heartbeat).expect("string keys only");
        let keys = secret().shard_key(&heartbeat.shard, 0).subkeys();
        let path = format!("/v1/relays/{}/heartbeat", heartbeat.shard);
        let request = Request {
            authorization: Some(sign_heartbeat(&keys, &body)),
            body,
            ..calls::request(String::new(), "POST", &path, &json!({}))
        };
        self.send(Function::Fleet, request)
    }

    /// A join.
    pub fn join(&self, player: &str, room: &str) -> Response {
        let path = format!("/v1/rooms/{room}/sessions");
        let body = json!({ "offer": OFFER });
        self.player(Function::Signalling, player, "POST", &path, &body)
    }

    /// A message.
    pub fn post(&self, player: &str, channel: &str, key: &str) -> Response {
        let path = format!("/v1/chat/channels/{channel}/messages");
        let body = json!({ "key": key, "text": "see you at the gate" });
        self.player(Function::Chat, player, "POST", &path, &body)
    }

    /// What became of a ticket.
    pub fn ask(&self, player: &str, queue: &str, ticket: &str) -> Response {
        let path = format!("/v1/match/queues/{queue}/tickets/{ticket}");
        self.player(Function::Matchmaking, player, "GET", &path, &Value::Null)
    }

    /// A ticket for one.
    pub fn queue_up(&self, player: &str, queue: &str) -> Response {
        let path = format!("/v1/match/queues/{queue}/tickets");
        let body = json!({ "key": "k", "players": [{ "player": player, "details": {} }] });
        self.player(Function::Matchmaking, player, "POST", &path, &body)
    }
}

/// The name of a shard.
///
/// # Panics
/// Never.
pub fn shard(number: usize) -> ShardId {
    format!("{REGION}-{number}")
        .parse()
        .expect("a short name of letters and digits")
}

/// What a shard says: as long as what real ones say.
///
/// # Panics
/// Never.
pub fn heartbeat(number: usize, sent_at_ms: u64, participants: u32) -> Heartbeat {
    let candidate = |transport, address: &str| Candidate {
        transport,
        address: address.parse().expect("an address"),
    };
    Heartbeat {
        shard: shard(number),
        region: REGION.parse().expect("a name"),
        boot: BootId([7; 8]),
        epoch: 0,
        sent_at_ms,
        sequence: 0,
        state: ShardState::Open,
        candidates: vec![
            candidate(Transport::Udp, "192.0.2.1:7410"),
            candidate(Transport::Udp, "[2001:db8::1]:7410"),
            candidate(Transport::Tcp, "192.0.2.1:443"),
        ],
        fingerprint: format!("sha-256 {}", ["AB"; 32].join(":")),
        control_url: "http://192.0.2.1:7411".into(),
        ticket_version: TICKET_VERSION,
        load: Load {
            participants,
            rooms: participants / 5,
            cpu_permille: 300,
        },
        capacity: CAPACITY,
        large: Vec::new(),
        refused: Vec::new(),
        taken: Vec::new(),
    }
}

fn claims(player: &str) -> Claims {
    let mut permissions = vec![Permission::Speak, Permission::Listen, Permission::Chat];
    if player == MODERATOR {
        permissions.push(Permission::Moderate);
    }
    let everywhere = ["*", DIRECT_ROOM, WORLD_ROOM].map(|room| Grant {
        room: room.into(),
        channels: vec!["*".into()],
        permissions: permissions.clone(),
    });
    Claims {
        grants: everywhere.into(),
        ..host::claims(player, None)
    }
}

impl Storage for Game {
    type Store = LimitedStore<FaultyStore>;

    fn store(&self) -> &Self::Store {
        &self.store
    }
}

impl Clock for Game {
    fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }
}

impl Timer for Game {
    async fn sleep(&self, _ms: u64) {}
}

impl Entropy for Game {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill_with(|| self.chance.next() as u8);
    }
}

impl Variables for Game {
    async fn variable(&self, name: &str) -> Result<Option<String>, VariableFault> {
        self.variables.variable(name).await
    }
}

impl RelayLink for Game {
    async fn post(&self, _: &str, _: &ShardId, _: String) -> Result<u16, Unreachable> {
        self.posts.set(self.posts.get() + 1);
        Ok(202)
    }
}

impl RelayInquiry for Game {
    async fn inquire(&self, _: &str, _: &ShardId, _: String) -> Result<RelayReply, Unreachable> {
        unreachable!("nobody asks who is in a room")
    }
}

impl IdentityLink for Game {
    async fn ask(
        &self,
        _: &str,
        _: &[(&'static str, String)],
    ) -> Result<IdentityReply, Unreachable> {
        Err(Unreachable)
    }
}
