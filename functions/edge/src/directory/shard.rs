use std::collections::BTreeMap;

use wire::control::PendingCommand;
use wire::fleet::{Heartbeat, ListedShard, MovedRoom, ShardRecord};
use wire::limits::{MAX_CLOCK_SKEW_MS, MAX_PENDING_COMMANDS};
use wire::problem::ProblemKind;
use wire::{BootId, PlayerId, RegionName, ShardId};

use super::bucket::{
    Address, Buckets, Found, address, bucket_of, bucket_partition, buckets, buckets_and_ended,
    count_partition, find, grow, later, read,
};
use super::ended::{self, Ended, StoredEnded};
use super::moved;
use super::placed::{ShardLoad, counter_value, loads, placed_sort};
use super::record::{Order, SHARD_TTL_MS, StoredShard, is_live, record_sort, shard_partition};
use super::registration::{self, raise_epoch};
use super::terms::Terms;
use crate::Refusal;
use crate::change::{unless_lost, until_done};
use crate::items::{self, Held, Over};
use crate::ports::{Entropy, Timer};
use crate::store::{
    Condition, Delete, Item, Key, MAX_QUERY_ITEMS, Put, Query, Store, StoreError, Write,
};

/// How long the index entries of a shard live; they are renewed after half of that.
pub const INDEX_TTL_MS: u64 = 30 * 24 * 60 * 60 * 1000;
/// Most shards of one bucket that are looked at; each has two items.
pub const MAX_LISTED_SHARDS: usize = MAX_QUERY_ITEMS / 2;
/// Most regions that are listed.
const MAX_REGIONS: usize = 100;

/// What a shard is told in reply to its heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orders {
    /// Whether it should drain.
    pub draining: bool,
    /// Commands that it may not have, oldest first.
    pub pending: Vec<PendingCommand>,
    /// Players whose sessions end, of whom it does not know yet, oldest first.
    pub ended: Vec<Ended>,
    /// Rooms that moved away while nothing was heard of it.
    pub moved: Vec<MovedRoom>,
}

/// Which shard, and the bucket in which it was ([`super::bucket`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShardAt<'a> {
    pub(crate) region: &'a RegionName,
    pub(crate) shard: &'a ShardId,
    pub(crate) bucket: u32,
}

fn body_invalid(detail: &'static str) -> Refusal {
    Refusal::new(ProblemKind::BodyInvalid, detail)
}

/// Takes a heartbeat whose signature was checked, and returns what the shard is to do. Those of a
/// run are in the order in which it counted them, and a run is over when another one reports,
/// whatever clocks say: one that is not later than the last changes nothing, also when it was
/// captured and is sent again.
/// `declared` says what a shard may be that did not enrol.
///
/// # Errors
/// `body-invalid` when its clock is off by more than [`MAX_CLOCK_SKEW_MS`]; `shard-unregistered`,
/// `shard-revoked` and `registration-exceeded` when it is not what the shard may say ([`Terms`]);
/// `conflict`, also of a run that is over; `store-unavailable`.
pub async fn record_heartbeat<H: Entropy + Timer, S: Store>(
    host: &H,
    store: &S,
    now_ms: u64,
    heartbeat: &Heartbeat,
    declared: &impl AsyncFn(&ShardId) -> Result<Option<Terms>, Refusal>,
) -> Result<Orders, Refusal> {
    if heartbeat.sent_at_ms.abs_diff(now_ms) > MAX_CLOCK_SKEW_MS {
        return Err(body_invalid(
            "Set the relay's clock: sent_at_ms is more than 30 seconds from the edge's clock.",
        ));
    }
    let (region_buckets, ended) = buckets_and_ended(store, now_ms, &heartbeat.region).await?;
    let region = (&region_buckets, &ended);
    let tried = until_done(host, || {
        try_record(host, store, now_ms, heartbeat, region, declared)
    });
    let (orders, is_new) = tried.await?;
    if is_new {
        // The heartbeat is taken, whatever comes of this; the next new shard tries again.
        let _ = grow_around(store, now_ms, heartbeat, &region_buckets).await;
    }
    Ok(orders)
}

