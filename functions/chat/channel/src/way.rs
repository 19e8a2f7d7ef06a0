//! The way to the members of a channel, as an author's item remembers it.

use serde::{Deserialize, Serialize};
use wire::fleet::ShardRecord;
use wire::{BootId, PlayerId, RoomName, ShardId};

/// Where the members of a room are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// The shard.
    #[serde(rename = "s")]
    pub shard: ShardId,
    /// The run of it.
    #[serde(rename = "b")]
    pub boot: BootId,
    /// Key epoch, 0 to 15.
    #[serde(rename = "e")]
    pub epoch: u8,
    /// Base URL of its control endpoint.
    #[serde(rename = "u")]
    pub url: String,
    /// The room of the other player of a direct channel.
    #[serde(default, rename = "r", skip_serializing_if = "Option::is_none")]
    pub room: Option<RoomName>,
    /// Whom the author blocks, who writes to a room: the relay keeps it from them. None where they
    /// are too many to be kept here.
    #[serde(default, rename = "h", skip_serializing_if = "Option::is_none")]
    pub blocked: Option<Vec<PlayerId>>,
    /// How long it is taken to lead there, Unix milliseconds.
    #[serde(rename = "t")]
    pub until_ms: u64,
}

impl Way {
    /// To a shard, until then.
    pub fn to(record: &ShardRecord, room: Option<RoomName>, until_ms: u64) -> Self {
        let heartbeat = &record.heartbeat;
        Self {
            shard: heartbeat.shard.clone(),
            boot: heartbeat.boot,
            epoch: heartbeat.epoch,
            url: heartbeat.control_url.clone(),
            room,
            blocked: None,
            until_ms,
        }
    }
}
