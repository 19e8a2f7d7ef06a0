//! The routes of each function as an enum, so that a function that forgets one does not compile.

use super::chat::{
    DELETE_MESSAGE, EDIT, HISTORY, MARK_READ, POST, PRESENCE, REACT, SET_PRESENCE, SET_SETTINGS,
    TYPING, UNREACT, UNREAD,
};
use super::enrolment::{
    ENROL, ENROLMENT, ENROLMENT_TOKENS, FORGET_ENROLMENT, MAKE_ENROLMENT_TOKEN,
    REVOKE_ENROLMENT_TOKEN,
};
use super::matching::{
    ACCEPT, BACKFILL, CANCEL, END_BACKFILL, EXPLAIN, JOIN_PARTY, LEAVE_PARTY, MATCH_STATE,
    QUEUE_RULES, QUEUE_UP, RATING, RESULT, RULES, SEAT, SPECTATE, TICK, TICKET_STATE,
};
use super::regions::{END_EVACUATION, EVACUATE, REGIONS};
use super::safety::{
    AUDIT, BLOCK, BLOCKS, ERASE, EXPORT, KICK, MUTE, PLAYERS, REPORT, REPORT_QUEUE, REPORTS,
    REVOKE, ROOM_BAN, ROOM_MUTE, ROOM_UNBAN, ROOM_UNMUTE, SETTLE_REPORT, UNBLOCK, UNMUTE,
};
use super::{
    DRAIN, Function, HEARTBEAT, HOME, JOIN, LEAVE, RELAYS, REVOKE_SHARD, Route, USAGE, WHIP,
};

/// The routes of one function.
pub trait RouteSet: Copy + 'static {
    /// All of them.
    const ALL: &'static [Self];

    /// Its line in the table.
    fn route(self) -> &'static Route;
}

/// An enum of the routes of a function, and a check that they are of that function.
macro_rules! routes {
    ($(#[$doc:meta])* $set:ident { $($name:ident = $route:ident,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $set {
            $(#[doc = concat!("[`", stringify!($route), "`].")] $name,)+
        }

        impl RouteSet for $set {
            const ALL: &'static [Self] = &[$(Self::$name),+];

            fn route(self) -> &'static Route {
                match self {
                    $(Self::$name => &$route,)+
                }
            }
        }

        impl $set {
            const TABLE: &'static [Route] = &[$($route),+];
        }
    };
}

routes! {
    /// Routes of the function `signalling`.
    SignallingRoute {
        Join = JOIN,
        Whip = WHIP,
        Leave = LEAVE,
    }
}

routes! {
    /// Routes of the function `fleet`.
    FleetRoute {
        Relays = RELAYS,
        Heartbeat = HEARTBEAT,
        Usage = USAGE,
        Drain = DRAIN,
        RevokeShard = REVOKE_SHARD,
        Home = HOME,
        Enrol = ENROL,
        MakeEnrolmentToken = MAKE_ENROLMENT_TOKEN,
        EnrolmentTokens = ENROLMENT_TOKENS,
        RevokeEnrolmentToken = REVOKE_ENROLMENT_TOKEN,
        Enrolment = ENROLMENT,
        ForgetEnrolment = FORGET_ENROLMENT,
        Regions = REGIONS,
        Evacuate = EVACUATE,
        EndEvacuation = END_EVACUATION,
    }
}

routes! {
    /// Routes of the function `chat`.
    ChatRoute {
        Post = POST,
        History = HISTORY,
        Edit = EDIT,
        DeleteMessage = DELETE_MESSAGE,
        React = REACT,
        Unreact = UNREACT,
        MarkRead = MARK_READ,
        Typing = TYPING,
        Unread = UNREAD,
        SetPresence = SET_PRESENCE,
        Presence = PRESENCE,
        SetSettings = SET_SETTINGS,
    }
}

routes! {
    /// Routes of the function `matchmaking`.
    MatchmakingRoute {
        Rules = RULES,
        QueueRules = QUEUE_RULES,
        QueueUp = QUEUE_UP,
        TicketState = TICKET_STATE,
        Cancel = CANCEL,
        JoinParty = JOIN_PARTY,
        LeaveParty = LEAVE_PARTY,
        Explain = EXPLAIN,
        Seat = SEAT,
        MatchState = MATCH_STATE,
        Accept = ACCEPT,
        Spectate = SPECTATE,
        Result = RESULT,
        Backfill = BACKFILL,
        EndBackfill = END_BACKFILL,
        Rating = RATING,
        Tick = TICK,
    }
}

routes! {
    /// Routes of the function `safety`.
    SafetyRoute {
        Blocks = BLOCKS,
        Block = BLOCK,
        Unblock = UNBLOCK,
        Mute = MUTE,
        Unmute = UNMUTE,
        Report = REPORT,
        Reports = REPORTS,
        ReportQueue = REPORT_QUEUE,
        SettleReport = SETTLE_REPORT,
        Export = EXPORT,
        Erase = ERASE,
        Audit = AUDIT,
        RoomMute = ROOM_MUTE,
        RoomUnmute = ROOM_UNMUTE,
        RoomBan = ROOM_BAN,
        RoomUnban = ROOM_UNBAN,
        Kick = KICK,
        Revoke = REVOKE,
        Players = PLAYERS,
    }
}

/// The tables of all functions.
const TABLES: [(Function, &[Route]); 5] = [
    (Function::Signalling, SignallingRoute::TABLE),
    (Function::Fleet, FleetRoute::TABLE),
    (Function::Chat, ChatRoute::TABLE),
    (Function::Matchmaking, MatchmakingRoute::TABLE),
    (Function::Safety, SafetyRoute::TABLE),
];

/// Every route.
pub const ROUTES: &[Route] = &joined();

const fn count() -> usize {
    let (mut sum, mut table) = (0, 0);
    while table < TABLES.len() {
        sum += TABLES[table].1.len();
        table += 1;
    }
    sum
}

/// The tables one after the other. Does not compile when a route is of another function.
const fn joined() -> [Route; count()] {
    let (mut all, mut at) = ([JOIN; count()], 0);
    let mut table = 0;
    while table < TABLES.len() {
        let (function, routes) = TABLES[table];
        let mut row = 0;
        while row < routes.len() {
            assert!(routes[row].function as u8 == function as u8);
            all[at] = routes[row];
            at += 1;
            row += 1;
        }
        table += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_of_a_set_is_its_line_of_the_table() {
        fn lines<R: RouteSet>(table: &[Route]) -> usize {
            let lines = R::ALL.iter().map(|member| *member.route());
            assert!(lines.eq(table.iter().copied()));
            table.len()
        }
        let sum = lines::<SignallingRoute>(SignallingRoute::TABLE)
            + lines::<FleetRoute>(FleetRoute::TABLE)
            + lines::<ChatRoute>(ChatRoute::TABLE)
            + lines::<MatchmakingRoute>(MatchmakingRoute::TABLE)
            + lines::<SafetyRoute>(SafetyRoute::TABLE);
        assert_eq!(sum, ROUTES.len());
    }
}
