//! The whole function on ports that a test controls: a store that may fail by a seed, and a clock
//! that a test moves.

#![allow(unreachable_pub, reason = "each module of tests uses its part")]

use std::ops::Deref;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::task::Poll;

use edge::http::{Request, Response};
use edge::ports::Clock;
use edge::testing::calls;
use edge::testing::host::Host;
use edge::testing::schedule::block_on;
use serde_json::{Value, json};
use wire::BootId;
use wire::claims::{Claims, Role};
use wire::fleet::{Heartbeat, Load, ShardState};
use wire::matching::{TicketReply, TicketStatus};
use wire::ticket::TICKET_VERSION;

pub use edge::testing::calls::{problem, read, share, text};
pub use edge::testing::host::{NOW_MS, claims, signing_key};

pub struct Rig(Host);

impl Rig {
    pub fn new(seed: u64) -> Self {
        let rig = Self(Host::new("matchmaking", seed));
        rig.stay();
        rig
    }

    /// A rig with the queue `q`.
    pub fn with_queue(seed: u64, rules: &Value) -> Self {
        let rig = Self::new(seed);
        let response = rig.operator("PUT", "/v1/match/queues/q", rules.clone());
        assert_eq!(response.status, 200, "{}", text(&response));
        rig
    }

    /// The machine's clock is another one, so much earlier.
    pub fn go_back(&self, ms: u64) {
        self.now_ms.fetch_sub(ms, Ordering::Relaxed);
    }

    /// Lets time pass, and the relay live.
    pub fn pass(&self, ms: u64) {
        self.0.pass(ms);
        self.stay();
    }

    /// The heartbeat of a live shard with room for many.
    fn stay(&self) {
        let heartbeat = Heartbeat {
            shard: "eu-0".parse().unwrap(),
            region: "eu".parse().unwrap(),
            boot: BootId([7; 8]),
            epoch: 3,
            sent_at_ms: self.now_ms(),
            sequence: 0,
            state: ShardState::Open,
            candidates: vec![],
            fingerprint: "sha-256 00".into(),
            control_url: "http://192.0.2.1:7411/".into(),
            ticket_version: TICKET_VERSION,
            load: Load::default(),
            capacity: 10_000,
            large: Vec::new(),
            refused: vec![],
            taken: vec![],
        };
        self.beat(&heartbeat);
    }

    pub fn send(&self, request: Request) -> Response {
        block_on(matchmaking::handle(self, request))
    }

    /// A request whose function dies after so many store calls, as when a host is lost.
    pub async fn crashing(&self, request: Request, calls: u64) -> Option<Response> {
        let mut future = pin!(matchmaking::handle(self, request));
        let mut left = calls;
        std::future::poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(response) => Poll::Ready(Some(response)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => {
                left -= 1;
                Poll::Pending
            }
        })
        .await
    }

    pub fn call(&self, player: &str, method: &str, path: &str, body: Value) -> Response {
        self.send(request(&claims(player, None), method, path, body))
    }

    pub fn operator(&self, method: &str, path: &str, body: Value) -> Response {
        self.send(request(
            &claims("op", Some(Role::Operator)),
            method,
            path,
            body,
        ))
    }

    pub fn server(&self, method: &str, path: &str, body: Value) -> Response {
        self.send(request(
            &claims("server", Some(Role::GameServer)),
            method,
            path,
            body,
        ))
    }

    /// Queues a player alone.
    pub fn queue(&self, queue: &str, player: &str, key: &str) -> Response {
        let body = ticket(key, &[player]);
        self.call(
            player,
            "POST",
            &format!("/v1/match/queues/{queue}/tickets"),
            body,
        )
    }

    /// Queues a player alone, and says with which ticket.
    pub fn queued(&self, queue: &str, player: &str) -> TicketReply {
        read(&self.queue(queue, player, "k"))
    }

    pub fn look(&self, player: &str, ticket: &TicketReply) -> Response {
        self.call(player, "GET", &path(ticket), Value::Null)
    }

    /// Asks for a ticket until it is as wanted, for a minute.
    #[track_caller]
    pub fn until(&self, player: &str, ticket: &TicketReply, wanted: TicketStatus) -> TicketReply {
        for _ in 0..60 {
            let reply: TicketReply = read(&self.look(player, ticket));
            if reply.status == wanted {
                return reply;
            }
            self.pass(1_000);
        }
        panic!(
            "{player} is never {wanted:?}: {}",
            text(&self.look(player, ticket))
        );
    }

    pub fn explain(&self, player: &str, ticket: &TicketReply) -> wire::matching::Explanation {
        let path = format!("{}/explanation", path(ticket));
        read(&self.call(player, "GET", &path, Value::Null))
    }

    pub fn accept(&self, player: &str, id: &wire::MatchId, accept: bool) -> Response {
        let path = format!("/v1/match/matches/{id}/acceptance");
        self.call(player, "POST", &path, json!({ "accept": accept }))
    }
}

pub fn path(ticket: &TicketReply) -> String {
    format!(
        "/v1/match/queues/{}/tickets/{}",
        ticket.queue, ticket.ticket
    )
}

/// A ticket request of a party, of which the first has details.
pub fn ticket(key: &str, players: &[&str]) -> Value {
    let players: Vec<Value> = players
        .iter()
        .enumerate()
        .map(|(at, player)| match at {
            0 => json!({ "player": player, "details": {} }),
            _ => json!({ "player": player }),
        })
        .collect();
    json!({ "key": key, "players": players })
}

/// One mode: teams of a size, and whatever else the rule set says.
pub fn rules(teams: u32, size: u32, more: Value) -> Value {
    let mut mode = json!({
        "mode": "m",
        "version": 1,
        "max_wait_s": 60,
        "teams": [{ "name": "t", "count": teams, "players": { "min": size, "max": size } }],
    });
    for (name, value) in more.as_object().unwrap() {
        mode[name] = value.clone();
    }
    json!({ "version": 2, "modes": [mode] })
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
