//! Matchmaking: queues, tickets and matches, as requests and replies of their routes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::claims::Platform;
use crate::ids::{
    BadId, ChannelName, MatchId, MessageKey, ModeName, PlayerId, QueueName, RegionName, RoomName,
    TicketId,
};

/// Most modes of one queue.
pub const MAX_MODES: usize = 8;
/// Most lanes of a queue's pool.
pub const MAX_POOL_LANES: u32 = 64;
/// Most bytes of one player's details as JSON.
pub const MAX_DETAILS_BYTES: usize = 4 * 1024;
/// Most spectators of one match.
pub const MAX_SPECTATORS: usize = 16;
/// Most players of one party.
pub const MAX_PARTY: usize = 16;
/// Most attributes, regions, languages or blocks that one player may name.
pub const MAX_NAMED: usize = 64;
/// Longest name or text of an attribute or language, in bytes.
pub const MAX_TEXT_BYTES: usize = 64;
/// Seconds that a ticket outlives the last request for it, at least: more than the minute after
/// which browsers run the timers of a hidden page.
pub const TICKET_GRACE_S: u64 = 75;
/// Most invitations that are told.
pub const MAX_INVITATIONS: usize = 8;
/// Channel of a match's room that everybody hears: players write there, and speak in their team's.
pub const ALL_CHANNEL: &str = "all";
/// Channel of a match's room where spectators are among themselves.
pub const SPECTATORS_CHANNEL: &str = "spectators";
/// Before a match's id in the name of its room.
pub const ROOM_PREFIX: &str = "match-";

/// The rules of a queue: the body of `match-rules` and the reply of `match-queue`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct QueueRules {
    /// Grows with every change.
    pub version: u32,
    /// Lanes of the pool, a power of two up to [`MAX_POOL_LANES`]: one for each hundred
    /// tickets per second.
    #[serde(default = "one")]
    #[serde(rename = "shards")]
    pub lanes: u32,
    /// A rule set for each mode, 1 to [`MAX_MODES`]; `functions/matchmaking/RULES.md` describes
    /// them.
    pub modes: Vec<serde_json::Map<String, serde_json::Value>>,
    /// Where players measure how far each region is, at most [`MAX_NAMED`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub regions: BTreeMap<RegionName, RegionProbe>,
}

/// Where players measure how far a region is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RegionProbe {
    /// Something near the region's relays that answers `HEAD` at once, whatever it answers.
    pub probe: ProbeUrl,
}

/// The address of a probe: `https://` and what follows, or a path of the edge itself. Browsers
/// reach nothing else from a page that may use the microphone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProbeUrl(String);

impl ProbeUrl {
    /// The longest, in characters.
    pub const MAX_CHARS: usize = 256;
}

impl TryFrom<String> for ProbeUrl {
    type Error = BadId;
    fn try_from(text: String) -> Result<Self, BadId> {
        // Two slashes begin the name of another host.
        let is_path = text.starts_with('/') && !text.starts_with("//");
        let is_https = text
            .strip_prefix("https://")
            .is_some_and(|rest| !rest.is_empty());
        let is_plain = text.len() <= Self::MAX_CHARS && text.bytes().all(|b| b.is_ascii_graphic());
        if is_plain && (is_path || is_https) {
            return Ok(Self(text));
        }
        let rule = "https://.. or a path of the edge, of up to 256 characters";
        Err(BadId::new("probe address", rule))
    }
}

impl From<ProbeUrl> for String {
    fn from(url: ProbeUrl) -> Self {
        url.0
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for ProbeUrl {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ProbeUrl".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "maxLength": Self::MAX_CHARS,
            "pattern": "^(https://[!-~]+|/|/[!-.0-~][!-~]*)$",
        })
    }
}

fn one() -> u32 {
    1
}

/// Asks for a match.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TicketRequest {
    /// Chosen by the client; a retry has the same.
    pub key: MessageKey,
    /// Modes of the queue, any of which will do; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modes: Vec<ModeName>,
    /// The party, its leader first. A player names himself with his details, and the others
    /// without: they add theirs with `match-join`. A game server gives everybody's.
    pub players: Vec<TicketPlayer>,
}

