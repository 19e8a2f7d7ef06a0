//! The trail of acts of moderation, and how long what moderators read is kept.

use edge::items::{self, Held, Over, Stored};
use edge::policy::Policy;
use edge::ports::Entropy;
use edge::store::{Direction, Key, Query, Store, StoreError};
use wire::PlayerId;
use wire::chat::{AuditAction, AuditEntry};

use crate::access::{Access, days_ms};

/// Where acts of one actor are noted.
pub(crate) struct Trail<'a, H, S> {
    host: &'a H,
    store: &'a S,
    now_ms: u64,
    policy: &'a Policy,
    actor: &'a PlayerId,
}

/// What is noted of an act besides who did it and when.
#[derive(Debug, Clone)]
pub(crate) struct Act {
    pub(crate) action: AuditAction,
    pub(crate) player: Option<PlayerId>,
    pub(crate) seq: Option<u64>,
    pub(crate) reason: String,
}

impl Act {
    /// One of which there is no more to say.
    pub(crate) fn new(action: AuditAction) -> Self {
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
    pub(crate) fn of(host: &'a H, store: &'a S, access: &'a Access<'_>) -> Self {
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
    pub(crate) async fn note(&self, place: &str, act: Act) -> Result<(), StoreError> {
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

/// The partition of a channel's trail.
pub(crate) fn audit_partition(place: &str) -> String {
    format!("chat-audit#{place}")
}

/// Random hex digits.
pub(crate) fn nonce<H: Entropy>(host: &H) -> String {
    let mut bytes = [0; 8];
    host.fill(&mut bytes);
    data_encoding::HEXLOWER.encode(&bytes)
}

/// Keeps an entry for so many days.
pub(crate) async fn record<S: Store, T: Stored>(
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
pub(crate) async fn records<S: Store, T: Stored>(
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
