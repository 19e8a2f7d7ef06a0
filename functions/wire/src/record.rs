//! Records that cost is computed from: one per invocation, one per room and minute of a relay.
//! They hold no id of a player, no token, no address and no body.

use serde::{Deserialize, Serialize};

use crate::ids::{RoomKey, ShardId};

/// Response header in which a function hands its share of the record to its host, as JSON of
/// [`FunctionShare`]. A host that knows it removes it from the reply.
pub const SHARE_HEADER: &str = "lv-record";

/// What a function knows of its own invocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionShare {
    /// Name of the route, such as `join`; never the path itself.
    pub route: String,
    /// What came of it: `ok`, the problem's name, or for a success worth telling apart a word of
    /// the route (`relay-silent`).
    pub outcome: String,
    /// Items read from the store.
    pub store_reads: u32,
    /// Items written to the store.
    pub store_writes: u32,
    /// Read units as DynamoDB bills them: 4 kB of a get or of a whole query, strongly consistent.
    #[serde(default)]
    pub store_read_units: u32,
    /// Write units as DynamoDB bills them: 1 kB of an item, twice in a transaction.
    #[serde(default)]
    pub store_write_units: u32,
}

/// One invocation of one function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvocationRecord {
    /// Always `invocation`.
    pub kind: InvocationKind,
    /// When it began, Unix milliseconds.
    pub at_ms: u64,
    /// Name of the component or Lambda function.
    pub function: String,
    /// As in [`FunctionShare`]; `unknown` when the function did not say.
    pub route: String,
    /// `edge-host`, `spin` or `lambda`.
    pub host: String,
    /// HTTP method.
    pub method: String,
    /// HTTP status of the reply.
    pub status: u16,
    /// As in [`FunctionShare`]; `unknown` when the function did not say.
    pub outcome: String,
    /// From the whole request to the reply's last byte handed over, microseconds.
    pub duration_us: u64,
    /// Wasm fuel used; 0 where there is none.
    pub fuel: u64,
    /// Largest linear memory, bytes.
    pub peak_memory_bytes: u64,
    /// As in [`FunctionShare`].
    pub store_reads: u32,
    /// As in [`FunctionShare`].
    pub store_writes: u32,
    /// As in [`FunctionShare`]; 0 when the function did not say.
    #[serde(default)]
    pub store_read_units: u32,
    /// As in [`FunctionShare`]; 0 when the function did not say.
    #[serde(default)]
    pub store_write_units: u32,
    /// Request body, bytes.
    pub bytes_in: u64,
    /// Reply body, bytes.
    pub bytes_out: u64,
    /// What the function logged, bytes.
    pub log_bytes: u64,
}

/// Tag of [`InvocationRecord`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InvocationKind {
    /// The only value.
    Invocation,
}

/// What one room used of one shard in one minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRecord {
    /// Always `usage`.
    pub kind: UsageKind,
    /// Start of the minute, Unix milliseconds.
    pub minute_ms: u64,
    /// The shard.
    pub shard: ShardId,
    /// The room, as relays know it.
    pub room: RoomKey,
    /// Participants times the time that each was there, milliseconds.
    pub participant_ms: u64,
    /// Voice received, milliseconds.
    pub talk_ms: u64,
    /// Media packets sent to listeners.
    pub packets_out: u64,
    /// Bytes of their UDP payloads.
    pub bytes_out: u64,
}

/// Tag of [`UsageRecord`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UsageKind {
    /// The only value.
    Usage,
}
