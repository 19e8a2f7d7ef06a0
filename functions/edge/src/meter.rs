use std::sync::atomic::{AtomicU32, Ordering};

use crate::store::{Delete, Item, Key, Put, Query, Store, StoreError, Write};

/// A store that counts what goes through it: requests, items read and written, and the units that
/// DynamoDB bills. A get of an absent item and a write whose condition failed count, because they
/// are billed too.
///
/// A read unit is 4 kB of one get, or of all items of one query together, strongly consistent. A
/// write unit is 1 kB of one item; in a commit of several it counts twice.
#[derive(Debug)]
pub struct Metered<'a, S> {
    store: &'a S,
    calls: AtomicU32,
    reads: AtomicU32,
    writes: AtomicU32,
    read_units: AtomicU32,
    write_units: AtomicU32,
}

/// Bytes that a store keeps of an item besides keys and value: names and numbers.
const ITEM_BYTES: usize = 64;

pub(crate) fn read_units(items: &[Item], partition: &str) -> usize {
    let bytes = |item: &Item| partition.len() + item.sort.len() + item.value.len() + ITEM_BYTES;
    let sum: usize = items.iter().map(bytes).sum();
    sum.div_ceil(4096).max(1)
}

pub(crate) fn write_units(write: &Write<'_>) -> usize {
    let value = match write {
        Write::Put(put) => put.value.len(),
        Write::Delete(_) => 0,
    };
    let key = write.key();
    (key.partition.len() + key.sort.len() + value + ITEM_BYTES).div_ceil(1024)
}

impl<'a, S> Metered<'a, S> {
    /// Starts counting at zero.
    pub fn new(store: &'a S) -> Self {
        Self {
            store,
            calls: AtomicU32::new(0),
            reads: AtomicU32::new(0),
            writes: AtomicU32::new(0),
            read_units: AtomicU32::new(0),
            write_units: AtomicU32::new(0),
        }
    }

    /// Requests to the store.
    pub fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Items read.
    pub fn reads(&self) -> u32 {
        self.reads.load(Ordering::Relaxed)
    }

    /// Items written.
    pub fn writes(&self) -> u32 {
        self.writes.load(Ordering::Relaxed)
    }

    /// Read units.
    pub fn read_units(&self) -> u32 {
        self.read_units.load(Ordering::Relaxed)
    }

    /// Write units.
    pub fn write_units(&self) -> u32 {
        self.write_units.load(Ordering::Relaxed)
    }

    fn count_put(&self, put: &Put<'_>) {
        Self::count(&self.writes, 1);
        Self::count(&self.calls, 1);
        Self::count(&self.write_units, write_units(&Write::Put(*put)));
    }

    fn count(counter: &AtomicU32, items: usize) {
        counter.fetch_add(u32::try_from(items).unwrap_or(u32::MAX), Ordering::Relaxed);
    }
}