/// One player of a ticket request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TicketPlayer {
    /// Who.
    pub player: PlayerId,
    /// What is known of him.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<PlayerDetails>,
}

/// What matchmaking goes by: the body of `match-join`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlayerDetails {
    /// What the mode's rules look at.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, AttributeValue>,
    /// Measured round-trip times, milliseconds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub latency_ms: BTreeMap<RegionName, u32>,
    /// Languages that he speaks, the best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<String>,
    /// Whom he does not want to meet, besides those whom he blocks in chat.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<PlayerId>,
    /// From a game server only: in place of the rating that is kept here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating: Option<Rating>,
    /// From a game server only; a player's is in his token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// From a game server only; a player's is in his token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cross_play: Option<bool>,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum AttributeValue {
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
    /// A set of texts.
    Set(Vec<String>),
}

/// A belief about skill: a normal distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Rating {
    /// Mean.
    pub mu: f64,
    /// Standard deviation, above 0.
    pub sigma: f64,
}

/// A ticket, as those of its party see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TicketReply {
    /// Its id.
    pub ticket: TicketId,
    /// Where it waits.
    pub queue: QueueName,
    /// The modes that will do.
    pub modes: Vec<ModeName>,
    /// What it is up to.
    pub status: TicketStatus,
    /// The party, its leader first.
    pub players: Vec<Member>,
    /// When the wait began, Unix milliseconds; a requeued ticket keeps it. None before all have
    /// joined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<u64>,
    /// The service's clock, Unix milliseconds.
    pub now_ms: u64,
    /// Ask again this long after this request was sent, milliseconds; none when nothing will change
    /// any more. With `?wait=` the reply may come later than that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll_after_ms: Option<u64>,
    /// How long tickets waited that were matched lately: the median, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub typical_wait_s: Option<u32>,
    /// Why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<TicketEnd>,
    /// The match that it is in.
    #[serde(rename = "match", default, skip_serializing_if = "Option::is_none")]
    pub found: Option<MatchReply>,
}

/// What a ticket is up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum TicketStatus {
    /// Players of the party have still to join.
    Gathering,
    /// Waits for a match.
    Waiting,
    /// Has a match that all must accept.
    Proposed,
    /// Has a match.
    Matched,
    /// Is over.
    Ended,
}

/// Why a ticket ended without a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum TicketEnd {
    /// Somebody of the party took it back.
    Cancelled,
    /// Somebody of the party did not accept a match.
    NotAccepted,
}

/// One player of a party.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Member {
    /// Who.
    pub player: PlayerId,
    /// Whether his details are there.
    pub joined: bool,
}

/// A match, as its players and game servers see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MatchReply {
    /// Its id.
    pub id: MatchId,
    /// Its queue.
    pub queue: QueueName,
    /// Its mode.
    pub mode: ModeName,
    /// Version of the queue's rules that formed it.
    pub rules_version: u32,
    /// Where its room is.
    pub region: RegionName,
    /// The room that the token is for.
    pub room: RoomName,
    /// What it is up to.
    pub status: MatchStatus,
    /// When it was formed, Unix milliseconds.
    pub formed_at_ms: u64,
    /// Until when all must accept, Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_until_ms: Option<u64>,
    /// Who has accepted; only while that is asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<PlayerId>,
    /// Who plays with whom.
    pub teams: Vec<MatchTeam>,
    /// How good it is.
    pub quality: MatchQuality,
    /// With what the caller joins the room and its chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seat: Option<MatchSeat>,
}

/// What a match is up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum MatchStatus {
    /// All players must accept it.
    Proposed,
    /// Everybody may join.
    Ready,
    /// Somebody did not accept; it will not be played.
    Abandoned,
    /// Its result is known.
    Over,
}

