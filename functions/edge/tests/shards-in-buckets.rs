//! Regions whose shards are in several buckets: growing under way, releases side by side, and
//! what a placement finds.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;

use edge::Metered;
use edge::directory::{self, GROWS_AFTER_MS, Hearsay, MAX_BUCKET_SHARDS, MAX_DRAWN, Placement};
use edge::ports::{Entropy, Timer};
use edge::store::{Condition, Key, Put, Store};
use edge::testing::host::{any_heartbeat, any_terms};
use edge::testing::schedule::{Chance, block_on, interleave, yield_now};
use edge::testing::{FaultyStore, MemoryStore};
use serde_json::Value;
use wire::fleet::{Heartbeat, Load, ShardState};
use wire::problem::ProblemKind;
use wire::{Hall, RegionName, ShardId};

const NOW: u64 = 1_700_000_000_000;
const LARGE: usize = 400;

/// Chance for whoever places, from a seed.
struct Host(Chance);

impl Entropy for Host {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill_with(|| self.0.next() as u8);
    }
}

impl Timer for Host {
    async fn sleep(&self, _ms: u64) {
        yield_now().await;
    }
}

fn region() -> RegionName {
    "eu-1".parse().unwrap()
}

fn name(number: usize) -> ShardId {
    format!("shard-{number}").parse().unwrap()
}

fn heartbeat(shard: usize, sent_at_ms: u64) -> Heartbeat {
    any_heartbeat(name(shard), region(), sent_at_ms)
}

struct Region {
    store: MemoryStore,
    host: Host,
}

impl Region {
    fn new(shards: usize) -> Self {
        let region = Self {
            store: MemoryStore::default(),
            host: Host(Chance::new(1)),
        };
        region.beat_all(shards, NOW);
        region
    }

    /// One whose shards are in as many buckets as so many need, since a moment; the moment.
    fn grown(shards: usize) -> (Self, u64) {
        let region = Self::new(shards);
        let later = NOW + GROWS_AFTER_MS;
        region.beat_all(shards, later);
        (region, later)
    }

    fn beat(&self, heartbeat: &Heartbeat) -> bool {
        let now = heartbeat.sent_at_ms;
        block_on(directory::record_heartbeat(
            &self.host,
            &self.store,
            now,
            heartbeat,
            &any_terms,
        ))
        .unwrap()
        .draining
    }

    fn beat_all(&self, shards: usize, now: u64) {
        (0..shards).for_each(|shard| {
            self.beat(&heartbeat(shard, now));
        });
    }

    fn join(&self, now: u64, room: &str) -> Result<Placement, ProblemKind> {
        self.join_on(&self.store, now, room)
    }

    fn join_on(&self, store: &impl Store, now: u64, room: &str) -> Result<Placement, ProblemKind> {
        let (room, region) = (room.parse().unwrap(), region());
        let joined = directory::home_of(&self.host, store, now, &room, &region, &Hearsay);
        let joined = block_on(joined).map_err(|refusal| refusal.kind);
        joined.map(|joinable| joinable.placement)
    }

    /// Partitions that hold records of shards, and how many each.
    fn buckets(&self) -> Vec<(String, usize)> {
        let mut buckets = std::collections::BTreeMap::<String, usize>::new();
        for (partition, item) in self.store.everything() {
            if item.sort.ends_with("#shard") {
                *buckets.entry(partition).or_default() += 1;
            }
        }
        buckets.into_iter().collect()
    }
}

#[test]
fn a_small_region_has_one_bucket_and_nothing_of_it_is_missed() {
    let region = Region::new(MAX_BUCKET_SHARDS);
    let later = NOW + 2 * GROWS_AFTER_MS;
    region.beat_all(MAX_BUCKET_SHARDS, later);
    let whole = ("region#eu-1".to_owned(), MAX_BUCKET_SHARDS);
    assert_eq!(region.buckets(), [whole]);
    // Every shard gets a room before any gets a second.
    let rooms = (0..MAX_BUCKET_SHARDS).map(|room| region.join(later, &format!("room-{room}")));
    let shards: BTreeSet<ShardId> = rooms.map(|seat| seat.unwrap().home.shard).collect();
    assert_eq!(shards.len(), MAX_BUCKET_SHARDS);
    let meter = Metered::new(&region.store);
    region.join_on(&meter, later, "one-more").unwrap();
    // The home, the count of buckets, and the bucket; then the home, the count of placements, and
    // again what holds against players.
    assert_eq!((meter.calls(), meter.writes()), (6, 2));
}

