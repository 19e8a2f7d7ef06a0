//! The routes of matchmaking.

use super::{Auth, Class, Function, JSON, Route, TOKEN};
use crate::problem::ProblemKind;

const QUEUE: &[ProblemKind] = &[ProblemKind::NameInvalid, ProblemKind::UnknownQueue];

/// Refusals of whoever names a ticket.
const TICKET: &[ProblemKind] = &[
    ProblemKind::NameInvalid,
    ProblemKind::UnknownQueue,
    ProblemKind::UnknownTicket,
    ProblemKind::TicketExpired,
    ProblemKind::NotInParty,
    ProblemKind::Conflict,
];

/// Refusals of whoever names a match.
const MATCH: &[ProblemKind] = &[
    ProblemKind::NameInvalid,
    ProblemKind::UnknownMatch,
    ProblemKind::Conflict,
];

/// Refusals of what is said of a player.
const DETAILS: &[ProblemKind] = &[
    ProblemKind::BodyInvalid,
    ProblemKind::UnknownMode,
    ProblemKind::PartyTooLarge,
    ProblemKind::TicketInvalid,
    ProblemKind::AlreadyQueued,
    ProblemKind::GameServerOnly,
];

/// Sets the rules of a queue.
pub const RULES: Route = Route {
    name: "match-rules",
    function: Function::Matchmaking,
    method: "PUT",
    path: "/v1/match/queues/{queue}",
    summary: "Set the rules of a queue; ?check=1 only checks them",
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
            ProblemKind::RulesInvalid,
            ProblemKind::RulesOutdated,
            ProblemKind::Conflict,
        ],
    ],
};

/// Reads the rules of a queue.
pub const QUEUE_RULES: Route = Route {
    name: "match-queue",
    function: Function::Matchmaking,
    method: "GET",
    path: "/v1/match/queues/{queue}",
    summary: "Read the rules of a queue",
    auth: Auth::Player,
    class: Class::Read,
    body: None,
    status: 200,
    problems: &[TOKEN, QUEUE],
};

/// Makes a ticket.
pub const QUEUE_UP: Route = Route {
    name: "match-queue-up",
    function: Function::Matchmaking,
    method: "POST",
    path: "/v1/match/queues/{queue}/tickets",
    summary: "Queue a party",
    auth: Auth::Player,
    class: Class::Queue,
    body: Some(JSON),
    status: 201,
    problems: &[
        TOKEN,
        QUEUE,
        DETAILS,
        &[
            ProblemKind::TicketExpired,
            ProblemKind::Conflict,
            ProblemKind::TooFast,
        ],
    ],
};

/// Reads a ticket.
pub const TICKET_STATE: Route = Route {
    name: "match-ticket",
    function: Function::Matchmaking,
    method: "GET",
    path: "/v1/match/queues/{queue}/tickets/{ticket}",
    summary: "Ask what became of a ticket, and keep it alive; ?wait= seconds for a match",
    auth: Auth::Player,
    class: Class::Poll,
    body: None,
    status: 200,
    problems: &[TOKEN, TICKET, &[ProblemKind::CursorInvalid]],
};

/// Joins the party of a ticket.
pub const JOIN_PARTY: Route = Route {
    name: "match-join",
    function: Function::Matchmaking,
    method: "PUT",
    path: "/v1/match/queues/{queue}/tickets/{ticket}/party",
    summary: "Join the party that named the caller; it waits when all have joined",
    auth: Auth::Player,
    class: Class::Queue,
    body: Some(JSON),
    status: 200,
    problems: &[TOKEN, TICKET, DETAILS, &[ProblemKind::TooFast]],
};

/// Leaves the party of a ticket.
pub const LEAVE_PARTY: Route = Route {
    name: "match-leave",
    function: Function::Matchmaking,
    method: "DELETE",
    path: "/v1/match/queues/{queue}/tickets/{ticket}/party",
    summary: "Leave the party, which ends its ticket",
    auth: Auth::Player,
    class: Class::Queue,
    body: None,
    status: 204,
    problems: &[TOKEN, TICKET],
};

/// Takes a ticket back.
pub const CANCEL: Route = Route {
    name: "match-cancel",
    function: Function::Matchmaking,
    method: "DELETE",
    path: "/v1/match/queues/{queue}/tickets/{ticket}",
    summary: "Take a ticket back; for the party's leader",
    auth: Auth::Player,
    class: Class::Queue,
    body: None,
    status: 204,
    problems: &[TOKEN, TICKET, &[ProblemKind::NotLeader]],
};

/// Explains why a ticket waits.
pub const EXPLAIN: Route = Route {
    name: "match-explain",
    function: Function::Matchmaking,
    method: "GET",
    path: "/v1/match/queues/{queue}/tickets/{ticket}/explanation",
    summary: "Ask why a ticket waits",
    auth: Auth::Player,
    class: Class::Read,
    body: None,
    status: 200,
    problems: &[TOKEN, TICKET],
};

