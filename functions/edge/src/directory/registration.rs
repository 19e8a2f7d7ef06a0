use serde::{Deserialize, Serialize};
use wire::problem::ProblemKind;
use wire::{RegionName, ShardId};

use super::record::shard_partition;
use super::terms::Terms;
use crate::Refusal;
use crate::change::{unless_lost, until_done};
use crate::items::{self, Held, Over};
use crate::ports::{Entropy, Timer};
use crate::store::{Delete, Key, Store, StoreError};
use crate::stored;

const REGISTRATION_SORT: &str = "registration";
/// Directly behind it.
const REVOCATION_SORT: &str = "revocation";

/// What a shard was let in with, kept until its relay is forgotten. A shard whose key came in a
/// file has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The relay that it is of.
    pub relay: ShardId,
    /// Where it may be.
    pub region: RegionName,
    /// Most participants that it may take.
    pub capacity: u32,
    /// What is kept of its relay's claim: the relay that shows it may register again.
    pub owner: String,
}

stored!(registration: Registration);

/// That a shard was revoked, kept whoever has its name after that: a stolen key stays stolen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Revoked {
    /// Keys of earlier epochs are nobody's any more; above 15 all of them.
    #[serde(rename = "e")]
    least_epoch: u8,
}

stored!(shard_revocation: Revoked);

/// Has keys of a shard count from an epoch on and no earlier; returns the epoch that then holds,
/// which never goes back.
///
/// # Errors
/// `conflict` or `store-unavailable`.
pub(super) async fn raise_epoch<H: Entropy + Timer, S: Store>(
    host: &H,
    store: &S,
    now_ms: u64,
    shard: &ShardId,
    least_epoch: u8,
) -> Result<u8, Refusal> {
    let partition = shard_partition(shard);
    let key = Key::new(&partition, REVOCATION_SORT);
    until_done(host, || async {
        let held: Held<Revoked> = items::get(store, now_ms, key).await?.unwrap_or_default();
        let least_epoch = least_epoch.max(held.value.least_epoch);
        let new = Revoked { least_epoch };
        let written = items::put(store, now_ms, key, &new, None, held.over()).await;
        Ok(unless_lost(written)?.map(|_| least_epoch))
    })
    .await
}

/// What a shard was let in with, if it was, and the least epoch of its keys. One read.
///
/// # Errors
/// `store-unavailable`, also when either cannot be read.
pub async fn known<S: Store>(
    store: &S,
    now_ms: u64,
    shard: &ShardId,
) -> Result<(Option<Registration>, u8), Refusal> {
    let partition = shard_partition(shard);
    let between = (REGISTRATION_SORT, REVOCATION_SORT);
    let (mut registration, mut revoked) = (None, Revoked::default());
    for item in items::range(store, now_ms, &partition, between, 2).await? {
        match item.sort.as_str() {
            REGISTRATION_SORT => registration = Some(Held::read(&partition, &item)?.value),
            REVOCATION_SORT => revoked = Held::<Revoked>::read(&partition, &item)?.value,
            _ => {}
        }
    }
    Ok((registration, revoked.least_epoch))
}

/// Registers a shard, or registers it anew for the relay that it is of.
///
/// # Errors
/// `relay-enrolled` when it is another relay's, `conflict`, or `store-unavailable`.
pub async fn register<H: Entropy + Timer, S: Store>(
    host: &H,
    store: &S,
    now_ms: u64,
    shard: &ShardId,
    registration: &Registration,
) -> Result<(), Refusal> {
    let partition = shard_partition(shard);
    let key = Key::new(&partition, REGISTRATION_SORT);
    until_done(host, || async {
        let known = read(store, now_ms, shard).await?;
        match &known {
            Some(known) if known.value == *registration => return Ok(Some(())),
            Some(known) if known.value.owner != registration.owner => return Err(taken(shard)),
            _ => {}
        }
        let over = Over::read(known.as_ref());
        let written = items::put(store, now_ms, key, registration, None, over).await;
        Ok(unless_lost(written)?.map(drop))
    })
    .await
}

/// What a shard was let in with; none when its key came in a file.
///
/// # Errors
/// `store-unavailable`.
pub async fn registration<S: Store>(
    store: &S,
    now_ms: u64,
    shard: &ShardId,
) -> Result<Option<Registration>, Refusal> {
    let found = read(store, now_ms, shard).await?;
    Ok(found.map(|held| held.value))
}

