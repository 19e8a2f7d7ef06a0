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
mod tail;
mod text;

use edge::Metered;
use edge::http::{Call, Request, Response, serve};
use edge::ports::{Clock, Entropy, RelayLink, Storage, Timer, Variables};
use edge::store::Store;
use wire::routes::{self, Function};

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
    serve(
        Function::Chat,
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
) -> Result<Response, edge::Refusal> {
    let chat = Chat::enter(host, store, call).await?;
    match call.route.name {
        name if name == routes::POST.name => post::post(&chat).await,
        name if name == routes::HISTORY.name => history::history(&chat).await,
        name if name == routes::EDIT.name => change::edit(&chat).await,
        name if name == routes::DELETE_MESSAGE.name => change::delete(&chat).await,
        name if name == routes::REACT.name => react::react(&chat, true).await,
        name if name == routes::UNREACT.name => react::react(&chat, false).await,
        name if name == routes::REPORT.name => moderate::report(&chat).await,
        name if name == routes::MARK_READ.name => markers::mark_read(&chat).await,
        name if name == routes::UNREAD.name => markers::unread(&chat).await,
        name if name == routes::TYPING.name => presence::typing(&chat).await,
        name if name == routes::SET_PRESENCE.name => presence::set(&chat).await,
        name if name == routes::PRESENCE.name => presence::show(&chat).await,
        name if name == routes::BLOCKS.name => blocks::list(&chat).await,
        name if name == routes::BLOCK.name => blocks::set(&chat, true).await,
        name if name == routes::UNBLOCK.name => blocks::set(&chat, false).await,
        name if name == routes::SET_SETTINGS.name => moderate::settings(&chat).await,
        name if name == routes::MUTE.name => moderate::mute(&chat, true).await,
        name if name == routes::UNMUTE.name => moderate::mute(&chat, false).await,
        name if name == routes::AUDIT.name => moderate::audit(&chat).await,
        name if name == routes::REPORTS.name => moderate::reports(&chat).await,
        name if name == routes::EXPORT.name => privacy::export(&chat).await,
        name if name == routes::ERASE.name => privacy::erase(&chat).await,
        other => unreachable!("the table has no route {other} for this function"),
    }
}
