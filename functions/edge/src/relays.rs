//! A command on its way to a relay: sealed, posted, and what came of it.

use wire::SessionId;
use wire::control::{CONTROL_PATH, ControlCommand, ControlMessage};
use wire::fleet::Heartbeat;
use wire::keys::FleetSecret;

use crate::ports::{Clock, Entropy, RelayLink};

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

/// Tells the relay of `heartbeat` to do something.
pub async fn send<H: Clock + Entropy + RelayLink>(
    host: &H,
    secret: &FleetSecret,
    heartbeat: &Heartbeat,
    command: ControlCommand,
) -> Outcome {
    let keys = secret
        .shard_key(&heartbeat.shard, heartbeat.epoch)
        .subkeys();
    let mut nonce = SessionId([0; 8]);
    host.fill(&mut nonce.0);
    let message = ControlMessage {
        at_ms: host.now_ms(),
        nonce,
        command,
    };
    let base = heartbeat.control_url.trim_end_matches('/');
    let url = format!("{base}{CONTROL_PATH}");
    let sealed = message.seal(&keys, heartbeat.boot);
    match host.post(&url, &heartbeat.shard, sealed).await {
        Ok(status) if status < 300 => Outcome::Taken,
        Ok(_) => Outcome::Refused,
        Err(_) => Outcome::Silent,
    }
}
