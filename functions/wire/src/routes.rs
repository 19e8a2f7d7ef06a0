//! The HTTP interface as a table: functions route by it and the OpenAPI document is made from it,
//! so neither can say what the other does not.

use crate::problem::ProblemKind;

mod chat;
mod enrolment;
mod matching;
mod regions;
mod safety;
mod sets;

pub use chat::{
    DELETE_MESSAGE, EDIT, HISTORY, MARK_READ, POST, PRESENCE, REACT, SET_PRESENCE, SET_SETTINGS,
    TYPING, UNREACT, UNREAD,
};
pub use enrolment::{
    ENROL, ENROLMENT, ENROLMENT_TOKENS, FORGET_ENROLMENT, MAKE_ENROLMENT_TOKEN,
    REVOKE_ENROLMENT_TOKEN,
};
pub use matching::{
    ACCEPT, BACKFILL, CANCEL, END_BACKFILL, EXPLAIN, JOIN_PARTY, LEAVE_PARTY, MATCH_STATE,
    QUEUE_RULES, QUEUE_UP, RATING, RESULT, RULES, SEAT, SPECTATE, TICK, TICKET_STATE,
};
pub use regions::{END_EVACUATION, EVACUATE, REGIONS};
pub use safety::{
    AUDIT, BLOCK, BLOCKS, ERASE, EXPORT, KICK, MUTE, PLAYERS, REPORT, REPORT_QUEUE, REPORTS,
    REVOKE, ROOM_BAN, ROOM_MUTE, ROOM_UNBAN, ROOM_UNMUTE, SETTLE_REPORT, UNBLOCK, UNMUTE,
};
pub use sets::{
    ChatRoute, FleetRoute, MatchmakingRoute, ROUTES, RouteSet, SafetyRoute, SignallingRoute,
};

/// One method of one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Stable name; the label in records and metrics.
    pub name: &'static str,
    /// The function that serves it.
    pub function: Function,
    /// HTTP method, upper case.
    pub method: &'static str,
    /// Path; a segment in braces is a parameter.
    pub path: &'static str,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// What proves that the caller may.
    pub auth: Auth,
    /// Whom it shares its host's instances with.
    pub class: Class,
    /// Media type of the request body, when the route has one.
    pub body: Option<&'static str>,
    /// Status of a success.
    pub status: u16,
    /// Refusals besides [`COMMON_PROBLEMS`], in groups that routes share.
    pub problems: &'static [&'static [ProblemKind]],
}

/// A function: one deploy unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// Joins and leaves.
    Signalling,
    /// Relays and homes.
    Fleet,
    /// Text chat.
    Chat,
    /// Queues, tickets and matches.
    Matchmaking,
    /// Blocks, mutes, bans, removals, reports and their trail.
    Safety,
}

impl Function {
    /// Its name, as in `functions/permissions.json` and in the tags of the OpenAPI document.
    pub fn name(self) -> &'static str {
        match self {
            Self::Signalling => "signalling",
            Self::Fleet => "fleet",
            Self::Chat => "chat",
            Self::Matchmaking => "matchmaking",
            Self::Safety => "safety",
        }
    }
}

/// Routes that share a host's instances among themselves and with no others, so that whoever fills
/// one class keeps nobody from another (decision 0037).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Relays say that they live: without it everybody moves away from them.
    Heartbeat,
    /// Into a room. None of them waits for a relay.
    Join,
    /// Changes of a player: messages, markers, presence, blocks, reports, leaving. Some wait for a
    /// relay.
    Write,
    /// Reads that cost more than a look.
    Read,
    /// Asked again and again by whoever waits for something.
    Poll,
    /// Into a queue, through a match, and out of both.
    Queue,
    /// What operators, moderators and servers do, and what relays report besides that they live.
    Operate,
}

impl Class {
    /// All of them, in order.
    pub const ALL: [Self; 7] = [
        Self::Heartbeat,
        Self::Join,
        Self::Write,
        Self::Read,
        Self::Poll,
        Self::Queue,
        Self::Operate,
    ];

    /// How often one token may ask for routes of it; none where relays, servers and operators ask.
    /// Several times what the SDKs need at their busiest: a player who plays never notices.
    pub const fn rate(self) -> Option<Rate> {
        let (at_once, per_minute) = match self {
            Self::Join => (30, 30),
            Self::Write => (100, 300),
            Self::Read => (100, 240),
            Self::Poll => (200, 600),
            Self::Queue => (100, 240),
            Self::Heartbeat | Self::Operate => return None,
        };
        Some(Rate {
            at_once,
            per_minute,
        })
    }

    /// Its name in headers and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Heartbeat => "heartbeat",
            Self::Join => "join",
            Self::Write => "write",
            Self::Read => "read",
            Self::Poll => "poll",
            Self::Queue => "queue",
            Self::Operate => "operate",
        }
    }
}

/// How often something may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests at once after a pause.
    pub at_once: u32,
    /// Requests a minute in the long run.
    pub per_minute: u32,
}