/// Finds one's own ticket.
pub const SEAT: Route = Route {
    name: "match-seat",
    function: Function::Matchmaking,
    method: "GET",
    path: "/v1/match/seat",
    summary: "Find the caller's ticket, match and invitations, after a restart of the client",
    auth: Auth::Player,
    class: Class::Read,
    body: None,
    status: 200,
    problems: &[TOKEN],
};

/// Reads a match.
pub const MATCH_STATE: Route = Route {
    name: "match-show",
    function: Function::Matchmaking,
    method: "GET",
    path: "/v1/match/matches/{match}",
    summary: "Read a match, with a fresh token for its players",
    auth: Auth::Player,
    class: Class::Poll,
    body: None,
    status: 200,
    problems: &[TOKEN, MATCH, &[ProblemKind::NotInMatch]],
};

/// Accepts a match or not.
pub const ACCEPT: Route = Route {
    name: "match-accept",
    function: Function::Matchmaking,
    method: "POST",
    path: "/v1/match/matches/{match}/acceptance",
    summary: "Accept a match, or decline it",
    auth: Auth::Player,
    class: Class::Queue,
    body: Some(JSON),
    status: 200,
    problems: &[
        TOKEN,
        MATCH,
        &[
            ProblemKind::NotInMatch,
            ProblemKind::NotAccepted,
            ProblemKind::BodyInvalid,
        ],
    ],
};

/// Takes a spectator's seat.
pub const SPECTATE: Route = Route {
    name: "match-spectate",
    function: Function::Matchmaking,
    method: "POST",
    path: "/v1/match/matches/{match}/spectators",
    summary: "Take a spectator's seat, if the token grants the room's channel spectators",
    auth: Auth::Player,
    class: Class::Queue,
    body: None,
    status: 200,
    problems: &[
        TOKEN,
        MATCH,
        &[
            ProblemKind::ChannelNotGranted,
            ProblemKind::MatchNotRunning,
            ProblemKind::LimitReached,
        ],
    ],
};

/// Takes the result of a match.
pub const RESULT: Route = Route {
    name: "match-result",
    function: Function::Matchmaking,
    method: "POST",
    path: "/v1/match/matches/{match}/result",
    summary: "Report how a match ended, which changes ratings",
    auth: Auth::GameServer,
    class: Class::Queue,
    body: Some(JSON),
    status: 200,
    problems: &[
        TOKEN,
        MATCH,
        &[
            ProblemKind::GameServerOnly,
            ProblemKind::BodyInvalid,
            ProblemKind::MatchNotRunning,
        ],
    ],
};

/// Asks for players for a running match.
pub const BACKFILL: Route = Route {
    name: "match-backfill",
    function: Function::Matchmaking,
    method: "PUT",
    path: "/v1/match/matches/{match}/backfill",
    summary: "Ask for players in place of those who left",
    auth: Auth::GameServer,
    class: Class::Queue,
    body: Some(JSON),
    status: 200,
    problems: &[
        TOKEN,
        MATCH,
        &[
            ProblemKind::GameServerOnly,
            ProblemKind::BodyInvalid,
            ProblemKind::MatchNotRunning,
        ],
    ],
};

/// Asks for nobody any more.
pub const END_BACKFILL: Route = Route {
    name: "match-end-backfill",
    function: Function::Matchmaking,
    method: "DELETE",
    path: "/v1/match/matches/{match}/backfill",
    summary: "Ask for no more players",
    auth: Auth::GameServer,
    class: Class::Queue,
    body: None,
    status: 204,
    problems: &[TOKEN, MATCH, &[ProblemKind::GameServerOnly]],
};

/// Reads a rating.
pub const RATING: Route = Route {
    name: "match-rating",
    function: Function::Matchmaking,
    method: "GET",
    path: "/v1/match/queues/{queue}/ratings/{player}",
    summary: "Read one's own rating; game servers, anybody's",
    auth: Auth::Player,
    class: Class::Read,
    body: None,
    status: 200,
    problems: &[TOKEN, QUEUE, &[ProblemKind::GameServerOnly]],
};

/// Forms matches that are due.
pub const TICK: Route = Route {
    name: "match-tick",
    function: Function::Matchmaking,
    method: "POST",
    path: "/v1/match/queues/{queue}/tick",
    summary: "Form the matches that are due; for a scheduler, which is optional",
    auth: Auth::Operator,
    class: Class::Operate,
    body: None,
    status: 200,
    problems: &[
        TOKEN,
        QUEUE,
        &[ProblemKind::OperatorOnly, ProblemKind::Conflict],
    ],
};
