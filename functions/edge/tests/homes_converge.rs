//! Rooms' homes under concurrent joins: tasks are interleaved by a seed at every store call, and
//! store calls fail by the same seed. A failure names the seed that repeats it.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;

use edge::directory::{self, Hearsay, Joinable, Placement};
use edge::homes::{HomeRegions, HomedStore};
use edge::store::{Condition, Key, Put, Store};
use edge::testing::host::{any_heartbeat, any_terms};
use edge::testing::schedule::{Chance, block_on, interleave};
use edge::testing::{FaultyStore, MemoryStore, Patience, Replicas};
use edge::{Metered, Refusal};
use wire::fleet::{Evacuation, Heartbeat, Load, RefusedRoom, ShardRecord, ShardState};
use wire::problem::ProblemKind;
use wire::{RegionName, RoomKey, RoomName};

const NOW: u64 = 1_700_000_000_000;

fn region(name: &str) -> RegionName {
    name.parse().unwrap()
}

fn room() -> RoomName {
    "lobby".parse().unwrap()
}

fn heartbeat(shard: &str, sent_at_ms: u64) -> Heartbeat {
    any_heartbeat(shard.parse().unwrap(), region("eu-1"), sent_at_ms)
}

fn beat(store: &MemoryStore, now: u64, heartbeat: &Heartbeat) {
    block_on(directory::record_heartbeat(
        &Patience, store, now, heartbeat, &any_terms,
    ))
    .unwrap();
}

fn home_of(store: &impl Store, now: u64, room: &str) -> Result<Placement, ProblemKind> {
    let room = room.parse().unwrap();
    block_on(directory::home_of(
        &Patience,
        store,
        now,
        &room,
        &region("eu-1"),
        &Hearsay,
    ))
    .map(|room| room.placement)
    .map_err(|r| r.kind)
}

/// Twelve concurrent joins of one room; what each got.
fn join_storm(
    store: &MemoryStore,
    now: u64,
    seed: u64,
    faults_per_thousand: u64,
) -> Vec<Result<Placement, Refusal>> {
    let faulty = FaultyStore::new(store.clone(), seed, faults_per_thousand);
    let (room, region) = (room(), region("eu-1"));
    let tasks = (0..12)
        .map(|_| {
            Box::pin(directory::home_of(
                &Patience, &faulty, now, &room, &region, &Hearsay,
            )) as _
        })
        .collect();
    let joins: Vec<Result<Joinable, Refusal>> = interleave(seed, tasks);
    let placements = joins.into_iter().map(|join| Ok(join?.placement));
    placements.collect()
}

#[test]
fn concurrent_joiners_agree_on_one_home() {
    for seed in 0..500 {
        let store = MemoryStore::default();
        ["a", "b", "c"]
            .into_iter()
            .for_each(|shard| beat(&store, NOW, &heartbeat(shard, NOW)));
        let placements = join_storm(&store, NOW, seed, 0);
        let first = placements[0].as_ref().unwrap().home.clone();
        assert_eq!(first.epoch, 1, "seed {seed}");
        for placement in placements {
            assert_eq!(placement.unwrap().home, first, "seed {seed}");
        }
    }
}

/// On how many shards eight joiners of a room are, half of them in each of two regions that share
/// the table and have heard of relays of their own alone.
fn shards_of<S: Store>(seed: u64, stores: [S; 2]) -> usize {
    for (n, shard) in ["a", "b", "c"].into_iter().enumerate() {
        let beat = heartbeat(shard, NOW);
        block_on(directory::record_heartbeat(
            &Patience,
            &stores[n % 2],
            NOW,
            &beat,
            &any_terms,
        ))
        .unwrap();
    }
    let stores = stores.map(|store| FaultyStore::new(store, seed, 0));
    let (room, region) = (room(), region("eu-1"));
    let join =
        |n: usize| directory::home_of(&Patience, &stores[n % 2], NOW, &room, &region, &Hearsay);
    let rooms = interleave(seed, (0..8).map(|n| Box::pin(join(n)) as _).collect());
    let rooms = rooms.into_iter().map(Result::<Joinable, Refusal>::unwrap);
    let shards = rooms.map(|room| room.placement.home.shard);
    shards.collect::<BTreeSet<_>>().len()
}

