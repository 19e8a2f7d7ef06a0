//! A table with replicas in several regions, as DynamoDB's global tables are: each region judges
//! conditions by what it has, the others hear of a write after a lag, and of two writes of one item
//! the later wins everywhere.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use super::MemoryStore;
use crate::store::{Delete, Item, Key, Put, Query, Store, StoreError, Write};

type Name = (String, String);

/// When an item was written, by which region, and under which epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Stamp {
    at: u64,
    region: usize,
    epoch: u64,
}

/// A write on its way to another region.
#[derive(Debug)]
struct Change {
    due: u64,
    to: usize,
    name: Name,
    item: Option<Item>,
    stamp: Stamp,
}

#[derive(Debug, Default)]
struct State {
    /// Writes and their order: the moment of each.
    at: u64,
    /// Writes that must happen elsewhere before one arrives.
    lag: u64,
    /// Whether regions hear of each other.
    is_cut: bool,
    stamps: BTreeMap<(usize, Name), Stamp>,
    pending: Vec<Change>,
}

/// The table. Time is counted in writes.
#[derive(Debug, Clone)]
pub struct Replicas {
    regions: Vec<MemoryStore>,
    state: Arc<Mutex<State>>,
}

/// The table as functions of one region write it, under one epoch.
#[derive(Debug, Clone)]
pub struct Replica {
    table: Replicas,
    region: usize,
    epoch: u64,
}

impl Replicas {
    /// A table in so many regions, in which a write arrives elsewhere after `lag` others.
    pub fn new(regions: usize, lag: u64) -> Self {
        let state = State {
            lag,
            ..State::default()
        };
        Self {
            regions: (0..regions).map(|_| MemoryStore::default()).collect(),
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// What functions of a region use.
    pub fn replica(&self, region: usize, epoch: u64) -> Replica {
        Replica {
            table: self.clone(),
            region,
            epoch,
        }
    }

    /// Cuts the regions off each other, or lets everything arrive that is on its way.
    pub fn cut(&self, is_cut: bool) {
        self.state().is_cut = is_cut;
    }

    /// Lets everything arrive.
    pub fn settle(&self) {
        let mut state = self.state();
        state.at += state.lag + 1;
        self.deliver(&mut state);
    }

    /// Forgets what is on its way from a region: it is lost, or cut off for long.
    pub fn lose(&self, region: usize) {
        self.state()
            .pending
            .retain(|change| change.stamp.region != region);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no test panics while it holds the lock")
    }

    fn deliver(&self, state: &mut State) {
        if state.is_cut {
            return;
        }
        let now = state.at;
        let (due, pending) = std::mem::take(&mut state.pending)
            .into_iter()
            .partition(|change| change.due <= now);
        state.pending = pending;
        let due: Vec<Change> = due;
        for change in due {
            let known = state.stamps.get(&(change.to, change.name.clone()));
            if known.is_none_or(|known| *known < change.stamp) {
                state
                    .stamps
                    .insert((change.to, change.name.clone()), change.stamp);
                self.regions[change.to].place(change.name, change.item);
            }
        }
    }
}

impl Replica {
    fn store(&self) -> &MemoryStore {
        self.table.deliver(&mut self.table.state());
        &self.table.regions[self.region]
    }

    /// Whether this epoch may write the item. One that was deleted says nothing of epochs.
    fn check(&self, key: Key<'_>) -> Result<(), StoreError> {
        let name = (key.partition.to_owned(), key.sort.to_owned());
        let is_there = self.table.regions[self.region].item(&name).is_some();
        let state = self.table.state();
        match state.stamps.get(&(self.region, name)) {
            Some(stamp) if is_there && stamp.epoch > self.epoch => Err(StoreError::ConditionFailed),
            _ => Ok(()),
        }
    }

    /// Tells the other regions what an item now is.
    fn tell(&self, key: Key<'_>) {
        let name = (key.partition.to_owned(), key.sort.to_owned());
        let item = self.table.regions[self.region].item(&name);
        let mut state = self.table.state();
        state.at += 1;
        let stamp = Stamp {
            at: state.at,
            region: self.region,
            epoch: self.epoch,
        };
        let due = state.at + state.lag;
        state.stamps.insert((self.region, name.clone()), stamp);
        for to in (0..self.table.regions.len()).filter(|to| *to != self.region) {
            state.pending.push(Change {
                due,
                to,
                name: name.clone(),
                item: item.clone(),
                stamp,
            });
        }
    }
}

impl Store for Replica {
    async fn get(&self, now_ms: u64, key: Key<'_>) -> Result<Option<Item>, StoreError> {
        self.store().get(now_ms, key).await
    }

    async fn query(&self, now_ms: u64, query: Query<'_>) -> Result<Vec<Item>, StoreError> {
        self.store().query(now_ms, query).await
    }

    async fn put(&self, now_ms: u64, put: Put<'_>) -> Result<u64, StoreError> {
        let store = self.store();
        self.check(put.key)?;
        let version = store.put(now_ms, put).await?;
        self.tell(put.key);
        Ok(version)
    }

    async fn delete(&self, now_ms: u64, delete: Delete<'_>) -> Result<(), StoreError> {
        self.commit(now_ms, &[Write::Delete(delete)]).await
    }

    async fn increment(
        &self,
        now_ms: u64,
        key: Key<'_>,
        by: i64,
        expires_at_ms: Option<u64>,
    ) -> Result<i64, StoreError> {
        let store = self.store();
        self.check(key)?;
        let sum = store.increment(now_ms, key, by, expires_at_ms).await?;
        self.tell(key);
        Ok(sum)
    }

    async fn commit(&self, now_ms: u64, writes: &[Write<'_>]) -> Result<(), StoreError> {
        let store = self.store();
        writes
            .iter()
            .try_for_each(|write| self.check(write.key()))?;
        store.commit(now_ms, writes).await?;
        writes.iter().for_each(|write| self.tell(write.key()));
        Ok(())
    }
}
