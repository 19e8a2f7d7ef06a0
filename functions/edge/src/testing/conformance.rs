//! What a store must do, as a suite that every adapter runs. A failed check panics and names
//! itself. Partitions that it uses begin with `conformance`; they must be empty before.

use crate::store::{
    Condition, Delete, Direction, Item, Key, MAX_COMMIT_BYTES, MAX_COMMIT_WRITES, MAX_GET_ITEMS,
    MAX_KEY_BYTES, MAX_QUERY_ITEMS, MAX_VALUE_BYTES, Put, Query, Store, StoreError, Write,
};
use crate::testing::schedule::join_all;

const NOW: u64 = 1_700_000_000_000;

/// Runs every check. `stores` are handles of one and the same store, at least two: as many
/// writers are let loose on it at once.
pub async fn check<S: Store>(stores: &[S]) {
    assert!(stores.len() >= 2, "concurrency needs two handles");
    let store = &stores[0];
    // Some emulators become slower with what they hold, transactions most of all: what asks often
    // comes first, what holds much last.
    one_of_many_wins(stores).await;
    no_increment_is_lost(stores).await;
    no_commit_is_torn(stores).await;
    conditions_decide(store).await;
    many_are_read_as_one_by_one(store).await;
    an_item_is_seen_by_every_handle(stores).await;
    expired_items_are_gone(store).await;
    deletes_obey_versions(store).await;
    queries_are_ordered_and_bounded(store).await;
    queries_pass_over_the_expired(store).await;
    counters_count(store).await;
    commits_are_all_or_nothing(store).await;
    limits_are_refused(store).await;
    values_come_back_unchanged(store).await;
    queries_end_at_their_cap(store).await;
}

fn put<'a>(key: Key<'a>, value: &'a [u8], condition: Condition) -> Put<'a> {
    Put {
        key,
        value,
        expires_at_ms: None,
        condition,
    }
}

fn expiring<'a>(key: Key<'a>, value: &'a [u8], condition: Condition, at: u64) -> Put<'a> {
    Put {
        expires_at_ms: Some(at),
        ..put(key, value, condition)
    }
}

async fn value<S: Store>(store: &S, now: u64, key: Key<'_>) -> Option<Vec<u8>> {
    store
        .get(now, key)
        .await
        .unwrap_or_else(|e| panic!("get: {e}"))
        .map(|item| item.value)
}

const FAILED: StoreError = StoreError::ConditionFailed;

async fn conditions_decide<S: Store>(store: &S) {
    let key = Key::new("conformance-conditions", "a");
    assert_eq!(
        store.get(NOW, key).await,
        Ok(None),
        "nothing is there at first"
    );
    let early = store.put(NOW, put(key, b"x", Condition::Version(1))).await;
    assert_eq!(early, Err(FAILED), "an absent item has no version");
    assert_eq!(
        store.put(NOW, put(key, b"one", Condition::Absent)).await,
        Ok(1)
    );
    assert_eq!(
        store.put(NOW, put(key, b"x", Condition::Absent)).await,
        Err(FAILED)
    );
    assert_eq!(
        store.put(NOW, put(key, b"x", Condition::Version(2))).await,
        Err(FAILED)
    );
    assert_eq!(
        store
            .put(NOW, put(key, b"two", Condition::Version(1)))
            .await,
        Ok(2)
    );
    assert_eq!(
        store.put(NOW, put(key, b"three", Condition::Always)).await,
        Ok(3)
    );
    let item = Item {
        sort: "a".into(),
        value: b"three".into(),
        version: 3,
        expires_at_ms: None,
    };
    assert_eq!(store.get(NOW, key).await, Ok(Some(item)));
    let other = Key::new("conformance-conditions", "b");
    assert_eq!(
        store.put(NOW, put(other, b"new", Condition::Always)).await,
        Ok(1)
    );
}

