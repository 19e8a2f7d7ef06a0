//! Messages from the edge to a relay's control endpoint, sealed with the shard's key.
//!
//! They are the fast path. The truth is in the store, from where it goes into the next ticket and
//! hello; pushed messages have a number by which a client notices that it missed one; and each
//! command may come twice, late, or before the player whom it names: of two of one kind the later
//! one counts, and what is younger than a ticket holds for whoever comes with it.

use serde::{Deserialize, Serialize};

use crate::channel::EndReason;
use crate::ids::{BootId, ChannelKey, PlayerKey, RoomKey, SessionId, TopicKey};
use crate::keys::ControlKey;
use crate::limits::{MAX_ANSWER_BYTES, MAX_MESSAGE_BYTES, MAX_PENDING_COMMANDS, MAX_ROOM_PLAYERS};
use crate::moderation::{RoomPlayer, RoomPlayers};
use crate::seal::{NotSealedForUs, open, seal, unseal};

/// Path of the control endpoint on a relay; the request body is the sealed text.
pub const CONTROL_PATH: &str = "/v1/control";
/// Header that says which shard of the relay is meant.
pub const SHARD_HEADER: &str = "lv-shard";

/// A control message. The relay refuses one that is older or newer than
/// [`crate::limits::MAX_CLOCK_SKEW_MS`], and one whose nonce it has seen in that time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlMessage {
    /// When it was sealed, Unix milliseconds.
    pub at_ms: u64,
    /// Random, 16 hex digits.
    pub nonce: SessionId,
    /// What to do.
    pub command: ControlCommand,
}

/// What the edge may ask of a shard. A relay tells one that it does not know (`command-unknown`)
/// from a wrong seal, so that releases can be mixed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum ControlCommand {
    /// End one session of one player. Another player's session is left alone.
    End {
        /// The session.
        session: SessionId,
        /// Whose it must be.
        player: PlayerKey,
        /// What the client is told.
        reason: EndReason,
    },
    /// Let nobody hear a player in a room, whatever he does; or let him be heard again.
    Mute {
        /// The room.
        room: RoomKey,
        /// The player.
        player: PlayerKey,
        /// Until when, Unix milliseconds; none to let him be heard.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until_ms: Option<u64>,
    },
    /// Remove a player from a room. A ticket from before does not bring him back.
    Kick {
        /// The room.
        room: RoomKey,
        /// The player.
        player: PlayerKey,
    },
    /// Remove a player from all rooms of the shard: the game took his tokens back. A ticket from
    /// before does not bring him back.
    Revoke {
        /// The player.
        player: PlayerKey,
    },
    /// Let two players of a room not hear each other, in either direction; or let them again.
    Block {
        /// The room.
        room: RoomKey,
        /// Who blocks.
        player: PlayerKey,
        /// Whom.
        other: PlayerKey,
        /// Whether he does.
        blocked: bool,
    },
    /// Give a session another hello: other channels, permissions, name.
    Grant {
        /// The session.
        session: SessionId,
        /// A [`crate::hello::Hello`], sealed; it counts if it is newer than the last.
        hello: String,
    },
    /// Hand a message to participants over the data channel, as it is. One who has let too much
    /// pile up does not get it.
    Push {
        /// To whom.
        to: PushTarget,
        /// A [`crate::channel::RelayMessage`] as JSON, at most
        /// [`crate::limits::MAX_MESSAGE_BYTES`] long.
        message: String,
    },
    /// Say who is in a room: a question, whose answer is [`seal_players`]. It is never kept for
    /// later.
    Players {
        /// The room.
        room: RoomKey,
        /// Those with a number in the room above this one.
        after: u32,
    },
}

/// Who gets a pushed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "who", rename_all = "kebab-case")]
pub enum PushTarget {
    /// Everybody in a room.
    Room {
        /// The room.
        room: RoomKey,
    },
    /// Everybody in a channel of a room.
    Channel {
        /// The room.
        room: RoomKey,
        /// The channel.
        channel: ChannelKey,
    },
    /// One player in a room.
    Player {
        /// The room.
        room: RoomKey,
        /// The player.
        player: PlayerKey,
    },
    /// Every participant of the shard who has subscribed to a topic.
    Topic {
        /// The topic.
        topic: TopicKey,
    },
    /// Every participant of the shard who reads the world channel of its region: what relays
    /// understand that read tickets of version 1 alone.
    World,
}

