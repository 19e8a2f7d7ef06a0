//! Which relay has which name.

use edge::Refusal;
use edge::directory::{self, Registration};
use edge::items::{self, Held, Over};
use edge::ports::{Entropy, Timer};
use edge::store::{Delete, Key, Store, StoreError};
use edge::stored;
use serde::{Deserialize, Serialize};
use wire::ShardId;
use wire::enrolment::Enrolment;
use wire::fleet::shard_ids;
use wire::keys::EPOCHS;
use wire::problem::ProblemKind;

const SORT: &str = "enrolment";

/// A relay as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) enrolment: Enrolment,
    /// Of its claim.
    owner: String,
}

stored!(enrolment: Stored);

impl Stored {
    /// Their names; none where they could not be numbered, which was refused.
    fn shards(&self) -> Vec<ShardId> {
        shard_ids(&self.enrolment.relay, self.enrolment.shards).unwrap_or_default()
    }
}

/// Refuses a name that is not the caller's and not free: another relay enrolled with it, or one
/// whose key came in a file runs under it. A relay that was revoked is refused until an operator
/// frees its name: whoever has its keys may have its claim as well. Returns the least epoch of keys
/// for all these shards.
pub(super) async fn check_free<S: Store>(
    store: &S,
    now_ms: u64,
    relay: &ShardId,
    shards: &[ShardId],
    owner: &str,
) -> Result<u8, Refusal> {
    let known = read(store, now_ms, relay).await?;
    if known
        .as_ref()
        .is_some_and(|known| known.value.owner != owner)
    {
        return Err(taken(relay));
    }
    let mut least_epoch = 0;
    for shard in shards {
        let (_, of_shard) = directory::known_registration(store, now_ms, shard).await?;
        least_epoch = least_epoch.max(of_shard);
    }
    let enrolled = known.map(|known| known.value.enrolment.epoch);
    if least_epoch >= EPOCHS || enrolled.is_some_and(|epoch| epoch < least_epoch) {
        return Err(revoked(relay, least_epoch));
    }
    // All shards of a relay run together, so the first one speaks for them.
    let Some(first) = shards.first().filter(|_| enrolled.is_none()) else {
        return Ok(least_epoch);
    };
    let running = directory::shard(store, now_ms, first).await?;
    if running.is_some_and(|record| directory::is_live(&record, now_ms)) {
        return Err(taken(relay));
    }
    Ok(least_epoch)
}

fn revoked(relay: &ShardId, least_epoch: u8) -> Refusal {
    let detail = match least_epoch >= EPOCHS {
        true => format!("No key of {relay} counts any more: give the relay another name."),
        false => format!(
            "The relay {relay} was revoked. When its machine is gone or clean, an operator frees \
             its name: DELETE /v1/relays/{relay}/enrolment."
        ),
    };
    Refusal::new(ProblemKind::ShardRevoked, detail)
}

/// Gives the name to the relay, and registers its shards.
pub(super) async fn write<H: Entropy + Timer, S: Store>(
    host: &H,
    store: &S,
    now_ms: u64,
    enrolment: Enrolment,
    (shards, owner): (&[ShardId], &str),
) -> Result<Enrolment, Refusal> {
    let known = read(store, now_ms, &enrolment.relay).await?;
    if known
        .as_ref()
        .is_some_and(|known| known.value.owner != owner)
    {
        return Err(taken(&enrolment.relay));
    }
    let stored = Stored {
        enrolment,
        owner: owner.to_owned(),
    };
    let partition = partition(&stored.enrolment.relay);
    let (key, over) = (Key::new(&partition, SORT), Over::read(known.as_ref()));
    items::put(store, now_ms, key, &stored, None, over).await?;
    let registration = Registration {
        relay: stored.enrolment.relay.clone(),
        region: stored.enrolment.region.clone(),
        capacity: stored.enrolment.capacity,
        owner: stored.owner,
    };
    for shard in shards {
        directory::register(host, store, now_ms, shard, &registration).await?;
    }
    // A relay that came with more shards before must not keep their names.
    let before = known.map_or(Vec::new(), |known| known.value.shards());
    for shard in before.iter().filter(|shard| !shards.contains(shard)) {
        directory::unregister(store, now_ms, shard, &registration.owner).await?;
    }
    Ok(stored.enrolment)
}

/// Forgets the relay and its shards; the name last, so that what fails half-way can be repeated.
pub(super) async fn forget<S: Store>(
    store: &S,
    now_ms: u64,
    known: &Held<Stored>,
) -> Result<(), Refusal> {
    let relay = &known.value;
    for shard in relay.shards() {
        directory::unregister(store, now_ms, &shard, &relay.owner).await?;
    }
    let partition = partition(&relay.enrolment.relay);
    let delete = Delete {
        key: Key::new(&partition, SORT),
        version: Some(known.version),
    };
    store.delete(now_ms, delete).await?;
    Ok(())
}

/// One that cannot be read has its name all the same.
pub(super) async fn read<S: Store>(
    store: &S,
    now_ms: u64,
    relay: &ShardId,
) -> Result<Option<Held<Stored>>, Refusal> {
    let partition = partition(relay);
    match items::get(store, now_ms, Key::new(&partition, SORT)).await {
        Err(StoreError::Unreadable(_)) => Err(Refusal::new(
            ProblemKind::Internal,
            "What is kept of this relay cannot be read; tell the service's operator.",
        )),
        read => Ok(read?),
    }
}

fn partition(relay: &ShardId) -> String {
    format!("relay#{relay}")
}

fn taken(relay: &ShardId) -> Refusal {
    let detail = format!(
        "The name {relay} is another relay's. If that one is gone for good, an operator frees it: \
         DELETE /v1/relays/{relay}/enrolment. A relay whose key came in a file must have stopped."
    );
    Refusal::new(ProblemKind::RelayEnrolled, detail)
}
