//! The messages of a channel in the store, and how one is appended: once, with the next number.
//! Why it is right: `infra/decisions/0010-chat-the-log-is-the-state.md`.

use std::ops::ControlFlow::{self, Break, Continue};

use edge::Refusal;
use edge::change::{unless_lost, until_done, until_done_from};
use edge::items::{self, Held, Over};
use edge::store::{Direction, Item, Key, Query, Store, StoreError};
use serde::{Deserialize, Serialize};
use wire::chat::{ChannelSettings, Message};

use crate::Ports;
use crate::access::{Chat, Place};
use crate::author::Author;
use crate::tail::{EXPIRY_MARGIN_MS, MAX_SEQ, Tail};

/// Every so many messages the floor is written.
const FLOOR_STEP: u64 = 64;
/// How far behind the last message the floor may be, failures of many writers included.
const FLOOR_LAG: u64 = 1024;

/// A message as kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Stored {
    #[serde(rename = "m")]
    pub(crate) message: Message,
    /// See [`crate::author::key_hash`].
    #[serde(default, rename = "k", skip_serializing_if = "String::is_empty")]
    pub(crate) key: String,
    /// The channel's settings after this message.
    #[serde(default, rename = "s", skip_serializing_if = "is_default")]
    pub(crate) settings: ChannelSettings,
    /// The author does not talk with other platforms.
    #[serde(default, rename = "p", skip_serializing_if = "std::ops::Not::not")]
    pub(crate) one_platform: bool,
    #[serde(skip)]
    pub(crate) expires_at_ms: u64,
    /// What an edit goes over.
    #[serde(skip)]
    pub(crate) over: Over,
}

edge::stored!(message: Stored);

fn is_default(settings: &ChannelSettings) -> bool {
    *settings == ChannelSettings::default()
}

/// See the table of the decision record.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Floor {
    seq: u64,
    #[serde(default)]
    settings: ChannelSettings,
}

edge::stored!(floor: Floor);

/// A message on its way into the log.
pub(crate) struct Draft {
    /// Hash of the key.
    pub(crate) key: String,
    /// Number and time are filled in.
    pub(crate) message: Message,
    /// Settings that hold from this message on; none keeps what holds.
    pub(crate) settings: Option<ChannelSettings>,
}

/// What became of a draft.
pub(crate) struct Appended {
    pub(crate) stored: Stored,
    /// False when an earlier request with this key had done it.
    pub(crate) is_new: bool,
    /// The author as he is then.
    pub(crate) author: Author,
}

impl Stored {
    pub(crate) fn tail(&self) -> Tail {
        Tail {
            seq: self.message.seq,
            settings: self.settings,
            expires_at_ms: self.expires_at_ms,
        }
    }
}

pub(crate) fn messages_partition(place: &str) -> String {
    format!("chat#{place}")
}

pub(crate) fn message_sort(seq: u64) -> String {
    format!("{seq:016}")
}

fn floor_partition(place: &str) -> String {
    format!("chat-floor#{place}")
}

const FLOOR_SORT: &str = "floor";

fn stored(partition: &str, item: &Item) -> Result<Stored, StoreError> {
    Held::read(partition, item).map(of_held)
}

fn of_held(held: Held<Stored>) -> Stored {
    let over = held.over();
    let mut stored = held.value;
    stored.over = over;
    stored.message.version = held.version;
    stored.expires_at_ms = held.expires_at_ms.unwrap_or(u64::MAX);
    stored
}

