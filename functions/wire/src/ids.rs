//! Identifiers. Each is checked once, where it enters; afterwards the type is the proof.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Why a text is not an identifier of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadId {
    what: &'static str,
    rule: &'static str,
}

impl fmt::Display for BadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a {}: use {}", self.what, self.rule)
    }
}

impl std::error::Error for BadId {}

impl BadId {
    /// A text is not a `what`, which must follow `rule`.
    pub(crate) const fn new(what: &'static str, rule: &'static str) -> Self {
        Self { what, rule }
    }
}

fn is_name(text: &str, max_chars: usize, extra: &str) -> bool {
    !text.is_empty()
        && text.len() <= max_chars
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || extra.as_bytes().contains(&b))
}

macro_rules! name_type {
    (
        $(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $extra:literal, $rule:literal
        $(, but not $reserved:expr)?
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The longest accepted text, in characters.
            pub const MAX_CHARS: usize = $max;

            /// Checks `text`.
            ///
            /// # Errors
            /// [`BadId`] when it is empty, too long, reserved, or has a character outside the
            /// alphabet.
            pub fn new(text: impl Into<String>) -> Result<Self, BadId> {
                let text = text.into();
                let is_reserved = false $(|| $reserved.contains(&text.as_str()))?;
                if is_name(&text, $max, $extra) && !is_reserved {
                    Ok(Self(text))
                } else {
                    Err(BadId { what: $what, rule: $rule })
                }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "minLength": 1,
                    "maxLength": $max,
                    "pattern": concat!("^[A-Za-z0-9", $extra, "]+$"),
                    $("not": { "enum": $reserved },)?
                })
            }
        }
    };
}

/// Room name that a token grants for direct messages; the grant's channels are player ids.
pub const DIRECT_ROOM: &str = "direct";
/// Room name that a token grants for world channels; the grant's channels are region names.
pub const WORLD_ROOM: &str = "world";
/// What grants name besides rooms: direct messages and world channels ([`crate::chat`]). A room of
/// such a name would have the grants of those, without what guards them.
pub const RESERVED_ROOMS: [&str; 2] = [DIRECT_ROOM, WORLD_ROOM];

name_type! {
    /// A player, as the game's token names him. Opaque: never an e-mail, a name or an address.
    PlayerId, "player id", 64, "_.:-", "1 to 64 of A-Z a-z 0-9 _ . : -"
}
name_type! {
    /// A room: the unit that lives on one shard.
    RoomName, "room name", 64, "_.-", "1 to 64 of A-Z a-z 0-9 _ . -, and neither direct nor world",
    but not RESERVED_ROOMS
}
name_type! {
    /// A channel of a room: who hears whom.
    ChannelName, "channel name", 32, "_.-", "1 to 32 of A-Z a-z 0-9 _ . -"
}
name_type! {
    /// A region of relays.
    RegionName, "region name", 32, "_.-", "1 to 32 of A-Z a-z 0-9 _ . -"
}
name_type! {
    /// A matchmaking ticket: a party that waits for a match.
    TicketId, "ticket id", 64, "_.-", "1 to 64 of A-Z a-z 0-9 _ . -"
}
name_type! {
    /// A game mode, which has its own matchmaking rules.
    ModeName, "mode name", 32, "_.-", "1 to 32 of A-Z a-z 0-9 _ . -"
}
name_type! {
    /// A population of tickets that may be matched with each other, in one or more modes.
    QueueName, "queue name", 32, "_.-", "1 to 32 of A-Z a-z 0-9 _ . -"
}
name_type! {
    /// A match that was formed.
    MatchId, "match id", 32, "_.-", "1 to 32 of A-Z a-z 0-9 _ . -"
}
name_type! {
    /// A shard of a relay: one core, one UDP port, one fleet entry.
    ShardId, "shard id", 48, "_.-", "1 to 48 of A-Z a-z 0-9 _ . -"
}

