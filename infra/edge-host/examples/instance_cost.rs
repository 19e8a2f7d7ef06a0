//! Prints what a fresh instance per request costs, with the fixture component:
//! `cargo run --release -p edge-host --example instance_cost [REQUESTS]` after `cargo xtask wasm`.
//!
//! "function" is the record's `duration_us`, "round trip" what a client on the same machine sees
//! over one kept-alive connection. Percentiles are of all requests after a tenth of them as
//! warm-up.

#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]

#[path = "../tests/it/support/mod.rs"]
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "helpers of tests, of which this needs a part"
)]
mod support;

use std::time::{Duration, Instant};

use edge_host::InvocationRecord;
use support::Rig;

const REQUESTS: usize = 20_000;
const PATHS: [&str; 3] = ["/hello", "/sqlite/two-reads", "/sqlite/round-trip"];

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the figures are the purpose")]
async fn main() {
    let argument = std::env::args().nth(1);
    let requests = argument.map_or(REQUESTS, |text| text.parse().expect("a number of requests"));
    println!("{requests} requests each, one after another; microseconds");
    println!(
        "{:<20} {:>22} {:>22} {:>9}",
        "", "function p50/p99/max", "round trip p50/p99", "fuel"
    );
    let mut rig = Rig::start().await;
    rig.get("/sqlite/round-trip").await;
    for path in PATHS {
        for _ in 0..requests / 10 {
            rig.get(path).await;
        }
        while rig.records.try_recv().is_ok() {}
        let mut round_trips = Vec::with_capacity(requests);
        for _ in 0..requests {
            let started = Instant::now();
            let reply = rig.get(path).await;
            round_trips.push(microseconds(started.elapsed()));
            assert_eq!(reply.status, 200, "{path}");
        }
        let records: Vec<InvocationRecord> =
            std::iter::from_fn(|| rig.records.try_recv().ok()).collect();
        let mut functions: Vec<u64> = records.iter().map(|record| record.duration_us).collect();
        functions.sort_unstable();
        round_trips.sort_unstable();
        let function = format!(
            "{}/{}/{}",
            percentile(&functions, 50),
            percentile(&functions, 99),
            functions.last().expect("there are records")
        );
        let round_trip = format!(
            "{}/{}",
            percentile(&round_trips, 50),
            percentile(&round_trips, 99)
        );
        println!(
            "{path:<20} {function:>22} {round_trip:>22} {:>9}",
            records[0].fuel
        );
    }
    rig.running.stop().await;
    compare_statement_with_thread(requests).await;
}

/// Why statements run in place: what one takes, against handing nothing at all to a blocking
/// thread.
#[expect(clippy::print_stdout, reason = "the figures are the purpose")]
async fn compare_statement_with_thread(requests: usize) {
    let connection = rusqlite::Connection::open_in_memory().expect("memory");
    connection
        .execute_batch("CREATE TABLE t (k PRIMARY KEY, v); INSERT INTO t VALUES (7, 8)")
        .expect("a table");
    let (mut statements, mut threads) = (Vec::new(), Vec::new());
    for _ in 0..requests {
        let started = Instant::now();
        let mut prepared = connection
            .prepare_cached("SELECT v FROM t WHERE k = ?")
            .expect("SQL");
        let value: i64 = prepared.query_row([7], |row| row.get(0)).expect("a row");
        statements.push(started.elapsed().as_nanos());
        assert_eq!(value, 8);
        let started = Instant::now();
        tokio::task::spawn_blocking(|| ()).await.expect("no panic");
        threads.push(started.elapsed().as_nanos());
    }
    for (name, mut figures) in [
        ("statement in place", statements),
        ("spawn_blocking", threads),
    ] {
        figures.sort_unstable();
        let at = |percent: usize| figures[(figures.len() - 1) * percent / 100];
        println!("{name:<20} p50 {} ns, p99 {} ns", at(50), at(99));
    }
}

fn microseconds(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_micros()).expect("a request takes less than an age")
}

fn percentile(sorted: &[u64], percent: usize) -> u64 {
    sorted[(sorted.len() - 1) * percent / 100]
}