impl<H: Ports, S: Store> Chat<'_, H, S> {
    /// Reads one message, a tombstone too.
    pub(crate) async fn message(
        &self,
        place: &str,
        seq: u64,
    ) -> Result<Option<Stored>, StoreError> {
        let (partition, sort) = (messages_partition(place), message_sort(seq));
        let key = Key::new(&partition, &sort);
        let held = items::get(self.store, self.now_ms, key).await?;
        Ok(held.map(of_held))
    }

    /// Reads messages with numbers from `from` to `to`.
    pub(crate) async fn messages(
        &self,
        place: &str,
        (from, to): (u64, u64),
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<Stored>, StoreError> {
        let partition = messages_partition(place);
        let (from, to) = (message_sort(from), message_sort(to));
        let query = Query {
            partition: &partition,
            from: Some(&from),
            to: Some(&to),
            limit,
            direction,
        };
        // A request that waits reads at a later time than it came.
        let items = self.store.query(self.host.now_ms(), query).await?;
        items.iter().map(|item| stored(&partition, item)).collect()
    }

    /// The last message, as far as it has not expired.
    pub(crate) async fn last(&self, place: &str) -> Result<Option<Stored>, StoreError> {
        let all = (0, MAX_SEQ);
        Ok(self
            .messages(place, all, 1, Direction::Backward)
            .await?
            .pop())
    }

    /// What the next message follows.
    pub(crate) async fn tail(&self, place: &str) -> Result<Tail, StoreError> {
        if let Some(tail) = self.lasting_tail(place).await? {
            return Ok(tail);
        }
        // Nothing, or nothing that lasts. The floor is read before the messages are looked for
        // again: had it moved, what moved it would be seen.
        let floor = self.floor(place).await?.map(|held| held.value);
        if let Some(tail) = self.lasting_tail(place).await? {
            return Ok(tail);
        }
        Ok(Tail {
            // A number at which the floor is raised.
            seq: floor.map_or(0, |floor| (floor.seq / FLOOR_LAG + 2) * FLOOR_LAG - 1),
            settings: floor.map_or_else(ChannelSettings::default, |floor| floor.settings),
            expires_at_ms: 0,
        })
    }

    async fn lasting_tail(&self, place: &str) -> Result<Option<Tail>, StoreError> {
        let last = self.last(place).await?;
        let lasts = |tail: &Tail| tail.expires_at_ms >= self.now_ms + EXPIRY_MARGIN_MS;
        Ok(last.map(|stored| stored.tail()).filter(lasts))
    }

    async fn floor(&self, place: &str) -> Result<Option<Held<Floor>>, StoreError> {
        let partition = floor_partition(place);
        items::get(self.store, self.now_ms, Key::new(&partition, FLOOR_SORT)).await
    }

    /// Raises the floor to `stored` where one is due. Done before the message is acknowledged, so
    /// that whoever retries does it again.
    async fn raise_floor(&self, place: &str, stored: &Stored) -> Result<(), Refusal> {
        let seq = stored.message.seq;
        let is_due = seq.is_multiple_of(FLOOR_STEP)
            || seq.is_power_of_two()
            || seq % FLOOR_LAG <= 2
            || stored.message.system.is_some();
        if !is_due {
            return Ok(());
        }
        let partition = floor_partition(place);
        let key = Key::new(&partition, FLOOR_SORT);
        let floor = Floor {
            seq,
            settings: stored.settings,
        };
        until_done(self.host, || async {
            let old = self.floor(place).await?;
            if old.as_ref().is_some_and(|held| held.value.seq >= seq) {
                return Ok(Some(()));
            }
            let over = Over::read(old.as_ref());
            let written = items::put(self.store, self.now_ms, key, &floor, None, over).await;
            Ok(unless_lost(written)?.map(drop))
        })
        .await
    }

    /// Appends the draft of the author, who was read just now, or finds that it was appended.
    /// `known` is a tail that a client brought along.
    pub(crate) async fn append(
        &self,
        place: &Place,
        held: Held<Author>,
        draft: &Draft,
        known: Option<Tail>,
    ) -> Result<Appended, Refusal> {
        let from = (held, known);
        until_done_from(self.host, from, |(held, known)| {
            self.try_append(place, held, draft, known)
        })
        .await
    }

    async fn try_append(
        &self,
        place: &Place,
        mut held: Held<Author>,
        draft: &Draft,
        mut known: Option<Tail>,
    ) -> Result<ControlFlow<Appended, (Held<Author>, Option<Tail>)>, Refusal> {
        let (tail, is_noted) = match held.value.tried(&draft.key) {
            None => match known.take() {
                Some(tail) => (tail, false),
                None => (self.tail(&place.key).await?, false),
            },
            Some(seq) => match self.follow(place, draft, seq).await? {
                Follow::Done(stored) => {
                    return Ok(Break(self.appended(place, *stored, false, held).await?));
                }
                Follow::Same(tail) => (tail, true),
                Follow::Next(tail) => (tail, false),
            },
        };
        if !is_noted && !self.note(place, &mut held, draft, &tail).await? {
            return Ok(Continue((held, known)));
        }
        match self.put(place, draft, &tail).await? {
            Some(stored) => Ok(Break(self.appended(place, stored, true, held).await?)),
            None => Ok(Continue((held, known))),
        }
    }

    async fn appended(
        &self,
        place: &Place,
        stored: Stored,
        is_new: bool,
        held: Held<Author>,
    ) -> Result<Appended, Refusal> {
        self.raise_floor(&place.key, &stored).await?;
        Ok(Appended {
            stored,
            is_new,
            author: held.value,
        })
    }

    /// What an earlier attempt with this key, at number `seq`, came to.
    async fn follow(&self, place: &Place, draft: &Draft, seq: u64) -> Result<Follow, Refusal> {
        // The tail first: a message that is missing although its number is not above the tail
        // has expired.
        let tail = self.tail(&place.key).await?;
        Ok(match self.message(&place.key, seq).await? {
            Some(stored) if stored.key == draft.key => Follow::Done(Box::new(stored)),
            Some(other) if other.message.seq > tail.seq => Follow::Next(other.tail()),
            None if tail.seq + 1 == seq => Follow::Same(tail),
            _ => Follow::Next(tail),
        })
    }

    /// Checks that the author may write after `tail` and writes down that he will. False when
    /// another request of his came between; he was read again.
    async fn note(
        &self,
        place: &Place,
        held: &mut Held<Author>,
        draft: &Draft,
        tail: &Tail,
    ) -> Result<bool, Refusal> {
        let is_first = held.value.tried(&draft.key).is_none();
        self.check_author(&held.value)?;
        if draft.settings.is_none() {
            let mut author = held.value.clone();
            if !is_first {
                author.forget_last();
            }
            self.check_settings(place, tail.settings, &author)?;
        }
        if is_first {
            self.charge(&mut held.value)?;
        }
        self.refresh_route(place, &mut held.value).await;
        held.value.note(&draft.key, tail.seq + 1, self.now_ms);
        let kept = unless_lost(self.keep(place, held).await)?;
        if kept.is_none() {
            *held = self.author(place).await?;
        }
        Ok(kept.is_some())
    }

    /// Puts the draft after `tail`; none when the number is taken.
    async fn put(
        &self,
        place: &Place,
        draft: &Draft,
        tail: &Tail,
    ) -> Result<Option<Stored>, Refusal> {
        let mut message = draft.message.clone();
        message.seq = tail.seq + 1;
        message.at_ms = self.now_ms;
        message.version = 1;
        let stored = Stored {
            message,
            key: draft.key.clone(),
            settings: draft.settings.unwrap_or(tail.settings),
            one_platform: !self.rights.cross_play,
            expires_at_ms: self.now_ms + place.retention_ms,
            over: Over::NOTHING,
        };
        let written = unless_lost(self.write(place, &stored, Over::NOTHING).await)?;
        Ok(written.map(|_| stored))
    }

    /// Writes a message; its expiry stays what it says.
    pub(crate) async fn write(
        &self,
        place: &Place,
        stored: &Stored,
        over: Over,
    ) -> Result<u64, StoreError> {
        let (partition, sort) = (
            messages_partition(&place.key),
            message_sort(stored.message.seq),
        );
        let (key, expires) = (Key::new(&partition, &sort), Some(stored.expires_at_ms));
        items::put(self.store, self.now_ms, key, stored, expires, over).await
    }
}

/// Where an attempt goes on.
enum Follow {
    /// It has happened.
    Done(Box<Stored>),
    /// At the number that is written down already.
    Same(Tail),
    /// At a new one.
    Next(Tail),
}