name_type! {
    /// Names one message of one player before it has a number; a retry has the same.
    MessageKey, "message key", 64, "_.:-", "1 to 64 of A-Z a-z 0-9 _ . : -"
}
name_type! {
    /// A phrase or word of the game, which its client localises.
    PhraseId, "phrase id", 64, "_.-", "1 to 64 of A-Z a-z 0-9 _ . -"
}
name_type! {
    /// Something that the game keeps and a message refers to.
    AttachmentId, "attachment id", 128, "_.:-", "1 to 128 of A-Z a-z 0-9 _ . : -"
}

name_type! {
    /// A region of AWS.
    AwsRegion, "region of AWS", 32, "-", "such as eu-west-1"
}
name_type! {
    /// The public half of AWS credentials.
    AccessKeyId, "access key id", 128, "", "16 to 128 of A-Z a-z 0-9"
}

macro_rules! hex_type {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $what:literal, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub [u8; $bytes]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                let bad = BadId { what: $what, rule: $rule };
                let bytes =
                    data_encoding::HEXLOWER.decode(text.as_bytes()).map_err(|_| bad.clone())?;
                Ok(Self(bytes.try_into().map_err(|_| bad)?))
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "pattern": format!("^[0-9a-f]{{{}}}$", $bytes * 2),
                })
            }
        }
    };
}

hex_type! {
    /// One admission of one player; random, 64 bits, never reused.
    SessionId, 8, "session id", "16 lower-case hex digits"
}

hex_type! {
    /// One invocation of one function, 64 bits: random, or on Lambda the first half of its request
    /// id, by which AWS's own lines are found.
    InvocationId, 8, "invocation id", "16 lower-case hex digits"
}
hex_type! {
    /// One run of one shard process. Tickets are bound to it, so a restart invalidates them all.
    BootId, 8, "boot id", "16 lower-case hex digits"
}
hex_type! {
    /// A token by which a relay may join the fleet; random, no secret.
    EnrolmentId, 8, "enrolment id", "16 lower-case hex digits"
}
hex_type! {
    /// Makes a proof of enrolment one that counts once.
    EnrolmentNonce, 16, "nonce", "32 lower-case hex digits"
}
hex_type! {
    /// A signature of AWS.
    AwsSignature, 32, "signature", "64 lower-case hex digits"
}
hex_type! {
    /// A room as relays know it: the first 8 bytes of a hash of its name.
    RoomKey, 8, "room key", "16 lower-case hex digits"
}
hex_type! {
    /// A channel as relays know it: the first 8 bytes of a hash of room and channel name.
    ChannelKey, 8, "channel key", "16 lower-case hex digits"
}
hex_type! {
    /// What some players have subscribed to, as relays know it: the first 8 bytes of a hash of its
    /// name. Relays do not know what it is about.
    TopicKey, 8, "topic key", "16 lower-case hex digits"
}
hex_type! {
    /// A player as relays know him: a keyed hash, so that a ticket does not carry the id.
    PlayerKey, 16, "player key", "32 lower-case hex digits"
}

impl RoomKey {
    /// The key of the room called `room`.
    pub fn of(room: &RoomName) -> Self {
        Self(hash8(&["room", room.as_str()]))
    }
}

impl ChannelKey {
    /// The key of `channel` in `room`. Equal channel names of two rooms have different keys.
    pub fn of(room: &RoomName, channel: &ChannelName) -> Self {
        Self(hash8(&["channel", room.as_str(), channel.as_str()]))
    }
}

impl TopicKey {
    /// The key of the world channel of `region`.
    pub fn world(region: &RegionName) -> Self {
        Self(hash8(&["topic", "world", region.as_str()]))
    }

    /// The key of one of its further halls ([`crate::hall`]).
    pub(crate) fn hall(region: &RegionName, number: u8) -> Self {
        Self(hash8(&[
            "topic",
            "world",
            region.as_str(),
            &number.to_string(),
        ]))
    }
}