/// What proves that a caller may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// A player's bearer token, signed by the game. Whatever gives tokens or places in the game
    /// takes no other: what functions sign themselves must not beget more of it.
    Player,
    /// The same, or the token of a player's seat in a match, which a function signed: for voice
    /// and chat.
    Seat,
    /// A bearer token with the operator role.
    Operator,
    /// The same, or one that the function signed for its own schedule.
    Schedule,
    /// A bearer token with the privacy role.
    Privacy,
    /// A bearer token with the role of a moderator or of support.
    Moderation,
    /// A bearer token with the role of a game server.
    GameServer,
    /// A shard's signature of the body (see [`crate::fleet::sign_heartbeat`]).
    Shard,
    /// What the body has to show ([`crate::enrolment::Proof`]).
    Proof,
}

/// Who asks the store whether the game has taken a caller's token back before its time was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// Whoever calls the handler, before it.
    Router,
    /// The handler, along with what it reads anyway.
    Handler,
    /// Nobody: a revoked token does no harm there, or the route wants none.
    Nobody,
}

/// Media type of JSON bodies.
pub const JSON: &str = "application/json";
/// Media type of session descriptions.
pub const SDP: &str = "application/sdp";

/// Refusals that every route may answer with: by the host, or for faults of ours.
pub const COMMON_PROBLEMS: &[ProblemKind] = &[
    ProblemKind::BodyTooLarge,
    ProblemKind::MethodNotAllowed,
    ProblemKind::Overloaded,
    ProblemKind::StoreUnavailable,
    ProblemKind::Deadline,
    ProblemKind::Internal,
    ProblemKind::Misconfigured,
];

/// Refusals of whoever wants a bearer token.
const TOKEN: &[ProblemKind] = &[
    ProblemKind::TokenInvalid,
    ProblemKind::TokenExpired,
    ProblemKind::TokenRevoked,
    ProblemKind::TokenAudience,
];

const JOIN_PROBLEMS: &[&[ProblemKind]] = &[
    TOKEN,
    &[
        ProblemKind::NameInvalid,
        ProblemKind::RoomNotGranted,
        ProblemKind::ChannelNotGranted,
        ProblemKind::Banned,
        ProblemKind::MediaTypeUnsupported,
        ProblemKind::BodyInvalid,
        ProblemKind::OfferInvalid,
        ProblemKind::OfferNoAudio,
        ProblemKind::OfferNoOpus,
        ProblemKind::OfferTooManySlots,
        ProblemKind::PolicyRefused,
        ProblemKind::NoLiveRelay,
        ProblemKind::Conflict,
    ],
];

/// Joins a room.
pub const JOIN: Route = Route {
    name: "join",
    function: Function::Signalling,
    method: "POST",
    path: "/v1/rooms/{room}/sessions",
    summary: "Join a room",
    auth: Auth::Seat,
    class: Class::Join,
    body: Some(JSON),
    status: 201,
    problems: JOIN_PROBLEMS,
};

/// Joins a room as a WHIP client (RFC 9725).
pub const WHIP: Route = Route {
    name: "whip",
    function: Function::Signalling,
    method: "POST",
    path: "/v1/rooms/{room}/whip",
    summary: "Publish into a room by WHIP (RFC 9725)",
    auth: Auth::Seat,
    class: Class::Join,
    body: Some(SDP),
    status: 201,
    problems: JOIN_PROBLEMS,
};

/// Ends a session.
pub const LEAVE: Route = Route {
    name: "leave",
    function: Function::Signalling,
    method: "DELETE",
    path: "/v1/rooms/{room}/sessions/{session}",
    summary: "Leave a room",
    auth: Auth::Seat,
    class: Class::Write,
    body: None,
    status: 204,
    problems: &[TOKEN, &[ProblemKind::NameInvalid]],
};

/// Lists relays.
pub const RELAYS: Route = Route {
    name: "relays",
    function: Function::Fleet,
    method: "GET",
    path: "/v1/relays",
    summary: "List the relays, of one region with ?region=",
    auth: Auth::Operator,
    class: Class::Operate,
    body: None,
    status: 200,
    problems: &[
        TOKEN,
        &[ProblemKind::OperatorOnly, ProblemKind::NameInvalid],
    ],
};

/// Takes a shard's heartbeat.
pub const HEARTBEAT: Route = Route {
    name: "heartbeat",
    function: Function::Fleet,
    method: "POST",
    path: "/v1/relays/{shard}/heartbeat",
    summary: "Report a relay shard's state",
    auth: Auth::Shard,
    class: Class::Heartbeat,
    body: Some(JSON),
    status: 200,
    problems: &[&[
        ProblemKind::SignatureInvalid,
        ProblemKind::ShardUnregistered,
        ProblemKind::ShardRevoked,
        ProblemKind::RegistrationExceeded,
        ProblemKind::NameInvalid,
        ProblemKind::BodyInvalid,
        ProblemKind::Conflict,
    ]],
};

