//! A command on its way to a relay: sealed, posted, and what came of it. What must arrive is kept
//! until it has: the reply to the shard's next heartbeat hands it over.

use wire::control::{CONTROL_PATH, ControlCommand, ControlMessage, PendingCommand, open_players};
use wire::fleet::{Heartbeat, ShardState};
use wire::keys::{ControlKey, ControlSecret, PlayerSecret};
use wire::moderation::RoomPlayers;
use wire::problem::ProblemKind;
use wire::{BootId, PlayerId, PlayerKey, RoomKey, RoomName, SessionId, ShardId};

use crate::both::within;
use crate::directory::{self, Answer, Evidence, ShardAt, StoredHome, is_live};
use crate::ports::{Clock, Entropy, RelayInquiry, RelayLink, Timer, Unreachable, Variables};
use crate::store::Store;
use crate::{Refusal, config};

/// Where a shard takes commands, and with which key.
#[derive(Debug, Clone, Copy)]
pub struct Address<'a> {
    /// The shard.
    pub shard: &'a ShardId,
    /// The run of it.
    pub boot: BootId,
    /// Key epoch, 0 to 15.
    pub epoch: u8,
    /// Base URL of its control endpoint.
    pub url: &'a str,
}

impl<'a> From<&'a Heartbeat> for Address<'a> {
    fn from(heartbeat: &'a Heartbeat) -> Self {
        Self {
            shard: &heartbeat.shard,
            boot: heartbeat.boot,
            epoch: heartbeat.epoch,
            url: &heartbeat.control_url,
        }
    }
}

impl Address<'_> {
    /// Its control endpoint, and the key of the shard for it.
    fn control(&self, secret: &ControlSecret) -> (String, ControlKey) {
        let key = secret.key(self.shard, self.epoch & 0x0f);
        let url = format!("{}{CONTROL_PATH}", self.url.trim_end_matches('/'));
        (url, key)
    }
}

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The relay has it.
    Taken,
    /// The relay is there and did not take it.
    Refused,
    /// The relay did not answer.
    Silent,
    /// No relay carries the room.
    Unknown,
}

impl Delivery {
    /// Its name in a record.
    pub fn label(self) -> &'static str {
        match self {
            Self::Taken => "ok",
            Self::Refused => "relay-refused",
            Self::Silent => "relay-silent",
            Self::Unknown => "relay-unknown",
        }
    }
}

/// Tells a shard to do something.
pub async fn send<H: Clock + Entropy + RelayLink>(
    host: &H,
    secrets: &Secrets,
    to: Address<'_>,
    command: ControlCommand,
) -> Delivery {
    let message = message(host, host.now_ms(), command);
    post(host, secrets, to, &message).await
}

/// What commands about players are made with.
#[derive(Debug)]
pub struct Secrets {
    control: ControlSecret,
    players: PlayerSecret,
}

impl Secrets {
    /// Reads both.
    ///
    /// # Errors
    /// `misconfigured`, or `store-unavailable` for a moment.
    pub async fn read<V: Variables>(variables: &V) -> Result<Self, Refusal> {
        Ok(Self {
            control: config::control_secret(variables).await?,
            players: config::player_secret(variables).await?,
        })
    }

    /// Of these.
    pub fn new(control: ControlSecret, players: PlayerSecret) -> Self {
        Self { control, players }
    }

    /// How a shard with keys of an epoch knows a player.
    pub fn player_key(&self, player: &PlayerId, epoch: u8) -> PlayerKey {
        self.players.player_key(player, epoch & 0x0f)
    }
}

/// A command, made for one shard: it knows players by keys of its own.
pub type Made<'a> = &'a dyn Fn(&dyn Fn(&PlayerId) -> PlayerKey) -> ControlCommand;

