use std::cmp::Reverse;

use sha2::{Digest, Sha256};
use wire::fleet::{Home, LeftShard, RefusedRoom, ShardRecord, ShardState};
use wire::problem::ProblemKind;
use wire::{RegionName, RoomKey, RoomName, ShardId};

use super::shard::{SHARD_TTL_MS, ShardLoad, count_placement, is_live, keeps_rooms, loads, read};
use crate::Refusal;
use crate::change::{unless_lost, until_done};
use crate::items::{self, Held, Over};
use crate::ports::{Entropy, Timer};
use crate::sanctions::{self, Sanctions};
use crate::store::{Key, Store, StoreError};

/// How long a home is remembered without a join, in milliseconds; a join renews it after half of
/// that.
pub const HOME_TTL_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// Most shards of [`Home::left`].
const MAX_LEFT: usize = 4;
/// Participants that a room is expected to bring, until the shard's next heartbeat tells.
const EXPECTED_PARTICIPANTS: u64 = 4;

/// A room's home and the shard that it is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Where the room lives.
    pub home: Home,
    /// The shard as of its last heartbeat.
    pub shard: ShardRecord,
}

/// A room that can be joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joinable {
    /// Where it is.
    pub placement: Placement,
    /// What holds against players there.
    pub sanctions: Sanctions,
}

/// The home of a room, if it has one; it may be on a shard that is gone.
///
/// # Errors
/// `store-unavailable`.
pub async fn home<S: Store>(
    store: &S,
    now_ms: u64,
    room: &RoomName,
) -> Result<Option<Home>, Refusal> {
    Ok(stored(store, now_ms, room).await?.map(|held| held.value))
}

/// Where a room's participants are now; none when it has no home or its shard is not live. Reads
/// two items and changes nothing.
///
/// # Errors
/// `store-unavailable`.
pub async fn placement<S: Store>(
    store: &S,
    now_ms: u64,
    room: &RoomName,
) -> Result<Option<Placement>, Refusal> {
    let Some(home) = home(store, now_ms, room).await? else {
        return Ok(None);
    };
    let shard = last_seen(store, now_ms, (&home.region, &home.shard)).await?;
    Ok(shard
        .filter(|record| is_live(record, now_ms))
        .map(|shard| Placement { home, shard }))
}

/// The shards that a room has left a short while ago when it leaves `home` now.
fn left(home: &Home, now_ms: u64) -> Vec<LeftShard> {
    let last = LeftShard {
        region: home.region.clone(),
        shard: home.shard.clone(),
        at_ms: now_ms,
    };
    let may_carry =
        |left: &&LeftShard| left.at_ms + SHARD_TTL_MS > now_ms && left.shard != home.shard;
    let before = home.left.iter().filter(may_carry).cloned();
    std::iter::once(last).chain(before).take(MAX_LEFT).collect()
}

/// What is known of a shard of a room, which may not have been heard of for a while and still
/// carry some of its participants. None when it is forgotten.
pub(crate) async fn last_seen<S: Store>(
    store: &S,
    now_ms: u64,
    (region, shard): (&RegionName, &ShardId),
) -> Result<Option<ShardRecord>, Refusal> {
    let stored = read(store, now_ms, region, shard).await?;
    Ok(stored.map(|held| held.value.record))
}

/// The home of a room for a new session. A room without a home, or whose shard is not live or
/// drains, or is full and has refused the room while it was not there, gets one: the least loaded
/// shard that takes rooms, in `wanted` for a new room, and for one that moves in its own region if
/// any is left there. Concurrent callers agree, because the home is written by compare-and-swap
/// and whoever loses reads again.
///
/// # Errors
/// `no-live-relay`, also when the room's shard is full and the room is there (its participants
/// hear each other, so it stays); `conflict`; `store-unavailable`, also when what is kept of the
/// room or its shard cannot be read.
pub async fn home_of<H: Entropy + Timer, S: Store>(
    host: &H,
    store: &S,
    now_ms: u64,
    room: &RoomName,
    wanted: &RegionName,
) -> Result<Joinable, Refusal> {
    home_for(host, store, now_ms, room, wanted, 1).await
}

