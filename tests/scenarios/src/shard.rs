//! A relay shard as the edge sees one: heartbeats, and a control endpoint that opens what it gets.

use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use wire::BootId;
use wire::control::{CONTROL_PATH, ControlCommand, ControlMessage, SHARD_HEADER};
use wire::fleet::{
    Candidate, Heartbeat, HeartbeatReply, Load, ShardState, Transport, sign_heartbeat,
};
use wire::keys::ShardKeys;
use wire::ticket::TICKET_VERSION;

use crate::http::{Reply, serve};
use crate::target::Target;
use crate::tokens::unix_ms;

/// A shard that carries nobody.
pub struct Shard {
    /// What its next heartbeat says, apart from the time.
    pub heartbeat: Heartbeat,
    keys: ShardKeys,
    commands: Arc<Mutex<Vec<ControlCommand>>>,
    server: JoinHandle<()>,
}

impl Shard {
    /// A shard of `region` that has sent its first heartbeat to `target`.
    ///
    /// # Errors
    /// When the edge does not take the heartbeat.
    pub async fn start(target: &Target, name: &str, region: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let heartbeat = Heartbeat {
            shard: name.parse()?,
            region: region.parse()?,
            boot: BootId([7; 8]),
            epoch: 0,
            sent_at_ms: 0,
            state: ShardState::Open,
            candidates: vec![Candidate {
                transport: Transport::Udp,
                address: "192.0.2.1:7410".parse()?,
            }],
            fingerprint: format!("sha-256 {}", ["AB"; 32].join(":")),
            control_url: format!("http://{}", listener.local_addr()?),
            ticket_version: TICKET_VERSION,
            load: Load::default(),
            capacity: 1000,
            refused: Vec::new(),
        };
        let keys = || {
            target
                .secrets
                .fleet()
                .shard_key(&heartbeat.shard, 0)
                .subkeys()
        };
        let commands = Arc::default();
        let server = tokio::spawn(listen(
            listener,
            keys(),
            heartbeat.boot,
            Arc::clone(&commands),
        ));
        let keys = keys();
        let shard = Self {
            heartbeat,
            keys,
            commands,
            server,
        };
        shard.beat(target).await?;
        Ok(shard)
    }

    /// Sends a heartbeat.
    ///
    /// # Errors
    /// When the edge does not take it.
    pub async fn beat(&self, target: &Target) -> Result<HeartbeatReply> {
        let reply = self.send(target, |_| {}).await?;
        ensure!(reply.status == 200, "heartbeat: {reply:?}");
        reply.json()
    }

    /// Sends a heartbeat whose signature `spoil` may change.
    ///
    /// # Errors
    /// When there is no reply.
    pub async fn send(&self, target: &Target, spoil: impl FnOnce(&mut String)) -> Result<Reply> {
        let heartbeat = Heartbeat {
            sent_at_ms: unix_ms(),
            ..self.heartbeat.clone()
        };
        let body = serde_json::to_vec(&heartbeat)?;
        let mut signature = sign_heartbeat(&self.keys, &body);
        spoil(&mut signature);
        let path = format!("/v1/relays/{}/heartbeat", heartbeat.shard);
        let request = Request::builder()
            .method(Method::POST)
            .uri(target.url(&path))
            .header("authorization", signature)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))?;
        target.http.request(request).await
    }

    /// What the edge has told it so far.
    pub fn commands(&self) -> Vec<ControlCommand> {
        self.commands
            .lock()
            .expect("no holder of this lock panics")
            .clone()
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn listen(
    listener: TcpListener,
    keys: ShardKeys,
    boot: BootId,
    commands: Arc<Mutex<Vec<ControlCommand>>>,
) {
    let keys = Arc::new(keys);
    let answer = move |request| {
        let (keys, commands) = (Arc::clone(&keys), Arc::clone(&commands));
        async move {
            let told = told(request, &keys, boot).await;
            let status = if told.is_ok() { 204 } else { 403 };
            let mut commands = commands.lock().expect("no holder of this lock panics");
            commands.extend(told);
            Response::builder()
                .status(status)
                .body(Full::new(Bytes::new()))
        }
    };
    serve(listener, answer).await;
}

async fn told(
    request: Request<Incoming>,
    keys: &ShardKeys,
    boot: BootId,
) -> Result<ControlCommand> {
    ensure!(request.uri().path() == CONTROL_PATH, "the control path");
    ensure!(request.headers().contains_key(SHARD_HEADER), "the shard");
    let body = request.into_body().collect().await?.to_bytes();
    let message = ControlMessage::open(std::str::from_utf8(&body)?, keys, boot);
    Ok(message.ok().context("sealed for this shard")?.command)
}
