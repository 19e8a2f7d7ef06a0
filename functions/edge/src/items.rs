//! Items of the store as values: JSON with a version.
//!
//! All reading and writing of values goes through here, so what a version makes of the items of
//! another one is decided in one place. What cannot be read is never taken for absent: whoever did
//! would give away a name that is taken, or write over what a newer version keeps.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::store::{
    Condition, Delete, Direction, Item, Key, MAX_QUERY_ITEMS, Put, Query, Store, StoreError, Write,
};

/// A value as read. The default is what is read where nothing is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Held<T> {
    /// The value.
    pub value: T,
    /// Its version; 0 where nothing is.
    pub version: u64,
    /// When it expires, Unix milliseconds.
    pub expires_at_ms: Option<u64>,
}

/// What a write goes over: it happens only if nothing else is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Over(Condition);

impl Over {
    /// Whatever is there.
    pub const ANYTHING: Self = Self(Condition::Always);
    /// Nothing.
    pub const NOTHING: Self = Self(Condition::Absent);

    /// What was read, which may be nothing.
    pub fn read<T>(held: Option<&Held<T>>) -> Self {
        held.map_or(Self::NOTHING, Held::over)
    }

    /// The version that must be there.
    pub fn version(version: u64) -> Self {
        match version {
            0 => Self::NOTHING,
            version => Self(Condition::Version(version)),
        }
    }
}

impl<T> Held<T> {
    /// What was written just now; when it expires does not matter yet.
    pub fn written(value: T, version: u64) -> Self {
        Self {
            value,
            version,
            expires_at_ms: None,
        }
    }

    /// Whether there was something to read.
    pub fn is_there(&self) -> bool {
        self.version > 0
    }

    /// It, for what takes its place.
    pub fn over(&self) -> Over {
        Over::version(self.version)
    }
}

impl<T: DeserializeOwned> Held<T> {
    /// The value of an item of `partition`.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`].
    pub fn read(partition: &str, item: &Item) -> Result<Self, StoreError> {
        let value = serde_json::from_slice(&item.value)
            .map_err(|fault| unreadable(Key::new(partition, &item.sort), &fault))?;
        Ok(Self {
            value,
            version: item.version,
            expires_at_ms: item.expires_at_ms,
        })
    }
}

/// Reads one item.
///
/// # Errors
/// [`StoreError::Unavailable`] or [`StoreError::Unreadable`].
pub async fn get<S: Store, T: DeserializeOwned>(
    store: &S,
    now_ms: u64,
    key: Key<'_>,
) -> Result<Option<Held<T>>, StoreError> {
    let item = store.get(now_ms, key).await?;
    let read = |item: &Item| Held::read(key.partition, item);
    item.as_ref().map(read).transpose()
}

