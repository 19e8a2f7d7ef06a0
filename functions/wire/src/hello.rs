//! The hello: what a relay should know of a participant and a ticket has no room for. The edge
//! seals it, the join reply carries it, and the client sends it first on the data channel.

use serde::{Deserialize, Serialize};

use crate::ids::{BootId, ChannelName, PlayerId, PlayerKey, RoomName, SessionId, TopicKey};
use crate::keys::AdmissionKeys;
pub use crate::seal::NotSealedForUs;
use crate::seal::{open, seal};

/// The content of a hello.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The session that it belongs to; a relay refuses it on any other.
    pub session: SessionId,
    /// The full player id, shown to others in the roster.
    pub player: PlayerId,
    /// Display name; the player id when the token had none.
    pub name: String,
    /// The room's name.
    pub room: RoomName,
    /// Every channel of the session, the ticket's first.
    pub channels: Vec<ChannelGrant>,
    /// Whether the participant reads the world channel of the shard's region. For relays that read
    /// version 1 alone; the others are told by `topics`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub world: bool,
    /// What he has subscribed to beyond his channels, at most
    /// [`crate::limits::MAX_TOPICS`]. Version 2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<TopicKey>,
    /// Until when the game's server or a moderator has silenced him, Unix milliseconds. Without it
    /// what the ticket says holds for the whole session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted_until_ms: Option<u64>,
    /// Until when the token is good by which he joined, Unix milliseconds: the session ends then.
    /// Where a release of before does not say it, it lasts a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// Those whom he has blocked, at most [`crate::limits::MAX_HELLO_BLOCKS`]: the newest ones.
    /// Neither hears the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocked: Vec<PlayerKey>,
    /// What he plays on, as tokens spell it; relays compare it and nothing else, so that a new one
    /// needs no new relay. Empty where it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub platform: String,
    /// He talks with players of his own platform alone, and they with him.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub one_platform: bool,
    /// When it was sealed, Unix milliseconds: of two hellos of a session the later one counts, and
    /// none twice. 0 in version 1, whose sessions have one.
    #[serde(default)]
    pub issued_at_ms: u64,
}

/// One channel of a hello.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelGrant {
    /// The channel's name.
    pub channel: ChannelName,
    /// The bits of [`crate::ticket::Permissions`].
    pub permissions: u8,
}

impl Hello {
    /// Seals the hello for the shard that holds `keys` and runs as `boot`.
    pub fn seal(&self, keys: &impl AsRef<AdmissionKeys>, boot: BootId) -> String {
        seal(&keys.as_ref().hello, &[b"hello", &boot.0], self)
    }

    /// Opens a hello.
    ///
    /// # Errors
    /// [`NotSealedForUs`] when it was made for another shard or boot, or changed.
    pub fn open(
        sealed: &str,
        keys: &impl AsRef<AdmissionKeys>,
        boot: BootId,
    ) -> Result<Self, NotSealedForUs> {
        open(&keys.as_ref().hello, &[b"hello", &boot.0], sealed)
    }
}
