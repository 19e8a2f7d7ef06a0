//! Tokens that an operator makes, each for one relay.

use edge::change::unless_lost;
use edge::http::{Call, Response};
use edge::items::{self, Held, Over};
use edge::ports::Entropy;
use edge::store::{Delete, Key, Query, Store, StoreError};
use edge::{Metered, Refusal, stored};
use serde::{Deserialize, Serialize};
use wire::enrolment::{
    EnrolmentToken, ProofKind, Secret, TokenList, TokenRecord, TokenReply, TokenRequest,
};
use wire::fleet::shard_ids;
use wire::limits::{MAX_ENROLMENT_TOKEN_S, MAX_SHARDS};
use wire::problem::ProblemKind;
use wire::routes::{ENROLMENT_TOKENS, MAKE_ENROLMENT_TOKEN};
use wire::{EnrolmentId, ShardId};

use super::Admission;
use crate::body_invalid;

/// Where tokens are.
const PARTITION: &str = "enrolment-tokens";
/// Most tokens that are listed, expired ones too.
const MAX_TOKENS: usize = 1_000;
/// How long a token is listed after it expired, in milliseconds.
const LISTED_MS: u64 = 24 * 3600 * 1000;

/// A token as the store keeps it: not the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredToken {
    record: TokenRecord,
    /// Of the whole token.
    digest: String,
    /// Of the claim of the relay that used it.
    #[serde(default)]
    used_by: Option<String>,
}

stored!(enrolment_token: StoredToken);

/// A token that holds, not yet used up.
pub(super) struct Checked(Held<StoredToken>);

/// Finds a token that is valid for the relay whose claim has the digest `owner`.
pub(super) async fn check<S: Store>(
    store: &S,
    now_ms: u64,
    token: &Secret,
    owner: &str,
) -> Result<(Admission, Checked), Refusal> {
    let invalid = || {
        Refusal::new(
            ProblemKind::ProofInvalid,
            "This edge made no such token, or it was taken back; ask an operator for a new one.",
        )
    };
    let token = EnrolmentToken::parse(&token.0).map_err(|_| invalid())?;
    let found = read(store, now_ms, token.id).await?;
    // Hashes of what the caller does not have: how long the comparison takes tells nothing.
    let held = found
        .filter(|held| held.value.digest == token.digest())
        .ok_or_else(invalid)?;
    let stored = &held.value;
    if now_ms >= stored.record.expires_at_ms {
        return Err(Refusal::new(
            ProblemKind::ProofExpired,
            "The token's time is over; ask an operator for a new one.",
        ));
    }
    if stored.used_by.as_deref().is_some_and(|used| used != owner) {
        return Err(used_before());
    }
    let record = &stored.record;
    let admission = Admission {
        relay: record.relay.clone(),
        region: record.region.clone(),
        capacity: record.capacity.into(),
        by: ProofKind::Token,
    };
    Ok((admission, Checked(held)))
}

impl Checked {
    /// Uses the token up: whoever writes this first has it.
    pub(super) async fn commit<S: Store>(
        self,
        store: &S,
        now_ms: u64,
        owner: &str,
    ) -> Result<(), Refusal> {
        let Self(mut held) = self;
        let stored = &mut held.value;
        if stored.used_by.is_some() {
            return Ok(());
        }
        stored.used_by = Some(owner.to_owned());
        stored.record.used_at_ms = Some(now_ms);
        let written = write(store, now_ms, &held.value, held.over()).await;
        unless_lost(written)?.ok_or_else(used_before)
    }
}

fn used_before() -> Refusal {
    Refusal::new(
        ProblemKind::ProofUsed,
        "Another relay enrolled with this token; every relay needs a token of its own.",
    )
}

