use std::cmp::Reverse;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wire::fleet::{Heartbeat, Home, LARGE_ROOM, LeftShard, RefusedRoom, ShardRecord, ShardState};
use wire::problem::ProblemKind;
use wire::{Hall, RegionName, RoomKey, RoomName, ShardId};

use super::bucket::{Found, buckets, drawn, find};
use super::hall::hall_of;
use super::moved;
use super::placed::{ShardLoad, count_placement, loads};
use super::record::{SHARD_TTL_MS, is_leaving, is_live};
use super::shard::{ShardAt, mark_silent};
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
    /// The world channel of those who are there.
    pub hall: Hall,
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
    Ok(stored(store, now_ms, room).await?.map(|stored| stored.home))
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
    let Some(stored) = stored(store, now_ms, room).await? else {
        return Ok(None);
    };
    let at = stored.at();
    let found = find(store, now_ms, at.region, at.shard, at.bucket).await?;
    let live = found.filter(|found| is_live(&found.held.value.record, now_ms));
    Ok(live.map(|found| Placement {
        hall: hall_of(&stored.home.region, found.bucket),
        home: stored.home,
        shard: found.held.value.record,
    }))
}

/// What [`home_of`] goes by, besides what the store says.
pub trait Evidence {
    /// The shard that whoever joins has just lost, as he says: it is asked before he is sent there
    /// again.
    fn lost(&self) -> Option<&ShardId>;

    /// Asks this run of a shard, for a room of its own.
    async fn ask(&self, shard: &Heartbeat, room: &RoomName) -> Answer;
}

/// What came of asking a shard whether it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It answers.
    Here,
    /// It does not.
    Silent,
    /// It was not asked: what is known of its heartbeats has to do.
    NotAsked,
}

/// Heartbeats alone: a shard of which none came for a while is gone.
#[derive(Debug, Clone, Copy)]
pub struct Hearsay;

impl Evidence for Hearsay {
    fn lost(&self) -> Option<&ShardId> {
        None
    }

    async fn ask(&self, _: &Heartbeat, _: &RoomName) -> Answer {
        Answer::NotAsked
    }
}

/// The home of a room for a new session. A room without a home, or whose shard drains, or is full
/// and has refused the room while it was not there, gets one: the least loaded shard that takes
/// rooms, in `wanted` for a new room, and for one that moves in its own region if any is left
/// there. So does one whose shard is gone: its heartbeats are missing, and it does not answer
/// either, since heartbeats are missing too when it is the store that was away. Concurrent callers
/// agree, because the home is written by compare-and-swap and whoever loses reads again.
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
    evidence: &impl Evidence,
) -> Result<Joinable, Refusal> {
    settle(host, store, now_ms, (room, 1), wanted, evidence).await
}

/// As [`home_of`], for a room that so many players are about to join, by heartbeats alone: on a
/// shard that has room for all of them, if there is one.
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
    settle(host, store, now_ms, (room, players), wanted, &Hearsay).await
}

