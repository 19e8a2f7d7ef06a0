//! Text chat: channels, messages, and the requests and replies of the chat routes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::claims::Platform;
use crate::hall::Hall;
use crate::ids::{AttachmentId, BadId, ChannelName, MessageKey, PhraseId, PlayerId, RoomName};
pub use crate::ids::{DIRECT_ROOM, WORLD_ROOM};
use crate::json::is_default;

/// Longest text that any policy may allow, in characters (Unicode scalar values).
pub const MAX_TEXT_CHARS: usize = 2_000;
/// Most players that one message may mention.
pub const MAX_MENTIONS: usize = 16;
/// Most attachments of one message.
pub const MAX_ATTACHMENTS: usize = 4;
/// Most messages of one history reply.
pub const MAX_HISTORY: usize = 100;
/// Most channels or players that one request may ask about.
pub const MAX_ASKED: usize = 50;
/// Longest reaction, in bytes of UTF-8.
pub const MAX_REACTION_BYTES: usize = 32;
/// Longest reason of a report or a moderation, in characters.
pub const MAX_REASON_CHARS: usize = 500;
/// Channel that a token grants for the chat of a party, in the party's room.
pub const PARTY_CHANNEL: &str = "party";

/// A chat channel, as one player addresses it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ChatChannel {
    /// `room~ROOM~CHANNEL`: a channel of a room.
    Room(RoomName, ChannelName),
    /// `party~ROOM`: the party whose room this is.
    Party(RoomName),
    /// `direct~PLAYER`: the caller and this player.
    Direct(PlayerId),
    /// `world~REGION` or `world~REGION~HALL`: everybody of a region, or of one of its halls.
    World(Hall),
}

impl fmt::Display for ChatChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Room(room, channel) => write!(f, "room~{room}~{channel}"),
            Self::Party(room) => write!(f, "party~{room}"),
            Self::Direct(player) => write!(f, "direct~{player}"),
            Self::World(hall) => write!(f, "world~{hall}"),
        }
    }
}

impl std::str::FromStr for ChatChannel {
    type Err = BadId;
    fn from_str(text: &str) -> Result<Self, BadId> {
        let rule = "room~ROOM~CHANNEL, party~ROOM, direct~PLAYER, world~REGION or \
                    world~REGION~HALL";
        let bad = || BadId::new("chat channel", rule);
        let (kind, rest) = text.split_once('~').ok_or_else(bad)?;
        match kind {
            "room" => {
                let (room, channel) = rest.split_once('~').ok_or_else(bad)?;
                Ok(Self::Room(room.parse()?, channel.parse()?))
            }
            "party" => Ok(Self::Party(rest.parse()?)),
            "direct" => Ok(Self::Direct(rest.parse()?)),
            "world" => Ok(Self::World(rest.parse()?)),
            _ => Err(bad()),
        }
    }
}

impl TryFrom<String> for ChatChannel {
    type Error = BadId;
    fn try_from(text: String) -> Result<Self, BadId> {
        text.parse()
    }
}

impl From<ChatChannel> for String {
    fn from(channel: ChatChannel) -> String {
        channel.to_string()
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for ChatChannel {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ChatChannel".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "room~ROOM~CHANNEL, party~ROOM, direct~PLAYER, world~REGION, or \
                world~REGION~HALL with a hall of 1 to 255",
            "pattern": "^(room~[A-Za-z0-9_.-]{1,64}~[A-Za-z0-9_.-]{1,32}|party~[A-Za-z0-9_.-]{1,64}\
                |direct~[A-Za-z0-9_.:-]{1,64}|world~[A-Za-z0-9_.-]{1,32}\
                (~([1-9][0-9]?|1[0-9][0-9]|2[0-4][0-9]|25[0-5]))?)$",
        })
    }
}

/// A message of a channel, or what is left of a deleted one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Message {
    /// Its number in the channel: one more than its predecessor's.
    pub seq: u64,
    /// When it was taken, Unix milliseconds.
    pub at_ms: u64,
    /// 1 at first, one more with each edit and with the deletion.
    pub version: u64,
    /// Who wrote it; absent for a system message, and after erasure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<PlayerId>,
    /// The author's display name at that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the author plays on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Text: any Unicode but control characters, line feed and tab apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// A quick-chat phrase, which the client localises.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phrase: Option<PhraseId>,
    /// What the service or the game says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<SystemEvent>,
    /// The message that this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<u64>,
    /// Players whom it mentions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<PlayerId>,
    /// Attachments, by reference.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// When it was last edited, Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_at_ms: Option<u64>,
    /// Who deleted it; a tombstone has no content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Deletion>,
    /// Reactions, in history replies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reactions: Vec<ReactionCount>,
}

