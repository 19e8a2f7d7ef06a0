//! The record of a shard: what its heartbeats say, and what it has yet to be told.

use serde::{Deserialize, Serialize};
use wire::ShardId;
use wire::control::PendingCommand;
use wire::fleet::{Heartbeat, ShardRecord, ShardState};
use wire::limits::SHARD_LIVE_S;

use super::terms::Terms;
use crate::items::is_default;
use crate::stored;

/// How long a shard is remembered after its last heartbeat, in milliseconds.
pub const SHARD_TTL_MS: u64 = 10 * 60 * 1000;

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
    /// Until when it knows whose sessions end ([`super::ended`]), Unix milliseconds.
    #[serde(default, rename = "t", skip_serializing_if = "is_default")]
    pub(super) told_ms: u64,
    /// What it may say of itself, as it was when this run of it began.
    #[serde(default, rename = "m", skip_serializing_if = "Option::is_none")]
    pub(super) terms: Option<Terms>,
}

stored!(shard: StoredShard);

impl StoredShard {
    /// What is known of what the shard may say that sent `heartbeat`; none where it is to be looked
    /// up: this run of it is new, or wants more.
    pub(super) fn terms_of(&self, heartbeat: &Heartbeat) -> Option<Terms> {
        let is_same = self.record.heartbeat.boot == heartbeat.boot;
        let terms = self.terms.clone().filter(|_| is_same);
        terms.filter(|terms| terms.check(heartbeat).is_ok())
    }

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
