//! Items of the store as values: JSON with a version.

use edge::store::{
    Condition, Direction, Item, Key, MAX_QUERY_ITEMS, Put, Query, Store, StoreError,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value as read, with the condition under which it may be replaced.
#[derive(Debug, Clone)]
pub(super) struct Held<T> {
    pub(super) value: T,
    pub(super) version: u64,
    pub(super) expires_at_ms: Option<u64>,
}

impl<T> Held<T> {
    /// What was written just now; when it expires does not matter yet.
    pub(super) fn written(value: T, version: u64) -> Self {
        Self {
            value,
            version,
            expires_at_ms: None,
        }
    }
}

impl<T: DeserializeOwned> Held<T> {
    /// The value of an item.
    pub(super) fn read(item: &Item) -> Result<Self, StoreError> {
        let value = serde_json::from_slice(&item.value).map_err(|_| unreadable())?;
        Ok(Self {
            value,
            version: item.version,
            expires_at_ms: item.expires_at_ms,
        })
    }
}

/// The condition under which what was read may be replaced.
pub(super) fn unchanged<T>(held: Option<&Held<T>>) -> Condition {
    held.map_or(Condition::Absent, |held| Condition::Version(held.version))
}

/// Reads one item.
pub(super) async fn get<S: Store, T: DeserializeOwned>(
    store: &S,
    now_ms: u64,
    key: Key<'_>,
) -> Result<Option<Held<T>>, StoreError> {
    let item = store.get(now_ms, key).await?;
    item.as_ref().map(Held::read).transpose()
}

/// Writes one item.
pub(super) async fn put<S: Store, T: Serialize>(
    store: &S,
    now_ms: u64,
    key: Key<'_>,
    value: &T,
    expires_at_ms: Option<u64>,
    condition: Condition,
) -> Result<u64, StoreError> {
    let value = serde_json::to_vec(value).expect("string keys only");
    let put = Put {
        key,
        value: &value,
        expires_at_ms,
        condition,
    };
    store.put(now_ms, put).await
}

/// Reads the items of a partition between two sort keys, `most` of them at most.
pub(super) async fn range<S: Store>(
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

/// What an item of another version holds.
fn unreadable() -> StoreError {
    StoreError::Unavailable("an item of matchmaking is not what this version writes".to_owned())
}