impl ControlMessage {
    /// Seals the message for the shard that holds `key` and runs as `boot`.
    pub fn seal(&self, key: &impl AsRef<ControlKey>, boot: BootId) -> String {
        seal(&key.as_ref().0, &[b"control", &boot.0], self)
    }

    /// Opens a message; the caller checks time and nonce.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub fn open(
        sealed: &str,
        key: &impl AsRef<ControlKey>,
        boot: BootId,
    ) -> Result<Self, NotTaken> {
        let context: [&[u8]; 2] = [b"control", &boot.0];
        let plain = unseal(&key.as_ref().0, &context, sealed, MAX_MESSAGE_BYTES);
        let plain = plain.map_err(|NotSealedForUs| NotTaken::Seal)?;
        serde_json::from_slice(&plain).map_err(|_| NotTaken::Unknown)
    }
}

/// A command of which the edge does not know that it arrived, as it is kept and handed over in the
/// reply to a heartbeat: of any release, so whoever keeps it does not read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingCommand {
    /// When it was first sealed, Unix milliseconds. It stays, so that a late command is known as
    /// one.
    pub at_ms: u64,
    /// That of the message that did not arrive; a heartbeat names it when the shard has it.
    pub nonce: SessionId,
    /// A [`ControlCommand`].
    pub command: serde_json::Value,
}

impl PendingCommand {
    /// The message as it was posted.
    ///
    /// # Errors
    /// [`NotTaken::Unknown`] when it says what this version does not know.
    pub fn message(&self) -> Result<ControlMessage, NotTaken> {
        let command = ControlCommand::deserialize(&self.command);
        Ok(ControlMessage {
            at_ms: self.at_ms,
            nonce: self.nonce,
            command: command.map_err(|_| NotTaken::Unknown)?,
        })
    }
}

impl From<&ControlMessage> for PendingCommand {
    fn from(message: &ControlMessage) -> Self {
        let command = serde_json::to_value(&message.command);
        Self {
            at_ms: message.at_ms,
            nonce: message.nonce,
            command: command.expect("our messages have string keys only"),
        }
    }
}

/// Seals the commands that a reply to the heartbeat of `sent_at_ms` hands over.
pub fn seal_pending(
    pending: &[PendingCommand],
    key: &impl AsRef<ControlKey>,
    boot: BootId,
    sent_at_ms: u64,
) -> String {
    assert!(
        pending.len() <= MAX_PENDING_COMMANDS,
        "no more are kept, and more would not open"
    );
    let heartbeat = sent_at_ms.to_be_bytes();
    seal(
        &key.as_ref().0,
        &[b"pending", &boot.0, &heartbeat],
        &pending,
    )
}

/// Opens what the reply to the heartbeat of `sent_at_ms` hands over, and to no other: nobody can
/// hand it over again.
///
/// # Errors
/// [`NotSealedForUs`] when it was made for another shard, boot or heartbeat, or changed.
pub fn open_pending(
    sealed: &str,
    key: &impl AsRef<ControlKey>,
    boot: BootId,
    sent_at_ms: u64,
) -> Result<Vec<PendingCommand>, NotSealedForUs> {
    let heartbeat = sent_at_ms.to_be_bytes();
    open(&key.as_ref().0, &[b"pending", &boot.0, &heartbeat], sealed)
}

/// The first of a room's participants that fit into one answer; they come in order of their
/// numbers.
pub fn page_of(all: impl IntoIterator<Item = RoomPlayer>) -> RoomPlayers {
    // The frame around the participants, its longest `next` included.
    let mut left = MAX_ANSWER_PLAIN_BYTES - r#"{"players":[],"next":4294967295}"#.len();
    let mut page = RoomPlayers::default();
    for player in all {
        let text = serde_json::to_vec(&player).expect("our messages have string keys only");
        // And the comma.
        let fits = left.checked_sub(text.len() + 1);
        match (fits, page.players.last()) {
            (Some(rest), _) if page.players.len() < MAX_ROOM_PLAYERS => left = rest,
            (_, last) => {
                page.next = last.map(|last| last.participant.id);
                break;
            }
        }
        page.players.push(player);
    }
    page
}

