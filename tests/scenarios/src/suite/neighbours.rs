//! One player who asks for as much as he can, beside others who join and a relay that lives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use hyper::Method;
use hyper::body::Bytes;
use serde_json::json;
use tokio::task::JoinSet;
use wire::routes::{Auth, Class, JSON, ROUTES, Route};

use crate::requests::OFFER;
use crate::shard::Shard;
use crate::target::Target;

/// Polls at once: more than a host has instances in all.
const POLLS: usize = 140;
/// Requests of any other route at once.
const REQUESTS: usize = 24;
/// Joins of others beside the polls, and beside each other route.
const JOINS: usize = 40;
const JOINS_EACH: usize = 3;

/// A player who sends one request again and again, over many connections.
struct Noise {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    requests: JoinSet<()>,
}

impl Noise {
    fn start(target: &Target, at_once: usize, method: &Method, path: &str, body: &str) -> Self {
        // Whom the host trusts to ask as often as he likes, so that the lanes are what holds.
        let token = target.secrets.server_token("noise", "noise");
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let mut requests = JoinSet::new();
        for _ in 0..at_once {
            let (http, url) = (target.http.clone(), target.url(path));
            let (method, token) = (method.clone(), token.clone());
            let (stop, answered) = (stop.clone(), answered.clone());
            let body = Bytes::from(body.to_owned());
            let media_type = if body.is_empty() { "" } else { JSON };
            requests.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let sent = http.send(method.clone(), &url, &token, media_type, body.clone());
                    // Whatever he is told: refusals are for him.
                    if sent.await.is_ok() {
                        answered.fetch_add(1, Ordering::Relaxed);
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

    /// Ends it, and says how many requests were answered.
    async fn stop(mut self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.requests.shutdown().await;
        self.answered.load(Ordering::Relaxed)
    }
}

/// Others join, and the relay says that it lives.
async fn bystanders(target: &Target, shard: &Shard, joins: usize, beside: &str) -> Result<()> {
    for n in 0..joins {
        let token = target.secrets.token(&format!("quiet-{n}"), "quiet");
        let (path, body) = ("/v1/rooms/quiet/sessions", json!({ "offer": OFFER }));
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
    let path = "/v1/chat/channels/room~noise~main/messages?after=0&wait=20";
    let noise = Noise::start(target, POLLS, &Method::GET, path, "");
    bystanders(target, &shard, JOINS, "polls").await?;
    // Nothing was written: those who wait do, and the others are told when to come back.
    noise.stop().await;
    Ok(())
}

pub(super) async fn every_route(target: &Target) -> Result<()> {
    let shard = Shard::start(target, "neighbours-1", "neighbours").await?;
    let is_his = |route: &&Route| route.auth == Auth::Player && route.class != Class::Join;
    for route in ROUTES.iter().filter(is_his) {
        let (method, path) = (route.method.parse()?, filled(route.path));
        let body = route.body.map_or("", |_| "{}");
        let noise = Noise::start(target, REQUESTS, &method, &path, body);
        bystanders(target, &shard, JOINS_EACH, route.name).await?;
        let answered = noise.stop().await;
        ensure!(answered > 0, "{} was never answered", route.name);
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
