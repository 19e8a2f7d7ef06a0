//! Requests that benchmarks make: one of each route that players use much.

use anyhow::{Context, Result, ensure};
use hyper::Method;
use serde_json::{Value, json};

use crate::shard::Shard;
use crate::target::Target;

/// What a browser offers.
pub const OFFER: &str = include_str!("../../../functions/signalling/tests/offers/chromium.sdp");
const WHIP_OFFER: &str = include_str!("../../../functions/signalling/tests/offers/aiortc-whip.sdp");

/// What is measured, and whose it is.
pub const ROUTES: [(&str, &str); 10] = [
    ("heartbeat", "fleet"),
    ("join", "signalling"),
    ("whip", "signalling"),
    ("leave", "signalling"),
    ("chat-post", "chat"),
    ("chat-history", "chat"),
    ("chat-unread", "chat"),
    ("chat-presence", "chat"),
    ("match-queue-up", "matchmaking"),
    ("match-ticket", "matchmaking"),
];

/// What requests find: a relay, and a queue with one who waits.
pub struct Bench<'a> {
    target: &'a Target,
    /// The relay, whose heartbeats keep it alive.
    pub shard: Shard,
    queue: String,
    ticket: String,
}

impl<'a> Bench<'a> {
    /// `name` tells it from others on the same host.
    ///
    /// # Errors
    /// When the host does not answer as it should.
    pub async fn prepare(target: &'a Target, name: &str) -> Result<Self> {
        let shard = Shard::start(target, "bench-0", "dev").await?;
        let operator = target.secrets.operator_token();
        let mode = json!({
            "mode": "duel", "version": 1, "max_wait_s": 600, "rating": { "spread": 5 },
            "teams": [{ "name": "side", "count": 2, "players": { "min": 1, "max": 1 } }],
        });
        // One who waits alone, since a queue of his own has nobody else.
        for queue in [format!("{name}-alone"), name.to_owned()] {
            let path = format!("/v1/match/queues/{queue}");
            let rules = json!({ "version": 1, "modes": [mode] });
            let put = target.call(Method::PUT, &path, &operator, &rules).await?;
            ensure!(put.status.is_success(), "{put:?}");
        }
        let mut bench = Self {
            target,
            shard,
            queue: format!("{name}-alone"),
            ticket: String::new(),
        };
        let ticket = bench.queue_up(&format!("{name}-alone")).await?;
        bench.ticket = ticket["ticket"].as_str().context("a ticket")?.to_owned();
        bench.queue = name.to_owned();
        Ok(bench)
    }

    async fn queue_up(&self, player: &str) -> Result<Value> {
        let token = self.target.secrets.token(player, "bench");
        let body = json!({ "key": "k", "players": [{ "player": player, "details": {} }] });
        let path = format!("/v1/match/queues/{}/tickets", self.queue);
        self.target
            .expect(201, Method::POST, &path, &token, body)
            .await
    }

    /// One request of a route; `n` tells it from the others.
    ///
    /// # Errors
    /// When it is not answered as it should be.
    pub async fn request(&self, route: &str, n: usize) -> Result<()> {
        let (target, secrets, queue) = (self.target, &self.target.secrets, &self.queue);
        // An author of his own every few messages, or the limits would bind.
        let chatter = secrets.chat_token(&format!("p{}", n / 4), "bench");
        let player = secrets.token(&format!("p{}", n / 4), "bench");
        let messages = "/v1/chat/channels/room~bench~main/messages";
        let post = json!({ "key": format!("k{n}"), "text": "see you at the gate" });
        let (status, method, path, token, body) = match route {
            "heartbeat" => return self.shard.beat(target).await.map(drop),
            "whip" => {
                let url = target.url("/v1/rooms/bench/whip");
                let sent =
                    target
                        .http
                        .send(Method::POST, &url, &player, "application/sdp", WHIP_OFFER);
                let reply = sent.await?;
                ensure!(reply.status == 201, "{reply:?}");
                return Ok(());
            }
            "match-queue-up" => {
                return self.queue_up(&format!("{queue}-{n}")).await.map(drop);
            }
            "join" => {
                let path = "/v1/rooms/bench/sessions".to_owned();
                (201, Method::POST, path, player, json!({ "offer": OFFER }))
            }
            "leave" => {
                let path = format!("/v1/rooms/bench/sessions/bench-0~{n:016x}");
                (204, Method::DELETE, path, player, Value::Null)
            }
            "chat-post" => (201, Method::POST, messages.to_owned(), chatter, post),
            "chat-history" => {
                let path = format!("{messages}?limit=20");
                (200, Method::GET, path, chatter, Value::Null)
            }
            "chat-unread" => {
                let path = "/v1/chat/unread?in=room~bench~main".to_owned();
                (200, Method::GET, path, chatter, Value::Null)
            }
            "chat-presence" => {
                let friends: Vec<String> = (0..20).map(|friend| format!("p{friend}")).collect();
                let path = format!("/v1/chat/presence?players={}", friends.join(","));
                (200, Method::GET, path, chatter, Value::Null)
            }
            _ => {
                let alone = format!("{queue}-alone");
                let path = format!("/v1/match/queues/{alone}/tickets/{}", self.ticket);
                let token = secrets.another_token(&alone, "bench", n / 50);
                (200, Method::GET, path, token, Value::Null)
            }
        };
        let sent = target.expect(status, method, &path, &token, body);
        sent.await.map(drop)
    }
}