/// As [`home_of`], for a room that so many players are about to join: on a shard that has room for
/// all of them, if there is one.
///
/// # Errors
/// As [`home_of`].
pub async fn home_for<H: Entropy + Timer, S: Store>(
    host: &H,
    store: &S,
    now_ms: u64,
    room: &RoomName,
    wanted: &RegionName,
    players: u32,
) -> Result<Joinable, Refusal> {
    until_done(host, || async {
        let (known, sanctions) = with_sanctions(store, now_ms, room).await?;
        if let Some(known) = &known
            && let Some(shard) = stays_on(store, now_ms, &known.value).await?
        {
            renew(store, now_ms, known).await?;
            let home = known.value.clone();
            let placement = Placement { home, shard };
            return Ok(Some(Joinable {
                placement,
                sanctions,
            }));
        }
        let old = known.as_ref().map(|held| &held.value);
        let shard = choose(store, now_ms, (room, players), old, wanted).await?;
        let home = Home {
            room: room.clone(),
            region: shard.heartbeat.region.clone(),
            shard: shard.heartbeat.shard.clone(),
            epoch: old.map_or(0, |home| home.epoch) + 1,
            left: old.map_or_else(Vec::new, |home| left(home, now_ms)),
        };
        let over = Over::read(known.as_ref());
        if unless_lost(put(store, now_ms, &home, over).await)?.is_none() {
            return Ok(None);
        }
        // A count that is lost makes the next placement a little worse, nothing else.
        let rooms = u64::from(players).div_ceil(EXPECTED_PARTICIPANTS).max(1);
        let _ = count_placement(store, now_ms, &shard, rooms).await;
        // Whoever sanctions a player writes that down and then looks where the room is. We wrote
        // where it is, and look again what is written down: one of us sees the other.
        let (_, sanctions) = with_sanctions(store, now_ms, room).await?;
        let placement = Placement { home, shard };
        Ok(Some(Joinable {
            placement,
            sanctions,
        }))
    })
    .await
}

/// The shard of a home, if the room stays there.
async fn stays_on<S: Store>(
    store: &S,
    now_ms: u64,
    home: &Home,
) -> Result<Option<ShardRecord>, Refusal> {
    let Some(stored) = read(store, now_ms, &home.region, &home.shard).await? else {
        return Ok(None);
    };
    let record = stored.value.record;
    if !keeps_rooms(&record, now_ms) {
        return Ok(None);
    }
    match refused(&record, &home.room) {
        // A shard that is full says so to the client, and of the room to us.
        None => Ok(Some(record)),
        Some(RefusedRoom { occupied: true, .. }) => Err(no_live_relay(
            "The room's relay is full; try again in a moment.",
        )),
        // Nobody is left behind there.
        Some(RefusedRoom {
            occupied: false, ..
        }) => Ok(None),
    }
}

/// Whether the shard, which is full, lets nobody more into the room.
fn refused(record: &ShardRecord, room: &RoomName) -> Option<RefusedRoom> {
    let heartbeat = &record.heartbeat;
    if heartbeat.state != ShardState::Full || heartbeat.refused.is_empty() {
        return None;
    }
    let key = RoomKey::of(room);
    let mut refused = heartbeat.refused.iter().copied();
    refused.find(|refused| refused.room == key)
}

const SORT: &str = "home";

fn partition(room: &RoomName) -> String {
    format!("home#{room}")
}

async fn stored<S: Store>(
    store: &S,
    now_ms: u64,
    room: &RoomName,
) -> Result<Option<Held<Home>>, StoreError> {
    items::get(store, now_ms, Key::new(&partition(room), SORT)).await
}

