//! Databases: what a component may do with them, and that nothing it leaves behind reaches the next
//! one.
#![expect(
    clippy::disallowed_methods,
    reason = "tests with real processes need deadlines"
)]

use std::time::{Duration, Instant};

use crate::support::{Rig, config};

#[tokio::test(flavor = "multi_thread")]
async fn values_survive_a_round_trip_both_ways_of_calling() {
    let mut rig = Rig::start().await;
    let reply = rig.get("/sqlite/round-trip").await;
    reply.assert_ok(
        "1 [[Value::Text(\"a\"), Value::Integer(7), Value::Real(1.5), \
         Value::Blob([0, 255]), Value::Null]]",
    );
    let record = rig.record().await;
    // One select; create, delete and insert.
    assert_eq!((record.store_reads, record.store_writes), (1, 3));
    rig.get("/sqlite/blocking")
        .await
        .assert_ok("1 [\"key\", \"number\"] [Value::Text(\"b\"), Value::Integer(7)]");
    rig.get("/sqlite/two-reads")
        .await
        .assert_ok("[] [[Value::Integer(7), Value::Blob([0, 255])]]");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_granted_databases_open() {
    let rig = Rig::start().await;
    rig.get("/sqlite/open?default").await.assert_ok("opened");
    for name in ["other", "../default", ""] {
        let reply = rig.get(&format!("/sqlite/open?{name}")).await;
        assert!(reply.body.contains("AccessDenied"), "{}", reply.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_left_open_is_rolled_back_whatever_ended_the_guest() {
    let rig = Rig::with_limits(|limits| {
        limits.request_ms = 300;
        limits.sqlite_busy_ms = 0;
    })
    .await;
    for end in ["trap", "spin", "sleep", "leak", "return"] {
        rig.get(&format!("/sqlite/abandon?{end}")).await;
        // No busy time: this fails at once if anything still holds the lock or the transaction.
        let count = "SELECT count(*) FROM items WHERE key = 'abandoned'";
        let reply = rig.post("/sqlite/run", count).await;
        assert!(
            reply.body.ends_with("[Value::Integer(0)]\n"),
            "{end}: {}",
            reply.body
        );
        let begin = rig.post("/sqlite/run", "BEGIN IMMEDIATE").await;
        assert_eq!(begin.status, 200, "{end}: {}", begin.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_waits_for_another_up_to_the_limit() {
    let rig = Rig::with_limits(|limits| limits.sqlite_busy_ms = 1_500).await;
    rig.get("/sqlite/round-trip").await;
    let insert = "INSERT INTO items (key) VALUES ('waited')";
    let (held, waited) = tokio::join!(rig.get("/sqlite/hold?200"), async {
        rig.until_in_flight(1).await;
        rig.post("/sqlite/run", insert).await
    });
    held.assert_ok("committed");
    assert_eq!(waited.status, 200, "{}", waited.body);

    let (held, refused) = tokio::join!(rig.get("/sqlite/hold?3000"), async {
        loop {
            let began = Instant::now();
            let delete = "DELETE FROM items WHERE key = 'waited'";
            let reply = rig.post("/sqlite/run", delete).await;
            if reply.status != 200 {
                return (reply, began.elapsed());
            }
        }
    });
    held.assert_ok("committed");
    assert!(
        refused.0.body.contains("database is locked"),
        "{}",
        refused.0.body
    );
    let took = refused.1;
    assert!(
        (Duration::from_millis(1_400)..Duration::from_secs(3)).contains(&took),
        "{took:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_do_not_wait_for_a_writer() {
    let rig = Rig::start().await;
    rig.get("/sqlite/round-trip").await;
    let (held, reads) = tokio::join!(rig.get("/sqlite/hold?500"), async {
        let mut reads = 0;
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(300) {
            assert_eq!(rig.get("/sqlite/two-reads").await.status, 200);
            reads += 1;
        }
        reads
    });
    held.assert_ok("committed");
    assert!(reads > 5, "{reads}");
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_that_reach_outside_the_database_are_denied() {
    let rig = Rig::start().await;
    let outside = rig.folder.0.join("outside.db");
    let outside = outside.display();
    for statement in [
        format!("ATTACH '{outside}' AS other"),
        format!("VACUUM INTO '{outside}'"),
        "PRAGMA journal_mode = DELETE".to_owned(),
        "PRAGMA writable_schema = 1".to_owned(),
        "PRAGMA synchronous = OFF".to_owned(),
        "CREATE TEMP TABLE kept (a)".to_owned(),
        "SELECT load_extension('x')".to_owned(),
        "no statement".to_owned(),
        "SELECT ?".to_owned(),
    ] {
        let reply = rig.post("/sqlite/run", statement.clone()).await;
        let shown: String = statement.chars().take(60).collect();
        assert_ne!(reply.status, 200, "{shown}: {}", reply.body);
    }
    assert!(!rig.folder.0.join("outside.db").exists());
    let reply = rig.post("/sqlite/run", "PRAGMA user_version").await;
    assert_eq!(reply.body, "user_version\n[Value::Integer(0)]\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn results_and_running_time_are_bounded() {
    let rig = Rig::with_limits(|limits| {
        limits.sqlite_result_bytes = 100_000;
        limits.request_ms = 400;
    })
    .await;
    let rows = |limit: &str| {
        format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n {limit}) {}",
            if limit.is_empty() {
                "SELECT count(*) FROM n"
            } else {
                "SELECT i, 'some text' FROM n"
            }
        )
    };
    assert_eq!(rig.post("/sqlite/run", rows("LIMIT 100")).await.status, 200);
    let reply = rig.post("/sqlite/run", rows("LIMIT 100000")).await;
    assert!(reply.body.contains("over 100000 bytes"), "{}", reply.body);
    // Endless: interrupted at the request's deadline, and the thread is free again.
    let reply = rig.post("/sqlite/run", rows("")).await;
    let is_interrupted = reply.status == 502 && reply.body.contains("interrupted");
    assert!(is_interrupted || reply.status == 504, "{}", reply.body);
    rig.get("/sqlite/round-trip").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_database_says_so_and_still_reads() {
    let rig = Rig::with_limits(|limits| limits.sqlite_database_bytes = 64 << 10).await;
    rig.get("/sqlite/round-trip").await;
    let fill = "INSERT INTO items (key, bytes) VALUES ('big', zeroblob(200000))";
    let reply = rig.post("/sqlite/run", fill).await;
    assert!(reply.body.contains("DatabaseFull"), "{}", reply.body);
    let reply = rig.post("/sqlite/run", "SELECT count(*) FROM items").await;
    assert_eq!(reply.body, "count(*)\n[Value::Integer(1)]\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn data_outlives_the_host() {
    let rig = Rig::start().await;
    rig.get("/sqlite/round-trip").await;
    let Rig {
        running, folder, ..
    } = rig;
    running.stop().await;
    assert!(folder.0.join("state/sqlite/default.db").exists());
    let config = config(&folder.0);
    let rig = Rig::of(folder, config).await;
    let reply = rig.post("/sqlite/run", "SELECT key FROM items").await;
    assert_eq!(reply.body, "key\n[Value::Text(\"a\")]\n");
}
