//! A player as an author in a channel: one item, read and written with each post, that holds his
//! limits, what a moderator said, and which number each of his last keys was tried with.

use std::borrow::Cow;

use edge::Refusal;
use edge::blocks::player_partition;
use edge::gcra::Gcra;
use edge::items::{self, Held};
use edge::policy::Rights;
use edge::store::{Key, Store, StoreError};
use edge::stored;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wire::chat::ChannelSettings;
use wire::json::is_default;
use wire::problem::ProblemKind;
use wire::{MessageKey, PlayerId};

use crate::access::Place;
use crate::way::Way;

/// Keys that are remembered; older ones count as new.
const MAX_KEYS: usize = 16;
/// How much longer than messages the item is kept, in milliseconds.
const SLACK_MS: u64 = 24 * 60 * 60 * 1000;
/// Least time between two notes that a player types, in milliseconds.
const TYPING_INTERVAL_MS: u64 = 2_000;
const MINUTE_MS: u64 = 60_000;

/// The item. Names are short because a write unit is a kilobyte.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Author {
    /// Token bucket (GCRA): when it will be full again, Unix milliseconds.
    #[serde(default, rename = "b")]
    full_at_ms: u64,
    /// When the last message was tried, Unix milliseconds.
    #[serde(default, rename = "l")]
    last_ms: u64,
    /// When the message before that was tried.
    #[serde(default, rename = "p")]
    before_last_ms: u64,
    #[serde(default, rename = "y")]
    typed_ms: u64,
    /// Key hash and the number that it was last tried with, oldest first.
    #[serde(default, rename = "k", skip_serializing_if = "Vec::is_empty")]
    tries: Vec<(String, u64)>,
    /// Until when a moderator keeps him from writing, Unix milliseconds.
    #[serde(default, rename = "m", skip_serializing_if = "is_default")]
    pub muted_until_ms: u64,
    /// In a direct channel: this player blocked the other.
    #[serde(default, rename = "x", skip_serializing_if = "is_default")]
    pub blocks: bool,
    /// In a direct channel: the other blocked this player.
    #[serde(default, rename = "z", skip_serializing_if = "is_default")]
    pub is_blocked: bool,
    /// The way to the others, as far as it is known.
    #[serde(default, rename = "r", skip_serializing_if = "Option::is_none")]
    pub way: Option<Way>,
    /// The further halls of a region's world channel where he wrote, reacted or reported, and until
    /// when that is kept, Unix milliseconds.
    #[serde(default, rename = "h", skip_serializing_if = "Vec::is_empty")]
    halls: Vec<(u8, u64)>,
    /// Nobody is there to push to; looked for again from then on, Unix milliseconds.
    #[serde(default, rename = "n", skip_serializing_if = "is_default")]
    pub no_way_until_ms: u64,
    /// When it was last asked whether his tokens were taken back, Unix milliseconds.
    #[serde(default, rename = "a", skip_serializing_if = "is_default")]
    asked_ms: u64,
}

stored!(author: Author);

/// Prefix of the sort keys of [`Author`] items; the channel's key follows.
pub const IN: &str = "in#";

/// What a key is remembered as. A player is one author in all halls of a region, and a key another
/// one in each: its number is one of that hall's log.
pub fn key_hash(player: &PlayerId, hall: u8, key: &MessageKey) -> String {
    let mut hash = Sha256::new()
        .chain_update(player.as_str())
        .chain_update([0])
        .chain_update(key.as_str());
    if hall > 0 {
        hash.update([0, hall]);
    }
    data_encoding::HEXLOWER.encode(&hash.finalize()[..8])
}

/// The authors of a channel.
#[derive(Debug)]
pub struct Authors<'a, S> {
    /// Where they are kept.
    pub store: &'a S,
    /// When the request began, Unix milliseconds.
    pub now_ms: u64,
    /// The channel's key, of a hall its region's ([`Place::authors`]).
    pub place: Cow<'a, str>,
    /// Which hall of that region; 0 for every other channel.
    pub hall: u8,
    /// How long its messages are kept, in milliseconds.
    pub retention_ms: u64,
}

impl<'a, S: Store> Authors<'a, S> {
    /// Of a channel.
    pub fn of(store: &'a S, now_ms: u64, place: &'a Place) -> Self {
        Self {
            store,
            now_ms,
            place: place.authors(),
            hall: place.hall(),
            retention_ms: place.retention_ms,
        }
    }

    /// Reads a player as an author.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Unreadable`].
    pub async fn read(&self, player: &PlayerId) -> Result<Held<Author>, StoreError> {
        let (partition, sort) = self.address(player);
        let key = Key::new(&partition, &sort);
        let known = items::get(self.store, self.now_ms, key).await?;
        Ok(known.unwrap_or_default())
    }

    /// Writes a player as an author, and that there may be something of him in this hall: whoever
    /// leaves anything in a channel is written first, so that export and erasure find it.
    ///
    /// # Errors
    /// [`StoreError::ConditionFailed`]: read him again; [`StoreError::Unavailable`].
    pub async fn keep(&self, player: &PlayerId, held: &mut Held<Author>) -> Result<(), StoreError> {
        let (partition, sort) = self.address(player);
        let key = Key::new(&partition, &sort);
        let author = &mut held.value;
        author.visit(self.now_ms, self.hall, self.now_ms + self.retention_ms);
        let until = self.now_ms.max(author.muted_until_ms) + self.retention_ms + SLACK_MS;
        // A block lasts until it is taken back.
        let expires = (!author.blocks && !author.is_blocked).then_some(until);
        let over = held.over();
        held.version = items::put(self.store, self.now_ms, key, &held.value, expires, over).await?;
        Ok(())
    }

