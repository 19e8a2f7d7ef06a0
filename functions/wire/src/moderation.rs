//! What a moderator or the game's server says of a player in a room.

use serde::{Deserialize, Serialize};

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
