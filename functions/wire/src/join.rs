//! Joining a room.

use serde::{Deserialize, Serialize};

use crate::chat::ChatChannel;
use crate::ids::{ChannelName, RegionName, SessionRef, ShardId};

/// Body of `POST /v1/rooms/{room}/sessions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JoinRequest {
    /// SDP offer (RFC 9429): one audio m-line that sends (the microphone), 0 to 16 that receive
    /// (the slots), and a data channel.
    pub offer: String,
    /// Channels to be in, 1 to 16; `["main"]` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<Vec<ChannelName>>,
    /// Where to place the room if it has no home yet; the function's own region when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionName>,
    /// The relay that the player has just lost, as [`JoinReply::relay`] named it: it fell silent,
    /// or nobody answered there. The edge asks it before it sends anybody there again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<ShardId>,
}

/// Reply to a join, status 201.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JoinReply {
    /// Names the session in later requests.
    pub session: SessionRef,
    /// SDP answer; nothing else is needed to connect.
    pub answer: String,
    /// Sealed; the first message on the data channel carries it.
    pub hello: String,
    /// Where the room lives.
    pub region: RegionName,
    /// The shard that carries it.
    pub relay: ShardId,
    /// The world channel whose messages the relay hands to the player: his region's, or his hall of
    /// it. Absent when token or policy let him read none. A later join may name another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub world: Option<ChatChannel>,
    /// Last second (Unix time) at which the answer can be used to connect.
    pub expires_at: u64,
}

/// Channel of a join that names none, and of WHIP.
pub const DEFAULT_CHANNEL: &str = "main";
