//! Usage on its way from relays to those who bill it: batches, and what the edge says of one.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::ids::{BootId, RegionName, RoomKey, ShardId};
use crate::json::is_default;
use crate::record::{ListenerQuality, USAGE_FORM, UsageKind, UsageRecord, VoiceMode};

/// Length of a minute, to which records belong, in milliseconds.
pub const MINUTE_MS: u64 = 60_000;

/// Records of one run of a shard, in order. Its body is signed as a heartbeat's
/// ([`crate::fleet::sign_heartbeat`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UsageBatch {
    /// The shard.
    pub shard: ShardId,
    /// The run that the records are of, which may be an earlier one.
    pub boot: BootId,
    /// Key epoch of the signature, 0 to 15.
    #[cfg_attr(feature = "schema", schemars(range(max = 15)))]
    pub epoch: u8,
    /// Where the shard was in that run.
    pub region: RegionName,
    /// At least one, by rising sequence, and as many as fit into a body.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub records: Vec<RoomUsage>,
}

/// What a room used in one minute, or in a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RoomUsage {
    /// Which record of the run it is, from 1.
    #[serde(rename = "seq")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub sequence: u64,
    /// Start of the minute, Unix milliseconds.
    pub minute_ms: u64,
    /// The room, as relays know it.
    pub room: RoomKey,
    /// How listeners got what they heard.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: VoiceMode,
    /// As in [`UsageRecord`], and so are those that follow.
    #[serde(default, skip_serializing_if = "is_default")]
    pub participant_ms: u64,
    /// Voice received, milliseconds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub talk_ms: u64,
    /// Datagrams of voice received.
    #[serde(default, skip_serializing_if = "is_default")]
    pub packets_in: u64,
    /// Bytes of them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub bytes_in: u64,
    /// Datagrams sent to participants.
    #[serde(default, skip_serializing_if = "is_default")]
    pub packets_out: u64,
    /// Bytes of them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub bytes_out: u64,
    /// Frames mixed for listeners.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mixed_frames: u64,
    /// The room's share of the shard's CPU time, microseconds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cpu_us: u64,
    /// How well listeners heard; none where nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<ListenerQuality>,
}

impl RoomUsage {
    /// Adds what the same room used in another part of the same minute. A sum that is too large
    /// stays at what there is room for.
    pub fn add(&mut self, more: &Self) {
        debug_assert_eq!((self.room, self.minute_ms), (more.room, more.minute_ms));
        for (sum, more) in [
            (&mut self.participant_ms, more.participant_ms),
            (&mut self.talk_ms, more.talk_ms),
            (&mut self.packets_in, more.packets_in),
            (&mut self.bytes_in, more.bytes_in),
            (&mut self.packets_out, more.packets_out),
            (&mut self.bytes_out, more.bytes_out),
            (&mut self.mixed_frames, more.mixed_frames),
            (&mut self.cpu_us, more.cpu_us),
        ] {
            *sum = sum.saturating_add(more);
        }
        if let Some(more) = more.quality {
            let quality = self.quality.get_or_insert_default();
            quality.reports = quality.reports.saturating_add(more.reports);
            quality.rating_sum = quality.rating_sum.saturating_add(more.rating_sum);
        }
    }

    /// The record of it, of a shard in a region.
    pub fn record(&self, shard: &ShardId, boot: BootId, region: &RegionName) -> UsageRecord {
        UsageRecord {
            kind: UsageKind::Usage,
            form: USAGE_FORM,
            minute_ms: self.minute_ms,
            shard: shard.clone(),
            boot: Some(boot),
            sequence: self.sequence,
            room: self.room,
            region: region.as_str().to_owned(),
            mode: self.mode,
            participant_ms: self.participant_ms,
            talk_ms: self.talk_ms,
            packets_in: self.packets_in,
            bytes_in: self.bytes_in,
            packets_out: self.packets_out,
            bytes_out: self.bytes_out,
            mixed_frames: self.mixed_frames,
            cpu_us: self.cpu_us,
            quality: self.quality,
        }
    }
}

impl UsageBatch {
    /// The records, a line of JSON each: what is kept of the batch. The same whichever key signed
    /// it.
    pub fn lines(&self) -> String {
        let line = |one: &RoomUsage| {
            let record = one.record(&self.shard, self.boot, &self.region);
            serde_json::to_string(&record).expect("a record has string keys only") + "\n"
        };
        self.records.iter().map(line).collect()
    }

    /// A digest of the lines, in hex.
    pub fn digest(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(self.lines())[..DIGEST_BYTES])
    }
}

/// Bytes of SHA-256 by which a batch is told from others.
const DIGEST_BYTES: usize = 16;

/// Reply to a batch that counts, now or since before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UsageReceipt {
    /// Its lowest sequence.
    pub first: u64,
    /// Its highest.
    pub last: u64,
    /// Whether it counts since this request; else it did before, and nothing was added.
    pub is_new: bool,
}
