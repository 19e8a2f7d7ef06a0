//! Messages from the edge to a relay's control endpoint, sealed with the shard's key.
//!
//! Losing one loses nothing: sessions that were to end time out by themselves.

use serde::{Deserialize, Serialize};

use crate::channel::EndReason;
use crate::ids::{BootId, PlayerKey, SessionId};
use crate::keys::ShardKeys;
pub use crate::seal::NotSealedForUs;
use crate::seal::{open, seal};

/// Path of the control endpoint on a relay; the request body is the sealed text.
pub const CONTROL_PATH: &str = "/v1/control";
/// Header that says which shard of the relay is meant.
pub const SHARD_HEADER: &str = "lv-shard";

/// A control message. The relay refuses one that is older or newer than
/// [`crate::limits::MAX_CLOCK_SKEW_MS`], and one whose nonce it has seen in that time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlMessage {
    /// When it was sealed, Unix milliseconds.
    pub at_ms: u64,
    /// Random, 16 hex digits.
    pub nonce: SessionId,
    /// What to do.
    pub command: ControlCommand,
}

/// What the edge may ask of a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum ControlCommand {
    /// End one session of one player. Another player's session is left alone.
    End {
        /// The session.
        session: SessionId,
        /// Whose it must be.
        player: PlayerKey,
        /// What the client is told.
        reason: EndReason,
    },
}

impl ControlMessage {
    /// Seals the message for the shard that holds `keys` and runs as `boot`.
    pub fn seal(&self, keys: &ShardKeys, boot: BootId) -> String {
        seal(&keys.control, &[b"control", &boot.0], self)
    }

    /// Opens a message; the caller checks time and nonce.
    ///
    /// # Errors
    /// [`NotSealedForUs`] when it was made for another shard or boot, or changed.
    pub fn open(sealed: &str, keys: &ShardKeys, boot: BootId) -> Result<Self, NotSealedForUs> {
        open(&keys.control, &[b"control", &boot.0], sealed)
    }
}
