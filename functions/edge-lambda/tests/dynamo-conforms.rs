//! The store on DynamoDB against an emulator: the suite of all stores, and what is particular to
//! DynamoDB.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[allow(
    dead_code,
    unreachable_pub,
    reason = "each file of tests uses a part of it"
)]
mod support;

use std::time::Duration;

use edge::store::{Condition, Delete, Key, Put, Query, Store, StoreError, Write};
use edge::testing::conformance;
use edge_lambda::permissions::TableAction;
use support::{ALL_ACTIONS, Fate, Rig, counts};

fn put<'a>(sort: &'a str, expires_at_ms: Option<u64>) -> Put<'a> {
    Put {
        key: Key::new("p", sort),
        value: b"v",
        expires_at_ms,
        condition: Condition::Always,
    }
}

#[tokio::test]
async fn the_store_conforms() {
    let rig = Rig::start().await;
    // The emulator takes its time.
    let store = || rig.store_until(Duration::from_secs(600));
    conformance::check(&[store(), store().under(1), store().under(1)]).await;
}

#[tokio::test]
async fn what_a_higher_epoch_wrote_no_lower_one_writes_over() {
    let rig = Rig::start().await;
    let [lower, higher] = [0, 1].map(|epoch| rig.store().under(epoch));
    let counter = Key::new("p", "n");
    assert_eq!(lower.put(1, put("a", None)).await, Ok(1));
    assert_eq!(higher.put(1, put("a", None)).await, Ok(2));
    assert_eq!(higher.increment(1, counter, 1, None).await, Ok(1));
    let refused = Err(StoreError::ConditionFailed);
    assert_eq!(lower.put(1, put("a", None)).await, refused);
    let own = Put {
        condition: Condition::Version(2),
        ..put("a", None)
    };
    assert_eq!(lower.put(1, own).await, refused);
    let key = Key::new("p", "a");
    for version in [None, Some(2)] {
        let delete = Delete { key, version };
        assert!(lower.delete(1, delete).await.is_err(), "{version:?}");
    }
    let both = [Write::Put(put("a", None)), Write::Put(put("b", None))];
    assert!(lower.commit(1, &both).await.is_err());
    assert!(lower.increment(1, counter, 1, None).await.is_err());
    // Nothing of it happened, and what was not written since is everybody's.
    let item = lower.get(1, key).await.unwrap().unwrap();
    assert_eq!(item.version, 2);
    assert_eq!(higher.increment(1, counter, 1, None).await, Ok(2));
    assert_eq!(lower.put(1, put("b", None)).await, Ok(1));
    assert_eq!(higher.commit(1, &both).await, Ok(()));
}

#[tokio::test]
async fn what_costs_double_is_used_for_several_items_only() {
    let rig = Rig::start().await;
    let store = rig.store();
    let (one, other) = (Write::Put(put("a", None)), Write::Put(put("b", None)));
    let delete = Write::Delete(Delete {
        key: Key::new("p", "a"),
        version: Some(1),
    });
    for (writes, wanted) in [
        (vec![], vec![]),
        (vec![one], vec![("UpdateItem", 1)]),
        (vec![delete], vec![("DeleteItem", 1)]),
        (vec![one, other], vec![("TransactWriteItems", 1)]),
    ] {
        rig.proxy.script([]);
        assert_eq!(store.commit(1, &writes).await, Ok(()));
        assert_eq!(counts(&rig.proxy.seen()), wanted.into_iter().collect());
    }
}

#[tokio::test]
async fn a_long_stretch_of_expired_items_is_crossed_in_few_pages() {
    let rig = Rig::start().await;
    let store = rig.store();
    let sorts: Vec<String> = (0..200).map(|i| format!("{i:04}")).collect();
    for chunk in sorts.chunks(25) {
        let writes: Vec<Write<'_>> = chunk
            .iter()
            .map(|sort| Write::Put(put(sort, (sort != "0199").then_some(5))))
            .collect();
        assert_eq!(store.commit(1, &writes).await, Ok(()));
    }
    rig.proxy.script([]);
    let found = store.query(10, Query::all("p", 1)).await.unwrap();
    assert_eq!(found[0].sort, "0199");
    let pages = counts(&rig.proxy.seen())["Query"];
    assert!(pages <= 9, "{pages} pages for 200 items");
}