    fn address(&self, player: &PlayerId) -> (String, String) {
        (player_partition(player), format!("{IN}{}", self.place))
    }
}

impl Author {
    /// Whether a moderator or a block keeps him from writing.
    ///
    /// # Errors
    /// `blocked` or `muted`.
    pub fn check(&self, now_ms: u64) -> Result<(), Refusal> {
        if self.blocks {
            let detail = "Take your block of the player back first.";
            return Err(Refusal::new(ProblemKind::Blocked, detail));
        }
        if self.is_blocked {
            let detail = "The player does not take messages of this one.";
            return Err(Refusal::new(ProblemKind::Blocked, detail));
        }
        if self.muted_until_ms > now_ms {
            let left_s = (self.muted_until_ms - now_ms).div_ceil(1000);
            let detail = format!("A moderator muted the player for {left_s} more seconds.");
            return Err(Refusal::new(ProblemKind::Muted, detail).retry_after(left_s));
        }
        Ok(())
    }

    /// Whether it is time to ask again whether his tokens were taken back; notes it if so. Once a
    /// minute, since it costs a read, and a post is the most frequent thing that players do.
    pub fn asks_now(&mut self, now_ms: u64) -> bool {
        let asks = now_ms.saturating_sub(self.asked_ms) >= MINUTE_MS;
        if asks {
            self.asked_ms = now_ms;
        }
        asks
    }

    /// Whether the channel's settings keep him, who has these rights, from writing now.
    ///
    /// # Errors
    /// `channel-locked` or `too-fast`.
    pub fn check_settings(
        &self,
        now_ms: u64,
        (place, rights): (&Place, &Rights),
        settings: ChannelSettings,
    ) -> Result<(), Refusal> {
        if place.may_moderate() && rights.ignore_slow_mode {
            return Ok(());
        }
        if settings.locked && !place.may_moderate() {
            let detail = "Wait until a moderator unlocks the channel.";
            return Err(Refusal::new(ProblemKind::ChannelLocked, detail));
        }
        let next_ms = self.last_ms + u64::from(settings.slow_s) * 1000;
        if settings.slow_s > 0 && next_ms > now_ms {
            return Err(too_fast(next_ms - now_ms));
        }
        Ok(())
    }

    /// Whether he has written here.
    pub fn has_written(&self) -> bool {
        self.last_ms > 0
    }

    /// Takes one message from his bucket.
    ///
    /// # Errors
    /// `too-fast`.
    pub fn charge(&mut self, now_ms: u64, rights: &Rights) -> Result<(), Refusal> {
        let messages = Gcra {
            at_once: rights.burst.into(),
            every_ms: MINUTE_MS / u64::from(rights.per_minute),
        };
        self.full_at_ms = messages.take(self.full_at_ms, now_ms).map_err(too_fast)?;
        Ok(())
    }

    /// The number that the key was last tried with.
    pub fn tried(&self, key: &str) -> Option<u64> {
        let found = self.tries.iter().find(|(known, _)| known == key);
        found.map(|(_, seq)| *seq)
    }

    /// Notes that the key is about to be tried with `seq`.
    pub fn note(&mut self, key: &str, seq: u64, now_ms: u64) {
        if let Some(found) = self.tries.iter_mut().find(|(known, _)| known == key) {
            found.1 = seq;
            return;
        }
        if self.tries.len() >= MAX_KEYS {
            self.tries.remove(0);
        }
        self.tries.push((key.to_owned(), seq));
        self.before_last_ms = std::mem::replace(&mut self.last_ms, now_ms);
    }

    /// Notes that he leaves something in a hall, where that is kept until then.
    fn visit(&mut self, now_ms: u64, hall: u8, until_ms: u64) {
        self.halls
            .retain(|(other, until_ms)| *other != hall && *until_ms > now_ms);
        if hall > 0 {
            self.halls.push((hall, until_ms));
        }
    }

    /// The further halls where there may be something of him, in order.
    pub fn halls(&self) -> Vec<u8> {
        let mut halls: Vec<u8> = self.halls.iter().map(|(hall, _)| *hall).collect();
        halls.sort_unstable();
        halls
    }

    /// Takes his last message out of account: it is the one that is to follow, at another number.
    pub fn forget_last(&mut self) {
        self.last_ms = self.before_last_ms;
    }

    /// Whether he may say that he types, which he then has.
    ///
    /// # Errors
    /// `too-fast`.
    pub fn type_now(&mut self, now_ms: u64) -> Result<(), Refusal> {
        let next_ms = self.typed_ms + TYPING_INTERVAL_MS;
        if next_ms > now_ms {
            return Err(too_fast(next_ms - now_ms));
        }
        self.typed_ms = now_ms;
        Ok(())
    }
}

fn too_fast(wait_ms: u64) -> Refusal {
    let seconds = wait_ms.div_ceil(1000).max(1);
    let detail = format!("Send the next message in {seconds} seconds.");
    Refusal::new(ProblemKind::TooFast, detail).retry_after(seconds)
}
