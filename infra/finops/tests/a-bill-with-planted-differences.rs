//! A bill made of the committed day of records by another path: quantities read from the JSON, and
//! prices written down here. What is planted in it is found, and nothing else.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use finops::bill::Bill;
use finops::reconcile::{Axis, Reconciled, Verdict};
use finops::records::Intake;
use finops::{Allocation, Book, Day, Functions};
use serde_json::Value;

const FILES: [&str; 3] = [
    include_str!("day/edge-host.jsonl"),
    include_str!("day/queue.jsonl"),
    include_str!("day/relay.jsonl"),
];

/// us-east-1, dollars, as AWS lists them.
const GATEWAY: f64 = 1.0e-6;
const READ_UNIT: f64 = 0.125e-6;
const WRITE_UNIT: f64 = 0.625e-6;
const LOG_BYTE: f64 = 0.5e-9;
const EGRESS_BYTE: f64 = 0.09e-9;
const LAMBDA_REQUEST: f64 = 0.2e-6;
const LAMBDA_MB_MS: f64 = 0.0000133334 / 1024.0 / 1000.0;
/// c7g.large by its two cores, and 4.4 us a packet.
const PACKET: f64 = 0.0725 / 2.0 / 3600.0 * 4.4e-6;

/// Dollars by function (or `relay`) and product.
fn lines() -> BTreeMap<(String, &'static str), f64> {
    let mut sums = BTreeMap::new();
    for line in FILES.iter().flat_map(|file| file.lines()) {
        let record: Value = serde_json::from_str(line).unwrap();
        let number = |name: &str| record[name].as_f64().unwrap_or(0.0);
        let parts = match record["kind"].as_str() {
            Some("invocation") => {
                let memory = memory(record["function"].as_str().unwrap());
                let busy_us = number("duration_us") * 1769.0 / memory;
                let billed_ms = ((busy_us + 5000.0 * number("calls")) / 1000.0).ceil();
                vec![
                    ("AmazonApiGateway", GATEWAY),
                    (
                        "AWSLambda",
                        LAMBDA_REQUEST + billed_ms * memory * LAMBDA_MB_MS,
                    ),
                    (
                        "AmazonDynamoDB",
                        number("read_units") * READ_UNIT + number("write_units") * WRITE_UNIT,
                    ),
                    ("AmazonCloudWatch", (line.len() as f64 + 26.0) * LOG_BYTE),
                    ("AWSDataTransfer", number("bytes_out") * EGRESS_BYTE),
                ]
            }
            Some("usage") => {
                let packets = number("packets_out");
                let bytes = number("bytes_out") + 28.0 * packets;
                vec![
                    ("AWSDataTransfer", bytes * EGRESS_BYTE),
                    ("AmazonEC2", packets * PACKET),
                ]
            }
            _ => continue,
        };
        let name = record["function"].as_str().unwrap_or("relay");
        for (product, dollars) in parts {
            *sums.entry((name.to_owned(), product)).or_insert(0.0) += dollars;
        }
    }
    sums
}

fn memory(function: &str) -> f64 {
    let text = include_str!("../../../functions/permissions.json");
    let all: Value = serde_json::from_str(text).unwrap();
    all[function]["memory_mb"].as_f64().unwrap()
}

/// CUR 2.0; `change` may change or drop a line.
fn cur(change: impl Fn(&str, &str, f64) -> Option<f64>, more: &str) -> String {
    let mut text = "identity_line_item_id,line_item_line_item_type,line_item_usage_start_date,\
                    line_item_product_code,line_item_resource_id,line_item_unblended_cost,\
                    line_item_currency_code,resource_tags\n"
        .to_owned();
    for (at, ((name, product), dollars)) in lines().into_iter().enumerate() {
        let (feature, team) = match name.as_str() {
            "relay" | "signalling" | "fleet" => ("voice", "realtime"),
            "chat" => ("chat", "social"),
            _ => ("matchmaking", "social"),
        };
        let tags = format!(
            r#""{{""user_feature"":""{feature}"",""user_team"":""{team}"",""user_env"":""dev""}}""#
        );
        if let Some(dollars) = change(&name, product, dollars) {
            let _ = writeln!(
                text,
                "{at},Usage,2026-11-30T00:00:00.000Z,{product},{name},{dollars:e},USD,{tags}"
            );
        }
    }
    text + more
}

fn reconciled(text: &str, each: impl FnOnce(&Bill<'_>, &Reconciled)) {
    let (book, functions) = (Book::built_in(), Functions::built_in());
    let allocation = Allocation::built_in();
    let mut day = Day::new(&book, &functions, &allocation, "dev");
    for file in FILES {
        let mut intake = Intake::default();
        intake
            .read("day", file.as_bytes(), |record| day.add(&record))
            .unwrap();
    }
    let mut bill = Bill::new(&allocation, None);
    bill.read("cur.csv", text.as_bytes()).unwrap();
    each(&bill, &Reconciled::of(&bill, &day.charges));
}

#[test]
fn a_bill_made_by_another_path_agrees() {
    reconciled(&cur(|_, _, dollars| Some(dollars), ""), |bill, found| {
        assert!(bill.faults.is_empty() && bill.asides.is_empty());
        assert_eq!(found.differences(), []);
        let percent = found.explained_percent().unwrap();
        assert!(percent > 99.9, "{percent}");
    });
}

#[test]
fn what_is_planted_is_found_and_nothing_else() {
    let change = |_: &str, product: &str, dollars: f64| match product {
        // A price that the book does not know of.
        "AmazonDynamoDB" => Some(dollars * 1.10),
        // Within what is no difference.
        "AmazonApiGateway" => Some(dollars * 1.04),
        // Not billed at all.
        "AmazonEC2" => None,
        _ => Some(dollars),
    };
    let more = "nat,Usage,2026-11-30T00:00:00.000Z,AmazonVPC,nat-1,0.000001,USD,\n\
                credit,Credit,2026-11-30T00:00:00.000Z,AWSLambda,,-1,USD,\n";
    reconciled(&cur(change, more), |bill, found| {
        let by_service: Vec<_> = found
            .differences()
            .into_iter()
            .filter(|(axis, ..)| *axis == Axis::Service)
            .map(|(_, name, pair)| (name.to_owned(), pair.verdict()))
            .collect();
        let expected = [
            ("Amazon DynamoDB", Verdict::Differs),
            ("Amazon Elastic Compute Cloud", Verdict::NotBilled),
            ("AmazonVPC", Verdict::NotRecorded),
        ];
        let expected = expected.map(|(name, verdict)| (name.to_owned(), verdict));
        assert_eq!(by_service, expected);
        let untagged = found
            .by(Axis::Feature)
            .find(|(name, _)| *name == "untagged");
        assert_eq!(untagged.unwrap().1.verdict(), Verdict::NotRecorded);
        assert_eq!(
            bill.asides.len(),
            1,
            "the credit is set aside, not compared"
        );
    });
}
