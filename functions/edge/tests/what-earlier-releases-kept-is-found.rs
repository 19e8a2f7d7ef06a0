//! A table as the release before has left it: keys, and values that are a bare text or nothing,
//! which no type describes. `stored/table.json` stays as it is.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use edge::homes::evacuation;
use edge::sanctions::Sanction;
use edge::store::{Condition, Key, Put, Store};
use edge::testing::schedule::block_on;
use edge::testing::{MemoryStore, Patience};
use edge::{blocks, directory};
use serde::Deserialize;

/// When the release before wrote it.
const NOW: u64 = 1_700_000_000_000;

#[derive(Deserialize)]
struct Kept {
    partition: String,
    sort: String,
    value: String,
}

fn table() -> MemoryStore {
    let store = MemoryStore::default();
    let all: Vec<Kept> = serde_json::from_str(include_str!("../stored/table.json")).unwrap();
    for kept in &all {
        let put = Put {
            key: Key::new(&kept.partition, &kept.sort),
            value: kept.value.as_bytes(),
            expires_at_ms: None,
            condition: Condition::Absent,
        };
        block_on(store.put(NOW, put)).unwrap();
    }
    store
}

#[test]
fn a_room_is_found_with_what_holds_there() {
    let (store, room) = (table(), "lobby".parse().unwrap());
    let region = "eu-1".parse().unwrap();
    let joinable = block_on(directory::home_of(
        &Patience,
        &store,
        NOW,
        &room,
        &region,
        &directory::Hearsay,
    ))
    .unwrap();
    assert_eq!(
        (
            joinable.placement.home.shard.as_str(),
            joinable.placement.home.epoch
        ),
        ("eu-1-a", 2)
    );
    let until_ms = |kind, player: &str| {
        let player = player.parse().unwrap();
        joinable.sanctions.until_ms(NOW, kind, &player)
    };
    assert_eq!(until_ms(Sanction::Mute, "player-1"), Some(NOW + 1000));
    assert_eq!(until_ms(Sanction::Ban, "player-3"), Some(NOW + 2000));
}

#[test]
fn a_shard_is_found_by_name_and_in_every_list() {
    let (store, shard) = (table(), "eu-1-a".parse().unwrap());
    let found = block_on(directory::shard(&store, NOW, &shard)).unwrap();
    let found = found.expect("its index names its region");
    assert_eq!(found.heartbeat.shard, shard);
    let listed = block_on(directory::shards_everywhere(&store, NOW)).unwrap();
    assert!(listed.iter().map(|listed| &listed.record).eq([&found]));
    let registration = block_on(directory::registration(&store, NOW, &shard)).unwrap();
    assert_eq!(registration.unwrap().owner, "00ff");
}

#[test]
fn blocks_and_given_up_regions_are_found() {
    let (store, player) = (table(), "player-1".parse().unwrap());
    let blocked = blocks::blocked_by(&store, NOW, &player);
    assert_eq!(block_on(blocked).unwrap(), ["player-2".parse().unwrap()]);
    let record = block_on(evacuation::read(&store, NOW)).unwrap().value;
    assert!(record.gone.contains("eu-1") && record.epoch == 3);
}
