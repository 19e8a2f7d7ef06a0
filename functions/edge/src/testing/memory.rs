use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::store::{
    Condition, Delete, Direction, Item, Key, MAX_QUERY_ITEMS, Put, Query, Store, StoreError, Write,
    is_listed,
};

type Items = BTreeMap<(String, String), Item>;

/// What `functions/permissions.json` lists for a function.
pub(super) fn listed(function: &str, what: &str) -> Vec<String> {
    let all: serde_json::Value =
        serde_json::from_str(include_str!("../../../permissions.json")).expect("it is JSON");
    let listed = serde_json::from_value(all[function][what].clone());
    listed.expect("the file lists the function")
}

/// A store in memory. Clones share their items.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    items: Arc<Mutex<Items>>,
    /// Partitions that may be touched; any, where it is nothing.
    listed: Option<Arc<[String]>>,
}

impl MemoryStore {
    /// One that panics when a partition is touched that `functions/permissions.json` does not list
    /// for `function`.
    ///
    /// # Panics
    /// When the file does not have the function.
    pub fn of(function: &str) -> Self {
        Self {
            items: Arc::default(),
            listed: Some(listed(function, "partitions").into()),
        }
    }

    /// The same items, of which those may be touched that the file lists for `function`.
    ///
    /// # Panics
    /// As [`Self::of`].
    pub fn as_of(&self, function: &str) -> Self {
        Self {
            items: Arc::clone(&self.items),
            ..Self::of(function)
        }
    }

    /// The same items, any of which may be touched: for what other functions do.
    pub fn open(&self) -> Self {
        Self {
            items: Arc::clone(&self.items),
            listed: None,
        }
    }

    fn check_listed(&self, partition: &str) {
        let is_listed = |listed: &Arc<[String]>| is_listed(listed, partition);
        assert!(
            self.listed.as_ref().is_none_or(is_listed),
            "{partition} is not among the partitions of this function in functions/permissions.json"
        );
    }

    /// Every item with its partition, expired ones too: what a checker goes through.
    pub fn everything(&self) -> Vec<(String, Item)> {
        let items = self.items();
        let all = items.iter();
        all.map(|((partition, _), item)| (partition.clone(), item.clone()))
            .collect()
    }

    /// An item by partition and sort key, an expired one too.
    pub(super) fn item(&self, name: &(String, String)) -> Option<Item> {
        self.items().get(name).cloned()
    }

    /// Puts an item in place as it is, or takes it away.
    pub(super) fn place(&self, name: (String, String), item: Option<Item>) {
        let mut items = self.items();
        match item {
            Some(item) => items.insert(name, item),
            None => items.remove(&name),
        };
    }

    fn items(&self) -> MutexGuard<'_, Items> {
        self.items
            .lock()
            .expect("no test panics while it holds the lock")
    }
}

fn owned(key: Key<'_>) -> (String, String) {
    (key.partition.to_owned(), key.sort.to_owned())
}

fn is_current(item: &Item, now_ms: u64) -> bool {
    item.expires_at_ms.is_none_or(|at| at > now_ms)
}

fn current<'a>(items: &'a Items, now_ms: u64, key: Key<'_>) -> Option<&'a Item> {
    items
        .get(&owned(key))
        .filter(|item| is_current(item, now_ms))
}

fn check(items: &Items, now_ms: u64, key: Key<'_>, want: Condition) -> Result<(), StoreError> {
    let version = current(items, now_ms, key).map(|item| item.version);
    let holds = match want {
        Condition::Always => true,
        Condition::Absent => version.is_none(),
        Condition::Version(wanted) => version == Some(wanted),
    };
    if holds {
        Ok(())
    } else {
        Err(StoreError::ConditionFailed)
    }
}

fn check_write(items: &Items, now_ms: u64, write: &Write<'_>) -> Result<(), StoreError> {
    match write {
        Write::Put(put) => check(items, now_ms, put.key, put.condition),
        Write::Delete(delete) => {
            let condition = delete.version.map_or(Condition::Always, Condition::Version);
            check(items, now_ms, delete.key, condition)
        }
    }
}

