//! The record of a shard: what its heartbeats say, and what it has yet to be told.

use serde::{Deserialize, Serialize};
use wire::control::PendingCommand;
use wire::fleet::{Heartbeat, ShardRecord, ShardState};
use wire::json::is_default;
use wire::limits::{MAX_CLOCK_SKEW_MS, SHARD_LIVE_S};
use wire::{BootId, ShardId};

use super::terms::Terms;
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
    /// Runs of the shard that are over, the last one last: a heartbeat of theirs is late.
    #[serde(default, rename = "o", skip_serializing_if = "Vec::is_empty")]
    pub(super) over: Vec<PastRun>,
    /// Until when the shard is told which rooms moved away ([`super::moved`]), Unix milliseconds.
    #[serde(default, rename = "f", skip_serializing_if = "is_default")]
    pub(super) told_moves_until_ms: u64,
    /// The last room of the last page of them.
    #[serde(default, rename = "a", skip_serializing_if = "String::is_empty")]
    pub(super) told_moves_to: String,
}

/// A run of a shard that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PastRun {
    #[serde(rename = "b")]
    boot: BootId,
    /// When another one began, Unix milliseconds.
    #[serde(rename = "u")]
    until_ms: u64,
}

/// How a heartbeat stands to the one that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// It is the later one.
    Later,
    /// It was overtaken, or came twice.
    NotLater,
    /// It is of a run of the shard that is over.
    Over,
}

/// How long a run that is over is remembered: longer than a heartbeat of it is let in, clocks
/// being apart.
const OVER_KEPT_MS: u64 = 4 * MAX_CLOCK_SKEW_MS;
/// Most of them: a relay that starts anew each two seconds, and no two of one moment.
const MAX_OVER: usize = (OVER_KEPT_MS / 2_000) as usize;

stored!(shard: StoredShard);

impl StoredShard {
    /// Which of two heartbeats is the later one: by what their run counted, whatever clocks say. A
    /// run that lives is not ended by one with keys of an earlier epoch, which somebody else may
    /// have.
    pub(super) fn order(&self, now_ms: u64, heartbeat: &Heartbeat) -> Order {
        let known = &self.record.heartbeat;
        if known.boot != heartbeat.boot {
            let is_over = self.over.iter().any(|run| run.boot == heartbeat.boot);
            let is_earlier = heartbeat.epoch < known.epoch && is_live(&self.record, now_ms);
            return match is_over || is_earlier {
                true => Order::Over,
                false => Order::Later,
            };
        }
        let counts = known.sequence > 0 || heartbeat.sequence > 0;
        let is_later = match counts {
            true => heartbeat.sequence > known.sequence,
            false => heartbeat.sent_at_ms > known.sent_at_ms,
        };
        if is_later {
            Order::Later
        } else {
            Order::NotLater
        }
    }

    /// The runs that are over once `heartbeat` is taken.
    pub(super) fn over_after(&self, now_ms: u64, heartbeat: &Heartbeat) -> Vec<PastRun> {
        let kept = |run: &&PastRun| run.until_ms + OVER_KEPT_MS > now_ms;
        let mut over: Vec<PastRun> = self.over.iter().filter(kept).cloned().collect();
        let boot = self.record.heartbeat.boot;
        if boot != heartbeat.boot {
            over.push(PastRun {
                boot,
                until_ms: now_ms,
            });
        }
        let excess = over.len().saturating_sub(MAX_OVER);
        over.drain(..excess);
        over
    }

    /// Whether rooms may have moved away before this heartbeat, whose participants are with the
    /// shard still: nobody had heard of it for a while, or it did not answer. Or it is another run
    /// of it, to which somebody may be sent who asked just before the room moved away.
    pub(super) fn was_away(&self, now_ms: u64, heartbeat: &Heartbeat) -> bool {
        let away_ms = now_ms.abs_diff(self.record.seen_at_ms);
        let is_same = self.record.heartbeat.boot == heartbeat.boot;
        !is_same || away_ms > AWAY_MS || self.record.silent_at_ms.is_some()
    }

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

/// Whether the shard goes away, by its own word or an operator's.
pub(super) fn is_leaving(record: &ShardRecord) -> bool {
    use ShardState::{Draining, Stopping};
    record.draining || matches!(record.heartbeat.state, Draining | Stopping)
}

/// After how long without a heartbeat rooms may have moved away: less than [`SHARD_LIVE_S`], since
/// clocks of hosts differ.
const AWAY_MS: u64 = SHARD_LIVE_S * 1000 / 2;

/// Whether the shard's last heartbeat is younger than ten seconds, and it neither stops nor was
/// found silent since.
pub fn is_live(record: &ShardRecord, now_ms: u64) -> bool {
    // One from later than now was taken before the edge's clock was set back.
    let is_of_now = record.seen_at_ms <= now_ms + MAX_CLOCK_SKEW_MS;
    let is_recent = now_ms.saturating_sub(record.seen_at_ms) < SHARD_LIVE_S * 1000;
    let is_stopping = record.heartbeat.state == ShardState::Stopping;
    is_of_now && is_recent && !is_stopping && record.silent_at_ms.is_none()
}
