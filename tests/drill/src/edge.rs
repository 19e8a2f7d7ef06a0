//! The edge as callers use it: a token, and one request to join.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use client::{Cause, Refusal};
use edge::config::DEFAULT_AUDIENCE;
use edge::token::{SigningKey, sign};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::process::Command;
use wire::ShardId;
use wire::claims::{Claims, Grant, Permission};
use wire::join::{JoinReply, JoinRequest};
use wire::problem::{Problem, TYPE_BASE};

use crate::now;

/// Longest reply that is read: an answer with sixteen slots has a tenth of it.
const REPLY_BYTES_MAX: usize = 256 * 1024;
/// Lifetime of a token that is signed here.
const TOKEN_S: u64 = 3600;
/// A token is used for this long.
const TOKEN_USED: Duration = Duration::from_secs(20 * 60);

/// Where tokens of players come from.
pub enum Tokens {
    /// They are signed here.
    Key {
        /// The key.
        key: Box<SigningKey>,
        /// Its name in the edge's `token_keys`.
        id: String,
    },
    /// A command of the operator prints one; `{player}` and `{room}` in it say for whom and what.
    Command(String),
}

/// An edge. Clones are of the same one.
#[derive(Clone)]
pub struct Edge {
    shared: Arc<Shared>,
}

struct Shared {
    base: String,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    tokens: Tokens,
    used: Mutex<HashMap<(String, String), (Instant, String)>>,
}

/// A reply of the edge, read to its end.
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Edge {
    /// The edge at `url`, http or https, by certificates that this machine trusts.
    ///
    /// # Errors
    /// When the address is none, or this machine trusts nobody.
    pub fn new(url: &str, tokens: Tokens) -> Result<Self> {
        let base = url.trim_end_matches('/').to_owned();
        let is_http = base.starts_with("http://") || base.starts_with("https://");
        ensure!(is_http, "--edge takes http://HOST[:PORT] or https://HOST");
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.enforce_http(false);
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(provider)
            .context("no certificates that this machine trusts; set SSL_CERT_FILE")?
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        Ok(Self {
            shared: Arc::new(Shared {
                base,
                client: Client::builder(TokioExecutor::new()).build(connector),
                tokens,
                used: Mutex::default(),
            }),
        })
    }

    /// Its base address.
    pub fn url(&self) -> &str {
        &self.shared.base
    }

    /// Sees to it that `player` has a token for `room` that is not about to be replaced: a fault is
    /// not to be longer by the time in which a token is made.
    ///
    /// # Errors
    /// When the command for tokens fails.
    pub async fn prepare(&self, player: &str, room: &str) -> Result<()> {
        let token = self.shared.token(player, room).await?;
        let who = (player.to_owned(), room.to_owned());
        self.shared.used().insert(who, (now(), token));
        Ok(())
    }

    /// Whether tokens of [`Edge::prepare`] are to be made anew before the next fault.
    pub fn is_due(&self) -> bool {
        let oldest = self.shared.used().values().map(|(at, _)| *at).min();
        oldest.is_some_and(|at| now() > at + TOKEN_USED)
    }

    /// Joins `room` as `player`, with an offer of the client's and the relay that it has just lost.
    ///
    /// # Errors
    /// Why there is no answer to connect by, as the client's schedule takes it.
    pub async fn join(
        &self,
        player: &str,
        room: &str,
        (offer, lost): (String, Option<ShardId>),
    ) -> Result<JoinReply, Cause> {
        let request = JoinRequest {
            offer,
            channels: None,
            region: None,
            lost,
        };
        let body = serde_json::to_vec(&request).map_err(|_| Cause::Network)?;
        let path = format!("/v1/rooms/{room}/sessions");
        let reply = self.send(Method::POST, &path, (player, room), body).await;
        let reply = reply.map_err(|_| Cause::Network)?;
        if reply.status != StatusCode::CREATED {
            return Err(Cause::Refused(reply.refusal()));
        }
        serde_json::from_slice(&reply.body).map_err(|_| Cause::BadReply)
    }

    /// Sends a request with the token of a player for a room.
    ///
    /// # Errors
    /// When there is no token or no reply.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        (player, room): (&str, &str),
        body: Vec<u8>,
    ) -> Result<Reply> {
        let who = (player.to_owned(), room.to_owned());
        let known = self.shared.used().get(&who).map(|(_, token)| token.clone());
        let token = match known {
            Some(token) => token,
            None => self.shared.token(player, room).await?,
        };
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.shared.base))
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body.into()))?;
        let (head, body) = self.shared.client.request(request).await?.into_parts();
        let body = Limited::new(body, REPLY_BYTES_MAX).collect().await;
        Ok(Reply {
            status: head.status,
            headers: head.headers,
            body: body.map_err(|error| anyhow::anyhow!(error))?.to_bytes(),
        })
    }
}

impl Reply {
    fn refusal(&self) -> Refusal {
        let problem = serde_json::from_slice::<Problem>(&self.body).ok();
        let name = problem.and_then(|it| Some(it.type_uri.strip_prefix(TYPE_BASE)?.to_owned()));
        let after = self.headers.get(RETRY_AFTER);
        let seconds = after.and_then(|it| it.to_str().ok()?.parse().ok());
        Refusal {
            status: self.status.as_u16(),
            problem: name.unwrap_or_default(),
            retry_after: seconds.map(Duration::from_secs),
        }
    }
}

impl Shared {
    fn used(&self) -> std::sync::MutexGuard<'_, HashMap<(String, String), (Instant, String)>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn token(&self, player: &str, room: &str) -> Result<String> {
        match &self.tokens {
            Tokens::Key { key, id } => Ok(sign(&claims(player, room)?, key, id)),
            Tokens::Command(template) => {
                let line = template.replace("{player}", player).replace("{room}", room);
                let ran = Command::new("sh").args(["-c", &line]).output().await?;
                let token = String::from_utf8_lossy(&ran.stdout).trim().to_owned();
                if !ran.status.success() || token.is_empty() {
                    let told = String::from_utf8_lossy(&ran.stderr);
                    bail!("--token-command made no token ({}): {told}", ran.status);
                }
                Ok(token)
            }
        }
    }
}

/// What lets a caller speak, listen and write in his room.
fn claims(player: &str, room: &str) -> Result<Claims> {
    Ok(Claims {
        sub: player.parse()?,
        aud: DEFAULT_AUDIENCE.to_owned(),
        exp: scenarios::tokens::unix_ms() / 1000 + TOKEN_S,
        nbf: None,
        iat: None,
        name: None,
        profile: wire::claims::Profile::default(),
        role: None,
        grants: vec![Grant {
            room: room.to_owned(),
            channels: vec!["*".to_owned()],
            permissions: vec![Permission::Speak, Permission::Listen, Permission::Chat],
        }],
    })
}
