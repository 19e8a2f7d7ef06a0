//! What a moderator or the game's server says of a player in a room, and learns of those in it.

use serde::{Deserialize, Serialize};

use crate::channel::Participant;
use crate::ids::SessionId;

/// Longest sanction, in seconds: a year.
pub const MAX_SANCTION_S: u32 = 365 * 24 * 60 * 60;

/// Body of `PUT /v1/rooms/{room}/mutes/{player}` and `PUT /v1/rooms/{room}/bans/{player}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SanctionRequest {
    /// For how long, in seconds: 1 to [`MAX_SANCTION_S`].
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 31_536_000)))]
    pub seconds: u32,
}

/// Reply of `PUT /v1/players/{player}/revocation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RevocationReply {
    /// First second (Unix time) at which a token must have been issued to count.
    pub not_before: u64,
}

/// Reply of `GET /v1/rooms/{room}/players`: who is in the room's voice now, by their numbers in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RoomPlayers {
    /// Those with a number above that of `?after=`, at most [`crate::limits::MAX_ROOM_PLAYERS`]
    /// and as many as fit into [`crate::limits::MAX_ANSWER_BYTES`].
    pub players: Vec<RoomPlayer>,
    /// What to ask for with `?after=` where there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u32>,
}

/// One session in a room's voice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RoomPlayer {
    /// As those in the room are told of him.
    #[serde(flatten)]
    pub participant: Participant,
    /// His session.
    pub session: SessionId,
    /// He talks, and may be heard.
    pub talking: bool,
    /// Since when he is in the room, Unix milliseconds.
    pub since_ms: u64,
}
