//! Messages between relays, operators and the fleet function.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::ids::{BadId, BootId, RegionName, RoomKey, RoomName, SessionId, ShardId};
use crate::json::is_default;
use crate::keys::HeartbeatKey;

/// Scheme of the `authorization` header of a heartbeat: `Shard BASE64URL(HMAC-SHA-256(body))`.
pub const AUTH_SCHEME: &str = "Shard ";

/// What a shard says of itself every two seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Heartbeat {
    /// The shard.
    pub shard: ShardId,
    /// Where it is.
    pub region: RegionName,
    /// This run of it.
    pub boot: BootId,
    /// Key epoch, 0 to 15.
    #[cfg_attr(feature = "schema", schemars(range(max = 15)))]
    pub epoch: u8,
    /// When it was sent, Unix milliseconds.
    pub sent_at_ms: u64,
    /// How many this run has sent, this one included: of two of a run the greater is the later,
    /// whatever the clocks say. 0 from relays that do not count, of which the later `sent_at_ms`
    /// is the later.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sequence: u64,
    /// Whether it takes sessions.
    pub state: ShardState,
    /// Addresses for media, best first; 1 to 8.
    pub candidates: Vec<Candidate>,
    /// `sha-256 AB:CD:..` of its DTLS certificate (RFC 8122).
    pub fingerprint: String,
    /// Base URL of the control endpoint, reached by functions.
    pub control_url: String,
    /// Newest version of tickets, hellos and pushes that it reads.
    #[serde(default = "version_1")]
    pub ticket_version: u8,
    /// What it carries now.
    pub load: Load,
    /// Most participants that it accepts.
    pub capacity: u32,
    /// Its largest rooms, those of [`LARGE_ROOM`] participants and more, at most
    /// [`crate::limits::MAX_LARGE_ROOMS`]: how much room they need where they move to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub large: Vec<LargeRoom>,
    /// Rooms to which it refused somebody since it is full, at most
    /// [`crate::limits::MAX_REFUSED_ROOMS`]; the next join of them goes elsewhere or is refused at
    /// once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedRoom>,
    /// Nonces of the commands of the last reply, which it has: they need not come again. At most
    /// [`crate::limits::MAX_PENDING_COMMANDS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken: Vec<SessionId>,
}

/// From how many participants on a heartbeat names a room. Of smaller ones the mean says enough.
pub const LARGE_ROOM: u32 = 32;

/// A room that needs much room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LargeRoom {
    /// The room.
    pub room: RoomKey,
    /// Participants there.
    pub participants: u32,
}

/// A room whose home is another shard since an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MovedRoom {
    /// The room.
    pub room: RoomKey,
    /// Epoch of the home that it moved to: whoever came for an earlier one is to follow.
    pub epoch: u64,
}

/// What relays read that do not say it.
fn version_1() -> u8 {
    1
}

/// A room into which a full shard let nobody more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RefusedRoom {
    /// The room.
    pub room: RoomKey,
    /// Whether somebody is in it there, so that it must stay.
    pub occupied: bool,
}

/// A shard's own view of its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ShardState {
    /// Takes sessions.
    Open,
    /// Above its configured load: takes no new session, keeps those that it has. A join answered
    /// before it said so is refused at once (STUN error 508) and made again.
    Full,
    /// Going away: no new rooms, participants are asked to migrate.
    Draining,
    /// Last heartbeat of this run.
    Stopping,
}

/// One address where a shard takes media.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Candidate {
    /// How.
    pub transport: Transport,
    /// Where.
    pub address: SocketAddr,
}

/// Transport of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// RFC 8445.
    Udp,
    /// Passive TCP, RFC 6544.
    Tcp,
}

/// What a shard carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Load {
    /// Sessions with a finished handshake.
    pub participants: u32,
    /// Rooms with at least one of them.
    pub rooms: u32,
    /// Thousandths of one core in the last interval.
    pub cpu_permille: u16,
}

/// Reply to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HeartbeatReply {
    /// Whether an operator wants the shard to drain.
    pub draining: bool,
    /// The edge's clock, Unix milliseconds.
    pub now_ms: u64,
    /// Commands that did not arrive when they were posted, sealed for this heartbeat
    /// ([`crate::control::open_pending`]). They come again until a heartbeat says that they are
    /// taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commands: Option<String>,
    /// Rooms that moved away while the shard was not heard of, at most
    /// [`crate::limits::MAX_MOVED_ROOMS`]. They may come again; what was done stays done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moved: Vec<MovedRoom>,
}

/// Body of a drain request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DrainRequest {
    /// Start (`true`) or stop (`false`) draining.
    pub draining: bool,
}

/// Body of a request that revokes a shard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RevokeShardRequest {
    /// From which epoch on its keys count, 1 to 16; 16 for none of them. When left out, the one
    /// after that of its last heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 16)))]
    pub least_epoch: Option<u8>,
}

/// Reply to a request that revokes a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ShardRevocation {
    /// The shard.
    pub shard: ShardId,
    /// From which epoch on its keys count; it never goes back.
    pub least_epoch: u8,
}