/// Forgets a shard of `owner`; another's is left alone.
///
/// # Errors
/// `conflict` when it was registered anew meanwhile, or `store-unavailable`.
pub async fn unregister<S: Store>(
    store: &S,
    now_ms: u64,
    shard: &ShardId,
    owner: &str,
) -> Result<(), Refusal> {
    let partition = shard_partition(shard);
    match read(store, now_ms, shard).await? {
        Some(known) if known.value.owner == owner => {
            let delete = Delete {
                key: Key::new(&partition, REGISTRATION_SORT),
                version: Some(known.version),
            };
            Ok(store.delete(now_ms, delete).await?)
        }
        _ => Ok(()),
    }
}

/// A registration that cannot be read is never taken for absent: its name would be given away.
async fn read<S: Store>(
    store: &S,
    now_ms: u64,
    shard: &ShardId,
) -> Result<Option<Held<Registration>>, Refusal> {
    let partition = shard_partition(shard);
    let key = Key::new(&partition, REGISTRATION_SORT);
    match items::get(store, now_ms, key).await {
        Err(StoreError::Unreadable(_)) => Err(taken(shard)),
        read => Ok(read?),
    }
}

fn taken(shard: &ShardId) -> Refusal {
    let detail = format!(
        "The name {shard} is another relay's. If that one is gone for good, an operator frees it: \
         DELETE /v1/relays/NAME/enrolment."
    );
    Refusal::new(ProblemKind::RelayEnrolled, detail)
}

/// Whether a key of `epoch` may speak for a shard in `region`: what it says besides heartbeats,
/// which is seldom. One read, and what `declared` does where nobody enrolled.
///
/// # Errors
/// `shard-unregistered`, `shard-revoked`, `registration-exceeded`, `store-unavailable`.
pub async fn check_speaker<S: Store>(
    store: &S,
    now_ms: u64,
    shard: &ShardId,
    (epoch, region): (u8, &RegionName),
    declared: &impl AsyncFn(&ShardId) -> Result<Option<Terms>, Refusal>,
) -> Result<(), Refusal> {
    let terms = terms(store, now_ms, shard, declared).await?;
    terms.check_speaker(epoch, region)
}

/// What a shard may say of itself now: one read, and what `declared` does where nobody enrolled.
pub(super) async fn terms<S: Store>(
    store: &S,
    now_ms: u64,
    shard: &ShardId,
    declared: &impl AsyncFn(&ShardId) -> Result<Option<Terms>, Refusal>,
) -> Result<Terms, Refusal> {
    let (registration, least_epoch) = known(store, now_ms, shard).await?;
    let terms = match registration {
        Some(registration) => Terms {
            region: Some(registration.region),
            capacity: Some(registration.capacity),
            ..Terms::default()
        },
        None => declared(shard).await?.ok_or_else(|| {
            Refusal::new(
                ProblemKind::ShardUnregistered,
                "No operator knows this shard: enrol its relay, or list it in the setting \
                 static_shards of the function fleet.",
            )
        })?,
    };
    Ok(Terms {
        least_epoch: terms.least_epoch.max(least_epoch),
        ..terms
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Condition, Put};
    use crate::testing::schedule::block_on;
    use crate::testing::{MemoryStore, Patience};

    fn registration(owner: &str, capacity: u32) -> Registration {
        Registration {
            relay: "eu-1".parse().unwrap(),
            region: "eu".parse().unwrap(),
            capacity,
            owner: owner.into(),
        }
    }

    #[test]
    fn a_shard_is_registered_again_by_its_own_relay_only() {
        let (store, shard) = (MemoryStore::default(), "eu-1-0".parse().unwrap());
        block_on(async {
            assert_eq!(super::registration(&store, 1, &shard).await, Ok(None));
            for capacity in [100, 100, 200] {
                register(&Patience, &store, 1, &shard, &registration("a", capacity)).await?;
            }
            let refused = register(&Patience, &store, 1, &shard, &registration("b", 1)).await;
            assert_eq!(refused.unwrap_err().kind, ProblemKind::RelayEnrolled);
            unregister(&store, 1, &shard, "b").await?;
            let found = super::registration(&store, 1, &shard).await?;
            assert_eq!(found, Some(registration("a", 200)));
            unregister(&store, 1, &shard, "a").await?;
            register(&Patience, &store, 1, &shard, &registration("b", 1)).await
        })
        .unwrap();
    }

    #[test]
    fn what_cannot_be_read_is_not_given_away() {
        let (store, shard) = (MemoryStore::default(), "eu-1-0".parse().unwrap());
        block_on(async {
            let partition = shard_partition(&shard);
            let put = Put {
                key: Key::new(&partition, REGISTRATION_SORT),
                value: b"{\"later\":1}",
                expires_at_ms: None,
                condition: Condition::Always,
            };
            store.put(1, put).await.unwrap();
            let refused = register(&Patience, &store, 1, &shard, &registration("a", 1)).await;
            assert_eq!(refused.unwrap_err().kind, ProblemKind::RelayEnrolled);
        });
    }
}
