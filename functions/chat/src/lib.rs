//! Text chat as a pure function of its ports: channels whose messages are numbered without gaps,
//! edits, reactions, read markers, presence, moderation, export and erasure. How the store is
//! used: `infra/decisions/0010-chat-the-log-is-the-state.md`.

#![allow(
    async_fn_in_trait,
    reason = "generic over ports, see Send in the crate edge"
)]

mod access;
mod author;
mod blocks;
mod change;
mod filter;
mod history;
mod log;
mod markers;
mod moderate;
mod post;
mod presence;
mod privacy;
mod push;
mod react;
mod route;
mod tail;
mod text;

use edge::Metered;
use edge::http::{Call, Request, Response, serve};
use edge::ports::{Clock, Entropy, RelayLink, Storage, Timer, Variables};
use edge::store::Store;
use wire::routes::ChatRoute;

use access::Chat;

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
    store: &Metered<'_, S>,
    call: &Call<'_>,
) -> Result<Response, edge::Refusal> {
    let chat = Chat::enter(host, store, call).await?;
    match route {
        ChatRoute::Post => post::post(&chat).await,
        ChatRoute::History => history::history(&chat).await,
        ChatRoute::Edit => change::edit(&chat).await,
        ChatRoute::DeleteMessage => change::delete(&chat).await,
        ChatRoute::React => react::react(&chat, true).await,
        ChatRoute::Unreact => react::react(&chat, false).await,
        ChatRoute::Report => moderate::report(&chat).await,
        ChatRoute::MarkRead => markers::mark_read(&chat).await,
        ChatRoute::Unread => markers::unread(&chat).await,
        ChatRoute::Typing => presence::typing(&chat).await,
        ChatRoute::SetPresence => presence::set(&chat).await,
        ChatRoute::Presence => presence::show(&chat).await,
        ChatRoute::Blocks => blocks::list(&chat).await,
        ChatRoute::Block => blocks::set(&chat, true).await,
        ChatRoute::Unblock => blocks::set(&chat, false).await,
        ChatRoute::SetSettings => moderate::settings(&chat).await,
        ChatRoute::Mute => moderate::mute(&chat, true).await,
        ChatRoute::Unmute => moderate::mute(&chat, false).await,
        ChatRoute::Audit => moderate::audit(&chat).await,
        ChatRoute::Reports => moderate::reports(&chat).await,
        ChatRoute::Export => privacy::export(&chat).await,
        ChatRoute::Erase => privacy::erase(&chat).await,
    }
}
