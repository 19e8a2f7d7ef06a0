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
mod sanction;

use edge::http::{Call, Request, Response, serve};
use edge::ports::{Clock, Entropy, RelayLink, Storage, Timer, Variables};
use edge::sanctions::Sanction;
use edge::{Refusal, config};
use wire::RoomName;
use wire::problem::ProblemKind;
use wire::routes::{
    Function, JOIN, KICK, LEAVE, ROOM_BAN, ROOM_MUTE, ROOM_UNBAN, ROOM_UNMUTE, WHIP,
};

/// Serves one request.
pub async fn handle<H>(host: &H, request: Request) -> Response
where
    H: Storage + Clock + Entropy + Timer + Variables + RelayLink,
{
    serve(
        Function::Signalling,
        host.store(),
        &request,
        async |call, store| match call.route.name {
            name if name == JOIN.name => admit::join(host, store, call).await,
            name if name == WHIP.name => admit::whip(host, store, call).await,
            name if name == LEAVE.name => leave::leave(host, store, call).await,
            name if name == KICK.name => sanction::kick(host, store, call).await,
            name if name == ROOM_MUTE.name || name == ROOM_UNMUTE.name => {
                sanction::change(host, store, call, Sanction::Mute).await
            }
            name if name == ROOM_BAN.name || name == ROOM_UNBAN.name => {
                sanction::change(host, store, call, Sanction::Ban).await
            }
            other => unreachable!("the table has no route {other} for this function"),
        },
    )
    .await
}

/// What every route begins with: the caller's claims, then the room of the path.
async fn authenticate<H>(
    host: &H,
    call: &Call<'_>,
) -> Result<(wire::claims::Claims, RoomName), Refusal>
where
    H: Clock + Variables,
{
    let verifier = config::verifier(host).await?;
    let authorization = call.request.authorization.as_deref();
    let claims = verifier.verify(authorization, host.now_ms() / 1000)?;
    let room = RoomName::new(call.parameters[0].clone()).map_err(name_invalid)?;
    Ok((claims, room))
}

fn name_invalid(bad: wire::ids::BadId) -> Refusal {
    Refusal::new(ProblemKind::NameInvalid, format!("The address has {bad}."))
}
