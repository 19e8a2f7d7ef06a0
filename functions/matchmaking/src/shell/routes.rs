//! What each route does.

mod matches;
mod parties;
mod players;
mod queues;
mod results;
mod tickets;

use edge::Refusal;
use edge::http::{Call, Response};
use edge::store::Store;
use wire::routes::MatchmakingRoute;

use super::ports::Ports;

pub(super) async fn answer(
    host: &impl Ports,
    route: MatchmakingRoute,
    store: &impl Store,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    match route {
        MatchmakingRoute::Rules => queues::set(store, call).await,
        MatchmakingRoute::QueueRules => queues::show(store, call).await,
        MatchmakingRoute::Tick => queues::tick(host, store, call).await,
        MatchmakingRoute::QueueUp => parties::queue_up(host, store, call).await,
        MatchmakingRoute::JoinParty => parties::join(host, store, call).await,
        MatchmakingRoute::LeaveParty => parties::end(host, store, call, false).await,
        MatchmakingRoute::Cancel => parties::end(host, store, call, true).await,
        MatchmakingRoute::TicketState => tickets::show(host, store, call).await,
        MatchmakingRoute::Explain => tickets::explain(store, call).await,
        MatchmakingRoute::Seat => players::seat(store, call).await,
        MatchmakingRoute::Rating => players::rating(store, call).await,
        MatchmakingRoute::MatchState => matches::show(host, store, call).await,
        MatchmakingRoute::Accept => matches::accept(host, store, call).await,
        MatchmakingRoute::Spectate => matches::spectate(host, store, call).await,
        MatchmakingRoute::Backfill => matches::backfill(host, store, call).await,
        MatchmakingRoute::EndBackfill => matches::end_backfill(store, call).await,
        MatchmakingRoute::Result => results::report(host, store, call).await,
    }
}
