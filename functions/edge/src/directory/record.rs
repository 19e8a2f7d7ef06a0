//! The record of a shard: what its heartbeats say, and what it has yet to be told.

use serde::{Deserialize, Serialize};
use wire::ShardId;
use wire::control::PendingCommand;
use wire::fleet::{Heartbeat, ShardRecord, ShardState};
use wire::limits::SHARD_LIVE_S;

use crate::stored;

/// A shard as the store keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct StoredShard {
    pub(super) record: ShardRecord,
    /// The placement counter of its bucket at the last heartbeat: what was placed since then is
    /// not yet in the heartbeat's load.
    pub(super) placed_before: i64,
    /// When the index entries expire.
    pub(super) indexed_until_ms: u64,
    /// What this run of the shard has yet to be told, oldest first, at most
    /// [`wire::limits::MAX_PENDING_COMMANDS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) pending: Vec<PendingCommand>,
}

stored!(shard: StoredShard);

impl StoredShard {
    /// What is left to tell the shard that sent `heartbeat`: another run of it has nobody whom a
    /// command could be about, and whoever comes brings what holds against him along.
    pub(super) fn pending_after(&self, heartbeat: &Heartbeat) -> Vec<PendingCommand> {
        let is_same = self.record.heartbeat.boot == heartbeat.boot;
        let waits =
            |command: &&PendingCommand| is_same && !heartbeat.taken.contains(&command.nonce);
        self.pending.iter().filter(waits).cloned().collect()
    }
}

pub(super) fn shard_partition(shard: &ShardId) -> String {
    format!("shard#{shard}")
}

pub(super) fn record_sort(shard: &ShardId) -> String {
    format!("{shard}#shard")
}

/// Whether the shard's last heartbeat is younger than ten seconds and it is not stopping.
pub fn is_live(record: &ShardRecord, now_ms: u64) -> bool {
    now_ms.saturating_sub(record.seen_at_ms) < SHARD_LIVE_S * 1000
        && record.heartbeat.state != ShardState::Stopping
}