/// Records a heartbeat, of a region with these buckets in which the sessions of these players end;
/// whether its shard is new. None inside when somebody else was faster.
async fn try_record<H: Entropy + Timer, S: Store>(
    host: &H,
    store: &S,
    now_ms: u64,
    heartbeat: &Heartbeat,
    (buckets, ended): (&Held<Buckets>, &StoredEnded),
    declared: &impl AsyncFn(&ShardId) -> Result<Option<Terms>, Refusal>,
) -> Result<Option<(Orders, bool)>, Refusal> {
    let known = known(store, now_ms, heartbeat, buckets.value).await?;
    let old = known.old.as_ref().map(|found| &found.held.value);
    let kept = old.and_then(|old| old.terms_of(heartbeat));
    let is_kept = kept.is_some();
    let terms = match kept {
        Some(terms) => terms,
        None => registration::terms(store, now_ms, &heartbeat.shard, declared).await?,
    };
    terms.check(heartbeat)?;
    let mut orders = Orders {
        draining: old.is_some_and(|old| old.record.draining),
        pending: Vec::new(),
        ended: Vec::new(),
        moved: Vec::new(),
    };
    match old.map(|old| old.order(now_ms, heartbeat)) {
        None | Some(Order::Later) => {}
        Some(Order::NotLater) => return Ok(Some((orders, false))),
        Some(Order::Over) => return Err(is_over()),
    }
    let told_ms = old.map_or(0, |old| old.told_ms);
    let (untold, told_ms) = ended.since(told_ms, &heartbeat.taken);
    orders.ended = untold;
    let mut new = StoredShard {
        record: ShardRecord {
            heartbeat: heartbeat.clone(),
            seen_at_ms: now_ms,
            draining: orders.draining,
            silent_at_ms: None,
        },
        placed_before: known.placed,
        indexed_until_ms: old.map_or(0, |old| old.indexed_until_ms),
        pending: old.map_or_else(Vec::new, |old| old.pending_after(heartbeat)),
        told_ms,
        terms: Some(terms),
        over: old.map_or_else(Vec::new, |old| old.over_after(now_ms, heartbeat)),
        told_moves_until_ms: 0,
        told_moves_to: String::new(),
    };
    orders.moved = moved::to_tell(store, now_ms, old, &mut new).await?;
    if known.moves() || new.indexed_until_ms < now_ms + INDEX_TTL_MS / 2 {
        new.indexed_until_ms = now_ms + INDEX_TTL_MS;
        // The index first: it may be without a record, and a record says that it is there.
        write_index(store, now_ms, &new, known.bucket).await?;
    }
    if unless_lost(known.replace(store, now_ms, &new).await)?.is_none() {
        return Ok(None);
    }
    if !is_kept {
        // Whoever revokes a shard writes that down and then removes what is here. We wrote what is
        // here, and look again what is written down: one of us sees the other.
        let terms = registration::terms(store, now_ms, &heartbeat.shard, declared).await?;
        if let Err(refusal) = terms.check(heartbeat) {
            remove(host, store, now_ms, &heartbeat.shard).await?;
            return Err(refusal);
        }
    }
    orders.pending = new.pending;
    Ok(Some((orders, known.old.is_none())))
}

/// Has no key of a shard count that is of an earlier epoch than this, or than the one after that of
/// its last heartbeat where none is given, and forgets it: its rooms have another home from their
/// next joins on. Returns the least epoch that then holds.
///
/// # Errors
/// `unknown-relay` when no epoch is given and the shard has not reported for ten minutes;
/// `conflict`; `store-unavailable`.
pub async fn revoke_shard<H: Entropy + Timer, S: Store>(
    host: &H,
    store: &S,
    now_ms: u64,
    shard: &ShardId,
    least_epoch: Option<u8>,
) -> Result<u8, Refusal> {
    let least_epoch = match least_epoch {
        Some(least_epoch) => least_epoch,
        None => {
            let found = self::shard(store, now_ms, shard).await?;
            found.ok_or_else(unknown)?.heartbeat.epoch.saturating_add(1)
        }
    };
    let least_epoch = raise_epoch(host, store, now_ms, shard, least_epoch).await?;
    let found = self::shard(store, now_ms, shard).await?;
    if found.is_some_and(|found| found.heartbeat.epoch < least_epoch) {
        remove(host, store, now_ms, shard).await?;
    }
    Ok(least_epoch)
}

