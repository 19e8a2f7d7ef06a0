//! Throttling, silence, broken connections and a killed emulator: what callers hear, what is
//! repeated, and what is in the table afterwards.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[allow(
    dead_code,
    unreachable_pub,
    reason = "each file of tests uses a part of it"
)]
mod support;

use std::sync::Arc;
use std::time::Duration;

use edge::Refusal;
use edge::store::{Condition, Delete, Key, Put, Query, Store, StoreError, Write};
use support::{Fate, Rig, counts};
use tokio::time::Instant;
use wire::problem::ProblemKind;

const BUSY: [&str; 5] = [
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "RequestLimitExceeded",
    "TransactionConflictException",
    "TransactionInProgressException",
];

fn put(sort: &str, condition: Condition) -> Put<'_> {
    Put {
        key: Key::new("p", sort),
        value: b"v",
        expires_at_ms: None,
        condition,
    }
}

fn is_unavailable<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    let Err(error @ StoreError::Unavailable(_)) = result else {
        panic!("{result:?}");
    };
    assert_eq!(Refusal::from(error).kind, ProblemKind::StoreUnavailable);
}

async fn version(rig: &Rig, sort: &str) -> Option<u64> {
    let item = rig.store().get(1, Key::new("p", sort)).await.unwrap();
    item.map(|item| item.version)
}

#[tokio::test]
async fn throttling_is_waited_out_and_every_write_happens_once() {
    let rig = Rig::impatient().await;
    let store = rig.store();
    for code in BUSY {
        let fates = [Fate::Refuse(code); 4];
        rig.proxy.script(fates);
        let written = store.put(1, put(code, Condition::Absent)).await;
        assert_eq!((written, rig.proxy.seen().len()), (Ok(1), 5), "{code}");
        rig.proxy.script(fates);
        let sum = store.increment(1, Key::new("n", code), 7, None).await;
        assert_eq!(sum, Ok(7), "{code}");
        rig.proxy.script(fates);
        let both = ["a", "b"].map(|sort| Write::Put(put(sort, Condition::Always)));
        assert_eq!(store.commit(1, &both).await, Ok(()), "{code}");
        rig.proxy.script(fates);
        assert!(store.get(1, Key::new("p", code)).await.unwrap().is_some());
    }
    assert_eq!(version(&rig, "a").await, Some(BUSY.len() as u64));
}

#[tokio::test]
async fn throttling_without_end_is_told_after_a_bounded_number_of_attempts() {
    let rig = Rig::impatient().await;
    for code in BUSY {
        rig.proxy.decide(move |_| Fate::Refuse(code));
        let started = Instant::now();
        is_unavailable(rig.store().put(1, put("a", Condition::Absent)).await);
        assert!(started.elapsed() < Duration::from_secs(5));
        assert_eq!(rig.proxy.seen().len(), 5);
    }
    rig.proxy.script([]);
    assert_eq!(version(&rig, "a").await, None);
}

#[tokio::test]
async fn what_would_fail_again_is_not_repeated() {
    let rig = Rig::impatient().await;
    for code in [
        "ValidationException",
        "AccessDeniedException",
        "ResourceNotFoundException",
    ] {
        rig.proxy.decide(move |_| Fate::Refuse(code));
        is_unavailable(rig.store().put(1, put("a", Condition::Absent)).await);
        assert_eq!(rig.proxy.seen().len(), 1, "{code}");
    }
}

#[tokio::test]
async fn a_read_survives_whatever_happens_once() {
    let rig = Rig::impatient().await;
    rig.store()
        .put(1, put("a", Condition::Absent))
        .await
        .unwrap();
    for fate in [
        Fate::Fail,
        Fate::BreakBefore,
        Fate::BreakAfter,
        Fate::Silence,
    ] {
        rig.proxy.script([fate]);
        assert_eq!(version(&rig, "a").await, Some(1), "{fate:?}");
        assert_eq!(rig.proxy.seen().len(), 2, "{fate:?}");
    }
}

#[tokio::test]
async fn a_condition_that_our_own_lost_write_broke_is_not_told_as_a_conflict() {
    let rig = Rig::impatient().await;
    let store = rig.store();
    for (sort, fate) in [("after", Fate::BreakAfter), ("silence", Fate::Silence)] {
        rig.proxy.script([fate]);
        is_unavailable(store.put(1, put(sort, Condition::Absent)).await);
        assert_eq!(version(&rig, sort).await, Some(1), "it was written, once");
        rig.proxy.script([fate]);
        is_unavailable(store.put(1, put(sort, Condition::Version(1))).await);
        assert_eq!(version(&rig, sort).await, Some(2));
        rig.proxy.script([fate]);
        let delete = Delete {
            key: Key::new("p", sort),
            version: Some(2),
        };
        is_unavailable(store.delete(1, delete).await);
        assert_eq!(version(&rig, sort).await, None);
    }
    // Where the first attempt did not arrive, the second does all of it.
    for fate in [Fate::Fail, Fate::BreakBefore] {
        rig.proxy.script([fate]);
        let version = version(&rig, "before").await;
        let condition = version.map_or(Condition::Absent, Condition::Version);
        rig.proxy.script([fate]);
        let written = store.put(1, put("before", condition)).await;
        assert_eq!(written, Ok(version.unwrap_or(0) + 1));
    }
    // And a condition that others broke is a conflict as ever.
    rig.proxy.script([Fate::Refuse("ThrottlingException")]);
    let late = store.put(1, put("before", Condition::Absent)).await;
    assert_eq!(late, Err(StoreError::ConditionFailed));
}