fn apply_put(items: &mut Items, key: Key<'_>, value: Vec<u8>, expires_at_ms: Option<u64>) -> u64 {
    let version = items.get(&owned(key)).map_or(0, |item| item.version) + 1;
    let item = Item {
        sort: key.sort.to_owned(),
        value,
        version,
        expires_at_ms,
    };
    items.insert(owned(key), item);
    version
}

fn apply(items: &mut Items, write: &Write<'_>) -> u64 {
    match write {
        Write::Put(put) => apply_put(items, put.key, put.value.to_vec(), put.expires_at_ms),
        Write::Delete(delete) => {
            items.remove(&owned(delete.key));
            0
        }
    }
}

impl Store for MemoryStore {
    async fn get(&self, now_ms: u64, key: Key<'_>) -> Result<Option<Item>, StoreError> {
        key.check()?;
        self.check_listed(key.partition);
        Ok(current(&self.items(), now_ms, key).cloned())
    }

    async fn query(&self, now_ms: u64, query: Query<'_>) -> Result<Vec<Item>, StoreError> {
        self.check_listed(query.partition);
        let items = self.items();
        let wanted = items.values_of(query.partition).filter(|item| {
            query.from.is_none_or(|from| item.sort.as_str() >= from)
                && query.to.is_none_or(|to| item.sort.as_str() <= to)
                && is_current(item, now_ms)
        });
        let mut wanted: Vec<Item> = wanted.cloned().collect();
        if query.direction == Direction::Backward {
            wanted.reverse();
        }
        wanted.truncate(query.limit.min(MAX_QUERY_ITEMS));
        Ok(wanted)
    }

    async fn put(&self, now_ms: u64, put: Put<'_>) -> Result<u64, StoreError> {
        put.check()?;
        self.check_listed(put.key.partition);
        let (mut items, write) = (self.items(), Write::Put(put));
        check_write(&items, now_ms, &write)?;
        Ok(apply(&mut items, &write))
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
        key.check()?;
        self.check_listed(key.partition);
        let mut items = self.items();
        let old = current(&items, now_ms, key).map_or(0, |item| {
            let digits = std::str::from_utf8(&item.value).expect("a counter holds digits");
            digits.parse().expect("a counter holds a number")
        });
        let sum: i64 = old + by;
        apply_put(&mut items, key, sum.to_string().into_bytes(), expires_at_ms);
        Ok(sum)
    }

    async fn commit(&self, now_ms: u64, writes: &[Write<'_>]) -> Result<(), StoreError> {
        Write::check_all(writes)?;
        for write in writes {
            self.check_listed(write.key().partition);
        }
        let mut items = self.items();
        for write in writes {
            check_write(&items, now_ms, write)?;
        }
        for write in writes {
            apply(&mut items, write);
        }
        Ok(())
    }
}

trait Partitions {
    fn values_of(&self, partition: &str) -> impl Iterator<Item = &Item>;
}

impl Partitions for Items {
    fn values_of(&self, partition: &str) -> impl Iterator<Item = &Item> {
        let from = (partition.to_owned(), String::new());
        self.range(from..)
            .take_while(move |((p, _), _)| p == partition)
            .map(|(_, item)| item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{conformance, schedule};

    #[test]
    fn conforms() {
        let store = MemoryStore::default();
        schedule::block_on(conformance::check(&[store.clone(), store]));
    }

    #[test]
    #[should_panic(expected = "home#r is not among the partitions of this function")]
    fn a_partition_that_is_not_listed_is_not_touched() {
        let store = MemoryStore {
            listed: Some(["region#*".to_owned()].as_slice().into()),
            ..MemoryStore::default()
        };
        let read = |partition| schedule::block_on(store.get(1, Key::new(partition, "s")));
        assert_eq!(read("region#eu"), Ok(None));
        let _ = read("home#r");
    }
}
