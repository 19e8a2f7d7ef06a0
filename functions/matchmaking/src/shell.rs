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
use wire::routes::{self, Function};

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
    serve(
        Function::Matchmaking,
        host.store(),
        &request,
        async |call, store| dispatch(host, store, call).await,
    )
    .await
}

async fn dispatch<H: Ports, S: Store>(
    host: &H,
    store: &Metered<'_, S>,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let caller = Caller::enter(host, store, call).await?;
    let mut response = answer(&caller).await?;
    // Whoever asked first when a pass was due: his request is told apart from those that only read.
    if response.outcome == "ok" && caller.has_passed.load(Ordering::Relaxed) {
        response.outcome = PASSED;
    }
    Ok(response)
}

async fn answer<H: Ports, S: Store>(caller: &Caller<'_, H, S>) -> Result<Response, Refusal> {
    match caller.call.route.name {
        name if name == routes::RULES.name => queue::set(caller).await,
        name if name == routes::QUEUE_RULES.name => queue::show(caller).await,
        name if name == routes::QUEUE_UP.name => party::queue_up(caller).await,
        name if name == routes::TICKET_STATE.name => view::show(caller).await,
        name if name == routes::JOIN_PARTY.name => party::join(caller).await,
        name if name == routes::LEAVE_PARTY.name => party::end(caller, false).await,
        name if name == routes::CANCEL.name => party::end(caller, true).await,
        name if name == routes::EXPLAIN.name => explain::explain(caller).await,
        name if name == routes::SEAT.name => player::seat(caller).await,
        name if name == routes::MATCH_STATE.name => accept::show(caller).await,
        name if name == routes::ACCEPT.name => accept::accept(caller).await,
        name if name == routes::SPECTATE.name => spectate::spectate(caller).await,
        name if name == routes::RESULT.name => results::report(caller).await,
        name if name == routes::BACKFILL.name => backfill::ask(caller).await,
        name if name == routes::END_BACKFILL.name => backfill::end(caller).await,
        name if name == routes::RATING.name => results::rating(caller).await,
        name if name == routes::TICK.name => pass::tick(caller).await,
        other => unreachable!("the table has no route {other} for this function"),
    }
}