/// Tells the relay of a room to do something at a moment, and keeps it for that relay unless it has
/// it for certain. Those that the room has left a short while ago are told as well: one that was
/// cut off may still carry some of its participants, and is told as soon as it is heard of. What
/// became of it is said of the room's own.
///
/// # Errors
/// `overloaded` when too much is kept for that relay; `conflict`; `store-unavailable`.
pub async fn tell<H, S>(
    host: &H,
    store: &S,
    secrets: &Secrets,
    room: &RoomName,
    (at_ms, command): (u64, Made<'_>),
) -> Result<Delivery, Refusal>
where
    H: Clock + Entropy + RelayLink + Timer,
    S: Store,
{
    match directory::stored_home(store, at_ms, room).await? {
        Some(home) => deliver(host, store, secrets, &home, (at_ms, command)).await,
        None => Ok(Delivery::Unknown),
    }
}

/// As [`tell`], of a room with this home.
pub(crate) async fn deliver<H, S>(
    host: &H,
    store: &S,
    secrets: &Secrets,
    home: &StoredHome,
    command: (u64, Made<'_>),
) -> Result<Delivery, Refusal>
where
    H: Clock + Entropy + RelayLink + Timer,
    S: Store,
{
    let mut first = None;
    for shard in home.carriers() {
        let delivery = deliver_to(host, store, secrets, shard, command).await?;
        first.get_or_insert(delivery);
    }
    Ok(first.unwrap_or(Delivery::Unknown))
}

async fn deliver_to<H, S>(
    host: &H,
    store: &S,
    secrets: &Secrets,
    at: ShardAt<'_>,
    (at_ms, command): (u64, Made<'_>),
) -> Result<Delivery, Refusal>
where
    H: Clock + Entropy + RelayLink + Timer,
    S: Store,
{
    let now_ms = host.now_ms();
    let Some(shard) = directory::last_seen(store, now_ms, at).await? else {
        return Ok(Delivery::Unknown);
    };
    let to = &shard.heartbeat;
    let key = |player: &PlayerId| secrets.player_key(player, to.epoch);
    let message = message(host, at_ms, command(&key));
    let delivery = match is_live(&shard, now_ms) {
        true => post(host, secrets, to.into(), &message).await,
        false => Delivery::Silent,
    };
    if delivery != Delivery::Taken {
        let pending = PendingCommand::from(&message);
        directory::keep_pending(host, store, host.now_ms(), (at, to.boot), &pending).await?;
    }
    Ok(delivery)
}

/// Who is in a room's voice now, those with numbers above `after`, as its relay says. Nobody is in
/// a room without a home, nor where its relay is forgotten or has said farewell. Reads two items
/// where the relay lives, and writes none. A relay that the room has just left is not asked.
///
/// # Errors
/// `no-live-relay` when the relay is silent or what it says is not its answer to this question;
/// `command-unknown` when it is of a release that knows no questions; `overloaded` when others ask
/// it; `store-unavailable`.
pub async fn players<H, S>(
    host: &H,
    store: &S,
    secret: &ControlSecret,
    room: &RoomName,
    after: u32,
) -> Result<RoomPlayers, Refusal>
where
    H: Clock + Entropy + RelayInquiry,
    S: Store,
{
    let now_ms = host.now_ms();
    let home = directory::stored_home(store, now_ms, room).await?;
    let shard = match home.as_ref().and_then(|home| home.carriers().next()) {
        Some(at) => directory::last_seen(store, now_ms, at).await?,
        None => None,
    };
    let said_farewell = |heartbeat: &Heartbeat| heartbeat.state == ShardState::Stopping;
    let Some(shard) = shard.filter(|shard| !said_farewell(&shard.heartbeat)) else {
        return Ok(RoomPlayers::default());
    };
    if !is_live(&shard, now_ms) {
        return Err(silent());
    }
    let room = RoomKey::of(room);
    let question = message(host, now_ms, ControlCommand::Players { room, after });
    ask(host, secret, (&shard.heartbeat).into(), &question).await
}

/// How long a shard that may be gone is waited for, in milliseconds. One that is well answers in a
/// few, and meanwhile a player hears nothing.
const ANSWER_WITHIN_MS: u64 = 700;

/// Asks shards whether they are there, and knows which one its player has lost.
#[derive(Debug)]
pub struct Inquiry<'a, H> {
    /// By which they are reached.
    pub host: &'a H,
    /// See [`Evidence::lost`].
    pub lost: Option<&'a ShardId>,
}

impl<H: Clock + Entropy + RelayInquiry + Timer + Variables> Evidence for Inquiry<'_, H> {
    fn lost(&self) -> Option<&ShardId> {
        self.lost
    }

    async fn ask(&self, shard: &Heartbeat, room: &RoomName) -> Answer {
        let Ok(secret) = config::control_secret(self.host).await else {
            return Answer::NotAsked;
        };
        let nobody = ControlCommand::Players {
            room: RoomKey::of(room),
            after: u32::MAX,
        };
        let question = message(self.host, self.host.now_ms(), nobody);
        let asked = ask(self.host, &secret, shard.into(), &question);
        match within(self.host, ANSWER_WITHIN_MS, asked).await {
            Some(Ok(_)) => Answer::Here,
            // It says so itself.
            Some(Err(refusal)) if is_said_by_it(refusal.kind) => Answer::Here,
            Some(Err(_)) | None => Answer::Silent,
        }
    }
}

fn is_said_by_it(kind: ProblemKind) -> bool {
    matches!(kind, ProblemKind::CommandUnknown | ProblemKind::Overloaded)
}

async fn ask<H: RelayInquiry>(
    host: &H,
    secret: &ControlSecret,
    to: Address<'_>,
    question: &ControlMessage,
) -> Result<RoomPlayers, Refusal> {
    let (url, key) = to.control(secret);
    let sealed = question.seal(&key, to.boot);
    let reply = host.inquire(&url, to.shard, sealed).await;
    let reply = reply.map_err(|Unreachable| silent())?;
    let unknown = ProblemKind::CommandUnknown;
    match reply.status {
        200 => {}
        status if status == unknown.status() => {
            let detail = "The room's relay is of an earlier release: ask when it is replaced.";
            return Err(Refusal::new(unknown, detail));
        }
        status if status == ProblemKind::Overloaded.status() => {
            let detail = "Others ask the room's relay at this moment: ask again in another.";
            return Err(Refusal::new(ProblemKind::Overloaded, detail));
        }
        _ => return Err(silent()),
    }
    let sealed = std::str::from_utf8(&reply.body).map_err(|_| silent())?;
    open_players(sealed, &key, to.boot, question.nonce).map_err(|_| silent())
}

fn silent() -> Refusal {
    let detail = "The room's relay does not answer: ask again in a moment.";
    Refusal::new(ProblemKind::NoLiveRelay, detail)
}

fn message<H: Entropy>(host: &H, at_ms: u64, command: ControlCommand) -> ControlMessage {
    let mut nonce = SessionId([0; 8]);
    host.fill(&mut nonce.0);
    ControlMessage {
        at_ms,
        nonce,
        command,
    }
}

async fn post<H: RelayLink>(
    host: &H,
    secrets: &Secrets,
    to: Address<'_>,
    message: &ControlMessage,
) -> Delivery {
    let (url, key) = to.control(&secrets.control);
    let sealed = message.seal(&key, to.boot);
    match host.post(&url, to.shard, sealed).await {
        Ok(status) if status < 300 => Delivery::Taken,
        Ok(_) => Delivery::Refused,
        Err(_) => Delivery::Silent,
    }
}
