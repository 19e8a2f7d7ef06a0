//! The messages of a channel in the store, its floor, and what the next message follows. How it is
//! used: `infra/decisions/0010-chat-the-log-is-the-state.md`.

use edge::Refusal;
use edge::change::{unless_lost, until_done};
use edge::items::{self, Held, Over};
use edge::ports::{Clock, Entropy, Timer};
use edge::store::{Direction, Item, Key, Query, Store, StoreError};
use serde::{Deserialize, Serialize};
use wire::chat::{ChannelSettings, Message};
use wire::json::is_default;

/// Highest number of a message: what 16 digits hold, and JavaScript counts exactly up to.
pub const MAX_SEQ: u64 = (1 << 53) - 1;
/// A tail that expires within this time counts as expired, so that two functions whose clocks
/// differ agree on it. Longer than any request lives.
pub const EXPIRY_MARGIN_MS: u64 = 60_000;
/// Every so many messages the floor is written.
const FLOOR_STEP: u64 = 64;
/// How far behind the last message the floor may be, failures of many writers included.
const FLOOR_LAG: u64 = 1024;

/// A message as kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stored {
    #[serde(rename = "m")]
    /// It.
    pub message: Message,
    /// See [`crate::author::key_hash`].
    #[serde(default, rename = "k", skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// The channel's settings after this message.
    #[serde(default, rename = "s", skip_serializing_if = "is_default")]
    pub settings: ChannelSettings,
    /// The author does not talk with other platforms.
    #[serde(default, rename = "p", skip_serializing_if = "std::ops::Not::not")]
    pub one_platform: bool,
    /// When it expires, Unix milliseconds.
    #[serde(skip)]
    pub expires_at_ms: u64,
    /// What an edit goes over.
    #[serde(skip)]
    pub over: Over,
}

edge::stored!(message: Stored);

/// See the table of the decision record.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Floor {
    seq: u64,
    #[serde(default)]
    settings: ChannelSettings,
}

edge::stored!(floor: Floor);

/// The last message of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    /// Its number; 0 before the first.
    pub seq: u64,
    /// The channel's settings as of it.
    pub settings: ChannelSettings,
    /// When it expires, Unix milliseconds.
    pub expires_at_ms: u64,
}

impl Stored {
    /// It from its item.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`].
    pub fn read(partition: &str, item: &Item) -> Result<Self, StoreError> {
        Held::read(partition, item).map(of_held)
    }

    /// It as the last message.
    pub fn tail(&self) -> Tail {
        Tail {
            seq: self.message.seq,
            settings: self.settings,
            expires_at_ms: self.expires_at_ms,
        }
    }
}

/// The partition of the messages of a channel.
pub fn messages_partition(place: &str) -> String {
    format!("chat#{place}")
}

/// The partition of a channel's reactions.
pub fn reactions_partition(place: &str) -> String {
    format!("chat-react#{place}")
}

/// The sort key of a message, and how the sort key of what belongs to it begins.
pub fn message_sort(seq: u64) -> String {
    format!("{seq:016}")
}

fn floor_partition(place: &str) -> String {
    format!("chat-floor#{place}")
}

const FLOOR_SORT: &str = "floor";

fn of_held(held: Held<Stored>) -> Stored {
    let over = held.over();
    let mut stored = held.value;
    stored.over = over;
    stored.message.version = held.version;
    stored.expires_at_ms = held.expires_at_ms.unwrap_or(u64::MAX);
    stored
}

/// The log of a channel.
#[derive(Debug)]
pub struct Log<'a, H, S> {
    host: &'a H,
    store: &'a S,
    /// When the request began, Unix milliseconds.
    now_ms: u64,
    /// The channel's key.
    place: &'a str,
}

impl<'a, H: Clock, S: Store> Log<'a, H, S> {
    /// Of the channel with this key, for a request that began then.
    pub fn of(host: &'a H, store: &'a S, now_ms: u64, place: &'a str) -> Self {
        Self {
            host,
            store,
            now_ms,
            place,
        }
    }

    /// Reads one message, a tombstone too.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Unreadable`].
    pub async fn message(&self, seq: u64) -> Result<Option<Stored>, StoreError> {
        let (partition, sort) = (messages_partition(self.place), message_sort(seq));
        let key = Key::new(&partition, &sort);
        let held = items::get(self.store, self.now_ms, key).await?;
        Ok(held.map(of_held))
    }