/// `POST /v1/relays/enrolment-tokens`.
pub(crate) async fn make<H: Entropy, S: Store>(
    host: &H,
    store: &Metered<'_, S>,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let wanted: TokenRequest = call.body()?;
    if wanted.capacity == 0 {
        return Err(body_invalid(
            "The capacity must be at least one participant.",
        ));
    }
    if wanted.expires_in_s == 0 || wanted.expires_in_s > MAX_ENROLMENT_TOKEN_S {
        return Err(body_invalid(
            "expires_in_s must be 1 to 2592000 (30 days); an hour is enough to start a relay.",
        ));
    }
    let now_ms = call.caller()?.now_ms;
    let known = store.query(now_ms, Query::all(PARTITION, MAX_TOKENS));
    if known.await?.len() >= MAX_TOKENS {
        return Err(Refusal::new(
            ProblemKind::LimitReached,
            "There are 1000 enrolment tokens; take back some that are not needed.",
        ));
    }
    let mut random = [0; 32];
    host.fill(&mut random);
    let token = EnrolmentToken::new(random);
    let expires_at_ms = now_ms + wanted.expires_in_s * 1000;
    let record = TokenRecord {
        id: token.id,
        region: wanted.region,
        capacity: wanted.capacity,
        relay: name(wanted.relay, token.id)?,
        made_at_ms: now_ms,
        expires_at_ms,
        used_at_ms: None,
    };
    let stored = StoredToken {
        record: record.clone(),
        digest: token.digest(),
        used_by: None,
    };
    write(store, now_ms, &stored, Over::NOTHING).await?;
    let reply = TokenReply {
        token: token.text(),
        record,
    };
    Ok(Response::json(MAKE_ENROLMENT_TOKEN.status, &reply).with("cache-control", "no-store"))
}

/// The relay's name, which can be numbered however many shards it will have.
fn name(wanted: Option<ShardId>, id: EnrolmentId) -> Result<ShardId, Refusal> {
    let name = match wanted {
        Some(name) => name,
        None => ShardId::new(format!("relay-{id}")).expect("22 characters of the alphabet"),
    };
    match shard_ids(&name, MAX_SHARDS) {
        Ok(_) => Ok(name),
        Err(_) => Err(body_invalid(
            "The relay's name must leave room for the numbers of its shards: 44 characters.",
        )),
    }
}

/// `GET /v1/relays/enrolment-tokens`.
pub(crate) async fn list<S: Store>(
    store: &Metered<'_, S>,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let items = store
        .query(call.caller()?.now_ms, Query::all(PARTITION, MAX_TOKENS))
        .await?;
    let record = |item| Ok(Held::<StoredToken>::read(PARTITION, item)?.value.record);
    let tokens: Result<_, StoreError> = items.iter().map(record).collect();
    let list = TokenList { tokens: tokens? };
    Ok(Response::json(ENROLMENT_TOKENS.status, &list))
}

/// `DELETE /v1/relays/enrolment-tokens/{enrolment}`. A relay that has used it stays.
pub(crate) async fn revoke<S: Store>(
    store: &Metered<'_, S>,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let id: EnrolmentId = call.parameter(0)?;
    let (sort, now_ms) = (id.to_string(), call.caller()?.now_ms);
    let key = Key::new(PARTITION, &sort);
    if store.get(now_ms, key).await?.is_none() {
        return Err(Refusal::new(
            ProblemKind::UnknownEnrolment,
            "There is no enrolment token of this id; see GET /v1/relays/enrolment-tokens.",
        ));
    }
    store.delete(now_ms, Delete { key, version: None }).await?;
    Ok(Response::empty(204))
}

async fn read<S: Store>(
    store: &S,
    now_ms: u64,
    id: EnrolmentId,
) -> Result<Option<Held<StoredToken>>, StoreError> {
    let sort = id.to_string();
    items::get(store, now_ms, Key::new(PARTITION, &sort)).await
}

async fn write<S: Store>(
    store: &S,
    now_ms: u64,
    stored: &StoredToken,
    over: Over,
) -> Result<(), StoreError> {
    let sort = stored.record.id.to_string();
    let key = Key::new(PARTITION, &sort);
    let expires = Some(stored.record.expires_at_ms + LISTED_MS);
    items::put(store, now_ms, key, stored, expires, over).await?;
    Ok(())
}
