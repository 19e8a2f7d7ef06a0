//! Records that cost is computed from: one per invocation, one per room and minute of a relay.
//! They hold no id of a player, no token, no address and no body. A line of logs is paid for by its
//! bytes, so what is nothing is left out, and a reader takes it for nothing.

use serde::{Deserialize, Serialize};

use crate::ids::{BootId, InvocationId, RoomKey, ShardId};
use crate::json::is_default;

/// The form of the records that this code writes. Form 1 had neither this number nor an id, region,
/// build, cold start, billed time, memory or calls of the store, and longer names.
pub const RECORD_FORM: u32 = 2;

/// The form of the usage records that this code writes. Form 1 had neither boot nor sequence, nor
/// what came in, and its minute was guessed.
pub const USAGE_FORM: u32 = 2;

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
    /// Requests to the store: each is a call of DynamoDB, whatever it reads or writes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub store_calls: u32,
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

/// One invocation of one function. Two records are of the same invocation when id and beginning are
/// the same: Lambda tries a schedule again under the same id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvocationRecord {
    /// Always `invocation`.
    pub kind: InvocationKind,
    /// [`RECORD_FORM`] of its writer.
    #[serde(default = "first_form")]
    pub form: u32,
    /// Which invocation it was; none in form 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<InvocationId>,
    /// When it began, Unix milliseconds.
    pub at_ms: u64,
    /// Name of the component or Lambda function.
    pub function: String,
    /// As in [`FunctionShare`]; `unknown` when the function did not say.
    pub route: String,
    /// `edge-host`, `spin` or `lambda`.
    pub host: String,
    /// Region of the host as its provider calls it; empty when the host does not know.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub region: String,
    /// What ran: the version of the Lambda function, or the first 8 hex digits of the component's
    /// SHA-256.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub build: String,
    /// HTTP method.
    pub method: String,
    /// HTTP status of the reply.
    pub status: u16,
    /// As in [`FunctionShare`]; `unknown` when the function did not say. `ok` is left out.
    #[serde(default = "ok", skip_serializing_if = "is_ok")]
    pub outcome: String,
    /// Whether a process was started for it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cold: bool,
    /// From the whole request to the reply's last byte handed over, microseconds.
    pub duration_us: u64,
    /// What Lambda bills where it is not the duration rounded up, milliseconds: after a cold start,
    /// with what the process saw of its own start. Else 0.
    #[serde(default, skip_serializing_if = "is_default")]
    pub billed_ms: u64,
    /// Memory that is paid for by the time of the invocation, MB; 0 where none is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub memory_mb: u32,
    /// Wasm fuel used; 0 where there is none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub fuel: u64,
    /// Largest linear memory, or resident set on Lambda, bytes.
    #[serde(
        rename = "peak_bytes",
        alias = "peak_memory_bytes",
        default,
        skip_serializing_if = "is_default"
    )]
    pub peak_memory_bytes: u64,
    /// As in [`FunctionShare`]; 0 when the function did not say.
    #[serde(rename = "calls", default, skip_serializing_if = "is_default")]
    pub store_calls: u32,
    /// As in [`FunctionShare`].
    #[serde(
        rename = "reads",
        alias = "store_reads",
        default,
        skip_serializing_if = "is_default"
    )]
    pub store_reads: u32,
    /// As in [`FunctionShare`].
    #[serde(
        rename = "writes",
        alias = "store_writes",
        default,
        skip_serializing_if = "is_default"
    )]
    pub store_writes: u32,
    /// As in [`FunctionShare`]; 0 when the function did not say.
    #[serde(
        rename = "read_units",
        alias = "store_read_units",
        default,
        skip_serializing_if = "is_default"
    )]
    pub store_read_units: u32,
    /// As in [`FunctionShare`]; 0 when the function did not say.
    #[serde(
        rename = "write_units",
        alias = "store_write_units",
        default,
        skip_serializing_if = "is_default"
    )]
    pub store_write_units: u32,
    /// Request body, bytes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub bytes_in: u64,
    /// Reply body, bytes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub bytes_out: u64,
    /// What the function logged besides this record, bytes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub log_bytes: u64,
}

fn ok() -> String {
    "ok".to_owned()
}

fn is_ok(outcome: &str) -> bool {
    outcome == "ok"
}

fn first_form() -> u32 {
    1
}

fn is_first(form: &u32) -> bool {
    *form == first_form()
}

/// Tag of [`InvocationRecord`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InvocationKind {
    /// The only value.
    Invocation,
}

/// What one room used of one shard in one minute, or in a part of it. Two records are the same one
/// when shard, boot and sequence are: whatever files say, it counts once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRecord {
    /// Always `usage`.
    pub kind: UsageKind,
    /// [`USAGE_FORM`] of its writer.
    #[serde(default = "first_form", skip_serializing_if = "is_first")]
    pub form: u32,
    /// Start of the minute, Unix milliseconds.
    pub minute_ms: u64,
    /// The shard.
    pub shard: ShardId,
    /// The run of it; none in form 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<BootId>,
    /// Which record of the run it is, from 1; 0 in form 1.
    #[serde(rename = "seq", default, skip_serializing_if = "is_default")]
    pub sequence: u64,
    /// The room, as relays know it.
    pub room: RoomKey,
    /// Region of the relay as its fleet calls it; empty from relays that did not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub region: String,
    /// How listeners got what they heard.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: VoiceMode,
    /// Participants times the time that each was there, milliseconds.
    pub participant_ms: u64,
    /// Voice received, by the clocks of those who spoke, milliseconds.
    pub talk_ms: u64,
    /// Datagrams of voice received.
    #[serde(default, skip_serializing_if = "is_default")]
    pub packets_in: u64,
    /// Bytes of their UDP payloads.
    #[serde(default, skip_serializing_if = "is_default")]
    pub bytes_in: u64,
    /// Datagrams sent to participants.
    pub packets_out: u64,
    /// Bytes of their UDP payloads.
    pub bytes_out: u64,
    /// Frames that were mixed for listeners.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mixed_frames: u64,
    /// The room's share of the shard's CPU time, by datagrams, microseconds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cpu_us: u64,
    /// How well listeners heard; none where nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<ListenerQuality>,
}

/// How well the listeners of a room heard, as sums, so that records can be added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ListenerQuality {
    /// Times that a listener's quality was measured.
    pub reports: u64,
    /// The transmission rating of each, R of the E-model (ITU-T G.107), in tenths, together.
    pub rating_sum: u64,
}

/// Tag of [`UsageRecord`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UsageKind {
    /// The only value.
    Usage,
}

/// How a room's voice reaches those who listen.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum VoiceMode {
    /// Each speaker's packets go to each listener.
    #[default]
    Forward,
    /// One mixed stream goes to each listener.
    Mix,
}