/// First 8 bytes of SHA-256 over the parts, each ended by a zero byte (no part contains one).
fn hash8(parts: &[&str]) -> [u8; 8] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let mut out = [0; 8];
    out.copy_from_slice(&hash.finalize()[..8]);
    out
}

impl SessionId {
    /// The SSRC of slot `slot` (0 to 15) of this session, known to edge and relay alike without
    /// a message. Never zero, distinct for each slot.
    pub fn slot_ssrc(self, slot: u8) -> u32 {
        let [.., a, b, c, d] = self.0;
        0x8000_0000 | (u32::from_be_bytes([a, b, c, d]) << 5) | u32::from(slot & 0x0f)
    }
}

/// A session as clients and the edge name it: `SHARD~SESSION`, so that a later request finds the
/// shard without a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionRef {
    /// The shard that the session was admitted to.
    pub shard: ShardId,
    /// The session.
    pub session: SessionId,
}

impl fmt::Display for SessionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}~{}", self.shard, self.session)
    }
}

impl std::str::FromStr for SessionRef {
    type Err = BadId;
    fn from_str(text: &str) -> Result<Self, BadId> {
        let rule = "the session of the join reply, SHARD~16 hex digits";
        let (shard, session) = text.split_once('~').ok_or(BadId {
            what: "session reference",
            rule,
        })?;
        Ok(Self {
            shard: shard.parse()?,
            session: session.parse()?,
        })
    }
}

impl TryFrom<String> for SessionRef {
    type Error = BadId;
    fn try_from(text: String) -> Result<Self, BadId> {
        text.parse()
    }
}

impl From<SessionRef> for String {
    fn from(reference: SessionRef) -> String {
        reference.to_string()
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for SessionRef {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SessionRef".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^[A-Za-z0-9_.-]{1,48}~[0-9a-f]{16}$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_checked_where_they_enter() {
        assert!(RoomName::new("lobby-1.eu_x").is_ok());
        for reserved in RESERVED_ROOMS {
            assert!(RoomName::new(reserved).is_err(), "{reserved}");
            assert!(ChannelName::new(reserved).is_ok(), "{reserved}");
            let longer = format!("{reserved}.1");
            assert!(RoomName::new(longer).is_ok(), "{reserved}.1 is a room");
        }
        for bad in ["", "a b", "é", "a/b", "a\0b", &"x".repeat(65)] {
            assert!(RoomName::new(bad).is_err(), "{bad:?}");
        }
        assert!(serde_json::from_str::<RoomName>("\"a/b\"").is_err());
    }

    #[test]
    fn equal_channels_of_two_rooms_differ() {
        let channel = ChannelName::new("main").unwrap();
        let [a, b] = ["a", "b"].map(|room| RoomName::new(room).unwrap());
        assert_ne!(ChannelKey::of(&a, &channel), ChannelKey::of(&b, &channel));
        // A length prefix or separator must keep ("ab","c") apart from ("a","bc").
        let [ab, c, bc] = ["ab", "c", "bc"].map(|n| ChannelName::new(n).unwrap());
        let room_ab = RoomName::new("ab").unwrap();
        assert_ne!(ChannelKey::of(&room_ab, &c), ChannelKey::of(&a, &bc));
        assert_ne!(ChannelKey::of(&a, &ab), ChannelKey::of(&a, &bc));
    }

    proptest! {
        #[test]
        fn slot_ssrcs_are_distinct_and_never_zero(bytes: [u8; 8]) {
            let mut seen = std::collections::BTreeSet::new();
            for slot in 0..16 {
                let ssrc = SessionId(bytes).slot_ssrc(slot);
                prop_assert!(ssrc != 0 && seen.insert(ssrc));
            }
        }

        #[test]
        fn session_reference_round_trips(shard in "[A-Za-z0-9_.-]{1,48}", bytes: [u8; 8]) {
            let reference = SessionRef { shard: shard.parse().unwrap(), session: SessionId(bytes) };
            prop_assert_eq!(reference.to_string().parse::<SessionRef>().unwrap(), reference);
        }
    }
}
