//! The routes of text chat.

use super::{Auth, Class, Function, JSON, Route, TOKEN};
use crate::problem::ProblemKind;

/// Refusals of whoever names a channel.
pub(super) const PLACE: &[ProblemKind] = &[
    ProblemKind::NameInvalid,
    ProblemKind::ChannelNotGranted,
    ProblemKind::PolicyRefused,
];

/// Sends a message.
pub const POST: Route = Route {
    name: "chat-post",
    function: Function::Chat,
    method: "POST",
    path: "/v1/chat/channels/{channel}/messages",
    summary: "Send a message",
    auth: Auth::Seat,
    class: Class::Write,
    body: Some(JSON),
    status: 201,
    problems: &[
        TOKEN,
        PLACE,
        &[
            ProblemKind::BodyInvalid,
            ProblemKind::TextInvalid,
            ProblemKind::TextTooLong,
            ProblemKind::LinkRefused,
            ProblemKind::WordRefused,
            ProblemKind::Muted,
            ProblemKind::Blocked,
            ProblemKind::ChannelLocked,
            ProblemKind::NotModerator,
            ProblemKind::TooFast,
            ProblemKind::Conflict,
        ],
    ],
};

/// Reads messages.
pub const HISTORY: Route = Route {
    name: "chat-history",
    function: Function::Chat,
    method: "GET",
    path: "/v1/chat/channels/{channel}/messages",
    summary: "Read messages: ?after= or ?before= a number, ?limit=, ?wait= seconds for the next",
    auth: Auth::Seat,
    class: Class::Poll,
    body: None,
    status: 200,
    problems: &[TOKEN, PLACE, &[ProblemKind::CursorInvalid]],
};

/// Edits a message.
pub const EDIT: Route = Route {
    name: "chat-edit",
    function: Function::Chat,
    method: "PATCH",
    path: "/v1/chat/channels/{channel}/messages/{seq}",
    summary: "Edit an own message",
    auth: Auth::Seat,
    class: Class::Write,
    body: Some(JSON),
    status: 200,
    problems: &[
        TOKEN,
        PLACE,
        &[
            ProblemKind::BodyInvalid,
            ProblemKind::TextInvalid,
            ProblemKind::TextTooLong,
            ProblemKind::LinkRefused,
            ProblemKind::WordRefused,
            ProblemKind::CursorInvalid,
            ProblemKind::UnknownMessage,
            ProblemKind::VersionConflict,
            ProblemKind::NotModerator,
            ProblemKind::Muted,
            ProblemKind::Blocked,
            ProblemKind::ChannelLocked,
            ProblemKind::TooFast,
            ProblemKind::Conflict,
        ],
    ],
};

/// Deletes a message.
pub const DELETE_MESSAGE: Route = Route {
    name: "chat-delete",
    function: Function::Chat,
    method: "DELETE",
    path: "/v1/chat/channels/{channel}/messages/{seq}",
    summary: "Delete a message: an own one, or any as a moderator",
    auth: Auth::Seat,
    class: Class::Write,
    body: None,
    status: 200,
    problems: &[
        TOKEN,
        PLACE,
        &[
            ProblemKind::CursorInvalid,
            ProblemKind::UnknownMessage,
            ProblemKind::NotModerator,
            ProblemKind::Conflict,
        ],
    ],
};

const REACTION_PROBLEMS: &[&[ProblemKind]] = &[
    TOKEN,
    PLACE,
    &[
        ProblemKind::CursorInvalid,
        ProblemKind::UnknownMessage,
        ProblemKind::TextInvalid,
        ProblemKind::LimitReached,
        ProblemKind::Muted,
        ProblemKind::Blocked,
        ProblemKind::ChannelLocked,
        ProblemKind::TooFast,
        ProblemKind::Conflict,
    ],
];

/// Reacts to a message.
pub const REACT: Route = Route {
    name: "chat-react",
    function: Function::Chat,
    method: "PUT",
    path: "/v1/chat/channels/{channel}/messages/{seq}/reactions/{reaction}",
    summary: "React to a message",
    auth: Auth::Seat,
    class: Class::Write,
    body: None,
    status: 204,
    problems: REACTION_PROBLEMS,
};

