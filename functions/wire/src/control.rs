//! Messages from the edge to a relay's control endpoint, sealed with the shard's key.
//!
//! Losing one loses nothing: sessions that were to end time out by themselves, and pushed messages
//! have a number by which a client notices that it missed one.

use serde::{Deserialize, Serialize};

use crate::channel::EndReason;
use crate::ids::{BootId, ChannelKey, PlayerKey, RoomKey, SessionId, TopicKey};
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
    /// Hand a message to participants over the data channel, as it is. One who has let too much
    /// pile up does not get it.
    Push {
        /// To whom.
        to: PushTarget,
        /// A [`crate::channel::RelayMessage`] as JSON, at most
        /// [`crate::limits::MAX_MESSAGE_BYTES`] long.
        message: String,
    },
}

/// Who gets a pushed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "who", rename_all = "kebab-case")]
pub enum PushTarget {
    /// Everybody in a room.
    Room {
        /// The room.
        room: RoomKey,
    },
    /// Everybody in a channel of a room.
    Channel {
        /// The room.
        room: RoomKey,
        /// The channel.
        channel: ChannelKey,
    },
    /// One player in a room.
    Player {
        /// The room.
        room: RoomKey,
        /// The player.
        player: PlayerKey,
    },
    /// Every participant of the shard who has subscribed to a topic.
    Topic {
        /// The topic.
        topic: TopicKey,
    },
    /// Every participant of the shard who reads the world channel of its region: what relays
    /// understand that read tickets of version 1 alone.
    World,
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