async fn many_are_read_as_one_by_one<S: Store>(store: &S) {
    let names: Vec<String> = (0..=MAX_GET_ITEMS).map(|i| format!("{i:03}")).collect();
    // Each in a partition of its own or shared with others, of every size, absent or expired.
    let partitions: Vec<String> = names.iter().map(|name| partition_of(name)).collect();
    let keys: Vec<Key<'_>> = partitions
        .iter()
        .zip(&names)
        .map(|(partition, name)| Key::new(partition, name))
        .collect();
    let big = vec![3; MAX_VALUE_BYTES / 16];
    for (i, key) in keys[..MAX_GET_ITEMS].iter().enumerate() {
        let item = match i % 4 {
            0 => continue,
            1 => expiring(*key, b"gone", Condition::Always, NOW),
            2 => put(*key, &big, Condition::Always),
            _ => put(*key, key.sort.as_bytes(), Condition::Always),
        };
        assert_eq!(store.put(NOW - 1, item).await, Ok(1));
    }
    let found = store.get_many(NOW, &keys[..MAX_GET_ITEMS]).await;
    let found = found.unwrap_or_else(|e| panic!("get_many: {e}"));
    assert_eq!(found.len(), MAX_GET_ITEMS);
    for (key, item) in keys.iter().zip(&found) {
        assert_eq!(Ok(item), store.get(NOW, *key).await.as_ref(), "{key:?}");
    }
    let twice = [keys[3], keys[0], keys[3]];
    let found = store.get_many(NOW, &twice).await;
    let found = found.unwrap_or_else(|e| panic!("get_many: {e}"));
    assert!(found[0].is_some() && found[0] == found[2] && found[1].is_none());
    assert_eq!(store.get_many(NOW, &[]).await, Ok(vec![]));
    let one = store.get_many(NOW, &keys[3..4]).await;
    assert_eq!(one, Ok(vec![found[0].clone()]));
    let too_many = store.get_many(NOW, &keys).await;
    assert_eq!(too_many, Err(StoreError::TooLarge));
}

fn partition_of(name: &str) -> String {
    match name.ends_with('3') {
        true => "conformance-many".to_owned(),
        false => format!("conformance-many-{name}"),
    }
}

async fn an_item_is_seen_by_every_handle<S: Store>(stores: &[S]) {
    let key = Key::new("conformance-handles", "a");
    for (i, writer) in stores.iter().enumerate() {
        let text = i.to_string();
        let written = writer
            .put(NOW, put(key, text.as_bytes(), Condition::Always))
            .await;
        assert_eq!(written, Ok(i as u64 + 1));
        for reader in stores {
            assert_eq!(
                value(reader, NOW, key).await.as_deref(),
                Some(text.as_bytes())
            );
        }
    }
}

async fn expired_items_are_gone<S: Store>(store: &S) {
    let key = Key::new("conformance-expiry", "a");
    let end = NOW + 1000;
    assert_eq!(
        store
            .put(NOW, expiring(key, b"1", Condition::Absent, end))
            .await,
        Ok(1)
    );
    let item = store
        .get(end - 1, key)
        .await
        .unwrap_or_else(|e| panic!("get: {e}"));
    assert_eq!(
        item.and_then(|item| item.expires_at_ms),
        Some(end),
        "there until its time"
    );
    assert_eq!(store.get(end, key).await, Ok(None), "gone at its time");
    let all = Query::all("conformance-expiry", 10);
    assert_eq!(store.query(end, all).await, Ok(vec![]), "gone from queries");
    let stale = store
        .put(end, expiring(key, b"2", Condition::Version(1), end + 1))
        .await;
    assert_eq!(stale, Err(FAILED), "an expired item has no version");
    let again = store
        .put(end, expiring(key, b"3", Condition::Absent, end + 1))
        .await;
    assert!(again.is_ok(), "an expired item is absent");
    assert_eq!(
        value(store, end, key).await.as_deref(),
        Some(b"3".as_slice())
    );
    let forever = store.put(end, put(key, b"4", Condition::Always)).await;
    assert!(forever.is_ok());
    assert_eq!(
        value(store, u64::MAX >> 2, key).await.as_deref(),
        Some(b"4".as_slice())
    );
}

