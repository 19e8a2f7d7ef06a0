use std::collections::BTreeMap;

use proptest::prelude::*;
use wire::fleet::Evacuation;

use super::evacuation::REST_MS;
use super::*;
use crate::store::{Condition, Delete, Key, Put, Store, StoreError, Write};
use crate::testing::schedule::{block_on, interleave, yield_now};
use crate::testing::{Replica, Replicas, conformance};

const NOW: u64 = 1_700_000_000_000;
const NAMES: [&str; 3] = ["ap-southeast-1", "eu-west-1", "us-east-1"];

fn regions(here: &str) -> HomeRegions {
    let text = format!(
        r#"{{"here": "{here}", "regions": {{"ap-southeast-1": ["ap", "oce"], "eu-west-1": ["eu"],
            "us-east-1": ["us"]}}}}"#
    );
    HomeRegions::from_json(&text).unwrap()
}

fn gone(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn homed<'a>(
    regions: &'a HomeRegions,
    table: &Replicas,
    evacuation: &Evacuation,
) -> HomedStore<'a, Replica> {
    homed_at(NOW, regions, table, evacuation)
}

fn homed_at<'a>(
    now_ms: u64,
    regions: &'a HomeRegions,
    table: &Replicas,
    evacuation: &Evacuation,
) -> HomedStore<'a, Replica> {
    let table = table.clone();
    HomedStore::new(regions, evacuation.clone(), now_ms, move |region, epoch| {
        let index = NAMES.iter().position(|name| *name == region).unwrap();
        table.replica(index, epoch)
    })
}

fn put<'a>(key: Key<'a>, value: &'a [u8], condition: Condition) -> Put<'a> {
    Put {
        key,
        value,
        expires_at_ms: None,
        condition,
    }
}

#[test]
fn every_partition_that_a_function_has_is_ruled() {
    let all: serde_json::Value =
        serde_json::from_str(include_str!("../../../permissions.json")).unwrap();
    let all: BTreeMap<String, serde_json::Value> = serde_json::from_value(all).unwrap();
    let listed: BTreeSet<String> = all
        .values()
        .flat_map(|function| function["partitions"].as_array().unwrap())
        .map(|name| name.as_str().unwrap().trim_end_matches('*').to_owned())
        .collect();
    let ruled = RULES.iter().map(|(start, _)| (*start).to_owned());
    let ruled: BTreeSet<String> = ruled.filter(|start| start != "conformance-").collect();
    assert_eq!(listed, ruled);
}

#[test]
fn names_of_a_place_are_at_home_there_and_what_goes_together_stays_together() {
    let all = regions("us-east-1");
    let none = BTreeSet::new();
    for (partition, region) in [
        ("home#eu.lobby", "eu-west-1"),
        ("chat#room~eu.lobby~main", "eu-west-1"),
        ("chat-audit#party~oce.7", "ap-southeast-1"),
        ("chat#world~us", "us-east-1"),
        ("chat-floor#world~us~31", "us-east-1"),
        ("match-pool#us.duel#3", "us-east-1"),
        ("match#eu.abcdefgh", "eu-west-1"),
        ("home#match-eu.abcdefgh", "eu-west-1"),
        ("chat#room~match-eu.abcdefgh~team-red", "eu-west-1"),
        ("chat-player#oce.ann", "ap-southeast-1"),
    ] {
        assert_eq!(all.home(partition, &none), Home::In(region), "{partition}");
    }
    for name in (0..200).map(|n| format!("room-{n}")) {
        let together = [
            format!("home#{name}"),
            format!("chat#room~{name}~main"),
            format!("chat-floor#room~{name}~team-2"),
            format!("chat#party~{name}"),
            format!("chat#world~{name}"),
            format!("chat-react#world~{name}~7"),
        ];
        let homes = together
            .each_ref()
            .map(|partition| all.home(partition, &none));
        assert!(homes.iter().all(|home| *home == homes[0]), "{name}");
    }
    assert_eq!(all.home("regions", &none), Home::Everywhere);
    // A shard's record moves between these in one commit.
    for partition in ["region#eu", "region#eu#7", "region#eu#buckets"] {
        assert_eq!(all.home(partition, &none), Home::In("eu-west-1"));
    }
    assert!(matches!(all.home("shard#eu-1", &none), Home::WrittenIn(_)));
    let fleet = ["relay#a", "enrolment-tokens"].map(|partition| all.home(partition, &none));
    assert_eq!(fleet[0], fleet[1]);
}

