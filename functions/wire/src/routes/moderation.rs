//! What moderators and the game's server do to players in rooms.

use super::{Auth, Function, JSON, Route, TOKEN};
use crate::problem::ProblemKind;

/// Refusals of whoever names a player of a room.
const PLAYER: &[ProblemKind] = &[ProblemKind::NameInvalid, ProblemKind::NotModerator];
/// Of whoever changes what holds.
const WRITE: &[ProblemKind] = &[ProblemKind::Conflict];
/// Of whoever says until when.
const UNTIL: &[ProblemKind] = &[ProblemKind::BodyInvalid, ProblemKind::LimitReached];

/// Silences a player.
pub const ROOM_MUTE: Route = Route {
    name: "room-mute",
    function: Function::Signalling,
    method: "PUT",
    path: "/v1/rooms/{room}/mutes/{player}",
    summary: "Let nobody hear a player in a room; moderators",
    auth: Auth::Player,
    body: Some(JSON),
    status: 204,
    problems: &[TOKEN, PLAYER, WRITE, UNTIL],
};

/// Lets a player be heard again.
pub const ROOM_UNMUTE: Route = Route {
    name: "room-unmute",
    function: Function::Signalling,
    method: "DELETE",
    path: "/v1/rooms/{room}/mutes/{player}",
    summary: "Let a player be heard in a room again; moderators",
    auth: Auth::Player,
    body: None,
    status: 204,
    problems: &[TOKEN, PLAYER, WRITE],
};

/// Keeps a player out.
pub const ROOM_BAN: Route = Route {
    name: "room-ban",
    function: Function::Signalling,
    method: "PUT",
    path: "/v1/rooms/{room}/bans/{player}",
    summary: "Remove a player from a room and keep him out; moderators",
    auth: Auth::Player,
    body: Some(JSON),
    status: 204,
    problems: &[TOKEN, PLAYER, WRITE, UNTIL],
};

/// Lets a player in again.
pub const ROOM_UNBAN: Route = Route {
    name: "room-unban",
    function: Function::Signalling,
    method: "DELETE",
    path: "/v1/rooms/{room}/bans/{player}",
    summary: "Let a player into a room again; moderators",
    auth: Auth::Player,
    body: None,
    status: 204,
    problems: &[TOKEN, PLAYER, WRITE],
};

/// Removes a player.
pub const KICK: Route = Route {
    name: "room-kick",
    function: Function::Signalling,
    method: "DELETE",
    path: "/v1/rooms/{room}/players/{player}",
    summary: "Remove a player from a room; he may come back; moderators",
    auth: Auth::Player,
    body: None,
    status: 204,
    problems: &[TOKEN, PLAYER],
};