/// Longest content of a sealed answer, in bytes: base64 and the seal's 16 make it longer.
const MAX_ANSWER_PLAIN_BYTES: usize = MAX_ANSWER_BYTES / 4 * 3 - 16;

/// Seals the answer to the question of `nonce`, from the shard that holds `key` and runs as
/// `boot`. It is at most [`MAX_ANSWER_BYTES`] long if it is a [`page_of`] the room.
pub fn seal_players(
    answer: &RoomPlayers,
    key: &impl AsRef<ControlKey>,
    boot: BootId,
    nonce: SessionId,
) -> String {
    seal(&key.as_ref().0, &[b"players", &boot.0, &nonce.0], answer)
}

/// Opens the answer to the question of `nonce`, and to no other: nobody can give it again.
///
/// # Errors
/// [`NotSealedForUs`] when it is of another shard, boot or question, changed, or too long.
pub fn open_players(
    sealed: &str,
    key: &impl AsRef<ControlKey>,
    boot: BootId,
    nonce: SessionId,
) -> Result<RoomPlayers, NotSealedForUs> {
    let context: [&[u8]; 3] = [b"players", &boot.0, &nonce.0];
    let plain = unseal(&key.as_ref().0, &context, sealed, MAX_ANSWER_BYTES)?;
    let answer: RoomPlayers = serde_json::from_slice(&plain).map_err(|_| NotSealedForUs)?;
    match answer.players.len() <= MAX_ROOM_PLAYERS {
        true => Ok(answer),
        false => Err(NotSealedForUs),
    }
}

/// Seals any JSON as a control message is sealed: what an edge of another release may send, for
/// tests of those who must cope with it.
pub fn seal_json(
    message: &serde_json::Value,
    key: &impl AsRef<ControlKey>,
    boot: BootId,
) -> String {
    seal(&key.as_ref().0, &[b"control", &boot.0], message)
}

