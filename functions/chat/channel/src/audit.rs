//! The trail of acts of moderation: one place writes it, whoever acts.

use edge::blocks::player_partition;
use edge::items::{self, Held, Over, Stored};
use edge::policy::Policy;
use edge::ports::Entropy;
use edge::store::{Condition, Direction, Key, Put, Query, Store, StoreError};
use wire::PlayerId;
use wire::chat::{AuditAction, AuditEntry};

use crate::access::{Access, days_ms};

/// Where the acts of one actor are noted.
#[derive(Debug)]
pub struct Trail<'a, H, S> {
    host: &'a H,
    store: &'a S,
    now_ms: u64,
    policy: &'a Policy,
    actor: &'a PlayerId,
}

/// What is noted of an act besides who did it and when.
#[derive(Debug, Clone)]
pub struct Act {
    /// The act.
    pub action: AuditAction,
    /// Whom it was done to.
    pub player: Option<PlayerId>,
    /// The number of the message that it was done to.
    pub seq: Option<u64>,
    /// Why, as the actor says.
    pub reason: String,
}

impl Act {
    /// One of which there is no more to say.
    pub fn new(action: AuditAction) -> Self {
        Self {
            action,
            player: None,
            seq: None,
            reason: String::new(),
        }
    }
}

impl<'a, H: Entropy, S: Store> Trail<'a, H, S> {
    /// For the acts of who asks.
    pub fn of(host: &'a H, store: &'a S, access: &'a Access<'_>) -> Self {
        Self {
            host,
            store,
            now_ms: access.now_ms,
            policy: &access.policy,
            actor: access.me(),
        }
    }

    /// Notes an act, before it is done: what is done is in the trail for certain. `place` is the
    /// channel's key.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn note(&self, place: &str, act: Act) -> Result<(), StoreError> {
        if let Some(player) = &act.player {
            name(self.store, self.now_ms, player, place, self.policy).await?;
        }
        let entry = AuditEntry {
            at_ms: self.now_ms,
            actor: self.actor.clone(),
            action: act.action,
            player: act.player,
            seq: act.seq,
            reason: act.reason,
        };
        let sort = format!("{:016}#{}", self.now_ms, nonce(self.host));
        let key = (audit_partition(place), sort);
        record(self.store, self.now_ms, key, self.policy.audit_days, &entry).await
    }
}

/// Sort key with a player of what says that a channel's trail or reports name him; the channel's
/// key follows. It outlives his own item there.
pub const NAMED: &str = "named#";

/// Notes with a player that a channel's trail or reports are about to name him, for as long as they
/// are kept: what is kept of him can be found.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn name<S: Store>(
    store: &S,
    now_ms: u64,
    player: &PlayerId,
    place: &str,
    policy: &Policy,
) -> Result<(), StoreError> {
    let (partition, sort) = (player_partition(player), format!("{NAMED}{place}"));
    let days = policy.audit_days.max(policy.report_days);
    let put = Put {
        key: Key::new(&partition, &sort),
        value: &[],
        expires_at_ms: Some(now_ms + days_ms(days)),
        condition: Condition::Always,
    };
    store.put(now_ms, put).await.map(drop)
}

/// The partition of a channel's trail.
pub fn audit_partition(place: &str) -> String {
    format!("chat-audit#{place}")
}

/// Sixteen random hex digits.
pub fn nonce<H: Entropy>(host: &H) -> String {
    let mut bytes = [0; 8];
    host.fill(&mut bytes);
    data_encoding::HEXLOWER.encode(&bytes)
}

/// Keeps an entry for so many days; one that is there already is replaced.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn record<S: Store, T: Stored>(
    store: &S,
    now_ms: u64,
    (partition, sort): (String, String),
    days: u32,
    entry: &T,
) -> Result<(), StoreError> {
    let key = Key::new(&partition, &sort);
    let expires = Some(now_ms + days_ms(days));
    items::put(store, now_ms, key, entry, expires, Over::ANYTHING).await?;
    Ok(())
}

/// The newest entries of a partition, newest first.
///
/// # Errors
/// [`StoreError::Unavailable`] or [`StoreError::Unreadable`].
pub async fn records<S: Store, T: Stored>(
    store: &S,
    now_ms: u64,
    partition: &str,
    limit: usize,
) -> Result<Vec<T>, StoreError> {
    let query = Query {
        direction: Direction::Backward,
        ..Query::all(partition, limit)
    };
    let items = store.query(now_ms, query).await?;
    let read = |item| Ok(Held::read(partition, item)?.value);
    items.iter().map(read).collect()
}
