//! The store port: one table model, the same on DynamoDB, on SQLite and in memory.
//!
//! Items are `(partition, sort) -> value, version, expires_at`. What an adapter must do is what
//! [`crate::testing::conformance`] checks (feature `testing`).

use std::fmt;

/// Longest partition or sort key, in bytes.
pub const MAX_KEY_BYTES: usize = 512;
/// Largest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 256 * 1024;
/// Most writes of one commit.
pub const MAX_COMMIT_WRITES: usize = 25;
/// Most bytes of keys and values in one commit; DynamoDB takes twice that.
pub const MAX_COMMIT_BYTES: usize = 2 * 1024 * 1024;
/// Most items that one query returns.
pub const MAX_QUERY_ITEMS: usize = 2_000;
/// Most items that are read by their keys at once.
pub const MAX_GET_ITEMS: usize = 100;

/// Where an item is. Neither part is empty: DynamoDB has no such keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key<'a> {
    /// Items of one partition are ordered and can be queried together.
    pub partition: &'a str,
    /// Orders the items of a partition, by its bytes.
    pub sort: &'a str,
}

/// An item as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its sort key.
    pub sort: String,
    /// What it holds. A counter holds its value in decimal digits.
    pub value: Vec<u8>,
    /// 1 for a new item, and one more with each write. Deleting an item forgets its version.
    pub version: u64,
    /// From this moment (Unix milliseconds) on, the item is gone.
    pub expires_at_ms: Option<u64>,
}

/// What must hold for a put to happen. An expired item counts as absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    Always,
    /// There is no such item.
    Absent,
    /// The item has this version.
    Version(u64),
}

/// Writes a whole item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Put<'a> {
    /// Which.
    pub key: Key<'a>,
    /// Its new value.
    pub value: &'a [u8],
    /// Its new expiry; none keeps it for ever.
    pub expires_at_ms: Option<u64>,
    /// Must hold.
    pub condition: Condition,
}

/// Removes an item. Without a version, removing what is not there succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delete<'a> {
    /// Which.
    pub key: Key<'a>,
    /// The version that it must have.
    pub version: Option<u64>,
}

/// One write of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write<'a> {
    /// See [`Store::put`].
    Put(Put<'a>),
    /// See [`Store::delete`].
    Delete(Delete<'a>),
}

/// Which items of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query<'a> {
    /// The partition.
    pub partition: &'a str,
    /// First sort key; none starts at the beginning.
    pub from: Option<&'a str>,
    /// Last sort key, itself included; none goes to the end.
    pub to: Option<&'a str>,
    /// Most items to return, up to [`MAX_QUERY_ITEMS`].
    pub limit: usize,
    /// In which order, and so which items when there are more than `limit`.
    pub direction: Direction,
}

/// Order of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Smallest sort key first.
    Forward,
    /// Largest sort key first.
    Backward,
}