#[tokio::test]
async fn many_items_are_one_request_and_what_was_left_out_is_asked_for_again() {
    let rig = Rig::start().await;
    let store = rig.store();
    let sorts: Vec<String> = (0..100).map(|i| format!("{i:04}")).collect();
    for sort in &sorts {
        store.put(1, put(sort, None)).await.unwrap();
    }
    let keys: Vec<Key<'_>> = sorts.iter().map(|sort| Key::new("p", sort)).collect();
    rig.proxy.script([]);
    let found = store.get_many(1, &keys).await.unwrap();
    assert!(found.iter().all(Option::is_some));
    let seen = rig.proxy.seen();
    assert_eq!((seen.len(), seen[0].keys), (1, 100));
    // An answer holds 16 MB, and a busy table leaves keys out too.
    let value = vec![1; edge::store::MAX_VALUE_BYTES];
    for sort in &sorts {
        let large = Put {
            value: &value,
            ..put(sort, None)
        };
        store.put(1, large).await.unwrap();
    }
    rig.proxy
        .script([Fate::Refuse("ThrottlingException"), Fate::BreakAfter]);
    let found = store.get_many(1, &keys).await.unwrap();
    for (sort, item) in sorts.iter().zip(found) {
        let item = item.unwrap();
        assert_eq!((&item.sort, item.value.len()), (sort, value.len()));
    }
    let asked: Vec<usize> = rig.proxy.seen().iter().map(|seen| seen.keys).collect();
    assert_eq!(asked[..3], [100, 100, 100]);
    assert!(
        asked.len() >= 4 && asked[3..].is_sorted_by(|a, b| a > b),
        "{asked:?}"
    );
}

#[tokio::test]
async fn items_carry_the_second_by_which_dynamodb_removes_them() {
    let rig = Rig::start().await;
    rig.store().put(1, put("a", Some(5_500))).await.unwrap();
    let read = async || {
        let sent = rig.table.client.get_item().table_name("items");
        let key = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
        let sent = sent.key("pk", key("p")).key("sk", key("a")).send().await;
        sent.unwrap().item.unwrap()
    };
    let item = read().await;
    assert_eq!(
        item["ttl"].as_n().unwrap(),
        "6",
        "not before it has expired"
    );
    assert_eq!(item["exp"].as_n().unwrap(), "5500");
    rig.store().put(1, put("a", None)).await.unwrap();
    let item = read().await;
    assert!(!item.contains_key("ttl") && !item.contains_key("exp"));
}

#[tokio::test]
async fn an_action_that_is_not_listed_is_refused_before_it_is_sent() {
    let mut rig = Rig::start().await;
    for left_out in ALL_ACTIONS {
        rig.table.actions = ALL_ACTIONS
            .into_iter()
            .filter(|action| *action != left_out)
            .collect();
        let store = rig.store();
        let key = Key::new("p", "a");
        let delete = Delete { key, version: None };
        rig.proxy.script([]);
        let two = [
            Write::Put(put("a", None)),
            Write::Delete(Delete {
                key: Key::new("p", "b"),
                version: None,
            }),
        ];
        let results = [
            (TableAction::GetItem, store.get(1, key).await.map(drop)),
            (
                TableAction::BatchGetItem,
                store
                    .get_many(1, &[key, Key::new("p", "b")])
                    .await
                    .map(drop),
            ),
            (
                TableAction::Query,
                store.query(1, Query::all("p", 1)).await.map(drop),
            ),
            (
                TableAction::UpdateItem,
                store.put(1, put("a", None)).await.map(drop),
            ),
            (
                TableAction::UpdateItem,
                store
                    .increment(1, Key::new("p", "n"), 1, None)
                    .await
                    .map(drop),
            ),
            (TableAction::DeleteItem, store.delete(1, delete).await),
        ];
        for (action, result) in results {
            assert_eq!(
                result.is_err(),
                action == left_out,
                "{action:?} without {left_out:?}"
            );
        }
        let needs = [TableAction::UpdateItem, TableAction::DeleteItem];
        let commit = store.commit(1, &two).await;
        assert_eq!(commit.is_err(), needs.contains(&left_out), "{left_out:?}");
        if needs.contains(&left_out) {
            assert!(matches!(commit, Err(StoreError::Unavailable(_))));
            assert!(!counts(&rig.proxy.seen()).contains_key("TransactWriteItems"));
        }
    }
}

#[tokio::test]
async fn a_partition_that_is_not_listed_is_refused_before_it_is_sent() {
    let mut rig = Rig::start().await;
    rig.table.partitions = vec!["mine#*".to_owned(), "p".to_owned()];
    let store = rig.store();
    rig.proxy.script([]);
    let (own, other) = (Key::new("p", "a"), Key::new("pp", "a"));
    let delete = |key| Delete { key, version: None };
    let other_put = Put {
        key: other,
        ..put("a", None)
    };
    let results = [
        store.get(1, other).await.map(drop),
        store.get_many(1, &[own, other]).await.map(drop),
        store.query(1, Query::all("mine", 1)).await.map(drop),
        store.put(1, other_put).await.map(drop),
        store.increment(1, other, 1, None).await.map(drop),
        store.delete(1, delete(other)).await,
        store
            .commit(1, &[Write::Delete(delete(own)), Write::Put(other_put)])
            .await,
    ];
    for result in results {
        let Err(StoreError::Unavailable(why)) = result else {
            panic!("{result:?}");
        };
        assert!(why.ends_with("not among the partitions of the function's permissions"));
    }
    assert!(counts(&rig.proxy.seen()).is_empty());
    store.query(1, Query::all("mine#1", 1)).await.unwrap();
    store.get(1, own).await.unwrap();
}
