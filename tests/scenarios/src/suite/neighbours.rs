//! One player who asks for as much as he can, beside others who join and a relay that lives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hyper::Method;
use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use wire::routes::{Auth, Class, JSON, ROUTES, Route};

use crate::requests::OFFER;
use crate::shard::Shard;
use crate::target::Target;

/// Polls at once: more than a host has instances in all.
const POLLS: usize = 140;
/// Requests of any other route at once.
const REQUESTS: usize = 24;
/// Joins of others beside the polls, and beside each other route.
const JOINS: usize = 10;
const JOINS_EACH: usize = 1;

/// Between two looks whether it has begun, and how long that may take.
const LOOK: Duration = Duration::from_millis(2);
const BEGINS_WITHIN: Duration = Duration::from_secs(20);

/// Who sends one request again and again, over many connections.
#[derive(Clone, Copy, PartialEq)]
enum Who {
    /// One player, as fast as he is answered.
    One,
    /// A player for each connection, at the pace that the service says.
    Crowd,
}

/// Requests without end.
struct Noise {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    requests: JoinSet<()>,
}

impl Noise {
    fn start(target: &Target, (who, at_once): (Who, usize), request: &Sent) -> Self {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let mut requests = JoinSet::new();
        for n in 0..at_once {
            let (http, url) = (target.http.clone(), target.url(&request.path));
            let token = match who {
                // Whom the host lets ask as often as he likes: the lanes are what holds.
                Who::One => target.secrets.server_token("noise", "noise"),
                Who::Crowd => target.secrets.chat_token(&format!("noise-{n}"), "noise"),
            };
            let (method, body) = (request.method.clone(), Bytes::from(request.body));
            let (stop, answered) = (stop.clone(), answered.clone());
            let media_type = if body.is_empty() { "" } else { JSON };
            requests.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let sent = http.send(method.clone(), &url, &token, media_type, body.clone());
                    // Whatever he is told: refusals are for him.
                    let Ok(reply) = sent.await else { continue };
                    answered.fetch_add(1, Ordering::Relaxed);
                    if who == Who::Crowd {
                        let said: Value = reply.json().unwrap_or_default();
                        let pause_ms = said["poll_after_ms"].as_u64().unwrap_or(1_000);
                        sleep(Duration::from_millis(pause_ms)).await;
                    }
                }
            });
        }
        Self {
            stop,
            answered,
            requests,
        }
    }

    /// Waits until it is there: the first request was answered.
    async fn begun(&self) -> Result<()> {
        let answered = async {
            while self.answered.load(Ordering::Relaxed) == 0 {
                sleep(LOOK).await;
            }
        };
        timeout(BEGINS_WITHIN, answered).await?;
        Ok(())
    }

    /// Ends it, and says how many requests were answered.
    async fn stop(mut self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.requests.shutdown().await;
        self.answered.load(Ordering::Relaxed)
    }
}

/// What it sends.
struct Sent {
    method: Method,
    path: String,
    body: &'static str,
}

impl Sent {
    /// A poll of a channel in which nobody writes.
    fn poll() -> Self {
        Self {
            method: Method::GET,
            path: "/v1/chat/channels/room~noise~main/messages?after=0&wait=20".to_owned(),
            body: "",
        }
    }
}

/// Others join, and the relay says that it lives.
async fn bystanders(target: &Target, shard: &Shard, joins: usize, beside: &str) -> Result<()> {
    for n in 0..joins {
        // Each for the first time: a player who joins again and again is held back.
        let player = format!("quiet-{}-{n}", beside.replace(' ', "-"));
        let token = target.secrets.token(&player, "quiet");
        let (path, body) = (
            "/v1/rooms/quiet/sessions",
            json!({ "offer": OFFER, "region": "neighbours" }),
        );
        let reply = target.call(Method::POST, path, &token, &body).await?;
        ensure!(reply.status == 201, "a join beside {beside}: {reply:?}");
        if n % 3 == 0 {
            shard.beat(target).await?;
        }
    }
    Ok(())
}

pub(super) async fn polls(target: &Target) -> Result<()> {
    let shard = Shard::start(target, "neighbours-0", "neighbours").await?;
    let noise = Noise::start(target, (Who::One, POLLS), &Sent::poll());
    bystanders(target, &shard, JOINS, "polls of one player").await?;
    // Those who may wait do, and the others are told when to come back.
    ensure!(noise.stop().await > 0, "no poll was answered");
    Ok(())
}

pub(super) async fn crowd(target: &Target) -> Result<()> {
    let shard = Shard::start(target, "neighbours-2", "neighbours").await?;
    let noise = Noise::start(target, (Who::Crowd, POLLS), &Sent::poll());
    bystanders(target, &shard, JOINS, "polls of a crowd").await?;
    // On a host that keeps them none is answered yet: nobody writes.
    noise.stop().await;
    Ok(())
}

pub(super) async fn every_route(target: &Target) -> Result<()> {
    let shard = Shard::start(target, "neighbours-1", "neighbours").await?;
    let is_his = |route: &&Route| {
        matches!(route.auth, Auth::Player | Auth::Seat) && route.class != Class::Join
    };
    for route in ROUTES.iter().filter(is_his) {
        let request = Sent {
            method: route.method.parse()?,
            path: filled(route.path),
            body: route.body.map_or("", |_| "{}"),
        };
        let noise = Noise::start(target, (Who::One, REQUESTS), &request);
        let begun = noise.begun().await;
        begun.with_context(|| format!("{} was never answered", route.name))?;
        bystanders(target, &shard, JOINS_EACH, route.name).await?;
        noise.stop().await;
    }
    Ok(())
}

/// A path of a route with something for each of its parameters.
fn filled(pattern: &str) -> String {
    let segment = |segment: &str| match segment {
        "{channel}" => "room~noise~main".to_owned(),
        "{seq}" => "1".to_owned(),
        braced if braced.starts_with('{') => "noise".to_owned(),
        literal => literal.to_owned(),
    };
    let segments: Vec<String> = pattern.split('/').map(segment).collect();
    segments.join("/")
}