#[test]
fn regions_share_names_that_belong_to_no_place() {
    let all = regions("eu-west-1");
    let mut shares = BTreeMap::<&str, u32>::new();
    let names: Vec<String> = (0..9_000).map(|n| format!("home#room-{n}")).collect();
    for name in &names {
        if let Home::In(region) = all.home(name, &BTreeSet::new()) {
            *shares.entry(region).or_default() += 1;
        }
    }
    for (region, share) in shares {
        assert!(
            (2_700..=3_300).contains(&share),
            "{region}: {share} of 9000"
        );
    }
}

#[test]
fn lists_that_are_wrong_say_how() {
    for (text, wanted) in [
        ("", "not an object"),
        (r#"{"here": "a"}"#, "not an object"),
        (r#"{"here": "a", "regions": {"b": []}}"#, "here is none"),
        (
            r#"{"here": "a", "regions": {"a": ["x"], "b": ["x"]}}"#,
            "same place",
        ),
        (
            r#"{"here": "a", "regions": {"a": []}, "more": 1}"#,
            "not an object",
        ),
    ] {
        let told = HomeRegions::from_json(text).unwrap_err().to_string();
        assert!(told.contains(wanted), "{text}: {told}");
    }
}

proptest! {
    /// All regions agree, and an evacuation moves the homes of what is gone and no others.
    #[test]
    fn an_evacuation_moves_what_is_gone(
        name in "[a-z]{1,3}(\\.[a-z0-9]{1,8})?",
        lost in 0_usize..3,
    ) {
        let partition = format!("home#{name}");
        let (before, after) = (BTreeSet::new(), gone(&[NAMES[lost]]));
        let lists = NAMES.map(regions);
        let homes = |gone: &BTreeSet<String>| {
            lists.each_ref().map(|list| match list.home(&partition, gone) {
                Home::In(region) => region.to_owned(),
                other => panic!("{other:?}"),
            })
        };
        let (was, is) = (homes(&before), homes(&after));
        prop_assert!(was.iter().all(|home| *home == was[0]));
        prop_assert!(is.iter().all(|home| *home == is[0]));
        prop_assert_ne!(&is[0], NAMES[lost]);
        if was[0] != NAMES[lost] {
            prop_assert_eq!(&was[0], &is[0]);
        }
    }
}

#[test]
fn who_gave_up_every_region_is_served_where_he_asks() {
    let all = regions("eu-west-1");
    assert_eq!(all.home("home#x", &gone(&NAMES)), Home::In("eu-west-1"));
}

#[test]
fn regions_with_homes_are_one_store() {
    let (table, none) = (Replicas::new(3, 7), Evacuation::default());
    let lists = NAMES.map(regions);
    let stores = lists.each_ref().map(|list| homed(list, &table, &none));
    block_on(conformance::check(&stores));
}

/// What two requests that come in in two regions find to be the one relay of a room.
fn winners(seed: u64, stores: [&dyn Claims; 2]) -> Vec<bool> {
    interleave(seed, stores.map(Claims::claim).into())
}

trait Claims {
    fn claim(&self) -> std::pin::Pin<Box<dyn Future<Output = bool> + '_>>;
}

impl<S: Store> Claims for S {
    fn claim(&self) -> std::pin::Pin<Box<dyn Future<Output = bool> + '_>> {
        Box::pin(async move {
            yield_now().await;
            let key = Key::new("home#lobby", "home");
            let claimed = self.put(NOW, put(key, b"mine", Condition::Absent)).await;
            claimed.is_ok()
        })
    }
}

#[test]
fn of_two_regions_that_claim_a_room_one_has_it() {
    let count = |won: Vec<bool>| won.into_iter().filter(|won| *won).count();
    let lists = ["eu-west-1", "us-east-1"].map(regions);
    let mut both = 0;
    for seed in 0..200 {
        let (table, none) = (Replicas::new(3, 5), Evacuation::default());
        let stores = lists.each_ref().map(|list| homed(list, &table, &none));
        assert_eq!(
            count(winners(seed, [&stores[0], &stores[1]])),
            1,
            "seed {seed}"
        );
        // Each in its own region, as it was before there were homes.
        let table = Replicas::new(3, 5);
        let stores = [1, 2].map(|region| table.replica(region, 0));
        both += usize::from(count(winners(seed, [&stores[0], &stores[1]])) == 2);
    }
    assert!(both > 0, "without homes both would have won");
}

#[test]
fn a_commit_in_two_homes_has_no_conditions() {
    let (table, none) = (Replicas::new(3, 2), Evacuation::default());
    let list = regions("eu-west-1");
    let store = homed(&list, &table, &none);
    let (one, other) = (
        Key::new("chat-player#eu.a", "b"),
        Key::new("chat-player#us.b", "a"),
    );
    let both = |condition| [one, other].map(|key| Write::Put(put(key, b"x", condition)));
    let done = block_on(store.commit(NOW, &both(Condition::Always)));
    assert_eq!(done, Ok(()));
    for key in [one, other] {
        assert!(block_on(store.get(NOW, key)).unwrap().is_some());
    }
    let told = block_on(store.commit(NOW, &both(Condition::Version(1)))).unwrap_err();
    assert!(told.to_string().contains("two home regions"), "{told}");
    let one_home = Delete {
        key: one,
        version: Some(1),
    };
    assert_eq!(
        block_on(store.commit(NOW, &[Write::Delete(one_home)])),
        Ok(())
    );
}

/// What a lost region had confirmed and the others never heard of is lost, and nothing else.
#[test]
fn an_evacuation_loses_what_had_not_left_the_region() {
    const LAG: u64 = 6;
    let eu = regions("eu-west-1");
    let us = regions("us-east-1");
    for written in 1..40 {
        let (table, none) = (Replicas::new(3, LAG), Evacuation::default());
        let store = homed(&eu, &table, &none);
        let sorts: Vec<String> = (0..written).map(|n| format!("{n:04}")).collect();
        for sort in &sorts {
            let key = Key::new("chat#room~eu.hall~main", sort);
            block_on(store.put(NOW, put(key, b"said", Condition::Absent))).unwrap();
        }
        block_on(homed(&us, &table, &none).get(NOW, evacuation::KEY)).unwrap();
        table.lose(1);
        let at_us = homed(&us, &table, &none);
        let record = block_on(evacuation::change(at_us.here(), NOW, "eu-west-1", true));
        let record = record.unwrap();
        assert_eq!((record.epoch, record.gone.len()), (1, 1));
        let taken = homed(&us, &table, &record);
        let all = crate::store::Query::all("chat#room~eu.hall~main", 100);
        let kept = block_on(taken.query(NOW, all)).unwrap();
        let kept: Vec<&str> = kept.iter().map(|item| item.sort.as_str()).collect();
        let safe = sorts.len().saturating_sub(LAG as usize);
        assert_eq!(kept, sorts[..kept.len()], "the oldest, without a hole");
        assert!(
            kept.len() >= safe,
            "{} of {written} with a lag of {LAG}",
            kept.len()
        );
        let next = format!("{:04}", kept.len());
        let key = Key::new("chat#room~eu.hall~main", &next);
        block_on(taken.put(NOW, put(key, b"new", Condition::Absent))).unwrap();
    }
}

#[test]
fn a_region_that_was_given_up_and_still_runs_writes_over_nothing_that_it_has_heard_of() {
    let (eu, us) = (regions("eu-west-1"), regions("us-east-1"));
    let (table, none) = (Replicas::new(3, 3), Evacuation::default());
    let old = homed(&eu, &table, &none);
    let [heard, unheard] = ["heard", "unheard"].map(|sort| Key::new("home#eu.hall", sort));
    for key in [heard, unheard] {
        block_on(old.put(NOW, put(key, b"old", Condition::Absent))).unwrap();
    }
    table.settle();
    let at_us = homed(&us, &table, &none);
    let record = block_on(evacuation::change(at_us.here(), NOW, "eu-west-1", true)).unwrap();
    let taken = homed(&us, &table, &record);
    block_on(taken.put(NOW, put(heard, b"new", Condition::Version(1)))).unwrap();
    table.settle();
    // It has not read the record yet, and the write of the new home has arrived.
    for condition in [Condition::Always, Condition::Version(2)] {
        let late = block_on(old.put(NOW, put(heard, b"late", condition)));
        assert_eq!(late, Err(StoreError::ConditionFailed), "{condition:?}");
    }
    // Cut off, it cannot know: the later of two wins, which is what may be lost.
    table.cut(true);
    block_on(taken.put(NOW, put(unheard, b"new", Condition::Version(1)))).unwrap();
    block_on(old.put(NOW, put(unheard, b"late", Condition::Version(1)))).unwrap();
    table.cut(false);
    table.settle();
    let read = |key| block_on(taken.get(NOW, key)).unwrap().unwrap().value;
    assert_eq!(
        (read(heard), read(unheard)),
        (b"new".to_vec(), b"late".to_vec())
    );
    // Once it has read the record it is no home, and its writes go to the new one.
    let told = block_on(evacuation::read(old.here(), NOW)).unwrap().value;
    assert_eq!(told, record);
    block_on(homed(&eu, &table, &told).put(NOW, put(heard, b"kept", Condition::Always))).unwrap();
    assert_eq!(read(heard), b"kept");
}

#[test]
fn a_region_is_given_up_at_once_and_taken_back_when_all_know() {
    let (table, none) = (Replicas::new(3, 1), Evacuation::default());
    let list = regions("us-east-1");
    let store = homed(&list, &table, &none);
    let change = |now_ms, is_gone| {
        block_on(evacuation::change(
            store.here(),
            now_ms,
            "eu-west-1",
            is_gone,
        ))
        .unwrap()
    };
    let given_up = change(NOW, true);
    assert_eq!(given_up.epoch, 1);
    assert_eq!(given_up.gone_at(NOW), &gone(&["eu-west-1"]));
    assert_eq!(change(NOW + 1, true), given_up, "nothing changes");
    let back = change(NOW + 2, false);
    assert_eq!(change(NOW + 3, false), back);
    let at_ms = NOW + 2 + 15_000;
    assert_eq!((back.epoch, back.at_ms), (2, at_ms));
    assert_eq!(back.gone_at(at_ms - 1), &gone(&["eu-west-1"]));
    assert_eq!((back.epoch_at(at_ms - 1), back.epoch_at(at_ms)), (1, 2));
    assert_eq!(back.gone_at(at_ms), &gone(&[]));
    // Given up again before it is back.
    let again = change(NOW + 4, true);
    assert_eq!(
        (again.epoch, again.gone_at(NOW + 4)),
        (3, &gone(&["eu-west-1"]))
    );
}

/// Writers in two regions, one of which is taken back: of what they were told is written, nothing
/// is lost, as long as replication takes less than the rest before the move.
#[test]
fn homes_that_return_lose_nothing() {
    let (eu, us) = (regions("eu-west-1"), regions("us-east-1"));
    for seed in 0..50 {
        let table = Replicas::new(3, 2);
        let none = Evacuation::default();
        let at_us = homed(&us, &table, &none);
        block_on(evacuation::change(at_us.here(), NOW, "eu-west-1", true)).unwrap();
        let back = block_on(evacuation::change(at_us.here(), NOW, "eu-west-1", false)).unwrap();
        let key = Key::new("chat#room~eu.hall~main", "counter");
        let (mut counted, mut rested) = (0, 0);
        let chance = crate::testing::schedule::Chance::new(seed);
        let mut now_ms = NOW;
        while now_ms < back.at_ms + 2_000 {
            let list = if chance.below(2) == 0 { &eu } else { &us };
            let store = homed_at(now_ms, list, &table, &back);
            match block_on(store.increment(now_ms, key, 1, None)) {
                Ok(count) => {
                    counted += 1;
                    assert_eq!(count, counted, "seed {seed}");
                }
                Err(StoreError::Unavailable(_)) => {
                    rested += 1;
                    assert!((back.at_ms - REST_MS..back.at_ms).contains(&now_ms));
                    // Time passes, and what was written arrives.
                    table.settle();
                }
                Err(other) => panic!("seed {seed}: {other}"),
            }
            now_ms += chance.below(400);
        }
        assert!(
            counted > 20 && rested > 0,
            "seed {seed}: {counted}, {rested}"
        );
    }
}
