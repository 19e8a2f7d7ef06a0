use serde::{Deserialize, Serialize};
use wire::problem::ProblemKind;
use wire::{RegionName, ShardId};

use super::record::shard_partition;
use crate::Refusal;
use crate::change::{unless_lost, until_done};
use crate::items::{self, Held, Over};
use crate::ports::{Entropy, Timer};
use crate::store::{Delete, Key, Store, StoreError};
use crate::stored;

const REGISTRATION_SORT: &str = "registration";

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