/// Forgets what a shard said last.
async fn remove<H: Entropy + Timer, S: Store>(
    host: &H,
    store: &S,
    now_ms: u64,
    shard: &ShardId,
) -> Result<(), Refusal> {
    let Some((region, hint)) = address_of(store, now_ms, shard).await? else {
        return Ok(());
    };
    until_done(host, || async {
        let Some(found) = find(store, now_ms, &region, shard, hint).await? else {
            return Ok(Some(()));
        };
        let partition = bucket_partition(&region, found.bucket);
        let sort = record_sort(shard);
        let delete = Delete {
            key: Key::new(&partition, &sort),
            version: Some(found.held.version),
        };
        Ok(unless_lost(store.delete(now_ms, delete).await)?)
    })
    .await
}

fn unknown() -> Refusal {
    Refusal::new(
        ProblemKind::UnknownRelay,
        "No relay shard of this name has reported within ten minutes; see GET /v1/relays.",
    )
}

/// Keeps a command for a run of a shard that may not have it, to be handed over in the replies to
/// its heartbeats until one says that it is taken. Nothing is kept for a run that is over.
///
/// # Errors
/// `overloaded` when too many wait already; `conflict`; `store-unavailable`.
pub(crate) async fn keep_pending<H: Entropy + Timer, S: Store>(
    host: &H,
    store: &S,
    now_ms: u64,
    (of, boot): (ShardAt<'_>, BootId),
    command: &PendingCommand,
) -> Result<(), Refusal> {
    until_done(host, || async {
        let found = find(store, now_ms, of.region, of.shard, of.bucket).await?;
        let of_run = found.filter(|found| found.held.value.record.heartbeat.boot == boot);
        let Some(mut found) = of_run else {
            return Ok(Some(()));
        };
        let pending = &mut found.held.value.pending;
        if pending.iter().any(|known| known.nonce == command.nonce) {
            return Ok(Some(()));
        }
        if pending.len() >= MAX_PENDING_COMMANDS {
            return Err(Refusal::new(
                ProblemKind::Overloaded,
                "It is written down and holds from the next join on. The room's relay does not \
                 answer; send the request again in a few seconds.",
            )
            .retry_after(2));
        }
        pending.push(command.clone());
        Ok(unless_lost(rewrite(store, now_ms, &found).await)?)
    })
    .await
}

/// Notes that a shard, as it was found, does not answer: until its next heartbeat it counts as
/// gone. None when that has come already.
pub(super) async fn mark_silent<S: Store>(
    store: &S,
    now_ms: u64,
    found: &Found,
) -> Result<Option<()>, StoreError> {
    let mut silent = found.clone();
    silent.held.value.record.silent_at_ms = Some(now_ms);
    unless_lost(rewrite(store, now_ms, &silent).await)
}

fn is_over() -> Refusal {
    Refusal::new(
        ProblemKind::Conflict,
        "A later run of this shard has reported: end this process, or give it another name.",
    )
}

/// Writes a changed record where it was found. Its heartbeat is as old as before, so it lives no
/// longer.
async fn rewrite<S: Store>(
    store: &S,
    now_ms: u64,
    Found { held, bucket }: &Found,
) -> Result<(), StoreError> {
    let heartbeat = &held.value.record.heartbeat;
    let partition = bucket_partition(&heartbeat.region, *bucket);
    let sort = record_sort(&heartbeat.shard);
    let (key, expires) = (Key::new(&partition, &sort), held.expires_at_ms);
    let written = items::put(store, now_ms, key, &held.value, expires, held.over()).await;
    written.map(drop)
}

/// What a heartbeat finds of its shard.
struct Known {
    /// Where its record belongs.
    bucket: u32,
    /// The placement counter there.
    placed: i64,
    /// Its record, which may be in another bucket.
    old: Option<Found>,
}

async fn known<S: Store>(
    store: &S,
    now_ms: u64,
    heartbeat: &Heartbeat,
    buckets: Buckets,
) -> Result<Known, StoreError> {
    let (region, shard) = (&heartbeat.region, &heartbeat.shard);
    let bucket = bucket_of(shard, buckets.at(now_ms));
    let partition = bucket_partition(region, bucket);
    let (placed, record) = (placed_sort(shard), record_sort(shard));
    let mut known = Known {
        bucket,
        placed: 0,
        old: None,
    };
    // Nothing sorts between the two.
    for item in items::range(store, now_ms, &partition, (&placed, &record), 2).await? {
        if item.sort == placed {
            known.placed = counter_value(&item.value);
        } else if item.sort == record {
            let held = Held::read(&partition, &item)?;
            known.old = Some(Found { held, bucket });
        }
    }
    if known.old.is_none() {
        for other in buckets.of(shard) {
            if other != bucket {
                let found = read(store, now_ms, region, shard, other).await?;
                known.old = later(known.old, found);
            }
        }
        // By another clock it has moved already, and does not move back.
        if let Some(old) = &known.old
            && old.bucket == buckets.newest(shard)
        {
            (known.bucket, known.placed) = (old.bucket, old.held.value.placed_before);
        }
    }
    Ok(known)
}

impl Known {
    fn moves(&self) -> bool {
        let mut old = self.old.iter();
        old.any(|old| old.bucket != self.bucket)
    }

    /// Puts the record where it belongs, in place of the one that was found.
    async fn replace<S: Store>(
        &self,
        store: &S,
        now_ms: u64,
        new: &StoredShard,
    ) -> Result<(), StoreError> {
        let region = &new.record.heartbeat.region;
        let sort = record_sort(&new.record.heartbeat.shard);
        let partition = bucket_partition(region, self.bucket);
        let (key, expires) = (Key::new(&partition, &sort), Some(now_ms + SHARD_TTL_MS));
        match &self.old {
            Some(old) if old.bucket != self.bucket => {
                let partition = bucket_partition(region, old.bucket);
                let from = (Key::new(&partition, &sort), &old.held);
                items::shift(store, now_ms, from, key, new, expires).await
            }
            old => {
                let over = Over::read(old.as_ref().map(|old| &old.held));
                let written = items::put(store, now_ms, key, new, expires, over).await;
                written.map(drop)
            }
        }
    }
}

/// What is known of a shard, which may not have been heard of for a while. None when it is
/// forgotten.
pub(crate) async fn last_seen<S: Store>(
    store: &S,
    now_ms: u64,
    at: ShardAt<'_>,
) -> Result<Option<ShardRecord>, Refusal> {
    let found = find(store, now_ms, at.region, at.shard, at.bucket).await?;
    Ok(found.map(|found| found.held.value.record))
}

/// Has the region get more buckets when that of a new shard is crowded.
async fn grow_around<S: Store>(
    store: &S,
    now_ms: u64,
    heartbeat: &Heartbeat,
    buckets: &Held<Buckets>,
) -> Result<(), StoreError> {
    let bucket = bucket_of(&heartbeat.shard, buckets.value.at(now_ms));
    let around = loads(store, now_ms, &heartbeat.region, bucket).await?;
    grow(store, now_ms, &heartbeat.region, buckets, around.len()).await
}

/// Sets the operator's drain flag of a shard; it stays until it is set again or the shard is
/// forgotten.
///
/// # Errors
/// `unknown-relay`, `conflict`, or `store-unavailable`.
pub async fn set_draining<H: Entropy + Timer, S: Store>(
    host: &H,
    store: &S,
    now_ms: u64,
    shard: &ShardId,
    draining: bool,
) -> Result<ShardRecord, Refusal> {
    let (region, hint) = address_of(store, now_ms, shard)
        .await?
        .ok_or_else(unknown)?;
    until_done(host, || async {
        let found = find(store, now_ms, &region, shard, hint).await?;
        let mut found = found.ok_or_else(unknown)?;
        if found.held.value.record.draining != draining {
            found.held.value.record.draining = draining;
            if !draining {
                // Those whom it had not asked yet follow those who have gone.
                found.held.value.told_moves_until_ms = now_ms + moved::TOLD_FOR_MS;
            }
            if unless_lost(rewrite(store, now_ms, &found).await)?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(found.held.value.record))
    })
    .await
}

/// What is known of a shard, or none when it has not reported for ten minutes.
///
/// # Errors
/// `store-unavailable`.
pub async fn shard<S: Store>(
    store: &S,
    now_ms: u64,
    shard: &ShardId,
) -> Result<Option<ShardRecord>, Refusal> {
    let Some((region, hint)) = address_of(store, now_ms, shard).await? else {
        return Ok(None);
    };
    let found = find(store, now_ms, &region, shard, hint).await?;
    Ok(found.map(|found| found.held.value.record))
}

/// The shards of one region, by id; of each bucket at most [`MAX_LISTED_SHARDS`]. Reads all of it.
///
/// # Errors
/// `store-unavailable`.
pub async fn shards<S: Store>(
    store: &S,
    now_ms: u64,
    region: &RegionName,
) -> Result<Vec<ListedShard>, Refusal> {
    let buckets = buckets(store, now_ms, region).await?.value.all();
    listed(store, now_ms, region, buckets).await
}

/// The shards of some buckets, by id.
pub(super) async fn listed<S: Store>(
    store: &S,
    now_ms: u64,
    region: &RegionName,
    buckets: impl IntoIterator<Item = u32>,
) -> Result<Vec<ListedShard>, Refusal> {
    let mut listed = BTreeMap::<ShardId, ListedShard>::new();
    for bucket in buckets {
        for ShardLoad { record, .. } in loads(store, now_ms, region, bucket).await? {
            let live = is_live(&record, now_ms);
            let shard = ListedShard { record, live };
            // Two where releases run side by side; the later counts.
            let seen_at_ms = shard.record.seen_at_ms;
            let known = listed.get(&shard.record.heartbeat.shard);
            if known.is_none_or(|known| known.record.seen_at_ms < seen_at_ms) {
                listed.insert(shard.record.heartbeat.shard.clone(), shard);
            }
        }
    }
    Ok(listed.into_values().collect())
}

/// The shards of all regions, by region and id.
///
/// # Errors
/// `store-unavailable`.
pub async fn shards_everywhere<S: Store>(
    store: &S,
    now_ms: u64,
) -> Result<Vec<ListedShard>, Refusal> {
    let mut all = Vec::new();
    for region in region_names(store, now_ms).await? {
        all.extend(shards(store, now_ms, &region).await?);
    }
    Ok(all)
}

/// The regions that have shards.
pub(super) async fn region_names<S: Store>(
    store: &S,
    now_ms: u64,
) -> Result<Vec<RegionName>, StoreError> {
    let query = Query::all(REGIONS, MAX_REGIONS);
    let found = store.query(now_ms, query).await?;
    let name = |item: &Item| items::name(Key::new(REGIONS, &item.sort), &item.sort);
    found.iter().map(name).collect()
}

const REGIONS: &str = "regions";
const REGION_SORT: &str = "region";

/// Has every shard of every region end what sessions a player has, once his tokens are revoked.
///
/// # Errors
/// `overloaded` beyond [`super::MAX_ENDED`]; `conflict`; `store-unavailable`.
pub async fn end_sessions<H: Entropy + Timer, S: Store>(
    host: &H,
    store: &S,
    now_ms: u64,
    player: &PlayerId,
) -> Result<(), Refusal> {
    for region in region_names(store, now_ms).await? {
        let partition = count_partition(&region);
        let key = Key::new(&partition, ended::SORT);
        until_done(host, || async {
            let held: Held<StoredEnded> = items::get(store, now_ms, key).await?.unwrap_or_default();
            let mut new = held.value.clone();
            new.add(now_ms, player)?;
            let expires_at_ms = new.expires_at_ms();
            let put = items::put(store, now_ms, key, &new, expires_at_ms, held.over()).await;
            Ok(unless_lost(put)?.map(drop))
        })
        .await?;
    }
    Ok(())
}

/// Where a shard's record was when its index was written.
async fn address_of<S: Store>(
    store: &S,
    now_ms: u64,
    shard: &ShardId,
) -> Result<Option<(RegionName, u32)>, StoreError> {
    let partition = shard_partition(shard);
    let key = Key::new(&partition, REGION_SORT);
    let item = store.get(now_ms, key).await?;
    let address = |item: Item| {
        let text = String::from_utf8_lossy(&item.value);
        items::name::<Address>(key, &text).map(|Address(address)| address)
    };
    item.map(address).transpose()
}

/// Apart from the record: they may be written in different regions ([`crate::homes`]), and so not
/// at once.
async fn write_index<S: Store>(
    store: &S,
    now_ms: u64,
    stored: &StoredShard,
    bucket: u32,
) -> Result<(), StoreError> {
    let region = &stored.record.heartbeat.region;
    let address = address(region, bucket);
    let partition = shard_partition(&stored.record.heartbeat.shard);
    let index = |key, value| {
        Write::Put(Put {
            key,
            value,
            expires_at_ms: Some(stored.indexed_until_ms),
            condition: Condition::Always,
        })
    };
    let writes = [
        index(Key::new(&partition, REGION_SORT), address.as_bytes()),
        index(Key::new(REGIONS, region.as_str()), b""),
    ];
    store.commit(now_ms, &writes).await
}
