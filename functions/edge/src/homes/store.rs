//! The stores of all regions as one.

use std::collections::BTreeMap;

use wire::fleet::Evacuation;

use super::evacuation::REST_MS;
use super::{Home, HomeRegions};
use crate::store::{Condition, Delete, Item, Key, Put, Query, Store, StoreError, Write};

/// Sends each operation to the region that it belongs in.
///
/// It keeps what [`Store`] promises but for two things: reads of [`Home::WrittenIn`] and
/// [`Home::Everywhere`] lag behind other regions, and a commit that writes in several regions is
/// one commit in each, one after the other; it may have no conditions, and whoever hears of a
/// failure repeats it.
#[derive(Debug)]
pub struct HomedStore<'a, S> {
    regions: &'a HomeRegions,
    evacuation: Evacuation,
    stores: BTreeMap<&'a str, S>,
}

impl<'a, S: Store> HomedStore<'a, S> {
    /// With a store for each region, made by `store` of a region's name and the epoch under which
    /// it writes.
    pub fn new(
        regions: &'a HomeRegions,
        evacuation: Evacuation,
        now_ms: u64,
        mut store: impl FnMut(&'a str, u64) -> S,
    ) -> Self {
        let epoch = evacuation.epoch_at(now_ms);
        let stores = regions.names().map(|name| (name, store(name, epoch)));
        Self {
            stores: stores.collect(),
            regions,
            evacuation,
        }
    }

    /// The store of this region.
    pub fn here(&self) -> &S {
        &self.stores[self.regions.here()]
    }

    fn home(&self, now_ms: u64, partition: &str) -> Home<'_> {
        let gone = self.evacuation.gone_at(now_ms);
        self.regions.home(partition, gone)
    }

    /// The region that writes a partition.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] for a moment before it moves to another.
    fn writing(&self, now_ms: u64, partition: &str) -> Result<&str, StoreError> {
        let (home, later_ms) = (self.home(now_ms, partition), now_ms + REST_MS);
        // Homes are drawn by a hash: twice only while some are about to move.
        let moves = self.evacuation.gone_at(now_ms) != self.evacuation.gone_at(later_ms);
        if moves && home != self.home(later_ms, partition) {
            let why = "its home moves in a moment, and nothing is written until then";
            return Err(StoreError::Unavailable(why.into()));
        }
        Ok(match home {
            Home::In(region) | Home::WrittenIn(region) => region,
            Home::Everywhere => self.regions.here(),
        })
    }

    /// The region that reads it.
    fn reading(&self, now_ms: u64, partition: &str) -> &str {
        match self.home(now_ms, partition) {
            Home::In(region) => region,
            Home::WrittenIn(_) | Home::Everywhere => self.regions.here(),
        }
    }
}

impl<S: Store> Store for HomedStore<'_, S> {
    async fn get(&self, now_ms: u64, key: Key<'_>) -> Result<Option<Item>, StoreError> {
        let region = self.reading(now_ms, key.partition);
        self.stores[region].get(now_ms, key).await
    }

    async fn get_many(
        &self,
        now_ms: u64,
        keys: &[Key<'_>],
    ) -> Result<Vec<Option<Item>>, StoreError> {
        Key::check_all(keys)?;
        let mut of: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, key) in keys.iter().enumerate() {
            let region = self.reading(now_ms, key.partition);
            of.entry(region).or_default().push(index);
        }
        let mut found = vec![None; keys.len()];
        for (region, indexes) in of {
            let wanted: Vec<Key<'_>> = indexes.iter().map(|index| keys[*index]).collect();
            let items = self.stores[region].get_many(now_ms, &wanted).await?;
            for (index, item) in indexes.into_iter().zip(items) {
                found[index] = item;
            }
        }
        Ok(found)
    }

    async fn query(&self, now_ms: u64, query: Query<'_>) -> Result<Vec<Item>, StoreError> {
        let region = self.reading(now_ms, query.partition);
        self.stores[region].query(now_ms, query).await
    }

    async fn put(&self, now_ms: u64, put: Put<'_>) -> Result<u64, StoreError> {
        let region = self.writing(now_ms, put.key.partition)?;
        self.stores[region].put(now_ms, put).await
    }

    async fn put_once(&self, now_ms: u64, put: Put<'_>) -> Result<u64, StoreError> {
        let region = self.writing(now_ms, put.key.partition)?;
        self.stores[region].put_once(now_ms, put).await
    }

    async fn delete(&self, now_ms: u64, delete: Delete<'_>) -> Result<(), StoreError> {
        let region = self.writing(now_ms, delete.key.partition)?;
        self.stores[region].delete(now_ms, delete).await
    }

    async fn increment(
        &self,
        now_ms: u64,
        key: Key<'_>,
        by: i64,
        expires_at_ms: Option<u64>,
    ) -> Result<i64, StoreError> {
        let region = self.writing(now_ms, key.partition)?;
        let store = &self.stores[region];
        store.increment(now_ms, key, by, expires_at_ms).await
    }

    async fn commit(&self, now_ms: u64, writes: &[Write<'_>]) -> Result<(), StoreError> {
        Write::check_all(writes)?;
        let mut of: BTreeMap<&str, Vec<Write<'_>>> = BTreeMap::new();
        for write in writes {
            let region = self.writing(now_ms, write.key().partition)?;
            of.entry(region).or_default().push(*write);
        }
        if of.len() > 1 && writes.iter().any(is_conditional) {
            let why = "a commit under conditions writes in two home regions";
            return Err(StoreError::Unavailable(why.into()));
        }
        for (region, writes) in of {
            self.stores[region].commit(now_ms, &writes).await?;
        }
        Ok(())
    }
}

fn is_conditional(write: &Write<'_>) -> bool {
    match write {
        Write::Put(put) => put.condition != Condition::Always,
        Write::Delete(delete) => delete.version.is_some(),
    }
}