/// Something that the service or the game says in a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum SystemEvent {
    /// A moderator changed the channel's settings.
    Settings {
        /// The new ones.
        settings: ChannelSettings,
    },
    /// The game says something, which the client localises.
    Notice {
        /// What.
        phrase: PhraseId,
    },
}

/// What a moderator may set for a channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChannelSettings {
    /// Only moderators may write.
    #[serde(default)]
    pub locked: bool,
    /// Least time between two messages of one player, in seconds; 0 for none.
    #[serde(default)]
    pub slow_s: u16,
}

/// Who deleted a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Deletion {
    /// Its author.
    Author,
    /// A moderator.
    Moderator,
    /// The author's data were erased.
    Erasure,
}

/// An attachment, which the game keeps; the service never fetches it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Attachment {
    /// The game's id of it.
    pub id: AttachmentId,
    /// What it is, such as `screenshot`; the game's word.
    pub kind: PhraseId,
}

/// How many reacted in one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReactionCount {
    /// The reaction.
    pub reaction: String,
    /// Players who reacted so.
    pub count: u32,
    /// Whether the caller did.
    pub mine: bool,
}

/// Body of `POST /v1/chat/channels/{channel}/messages`. Exactly one of `text`, `phrase` and
/// `notice` is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PostRequest {
    /// Made by the client, anew for each message; a retry has the same and gets the first result.
    pub key: MessageKey,
    /// Text, at most as long as the policy allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// A quick-chat phrase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phrase: Option<PhraseId>,
    /// A notice of the game; moderators only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<PhraseId>,
    /// The message that this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<u64>,
    /// Players whom it mentions, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<PlayerId>,
    /// Attachments, at most 4.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// The newest `tail` that the client has seen of the channel; saves a read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<String>,
}

/// A message as it is now, and what the next post should send along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MessageReply {
    /// The message.
    pub message: Message,
    /// Opaque; see [`PostRequest::tail`]. Absent when the message is not known to be the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<String>,
}

/// Body of `PATCH /v1/chat/channels/{channel}/messages/{seq}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EditRequest {
    /// The new text.
    pub text: String,
    /// The version that is edited.
    pub version: u64,
}

/// Reply to `GET /v1/chat/channels/{channel}/messages`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HistoryReply {
    /// In order of their numbers. Authors that the caller does not see are left out.
    pub messages: Vec<Message>,
    /// Number of the last message looked at, in the direction asked for; the next page's `after`
    /// or `before`. Absent when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// Whether there may be more in that direction.
    pub more: bool,
    /// The channel's settings, when the page holds the last message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<ChannelSettings>,
    /// See [`PostRequest::tail`]; when the page holds the last message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<String>,
    /// When the caller waits and there is nothing: ask again this long after this request was sent
    /// and not sooner, milliseconds. A host that keeps waiting requests replies later than that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll_after_ms: Option<u64>,
}

/// Body of `PUT /v1/chat/channels/{channel}/read`, and its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReadMarker {
    /// Everything up to this number is read. A marker never goes back.
    pub seq: u64,
}

/// Unread messages of one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Unread {
    /// The channel.
    pub channel: ChatChannel,
    /// Number of the last message; 0 when there is none.
    pub last: u64,
    /// The caller's read marker; 0 when there is none.
    pub read: u64,
    /// Messages after the marker.
    pub unread: u64,
}

/// Reply to `GET /v1/chat/unread`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UnreadReply {
    /// In the order asked for.
    pub channels: Vec<Unread>,
}

/// Whether a player can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Here.
    Online,
    /// Here, but not looking.
    Away,
    /// Does not want to be disturbed.
    Busy,
    /// Not here.
    Offline,
}

/// Body of `PUT /v1/chat/presence`. Holds for 90 seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PresenceRequest {
    /// What others see.
    pub status: Status,
    /// The voice room that the player is in, where direct messages are pushed to him.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<RoomName>,
}

/// The status of one player.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Presence {
    /// The player.
    pub player: PlayerId,
    /// His status; offline when nothing is known, and to those whom he blocked.
    pub status: Status,
}

/// Reply to `GET /v1/chat/presence`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PresenceReply {
    /// In the order asked for.
    pub players: Vec<Presence>,
}

/// Reply to `GET /v1/chat/blocks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BlockList {
    /// Players whom the caller blocked.
    pub players: Vec<PlayerId>,
}

/// Body of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReportRequest {
    /// Why, in the reporter's words; at most 500 characters.
    pub reason: String,
}

/// A report, as moderators read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Report {
    /// When, Unix milliseconds.
    pub at_ms: u64,
    /// Who reported.
    pub reporter: PlayerId,
    /// Number of the reported message.
    pub seq: u64,
    /// Why.
    pub reason: String,
    /// The message and those around it, as they were.
    pub messages: Vec<Message>,
    /// The channel, `direct~PLAYER~PLAYER` for one of two players. Reports of earlier releases do
    /// not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
}

