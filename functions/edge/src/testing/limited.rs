use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use super::MemoryStore;
use crate::meter::{read_units, write_units};
use crate::store::{Delete, Item, Key, Put, Query, Store, StoreError, Write};

/// Read units that DynamoDB gives a partition key in a second.
pub const READS_PER_S: u32 = 3_000;
/// Write units likewise.
pub const WRITES_PER_S: u32 = 1_000;

/// What was used of a partition, in units of DynamoDB ([`crate::Metered`]).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Units {
    /// Read.
    pub reads: u64,
    /// Written.
    pub writes: u64,
    /// Requests that were refused, because the partition had had its share of the second.
    pub refused: u64,
}

/// A store that tells what is used of each partition, and refuses what goes over the limits of a
/// partition as DynamoDB does when it throttles. Time is what its callers say it is.
///
/// Each partition has an allowance that fills at the rate of its limit, up to that of one second.
/// A request is let in while anything is left, and its units are taken off, below nothing if need
/// be: what a query costs is known when it is done. (DynamoDB lends a partition that was idle up to
/// five minutes of its table's unused share; nobody may count on that, so there is none here.)
#[derive(Debug)]
pub struct LimitedStore<S = MemoryStore> {
    /// The store behind.
    pub inner: S,
    is_limited: bool,
    partitions: Mutex<BTreeMap<String, Partition>>,
}

#[derive(Debug)]
struct Partition {
    used: Units,
    /// Milliunits that are left, reads and writes.
    left: [i64; 2],
    at_ms: u64,
}

/// Limits, as what is left is counted.
const LIMITS: [u32; 2] = [READS_PER_S, WRITES_PER_S];
const READS: usize = 0;
const WRITES: usize = 1;

impl Partition {
    fn full(now_ms: u64) -> Self {
        Self {
            used: Units::default(),
            left: LIMITS.map(|limit| i64::from(limit) * 1000),
            at_ms: now_ms,
        }
    }

    fn pass(&mut self, now_ms: u64) {
        let ms = now_ms.saturating_sub(self.at_ms).min(1000) as i64;
        self.at_ms = self.at_ms.max(now_ms);
        for (left, limit) in self.left.iter_mut().zip(LIMITS) {
            // A unit a second is a milliunit a millisecond.
            *left = (*left + ms * i64::from(limit)).min(i64::from(limit) * 1000);
        }
    }
}

impl<S> LimitedStore<S> {
    /// One that refuses.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            is_limited: true,
            partitions: Mutex::default(),
        }
    }

    /// One that only tells.
    pub fn unlimited(inner: S) -> Self {
        Self {
            is_limited: false,
            ..Self::new(inner)
        }
    }

    /// What was used of each partition since it was last taken.
    pub fn take_used(&self) -> BTreeMap<String, Units> {
        let mut used = BTreeMap::new();
        for (name, partition) in self.partitions().iter_mut() {
            let units = std::mem::take(&mut partition.used);
            if units != Units::default() {
                used.insert(name.clone(), units);
            }
        }
        used
    }

    fn partitions(&self) -> MutexGuard<'_, BTreeMap<String, Partition>> {
        self.partitions
            .lock()
            .expect("no test panics while it holds the lock")
    }

    /// Lets a request in, or not.
    fn admit(&self, now_ms: u64, name: &str, side: usize) -> Result<(), StoreError> {
        let mut partitions = self.partitions();
        let partition = partitions.entry(name.to_owned());
        let partition = partition.or_insert_with(|| Partition::full(now_ms));
        partition.pass(now_ms);
        if self.is_limited && partition.left[side] <= 0 {
            partition.used.refused += 1;
            return Err(StoreError::Unavailable(
                "the throughput of a partition is exceeded".into(),
            ));
        }
        Ok(())
    }

    fn charge(&self, name: &str, side: usize, units: usize) {
        let mut partitions = self.partitions();
        let Some(partition) = partitions.get_mut(name) else {
            return;
        };
        match side {
            READS => partition.used.reads += units as u64,
            _ => partition.used.writes += units as u64,
        }
        let milliunits = i64::try_from(units)
            .unwrap_or(i64::MAX)
            .saturating_mul(1000);
        partition.left[side] = partition.left[side].saturating_sub(milliunits);
    }

    fn write(&self, now_ms: u64, write: &Write<'_>) -> Result<(), StoreError> {
        let partition = write.key().partition;
        self.admit(now_ms, partition, WRITES)?;
        self.charge(partition, WRITES, write_units(write));
        Ok(())
    }
}

