use std::sync::atomic::{AtomicU32, Ordering};

use crate::store::{Delete, Item, Key, Put, Query, Store, StoreError, Write};

/// A store that counts the items read and written through it, which is what stores bill. A get of
/// an absent item and a write whose condition failed count, because they are billed too.
#[derive(Debug)]
pub struct Metered<'a, S> {
    store: &'a S,
    reads: AtomicU32,
    writes: AtomicU32,
}

impl<'a, S> Metered<'a, S> {
    /// Starts counting at zero.
    pub fn new(store: &'a S) -> Self {
        Self {
            store,
            reads: AtomicU32::new(0),
            writes: AtomicU32::new(0),
        }
    }

    /// Items read.
    pub fn reads(&self) -> u32 {
        self.reads.load(Ordering::Relaxed)
    }

    /// Items written.
    pub fn writes(&self) -> u32 {
        self.writes.load(Ordering::Relaxed)
    }

    fn count(counter: &AtomicU32, items: usize) {
        counter.fetch_add(u32::try_from(items).unwrap_or(u32::MAX), Ordering::Relaxed);
    }
}

impl<S: Store> Store for Metered<'_, S> {
    async fn get(&self, now_ms: u64, key: Key<'_>) -> Result<Option<Item>, StoreError> {
        Self::count(&self.reads, 1);
        self.store.get(now_ms, key).await
    }

    async fn query(&self, now_ms: u64, query: Query<'_>) -> Result<Vec<Item>, StoreError> {
        let items = self.store.query(now_ms, query).await;
        Self::count(
            &self.reads,
            items.as_ref().map_or(1, |items| items.len().max(1)),
        );
        items
    }

    async fn put(&self, now_ms: u64, put: Put<'_>) -> Result<u64, StoreError> {
        Self::count(&self.writes, 1);
        self.store.put(now_ms, put).await
    }

    async fn delete(&self, now_ms: u64, delete: Delete<'_>) -> Result<(), StoreError> {
        Self::count(&self.writes, 1);
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
        self.store.increment(now_ms, key, by, expires_at_ms).await
    }

    async fn commit(&self, now_ms: u64, writes: &[Write<'_>]) -> Result<(), StoreError> {
        Self::count(&self.writes, writes.len());
        self.store.commit(now_ms, writes).await
    }
}