impl<S: Store> Store for Metered<'_, S> {
    async fn get(&self, now_ms: u64, key: Key<'_>) -> Result<Option<Item>, StoreError> {
        Self::count(&self.calls, 1);
        Self::count(&self.reads, 1);
        let item = self.store.get(now_ms, key).await;
        let found = item.as_ref().map_or(&[][..], |item| item.as_slice());
        Self::count(&self.read_units, read_units(found, key.partition));
        item
    }

    async fn get_many(
        &self,
        now_ms: u64,
        keys: &[Key<'_>],
    ) -> Result<Vec<Option<Item>>, StoreError> {
        Self::count(&self.calls, 1);
        Self::count(&self.reads, keys.len());
        let items = self.store.get_many(now_ms, keys).await;
        let found = items.as_deref().unwrap_or_default();
        for (at, key) in keys.iter().enumerate() {
            let item = found.get(at).map_or(&[][..], Option::as_slice);
            Self::count(&self.read_units, read_units(item, key.partition));
        }
        items
    }

    async fn query(&self, now_ms: u64, query: Query<'_>) -> Result<Vec<Item>, StoreError> {
        Self::count(&self.calls, 1);
        let partition = query.partition;
        let items = self.store.query(now_ms, query).await;
        let found = items.as_ref().map_or(&[][..], Vec::as_slice);
        Self::count(&self.read_units, read_units(found, partition));
        Self::count(
            &self.reads,
            items.as_ref().map_or(1, |items| items.len().max(1)),
        );
        items
    }

    async fn put(&self, now_ms: u64, put: Put<'_>) -> Result<u64, StoreError> {
        self.count_put(&put);
        self.store.put(now_ms, put).await
    }

    async fn put_once(&self, now_ms: u64, put: Put<'_>) -> Result<u64, StoreError> {
        self.count_put(&put);
        self.store.put_once(now_ms, put).await
    }

    async fn delete(&self, now_ms: u64, delete: Delete<'_>) -> Result<(), StoreError> {
        Self::count(&self.writes, 1);
        Self::count(&self.calls, 1);
        Self::count(&self.write_units, write_units(&Write::Delete(delete)));
        self.store.delete(now_ms, delete).await
    }

    async fn increment(
        &self,
        now_ms: u64,
        key: Key<'_>,
        by: i64,
        expires_at_ms: Option<u64>,
    ) -> Result<i64, StoreError> {
        Self::count(&self.writes, 1);
        Self::count(&self.calls, 1);
        Self::count(&self.write_units, 1);
        self.store.increment(now_ms, key, by, expires_at_ms).await
    }

    async fn commit(&self, now_ms: u64, writes: &[Write<'_>]) -> Result<(), StoreError> {
        Self::count(&self.calls, 1);
        Self::count(&self.writes, writes.len());
        let units = writes.iter().map(write_units).sum::<usize>();
        // One alone is a plain write.
        let times = if writes.len() > 1 { 2 } else { 1 };
        Self::count(&self.write_units, times * units);
        self.store.commit(now_ms, writes).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Condition;
    use crate::testing::MemoryStore;
    use crate::testing::schedule::block_on;

    fn put<'a>(sort: &'a str, value: &'a [u8]) -> Put<'a> {
        Put {
            key: Key::new("p", sort),
            value,
            expires_at_ms: None,
            condition: Condition::Always,
        }
    }

    #[test]
    fn units_are_what_dynamodb_bills() {
        let store = MemoryStore::default();
        let (small, large) = (vec![1; 100], vec![1; 9_000]);
        let meter = Metered::new(&store);
        block_on(async {
            meter.put(1, put("a", &small)).await?;
            assert_eq!((meter.writes(), meter.write_units()), (1, 1));
            meter.put(1, put("b", &large)).await?;
            assert_eq!((meter.writes(), meter.write_units()), (2, 10));
            // A transaction is twice as much; of one item it is none.
            let [a, b] = [put("a", &small), put("b", &large)].map(Write::Put);
            meter.commit(1, &[a, b]).await?;
            assert_eq!((meter.writes(), meter.write_units()), (4, 30));
            meter.commit(1, &[a]).await?;
            assert_eq!((meter.writes(), meter.write_units()), (5, 31));
            let keys = ["a", "b", "absent"].map(|sort| Key::new("p", sort));
            // Each item by itself, the absent one too.
            meter.get_many(1, &keys).await?;
            assert_eq!((meter.reads(), meter.read_units()), (3, 5));
            meter.get(1, keys[1]).await?;
            assert_eq!((meter.reads(), meter.read_units()), (4, 8));
            // A query is billed for its items together.
            meter.query(1, Query::all("p", 9)).await?;
            assert_eq!((meter.reads(), meter.read_units()), (6, 11));
            assert_eq!(
                meter.calls(),
                7,
                "a batch, a query and a commit are one each"
            );
            Ok::<(), StoreError>(())
        })
        .unwrap();
    }
}