#[test]
fn rooms_stay_where_they_are_while_shards_move_into_more_buckets() {
    let region = Region::new(LARGE);
    assert_eq!(region.buckets().len(), 1, "it grows a day later");
    let rooms: Vec<String> = (0..LARGE).map(|room| format!("room-{room}")).collect();
    let homes: Vec<Placement> = rooms
        .iter()
        .map(|room| region.join(NOW, room).unwrap())
        .collect();
    let later = NOW + GROWS_AFTER_MS;
    // All have beaten just before; then they move one by one, and rooms are joined in between.
    region.beat_all(LARGE, later - 1);
    for shard in 0..LARGE {
        region.beat(&heartbeat(shard, later));
        let joined = region.join(later, &rooms[shard]).unwrap();
        assert_eq!(joined.home, homes[shard].home, "{shard}");
        assert!(region.join(later, &format!("new-{shard}")).is_ok());
        let listed = block_on(directory::shards(&region.store, later, &self::region())).unwrap();
        assert_eq!(listed.len(), LARGE, "{shard}");
        assert!(listed.iter().all(|shard| shard.live));
    }
    let buckets = region.buckets();
    assert_eq!(buckets.len(), 16, "{buckets:?}");
    let records: usize = buckets.iter().map(|(_, shards)| shards).sum();
    assert_eq!(records, LARGE, "one record of each");
    // The first join of a room learns the bucket; from then on it is two reads again.
    let mut learned = 0;
    for (room, before) in rooms.iter().zip(&homes) {
        let meter = Metered::new(&region.store);
        assert_eq!(
            region.join_on(&meter, later, room).unwrap().home,
            before.home
        );
        learned += meter.writes();
        let meter = Metered::new(&region.store);
        region.join_on(&meter, later, room).unwrap();
        assert_eq!((meter.calls(), meter.reads(), meter.writes()), (2, 2, 0));
    }
    assert!(learned > 0, "some were moved before their room was joined");
    let meter = Metered::new(&region.store);
    let found = block_on(directory::shard(&meter, later, &name(1))).unwrap();
    assert_eq!((found.unwrap().seen_at_ms, meter.reads()), (later, 2));
}

#[test]
fn a_heartbeat_reads_twice_and_writes_once() {
    for (region, now) in [(Region::new(9), NOW), Region::grown(LARGE)] {
        // At first, and after a pause, it is told which rooms moved.
        for n in 1..7 {
            region.beat(&heartbeat(3, now + 2_000 * n));
        }
        let meter = Metered::new(&region.store);
        let now = now + 14_000;
        let next = heartbeat(3, now);
        let beat = directory::record_heartbeat(&region.host, &meter, now, &next, &any_terms);
        block_on(beat).unwrap();
        assert_eq!(
            (meter.calls(), meter.read_units(), meter.write_units()),
            (3, 2, 1)
        );
    }
}

#[test]
fn a_drain_is_not_lost_while_its_shard_moves() {
    let mut moved_first = 0;
    for seed in 0..100 {
        let region = Region::new(MAX_BUCKET_SHARDS + 1);
        let later = NOW + GROWS_AFTER_MS;
        region.beat_all(MAX_BUCKET_SHARDS + 1, later - 1);
        let store = FaultyStore::new(region.store.clone(), seed, 0);
        let (host, shard) = (&region.host, name(seed as usize % MAX_BUCKET_SHARDS));
        let beat = heartbeat(seed as usize % MAX_BUCKET_SHARDS, later);
        let told = interleave::<bool>(
            seed,
            vec![
                Box::pin(async {
                    let drained = directory::set_draining(host, &store, later, &shard, true).await;
                    drained.unwrap().draining
                }),
                Box::pin(async {
                    let beat =
                        directory::record_heartbeat(host, &store, later, &beat, &any_terms).await;
                    beat.unwrap().draining
                }),
            ],
        );
        moved_first += u32::from(!told[1]);
        let found = block_on(directory::shard(&region.store, later, &shard)).unwrap();
        let found = found.unwrap();
        assert!(found.draining && found.seen_at_ms == later, "seed {seed}");
        assert!(region.beat(&heartbeat(seed as usize % MAX_BUCKET_SHARDS, later + 1)));
    }
    assert!((1..100).contains(&moved_first), "{moved_first}");
}

