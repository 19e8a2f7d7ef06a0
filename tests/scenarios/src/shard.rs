//! A relay shard as the edge sees one: heartbeats, and a control endpoint that opens what it gets.

use std::sync::{Arc, Mutex, MutexGuard};

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use wire::BootId;
use wire::control::{
    CONTROL_PATH, ControlCommand, ControlMessage, PendingCommand, SHARD_HEADER, open_pending,
    page_of, seal_players,
};
use wire::fleet::{
    Candidate, Heartbeat, HeartbeatReply, Load, ShardState, Transport, sign_heartbeat,
};
use wire::keys::ShardKeys;
use wire::moderation::RoomPlayer;
use wire::ticket::TICKET_VERSION;

use crate::http::{Reply, serve};
use crate::target::Target;
use crate::tokens::unix_ms;

/// A shard that carries nobody.
pub struct Shard {
    /// What its next heartbeat says, apart from the time.
    pub heartbeat: Heartbeat,
    keys: ShardKeys,
    inbox: Arc<Mutex<Inbox>>,
    server: JoinHandle<()>,
}

/// What the edge has told a shard.
#[derive(Debug, Default)]
struct Inbox {
    commands: Vec<ControlCommand>,
    /// It takes none of them.
    is_full: bool,
    /// It answers nobody.
    is_silent: bool,
    /// Whom it says to be in every room.
    players: Vec<RoomPlayer>,
    /// It gives the answer that it gave to the question before.
    repeats: bool,
    /// That answer, sealed.
    answer: String,
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
            sequence: 0,
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
            large: Vec::new(),
            refused: Vec::new(),
            taken: Vec::new(),
        };
        let keys = || {
            target
                .secrets
                .fleet()
                .shard_key(&heartbeat.shard, 0)
                .subkeys()
        };
        let inbox = Arc::default();
        let server = tokio::spawn(listen(listener, keys(), heartbeat.boot, Arc::clone(&inbox)));
        let keys = keys();
        let shard = Self {
            heartbeat,
            keys,
            inbox,
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
        let (reply, _) = self.send(target, |_| {}).await?;
        ensure!(reply.status == 200, "heartbeat: {reply:?}");
        reply.json()
    }

    /// Sends a heartbeat, and opens what its reply hands over. The next one says that it is taken.
    ///
    /// # Errors
    /// When the edge does not take it, or the commands are not sealed for it.
    pub async fn handed_over(&mut self, target: &Target) -> Result<Vec<ControlCommand>> {
        let (reply, sent_at_ms) = self.send(target, |_| {}).await?;
        let reply: HeartbeatReply = reply.json()?;
        let pending = match &reply.commands {
            Some(sealed) => open_pending(sealed, &self.keys, self.heartbeat.boot, sent_at_ms)?,
            None => Vec::new(),
        };
        self.heartbeat.taken = pending.iter().map(|one| one.nonce).collect();
        let command = |one: &PendingCommand| Ok(one.message().ok().context("known")?.command);
        pending.iter().map(command).collect()
    }

    /// Answers nobody any more, as if it stood still.
    pub fn fall_silent(&self) {
        self.inbox().is_silent = true;
    }

    /// Whether it takes no command that is posted.
    pub fn set_full(&self, is_full: bool) {
        self.inbox().is_full = is_full;
    }

    /// Whom it says to be in every room, in order of their numbers.
    pub fn set_players(&self, players: Vec<RoomPlayer>) {
        self.inbox().players = players;
    }

    /// Whether it gives the answer again that it gave last, whatever it is asked.
    pub fn set_repeats(&self, repeats: bool) {
        self.inbox().repeats = repeats;
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().expect("no holder of this lock panics")
    }

    /// Sends a heartbeat whose signature `spoil` may change, and says when it was sent, Unix
    /// milliseconds.
    ///
    /// # Errors
    /// When there is no reply.
    pub async fn send(
        &self,
        target: &Target,
        spoil: impl FnOnce(&mut String),
    ) -> Result<(Reply, u64)> {
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
        let reply = target.http.request(request).await?;
        Ok((reply, heartbeat.sent_at_ms))
    }

    /// What the edge has told it so far.
    pub fn commands(&self) -> Vec<ControlCommand> {
        self.inbox().commands.clone()
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn listen(listener: TcpListener, keys: ShardKeys, boot: BootId, inbox: Arc<Mutex<Inbox>>) {
    let keys = Arc::new(keys);
    let answer = move |request| {
        let (keys, inbox) = (Arc::clone(&keys), Arc::clone(&inbox));
        async move {
            let told = told(request, &keys, boot).await;
            let is_silent = inbox
                .lock()
                .expect("no holder of this lock panics")
                .is_silent;
            if is_silent {
                std::future::pending::<()>().await;
            }
            let mut inbox = inbox.lock().expect("no holder of this lock panics");
            let (status, body) = match told {
                Ok(_) if inbox.is_full => (503, String::new()),
                Ok(message) => inbox.take(message, &keys, boot),
                Err(_) => (403, String::new()),
            };
            Response::builder()
                .status(status)
                .body(Full::new(Bytes::from(body)))
        }
    };
    serve(listener, answer).await;
}

impl Inbox {
    /// Status and body of the reply to a message.
    fn take(&mut self, message: ControlMessage, keys: &ShardKeys, boot: BootId) -> (u16, String) {
        let ControlCommand::Players { after, .. } = message.command else {
            self.commands.push(message.command);
            return (202, String::new());
        };
        if !self.repeats {
            let asked = self.players.iter().filter(|one| one.participant.id > after);
            let page = page_of(asked.cloned());
            self.answer = seal_players(&page, keys, boot, message.nonce);
        }
        (200, self.answer.clone())
    }
}

async fn told(
    request: Request<Incoming>,
    keys: &ShardKeys,
    boot: BootId,
) -> Result<ControlMessage> {
    ensure!(request.uri().path() == CONTROL_PATH, "the control path");
    ensure!(request.headers().contains_key(SHARD_HEADER), "the shard");
    let body = request.into_body().collect().await?.to_bytes();
    let message = ControlMessage::open(std::str::from_utf8(&body)?, keys, boot);
    message.ok().context("sealed for this shard")
}