async fn settle<H: Entropy + Timer, S: Store>(
    host: &H,
    store: &S,
    now_ms: u64,
    (room, players): (&RoomName, u32),
    wanted: &RegionName,
    evidence: &impl Evidence,
) -> Result<Joinable, Refusal> {
    until_done(host, || async {
        let (known, sanctions) = with_sanctions(store, now_ms, room).await?;
        let mut leaves = None;
        if let Some(known) = &known {
            match stays(host, store, now_ms, &known.value, evidence).await? {
                Stays::Here(shard, bucket) => {
                    renew(store, now_ms, known, bucket).await?;
                    let home = known.value.home.clone();
                    let hall = hall_of(&home.region, bucket);
                    let placement = Placement {
                        home,
                        shard: *shard,
                        hall,
                    };
                    return Ok(Some(Joinable {
                        placement,
                        sanctions,
                    }));
                }
                Stays::AskAgain => return Ok(None),
                Stays::Not(left) => leaves = Some(left),
            }
        }
        let old = known.as_ref().map(|held| &held.value.home);
        let of_old = leaves.as_ref().map_or(0, |left| left.participants(room));
        let players = players.max(of_old);
        let chosen = choose(host, store, now_ms, (room, players), old, wanted).await?;
        if let (Some(old), Some(left)) = (old, &leaves)
            && left.may_come_back()
        {
            moved::note(store, now_ms, &old.shard, room, old.epoch + 1).await?;
        }
        let shard = &chosen.record;
        let home = Home {
            room: room.clone(),
            region: shard.heartbeat.region.clone(),
            shard: shard.heartbeat.shard.clone(),
            epoch: old.map_or(0, |home| home.epoch) + 1,
            left: old.map_or_else(Vec::new, |home| left(home, now_ms)),
        };
        let over = Over::read(known.as_ref());
        let stored = StoredHome {
            home,
            bucket: chosen.bucket,
        };
        if unless_lost(put(store, now_ms, &stored, over).await)?.is_none() {
            return Ok(None);
        }
        // A count that is lost makes the next placement a little worse, nothing else.
        let rooms = u64::from(players).div_ceil(EXPECTED_PARTICIPANTS).max(1);
        let _ = count_placement(store, now_ms, &chosen, rooms).await;
        // Whoever sanctions a player writes that down and then looks where the room is. We wrote
        // where it is, and look again what is written down: one of us sees the other.
        let (_, sanctions) = with_sanctions(store, now_ms, room).await?;
        let placement = Placement {
            hall: hall_of(&stored.home.region, stored.bucket),
            home: stored.home,
            shard: chosen.record,
        };
        Ok(Some(Joinable {
            placement,
            sanctions,
        }))
    })
    .await
}

/// Whether a room stays on its shard.
enum Stays {
    /// It does, there and in this bucket.
    Here(Box<ShardRecord>, u32),
    /// What is known of the shard changed in this moment.
    AskAgain,
    /// It does not.
    Not(Left),
}

/// What is known of a shard that a room leaves.
struct Left {
    /// None when it has been forgotten.
    record: Option<Box<ShardRecord>>,
    /// It ends, or nobody of the room is there.
    is_empty: bool,
}

impl Left {
    /// Whether participants may be there still, when it is heard of again.
    fn may_come_back(&self) -> bool {
        !self.is_empty
    }

    /// How many the room may bring along: as the shard said last of a large one, else the mean.
    fn participants(&self, room: &RoomName) -> u32 {
        let Some(record) = &self.record else {
            return 1;
        };
        let (heartbeat, key) = (&record.heartbeat, RoomKey::of(room));
        let mut large = heartbeat.large.iter();
        let of_large = large.find(|large| large.room == key);
        let mean = || {
            let mean = heartbeat
                .load
                .participants
                .checked_div(heartbeat.load.rooms);
            mean.unwrap_or(0).clamp(1, LARGE_ROOM)
        };
        of_large.map_or_else(mean, |large| large.participants)
    }
}

/// Whether a room stays where its home is.
async fn stays<H: Timer, S: Store>(
    host: &H,
    store: &S,
    now_ms: u64,
    StoredHome { home, bucket }: &StoredHome,
    evidence: &impl Evidence,
) -> Result<Stays, Refusal> {
    let not = |record, is_empty| Ok(Stays::Not(Left { record, is_empty }));
    let found = find(store, now_ms, &home.region, &home.shard, *bucket).await?;
    let Some(found) = found else {
        return not(None, false);
    };
    let leaving = is_leaving(&found.held.value.record);
    let there = match leaving {
        true => Some(false),
        false => is_there(host, store, now_ms, &found, &home.room, evidence).await?,
    };
    let record = Box::new(found.held.value.record);
    match there {
        None => return Ok(Stays::AskAgain),
        Some(false) => {
            let is_ending = record.heartbeat.state == ShardState::Stopping;
            return not(Some(record), is_ending);
        }
        Some(true) => {}
    }
    match refused(&record, &home.room) {
        // A shard that is full says so to the client, and of the room to us.
        None => Ok(Stays::Here(record, found.bucket)),
        Some(RefusedRoom { occupied: true, .. }) => Err(no_live_relay(
            "The room's relay is full; try again in a moment.",
        )),
        // Nobody is left behind there.
        Some(RefusedRoom {
            occupied: false, ..
        }) => not(Some(record), true),
    }
}

