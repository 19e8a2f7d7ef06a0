//! Bodies of the routes of matchmaking.

use schemars::Schema;
use schemars::generate::SchemaGenerator;

use crate::matching::{
    AcceptRequest, BackfillReply, BackfillRequest, Explanation, MatchReply, PlayerDetails,
    QueueRules, RatingReply, ResultReply, ResultRequest, SeatReply, TickReply, TicketReply,
    TicketRequest,
};
use crate::routes;

/// The schema of a route's request.
pub(super) fn request(generator: &mut SchemaGenerator, route: &str) -> Schema {
    match route {
        name if name == routes::RULES.name => generator.subschema_for::<QueueRules>(),
        name if name == routes::QUEUE_UP.name => generator.subschema_for::<TicketRequest>(),
        name if name == routes::JOIN_PARTY.name => generator.subschema_for::<PlayerDetails>(),
        name if name == routes::ACCEPT.name => generator.subschema_for::<AcceptRequest>(),
        name if name == routes::RESULT.name => generator.subschema_for::<ResultRequest>(),
        name if name == routes::BACKFILL.name => generator.subschema_for::<BackfillRequest>(),
        other => panic!("the body of {other} has no type"),
    }
}

/// The schema of a route's reply.
pub(super) fn reply(generator: &mut SchemaGenerator, route: &str) -> Schema {
    let is = |wanted: &[&routes::Route]| wanted.iter().any(|wanted| wanted.name == route);
    match () {
        () if is(&[&routes::RULES, &routes::QUEUE_RULES]) => {
            generator.subschema_for::<QueueRules>()
        }
        () if is(&[
            &routes::QUEUE_UP,
            &routes::TICKET_STATE,
            &routes::JOIN_PARTY,
        ]) =>
        {
            generator.subschema_for::<TicketReply>()
        }
        () if is(&[&routes::EXPLAIN]) => generator.subschema_for::<Explanation>(),
        () if is(&[&routes::SEAT]) => generator.subschema_for::<SeatReply>(),
        () if is(&[&routes::MATCH_STATE, &routes::ACCEPT, &routes::SPECTATE]) => {
            generator.subschema_for::<MatchReply>()
        }
        () if is(&[&routes::RESULT]) => generator.subschema_for::<ResultReply>(),
        () if is(&[&routes::BACKFILL]) => generator.subschema_for::<BackfillReply>(),
        () if is(&[&routes::RATING]) => generator.subschema_for::<RatingReply>(),
        () if is(&[&routes::TICK]) => generator.subschema_for::<TickReply>(),
        () => panic!("the reply of {route} has no type"),
    }
}
