//! The edge's commands and questions as the core's: the only translation between them.

use std::sync::Arc;

use sfu::{Audience, Author, Command, Crossing, News, Push};
use wire::channel::{ClientMessage, EndReason, RelayMessage};
use wire::chat::ChatEvent;
use wire::control::{ControlCommand, ControlMessage, PushAuthor, PushTarget};
use wire::limits::MAX_HELLO_BLOCKS;
use wire::{RegionName, TopicKey};

use crate::protocol::platform;
use crate::question::Question;

/// Time over which those who are told only that there is something new spread their requests, in
/// milliseconds: nobody costs more than one who polls without a relay.
const NEWS_WITHIN_MS: u32 = 4_000;

/// What the edge wants of a shard.
#[derive(Debug)]
pub enum Wish {
    /// That the core does something.
    Do(Command),
    /// That it says something.
    Tell(Question),
}

fn push(to: Audience, message: String, author: Option<PushAuthor>) -> Push {
    let Instead { news, withheld } = in_place_of(&message).unwrap_or_default();
    Push {
        to,
        message: message.into_bytes().into(),
        author: author.map(written_by),
        news,
        withheld,
    }
}

/// What a message of the edge wants, of a shard of `region`.
pub fn wish(message: ControlMessage, region: &RegionName) -> Wish {
    let at_ms = message.at_ms;
    Wish::Do(match message.command {
        ControlCommand::End {
            session,
            player: of,
            reason,
        } => Command::End {
            session: sfu::SessionId(session.0),
            player: player(of),
            reason: end_reason(reason),
        },
        ControlCommand::Mute {
            room: of,
            player: who,
            until_ms,
        } => Command::Mute {
            room: room(of),
            player: player(who),
            until_ms,
            at_ms,
        },
        ControlCommand::Kick {
            room: of,
            player: who,
        } => Command::Kick {
            room: room(of),
            player: player(who),
            at_ms,
        },
        ControlCommand::Revoke { player: who } => Command::Revoke {
            player: player(who),
            at_ms,
        },
        ControlCommand::Block {
            room: of,
            player: who,
            other,
            blocked,
        } => Command::Block {
            room: room(of),
            player: player(who),
            other: player(other),
            blocked,
            at_ms,
        },
        ControlCommand::Grant { session, hello } => {
            let message = ClientMessage::Hello { sealed: hello };
            let message = serde_json::to_vec(&message).expect("a message has string keys only");
            Command::Hello {
                session: sfu::SessionId(session.0),
                message: message.into(),
            }
        }
        ControlCommand::Push {
            to,
            message,
            author,
        } => Command::Push(push(audience(to, region), message, author)),
        ControlCommand::Players { room: of, after } => {
            return Wish::Tell(Question {
                room: room(of),
                after,
            });
        }
    })
}

/// What is said in place of a message.
#[derive(Default)]
struct Instead {
    /// Where there are too many: its number.
    news: Option<News>,
    /// To whoever may not read it: that it is withheld, so that he looks for nothing there.
    withheld: Option<Arc<[u8]>>,
}

/// What is said in place of a message of a chat channel. Nobody misses who types, or how somebody
/// reacted: the next look at the channel says it.
fn in_place_of(message: &str) -> Option<Instead> {
    let RelayMessage::Chat { channel, event } = RelayMessage::read(message.as_bytes()).ok()? else {
        return None;
    };
    let (number, is_new) = match *event {
        ChatEvent::Posted { message, .. } => (message.seq, true),
        ChatEvent::Changed { message } => (message.seq, false),
        ChatEvent::Fetch { seq, .. } => (seq, false),
        _ => return None,
    };
    let text = |event| -> Arc<[u8]> {
        let (channel, event) = (channel.clone(), Box::new(event));
        let message = serde_json::to_vec(&RelayMessage::Chat { channel, event });
        message.expect("our messages have string keys only").into()
    };
    let news = News {
        number,
        message: text(ChatEvent::Fetch {
            seq: number,
            within_ms: NEWS_WITHIN_MS,
        }),
    };
    let withheld = is_new.then(|| text(ChatEvent::Withheld { seq: number }));
    let news = Some(news);
    Some(Instead { news, withheld })
}

