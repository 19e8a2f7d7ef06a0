//! What keeps players from harm, as a pure function of its ports: blocks, mutes in channels and in
//! rooms, bans, removals, reports, and the trail of what moderators did. What it writes is in force
//! where others read it: at each join, at each message, and on the relay that is told at once.

#![allow(
    async_fn_in_trait,
    reason = "generic over ports, see Send in the crate edge"
)]

mod blocks;
mod kept;
mod mute;
mod players;
mod privacy;
mod queue;
mod report;
mod revocation;
mod sanction;
mod trail;

use edge::http::{Call, Request, Response, serve};
use edge::ports::{Clock, Entropy, RelayInquiry, RelayLink, Storage, Timer, Variables};
use edge::sanctions::Sanction;
use edge::{Metered, Refusal};
use wire::routes::SafetyRoute;

/// Everything that the function may touch besides its store.
pub trait Ports: Clock + Entropy + Variables + RelayLink + RelayInquiry + Timer {}

impl<H: Clock + Entropy + Variables + RelayLink + RelayInquiry + Timer> Ports for H {}

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

async fn dispatch<H: Ports, S: edge::store::Store>(
    host: &H,
    route: SafetyRoute,
    store: &Metered<'_, S>,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    match route {
        SafetyRoute::Blocks => blocks::list(store, call).await,
        SafetyRoute::Block => blocks::set(host, store, call, true).await,
        SafetyRoute::Unblock => blocks::set(host, store, call, false).await,
        SafetyRoute::Mute => mute::mute(host, store, call, true).await,
        SafetyRoute::Unmute => mute::mute(host, store, call, false).await,
        SafetyRoute::Report => report::report(host, store, call).await,
        SafetyRoute::Reports => report::reports(host, store, call).await,
        SafetyRoute::ReportQueue => queue::list(host, store, call).await,
        SafetyRoute::SettleReport => queue::settle(host, store, call).await,
        SafetyRoute::Export => privacy::export(host, store, call).await,
        SafetyRoute::Erase => privacy::erase(host, store, call).await,
        SafetyRoute::Audit => trail::audit(host, store, call).await,
        SafetyRoute::RoomMute | SafetyRoute::RoomUnmute => {
            sanction::change(host, store, call, Sanction::Mute).await
        }
        SafetyRoute::RoomBan | SafetyRoute::RoomUnban => {
            sanction::change(host, store, call, Sanction::Ban).await
        }
        SafetyRoute::Kick => sanction::kick(host, store, call).await,
        SafetyRoute::Revoke => revocation::revoke(host, store, call).await,
        SafetyRoute::Players => players::list(host, store, call).await,
    }
}
