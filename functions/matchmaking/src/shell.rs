//! The stateful shell: tickets, passes, matches and results over the store, as a function of its
//! ports. What is kept where, and why no player is ever in two matches:
//! `infra/decisions/0015-the-phase-decides.md`.

mod accept;
mod backfill;
mod caller;
mod details;
mod explain;
mod formed;
mod party;
mod pass;
mod place;
mod player;
mod pool;
mod queue;
mod results;
mod settle;
mod spectate;
mod substitutes;
mod ticket;
mod view;
mod world;

use std::sync::atomic::Ordering;

use edge::http::{Call, Request, Response, serve};
use edge::ports::{Clock, Entropy, Storage, Timer, Variables};
use edge::store::Store;
use edge::{Metered, Refusal};
use wire::routes::MatchmakingRoute;

use caller::Caller;

/// Outcome of a request that did a pass of its shard besides what it was for.
const PASSED: &str = "passed";

/// Everything that the function may touch besides its store.
pub trait Ports: Clock + Entropy + Variables + Timer {}

impl<H: Clock + Entropy + Variables + Timer> Ports for H {}

/// Serves one request.
pub async fn handle<H>(host: &H, request: Request) -> Response
where
    H: Storage + Ports,
{
    serve(host, &request, async |route, call, store| {
        dispatch(host, route, store, call).await
    })
    .await
}

async fn dispatch<H: Ports, S: Store>(
    host: &H,
    route: MatchmakingRoute,
    store: &Metered<'_, S>,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let caller = Caller::enter(host, store, call)?;
    let mut response = answer(route, &caller).await?;
    // Whoever asked first when a pass was due: his request is told apart from those that only read.
    if response.outcome == "ok" && caller.has_passed.load(Ordering::Relaxed) {
        response.outcome = PASSED;
    }
    Ok(response)
}

async fn answer<H: Ports, S: Store>(
    route: MatchmakingRoute,
    caller: &Caller<'_, H, S>,
) -> Result<Response, Refusal> {
    match route {
        MatchmakingRoute::Rules => queue::set(caller).await,
        MatchmakingRoute::QueueRules => queue::show(caller).await,
        MatchmakingRoute::QueueUp => party::queue_up(caller).await,
        MatchmakingRoute::TicketState => view::show(caller).await,
        MatchmakingRoute::JoinParty => party::join(caller).await,
        MatchmakingRoute::LeaveParty => party::end(caller, false).await,
        MatchmakingRoute::Cancel => party::end(caller, true).await,
        MatchmakingRoute::Explain => explain::explain(caller).await,
        MatchmakingRoute::Seat => player::seat(caller).await,
        MatchmakingRoute::MatchState => accept::show(caller).await,
        MatchmakingRoute::Accept => accept::accept(caller).await,
        MatchmakingRoute::Spectate => spectate::spectate(caller).await,
        MatchmakingRoute::Result => results::report(caller).await,
        MatchmakingRoute::Backfill => backfill::ask(caller).await,
        MatchmakingRoute::EndBackfill => backfill::end(caller).await,
        MatchmakingRoute::Rating => results::rating(caller).await,
        MatchmakingRoute::Tick => pass::tick(caller).await,
    }
}