fn written_by(author: PushAuthor) -> Author {
    let crossing = Crossing {
        platform: platform(&author.platform),
        one_platform: author.one_platform,
    };
    let mut blocked: Vec<_> = author.blocked.into_iter().map(player).collect();
    blocked.truncate(MAX_HELLO_BLOCKS);
    Author {
        player: player(author.player),
        crossing: (!author.platform.is_empty()).then_some(crossing),
        blocked,
        blocked_at_ms: author.blocked_at_ms,
    }
}

fn room(key: wire::RoomKey) -> sfu::RoomKey {
    sfu::RoomKey(key.0)
}

fn player(key: wire::PlayerKey) -> sfu::PlayerKey {
    sfu::PlayerKey(key.0)
}

fn audience(to: PushTarget, region: &RegionName) -> Audience {
    let topic = |key: TopicKey| Audience::Topic(sfu::TopicKey(key.0));
    match to {
        PushTarget::Room { room: key } => {
            Audience::Room(room(key), sfu::TopicKey(TopicKey::party(key).0))
        }
        PushTarget::Channel { room: key, channel } => {
            Audience::Channel(room(key), sfu::ChannelKey(channel.0))
        }
        PushTarget::Player {
            room: key,
            player: who,
        } => Audience::Player(room(key), player(who)),
        PushTarget::Topic { topic: key } => topic(key),
        PushTarget::World => topic(TopicKey::world(region)),
    }
}

fn end_reason(reason: EndReason) -> sfu::EndReason {
    match reason {
        EndReason::Left => sfu::EndReason::Left,
        EndReason::Kicked => sfu::EndReason::Kicked,
        EndReason::Replaced => sfu::EndReason::Replaced,
        EndReason::RelayStopping => sfu::EndReason::RelayStopping,
        EndReason::Protocol => sfu::EndReason::Protocol,
        EndReason::Timeout => sfu::EndReason::Timeout,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(event: serde_json::Value) -> String {
        let message = serde_json::json!({
            "type": "chat", "channel": "room~lobby~main", "event": event,
        });
        message.to_string()
    }

    /// What is said in place of a message, as clients read it.
    fn instead(message: &str) -> (Option<(u64, ChatEvent)>, Option<ChatEvent>) {
        let event = |bytes: &[u8]| match RelayMessage::read(bytes) {
            Ok(RelayMessage::Chat { channel, event }) => {
                assert_eq!(channel.to_string(), "room~lobby~main");
                *event
            }
            other => panic!("{other:?}"),
        };
        let Instead { news, withheld } = in_place_of(message).unwrap_or_default();
        let news = news.map(|news| (news.number, event(&news.message)));
        (news, withheld.map(|bytes| event(&bytes)))
    }

    #[test]
    fn the_number_stands_for_a_message_and_nothing_for_what_nobody_misses() {
        let message = serde_json::json!({ "seq": 7, "at_ms": 1, "version": 1, "text": "hello" });
        let fetch = ChatEvent::Fetch {
            seq: 7,
            within_ms: 4_000,
        };
        let posted = serde_json::json!({ "kind": "posted", "message": message, "tail": "t" });
        let withheld = ChatEvent::Withheld { seq: 7 };
        let news = Some((7, fetch));
        assert_eq!(instead(&chat(posted)), (news.clone(), Some(withheld)));
        // Whoever may not read it has its number already.
        let changed = serde_json::json!({ "kind": "changed", "message": message });
        assert_eq!(instead(&chat(changed)), (news.clone(), None));
        let long = serde_json::json!({ "kind": "fetch", "seq": 7 });
        assert_eq!(instead(&chat(long)), (news, None));
        for event in [
            serde_json::json!({ "kind": "typing", "player": "ann" }),
            serde_json::json!({ "kind": "of a later release" }),
        ] {
            assert_eq!(instead(&chat(event)), (None, None));
        }
        assert_eq!(instead("{}"), (None, None));
    }
}
