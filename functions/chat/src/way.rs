//! The way to the members of a channel, as an author's item remembers it.

use serde::{Deserialize, Serialize};
use wire::fleet::ShardRecord;
use wire::{BootId, RoomName, ShardId};

/// Where the members of a room are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Way {
    #[serde(rename = "s")]
    pub(crate) shard: ShardId,
    #[serde(rename = "b")]
    pub(crate) boot: BootId,
    #[serde(rename = "e")]
    pub(crate) epoch: u8,
    #[serde(rename = "u")]
    pub(crate) url: String,
    /// Of the other player of a direct channel.
    #[serde(default, rename = "r", skip_serializing_if = "Option::is_none")]
    pub(crate) room: Option<RoomName>,
    /// Unix milliseconds.
    #[serde(rename = "t")]
    pub(crate) until_ms: u64,
}

impl Way {
    /// To a shard, until then.
    pub(crate) fn to(record: &ShardRecord, room: Option<RoomName>, until_ms: u64) -> Self {
        let heartbeat = &record.heartbeat;
        Self {
            shard: heartbeat.shard.clone(),
            boot: heartbeat.boot,
            epoch: heartbeat.epoch,
            url: heartbeat.control_url.clone(),
            room,
            until_ms,
        }
    }
}
