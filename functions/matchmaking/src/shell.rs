//! The stateful shell: tickets, passes, matches and results over the store, as a function of its
//! ports. What is kept where, and why no player is ever in two matches:
//! `infra/decisions/0015-the-phase-decides.md`.
//!
//! Each file is about one thing, and uses only what stands further up here:
//!
//! | | |
//! |---|---|
//! | `ports`, `refusals`, `details`, `regions`, `queue` | what stands by itself |
//! | `ticket`, `player`, `lane`, `formed` | what is kept of a ticket, player, lane and match |
//! | `invitation`, `substitutes`, `settle`, `seat`, `reply` | what those do with each other |
//! | `scene`, `place`, `backfill`, `pass` | a pass: what it reads, what it writes down |
//! | `party`, `look` | what a request does to a ticket |
//! | `routes` | the requests |

mod backfill;
mod details;
mod formed;
mod invitation;
mod lane;
mod look;
mod pace;
mod party;
mod pass;
mod place;
mod player;
mod ports;
mod queue;
mod refusals;
mod regions;
mod reply;
mod routes;
mod scene;
mod seat;
mod settle;
mod substitutes;
mod ticket;

use edge::http::{Request, Response, serve};
use edge::ports::Storage;

pub use ports::Ports;

/// Serves one request.
pub async fn handle<H>(host: &H, request: Request) -> Response
where
    H: Storage + Ports,
{
    serve(host, &request, async |route, call, store| {
        routes::answer(host, route, store, call).await
    })
    .await
}
