use proptest::prelude::*;

use super::*;

const INVOCATION: &str =
    include_str!("../../../functions/wire/tests/golden/invocation-record.json");
const USAGE: &str = include_str!("../../../functions/wire/tests/golden/usage-record.json");

fn one_line(json: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    value.to_string()
}

fn read(text: &[u8]) -> (Intake, Vec<Record>) {
    let (mut intake, mut records) = (Intake::default(), Vec::new());
    intake
        .read("day.jsonl", text, |record| records.push(record))
        .unwrap();
    (intake, records)
}

#[test]
fn both_kinds_are_read_and_what_came_twice_counts_once() {
    let (invocation, usage) = (one_line(INVOCATION), one_line(USAGE));
    let again = invocation.replace("1700000000000", "1700000000001");
    let text = [&invocation, &usage, "", &usage, &again, &invocation].map(|line| line.to_owned());
    let (intake, records) = read(text.join("\n").as_bytes());
    assert_eq!(
        records.len(),
        3,
        "a schedule that Lambda tries again is another invocation"
    );
    assert_eq!((intake.lines, intake.invocations, intake.usages), (5, 2, 1));
    assert_eq!((intake.duplicates, intake.faulty()), (2, 0));
    let Record::Invocation(_, bytes) = &records[0] else {
        panic!("{records:?}")
    };
    assert_eq!(*bytes, invocation.len() as u64);
}

#[test]
fn what_is_no_record_is_named_with_its_reason_and_place() {
    let good = one_line(INVOCATION);
    let lines = [
        good.clone(),
        good[..good.len() / 2].to_owned(),
        r#"{"event":"listening"}"#.to_owned(),
        good.replace(r#""form":2"#, r#""form":3"#),
        // What a later form might look like.
        r#"{"kind":"invocation","form":9,"all":"else"}"#.to_owned(),
        one_line(USAGE).replace(r#""form":2"#, r#""form":7"#),
        good.replace(r#""status":201"#, r#""status":"fine""#),
        r#"{"kind":"usage"}"#.to_owned(),
        "x".repeat(70_000),
        "[1, 2".to_owned(),
        "7".to_owned(),
        r#"{"kind":["invocation"]}"#.to_owned(),
        "[".repeat(500),
    ];
    let (intake, records) = read(lines.join("\n").as_bytes());
    assert_eq!(records.len(), 1);
    let count = |fault| intake.faults[&fault].clone();
    assert_eq!(
        count(Fault::Torn).1,
        ["day.jsonl:2", "day.jsonl:10", "day.jsonl:13"]
    );
    assert_eq!(
        count(Fault::OtherKind).1,
        ["day.jsonl:3", "day.jsonl:11", "day.jsonl:12"]
    );
    assert_eq!(
        count(Fault::UnknownForm).1,
        ["day.jsonl:4", "day.jsonl:5", "day.jsonl:6"]
    );
    assert_eq!(count(Fault::BadField).1, ["day.jsonl:7", "day.jsonl:8"]);
    assert_eq!(count(Fault::TooLong), (1, vec!["day.jsonl:9".to_owned()]));
    assert_eq!(intake.lines, 13, "every line is accounted for");
    assert_eq!(intake.faulty() + intake.invocations, 13);
}

#[test]
fn usage_of_a_shard_boot_and_sequence_counts_once_whatever_files_say() {
    let usage = one_line(USAGE);
    let changed = usage.replace(r#""talk_ms":45000"#, r#""talk_ms":45001"#);
    let next = usage.replace(r#""seq":17"#, r#""seq":18"#);
    let other_boot = usage.replace("0404040404040404", "0505050505050505");
    let other_shard = usage.replace("eu-1-a", "eu-1-b");
    let lines = [
        &usage,
        &next,
        &changed,
        &other_boot,
        &other_shard,
        &usage,
        &next,
    ];
    assert!(
        lines[1..5].iter().all(|line| **line != usage),
        "nothing was replaced"
    );
    let (intake, records) = read(lines.map(|line| line.to_owned()).join("\n").as_bytes());
    assert_eq!((records.len(), intake.usages, intake.duplicates), (4, 4, 3));
    // Of form 1 there is nothing but the figures.
    let old = r#"{"kind":"usage","minute_ms":60000,"shard":"a","room":"0303030303030303",
        "participant_ms":1,"talk_ms":2,"packets_out":3,"bytes_out":4}"#;
    let old = one_line(old);
    let ended = old.replace(r#""talk_ms":2"#, r#""talk_ms":1"#);
    let (intake, _) = read([old.clone(), ended, old].join("\n").as_bytes());
    assert_eq!((intake.usages, intake.duplicates), (2, 1));
}

#[test]
fn a_record_of_the_first_form_is_counted_as_one_without_an_id() {
    let first = r#"{"kind":"invocation","at_ms":1,"function":"f","route":"r","host":"edge-host",
        "method":"GET","status":200,"outcome":"ok","duration_us":1,"fuel":0,"peak_memory_bytes":0,
        "store_reads":0,"store_writes":0,"bytes_in":0,"bytes_out":0,"log_bytes":0}"#;
    let first = one_line(first);
    let (intake, records) = read(format!("{first}\n{first}\n").as_bytes());
    assert_eq!(
        (records.len(), intake.without_id, intake.duplicates),
        (2, 2, 0)
    );
}

proptest! {
    #[test]
    fn any_bytes_are_accounted_for(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let (intake, records) = read(&bytes);
        prop_assert_eq!(intake.lines, intake.faulty() + records.len() as u64 + intake.duplicates);
    }

    #[test]
    fn a_record_with_anything_in_it_is_accounted_for(at in 0..300_usize, with in "\\PC{0,8}") {
        let mut line = one_line(INVOCATION);
        let at = at.min(line.len());
        line.insert_str(at, &with);
        let (intake, records) = read(line.as_bytes());
        prop_assert!(intake.faulty() + records.len() as u64 >= 1);
    }
}