/// After how long a heartbeat is missing, in milliseconds: one comes each two seconds.
const MISSED_MS: u64 = 2_500;
/// Whoever loses a shard has heard nothing of it for two seconds, and it says something each: so a
/// heartbeat that is younger than this came after whatever he means.
const SINCE_LOST_MS: u64 = 900;

/// Whether a shard is there; none when a heartbeat of it came meanwhile. One that is not is marked,
/// so that nobody else has to find out.
async fn is_there<H: Timer, S: Store>(
    host: &H,
    store: &S,
    now_ms: u64,
    found: &Found,
    room: &RoomName,
    evidence: &impl Evidence,
) -> Result<Option<bool>, Refusal> {
    let record = &found.held.value.record;
    if record.silent_at_ms.is_some() {
        return Ok(Some(false));
    }
    let age_ms = now_ms.saturating_sub(record.seen_at_ms);
    let is_lost = evidence.lost() == Some(&record.heartbeat.shard) && age_ms >= SINCE_LOST_MS;
    if is_live(record, now_ms) && !is_lost {
        return Ok(Some(true));
    }
    match evidence.ask(&record.heartbeat, room).await {
        Answer::Here => return Ok(Some(true)),
        Answer::NotAsked => return Ok(Some(is_live(record, now_ms))),
        Answer::Silent => {}
    }
    // A shard that we cannot reach may be well for everybody else: then its heartbeat comes.
    if age_ms < MISSED_MS {
        host.sleep(MISSED_MS - age_ms).await;
    }
    Ok(mark_silent(store, now_ms, found).await?.map(|()| false))
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

/// A home as the store keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StoredHome {
    #[serde(flatten)]
    home: Home,
    /// The bucket in which its shard was ([`super::bucket`]). A release from before buckets writes
    /// none, and reads what it knows.
    #[serde(rename = "b", default, skip_serializing_if = "wire::json::is_default")]
    bucket: u32,
}

crate::stored!(home: StoredHome);

impl StoredHome {
    /// Its shard.
    fn at(&self) -> ShardAt<'_> {
        ShardAt {
            region: &self.home.region,
            shard: &self.home.shard,
            bucket: self.bucket,
        }
    }

    /// Every shard that may carry participants of the room: its own, and those that it left a short
    /// while ago.
    pub(crate) fn carriers(&self) -> impl Iterator<Item = ShardAt<'_>> {
        let left = self.home.left.iter().map(|left| ShardAt {
            region: &left.region,
            shard: &left.shard,
            bucket: 0,
        });
        std::iter::once(self.at()).chain(left)
    }
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

const SORT: &str = "home";

fn partition(room: &RoomName) -> String {
    format!("home#{room}")
}

pub(crate) async fn stored<S: Store>(
    store: &S,
    now_ms: u64,
    room: &RoomName,
) -> Result<Option<StoredHome>, StoreError> {
    let held = items::get(store, now_ms, Key::new(&partition(room), SORT)).await?;
    Ok(held.map(|held| held.value))
}