/// Reads items by their keys ([`Store::get_many`]).
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Unreadable`], or [`StoreError::TooLarge`] for too
/// many keys.
pub async fn get_many<S: Store, T: DeserializeOwned>(
    store: &S,
    now_ms: u64,
    keys: &[Key<'_>],
) -> Result<Vec<Option<Held<T>>>, StoreError> {
    let items = store.get_many(now_ms, keys).await?;
    let read = |(key, item): (&Key<'_>, Option<Item>)| {
        let item = item.as_ref();
        item.map(|item| Held::read(key.partition, item)).transpose()
    };
    keys.iter().zip(items).map(read).collect()
}

/// Reads the items of a partition between two sort keys, both included, `most` of them at most. An
/// item is read as a value by [`Held::read`]: one partition holds several kinds.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn range<S: Store>(
    store: &S,
    now_ms: u64,
    partition: &str,
    (from, to): (&str, &str),
    most: usize,
) -> Result<Vec<Item>, StoreError> {
    let mut found: Vec<Item> = Vec::new();
    let mut from = from.to_owned();
    while found.len() < most {
        let limit = MAX_QUERY_ITEMS.min(most - found.len());
        let query = Query {
            partition,
            from: Some(&from),
            to: Some(to),
            limit,
            direction: Direction::Forward,
        };
        let page = store.query(now_ms, query).await?;
        let is_last = page.len() < limit;
        found.extend(page);
        let Some(last) = found.last().filter(|_| !is_last) else {
            break;
        };
        // The next key in the order of bytes.
        from = format!("{}\0", last.sort);
    }
    Ok(found)
}

/// Writes one item and returns its new version.
///
/// # Errors
/// [`StoreError::ConditionFailed`] when something else is there than it goes over,
/// [`StoreError::Unavailable`] or [`StoreError::TooLarge`].
pub async fn put<S: Store, T: Serialize>(
    store: &S,
    now_ms: u64,
    key: Key<'_>,
    value: &T,
    expires_at_ms: Option<u64>,
    Over(condition): Over,
) -> Result<u64, StoreError> {
    let value = serde_json::to_vec(value).expect("our values have string keys only");
    let put = Put {
        key,
        value: &value,
        expires_at_ms,
        condition,
    };
    store.put(now_ms, put).await
}

/// Writes one item and does other writes: all or nothing.
///
/// # Errors
/// [`StoreError::ConditionFailed`] when something else is there than it goes over, or a condition
/// of the others does not hold; [`StoreError::Unavailable`] or [`StoreError::TooLarge`].
pub async fn put_with<S: Store, T: Serialize>(
    store: &S,
    now_ms: u64,
    (key, Over(condition)): (Key<'_>, Over),
    value: &T,
    expires_at_ms: Option<u64>,
    others: &[Write<'_>],
) -> Result<(), StoreError> {
    let value = serde_json::to_vec(value).expect("our values have string keys only");
    let put = Put {
        key,
        value: &value,
        expires_at_ms,
        condition,
    };
    let writes: Vec<Write<'_>> = std::iter::once(Write::Put(put))
        .chain(others.iter().copied())
        .collect();
    store.commit(now_ms, &writes).await
}

/// Writes a value where nothing is, and removes the item that it takes the place of: both or
/// neither.
///
/// # Errors
/// As [`put_with`].
pub async fn shift<S: Store, T: Serialize>(
    store: &S,
    now_ms: u64,
    (from, version): (Key<'_>, u64),
    to: Key<'_>,
    value: &T,
    expires_at_ms: Option<u64>,
) -> Result<(), StoreError> {
    let delete = Write::Delete(Delete {
        key: from,
        version: Some(version),
    });
    let to = (to, Over::NOTHING);
    put_with(store, now_ms, to, value, expires_at_ms, &[delete]).await
}

/// What cannot be read, and where in it. Of the key only what comes before the first `#` of either
/// part: the rest may name a player, and the value is nobody's to see.
fn unreadable(key: Key<'_>, fault: &serde_json::Error) -> StoreError {
    let kind = |part: &str| match part.split_once('#') {
        Some((kind, _)) => format!("{kind}#.."),
        None => part.to_owned(),
    };
    StoreError::Unreadable(format!(
        "{} {} is not what this version writes, at column {}",
        kind(key.partition),
        kind(key.sort),
        fault.column()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::MemoryStore;
    use crate::testing::schedule::block_on;

    const KEY: Key<'static> = Key {
        partition: "chat-player#ann",
        sort: "in#room~lobby~main",
    };

    #[test]
    fn a_value_is_replaced_as_it_was_read_or_not_at_all() {
        let store = MemoryStore::default();
        block_on(async {
            let nothing: Option<Held<u32>> = get(&store, 1, KEY).await?;
            assert_eq!(nothing, None);
            assert_eq!(Held::<u32>::default().over(), Over::NOTHING);
            assert_eq!(Over::read(nothing.as_ref()), Over::NOTHING);
            assert_eq!(put(&store, 1, KEY, &1, Some(9), Over::NOTHING).await?, 1);
            let held: Held<u32> = get(&store, 1, KEY).await?.unwrap_or_default();
            let wanted = Held {
                value: 1,
                version: 1,
                expires_at_ms: Some(9),
            };
            assert_eq!(held, wanted);
            put(&store, 1, KEY, &2, Some(9), held.over()).await?;
            for late in [held.over(), Over::NOTHING] {
                let lost = put(&store, 1, KEY, &3, Some(9), late).await;
                assert_eq!(lost, Err(StoreError::ConditionFailed));
            }
            assert_eq!(put(&store, 1, KEY, &4, None, Over::ANYTHING).await?, 3);
            let both: Vec<Option<Held<u32>>> =
                get_many(&store, 1, &[KEY, Key::new("none", "x")]).await?;
            let written = Held::written(4, 3);
            assert_eq!(both, [Some(written), None]);
            Ok::<(), StoreError>(())
        })
        .unwrap();
    }

    #[test]
    fn what_cannot_be_read_is_not_absent_and_its_fault_names_no_player() {
        let store = MemoryStore::default();
        block_on(async {
            put(&store, 1, KEY, &"ann", None, Over::NOTHING).await?;
            let read = get::<_, u32>(&store, 1, KEY).await;
            let many = get_many::<_, u32>(&store, 1, &[KEY]).await;
            let wanted = "chat-player#.. in#.. is not what this version writes, at column 5";
            let wanted = StoreError::Unreadable(wanted.to_owned());
            assert_eq!(read, Err(wanted.clone()));
            assert_eq!(many, Err(wanted));
            Ok::<(), StoreError>(())
        })
        .unwrap();
    }

    #[test]
    fn a_range_goes_over_pages_and_ends_at_its_most() {
        let store = MemoryStore::default();
        let all = MAX_QUERY_ITEMS + 1;
        block_on(async {
            for number in 0..all {
                let sort = format!("{number:05}");
                let key = Key::new("p", &sort);
                put(&store, 1, key, &number, None, Over::ANYTHING).await?;
            }
            for (most, found) in [(1, 1), (all - 1, all - 1), (all + 9, all)] {
                let items = range(&store, 1, "p", ("0", "~"), most).await?;
                let numbers: Vec<usize> = items
                    .iter()
                    .map(|item| Ok(Held::read("p", item)?.value))
                    .collect::<Result<_, StoreError>>()?;
                assert!(numbers.into_iter().eq(0..found), "{most}");
            }
            let inner = range(&store, 1, "p", ("00003", "00005"), 9).await?;
            assert_eq!(inner.len(), 3);
            Ok::<(), StoreError>(())
        })
        .unwrap();
    }
}