async fn deletes_obey_versions<S: Store>(store: &S) {
    let key = Key::new("conformance-delete", "a");
    let delete = |version| Delete { key, version };
    assert_eq!(
        store.delete(NOW, delete(None)).await,
        Ok(()),
        "absent already"
    );
    assert_eq!(store.delete(NOW, delete(Some(1))).await, Err(FAILED));
    assert_eq!(
        store.put(NOW, put(key, b"1", Condition::Always)).await,
        Ok(1)
    );
    assert_eq!(store.delete(NOW, delete(Some(2))).await, Err(FAILED));
    assert_eq!(store.delete(NOW, delete(Some(1))).await, Ok(()));
    assert_eq!(store.get(NOW, key).await, Ok(None));
    assert_eq!(
        store.put(NOW, put(key, b"2", Condition::Absent)).await,
        Ok(1)
    );
    assert_eq!(store.delete(NOW, delete(None)).await, Ok(()));
    let soon = expiring(key, b"3", Condition::Absent, NOW + 1);
    assert_eq!(store.put(NOW, soon).await, Ok(1));
    assert_eq!(
        store.delete(NOW + 1, delete(Some(1))).await,
        Err(FAILED),
        "expired"
    );
}

async fn queries_are_ordered_and_bounded<S: Store>(store: &S) {
    let partition = "conformance-query";
    // Byte order: "B" before "a", "é" last.
    let sorts = ["B", "a", "a#1", "a#2", "b", "é"];
    for sort in sorts.iter().rev() {
        let done = store
            .put(NOW, put(Key::new(partition, sort), b"", Condition::Always))
            .await;
        assert_eq!(done, Ok(1));
    }
    let beside = Key::new("conformance-query2", "a");
    assert_eq!(
        store.put(NOW, put(beside, b"", Condition::Always)).await,
        Ok(1)
    );
    let run = async |from, to, limit, direction| -> Vec<String> {
        let query = Query {
            partition,
            from,
            to,
            limit,
            direction,
        };
        let items = store
            .query(NOW, query)
            .await
            .unwrap_or_else(|e| panic!("query: {e}"));
        items.into_iter().map(|item| item.sort).collect()
    };
    use Direction::{Backward, Forward};
    assert_eq!(run(None, None, 10, Forward).await, sorts);
    assert_eq!(run(None, None, 2, Forward).await, ["B", "a"]);
    assert_eq!(run(None, None, 2, Backward).await, ["é", "b"]);
    assert_eq!(
        run(Some("a#"), Some("a#~"), 10, Forward).await,
        ["a#1", "a#2"]
    );
    assert_eq!(
        run(Some("a"), Some("b"), 10, Backward).await,
        ["b", "a#2", "a#1", "a"]
    );
    assert_eq!(run(Some("c"), Some("d"), 10, Forward).await, [""; 0]);
    assert_eq!(run(None, None, 0, Forward).await, [""; 0]);
    assert_eq!(run(Some("b"), Some("a"), 10, Forward).await, [""; 0]);
    assert_eq!(run(Some("a#2"), None, 10, Forward).await, sorts[3..]);
    assert_eq!(run(None, Some("a"), 10, Forward).await, sorts[..2]);
    assert_eq!(run(Some(""), None, 1, Forward).await, ["B"]);
}

/// Items that a query passes over, because they are gone, do not count against its limit, however
/// many there are: a store that pages reads on.
async fn queries_pass_over_the_expired<S: Store>(store: &S) {
    let partition = "conformance-page";
    let value = vec![1; MAX_VALUE_BYTES];
    for (sort, end) in [("a", 1), ("b", 9), ("c", 1), ("d", 9), ("e", 1), ("f", 9)] {
        let item = Key::new(partition, sort);
        let done = store.put(NOW, expiring(item, &value, Condition::Always, NOW + end));
        assert_eq!(done.await, Ok(1));
    }
    let found = store.query(NOW + 1, Query::all(partition, 2)).await;
    let found = found.unwrap_or_else(|e| panic!("query: {e}"));
    let sorts: Vec<&str> = found.iter().map(|item| item.sort.as_str()).collect();
    assert_eq!(sorts, ["b", "d"]);
    let last = Query {
        direction: Direction::Backward,
        ..Query::all(partition, 2)
    };
    let found = store.query(NOW + 1, last).await;
    let found = found.unwrap_or_else(|e| panic!("query: {e}"));
    let sorts: Vec<&str> = found.iter().map(|item| item.sort.as_str()).collect();
    assert_eq!(sorts, ["f", "d"]);
}