/// Takes a reaction back.
pub const UNREACT: Route = Route {
    name: "chat-unreact",
    function: Function::Chat,
    method: "DELETE",
    path: "/v1/chat/channels/{channel}/messages/{seq}/reactions/{reaction}",
    summary: "Take a reaction back",
    auth: Auth::Seat,
    class: Class::Write,
    body: None,
    status: 204,
    problems: REACTION_PROBLEMS,
};

/// Sets the read marker.
pub const MARK_READ: Route = Route {
    name: "chat-mark-read",
    function: Function::Chat,
    method: "PUT",
    path: "/v1/chat/channels/{channel}/read",
    summary: "Set the read marker; it never goes back",
    auth: Auth::Seat,
    class: Class::Write,
    body: Some(JSON),
    status: 200,
    problems: &[
        TOKEN,
        PLACE,
        &[
            ProblemKind::BodyInvalid,
            ProblemKind::Conflict,
            ProblemKind::TextInvalid,
        ],
    ],
};

/// Says that the player types.
pub const TYPING: Route = Route {
    name: "chat-typing",
    function: Function::Chat,
    method: "POST",
    path: "/v1/chat/channels/{channel}/typing",
    summary: "Say that the player types",
    auth: Auth::Seat,
    class: Class::Write,
    body: None,
    status: 202,
    problems: &[
        TOKEN,
        PLACE,
        &[
            ProblemKind::Muted,
            ProblemKind::Blocked,
            ProblemKind::ChannelLocked,
            ProblemKind::TooFast,
            ProblemKind::Conflict,
        ],
    ],
};

/// Counts unread messages.
pub const UNREAD: Route = Route {
    name: "chat-unread",
    function: Function::Chat,
    method: "GET",
    path: "/v1/chat/unread",
    summary: "Count unread messages of ?in= channels, by commas",
    auth: Auth::Seat,
    class: Class::Read,
    body: None,
    status: 200,
    problems: &[TOKEN, PLACE, &[ProblemKind::CursorInvalid]],
};

/// Says that the player is here.
pub const SET_PRESENCE: Route = Route {
    name: "chat-set-presence",
    function: Function::Chat,
    method: "PUT",
    path: "/v1/chat/presence",
    summary: "Say that the player is here, for 90 seconds",
    auth: Auth::Seat,
    class: Class::Write,
    body: Some(JSON),
    status: 204,
    problems: &[
        TOKEN,
        &[
            ProblemKind::RoomNotGranted,
            ProblemKind::BodyInvalid,
            ProblemKind::TextInvalid,
        ],
    ],
};

/// Sees whether players are here.
pub const PRESENCE: Route = Route {
    name: "chat-presence",
    function: Function::Chat,
    method: "GET",
    path: "/v1/chat/presence",
    summary: "See whether ?players= by commas are here, to whom the caller may write",
    auth: Auth::Seat,
    class: Class::Read,
    body: None,
    status: 200,
    problems: &[
        TOKEN,
        &[
            ProblemKind::NameInvalid,
            ProblemKind::CursorInvalid,
            ProblemKind::ChannelNotGranted,
        ],
    ],
};

/// Sets what a channel allows.
pub const SET_SETTINGS: Route = Route {
    name: "chat-settings",
    function: Function::Chat,
    method: "PUT",
    path: "/v1/chat/channels/{channel}/settings",
    summary: "Lock a channel or slow it down; moderators only",
    auth: Auth::Player,
    class: Class::Operate,
    body: Some(JSON),
    status: 200,
    problems: &[
        TOKEN,
        PLACE,
        &[
            ProblemKind::BodyInvalid,
            ProblemKind::NotModerator,
            ProblemKind::TooFast,
            ProblemKind::Conflict,
            ProblemKind::TextInvalid,
            ProblemKind::Muted,
            ProblemKind::Blocked,
        ],
    ],
};
