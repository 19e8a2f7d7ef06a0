//! Relays that join the fleet, and the tokens by which they may.
//!
//! | partition | sort | holds | written |
//! |---|---|---|---|
//! | `enrolment-tokens` | ID | a token without its secret, and who used it | made, used |
//! | `relay#NAME` | `enrolment` | the relay that has the name | at enrolment |
//! | `enrolment-nonce#N` | `nonce` | that a signed proof was used | at enrolment |
//! | `shard#S` | `registration` | [`edge::directory::Registration`] | at enrolment |
//!
//! A token is used by one compare-and-swap, and a name is given by another; everything after them
//! may be done twice. So a relay whose reply was lost asks again, with the same claim, and whoever
//! else asks is refused.

mod admission;
mod identity;
mod relays;
mod tokens;

use edge::http::{Call, Response};
use edge::ports::{Clock, Entropy, IdentityLink, Timer, Variables};
use edge::store::Store;
use edge::{Metered, Refusal, config};
use wire::enrolment::{EnrolledShard, EnrolmentReply, EnrolmentRequest, Proof, Secret};
use wire::fleet::shard_ids;
use wire::limits::MAX_SHARDS;
use wire::problem::ProblemKind;
use wire::routes::{ENROL, ENROLMENT};

pub(crate) use tokens::{list, make, revoke};

use crate::body_invalid;

/// `POST /v1/relays/enrolment`.
pub(crate) async fn enrol<H, S: Store>(
    host: &H,
    store: &Metered<'_, S>,
    call: &Call<'_>,
) -> Result<Response, Refusal>
where
    H: Clock + Entropy + IdentityLink + Timer + Variables,
{
    let request: EnrolmentRequest = call.body()?;
    if request.shards == 0 || request.shards > MAX_SHARDS {
        return Err(body_invalid("A relay has 1 to 128 shards."));
    }
    if request.capacity == 0 {
        return Err(body_invalid(
            "The capacity must be at least one participant of each shard.",
        ));
    }
    let now_ms = host.now_ms();
    let owner = request.claim.digest();
    let edge = config::edge_url(host).await?;
    let secret = config::fleet_secret(host).await?;
    let (admission, token) = match &request.proof {
        Proof::Token { token } => {
            let (admission, token) = tokens::check(store, now_ms, token, &owner).await?;
            (admission, Some(token))
        }
        Proof::Aws(proof) => {
            let asked = identity::Asked {
                proof,
                terms: request.terms(proof.nonce),
                region: request.region.as_ref(),
                edge: edge.as_deref(),
            };
            (identity::check(host, store, now_ms, asked).await?, None)
        }
    };
    admission.check(&request)?;
    let ids = shard_ids(&admission.relay, request.shards)
        .map_err(|_| body_invalid("The relay's name is too long for so many shards."))?;
    let least_epoch = relays::check_free(store, now_ms, &admission.relay, &ids, &owner).await?;
    let epoch = secret.newest_epoch().max(least_epoch);
    let enrolment = admission.enrolment(&request, epoch, now_ms);
    // From here on the proof is this relay's; a signed one is so since it was checked.
    if let Some(token) = token {
        token.commit(store, now_ms, &owner).await?;
    }
    let enrolment = relays::write(host, store, now_ms, enrolment, (&ids, &owner)).await?;
    let keyed = ids.into_iter().map(|shard| EnrolledShard {
        key: Secret(secret.shard_key(&shard, enrolment.epoch).to_base64()),
        shard,
    });
    let reply = EnrolmentReply {
        shards: keyed.collect(),
        relay: enrolment.relay,
        region: enrolment.region,
        capacity: enrolment.capacity,
        epoch: enrolment.epoch,
        edge,
    };
    Ok(Response::json(ENROL.status, &reply).with("cache-control", "no-store"))
}

/// `GET /v1/relays/{shard}/enrolment`.
pub(crate) async fn show<S: Store>(
    store: &Metered<'_, S>,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let (relay, now_ms) = (call.parameter(0)?, call.caller()?.now_ms);
    match relays::read(store, now_ms, &relay).await? {
        Some(known) => Ok(Response::json(ENROLMENT.status, &known.value.enrolment)),
        None => Err(unknown()),
    }
}

/// `DELETE /v1/relays/{shard}/enrolment`.
pub(crate) async fn forget<S: Store>(
    store: &Metered<'_, S>,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let (relay, now_ms) = (call.parameter(0)?, call.caller()?.now_ms);
    let known = relays::read(store, now_ms, &relay).await?;
    let known = known.ok_or_else(unknown)?;
    relays::forget(store, now_ms, &known).await?;
    Ok(Response::empty(204))
}

fn unknown() -> Refusal {
    Refusal::new(
        ProblemKind::UnknownEnrolment,
        "No relay of this name has enrolled; one whose key came in a file is not listed here.",
    )
}
