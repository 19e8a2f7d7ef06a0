//! Join, WHIP and leave: answers an SDP offer with a sealed admission ticket (design section 4).
//!
//! The function never talks to the relay to admit a session. What the relay must know travels in
//! the ICE username fragment of the answer, sealed; the rest in the hello.

#![allow(
    async_fn_in_trait,
    reason = "generic over ports, see Send in the crate edge"
)]

mod admit;
pub mod answer;
mod leave;
pub mod offer;

use edge::Refusal;
use edge::http::{Call, Request, Response, serve};
use edge::ports::{Clock, Entropy, RelayInquiry, RelayLink, Storage, Timer, Variables};
use wire::RoomName;
use wire::claims::Claims;
use wire::routes::SignallingRoute;

/// Serves one request.
pub async fn handle<H>(host: &H, request: Request) -> Response
where
    H: Storage + Clock + Entropy + Timer + Variables + RelayInquiry + RelayLink,
{
    serve(host, &request, async |route, call, store| match route {
        SignallingRoute::Join => admit::join(host, store, call).await,
        SignallingRoute::Whip => admit::whip(host, store, call).await,
        SignallingRoute::Leave => leave::leave(host, store, call).await,
    })
    .await
}

/// What every route begins with: the caller's claims, then the room of the path.
fn authenticate<'a>(call: &'a Call<'_>) -> Result<(&'a Claims, RoomName), Refusal> {
    Ok((&call.caller()?.claims, call.parameter(0)?))
}
