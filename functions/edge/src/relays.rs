//! A command on its way to a relay: sealed, posted, and what came of it.

use wire::control::{CONTROL_PATH, ControlCommand, ControlMessage};
use wire::fleet::Heartbeat;
use wire::keys::ControlSecret;
use wire::{BootId, SessionId, ShardId};

use crate::ports::{Clock, Entropy, RelayLink};

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

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The relay has it.
    Taken,
    /// The relay is there and did not take it.
    Refused,
    /// The relay did not answer.
    Silent,
}

impl Outcome {
    /// Its name in a record.
    pub fn label(self) -> &'static str {
        match self {
            Self::Taken => "ok",
            Self::Refused => "relay-refused",
            Self::Silent => "relay-silent",
        }
    }
}

/// Tells a shard to do something.
pub async fn send<H: Clock + Entropy + RelayLink>(
    host: &H,
    secret: &ControlSecret,
    to: Address<'_>,
    command: ControlCommand,
) -> Outcome {
    let key = secret.key(to.shard, to.epoch & 0x0f);
    let mut nonce = SessionId([0; 8]);
    host.fill(&mut nonce.0);
    let message = ControlMessage {
        at_ms: host.now_ms(),
        nonce,
        command,
    };
    let url = format!("{}{CONTROL_PATH}", to.url.trim_end_matches('/'));
    let sealed = message.seal(&key, to.boot);
    match host.post(&url, to.shard, sealed).await {
        Ok(status) if status < 300 => Outcome::Taken,
        Ok(_) => Outcome::Refused,
        Err(_) => Outcome::Silent,
    }
}