/// A report that nobody has settled yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct QueuedReport {
    /// By which it is settled.
    pub id: String,
    /// What was reported.
    pub report: Report,
}

/// Reply of `GET /v1/chat/reports`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReportQueueReply {
    /// Oldest first, at most 20.
    pub reports: Vec<QueuedReport>,
    /// `after` of the request that reads on; none when there are no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Body of `PUT /v1/chat/channels/{channel}/mutes/{player}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MuteRequest {
    /// For how long, in seconds, at most a year.
    pub seconds: u32,
    /// Why; at most 500 characters, for the audit trail.
    #[serde(default)]
    pub reason: String,
}

/// One act of moderation. Holds no text of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditEntry {
    /// When, Unix milliseconds.
    pub at_ms: u64,
    /// Who acted.
    pub actor: PlayerId,
    /// What he did.
    pub action: AuditAction,
    /// To whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub player: Option<PlayerId>,
    /// To which message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Why, in the actor's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What a moderator did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum AuditAction {
    /// Deleted a message of another player.
    Delete,
    /// Muted a player.
    Mute,
    /// Ended a mute.
    Unmute,
    /// Changed the channel's settings.
    Settings,
    /// Read the reports.
    ReadReports,
    /// Took a report off the queue.
    SettleReport,
    /// Exported a player's data.
    Export,
    /// Erased a player's data.
    Erase,
}

/// Reply to `GET /v1/chat/channels/{channel}/audit`, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditReply {
    /// At most 100.
    pub entries: Vec<AuditEntry>,
}

/// Reply to `GET /v1/chat/channels/{channel}/reports`, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReportsReply {
    /// At most 20.
    pub reports: Vec<Report>,
}

/// One step of an export of everything that is kept of a player.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExportReply {
    /// Items, as they are kept.
    pub items: Vec<ExportedItem>,
    /// Ask again with `?next=` this; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One thing that is kept of a player.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExportedItem {
    /// What it is: `message`, `reactions`, `author`, `read`, `presence`, `block`, `blocked-by`,
    /// `moderation`, `report`, `sanction`, `match-player`.
    pub what: String,
    /// Where: a channel's key or a player id.
    #[serde(rename = "where")]
    pub place: String,
    /// The content.
    pub value: serde_json::Value,
}

/// One step of an erasure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EraseReply {
    /// Items erased in this step.
    pub erased: u64,
    /// Ask again with `?next=` this; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What a push tells the members of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ChatEvent {
    /// A new message.
    Posted {
        /// The message.
        message: Message,
        /// See [`PostRequest::tail`].
        tail: String,
    },
    /// A message was edited or deleted.
    Changed {
        /// As it is now.
        message: Message,
    },
    /// Somebody reacted, or took it back.
    Reacted {
        /// To which message.
        seq: u64,
        /// Who.
        player: PlayerId,
        /// How.
        reaction: String,
        /// Whether it was added.
        added: bool,
    },
    /// Somebody types.
    Typing {
        /// Who.
        player: PlayerId,
    },
    /// There is something that is too long to be pushed, or that is one of many: fetch it.
    Fetch {
        /// Its number; of many that of the newest.
        seq: u64,
        /// How long those who are told so may take in all, milliseconds: each asks at a moment of
        /// that time that he draws by lot. Earlier releases ask at once.
        #[serde(default, skip_serializing_if = "is_default")]
        within_ms: u32,
    },
    /// A message of this number was written that the reader may not read, by a block or by
    /// cross-play: nothing is missing there. Earlier releases fetch it, and find nothing.
    Withheld {
        /// Its number.
        seq: u64,
    },
    /// A kind that this version does not know; ignored.
    #[serde(other)]
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_channel_is_refused() {
        for bad in [
            "",
            "room",
            "room~",
            "room~a",
            "room~a~",
            "room~a~b~c",
            "party~",
            "direct~a/b",
            "world~a~b",
            "world~a~0",
            "world~a~1~2",
            "guild~a",
        ] {
            assert!(bad.parse::<ChatChannel>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_channel_round_trips(
            room in "[A-Za-z0-9_.-]{1,64}",
            channel in "[A-Za-z0-9_.-]{1,32}",
            player in "[A-Za-z0-9_.:-]{1,64}",
            hall in 1..=255_u8,
        ) {
            for text in [
                format!("room~{room}~{channel}"), format!("party~{room}"),
                format!("direct~{player}"), format!("world~{channel}"),
                format!("world~{channel}~{hall}"),
            ] {
                prop_assert_eq!(text.parse::<ChatChannel>().unwrap().to_string(), text);
            }
        }
    }
}
