//! The routes of what keeps players from harm: what they do themselves, and what moderators and the
//! game's server do in rooms and chat channels.

use super::chat::PLACE;
use super::{Auth, Class, Function, JSON, Route, TOKEN};
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
    function: Function::Safety,
    method: "PUT",
    path: "/v1/rooms/{room}/mutes/{player}",
    summary: "Let nobody hear a player in a room; moderators",
    auth: Auth::Player,
    class: Class::Operate,
    body: Some(JSON),
    status: 204,
    problems: &[TOKEN, PLAYER, WRITE, UNTIL],
};

/// Lets a player be heard again.
pub const ROOM_UNMUTE: Route = Route {
    name: "room-unmute",
    function: Function::Safety,
    method: "DELETE",
    path: "/v1/rooms/{room}/mutes/{player}",
    summary: "Let a player be heard in a room again; moderators",
    auth: Auth::Player,
    class: Class::Operate,
    body: None,
    status: 204,
    problems: &[TOKEN, PLAYER, WRITE],
};

/// Keeps a player out.
pub const ROOM_BAN: Route = Route {
    name: "room-ban",
    function: Function::Safety,
    method: "PUT",
    path: "/v1/rooms/{room}/bans/{player}",
    summary: "Remove a player from a room and keep him out; moderators",
    auth: Auth::Player,
    class: Class::Operate,
    body: Some(JSON),
    status: 204,
    problems: &[TOKEN, PLAYER, WRITE, UNTIL],
};

/// Lets a player in again.
pub const ROOM_UNBAN: Route = Route {
    name: "room-unban",
    function: Function::Safety,
    method: "DELETE",
    path: "/v1/rooms/{room}/bans/{player}",
    summary: "Let a player into a room again; moderators",
    auth: Auth::Player,
    class: Class::Operate,
    body: None,
    status: 204,
    problems: &[TOKEN, PLAYER, WRITE],
};

/// Removes a player.
pub const KICK: Route = Route {
    name: "room-kick",
    function: Function::Safety,
    method: "DELETE",
    path: "/v1/rooms/{room}/players/{player}",
    summary: "Remove a player from a room; he may come back; moderators",
    auth: Auth::Player,
    class: Class::Operate,
    body: None,
    status: 204,
    problems: &[TOKEN, PLAYER],
};

/// Lists who is in a room.
pub const PLAYERS: Route = Route {
    name: "room-players",
    function: Function::Safety,
    method: "GET",
    path: "/v1/rooms/{room}/players",
    summary: "List who is in a room's voice, by ?after=; moderators",
    auth: Auth::Player,
    class: Class::Operate,
    body: None,
    status: 200,
    problems: &[
        TOKEN,
        PLAYER,
        &[
            ProblemKind::CursorInvalid,
            ProblemKind::CommandUnknown,
            ProblemKind::NoLiveRelay,
        ],
    ],
};

/// Lists blocked players.
pub const BLOCKS: Route = Route {
    name: "chat-blocks",
    function: Function::Safety,
    method: "GET",
    path: "/v1/chat/blocks",
    summary: "List the players whom the caller blocked",
    auth: Auth::Seat,
    class: Class::Read,
    body: None,
    status: 200,
    problems: &[TOKEN],
};

/// Blocks a player.
pub const BLOCK: Route = Route {
    name: "chat-block",
    function: Function::Safety,
    method: "PUT",
    path: "/v1/chat/blocks/{player}",
    summary: "Block a player, both ways; at once in the rooms of ?in=, by commas",
    auth: Auth::Seat,
    class: Class::Write,
    body: None,
    status: 204,
    problems: &[
        TOKEN,
        &[
            ProblemKind::NameInvalid,
            ProblemKind::RoomNotGranted,
            ProblemKind::LimitReached,
            ProblemKind::Conflict,
        ],
    ],
};

/// Takes a block back.
pub const UNBLOCK: Route = Route {
    name: "chat-unblock",
    function: Function::Safety,
    method: "DELETE",
    path: "/v1/chat/blocks/{player}",
    summary: "Take a block back; at once in the rooms of ?in=, by commas",
    auth: Auth::Seat,
    class: Class::Write,
    body: None,
    status: 204,
    problems: &[
        TOKEN,
        &[
            ProblemKind::NameInvalid,
            ProblemKind::RoomNotGranted,
            ProblemKind::Conflict,
        ],
    ],
};

/// Mutes a player.
pub const MUTE: Route = Route {
    name: "chat-mute",
    function: Function::Safety,
    method: "PUT",
    path: "/v1/chat/channels/{channel}/mutes/{player}",
    summary: "Mute a player in a channel; moderators only",
    auth: Auth::Player,
    class: Class::Operate,
    body: Some(JSON),
    status: 204,
    problems: &[
        TOKEN,
        PLACE,
        &[
            ProblemKind::BodyInvalid,
            ProblemKind::TextInvalid,
            ProblemKind::TextTooLong,
            ProblemKind::NotModerator,
            ProblemKind::Conflict,
        ],
    ],
};

