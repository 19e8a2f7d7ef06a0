use serde_json::json;

use super::*;

fn minute(shard: &str, minute: u64, participant_ms: u64) -> Record {
    let line = json!({
        "kind": "usage", "minute_ms": minute * MINUTE_MS, "shard": shard,
        "room": "7a72baea588db2f7", "region": "dev", "participant_ms": participant_ms,
        "talk_ms": 0, "packets_out": 0, "bytes_out": 0,
    });
    Record::Usage(Box::new(serde_json::from_value(line).expect("a record")))
}

fn invocation(function: &str, at_ms: u64, duration_us: u64, store_calls: u32) -> Record {
    let line = json!({
        "kind": "invocation", "form": 2, "at_ms": at_ms, "function": function, "route": "x",
        "host": "edge-host", "method": "GET", "outcome": "ok", "status": 200,
        "duration_us": duration_us,
        "calls": store_calls, "peak_bytes": 9_000_000,
    });
    let record = serde_json::from_value(line).expect("a record");
    Record::Invocation(Box::new(record), 100)
}

fn findings(records: &[Record]) -> Vec<Finding> {
    let (book, functions) = (Book::built_in(), Functions::built_in());
    let mut used = Use::default();
    for record in records {
        used.add(record, &functions);
    }
    used.findings(&book, &Allocation::built_in(), &functions)
        .expect("prices")
}

#[test]
fn a_relay_is_idle_when_none_of_its_shards_has_anybody() {
    let found = findings(&[
        minute("eu-1-0", 100, 60_000),
        minute("eu-1-1", 101, 60_000),
        minute("eu-2-0", 100, 60_000),
        minute("eu-2-0", 103, 0),
    ]);
    let idle: Vec<&str> = found.iter().map(|finding| finding.what.as_str()).collect();
    assert_eq!(idle, ["relay eu-2: 75 % idle", "relay eu-1: 50 % idle"]);
    let hourly = Book::built_in();
    let machine = Allocation::built_in().relays.machine;
    let hourly = hourly
        .price(&machine, AWS, HOME_REGION)
        .expect("a price")
        .list();
    assert_eq!(found[0].month, Some(hourly.scaled(730 * 3, 4)));
}

#[test]
fn an_empty_shard_is_told_beside_a_full_one() {
    let found = findings(&[minute("eu-1-0", 7, 1_000), minute("eu-1-1", 7, 0)]);
    let what: Vec<&str> = found.iter().map(|finding| finding.what.as_str()).collect();
    assert_eq!(what, ["relay eu-1: 1 of its shards empty"]);
}

#[test]
fn memory_is_wasted_where_a_function_waits() {
    let hour = 3_600_000;
    let found = findings(&[
        invocation("matchmaking", 0, 480, 20),
        invocation("matchmaking", hour, 480, 20),
        invocation("chat", 0, 480, 20),
    ]);
    let [finding] = &found[..] else {
        panic!("{found:?}");
    };
    assert!(
        finding.what.starts_with("function matchmaking: 256 MB"),
        "{}",
        finding.what
    );
    // 104 ms of 256 MB become 107 ms of 128 MB, twice in an hour.
    let saved = 2 * (104 * 256 - 107 * 128);
    let price = Book::built_in();
    let price = price
        .price("lambda-duration-arm", AWS, HOME_REGION)
        .expect("a price");
    assert_eq!(finding.month, Some(price.of_part(saved).scaled(730, 1)));
}

#[test]
fn the_order_of_records_does_not_matter_and_nothing_is_negative() {
    let mut records = vec![
        minute("a-0", 5, 10),
        minute("a-1", 9, 0),
        minute("b-0", 2, 10),
        invocation("matchmaking", 50_000_000, 900_000, 0),
        invocation("matchmaking", 0, 100, 3),
    ];
    let found = findings(&records);
    records.reverse();
    assert_eq!(findings(&records), found);
    assert!(
        found
            .iter()
            .all(|one| one.month.is_some_and(|month| month.0 >= 0))
    );
    assert!(findings(&[]).is_empty());
}

#[test]
fn addresses_that_lead_nowhere_and_logs_that_stay_are_found_at_any_depth() {
    let state = json!({"values": {"root_module": {"resources": [
        {"address": "aws_eip.used", "type": "aws_eip", "values": {"association_id": "a-1"}},
    ], "child_modules": [{"resources": [
        {"address": "module.r.aws_eip.free", "type": "aws_eip", "values": {"instance": ""}},
        {"address": "module.r.logs", "type": "aws_cloudwatch_log_group",
            "values": {"retention_in_days": 0}},
        {"address": "module.r.short", "type": "aws_cloudwatch_log_group",
            "values": {"retention_in_days": 30}},
    ]}]}}});
    let found = of_state(&state, &Book::built_in()).expect("a state");
    let what: Vec<&str> = found.iter().map(|finding| finding.what.as_str()).collect();
    assert_eq!(
        what,
        ["address module.r.aws_eip.free", "logs module.r.logs"]
    );
    assert_eq!(found[0].month, Some(Money::parse("3.65").expect("dollars")));
    for odd in [
        json!(null),
        json!([]),
        json!({"values": 7}),
        json!({"values": {}}),
    ] {
        assert!(of_state(&odd, &Book::built_in()).is_err(), "{odd}");
    }
}
