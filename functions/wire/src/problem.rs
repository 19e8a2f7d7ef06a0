//! Refusals: problem details for HTTP (RFC 9457), with stable types.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Media type of a refusal.
pub const MEDIA_TYPE: &str = "application/problem+json";
/// Every `type` is this followed by [`ProblemKind::name`].
pub const TYPE_BASE: &str = "https://lifeverse.dev/problems/";

macro_rules! problem_kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $status:literal, $title:literal;)*) => {
        /// Every kind of refusal. Name and status never change once released.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ProblemKind {
            $($(#[$doc])* $variant,)*
        }

        impl ProblemKind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The last segment of `type`, and the metric's label.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// HTTP status.
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// What it is, the same for every occurrence.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

problem_kinds! {
    /// No bearer token, or not a token that we can read or trust.
    TokenInvalid = "token-invalid", 401, "The token is missing or not valid";
    /// The token was valid once.
    TokenExpired = "token-expired", 401, "The token has expired";
    /// The game took the token back before its time was over.
    TokenRevoked = "token-revoked", 401, "The token was revoked";
    /// The token is for another service.
    TokenAudience = "token-audience", 401, "The token is for another audience";
    /// A relay's heartbeat is not signed with its key.
    SignatureInvalid = "signature-invalid", 401, "The signature is missing or not valid";
    /// A shard that did not enrol and that no operator has listed.
    ShardUnregistered = "shard-unregistered", 403, "The shard is not registered";
    /// The shard's keys, or those of its epoch, were taken back.
    ShardRevoked = "shard-revoked", 403, "The shard's key was revoked";
    /// A heartbeat says more than its shard may.
    RegistrationExceeded = "registration-exceeded", 403, "The shard is registered otherwise";
    /// Usage from longer ago than a relay keeps it.
    UsageOld = "usage-old", 410, "The usage is too old to be counted";
    /// Usage of a time that has not come: the relay's clock is wrong.
    UsageEarly = "usage-early", 409, "The usage is of a time to come";
    /// Some of the records of a batch came in another one.
    UsageOverlap = "usage-overlap", 409, "Some of this usage came before, in another batch";
    /// A relay of another release does not know what it is to do.
    CommandUnknown = "command-unknown", 422, "The relay does not know this command";
    /// What a relay shows to join the fleet is not what we made or can trust.
    ProofInvalid = "proof-invalid", 401, "The proof is missing or not valid";
    /// The proof was valid once.
    ProofExpired = "proof-expired", 401, "The proof has expired";
    /// Another relay joined with this proof.
    ProofUsed = "proof-used", 409, "The proof was used before";
    /// The proof is good, but not for what is asked.
    EnrolmentRefused = "enrolment-refused", 403, "The proof does not allow this enrolment";
    /// The name is another relay's.
    RelayEnrolled = "relay-enrolled", 409, "A relay of this name is in the fleet";
    /// No grant names the room.
    RoomNotGranted = "room-not-granted", 403, "The token does not grant this room";
    /// No grant names the channel.
    ChannelNotGranted = "channel-not-granted", 403, "The token does not grant this channel";
    /// The operation needs the operator role.
    OperatorOnly = "operator-only", 403, "Only operators may do this";
    /// The body is not what the route takes.
    BodyInvalid = "body-invalid", 400, "The request body is not valid";
    /// A name in the path or query is not well formed.
    NameInvalid = "name-invalid", 400, "A name in the address is not valid";
    /// The offer is not SDP that we can answer.
    OfferInvalid = "offer-invalid", 400, "The SDP offer is not valid";
    /// The offer has no audio m-line that sends.
    OfferNoAudio = "offer-no-audio", 400, "The SDP offer has no audio to send";
    /// The offer does not offer Opus.
    OfferNoOpus = "offer-no-opus", 400, "The SDP offer does not offer Opus";
    /// The offer has more receiving m-lines than a session may have slots.
    OfferTooManySlots = "offer-too-many-slots", 400, "The SDP offer has too many slots";
    /// The content type is not the route's.
    MediaTypeUnsupported = "media-type-unsupported", 415, "The content type is not supported";
    /// The body is longer than a function reads.
    BodyTooLarge = "body-too-large", 413, "The request body is too large";
    /// No route has this path.
    UnknownRoute = "unknown-route", 404, "There is nothing at this address";
    /// The route has other methods.
    MethodNotAllowed = "method-not-allowed", 405, "This address does not take this method";
    /// The operation needs the privacy role.
    PrivacyOnly = "privacy-only", 403, "Only a token for privacy requests may do this";
    /// The operation needs the permission to moderate, or to be the author.
    NotModerator = "not-moderator", 403, "Only a moderator may do this";
    /// The policy table does not allow it to this player.
    PolicyRefused = "policy-refused", 403, "The game's policy does not allow this to the player";
    /// A moderator muted the player.
    Muted = "muted", 403, "The player is muted";
    /// A moderator or the game keeps the player out of the room, until then.
    Banned = "banned", 403, "The player is kept out of this room";
    /// One of the two players blocked the other.
    Blocked = "blocked", 403, "One of the players has blocked the other";
    /// Only moderators may write.
    ChannelLocked = "channel-locked", 403, "The channel is locked";
    /// The text has a link and the player may not send links.
    LinkRefused = "link-refused", 422, "Links are not allowed";
    /// The text has a word of the filter's lists.
    WordRefused = "word-refused", 422, "The text has a word that is not allowed";
    /// More characters than the policy allows.
    TextTooLong = "text-too-long", 422, "The text is too long";
    /// Not UTF-8, or with control characters.
    TextInvalid = "text-invalid", 400, "The text is not valid";
    /// A number, cursor or count in the query is not one of ours.
    CursorInvalid = "cursor-invalid", 400, "The position asked for is not valid";
    /// More messages than the player may send.
    TooFast = "too-fast", 429, "Too many requests of this kind in a short time";
    /// There is no such message, or none any more.
    UnknownMessage = "unknown-message", 404, "There is no such message";
    /// The message changed since the client read it.
    VersionConflict = "version-conflict", 409, "The message has changed";
    /// As many as there may be.
    LimitReached = "limit-reached", 409, "There are as many as there may be";
    /// The operation needs the role of a game server.
    GameServerOnly = "game-server-only", 403, "Only a game server may do this";
    /// There is no such queue.
    UnknownQueue = "unknown-queue", 404, "There is no such queue";
    /// The queue has no such mode.
    UnknownMode = "unknown-mode", 422, "The queue has no such mode";
    /// A rule set of the queue is not valid; the detail names the place.
    RulesInvalid = "rules-invalid", 422, "The rule set is not valid";
    /// The queue has this version of its rules, or a later one.
    RulesOutdated = "rules-outdated", 409, "The queue has a later version of its rules";
    /// More players than any of the modes takes as a party.
    PartyTooLarge = "party-too-large", 422, "The party is too large for the mode";
    /// The party can never be matched in any of its modes.
    TicketInvalid = "ticket-invalid", 422, "The ticket cannot be matched";
    /// A player of the party waits already, or has just been matched.
    AlreadyQueued = "already-queued", 409, "The player is in a queue already";
    /// Not an id that a reply has named.
    UnknownTicket = "unknown-ticket", 404, "There is no such ticket";
    /// Ended, or nobody asked for it in time.
    TicketExpired = "ticket-expired", 410, "The ticket has ended";
    /// The caller is not of the party.
    NotInParty = "not-in-party", 403, "The ticket is of another party";
    /// Only who made the ticket may do this.
    NotLeader = "not-leader", 403, "Only the leader of the party may do this";
    /// There is no such match, or none any more.
    UnknownMatch = "unknown-match", 404, "There is no such match";
    /// The match was not accepted by all in time.
    NotAccepted = "not-accepted", 409, "The match was not accepted";
    /// The caller does not play in the match.
    NotInMatch = "not-in-match", 403, "The match is of other players";
    /// The match has ended, or has not begun.
    MatchNotRunning = "match-not-running", 409, "The match is not running";
    /// No such enrolment token, or none any more.
    UnknownEnrolment = "unknown-enrolment", 404, "There is no such enrolment";
    /// Nothing is known of the relay.
    UnknownRelay = "unknown-relay", 404, "This relay is not known";
    /// The room has no home.
    UnknownRoom = "unknown-room", 404, "This room has no home";
    /// No relay of the region takes a session.
    NoLiveRelay = "no-live-relay", 503, "No relay is available";
    /// Whoever could say who the caller is did not answer.
    IdentityUnavailable = "identity-unavailable", 503, "The identity service is not available";
    /// Others changed the same item again and again.
    Conflict = "conflict", 503, "Too many requests changed the same thing at once";
    /// More requests than the host takes at once.
    Overloaded = "overloaded", 503, "The service has too many requests";
    /// The store did not answer.
    StoreUnavailable = "store-unavailable", 503, "The store is not available";
    /// The function took too long.
    Deadline = "deadline", 504, "The request took too long";
    /// A fault of ours.
    Internal = "internal", 500, "Something went wrong on our side";
    /// The function's configuration is wrong.
    Misconfigured = "misconfigured", 500, "The service is not configured correctly";
}

/// A refusal as the client reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Problem {
    /// [`TYPE_BASE`] and the kind's name.
    #[serde(rename = "type")]
    pub type_uri: Cow<'static, str>,
    /// The kind's title.
    pub title: Cow<'static, str>,
    /// HTTP status.
    pub status: u16,
    /// A sentence that says what to change.
    pub detail: Cow<'static, str>,
}

impl Problem {
    /// A refusal of `kind` whose `detail` says what to change.
    pub fn new(kind: ProblemKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            type_uri: format!("{TYPE_BASE}{}", kind.name()).into(),
            title: kind.title().into(),
            status: kind.status(),
            detail: detail.into(),
        }
    }

    /// The JSON body.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a problem has string keys only")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_kebab_case_and_statuses_are_refusals() {
        let mut seen = std::collections::BTreeSet::new();
        for kind in ProblemKind::ALL {
            assert!(seen.insert(kind.name()), "{} twice", kind.name());
            assert!(
                kind.name()
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b == b'-')
            );
            assert!((400..600).contains(&kind.status()));
        }
    }
}