    /// Reads messages with numbers from `from` to `to`.
    ///
    /// # Errors
    /// As [`Self::message`].
    pub async fn messages(
        &self,
        (from, to): (u64, u64),
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<Stored>, StoreError> {
        let partition = messages_partition(self.place);
        let (from, to) = (message_sort(from), message_sort(to));
        let query = Query {
            partition: &partition,
            from: Some(&from),
            to: Some(&to),
            limit,
            direction,
        };
        let items = self.store.query(self.host.now_ms(), query).await?;
        let read = |item| Stored::read(&partition, item);
        items.iter().map(read).collect()
    }

    /// The last message, as far as it has not expired.
    ///
    /// # Errors
    /// As [`Self::message`].
    pub async fn last(&self) -> Result<Option<Stored>, StoreError> {
        let all = (0, MAX_SEQ);
        Ok(self.messages(all, 1, Direction::Backward).await?.pop())
    }

    /// What the next message follows.
    ///
    /// # Errors
    /// As [`Self::message`].
    pub async fn tail(&self) -> Result<Tail, StoreError> {
        if let Some(tail) = self.lasting_tail().await? {
            return Ok(tail);
        }
        // Nothing, or nothing that lasts. The floor is read before the messages are looked for
        // again: had it moved, what moved it would be seen.
        let floor = self.floor().await?.map(|held| held.value);
        if let Some(tail) = self.lasting_tail().await? {
            return Ok(tail);
        }
        Ok(Tail {
            // A number at which the floor is raised.
            seq: floor.map_or(0, |floor| (floor.seq / FLOOR_LAG + 2) * FLOOR_LAG - 1),
            settings: floor.map_or_else(ChannelSettings::default, |floor| floor.settings),
            expires_at_ms: 0,
        })
    }

    async fn lasting_tail(&self) -> Result<Option<Tail>, StoreError> {
        let last = self.last().await?;
        let lasts = |tail: &Tail| tail.expires_at_ms >= self.now_ms + EXPIRY_MARGIN_MS;
        Ok(last.map(|stored| stored.tail()).filter(lasts))
    }

    async fn floor(&self) -> Result<Option<Held<Floor>>, StoreError> {
        let partition = floor_partition(self.place);
        items::get(self.store, self.now_ms, Key::new(&partition, FLOOR_SORT)).await
    }

    /// Writes a message; its expiry stays what it says.
    ///
    /// # Errors
    /// [`StoreError::ConditionFailed`] or [`StoreError::Unavailable`].
    pub async fn write(&self, stored: &Stored, over: Over) -> Result<u64, StoreError> {
        let (partition, sort) = (
            messages_partition(self.place),
            message_sort(stored.message.seq),
        );
        let (key, expires) = (Key::new(&partition, &sort), Some(stored.expires_at_ms));
        items::put(self.store, self.now_ms, key, stored, expires, over).await
    }
}

impl<H: Clock + Entropy + Timer, S: Store> Log<'_, H, S> {
    /// Raises the floor to `stored` where one is due. Done before the message is acknowledged, so
    /// that whoever retries does it again.
    ///
    /// # Errors
    /// `conflict` or `store-unavailable`.
    pub async fn raise_floor(&self, stored: &Stored) -> Result<(), Refusal> {
        let seq = stored.message.seq;
        let is_due = seq.is_multiple_of(FLOOR_STEP)
            || seq.is_power_of_two()
            || seq % FLOOR_LAG <= 2
            || stored.message.system.is_some();
        if !is_due {
            return Ok(());
        }
        let partition = floor_partition(self.place);
        let key = Key::new(&partition, FLOOR_SORT);
        let floor = Floor {
            seq,
            settings: stored.settings,
        };
        until_done(self.host, || async {
            let old = self.floor().await?;
            if old.as_ref().is_some_and(|held| held.value.seq >= seq) {
                return Ok(Some(()));
            }
            let over = Over::read(old.as_ref());
            let written = items::put(self.store, self.now_ms, key, &floor, None, over).await;
            Ok(unless_lost(written)?.map(drop))
        })
        .await
    }
}