#[test]
fn a_room_does_not_move_because_its_shard_s_record_does() {
    for seed in 0..100 {
        let region = Region::new(MAX_BUCKET_SHARDS + 1);
        let before = region.join(NOW, "lobby").unwrap().home;
        let later = NOW + GROWS_AFTER_MS;
        region.beat_all(MAX_BUCKET_SHARDS + 1, later - 1);
        let number: usize = before.shard.as_str()["shard-".len()..].parse().unwrap();
        let store = FaultyStore::new(region.store.clone(), seed, 0);
        let (host, beat) = (&region.host, heartbeat(number, later));
        let (room, wanted) = ("lobby".parse().unwrap(), self::region());
        let mut tasks: Vec<std::pin::Pin<Box<dyn Future<Output = ()>>>> = (0..3)
            .map(|_| {
                Box::pin(async {
                    let joined =
                        directory::home_of(host, &store, later, &room, &wanted, &Hearsay).await;
                    assert_eq!(joined.unwrap().placement.home, before, "seed {seed}");
                }) as _
            })
            .collect();
        tasks.push(Box::pin(async {
            let beat = directory::record_heartbeat(host, &store, later, &beat, &any_terms).await;
            beat.unwrap();
        }));
        interleave(seed, tasks);
    }
}

/// Writes what a release from before buckets does at a heartbeat.
fn beat_as_before(region: &Region, shard: usize, now: u64) {
    let sort = format!("{}#shard", name(shard));
    let mut stored = region.store.everything();
    stored.retain(|(_, item)| item.sort == sort);
    let mut value: Value = serde_json::from_slice(&stored[0].1.value).unwrap();
    value["record"]["heartbeat"]["sent_at_ms"] = now.into();
    value["record"]["seen_at_ms"] = now.into();
    let value = value.to_string();
    let put = Put {
        key: Key::new("region#eu-1", &sort),
        value: value.as_bytes(),
        expires_at_ms: Some(now + directory::SHARD_TTL_MS),
        condition: Condition::Always,
    };
    block_on(region.store.put(now, put)).unwrap();
}

#[test]
fn a_shard_that_an_older_release_hears_is_still_found() {
    let (region, grown) = Region::grown(LARGE);
    let home = region.join(grown, "lobby").unwrap().home;
    let number: usize = home.shard.as_str()["shard-".len()..].parse().unwrap();
    // What an older release writes knows no bucket.
    let old = serde_json::to_vec(&home).unwrap();
    let put = Put {
        key: Key::new("home#lobby", "home"),
        value: &old,
        expires_at_ms: Some(grown + directory::HOME_TTL_MS),
        condition: Condition::Always,
    };
    block_on(region.store.put(grown, put)).unwrap();
    assert_eq!(region.join(grown, "lobby").unwrap().home, home);
    // A minute in which only the older release hears the shard: what is in its bucket is stale.
    let mut now = grown;
    for _ in 0..6 {
        now += 10_000;
        beat_as_before(&region, number, now);
        assert_eq!(region.join(now, "lobby").unwrap().home, home);
    }
    let listed = block_on(directory::shards(&region.store, now, &self::region())).unwrap();
    let live = listed.iter().filter(|shard| shard.live);
    assert_eq!((listed.len(), live.count()), (LARGE, 1));
    let known = block_on(directory::shard(&region.store, now, &home.shard)).unwrap();
    assert_eq!(known.unwrap().seen_at_ms, now);
    // It is heard by this release again, and the older one's record ends by itself.
    region.beat(&heartbeat(number, now + 1));
    assert_eq!(region.join(now + 1, "lobby").unwrap().home, home);
    // Where only the older release has heard of a shard, it is in bucket 0.
    for number in 0..LARGE {
        beat_as_before(&region, number, now + 20_000);
    }
    assert!(region.join(now + 20_000, "another").is_ok());
}

