//! Relay heartbeats, draining, listing, room homes, and relays that join the fleet.
//!
//! Relays prove themselves by the key of their shard, operators by a token with that role. What is
//! written here is read by every function that needs a relay ([`edge::directory`]).

#![allow(
    async_fn_in_trait,
    reason = "generic over ports, see Send in the crate edge"
)]

mod enrolment;
mod heartbeat;
mod regions;
mod signature;
mod usage;

use edge::http::{Call, Request, Response, serve};
use edge::ports::{Clock, Entropy, IdentityLink, Objects, Storage, Timer, Variables};
use edge::store::Store;
use edge::{Metered, Refusal, directory};
use wire::fleet::{DrainRequest, RevokeShardRequest, ShardList, ShardRevocation};
use wire::keys::EPOCHS;
use wire::problem::ProblemKind;
use wire::routes::{DRAIN, FleetRoute, HOME, RELAYS, REVOKE_SHARD};
use wire::{RegionName, RoomName, ShardId};

/// Serves one request.
pub async fn handle<H>(host: &H, request: Request) -> Response
where
    H: Storage + Clock + Entropy + IdentityLink + Objects + Timer + Variables,
{
    serve(host, &request, async |route, call, store| {
        dispatch(host, route, store, call).await
    })
    .await
}

async fn dispatch<H, S: Store>(
    host: &H,
    route: FleetRoute,
    store: &Metered<'_, S>,
    call: &Call<'_>,
) -> Result<Response, Refusal>
where
    H: Clock + Entropy + IdentityLink + Objects + Timer + Variables,
{
    match route {
        FleetRoute::Heartbeat => heartbeat::heartbeat(host, store, call).await,
        FleetRoute::Usage => usage::usage(host, store, call).await,
        FleetRoute::Drain => drain(host, store, call).await,
        FleetRoute::RevokeShard => revoke(host, store, call).await,
        FleetRoute::Relays => relays(store, call).await,
        FleetRoute::Home => home(store, call).await,
        FleetRoute::Regions => regions::list(host, store, call).await,
        FleetRoute::Evacuate => regions::change(host, store, call, true).await,
        FleetRoute::EndEvacuation => regions::change(host, store, call, false).await,
        FleetRoute::Enrol => enrolment::enrol(host, store, call).await,
        FleetRoute::MakeEnrolmentToken => enrolment::make(host, store, call).await,
        FleetRoute::EnrolmentTokens => enrolment::list(store, call).await,
        FleetRoute::RevokeEnrolmentToken => enrolment::revoke(store, call).await,
        FleetRoute::Enrolment => enrolment::show(store, call).await,
        FleetRoute::ForgetEnrolment => enrolment::forget(store, call).await,
    }
}

/// `PUT /v1/relays/{shard}/drain`: replies with what is known of the shard.
async fn drain<H: Entropy + Timer, S: Store>(
    host: &H,
    store: &Metered<'_, S>,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let shard: ShardId = call.parameter(0)?;
    let wanted: DrainRequest = wire::json::read(&call.request.body)
        .map_err(|_| body_invalid("Send {\"draining\": true} or {\"draining\": false}."))?;
    let now_ms = call.caller()?.now_ms;
    let record = directory::set_draining(host, store, now_ms, &shard, wanted.draining).await?;
    Ok(Response::json(DRAIN.status, &record))
}

/// `PUT /v1/relays/{shard}/revocation`.
async fn revoke<H: Entropy + Timer, S: Store>(
    host: &H,
    store: &Metered<'_, S>,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let shard: ShardId = call.parameter(0)?;
    let RevokeShardRequest { least_epoch } = call.body()?;
    if least_epoch.is_some_and(|epoch| !(1..=EPOCHS).contains(&epoch)) {
        return Err(body_invalid("The least epoch must be 1 to 16."));
    }
    let now_ms = call.caller()?.now_ms;
    let least_epoch = directory::revoke_shard(host, store, now_ms, &shard, least_epoch).await?;
    let reply = ShardRevocation { shard, least_epoch };
    Ok(Response::json(REVOKE_SHARD.status, &reply))
}

/// `GET /v1/relays`.
async fn relays<S: Store>(store: &Metered<'_, S>, call: &Call<'_>) -> Result<Response, Refusal> {
    let now_ms = call.caller()?.now_ms;
    let relays = match call.request.query_value("region") {
        Some(region) => {
            let region = RegionName::new(region)?;
            directory::shards(store, now_ms, &region).await?
        }
        None => directory::shards_everywhere(store, now_ms).await?,
    };
    Ok(Response::json(RELAYS.status, &ShardList { relays }))
}

/// `GET /v1/homes/{room}`.
async fn home<S: Store>(store: &Metered<'_, S>, call: &Call<'_>) -> Result<Response, Refusal> {
    let (room, now_ms): (RoomName, u64) = (call.parameter(0)?, call.caller()?.now_ms);
    match directory::home(store, now_ms, &room).await? {
        Some(home) => Ok(Response::json(HOME.status, &home)),
        None => Err(Refusal::new(
            ProblemKind::UnknownRoom,
            "Nobody has joined this room within a month; a join creates it.",
        )),
    }
}

fn body_invalid(detail: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::new(ProblemKind::BodyInvalid, detail)
}
