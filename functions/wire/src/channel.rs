//! Messages on the data channel: UTF-8 JSON objects with a `type`, at most
//! [`crate::limits::MAX_MESSAGE_BYTES`] long. Both sides ignore unknown types and fields.

use serde::{Deserialize, Serialize};

use crate::chat::{ChatChannel, ChatEvent};
use crate::ids::{ChannelName, PlayerId, RoomName};

/// Label of the data channel (RFC 8832) that the client opens; ordered and reliable.
pub const LABEL: &str = "lv";
/// Label of a second one that a client may open, for positions: unordered, nothing is sent again.
pub const POSITIONS_LABEL: &str = "lv-pos";

/// From a client to its relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ClientMessage {
    /// First message: the sealed hello of the join reply.
    Hello {
        /// The text, unchanged.
        sealed: String,
    },
    /// Asks for a pong; sent every second, which is how a client notices a dead relay.
    Ping {
        /// Returned in the pong.
        id: u32,
    },
    /// What the player has set for himself. The relay enforces both.
    State {
        /// Be silent for all.
        muted: bool,
        /// Hear nobody.
        deafened: bool,
    },
    /// Ends the session in good order.
    Leave,
    /// A type that this version does not know; ignored.
    #[serde(other)]
    Unknown,
}

/// From a relay to a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum RelayMessage {
    /// Answer to the hello: who you are and who is here. It comes again after a later hello; what
    /// was said before is void then.
    Welcome {
        /// Your number in the room.
        participant: u32,
        /// The room.
        room: RoomName,
        /// Number of slots.
        slots: u8,
        /// Everybody in the room, you included; in a large room you, those with whom you share a
        /// small channel, and those who talked last.
        participants: Vec<Participant>,
        /// How many are in the room, when it is or was too large to name all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        count: Option<u32>,
    },
    /// Changes of the room's roster since the last message.
    Roster {
        /// New participants.
        #[serde(default)]
        joined: Vec<Participant>,
        /// Numbers of those who left, or are not named any more. Your own means nothing: you are
        /// there.
        #[serde(default)]
        left: Vec<u32>,
        /// Participants whose entry changed.
        #[serde(default)]
        changed: Vec<Participant>,
        /// How many are in the room now, when it is or was too large to name all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        count: Option<u32>,
    },
    /// Who is in which slot now; only slots that changed are named.
    Slots {
        /// The changes.
        slots: Vec<SlotState>,
    },
    /// Who started and stopped talking.
    Speaking {
        /// Numbers of those who started.
        #[serde(default)]
        started: Vec<u32>,
        /// Numbers of those who stopped.
        #[serde(default)]
        stopped: Vec<u32>,
    },
    /// Answer to a ping.
    Pong {
        /// Of the ping.
        id: u32,
    },
    /// How well you are heard and hear, as it was lately; said when it has changed, every 2.5 s at
    /// most. Relays before this message say nothing, clients before it ignore it.
    Quality {
        /// From you to the relay; absent until you have said enough to tell.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        up: Option<Way>,
        /// From the relay to you, by your own receiver reports; absent until you were sent enough.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        down: Option<Way>,
        /// There and back, milliseconds; absent while it is not known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rtt_ms: Option<u16>,
        /// What those lose who hear you, on their own way from the relay, per mille, on average;
        /// absent while it is not known. For the sender's choice of redundancy.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        listeners_lost_permille: Option<u16>,
    },
    /// The relay is going away in good order: join again through the edge now, and keep this
    /// connection until the new one carries voice.
    Migrate,
    /// Something happened in a chat channel; the edge sent it.
    Chat {
        /// The channel, as the receiver addresses it.
        channel: ChatChannel,
        /// What.
        event: Box<ChatEvent>,
    },
    /// The session is over.
    Ended {
        /// Why.
        reason: EndReason,
    },
    /// A type that this version does not know; ignored.
    #[serde(other)]
    Unknown,
}

/// One entry of the roster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Participant {
    /// Number in the room; not reused while the room lives.
    pub id: u32,
    /// Player id; absent for a session that sent no hello (WHIP).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub player: Option<PlayerId>,
    /// Display name; empty for a session that sent no hello.
    pub name: String,
    /// Channels by name; empty for a session that sent no hello.
    pub channels: Vec<ChannelName>,
    /// Muted by himself.
    pub muted: bool,
    /// Silenced by a moderator or the game's server.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub server_muted: bool,
    /// Deafened by himself.
    pub deafened: bool,
    /// May speak.
    pub speaker: bool,
}

/// One slot of a listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SlotState {
    /// The n-th receiving audio m-line of the offer, from 0.
    pub slot: u8,
    /// Who is heard there; none when it is free.
    pub participant: Option<u32>,
    /// Through which of the receiver's channels. It may be more than one: this is the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelName>,
}

/// How well voice comes through one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Way {
    /// Packets lost, per mille.
    pub lost_permille: u16,
    /// Frames lost for good, per mille: what no repetition made good.
    pub concealed_permille: u16,
    /// Interarrival jitter (RFC 3550), milliseconds.
    pub jitter_ms: u16,
    /// R of the wideband E-model (ITU-T G.107.1), 0 to 100; an estimate.
    pub rating: u8,
    /// The mean opinion score that belongs to it, hundredths: 100 to 450.
    pub mos_centi: u16,
}

/// Why a session ended. The variants are also the metric's labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum EndReason {
    /// The client left.
    Left,
    /// A moderator or the game removed the player.
    Kicked,
    /// The same player joined the room again.
    Replaced,
    /// The relay stops.
    RelayStopping,
    /// The client broke the protocol.
    Protocol,
    /// Nothing was heard from the client.
    Timeout,
}

impl ClientMessage {
    /// Reads a message from the network; an unknown type is [`ClientMessage::Unknown`].
    ///
    /// # Errors
    /// When it is not a JSON object of this shape.
    pub fn read(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

impl RelayMessage {
    /// Reads a message from the network; an unknown type is [`RelayMessage::Unknown`].
    ///
    /// # Errors
    /// When it is not a JSON object of this shape.
    pub fn read(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_types_and_fields_are_ignored() {
        let read = |text: &str| ClientMessage::read(text.as_bytes());
        let novel = r#"{"type":"wave","hand":"left"}"#;
        assert_eq!(read(novel).unwrap(), ClientMessage::Unknown);
        let extra = r#"{"type":"ping","id":7,"colour":"red"}"#;
        assert_eq!(read(extra).unwrap(), ClientMessage::Ping { id: 7 });
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"type":"ping"}"#,
            r#"{"type":"ping","id":-1}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
