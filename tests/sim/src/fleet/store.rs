//! A store in memory that takes its time, and that fails: before a write or after it.

use std::rc::Rc;
use std::time::Duration;

use edge::store::{Delete, Item, Key, Put, Query, Store, StoreError, Write};
use edge::testing::MemoryStore;

use super::air::Air;
use super::weather::StoreWeather;

/// How long a store that is down lets others wait for its refusal.
const REFUSAL: Duration = Duration::from_millis(300);
/// How long somebody waits for a reply that is lost.
const LOST: Duration = Duration::from_millis(1500);

/// The items of a run, as one function may touch them.
pub(super) struct WeatheredStore {
    pub(super) items: MemoryStore,
    pub(super) air: Rc<Air>,
}

impl WeatheredStore {
    async fn call<T>(
        &self,
        operation: impl AsyncFnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let unavailable = |why: &str| Err(StoreError::Unavailable(why.to_owned()));
        let (low, high) = match self.air.store.get() {
            StoreWeather::Slow => (50, 350),
            _ => (1, 4),
        };
        self.air.pass(self.air.draw_ms(low, high)).await;
        // As it is when the call arrives there.
        let (is_before, is_after) = match self.air.store.get() {
            StoreWeather::Down => {
                self.air.pass(REFUSAL).await;
                return unavailable("it is down");
            }
            StoreWeather::Lossy => match self.air.chance.borrow_mut().between(0, 7) {
                0 => (true, false),
                1 => (false, true),
                _ => (false, false),
            },
            StoreWeather::Fine | StoreWeather::Slow => (false, false),
        };
        if is_before {
            self.air.pass(LOST).await;
            return unavailable("the call was lost");
        }
        let result = operation().await;
        if is_after {
            self.air.pass(LOST).await;
            return unavailable("the reply was lost");
        }
        self.air.pass(self.air.draw_ms(low, high)).await;
        result
    }
}

impl Store for WeatheredStore {
    async fn get(&self, now_ms: u64, key: Key<'_>) -> Result<Option<Item>, StoreError> {
        self.call(async || self.items.get(now_ms, key).await).await
    }
    async fn query(&self, now_ms: u64, query: Query<'_>) -> Result<Vec<Item>, StoreError> {
        self.call(async || self.items.query(now_ms, query).await)
            .await
    }
    async fn put(&self, now_ms: u64, put: Put<'_>) -> Result<u64, StoreError> {
        self.call(async || self.items.put(now_ms, put).await).await
    }
    async fn delete(&self, now_ms: u64, delete: Delete<'_>) -> Result<(), StoreError> {
        self.call(async || self.items.delete(now_ms, delete).await)
            .await
    }
    async fn increment(
        &self,
        now_ms: u64,
        key: Key<'_>,
        by: i64,
        expires_at_ms: Option<u64>,
    ) -> Result<i64, StoreError> {
        self.call(async || self.items.increment(now_ms, key, by, expires_at_ms).await)
            .await
    }
    async fn commit(&self, now_ms: u64, writes: &[Write<'_>]) -> Result<(), StoreError> {
        self.call(async || self.items.commit(now_ms, writes).await)
            .await
    }
}