#[tokio::test]
async fn a_count_is_never_added_twice() {
    let rig = Rig::impatient().await;
    let (store, key) = (rig.store(), Key::new("n", "a"));
    for (fate, counted) in [
        (Fate::Fail, 0),
        (Fate::BreakBefore, 0),
        (Fate::BreakAfter, 1),
        (Fate::Silence, 1),
    ] {
        let before = store.increment(1, key, 0, None).await.unwrap();
        rig.proxy.script([fate]);
        is_unavailable(store.increment(1, key, 1, None).await);
        assert_eq!(rig.proxy.seen().len(), 1, "{fate:?}");
        let after = store.increment(1, key, 0, None).await.unwrap();
        assert_eq!(after - before, counted, "{fate:?}");
    }
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_whole_and_repeated_by_its_name() {
    let rig = Rig::impatient().await;
    let store = rig.store();
    let fates = [
        Fate::Fail,
        Fate::BreakBefore,
        Fate::BreakAfter,
        Fate::Silence,
    ];
    for (round, fate) in fates.into_iter().enumerate() {
        let sorts = [format!("left{round}"), format!("right{round}")];
        let writes = [&sorts[0], &sorts[1]].map(|sort| Write::Put(put(sort, Condition::Absent)));
        rig.proxy.script([fate]);
        let result = store.commit(1, &writes).await;
        let seen = rig.proxy.seen();
        assert_eq!(counts(&seen)["TransactWriteItems"], 2, "{fate:?}");
        assert_eq!(
            seen[0].token, seen[1].token,
            "DynamoDB knows it again by this"
        );
        assert!(seen[0].token.is_some());
        // DynamoDB would answer the second attempt as the first; the emulator forgets tokens, and
        // then it must not look like somebody else's write.
        if matches!(fate, Fate::Fail | Fate::BreakBefore) {
            assert_eq!(result, Ok(()));
        } else {
            is_unavailable(result);
        }
        let versions = [
            version(&rig, &sorts[0]).await,
            version(&rig, &sorts[1]).await,
        ];
        assert_eq!(versions, [Some(1), Some(1)], "{fate:?}");
    }
    let tokens: std::collections::BTreeSet<_> = {
        rig.proxy.script([]);
        for _ in 0..3 {
            let both = ["x", "y"].map(|sort| Write::Put(put(sort, Condition::Always)));
            store.commit(1, &both).await.unwrap();
        }
        rig.proxy
            .seen()
            .into_iter()
            .filter_map(|seen| seen.token)
            .collect()
    };
    assert_eq!(tokens.len(), 3, "each commit has a name of its own");
}

#[tokio::test]
async fn the_deadline_holds_whatever_the_store_does() {
    let rig = Rig::impatient().await;
    for fate in [
        Fate::Silence,
        Fate::Refuse("ThrottlingException"),
        Fate::BreakBefore,
    ] {
        rig.proxy.decide(move |_| fate);
        let limit = Duration::from_millis(100);
        let started = Instant::now();
        is_unavailable(rig.store_until(limit).get(1, Key::new("p", "a")).await);
        let took = started.elapsed();
        assert!(
            took >= limit || fate != Fate::Silence,
            "{fate:?} took {took:?}"
        );
        // The limit, and what a busy machine adds; an attempt alone would wait for a second.
        assert!(took < 6 * limit, "{fate:?} took {took:?}");
    }
    let started = Instant::now();
    rig.proxy.decide(|_| Fate::Silence);
    is_unavailable(
        rig.store_until(Duration::ZERO)
            .put(1, put("a", Condition::Always))
            .await,
    );
    assert!(
        started.elapsed() < Duration::from_millis(250),
        "no attempt is waited for"
    );
}

#[tokio::test]
async fn an_emulator_that_is_killed_in_mid_commit_is_a_problem_and_nobody_saw_a_half() {
    let rig = Rig::impatient().await;
    let mut committed = 0;
    for round in 0..6_u64 {
        let victim = Arc::clone(&rig.moto);
        let mut commits = 0;
        rig.proxy.decide(move |seen| {
            commits += u64::from(seen.operation == "TransactWriteItems");
            if commits == 20 {
                let victim = Arc::clone(&victim);
                // Before it has the request, in the middle of it, or when it has answered.
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(round)).await;
                    victim.lock().unwrap().kill();
                });
            }
            Fate::Pass
        });
        let (store, reader) = (rig.store(), rig.store());
        let writing = async {
            for written in 0_u64.. {
                let value = written.to_string();
                let both = ["a", "b"].map(|sort| {
                    let all = put(sort, Condition::Always);
                    Write::Put(Put {
                        value: value.as_bytes(),
                        ..all
                    })
                });
                if let Err(error) = store.commit(1, &both).await {
                    is_unavailable::<()>(Err(error));
                    return written;
                }
            }
            unreachable!("the emulator is killed")
        };
        let reading = async {
            // One request: both items as they are at one moment.
            while let Ok(both) = reader.query(1, Query::all("p", 9)).await {
                let values: Vec<&[u8]> = both.iter().map(|item| item.value.as_slice()).collect();
                let is_whole = values.is_empty() || (values.len() == 2 && values[0] == values[1]);
                assert!(is_whole, "{both:?}");
            }
        };
        committed += tokio::join!(writing, reading).0;
        // Another one, which is empty: the same client goes on.
        let next = Rig::emulator().await;
        rig.proxy.turn_to(next.url());
        *rig.moto.lock().unwrap() = next;
        rig.proxy.script([]);
        let both = ["a", "b"].map(|sort| Write::Put(put(sort, Condition::Absent)));
        assert_eq!(rig.store().commit(1, &both).await, Ok(()));
        assert_eq!(
            [version(&rig, "a").await, version(&rig, "b").await],
            [Some(1); 2]
        );
    }
    assert!(committed >= 6 * 19);
}
