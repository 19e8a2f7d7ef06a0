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

use edge::http::{Call, Request, Response, serve};
use edge::ports::{Clock, Entropy, IdentityLink, Storage, Timer, Variables};
use edge::store::Store;
use edge::{Metered, Refusal, config, directory};
use wire::claims::Role;
use wire::fleet::{DrainRequest, ShardList};
use wire::ids::BadId;
use wire::problem::ProblemKind;
use wire::routes::{self, DRAIN, Function, HEARTBEAT, HOME, RELAYS};
use wire::{RegionName, RoomName, ShardId};

/// Serves one request.
pub async fn handle<H>(host: &H, request: Request) -> Response
where
    H: Storage + Clock + Entropy + IdentityLink + Timer + Variables,
{
    serve(
        Function::Fleet,
        host.store(),
        &request,
        async |call, store| dispatch(host, store, call).await,
    )
    .await
}

async fn dispatch<H, S: Store>(
    host: &H,
    store: &Metered<'_, S>,
    call: &Call<'_>,
) -> Result<Response, Refusal>
where
    H: Clock + Entropy + IdentityLink + Timer + Variables,
{
    let is = |route: &routes::Route| call.route.name == route.name;
    match () {
        () if is(&HEARTBEAT) => heartbeat::heartbeat(host, store, call).await,
        () if is(&DRAIN) => drain(host, store, call).await,
        () if is(&RELAYS) => relays(host, store, call).await,
        () if is(&HOME) => home(host, store, call).await,
        () if is(&routes::REGIONS) => regions::list(host, store, call).await,
        () if is(&routes::EVACUATE) => regions::change(host, store, call, true).await,
        () if is(&routes::END_EVACUATION) => regions::change(host, store, call, false).await,
        () if is(&routes::ENROL) => enrolment::enrol(host, store, call).await,
        () if is(&routes::MAKE_ENROLMENT_TOKEN) => enrolment::make(host, store, call).await,
        () if is(&routes::ENROLMENT_TOKENS) => enrolment::list(host, store, call).await,
        () if is(&routes::REVOKE_ENROLMENT_TOKEN) => enrolment::revoke(host, store, call).await,
        () if is(&routes::ENROLMENT) => enrolment::show(host, store, call).await,
        () if is(&routes::FORGET_ENROLMENT) => enrolment::forget(host, store, call).await,
        () => unreachable!("the table has no other route for this function"),
    }
}

/// `PUT /v1/relays/{shard}/drain`: replies with what is known of the shard.
async fn drain<H: Clock + Entropy + Timer + Variables, S: Store>(
    host: &H,
    store: &Metered<'_, S>,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    check_operator(host, call).await?;
    let shard = shard(call)?;
    let wanted: DrainRequest = wire::json::read(&call.request.body)
        .map_err(|_| body_invalid("Send {\"draining\": true} or {\"draining\": false}."))?;
    let now_ms = host.now_ms();
    let record = directory::set_draining(host, store, now_ms, &shard, wanted.draining).await?;
    Ok(Response::json(DRAIN.status, &record))
}

/// `GET /v1/relays`.
async fn relays<H: Clock + Variables, S: Store>(
    host: &H,
    store: &Metered<'_, S>,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    check_operator(host, call).await?;
    let now_ms = host.now_ms();
    let relays = match call.request.query_value("region") {
        Some(region) => {
            let region = RegionName::new(region).map_err(name_invalid)?;
            directory::shards(store, now_ms, &region).await?
        }
        None => directory::shards_everywhere(store, now_ms).await?,
    };
    Ok(Response::json(RELAYS.status, &ShardList { relays }))
}

/// `GET /v1/homes/{room}`.
async fn home<H: Clock + Variables, S: Store>(
    host: &H,
    store: &Metered<'_, S>,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    check_operator(host, call).await?;
    let room = RoomName::new(call.parameters[0].clone()).map_err(name_invalid)?;
    match directory::home(store, host.now_ms(), &room).await? {
        Some(home) => Ok(Response::json(HOME.status, &home)),
        None => Err(Refusal::new(
            ProblemKind::UnknownRoom,
            "Nobody has joined this room within a month; a join creates it.",
        )),
    }
}

async fn check_operator<H: Clock + Variables>(host: &H, call: &Call<'_>) -> Result<(), Refusal> {
    let verifier = config::verifier(host).await?;
    let authorization = call.request.authorization.as_deref();
    let claims = verifier.verify(authorization, host.now_ms() / 1000)?;
    if claims.role == Some(Role::Operator) {
        return Ok(());
    }
    let detail = "Use a token whose role is operator.";
    Err(Refusal::new(ProblemKind::OperatorOnly, detail))
}

fn shard(call: &Call<'_>) -> Result<ShardId, Refusal> {
    ShardId::new(call.parameters[0].clone()).map_err(name_invalid)
}

fn name_invalid(bad: BadId) -> Refusal {
    Refusal::new(ProblemKind::NameInvalid, format!("The address has {bad}."))
}

fn body_invalid(detail: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::new(ProblemKind::BodyInvalid, detail)
}