#[test]
fn a_placement_goes_on_until_it_finds_a_shard_and_not_for_ever() {
    let (region, now) = Region::grown(LARGE);
    let full = |shard: usize, at: u64| Heartbeat {
        state: ShardState::Full,
        ..heartbeat(shard, at)
    };
    let mut read = Vec::new();
    for only in [7, 99, 350] {
        let at = now + only as u64;
        (0..LARGE).filter(|shard| *shard != only).for_each(|shard| {
            region.beat(&full(shard, at));
        });
        region.beat(&heartbeat(only, at));
        let meter = Metered::new(&region.store);
        let seat = region.join_on(&meter, at, &format!("room-{only}")).unwrap();
        assert_eq!(seat.home.shard, name(only));
        read.push(meter.calls());
    }
    region.beat_all(LARGE, now + 1_000);
    (0..LARGE).for_each(|shard| {
        region.beat(&full(shard, now + 1_001));
    });
    let meter = Metered::new(&region.store);
    let none = region.join_on(&meter, now + 1_001, "nowhere");
    assert_eq!(none, Err(ProblemKind::NoLiveRelay));
    // The home, the count, and the buckets.
    assert_eq!(meter.calls() as usize, 2 + MAX_DRAWN);
    // Where shards are open, two buckets are enough.
    region.beat_all(LARGE, now + 2_000);
    let meter = Metered::new(&region.store);
    region.join_on(&meter, now + 2_000, "anywhere").unwrap();
    assert_eq!(meter.calls(), 2 + 2 + 3);
    assert!(meter.read_units() < 30, "{}", meter.read_units());
    // A match for which no shard of two buckets has room is placed where one has.
    (0..LARGE).for_each(|shard| {
        let load = Load {
            participants: if shard == 5 { 0 } else { 90 },
            ..Load::default()
        };
        region.beat(&Heartbeat {
            load,
            ..heartbeat(shard, now + 3_000)
        });
    });
    let (room, wanted) = ("match".parse().unwrap(), self::region());
    let placed = directory::home_for(&region.host, &region.store, now + 3_000, &room, &wanted, 60);
    assert_eq!(block_on(placed).unwrap().placement.home.shard, name(5));
}

#[test]
fn a_room_is_in_the_hall_of_its_shards_bucket_before_and_after_it_moves() {
    let region = Region::new(LARGE);
    let rooms: Vec<String> = (0..40).map(|room| format!("room-{room}")).collect();
    let halls = |now: u64| -> Vec<Hall> {
        let hall = |room: &String| region.join(now, room).unwrap().hall;
        rooms.iter().map(hall).collect()
    };
    let first = Hall::first(self::region());
    assert!(halls(NOW + 1).iter().all(|hall| *hall == first));
    let grown = NOW + GROWS_AFTER_MS;
    region.beat_all(LARGE, grown);
    for now in [grown, grown + GROWS_AFTER_MS] {
        region.beat_all(LARGE, now + 1);
        for (room, hall) in rooms.iter().zip(halls(now + 2)) {
            let placement = region.join(now + 3, room).unwrap();
            assert_eq!(placement.hall, hall);
            let room = room.parse().unwrap();
            let looked_up = block_on(directory::placement(&region.store, now + 3, &room));
            assert_eq!(looked_up.unwrap().unwrap().hall, hall);
            // Whoever is there is told what is said there.
            let told = block_on(directory::shards_of_hall(&region.store, now + 3, &hall)).unwrap();
            let shards: BTreeSet<_> = told.iter().map(|it| &it.record.heartbeat.shard).collect();
            assert!(shards.contains(&placement.home.shard));
            assert_eq!(
                block_on(directory::check_hall(&region.store, now, &hall)),
                Ok(())
            );
        }
    }
    let distinct: BTreeSet<Hall> = halls(grown + GROWS_AFTER_MS + 4).into_iter().collect();
    assert!(distinct.len() > 8, "{distinct:?}");
}
