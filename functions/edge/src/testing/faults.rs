use std::sync::atomic::{AtomicU64, Ordering};

use super::MemoryStore;
use super::schedule::{Chance, yield_now};
use crate::store::{Delete, Item, Key, Put, Query, Store, StoreError, Write};

/// A store that yields before each call, so that [`super::schedule::interleave`] may switch there,
/// and fails some by a seed: before they happen or after.
#[derive(Debug)]
pub struct FaultyStore<S = MemoryStore> {
    /// The store behind.
    pub inner: S,
    /// What decides.
    pub chance: Chance,
    /// How many calls of a thousand fail.
    pub faults_per_thousand: AtomicU64,
}

impl<S> FaultyStore<S> {
    /// A store that fails `faults_per_thousand` of its calls.
    pub fn new(inner: S, seed: u64, faults_per_thousand: u64) -> Self {
        Self {
            inner,
            chance: Chance::new(seed),
            faults_per_thousand: AtomicU64::new(faults_per_thousand),
        }
    }

    async fn call<T>(
        &self,
        operation: impl AsyncFnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        yield_now().await;
        let faults = self.faults_per_thousand.load(Ordering::Relaxed);
        let fault = faults > 0 && self.chance.below(1000) < faults;
        if fault && self.chance.below(2) == 0 {
            return Err(StoreError::Unavailable("injected before".into()));
        }
        let result = operation().await;
        if fault {
            return Err(StoreError::Unavailable("injected after".into()));
        }
        result
    }
}

impl<S: Store> Store for FaultyStore<S> {
    async fn get(&self, now_ms: u64, key: Key<'_>) -> Result<Option<Item>, StoreError> {
        self.call(async || self.inner.get(now_ms, key).await).await
    }
    async fn query(&self, now_ms: u64, query: Query<'_>) -> Result<Vec<Item>, StoreError> {
        self.call(async || self.inner.query(now_ms, query).await)
            .await
    }
    async fn put(&self, now_ms: u64, put: Put<'_>) -> Result<u64, StoreError> {
        self.call(async || self.inner.put(now_ms, put).await).await
    }
    async fn delete(&self, now_ms: u64, delete: Delete<'_>) -> Result<(), StoreError> {
        self.call(async || self.inner.delete(now_ms, delete).await)
            .await
    }
    async fn increment(
        &self,
        now_ms: u64,
        key: Key<'_>,
        by: i64,
        expires_at_ms: Option<u64>,
    ) -> Result<i64, StoreError> {
        self.call(async || self.inner.increment(now_ms, key, by, expires_at_ms).await)
            .await
    }
    async fn commit(&self, now_ms: u64, writes: &[Write<'_>]) -> Result<(), StoreError> {
        self.call(async || self.inner.commit(now_ms, writes).await)
            .await
    }
}