impl<S: Store> Store for LimitedStore<S> {
    async fn get(&self, now_ms: u64, key: Key<'_>) -> Result<Option<Item>, StoreError> {
        self.admit(now_ms, key.partition, READS)?;
        let item = self.inner.get(now_ms, key).await?;
        let units = read_units(item.as_slice(), key.partition);
        self.charge(key.partition, READS, units);
        Ok(item)
    }

    async fn query(&self, now_ms: u64, query: Query<'_>) -> Result<Vec<Item>, StoreError> {
        let partition = query.partition;
        self.admit(now_ms, partition, READS)?;
        let items = self.inner.query(now_ms, query).await?;
        self.charge(partition, READS, read_units(&items, partition));
        Ok(items)
    }

    async fn put(&self, now_ms: u64, put: Put<'_>) -> Result<u64, StoreError> {
        self.write(now_ms, &Write::Put(put))?;
        self.inner.put(now_ms, put).await
    }

    async fn delete(&self, now_ms: u64, delete: Delete<'_>) -> Result<(), StoreError> {
        self.write(now_ms, &Write::Delete(delete))?;
        self.inner.delete(now_ms, delete).await
    }

    async fn increment(
        &self,
        now_ms: u64,
        key: Key<'_>,
        by: i64,
        expires_at_ms: Option<u64>,
    ) -> Result<i64, StoreError> {
        self.admit(now_ms, key.partition, WRITES)?;
        self.charge(key.partition, WRITES, 1);
        self.inner.increment(now_ms, key, by, expires_at_ms).await
    }

    async fn commit(&self, now_ms: u64, writes: &[Write<'_>]) -> Result<(), StoreError> {
        for write in writes {
            self.admit(now_ms, write.key().partition, WRITES)?;
        }
        // A transaction is charged twice; of one item it is none.
        let times = writes.len().min(2);
        for write in writes {
            self.charge(write.key().partition, WRITES, times * write_units(write));
        }
        self.inner.commit(now_ms, writes).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::items::{self, Over};
    use crate::testing::schedule::block_on;

    const NOW_MS: u64 = 1_700_000_000_000;

    #[test]
    fn a_partition_takes_its_limits_and_no_more_of_each_second() {
        let store = LimitedStore::new(MemoryStore::default());
        let put = async |now_ms, partition| {
            let key = Key::new(partition, "item");
            items::put(&store, now_ms, key, &String::new(), None, Over::ANYTHING).await
        };
        block_on(async {
            for n in 0..3 * WRITES_PER_S {
                // A thousand at once, then a thousand each second.
                let taken = put(NOW_MS, "hot").await;
                assert_eq!(taken.is_ok(), n < WRITES_PER_S, "{n}");
            }
            let refused = put(NOW_MS, "hot").await.unwrap_err();
            assert!(matches!(refused, StoreError::Unavailable(_)), "{refused}");
            put(NOW_MS, "other").await.unwrap();
            let mut taken = 0;
            for ms in 1..=2_000 {
                for _ in 0..3 {
                    taken += u32::from(put(NOW_MS + ms, "hot").await.is_ok());
                }
            }
            assert_eq!(taken, 2 * WRITES_PER_S);
            // Reads have their own.
            for n in 0..2 * READS_PER_S {
                let read = store.get(NOW_MS + 2_000, Key::new("hot", "item")).await;
                assert_eq!(read.is_ok(), n < READS_PER_S, "{n}");
            }
        });
        let used = store.take_used();
        let hot = Units {
            reads: u64::from(READS_PER_S),
            writes: u64::from(3 * WRITES_PER_S),
            refused: u64::from(2 * WRITES_PER_S + 1 + 4 * WRITES_PER_S + READS_PER_S),
        };
        assert_eq!((used["hot"], used["other"].writes), (hot, 1));
        assert_eq!(store.take_used().len(), 0);
    }

    #[test]
    fn what_a_query_costs_is_taken_off_when_it_is_known() {
        let store = LimitedStore::new(MemoryStore::default());
        let large = "x".repeat(200_000);
        block_on(async {
            let key = Key::new("large", "item");
            items::put(&store.inner, NOW_MS, key, &large, None, Over::ANYTHING)
                .await
                .unwrap();
            // 49 units each: 62 of them pass a second's allowance by a little, and no more are let
            // in until that is made up for.
            let query = async |now_ms| store.query(now_ms, Query::all("large", 9)).await;
            let mut taken = 0;
            while query(NOW_MS).await.is_ok() {
                taken += 1;
            }
            assert_eq!(taken, READS_PER_S.div_ceil(49));
            assert!(query(NOW_MS + 12).await.is_err());
            assert!(query(NOW_MS + 13).await.is_ok());
        });
    }
}
