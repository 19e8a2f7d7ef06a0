//! Text chat as a pure function of its ports: channels whose messages are numbered without gaps,
//! edits, reactions, read markers, presence, settings of channels, export and erasure. How the
//! store is used: `infra/decisions/0010-chat-the-log-is-the-state.md`.

#![allow(
    async_fn_in_trait,
    reason = "generic over ports, see Send in the crate edge"
)]

mod change;
mod filter;
mod history;
mod markers;
mod post;
mod presence;
mod push;
mod pusher;
mod reach;
mod react;
mod said;
mod settings;
mod strangers;
mod tail;
mod text;
mod typing;
mod world;
mod writer;

use edge::http::{Call, Request, Response, serve};
use edge::ports::{Clock, Entropy, RelayLink, Storage, Timer, Variables};
use edge::store::Store;
use wire::routes::ChatRoute;

pub use filter::{Filter, Found};

/// Everything that the function may touch besides its store.
pub trait Ports: Clock + Entropy + Variables + RelayLink + Timer {}

impl<H: Clock + Entropy + Variables + RelayLink + Timer> Ports for H {}

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
    route: ChatRoute,
    store: &S,
    call: &Call<'_>,
) -> Result<Response, edge::Refusal> {
    match route {
        ChatRoute::Post => post::post(host, store, call).await,
        ChatRoute::History => history::history(host, store, call).await,
        ChatRoute::Edit => change::edit(host, store, call).await,
        ChatRoute::DeleteMessage => change::delete(host, store, call).await,
        ChatRoute::React => react::react(host, store, call, true).await,
        ChatRoute::Unreact => react::react(host, store, call, false).await,
        ChatRoute::MarkRead => markers::mark_read(host, store, call).await,
        ChatRoute::Unread => markers::unread(host, store, call).await,
        ChatRoute::Typing => typing::typing(host, store, call).await,
        ChatRoute::SetPresence => presence::set(host, store, call).await,
        ChatRoute::Presence => presence::show(store, call).await,
        ChatRoute::SetSettings => settings::settings(host, store, call).await,
    }
}