/// Why a control message is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// It was made for another shard or boot, or changed.
    Seal,
    /// It is the edge's, and says what this version does not know.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::Participant;
    use crate::keys::ShardKey;

    #[test]
    fn as_many_as_are_kept_fit_into_a_reply_and_open_for_its_heartbeat_only() {
        let keys = ShardKey::new(0, [1; 32]).subkeys();
        let boot = BootId([2; 8]);
        let message = |n: u8| ControlMessage {
            at_ms: u64::MAX,
            nonce: SessionId([n; 8]),
            command: ControlCommand::Block {
                room: RoomKey([n; 8]),
                player: PlayerKey([n; 16]),
                other: PlayerKey([n; 16]),
                blocked: false,
            },
        };
        let pending: Vec<PendingCommand> = (0..MAX_PENDING_COMMANDS as u8)
            .map(|n| PendingCommand::from(&message(n)))
            .collect();
        let sealed = seal_pending(&pending, &keys, boot, 7);
        let opened = open_pending(&sealed, &keys, boot, 7).unwrap();
        assert_eq!(opened[5].message(), Ok(message(5)));
        assert_eq!(opened, pending);
        assert_eq!(open_pending(&sealed, &keys, boot, 8), Err(NotSealedForUs));
        assert_eq!(
            open_pending(&sealed, &keys, BootId([3; 8]), 7),
            Err(NotSealedForUs)
        );
        let posted = message(1).seal(&keys, boot);
        assert_eq!(open_pending(&posted, &keys, boot, 7), Err(NotSealedForUs));
    }

    fn player(id: u32, name: &str) -> RoomPlayer {
        RoomPlayer {
            participant: Participant {
                id,
                player: Some("p".parse().unwrap()),
                name: name.to_owned(),
                channels: vec!["c".parse().unwrap(); 3],
                muted: true,
                server_muted: true,
                deafened: true,
                speaker: true,
            },
            session: SessionId([9; 8]),
            talking: true,
            since_ms: u64::MAX,
        }
    }

    #[test]
    fn an_answer_opens_for_its_question_only() {
        let keys = ShardKey::new(0, [1; 32]).subkeys();
        let (boot, nonce) = (BootId([2; 8]), SessionId([3; 8]));
        let answer = page_of([player(1, "ann"), player(2, "bob")]);
        assert_eq!((answer.players.len(), answer.next), (2, None));
        let sealed = seal_players(&answer, &keys, boot, nonce);
        assert_eq!(open_players(&sealed, &keys, boot, nonce), Ok(answer));
        let other_keys = ShardKey::new(0, [4; 32]).subkeys();
        let question = ControlMessage {
            at_ms: 1,
            nonce,
            command: ControlCommand::Players {
                room: RoomKey([5; 8]),
                after: 0,
            },
        };
        let refused = [
            open_players(&sealed, &other_keys, boot, nonce),
            open_players(&sealed, &keys, BootId([4; 8]), nonce),
            open_players(&sealed, &keys, boot, SessionId([4; 8])),
            open_players(&sealed[1..], &keys, boot, nonce),
            open_players(&question.seal(&keys, boot), &keys, boot, nonce),
            open_players(&"A".repeat(MAX_ANSWER_BYTES + 1), &keys, boot, nonce),
            open_players("", &keys, boot, nonce),
        ];
        assert!(refused.iter().all(|one| *one == Err(NotSealedForUs)));
    }

    #[test]
    fn more_than_a_page_in_an_answer_is_not_taken() {
        let keys = ShardKey::new(0, [1; 32]).subkeys();
        let (boot, nonce) = (BootId([2; 8]), SessionId([3; 8]));
        let players = (0..=MAX_ROOM_PLAYERS as u32).map(|id| player(id, "x"));
        let mut answer = RoomPlayers {
            players: players.collect(),
            next: None,
        };
        let open = |answer: &RoomPlayers| {
            open_players(
                &seal_players(answer, &keys, boot, nonce),
                &keys,
                boot,
                nonce,
            )
        };
        assert_eq!(open(&answer), Err(NotSealedForUs));
        answer.players.pop();
        assert_eq!(open(&answer), Ok(answer));
    }

    #[test]
    fn pages_are_full_fit_and_leave_nobody_out() {
        let keys = ShardKey::new(0, [1; 32]).subkeys();
        let (boot, nonce) = (BootId([2; 8]), SessionId([3; 8]));
        // The longest names are those whose characters JSON escapes.
        for (name, fewest) in [("ann", MAX_ROOM_PLAYERS), (&*"\u{1}".repeat(64), 500)] {
            let all: Vec<RoomPlayer> = (1..=2_500).map(|id| player(id, name)).collect();
            let mut seen = Vec::new();
            loop {
                let after = seen.len();
                let page = page_of(all[after..].iter().cloned());
                let sealed = seal_players(&page, &keys, boot, nonce);
                assert!(sealed.len() <= MAX_ANSWER_BYTES, "{}", sealed.len());
                seen.extend(page.players);
                let Some(next) = page.next else {
                    break;
                };
                assert_eq!(next as usize, seen.len(), "the number of the last");
                assert!(seen.len() - after >= fewest);
            }
            assert_eq!(seen, all);
        }
    }

    #[test]
    fn one_that_is_not_known_does_not_hide_the_others() {
        let novel = PendingCommand {
            at_ms: 5,
            nonce: SessionId([1; 8]),
            command: serde_json::json!({ "do": "levitate" }),
        };
        assert_eq!(novel.message(), Err(NotTaken::Unknown));
    }

    #[test]
    fn what_is_genuine_and_not_known_is_told_from_a_wrong_seal() {
        let keys = ShardKey::new(0, [1; 32]).subkeys();
        let boot = BootId([2; 8]);
        let novel = serde_json::json!({
            "at_ms": 5, "nonce": "0101010101010101", "command": { "do": "levitate" },
        });
        let sealed = seal_json(&novel, &keys, boot);
        let open = |boot| ControlMessage::open(&sealed, &keys, boot);
        assert_eq!(open(boot), Err(NotTaken::Unknown));
        assert_eq!(open(BootId([3; 8])), Err(NotTaken::Seal));
    }
}
