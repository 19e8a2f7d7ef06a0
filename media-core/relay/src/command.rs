//! The edge's commands and questions as the core's: the only translation between them.

use sfu::{Audience, Command};
use wire::channel::{ClientMessage, EndReason};
use wire::control::{ControlCommand, ControlMessage, PushTarget};
use wire::{RegionName, TopicKey};

use crate::question::Question;

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
        ControlCommand::Push { to, message } => Command::Push {
            to: audience(to, region),
            message: message.into_bytes().into(),
        },
        ControlCommand::Players { room: of, after } => {
            return Wish::Tell(Question {
                room: room(of),
                after,
            });
        }
    })
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
        PushTarget::Room { room: key } => Audience::Room(room(key)),
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
