//! Items of the store as values: JSON with a version.
//!
//! All reading and writing of values goes through here, so what a version makes of the items of
//! another one is decided in one place. What cannot be read is never taken for absent: whoever did
//! would give away a name that is taken, or write over what a newer version keeps. And what this
//! version does not know of an item that it changes stays in it ([`Kept`]).

mod kept;

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use kept::Kept;

use crate::store::{
    Condition, Delete, Direction, Item, Key, MAX_QUERY_ITEMS, Put, Query, Store, StoreError, Write,
};

/// A value that items hold. [`crate::stored!`] makes a type one, and has a test read what earlier
/// releases have written of it.
pub trait Stored: Serialize + DeserializeOwned {
    /// Its name, unlike all others: that of its files of examples.
    const FORM: &'static str;
}

/// A value as read. The default is what is read where nothing is.
#[derive(Debug, Clone, Default)]
pub struct Held<T> {
    /// The value.
    pub value: T,
    /// Its version; 0 where nothing is.
    pub version: u64,
    /// When it expires, Unix milliseconds.
    pub expires_at_ms: Option<u64>,
    /// What this version does not know of it.
    pub kept: Kept,
}

/// By what this version knows of them.
impl<T: PartialEq> PartialEq for Held<T> {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            value,
            version,
            expires_at_ms,
            kept: _,
        } = self;
        (value, version, expires_at_ms) == (&other.value, &other.version, &other.expires_at_ms)
    }
}

/// What a write goes over: it happens only if nothing else is there, and takes along what this
/// version does not know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Over {
    condition: Condition,
    kept: Kept,
}

impl Over {
    /// Whatever is there, of which nothing is left: for values of which each is the whole of what
    /// its writer says, and that nobody changes.
    pub const ANYTHING: Self = Self::of(Condition::Always);
    /// Nothing.
    pub const NOTHING: Self = Self::of(Condition::Absent);

    const fn of(condition: Condition) -> Self {
        Self {
            condition,
            kept: Kept::NOTHING,
        }
    }

    /// What was read, which may be nothing.
    pub fn read<T>(held: Option<&Held<T>>) -> Self {
        held.map_or(Self::NOTHING, Held::over)
    }

    /// Itself, once it is written as this version.
    #[must_use]
    pub fn written(self, version: u64) -> Self {
        Self {
            kept: self.kept,
            ..Self::version(version)
        }
    }

    /// The version that must be there, of which nothing is left.
    pub fn version(version: u64) -> Self {
        match version {
            0 => Self::NOTHING,
            version => Self::of(Condition::Version(version)),
        }
    }
}

/// Over what is not there.
impl Default for Over {
    fn default() -> Self {
        Self::NOTHING
    }
}

impl<T> Held<T> {
    /// What was written just now; when it expires does not matter yet.
    pub fn written(value: T, version: u64) -> Self {
        Self {
            value,
            version,
            expires_at_ms: None,
            kept: Kept::NOTHING,
        }
    }

    /// Whether there was something to read.
    pub fn is_there(&self) -> bool {
        self.version > 0
    }

    /// It, for what takes its place.
    pub fn over(&self) -> Over {
        Over {
            kept: self.kept.clone(),
            ..Over::version(self.version)
        }
    }
}

impl<T: Stored> Held<T> {
    /// The value of an item of `partition`.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`].
    pub fn read(partition: &str, item: &Item) -> Result<Self, StoreError> {
        let value = serde_json::from_slice(&item.value).map_err(|fault: serde_json::Error| {
            let at = format_args!("at column {}", fault.column());
            unreadable(Key::new(partition, &item.sort), at)
        })?;
        Ok(Self {
            value,
            version: item.version,
            expires_at_ms: item.expires_at_ms,
            kept: Kept::of(&item.value),
        })
    }
}