/// The home of a room and what holds against players there, in one query.
pub(crate) async fn with_sanctions<S: Store>(
    store: &S,
    now_ms: u64,
    room: &RoomName,
) -> Result<(Option<Held<StoredHome>>, Sanctions), StoreError> {
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

async fn put<S: Store>(
    store: &S,
    now_ms: u64,
    stored: &StoredHome,
    over: Over,
) -> Result<(), StoreError> {
    let partition = partition(&stored.home.room);
    let (key, expires) = (Key::new(&partition, SORT), Some(now_ms + HOME_TTL_MS));
    items::put(store, now_ms, key, stored, expires, over).await?;
    Ok(())
}

/// Writes the home again when half of its time is over, or its shard was in another bucket. Losing
/// a race is fine: somebody else wrote it.
async fn renew<S: Store>(
    store: &S,
    now_ms: u64,
    held: &Held<StoredHome>,
    bucket: u32,
) -> Result<(), StoreError> {
    let left_ms = held.expires_at_ms.map(|at| at.saturating_sub(now_ms));
    let is_young = left_ms.is_none_or(|left_ms| left_ms > HOME_TTL_MS / 2);
    if is_young && held.value.bucket == bucket {
        return Ok(());
    }
    let stored = StoredHome {
        bucket,
        ..held.value.clone()
    };
    unless_lost(put(store, now_ms, &stored, held.over()).await)?;
    Ok(())
}

/// The shard for a room that has `old` as its home or none.
async fn choose<H: Entropy, S: Store>(
    host: &H,
    store: &S,
    now_ms: u64,
    room: (&RoomName, u32),
    old: Option<&Home>,
    wanted: &RegionName,
) -> Result<ShardLoad, Refusal> {
    let first = old.map_or(wanted, |home| &home.region);
    if let Some(shard) = choose_in(host, store, now_ms, room, first).await? {
        return Ok(shard);
    }
    if first != wanted
        && let Some(shard) = choose_in(host, store, now_ms, room, wanted).await?
    {
        return Ok(shard);
    }
    Err(no_live_relay(
        "No relay of this region takes sessions now; try again in a moment or name another region.",
    ))
}

/// The least loaded of the shards in two buckets that are drawn: nearly as good as of all, since a
/// choice is all it takes, and nobody reads more however large the region is. Where no shard in
/// them takes all the players, as many again are read, up to [`super::bucket::MAX_DRAWN`].
async fn choose_in<H: Entropy, S: Store>(
    host: &H,
    store: &S,
    now_ms: u64,
    (room, players): (&RoomName, u32),
    region: &RegionName,
) -> Result<Option<ShardLoad>, Refusal> {
    let count = buckets(store, now_ms, region).await?.value.at(now_ms);
    let mut seen = Vec::new();
    for (at, bucket) in drawn(host, count).into_iter().enumerate() {
        seen.extend(loads(store, now_ms, region, bucket).await?);
        // After 2, 4, 8 and 16.
        let read = at + 1;
        if read.is_power_of_two()
            && read > 1
            && let Some(found) = least_loaded(&seen, now_ms, room, players.max(1))
        {
            return Ok(Some(found));
        }
    }
    let found = least_loaded(&seen, now_ms, room, players.max(1));
    Ok(found.or_else(|| least_loaded(&seen, now_ms, room, 1)))
}

/// The least loaded of the shards that take rooms and so many players more; equal ones are ordered
/// by a hash of shard and room, so that callers who see the same agree and rooms spread.
fn least_loaded(
    loads: &[ShardLoad],
    now_ms: u64,
    room: &RoomName,
    players: u32,
) -> Option<ShardLoad> {
    let takes = |load: &&ShardLoad| {
        let heartbeat = &load.record.heartbeat;
        let expected = expected_load(load) + u64::from(players);
        is_live(&load.record, now_ms)
            && !is_leaving(&load.record)
            && heartbeat.state == ShardState::Open
            && expected <= u64::from(heartbeat.capacity)
    };
    let found = loads.iter().filter(takes).min_by_key(|load| {
        let heartbeat = &load.record.heartbeat;
        // Thousandths of the capacity, which the filter keeps above zero.
        let share = expected_load(load) * 1000 / u64::from(heartbeat.capacity);
        (share, Reverse(rank(room, &heartbeat.shard)))
    });
    found.cloned()
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
