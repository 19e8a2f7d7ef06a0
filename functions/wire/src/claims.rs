//! Claims of a player token (JWT, RFC 7519) and what they grant.

use serde::{Deserialize, Serialize};

use crate::ids::{ChannelName, PlayerId, RESERVED_ROOMS, RoomName};
use crate::ticket::Permissions;

/// The claims that functions read. Unknown claims are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Claims {
    /// The player.
    pub sub: PlayerId,
    /// Who the token is for; must equal the configured audience.
    pub aud: String,
    /// First second (Unix time) at which it is no longer valid (RFC 7519, section 4.1.4).
    pub exp: u64,
    /// First second of validity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// When it was issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iat: Option<u64>,
    /// Display name, up to 64 characters; shown to others in the room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who plays, and on what: what the policy table goes by.
    #[serde(default, skip_serializing_if = "Profile::is_empty")]
    pub profile: Profile,
    /// Set for people and machines who run the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Rooms that the player may join.
    #[serde(default)]
    pub grants: Vec<Grant>,
}

/// A role beyond being a player.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// May list and drain relays.
    Operator,
    /// May export and erase what is kept of a player.
    Privacy,
    /// Keeps order in the whole game: works off what players report, wherever it was said.
    Moderator,
    /// Helps players: the same.
    Support,
    /// A server of the game: queues players, takes their results, fills running matches.
    GameServer,
}

/// What a token says of the player, for the policy table. What it leaves out, the table fills in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Profile {
    /// Age group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age: Option<Age>,
    /// Part that the player has in the game.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persona: Option<Persona>,
    /// What he plays on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Whether he plays and talks with other platforms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cross_play: Option<bool>,
}

impl Profile {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Age group, as the law and the game see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Age {
    /// A child.
    Child,
    /// A teenager.
    Teen,
    /// An adult.
    Adult,
}

/// A player's part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Persona {
    /// Plays.
    Player,
    /// Keeps order.
    Moderator,
    /// Plays in front of an audience.
    Streamer,
    /// Helps players.
    Support,
}

/// What a player plays on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Platform {
    /// A personal computer.
    Pc,
    /// A console.
    Console,
    /// A telephone or tablet.
    Mobile,
    /// A headset.
    Vr,
    /// A browser.
    Web,
}

impl Platform {
    /// As tokens spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pc => "pc",
            Self::Console => "console",
            Self::Mobile => "mobile",
            Self::Vr => "vr",
            Self::Web => "web",
        }
    }
}

/// What a player may do in the rooms that a pattern names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Grant {
    /// A room name, or a prefix ended by `*`. `direct` and `world` are named in full only.
    pub room: String,
    /// Channel names; a name may be a prefix ended by `*`.
    pub channels: Vec<String>,
    /// What is allowed there.
    pub permissions: Vec<Permission>,
}

/// One permission of a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    /// Be heard.
    Speak,
    /// Hear others.
    Listen,
    /// Mute and remove others.
    Moderate,
    /// Write text. Who is granted anything in a channel may read it.
    Chat,
}

impl From<Permission> for Permissions {
    fn from(permission: Permission) -> Self {
        match permission {
            Permission::Speak => Self::SPEAK,
            Permission::Listen => Self::LISTEN,
            Permission::Moderate => Self::MODERATE,
            Permission::Chat => Self::CHAT,
        }
    }
}

impl Claims {
    /// Whether any grant names `room`.
    pub fn grants_room(&self, room: &RoomName) -> bool {
        self.grants
            .iter()
            .any(|grant| grant.names_room(room.as_str()))
    }

    /// Whether he may sanction players of `room`: by a grant that moderates all its channels, or as
    /// the game's server.
    pub fn moderates(&self, room: &RoomName) -> bool {
        let moderates = |grant: &Grant| {
            grant.names_room(room.as_str())
                && grant.channels.iter().any(|channel| channel == "*")
                && grant.permissions.contains(&Permission::Moderate)
        };
        self.role == Some(Role::GameServer) || self.grants.iter().any(moderates)
    }

    /// The union of what all grants allow in `channel` of `room`; empty when nothing is granted.
    pub fn permissions(&self, room: &RoomName, channel: &ChannelName) -> Permissions {
        self.permissions_in(room.as_str(), channel.as_str())
    }

    /// As [`Claims::permissions`], for names that are not a voice channel's: the players and
    /// regions of [`crate::chat`].
    pub fn permissions_in(&self, room: &str, channel: &str) -> Permissions {
        self.grants
            .iter()
            .filter(|grant| grant.names_room(room))
            .filter(|grant| grant.channels.iter().any(|c| matches_pattern(c, channel)))
            .flat_map(|grant| grant.permissions.iter().copied())
            .fold(Permissions::default(), |all, one| all.with(one.into()))
    }
}

impl Grant {
    /// A prefix is meant for rooms: whoever may be in all of them may not write to all players.
    fn names_room(&self, room: &str) -> bool {
        if RESERVED_ROOMS.contains(&room) {
            return self.room == room;
        }
        matches_pattern(&self.room, room)
    }
}

/// `pattern` is a name, or a prefix ended by `*`.
fn matches_pattern(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(grants: Vec<Grant>) -> Claims {
        Claims {
            sub: "p1".parse().unwrap(),
            aud: "a".into(),
            exp: 1,
            nbf: None,
            iat: None,
            name: None,
            profile: Profile::default(),
            role: None,
            grants,
        }
    }

    #[test]
    fn grants_add_up_and_patterns_match_prefixes_only() {
        let grant = |room: &str, channels: &[&str], permissions: &[Permission]| Grant {
            room: room.into(),
            channels: channels.iter().map(|c| (*c).to_owned()).collect(),
            permissions: permissions.to_vec(),
        };
        let claims = claims(vec![
            grant("guild-*", &["main"], &[Permission::Listen]),
            grant("guild-7", &["*"], &[Permission::Speak]),
        ]);
        let permissions = |room: &str, channel: &str| {
            claims.permissions(&room.parse().unwrap(), &channel.parse().unwrap())
        };
        let both = Permissions::SPEAK.with(Permissions::LISTEN);
        assert_eq!(permissions("guild-7", "main"), both);
        assert_eq!(permissions("guild-8", "main"), Permissions::LISTEN);
        assert_eq!(permissions("guild-8", "officers"), Permissions::default());
        assert_eq!(permissions("lobby", "main"), Permissions::default());
        assert!(claims.grants_room(&"guild-8".parse().unwrap()));
        assert!(!claims.grants_room(&"aguild-8".parse().unwrap()));
    }

    #[test]
    fn direct_messages_and_worlds_are_granted_by_their_full_name_only() {
        for (pattern, direct, world, room) in [
            ("*", false, false, true),
            ("d*", false, false, false),
            ("direct*", false, false, false),
            ("direct", true, false, false),
            ("world", false, true, false),
            ("world*", false, false, false),
            ("lob*", false, false, true),
        ] {
            let claims = claims(vec![Grant {
                room: pattern.into(),
                channels: vec!["*".into()],
                permissions: vec![Permission::Chat],
            }]);
            let granted = ["direct", "world", "lobby"]
                .map(|room| claims.permissions_in(room, "x").contains(Permissions::CHAT));
            assert_eq!(granted, [direct, world, room], "{pattern}");
        }
    }
}