#[test]
fn joiners_in_several_regions_agree_on_one_home() {
    let lists = ["eu-west-1", "us-east-1"].map(|here| {
        let regions = r#"{"eu-west-1": ["eu"], "us-east-1": ["us"]}"#;
        HomeRegions::from_json(&format!(r#"{{"here": "{here}", "regions": {regions}}}"#)).unwrap()
    });
    let mut split = 0;
    for seed in 0..200 {
        let table = Replicas::new(2, 9);
        let homed = lists.each_ref().map(|list| {
            HomedStore::new(list, Evacuation::default(), NOW, |name, epoch| {
                table.replica(usize::from(name == "us-east-1"), epoch)
            })
        });
        assert_eq!(shards_of(seed, homed), 1, "seed {seed}");
        // Without homes, each region makes its own.
        let table = Replicas::new(2, 9);
        split += usize::from(shards_of(seed, [0, 1].map(|region| table.replica(region, 0))) > 1);
    }
    assert!(
        split > 0,
        "without homes a room would have been on two relays"
    );
}

#[test]
fn with_faults_whoever_is_answered_gets_the_one_home() {
    let mut answered = 0;
    for seed in 0..500 {
        let store = MemoryStore::default();
        ["a", "b", "c"]
            .into_iter()
            .for_each(|shard| beat(&store, NOW, &heartbeat(shard, NOW)));
        let placements = join_storm(&store, NOW, seed, 100);
        let home = block_on(directory::home(&store, NOW, &room())).unwrap();
        for placement in placements {
            match placement {
                Ok(placement) => {
                    answered += 1;
                    assert_eq!(Some(placement.home), home, "seed {seed}");
                }
                Err(refusal) => {
                    assert_eq!(refusal.kind, ProblemKind::StoreUnavailable, "seed {seed}");
                }
            }
        }
    }
    assert!(
        answered > 1000,
        "the test must not pass by failing always: {answered}"
    );
}

#[test]
fn a_dead_home_moves_exactly_once() {
    for seed in 0..500 {
        let store = MemoryStore::default();
        beat(&store, NOW, &heartbeat("a", NOW));
        assert_eq!(
            home_of(&store, NOW, "lobby").unwrap().home.shard.as_str(),
            "a"
        );
        let later = NOW + 10_000;
        ["b", "c"]
            .into_iter()
            .for_each(|shard| beat(&store, later, &heartbeat(shard, later)));
        let placements = join_storm(&store, later, seed, if seed % 2 == 0 { 0 } else { 50 });
        let home = block_on(directory::home(&store, later, &room()))
            .unwrap()
            .unwrap();
        assert!(
            home.epoch == 2 || placements.iter().all(Result::is_err),
            "seed {seed}: {home:?}"
        );
        for placement in placements.into_iter().flatten() {
            assert_eq!(placement.home, home, "seed {seed}");
            assert_ne!(placement.home.shard.as_str(), "a", "seed {seed}");
        }
    }
}

#[test]
fn the_epoch_only_grows_while_shards_come_and_go() {
    for seed in 0..100 {
        let (store, chance) = (MemoryStore::default(), Chance::new(seed));
        let (mut now, mut epoch, mut shard) = (NOW, 0, String::new());
        for _ in 0..40 {
            now += 1 + chance.below(6_000);
            for name in ["a", "b", "c"] {
                if chance.below(3) > 0 {
                    let state = match chance.below(6) {
                        0 => ShardState::Draining,
                        1 => ShardState::Full,
                        2 => ShardState::Stopping,
                        _ => ShardState::Open,
                    };
                    beat(
                        &store,
                        now,
                        &Heartbeat {
                            state,
                            ..heartbeat(name, now)
                        },
                    );
                }
            }
            match home_of(&store, now, "lobby") {
                Ok(placement) => {
                    let moved = placement.home.shard.as_str() != shard;
                    assert_eq!(
                        placement.home.epoch,
                        epoch + u64::from(moved),
                        "seed {seed}"
                    );
                    epoch = placement.home.epoch;
                    shard = placement.home.shard.to_string();
                }
                Err(kind) => assert_eq!(kind, ProblemKind::NoLiveRelay, "seed {seed}"),
            }
        }
        assert!(epoch > 1, "seed {seed} shows nothing");
    }
}

#[test]
fn a_join_into_a_room_with_a_home_reads_two_items_and_writes_none() {
    let store = MemoryStore::default();
    beat(&store, NOW, &heartbeat("a", NOW));
    home_of(&store, NOW, "lobby").unwrap();
    let meter = Metered::new(&store);
    home_of(&meter, NOW, "lobby").unwrap();
    assert_eq!((meter.reads(), meter.writes()), (2, 0));
    // Half a month later somebody pays one write, so that the home lives on.
    let later = NOW + directory::HOME_TTL_MS / 2;
    beat(&store, later, &heartbeat("a", later));
    let meter = Metered::new(&store);
    home_of(&meter, later, "lobby").unwrap();
    assert_eq!((meter.reads(), meter.writes()), (2, 1));
    let at_last = NOW + directory::HOME_TTL_MS + 1;
    assert_eq!(
        block_on(directory::home(&store, at_last, &room()))
            .unwrap()
            .unwrap()
            .epoch,
        1
    );
}

#[test]
fn a_room_for_many_goes_where_all_of_them_fit_and_counts_as_many() {
    let store = MemoryStore::default();
    let loaded = |shard: &str, capacity: u32, participants: u32| Heartbeat {
        capacity,
        load: Load {
            participants,
            ..Load::default()
        },
        ..heartbeat(shard, NOW)
    };
    // The small one is emptier by share, and has no room for thirty.
    beat(&store, NOW, &loaded("small", 20, 0));
    beat(&store, NOW, &loaded("large", 100, 40));
    let place = |room: &str, players| {
        let (room, region) = (room.parse().unwrap(), region("eu-1"));
        let placed = directory::home_for(&Patience, &store, NOW, &room, &region, players);
        block_on(placed).map(|room| room.placement.home.shard.to_string())
    };
    assert_eq!(place("few", 2).unwrap(), "small");
    assert_eq!(place("many", 30).unwrap(), "large");
    // Thirty more than it seemed to have, until its next heartbeat; no other has room for fifty.
    assert_eq!(place("more", 50).unwrap(), "small");
    assert_eq!(
        place("rest", 2).unwrap(),
        "large",
        "the small one expects 54"
    );
}

#[test]
fn a_home_that_cannot_be_read_is_not_moved() {
    let store = MemoryStore::default();
    beat(&store, NOW, &heartbeat("a", NOW));
    let key = Key::new("home#lobby", "home");
    let later = Put {
        key,
        value: br#"{"of":"a later version"}"#,
        expires_at_ms: None,
        condition: Condition::Always,
    };
    block_on(store.put(NOW, later)).unwrap();
    assert_eq!(
        home_of(&store, NOW, "lobby"),
        Err(ProblemKind::StoreUnavailable)
    );
    let kept = block_on(store.get(NOW, key)).unwrap().unwrap();
    assert_eq!((kept.value.as_slice(), kept.version), (later.value, 1));
    assert!(home_of(&store, NOW, "another").is_ok());
}

#[test]
fn a_burst_of_new_rooms_spreads_over_the_shards() {
    let store = MemoryStore::default();
    let shards = ["a", "b", "c", "d"];
    shards
        .into_iter()
        .for_each(|shard| beat(&store, NOW, &heartbeat(shard, NOW)));
    let mut rooms = std::collections::BTreeMap::<String, u32>::new();
    for i in 0..40 {
        let placement = home_of(&store, NOW, &format!("room-{i}")).unwrap();
        *rooms.entry(placement.home.shard.to_string()).or_default() += 1;
    }
    assert_eq!(
        rooms.values().copied().collect::<Vec<_>>(),
        [10; 4],
        "{rooms:?}"
    );
    // The next heartbeat knows the participants; what was placed before it no longer counts.
    shards.into_iter().for_each(|shard| {
        let load = Load {
            participants: if shard == "c" { 1 } else { 50 },
            ..Load::default()
        };
        beat(
            &store,
            NOW + 1,
            &Heartbeat {
                load,
                ..heartbeat(shard, NOW + 1)
            },
        );
    });
    assert_eq!(
        home_of(&store, NOW + 1, "next")
            .unwrap()
            .home
            .shard
            .as_str(),
        "c"
    );
}

#[test]
fn full_shards_keep_their_rooms_and_take_no_new_ones() {
    let store = MemoryStore::default();
    beat(&store, NOW, &heartbeat("a", NOW));
    home_of(&store, NOW, "old").unwrap();
    let full = Heartbeat {
        state: ShardState::Full,
        ..heartbeat("a", NOW + 1)
    };
    beat(&store, NOW + 1, &full);
    assert!(home_of(&store, NOW + 1, "old").is_ok());
    assert_eq!(
        home_of(&store, NOW + 1, "new"),
        Err(ProblemKind::NoLiveRelay)
    );
    let refused = |occupied, at| Heartbeat {
        refused: vec![RefusedRoom {
            room: RoomKey::of(&"old".parse().unwrap()),
            occupied,
        }],
        sent_at_ms: at,
        ..full.clone()
    };
    beat(&store, NOW + 2, &refused(true, NOW + 2));
    beat(&store, NOW + 2, &heartbeat("b", NOW + 2));
    assert_eq!(
        home_of(&store, NOW + 2, "old"),
        Err(ProblemKind::NoLiveRelay),
        "stays together"
    );
    assert_eq!(
        home_of(&store, NOW + 2, "new").unwrap().home.shard.as_str(),
        "b"
    );
    beat(&store, NOW + 3, &refused(false, NOW + 3));
    let moved = home_of(&store, NOW + 3, "old").unwrap().home;
    assert_eq!(
        (moved.shard.as_str(), moved.epoch),
        ("b", 2),
        "nobody was there"
    );
    // A shard that is open again takes what it has refused.
    home_of(&store, NOW + 3, "third").unwrap();
    let open = Heartbeat {
        state: ShardState::Open,
        ..refused(false, NOW + 4)
    };
    beat(&store, NOW + 4, &open);
    assert!(home_of(&store, NOW + 4, "old").is_ok());
}

#[test]
fn draining_moves_rooms_and_is_remembered() {
    let store = MemoryStore::default();
    ["a", "b"]
        .into_iter()
        .for_each(|shard| beat(&store, NOW, &heartbeat(shard, NOW)));
    let first = home_of(&store, NOW, "lobby").unwrap().home;
    let drained = block_on(directory::set_draining(
        &Patience,
        &store,
        NOW,
        &first.shard,
        true,
    ))
    .unwrap();
    assert!(drained.draining);
    let second = home_of(&store, NOW, "lobby").unwrap().home;
    assert_ne!(second.shard, first.shard);
    assert_eq!(second.epoch, 2);
    let next = heartbeat(first.shard.as_str(), NOW + 1);
    let told = |now, next: &Heartbeat| {
        let taken = directory::record_heartbeat(&Patience, &store, now, next, &any_terms);
        block_on(taken).unwrap().draining
    };
    assert!(told(NOW + 1, &next));
    assert_eq!(
        home_of(&store, NOW + 1, "lobby").unwrap().home,
        second,
        "it does not move back"
    );
    block_on(directory::set_draining(
        &Patience,
        &store,
        NOW + 1,
        &first.shard,
        false,
    ))
    .unwrap();
    let next = heartbeat(first.shard.as_str(), NOW + 2);
    assert!(!told(NOW + 2, &next));
    let nobody = block_on(directory::set_draining(
        &Patience,
        &store,
        NOW,
        &"x".parse().unwrap(),
        true,
    ));
    assert_eq!(nobody.unwrap_err().kind, ProblemKind::UnknownRelay);
}

#[test]
fn old_and_replayed_heartbeats_change_nothing() {
    let store = MemoryStore::default();
    let captured = heartbeat("a", NOW);
    beat(&store, NOW, &captured);
    let stopping = Heartbeat {
        state: ShardState::Stopping,
        ..heartbeat("a", NOW + 2_000)
    };
    beat(&store, NOW + 2_000, &stopping);
    beat(&store, NOW + 3_000, &captured);
    let known = |now| -> ShardRecord {
        block_on(directory::shard(&store, now, &"a".parse().unwrap()))
            .unwrap()
            .unwrap()
    };
    assert_eq!(known(NOW + 3_000).heartbeat, stopping);
    beat(&store, NOW + 9_000, &stopping);
    assert_eq!(
        known(NOW + 9_000).seen_at_ms,
        NOW + 2_000,
        "a replay does not keep it alive"
    );
    for skewed in [NOW - 30_001, NOW + 30_001] {
        let skewed = heartbeat("b", skewed);
        let refused = directory::record_heartbeat(&Patience, &store, NOW, &skewed, &any_terms);
        assert_eq!(
            block_on(refused).unwrap_err().kind,
            ProblemKind::BodyInvalid
        );
    }
}

#[test]
fn silent_shards_are_dead_after_ten_seconds_and_forgotten_after_ten_minutes() {
    let store = MemoryStore::default();
    beat(&store, NOW, &heartbeat("a", NOW));
    let live = |now| -> Vec<bool> {
        let listed = block_on(directory::shards(&store, now, &region("eu-1"))).unwrap();
        listed.iter().map(|shard| shard.live).collect()
    };
    assert_eq!(live(NOW + 9_999), [true]);
    assert_eq!(live(NOW + 10_000), [false]);
    assert_eq!(live(NOW + directory::SHARD_TTL_MS), [false; 0]);
    let everywhere = block_on(directory::shards_everywhere(&store, NOW)).unwrap();
    assert_eq!(everywhere.len(), 1);
}

#[test]
fn a_room_stays_in_its_region_while_that_has_relays() {
    let store = MemoryStore::default();
    let in_region = |shard: &str, name: &str, at| Heartbeat {
        region: region(name),
        ..heartbeat(shard, at)
    };
    beat(&store, NOW, &in_region("a", "us-1", NOW));
    let join = |now, wanted: &str| {
        block_on(directory::home_of(
            &Patience,
            &store,
            now,
            &room(),
            &region(wanted),
            &Hearsay,
        ))
        .map(|room| room.placement.home)
    };
    assert_eq!(join(NOW, "us-1").unwrap().shard.as_str(), "a");
    let later = NOW + 10_000;
    beat(&store, later, &in_region("b", "us-1", later));
    beat(&store, later, &in_region("c", "eu-1", later));
    assert_eq!(
        join(later, "eu-1").unwrap().shard.as_str(),
        "b",
        "its own region first"
    );
    let last = later + 10_000;
    beat(&store, last, &in_region("c", "eu-1", last));
    assert_eq!(
        join(last, "eu-1").unwrap().shard.as_str(),
        "c",
        "rather than nowhere"
    );
}