/// A shard as the fleet function knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ShardRecord {
    /// Its last heartbeat.
    pub heartbeat: Heartbeat,
    /// When that arrived, by the edge's clock, Unix milliseconds.
    pub seen_at_ms: u64,
    /// Set by an operator.
    #[serde(default)]
    pub draining: bool,
    /// When it was found silent: it was asked on behalf of somebody who had lost it, and did not
    /// answer, Unix milliseconds. The next heartbeat takes it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_at_ms: Option<u64>,
}

/// Reply to a list request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ShardList {
    /// Shards, by id.
    pub relays: Vec<ListedShard>,
}

/// Which home regions are given up: as it is stored, and in replies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Evacuation {
    /// One more with each change.
    pub epoch: u64,
    /// Names of regions.
    pub gone: BTreeSet<String>,
    /// From when this counts, Unix milliseconds: at once when a region is given up; a moment later
    /// when one is taken back, so that everybody knows of it.
    pub at_ms: u64,
    /// What counts until then.
    pub before: BTreeSet<String>,
}

impl Evacuation {
    /// The regions that are given up at a moment.
    pub fn gone_at(&self, now_ms: u64) -> &BTreeSet<String> {
        match now_ms >= self.at_ms {
            true => &self.gone,
            false => &self.before,
        }
    }

    /// The epoch of a moment.
    pub fn epoch_at(&self, now_ms: u64) -> u64 {
        self.epoch - u64::from(now_ms < self.at_ms && self.epoch > 0)
    }
}

/// The home regions of an edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RegionList {
    /// The region that replies; none where there is one.
    pub here: Option<String>,
    /// Every region; none where there is one.
    pub regions: Vec<String>,
    /// Which of them are given up, as this region knows it.
    pub evacuation: Evacuation,
}

/// One shard of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ListedShard {
    /// What is known of it.
    #[serde(flatten)]
    pub record: ShardRecord,
    /// Whether its last heartbeat is younger than ten seconds and it is not stopping.
    pub live: bool,
}

/// Where a room lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Home {
    /// The room.
    pub room: RoomName,
    /// Region of its shard.
    pub region: RegionName,
    /// Its shard.
    pub shard: ShardId,
    /// Counts the moves, from 1.
    pub epoch: u64,
    /// Shards that it left a short while ago, the last one first: one that was cut off may still
    /// carry some of its participants.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<LeftShard>,
}

/// A shard that a room has left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LeftShard {
    /// Region of the shard.
    pub region: RegionName,
    /// The shard.
    pub shard: ShardId,
    /// When the room left it, Unix milliseconds.
    pub at_ms: u64,
}

/// The shards of a relay: one has the relay's name, several are called `NAME-0`, `NAME-1`..
///
/// # Errors
/// [`BadId`] when the name is too long to be numbered.
pub fn shard_ids(relay: &ShardId, shards: u16) -> Result<Vec<ShardId>, BadId> {
    if shards == 1 {
        return Ok(vec![relay.clone()]);
    }
    (0..shards)
        .map(|number| ShardId::new(format!("{relay}-{number}")))
        .collect()
}

/// Signs a heartbeat's body: the value of the `authorization` header.
pub fn sign_heartbeat(key: &impl AsRef<HeartbeatKey>, body: &[u8]) -> String {
    let code = heartbeat_mac(key.as_ref(), body).finalize().into_bytes();
    format!("{AUTH_SCHEME}{}", BASE64URL_NOPAD.encode(&code))
}

/// Whether `authorization` is the signature of `body` by the shard that holds `key`. Takes the
/// same time wherever they differ.
pub fn verify_heartbeat(key: &impl AsRef<HeartbeatKey>, body: &[u8], authorization: &str) -> bool {
    authorization
        .strip_prefix(AUTH_SCHEME)
        .and_then(|code| BASE64URL_NOPAD.decode(code.as_bytes()).ok())
        .is_some_and(|code| {
            heartbeat_mac(key.as_ref(), body)
                .verify_slice(&code)
                .is_ok()
        })
}

fn heartbeat_mac(key: &HeartbeatKey, body: &[u8]) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(&key.0).expect("HMAC takes any key length");
    mac.chain_update(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::ShardKey;

    #[test]
    fn a_heartbeat_verifies_only_unchanged_and_with_its_key() {
        let keys = ShardKey::new(0, [1; 32]).subkeys();
        let other = ShardKey::new(0, [2; 32]).subkeys();
        let signature = sign_heartbeat(&keys, b"body");
        assert!(verify_heartbeat(&keys, b"body", &signature));
        assert!(!verify_heartbeat(&keys, b"Body", &signature));
        assert!(!verify_heartbeat(&other, b"body", &signature));
        assert!(!verify_heartbeat(
            &keys,
            b"body",
            &signature[..signature.len() - 4]
        ));
        assert!(!verify_heartbeat(&keys, b"body", "Bearer x"));
    }
}