/// Reads one item.
///
/// # Errors
/// [`StoreError::Unavailable`] or [`StoreError::Unreadable`].
pub async fn get<S: Store, T: Stored>(
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
pub async fn get_many<S: Store, T: Stored>(
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
pub async fn put<S: Store, T: Stored>(
    store: &S,
    now_ms: u64,
    key: Key<'_>,
    value: &T,
    expires_at_ms: Option<u64>,
    Over { condition, kept }: Over,
) -> Result<u64, StoreError> {
    let value = kept.with(value);
    let put = Put {
        key,
        value: &value,
        expires_at_ms,
        condition,
    };
    store.put(now_ms, put).await
}

/// Writes one item where nothing is, and sends that once ([`Store::put_once`]). Returns its
/// version.
///
/// # Errors
/// As [`put`].
pub async fn put_once<S: Store, T: Stored>(
    store: &S,
    now_ms: u64,
    key: Key<'_>,
    value: &T,
    expires_at_ms: Option<u64>,
) -> Result<u64, StoreError> {
    let value = Kept::NOTHING.with(value);
    let put = Put {
        key,
        value: &value,
        expires_at_ms,
        condition: Condition::Absent,
    };
    store.put_once(now_ms, put).await
}

/// Writes one item and does other writes: all or nothing.
///
/// # Errors
/// [`StoreError::ConditionFailed`] when something else is there than it goes over, or a condition
/// of the others does not hold; [`StoreError::Unavailable`] or [`StoreError::TooLarge`].
pub async fn put_with<S: Store, T: Stored>(
    store: &S,
    now_ms: u64,
    (key, Over { condition, kept }): (Key<'_>, Over),
    value: &T,
    expires_at_ms: Option<u64>,
    others: &[Write<'_>],
) -> Result<(), StoreError> {
    let value = kept.with(value);
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

/// Writes a value where nothing is, and removes the item that it takes the place of, with what this
/// version does not know of that: both or neither.
///
/// # Errors
/// As [`put_with`].
pub async fn shift<S: Store, T: Stored>(
    store: &S,
    now_ms: u64,
    (from, held): (Key<'_>, &Held<T>),
    to: Key<'_>,
    value: &T,
    expires_at_ms: Option<u64>,
) -> Result<(), StoreError> {
    let delete = Write::Delete(Delete {
        key: from,
        version: Some(held.version),
    });
    let nothing = Over {
        kept: held.kept.clone(),
        ..Over::NOTHING
    };
    put_with(
        store,
        now_ms,
        (to, nothing),
        value,
        expires_at_ms,
        &[delete],
    )
    .await
}

/// A name that a key has in it, or an item that holds a bare text.
///
/// # Errors
/// [`StoreError::Unreadable`].
pub fn name<T: FromStr>(key: Key<'_>, text: &str) -> Result<T, StoreError> {
    let name = text.parse();
    name.map_err(|_| unreadable(key, format_args!("in a name")))
}

/// What cannot be read, and where in it. Of the key only what comes before the first `#` of either
/// part: the rest may name a player, and the value is nobody's to see.
fn unreadable(key: Key<'_>, place: fmt::Arguments<'_>) -> StoreError {
    let kind = |part: &str| match part.split_once('#') {
        Some((kind, _)) => format!("{kind}#.."),
        None => part.to_owned(),
    };
    StoreError::Unreadable(format!(
        "{} {} is not what this version writes, {place}",
        kind(key.partition),
        kind(key.sort),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::MemoryStore;
    use crate::testing::schedule::block_on;

    impl Stored for u32 {
        const FORM: &'static str = "number";
    }

    impl Stored for String {
        const FORM: &'static str = "text";
    }

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
                kept: Kept::NOTHING,
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
            put(&store, 1, KEY, &"ann".to_owned(), None, Over::NOTHING).await?;
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
            for number in 0..all as u32 {
                let sort = format!("{number:05}");
                let key = Key::new("p", &sort);
                put(&store, 1, key, &number, None, Over::ANYTHING).await?;
            }
            for (most, found) in [(1, 1), (all - 1, all - 1), (all + 9, all)] {
                let items = range(&store, 1, "p", ("0", "~"), most).await?;
                let numbers: Vec<u32> = items
                    .iter()
                    .map(|item| Ok(Held::read("p", item)?.value))
                    .collect::<Result<_, StoreError>>()?;
                assert!(numbers.into_iter().eq(0..found as u32), "{most}");
            }
            let inner = range(&store, 1, "p", ("00003", "00005"), 9).await?;
            assert_eq!(inner.len(), 3);
            Ok::<(), StoreError>(())
        })
        .unwrap();
    }
}