/// Ends a mute.
pub const UNMUTE: Route = Route {
    name: "chat-unmute",
    function: Function::Safety,
    method: "DELETE",
    path: "/v1/chat/channels/{channel}/mutes/{player}",
    summary: "End a mute; moderators only",
    auth: Auth::Player,
    class: Class::Operate,
    body: None,
    status: 204,
    problems: &[
        TOKEN,
        PLACE,
        &[ProblemKind::NotModerator, ProblemKind::Conflict],
    ],
};

/// Reports a message.
pub const REPORT: Route = Route {
    name: "chat-report",
    function: Function::Safety,
    method: "POST",
    path: "/v1/chat/channels/{channel}/messages/{seq}/report",
    summary: "Report a message, with those around it, to the moderators",
    auth: Auth::Seat,
    class: Class::Write,
    body: Some(JSON),
    status: 201,
    problems: &[
        TOKEN,
        PLACE,
        &[
            ProblemKind::CursorInvalid,
            ProblemKind::UnknownMessage,
            ProblemKind::BodyInvalid,
            ProblemKind::TextInvalid,
            ProblemKind::TextTooLong,
            ProblemKind::TooFast,
            ProblemKind::Conflict,
        ],
    ],
};

/// Reads the reports.
pub const REPORTS: Route = Route {
    name: "chat-reports",
    function: Function::Safety,
    method: "GET",
    path: "/v1/chat/channels/{channel}/reports",
    summary: "Read the reports, newest first; moderators only",
    auth: Auth::Player,
    class: Class::Operate,
    body: None,
    status: 200,
    problems: &[TOKEN, PLACE, &[ProblemKind::NotModerator]],
};

/// Reads what was reported in a region on a day.
pub const REPORT_QUEUE: Route = Route {
    name: "chat-report-queue",
    function: Function::Safety,
    method: "GET",
    path: "/v1/chat/reports",
    summary: "Read what was reported in a region on a day, in any channel, and is not settled",
    auth: Auth::Moderation,
    class: Class::Operate,
    body: None,
    status: 200,
    problems: &[
        TOKEN,
        &[
            ProblemKind::NotModerator,
            ProblemKind::NameInvalid,
            ProblemKind::CursorInvalid,
        ],
    ],
};

/// Takes a report off the queue.
pub const SETTLE_REPORT: Route = Route {
    name: "chat-settle-report",
    function: Function::Safety,
    method: "DELETE",
    path: "/v1/chat/reports/{report}",
    summary: "Take a report off the queue; its channel keeps it",
    auth: Auth::Moderation,
    class: Class::Operate,
    body: None,
    status: 204,
    problems: &[
        TOKEN,
        &[ProblemKind::NotModerator, ProblemKind::NameInvalid],
    ],
};

/// Reads the audit trail.
pub const AUDIT: Route = Route {
    name: "chat-audit",
    function: Function::Safety,
    method: "GET",
    path: "/v1/chat/channels/{channel}/audit",
    summary: "Read who moderated what, newest first; moderators only",
    auth: Auth::Player,
    class: Class::Operate,
    body: None,
    status: 200,
    problems: &[TOKEN, PLACE, &[ProblemKind::NotModerator]],
};

/// Takes a player's tokens back.
pub const REVOKE: Route = Route {
    name: "revoke-player",
    function: Function::Safety,
    method: "PUT",
    path: "/v1/players/{player}/revocation",
    summary: "Take back all tokens of a player issued until now, and end his sessions",
    auth: Auth::Operator,
    class: Class::Operate,
    body: None,
    status: 200,
    problems: &[
        TOKEN,
        &[
            ProblemKind::OperatorOnly,
            ProblemKind::NameInvalid,
            ProblemKind::Conflict,
            ProblemKind::TooFast,
        ],
    ],
};

/// Exports what is kept of a player.
pub const EXPORT: Route = Route {
    name: "chat-export",
    function: Function::Safety,
    method: "GET",
    path: "/v1/chat/players/{player}/data",
    summary: "Export what is kept of a player, step by step with ?next=",
    auth: Auth::Privacy,
    class: Class::Operate,
    body: None,
    status: 200,
    problems: &[
        TOKEN,
        &[
            ProblemKind::NameInvalid,
            ProblemKind::PrivacyOnly,
            ProblemKind::CursorInvalid,
        ],
    ],
};

/// Erases what is kept of a player.
pub const ERASE: Route = Route {
    name: "chat-erase",
    function: Function::Safety,
    method: "DELETE",
    path: "/v1/chat/players/{player}/data",
    summary: "Erase what is kept of a player, step by step with ?next=",
    auth: Auth::Privacy,
    class: Class::Operate,
    body: None,
    status: 200,
    problems: &[
        TOKEN,
        &[
            ProblemKind::NameInvalid,
            ProblemKind::PrivacyOnly,
            ProblemKind::CursorInvalid,
            ProblemKind::Conflict,
        ],
    ],
};