/// A team of a match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MatchTeam {
    /// As the rule set calls it.
    pub name: String,
    /// Its voice and chat channel.
    pub channel: ChannelName,
    /// Its players.
    pub players: Vec<PlayerId>,
}

/// How good a match is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MatchQuality {
    /// Largest difference of two parties' ratings.
    pub rating_spread: f64,
    /// Predicted probability that the better team wins.
    pub favourite: f64,
    /// Worst measured round-trip time to the region, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_worst_ms: Option<u32>,
    /// A language that everybody speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

/// What a player or spectator joins the room and the chat of a match with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MatchSeat {
    /// A bearer token that grants the match's room and channels, and nothing else.
    pub token: String,
    /// When it ends, Unix seconds; the same request gives a new one.
    pub expires_at: u64,
    /// Channels that it grants, his own team's first.
    pub channels: Vec<ChannelName>,
}

/// Body of `match-accept`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AcceptRequest {
    /// Plays (`true`) or not (`false`).
    pub accept: bool,
}

/// Why a ticket waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Explanation {
    /// For each mode that the ticket wants.
    pub modes: Vec<ModeExplanation>,
}

/// Why a ticket waits for a match of one mode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModeExplanation {
    /// Which.
    pub mode: ModeName,
    /// There is a match for it; the next pass forms it.
    pub matchable: bool,
    /// Seconds of waiting so far.
    pub waited_s: u64,
    /// Why it can never be matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Players that the smallest match still needs besides the party.
    pub players_missing: u32,
    /// Paths of the rules that stand in the way, the most decisive first.
    pub blocked_by: Vec<String>,
    /// How many other tickets are left after each rule.
    pub candidates: Vec<CandidatesLeft>,
    /// Seconds until limits change next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_expansion_s: Option<u64>,
    /// Paths of what changes then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next_expansion_paths: Vec<String>,
    /// Seconds until it is probably matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate_s: Option<f64>,
}

/// How many tickets pass a rule and all those before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CandidatesLeft {
    /// Path of the rule.
    pub rule: String,
    /// Tickets.
    pub tickets: u32,
}

/// Where a player waits or plays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SeatReply {
    /// His ticket, if he has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<TicketId>,
    /// Its queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueName>,
    /// The match that it led to, while he plays.
    #[serde(rename = "match", default, skip_serializing_if = "Option::is_none")]
    pub found: Option<MatchId>,
    /// Parties that have named him and that he may join; newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invitations: Vec<Invitation>,
}

/// A party that has named the player.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Invitation {
    /// Its ticket.
    pub ticket: TicketId,
    /// Its queue.
    pub queue: QueueName,
    /// Who made it.
    pub leader: PlayerId,
}

/// Body of `match-result`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResultRequest {
    /// The teams' places, by the teams' names.
    pub ranks: BTreeMap<String, u32>,
    /// Players who left early, whose ratings stay as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<PlayerId>,
}

/// Reply to a result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResultReply {
    /// What became of each rating.
    pub ratings: Vec<RatingChange>,
}

/// How a result changed a rating.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RatingChange {
    /// Whose.
    pub player: PlayerId,
    /// As the match began.
    pub before: Rating,
    /// What the result makes of it.
    pub after: Rating,
}

/// A player's rating in a queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RatingReply {
    /// Whose.
    pub player: PlayerId,
    /// The rating; a newcomer's when he has played nothing.
    pub rating: Rating,
    /// Rated matches.
    pub matches: u32,
}

/// Body of `match-backfill`: asks for players for a running match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BackfillRequest {
    /// Players who are gone, whose places are free. They get no new token of the match; one that
    /// they have is good until it expires.
    pub left: Vec<PlayerId>,
}

/// Reply to a backfill request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BackfillReply {
    /// Players whom each team still takes, by its name.
    pub wanted: BTreeMap<String, u32>,
    /// Until when they may come, Unix milliseconds.
    pub until_ms: u64,
}

/// Reply to a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TickReply {
    /// Passes that were due.
    pub passes: u32,
    /// Matches that they formed.
    pub matches: u32,
}