/// The home of a room and what holds against players there, in one query.
pub(crate) async fn with_sanctions<S: Store>(
    store: &S,
    now_ms: u64,
    room: &RoomName,
) -> Result<(Option<Held<Home>>, Sanctions), StoreError> {
    let partition = partition(room);
    let between = (SORT, sanctions::SORT);
    let found = items::range(store, now_ms, &partition, between, 2).await?;
    let (mut home, mut held) = (None, Sanctions::default());
    for item in &found {
        match item.sort.as_str() {
            SORT => home = Some(Held::read(&partition, item)?),
            sanctions::SORT => held = Held::read(&partition, item)?.value,
            _ => {}
        }
    }
    Ok((home, held))
}

async fn put<S: Store>(store: &S, now_ms: u64, home: &Home, over: Over) -> Result<(), StoreError> {
    let partition = partition(&home.room);
    let (key, expires) = (Key::new(&partition, SORT), Some(now_ms + HOME_TTL_MS));
    items::put(store, now_ms, key, home, expires, over).await?;
    Ok(())
}

/// Writes the home again when half of its time is over. Losing a race is fine: somebody else
/// wrote it.
async fn renew<S: Store>(store: &S, now_ms: u64, held: &Held<Home>) -> Result<(), StoreError> {
    let left_ms = held.expires_at_ms.map(|at| at.saturating_sub(now_ms));
    if left_ms.is_none_or(|left_ms| left_ms > HOME_TTL_MS / 2) {
        return Ok(());
    }
    unless_lost(put(store, now_ms, &held.value, held.over()).await)?;
    Ok(())
}

/// The shard for a room that has `old` as its home or none.
async fn choose<S: Store>(
    store: &S,
    now_ms: u64,
    room: (&RoomName, u32),
    old: Option<&Home>,
    wanted: &RegionName,
) -> Result<ShardRecord, Refusal> {
    let first = old.map_or(wanted, |home| &home.region);
    if let Some(shard) = least_loaded(&loads(store, now_ms, first).await?, now_ms, room) {
        return Ok(shard);
    }
    if first != wanted
        && let Some(shard) = least_loaded(&loads(store, now_ms, wanted).await?, now_ms, room)
    {
        return Ok(shard);
    }
    Err(no_live_relay(
        "No relay of this region takes sessions now; try again in a moment or name another region.",
    ))
}

/// The least loaded of the shards that take rooms, and all the players of this one if any does;
/// equal ones are ordered by a hash of shard and room, so that callers who see the same agree and
/// rooms spread.
fn least_loaded(
    loads: &[ShardLoad],
    now_ms: u64,
    (room, players): (&RoomName, u32),
) -> Option<ShardRecord> {
    let of_those_that_take = |players: u32| {
        loads
            .iter()
            .filter(|load| {
                let heartbeat = &load.record.heartbeat;
                let expected = expected_load(load) + u64::from(players);
                keeps_rooms(&load.record, now_ms)
                    && heartbeat.state == ShardState::Open
                    && expected <= u64::from(heartbeat.capacity)
            })
            .min_by_key(|load| {
                let heartbeat = &load.record.heartbeat;
                // Thousandths of the capacity, which the filter keeps above zero.
                let share = expected_load(load) * 1000 / u64::from(heartbeat.capacity);
                (share, Reverse(rank(room, &heartbeat.shard)))
            })
    };
    let found = of_those_that_take(players.max(1)).or_else(|| of_those_that_take(1));
    found.map(|load| load.record.clone())
}

fn expected_load(load: &ShardLoad) -> u64 {
    u64::from(load.record.heartbeat.load.participants)
        + u64::from(load.placed_since) * EXPECTED_PARTICIPANTS
}

fn rank(room: &RoomName, shard: &ShardId) -> [u8; 32] {
    let hash = Sha256::new().chain_update(room.as_str()).chain_update([0]);
    hash.chain_update(shard.as_str()).finalize().into()
}

fn no_live_relay(detail: &'static str) -> Refusal {
    Refusal::new(ProblemKind::NoLiveRelay, detail)
}