/// However much is asked for, and over as many pages as the store has.
async fn queries_end_at_their_cap<S: Store>(store: &S) {
    let partition = "conformance-cap";
    let sorts: Vec<String> = (0..MAX_QUERY_ITEMS + 5)
        .map(|i| format!("{i:05}"))
        .collect();
    for sort in &sorts {
        let item = put(Key::new(partition, sort), b"", Condition::Always);
        assert_eq!(store.put(NOW, item).await, Ok(1));
    }
    let found = store.query(NOW, Query::all(partition, usize::MAX)).await;
    let found = found.unwrap_or_else(|e| panic!("query: {e}"));
    let found: Vec<&str> = found.iter().map(|item| item.sort.as_str()).collect();
    assert_eq!(found, sorts[..MAX_QUERY_ITEMS]);
}

async fn counters_count<S: Store>(store: &S) {
    let key = Key::new("conformance-counter", "a");
    let end = NOW + 1000;
    assert_eq!(store.increment(NOW, key, 5, Some(end)).await, Ok(5));
    assert_eq!(store.increment(NOW, key, -7, Some(end)).await, Ok(-2));
    assert_eq!(
        value(store, NOW, key).await.as_deref(),
        Some(b"-2".as_slice())
    );
    let item = store
        .get(NOW, key)
        .await
        .unwrap_or_else(|e| panic!("get: {e}"));
    assert_eq!(item.map(|item| item.version), Some(2));
    assert_eq!(
        store.increment(end, key, 3, None).await,
        Ok(3),
        "expired counts from 0"
    );
    assert_eq!(store.increment(u64::MAX >> 2, key, 1, None).await, Ok(4));
}

async fn commits_are_all_or_nothing<S: Store>(store: &S) {
    let [a, b, c] = ["a", "b", "c"].map(|sort| Key::new("conformance-commit", sort));
    let write = |key, value, condition| Write::Put(put(key, value, condition));
    let first = [
        write(a, b"1".as_slice(), Condition::Absent),
        write(b, b"1", Condition::Always),
    ];
    assert_eq!(store.commit(NOW, &first).await, Ok(()));
    let torn = [
        write(a, b"2".as_slice(), Condition::Version(1)),
        Write::Delete(Delete {
            key: b,
            version: None,
        }),
        write(c, b"2", Condition::Version(9)),
    ];
    assert_eq!(store.commit(NOW, &torn).await, Err(FAILED));
    assert_eq!(value(store, NOW, a).await.as_deref(), Some(b"1".as_slice()));
    assert_eq!(value(store, NOW, b).await.as_deref(), Some(b"1".as_slice()));
    let whole = [
        write(a, b"3".as_slice(), Condition::Version(1)),
        Write::Delete(Delete {
            key: b,
            version: Some(1),
        }),
        write(c, b"3", Condition::Absent),
    ];
    assert_eq!(store.commit(NOW, &whole).await, Ok(()));
    assert_eq!(value(store, NOW, a).await.as_deref(), Some(b"3".as_slice()));
    assert_eq!(value(store, NOW, b).await, None);
    assert_eq!(value(store, NOW, c).await.as_deref(), Some(b"3".as_slice()));
    assert_eq!(store.commit(NOW, &[]).await, Ok(()));
    let twice = [
        write(a, b"4".as_slice(), Condition::Always),
        write(c, b"4", Condition::Always),
        Write::Delete(Delete {
            key: a,
            version: None,
        }),
    ];
    let done = store.commit(NOW, &twice).await;
    assert!(matches!(done, Err(StoreError::Unavailable(_))), "{done:?}");
    assert_eq!(value(store, NOW, a).await.as_deref(), Some(b"3".as_slice()));
    assert_eq!(value(store, NOW, c).await.as_deref(), Some(b"3".as_slice()));
}