/// Takes what rooms of a shard used.
pub const USAGE: Route = Route {
    name: "usage",
    function: Function::Fleet,
    method: "POST",
    path: "/v1/relays/{shard}/usage",
    summary: "Report what rooms of a relay shard used; the same batch counts once",
    auth: Auth::Shard,
    class: Class::Operate,
    body: Some(JSON),
    status: 200,
    problems: &[&[
        ProblemKind::SignatureInvalid,
        ProblemKind::ShardUnregistered,
        ProblemKind::ShardRevoked,
        ProblemKind::RegistrationExceeded,
        ProblemKind::NameInvalid,
        ProblemKind::BodyInvalid,
        ProblemKind::UsageOld,
        ProblemKind::UsageEarly,
        ProblemKind::UsageOverlap,
    ]],
};

/// Starts or stops draining a shard.
pub const DRAIN: Route = Route {
    name: "drain",
    function: Function::Fleet,
    method: "PUT",
    path: "/v1/relays/{shard}/drain",
    summary: "Start or stop draining a relay shard",
    auth: Auth::Operator,
    class: Class::Operate,
    body: Some(JSON),
    status: 200,
    problems: &[
        TOKEN,
        &[
            ProblemKind::OperatorOnly,
            ProblemKind::NameInvalid,
            ProblemKind::BodyInvalid,
            ProblemKind::UnknownRelay,
            ProblemKind::Conflict,
        ],
    ],
};

/// Revokes a shard.
pub const REVOKE_SHARD: Route = Route {
    name: "revoke-shard",
    function: Function::Fleet,
    method: "PUT",
    path: "/v1/relays/{shard}/revocation",
    summary: "Refuse keys of a shard from before an epoch, and move its rooms",
    auth: Auth::Operator,
    class: Class::Operate,
    body: Some(JSON),
    status: 200,
    problems: &[
        TOKEN,
        &[
            ProblemKind::OperatorOnly,
            ProblemKind::NameInvalid,
            ProblemKind::BodyInvalid,
            ProblemKind::UnknownRelay,
            ProblemKind::Conflict,
        ],
    ],
};

/// Shows a room's home.
pub const HOME: Route = Route {
    name: "home",
    function: Function::Fleet,
    method: "GET",
    path: "/v1/homes/{room}",
    summary: "Show where a room lives",
    auth: Auth::Operator,
    class: Class::Operate,
    body: None,
    status: 200,
    problems: &[
        TOKEN,
        &[
            ProblemKind::OperatorOnly,
            ProblemKind::NameInvalid,
            ProblemKind::UnknownRoom,
        ],
    ],
};

impl Route {
    /// Every refusal that the route documents, those of all routes first.
    pub fn all_problems(&self) -> impl Iterator<Item = ProblemKind> {
        let own = || self.problems.iter().copied().flatten();
        let is_limited = self.class.rate().is_some();
        let is_told = own().any(|kind| *kind == ProblemKind::TooFast);
        let rate = (is_limited && !is_told).then_some(&ProblemKind::TooFast);
        COMMON_PROBLEMS.iter().chain(own()).chain(rate).copied()
    }

    /// Who asks whether the caller's token was revoked: the router, at a read more, wherever
    /// nothing else is said here.
    pub fn asks_revocation(&self) -> Asks {
        match self.name {
            // Hot: his blocks are read, and it is read along with them.
            "join" | "whip" | "match-queue-up" | "match-join" | "chat-history"
            | "chat-presence" => Asks::Handler,
            // Hot: once a minute in each channel, noted in an item that is written anyway.
            "chat-post" | "chat-edit" | "chat-delete" | "chat-react" | "chat-unreact"
            | "chat-typing" => Asks::Handler,
            // What he is given counts as issued when his token was, and so is refused there. The
            // way out stays open.
            "match-ticket" | "match-show" | "match-accept" | "match-spectate" | "match-leave"
            | "match-cancel" | "leave" => Asks::Nobody,
            // Known to himself alone, or for a moment.
            "chat-unread" | "chat-mark-read" | "chat-set-presence" => Asks::Nobody,
            // Relays, and operators: what they hold ends with the key that signed it (KEYS.md).
            _ if self.function == Function::Fleet => Asks::Nobody,
            _ => Asks::Router,
        }
    }

    /// Whether the route may be refused with `kind`.
    pub fn documents(&self, kind: ProblemKind) -> bool {
        self.all_problems().any(|known| known == kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_classes_are_in_order_and_each_has_a_route() {
        for (at, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, at);
            assert!(ROUTES.iter().any(|route| route.class == class), "{class:?}");
        }
    }

    #[test]
    fn names_and_addresses_are_distinct() {
        for (i, route) in ROUTES.iter().enumerate() {
            for other in &ROUTES[i + 1..] {
                assert_ne!(route.name, other.name);
                assert_ne!((route.method, route.path), (other.method, other.path));
            }
        }
    }
}
