//! The edge's commands and questions as the core's: the only translation between them.

use std::sync::Arc;

use sfu::{Audience, Author, Command, Crossing, News, Push};
use wire::channel::{ClientMessage, EndReason, RelayMessage};
use wire::chat::{ChatEvent, MAX_WAIT_S};
use wire::control::{ControlCommand, ControlMessage, PushAuthor, PushTarget};
use wire::limits::MAX_HELLO_BLOCKS;
use wire::{RegionName, TopicKey};

use crate::protocol::platform;
use crate::question::Question;

/// Time over which those who are told only that there is something new spread their requests, in
/// milliseconds: as long as the edge lets a request wait that asks for it without a relay, so that
/// nobody costs more than one of those does.
const NEWS_WITHIN_MS: u32 = MAX_WAIT_S as u32 * 1000;

/// What the edge wants of a shard.
#[derive(Debug)]
pub(crate) enum Wish {
    /// That the core does something.
    Do(Command),
    /// That it says something.
    Tell(Question),
}

/// What a message of the edge wants, of a shard of `region`.
pub(crate) fn wish(message: ControlMessage, region: &RegionName) -> Wish {
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
        } => {
            let (news, withheld) = in_place_of(&message).unwrap_or_default();
            Command::Push(Push {
                to: audience(to, region),
                message: message.into_bytes().into(),
                author: author.map(written_by),
                news,
                withheld,
            })
        }
        ControlCommand::Players { room: of, after } => {
            return Wish::Tell(Question {
                room: room(of),
                after,
            });
        }
    })
}

/// What is said in place of a message of a chat channel: its number where there are too many, and
/// that it is withheld to whoever may not read it, so that he looks for nothing there. Nobody misses
/// who types, or how somebody reacted: the next look at the channel says it.
fn in_place_of(message: &str) -> Option<(Option<News>, Option<Arc<[u8]>>)> {
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
    Some((Some(news), withheld))
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