/// Why a store operation did not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// The condition did not hold; nothing was written.
    ConditionFailed,
    /// A key, value or commit is over its limit; nothing was written. A fault of the caller.
    TooLarge,
    /// The store did not answer or refused. A write may or may not have happened. The text is for
    /// our log, never for the client.
    Unavailable(String),
    /// An item holds what this version cannot read ([`crate::items`]). The text says which kind of
    /// item and where in it, and is for our log.
    Unreadable(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConditionFailed => f.write_str("the condition did not hold"),
            Self::TooLarge => f.write_str("a key, value or commit is over its limit"),
            Self::Unavailable(why) => write!(f, "the store is not available: {why}"),
            Self::Unreadable(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for StoreError {}

/// Where functions keep what outlives a request.
///
/// `now_ms` is the moment (Unix milliseconds) against which items are expired. A single write is
/// atomic; a reader sees every write that was confirmed before the read began.
pub trait Store {
    /// Reads one item.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn get(&self, now_ms: u64, key: Key<'_>) -> Result<Option<Item>, StoreError>;

    /// Reads up to [`MAX_GET_ITEMS`] items, each as [`Store::get`] would, in the order of their
    /// keys; together they are no snapshot. One request where the store has such a thing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], or [`StoreError::TooLarge`] for more keys.
    async fn get_many(
        &self,
        now_ms: u64,
        keys: &[Key<'_>],
    ) -> Result<Vec<Option<Item>>, StoreError> {
        Key::check_all(keys)?;
        let mut items = Vec::with_capacity(keys.len());
        for key in keys {
            items.push(self.get(now_ms, *key).await?);
        }
        Ok(items)
    }

    /// Reads items of one partition in order.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn query(&self, now_ms: u64, query: Query<'_>) -> Result<Vec<Item>, StoreError>;

    /// Writes one item and returns its new version.
    ///
    /// # Errors
    /// Any [`StoreError`].
    async fn put(&self, now_ms: u64, put: Put<'_>) -> Result<u64, StoreError>;

    /// The same, sent once: where nobody knows what became of it, it is not tried again by itself.
    /// For an item that may be put, changed and removed meanwhile, and must not come back.
    ///
    /// # Errors
    /// Any [`StoreError`].
    async fn put_once(&self, now_ms: u64, put: Put<'_>) -> Result<u64, StoreError> {
        self.put(now_ms, put).await
    }

    /// Removes one item.
    ///
    /// # Errors
    /// Any [`StoreError`].
    async fn delete(&self, now_ms: u64, delete: Delete<'_>) -> Result<(), StoreError>;

    /// Adds `by` to a counter and returns the sum; a counter that is absent or expired counts
    /// from 0. Sets the expiry. The item must not hold anything but a counter.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::TooLarge`].
    async fn increment(
        &self,
        now_ms: u64,
        key: Key<'_>,
        by: i64,
        expires_at_ms: Option<u64>,
    ) -> Result<i64, StoreError>;

    /// Does all of the writes or none. At most [`MAX_COMMIT_WRITES`], each of another item.
    ///
    /// # Errors
    /// Any [`StoreError`]; [`StoreError::ConditionFailed`] when any condition did not hold, and
    /// [`StoreError::Unavailable`] when two writes are of one item, a fault of the caller.
    async fn commit(&self, now_ms: u64, writes: &[Write<'_>]) -> Result<(), StoreError>;
}

/// Whether `partition` is among those that `functions/permissions.json` lists for a function: by
/// its whole name, or by its beginning, after which the list has a `*`. IAM judges
/// `dynamodb:LeadingKeys` by the same list.
pub fn is_listed(listed: &[String], partition: &str) -> bool {
    listed.iter().any(|entry| match entry.strip_suffix('*') {
        Some(beginning) => partition.starts_with(beginning),
        None => partition == entry,
    })
}

impl<'a> Key<'a> {
    /// The key of `sort` in `partition`.
    pub fn new(partition: &'a str, sort: &'a str) -> Self {
        Self { partition, sort }
    }

    /// # Errors
    /// [`StoreError::TooLarge`] when a part is longer than [`MAX_KEY_BYTES`].
    pub fn check(&self) -> Result<(), StoreError> {
        let fits = |part: &str| part.len() <= MAX_KEY_BYTES;
        if fits(self.partition) && fits(self.sort) {
            Ok(())
        } else {
            Err(StoreError::TooLarge)
        }
    }

    /// # Errors
    /// [`StoreError::TooLarge`] when there are more than [`MAX_GET_ITEMS`], or one is too long.
    pub fn check_all(keys: &[Self]) -> Result<(), StoreError> {
        if keys.len() > MAX_GET_ITEMS {
            return Err(StoreError::TooLarge);
        }
        keys.iter().try_for_each(Self::check)
    }
}

impl Put<'_> {
    /// # Errors
    /// [`StoreError::TooLarge`] when key or value are over their limit.
    pub fn check(&self) -> Result<(), StoreError> {
        self.key.check()?;
        if self.value.len() > MAX_VALUE_BYTES {
            return Err(StoreError::TooLarge);
        }
        Ok(())
    }
}

impl Write<'_> {
    /// # Errors
    /// [`StoreError::TooLarge`] when there are too many writes or bytes, or one is over its limit;
    /// [`StoreError::Unavailable`] when two are of one item.
    pub fn check_all(writes: &[Self]) -> Result<(), StoreError> {
        let bytes: usize = writes.iter().map(Write::bytes).sum();
        if writes.len() > MAX_COMMIT_WRITES || bytes > MAX_COMMIT_BYTES {
            return Err(StoreError::TooLarge);
        }
        let mut keys: Vec<Key<'_>> = writes.iter().map(Write::key).collect();
        keys.sort_unstable();
        if keys.windows(2).any(|pair| pair[0] == pair[1]) {
            // Databases do not agree about what that means.
            return Err(StoreError::Unavailable(
                "a commit writes an item twice".into(),
            ));
        }
        writes.iter().try_for_each(|write| match write {
            Write::Put(put) => put.check(),
            Write::Delete(delete) => delete.key.check(),
        })
    }

    /// The item that it writes.
    pub fn key(&self) -> Key<'_> {
        match self {
            Write::Put(put) => put.key,
            Write::Delete(delete) => delete.key,
        }
    }

    fn bytes(&self) -> usize {
        let value = match self {
            Write::Put(put) => put.value.len(),
            Write::Delete(_) => 0,
        };
        self.key().partition.len() + self.key().sort.len() + value
    }
}

impl<'a> Query<'a> {
    /// All items of `partition`, up to `limit`, smallest sort key first.
    pub fn all(partition: &'a str, limit: usize) -> Self {
        Self {
            partition,
            from: None,
            to: None,
            limit,
            direction: Direction::Forward,
        }
    }
}