async fn limits_are_refused<S: Store>(store: &S) {
    let partition = "conformance-limits";
    let long = "k".repeat(MAX_KEY_BYTES + 1);
    let big = vec![7; MAX_VALUE_BYTES + 1];
    let too_long = put(Key::new(partition, &long), b"", Condition::Always);
    assert_eq!(store.put(NOW, too_long).await, Err(StoreError::TooLarge));
    let too_big = put(Key::new(partition, "a"), &big, Condition::Always);
    assert_eq!(store.put(NOW, too_big).await, Err(StoreError::TooLarge));
    let many: Vec<String> = (0..=MAX_COMMIT_WRITES).map(|i| i.to_string()).collect();
    let writes: Vec<Write<'_>> = many
        .iter()
        .map(|sort| Write::Put(put(Key::new(partition, sort), b"", Condition::Always)))
        .collect();
    assert_eq!(store.commit(NOW, &writes).await, Err(StoreError::TooLarge));
    let heavy: Vec<Write<'_>> = many[..=MAX_COMMIT_BYTES / MAX_VALUE_BYTES]
        .iter()
        .map(|sort| Write::Put(put(Key::new(partition, sort), &big[1..], Condition::Always)))
        .collect();
    assert_eq!(store.commit(NOW, &heavy).await, Err(StoreError::TooLarge));
    assert_eq!(store.query(NOW, Query::all(partition, 9)).await, Ok(vec![]));
    assert_eq!(store.commit(NOW, &writes[1..]).await, Ok(()));
    let whole = put(
        Key::new(partition, &long[1..]),
        &big[1..],
        Condition::Always,
    );
    assert_eq!(
        store.put(NOW, whole).await,
        Ok(1),
        "the limits themselves are allowed"
    );
}

async fn values_come_back_unchanged<S: Store>(store: &S) {
    let key = Key::new("conformance-values", "' OR 1=1; -- \u{1f980}");
    let bytes: Vec<u8> = (0..=255).collect();
    for wanted in [bytes.as_slice(), b"", b"text", &[0], &[0xff, 0xfe]] {
        let done = store.put(NOW, put(key, wanted, Condition::Always)).await;
        assert!(done.is_ok());
        assert_eq!(value(store, NOW, key).await.as_deref(), Some(wanted));
    }
}

const WRITERS: usize = 8;

async fn one_of_many_wins<S: Store>(stores: &[S]) {
    let key = Key::new("conformance-race", "a");
    for round in 0..10_u64 {
        let condition = if round == 0 {
            Condition::Absent
        } else {
            Condition::Version(round)
        };
        let writers = (0..WRITERS).map(|i| {
            let store = &stores[i % stores.len()];
            Box::pin(async move { store.put(NOW, put(key, b"", condition)).await }) as _
        });
        let results = join_all(writers.collect()).await;
        let winners = results
            .iter()
            .filter(|result| **result == Ok(round + 1))
            .count();
        let losers = results
            .iter()
            .filter(|result| **result == Err(FAILED))
            .count();
        assert_eq!(
            (winners, losers),
            (1, WRITERS - 1),
            "round {round}: {results:?}"
        );
    }
}

async fn no_increment_is_lost<S: Store>(stores: &[S]) {
    let key = Key::new("conformance-race", "counter");
    let writers = (0..WRITERS).map(|i| {
        let store = &stores[i % stores.len()];
        Box::pin(async move {
            for _ in 0..10 {
                let done = store.increment(NOW, key, 1, None).await;
                assert!(done.is_ok(), "{done:?}");
            }
        }) as _
    });
    join_all(writers.collect()).await;
    assert_eq!(
        value(&stores[0], NOW, key).await.as_deref(),
        Some(b"80".as_slice())
    );
}

async fn no_commit_is_torn<S: Store>(stores: &[S]) {
    let [a, b] = ["left", "right"].map(|sort| Key::new("conformance-race", sort));
    let writers = (0..WRITERS).map(|i| {
        let store = &stores[i % stores.len()];
        Box::pin(async move {
            for round in 0..5 {
                let text = format!("{i}.{round}");
                let both = [a, b].map(|k| Write::Put(put(k, text.as_bytes(), Condition::Always)));
                let done = store.commit(NOW, &both).await;
                assert_eq!(done, Ok(()), "a commit without conditions waits its turn");
            }
        }) as _
    });
    join_all(writers.collect()).await;
    let left = value(&stores[0], NOW, a).await;
    assert!(left.is_some());
    assert_eq!(left, value(&stores[0], NOW, b).await);
}
