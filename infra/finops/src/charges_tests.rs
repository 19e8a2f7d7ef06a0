use wire::record::{UsageKind, VoiceMode};

use super::*;
use crate::lambda::Functions;
use crate::usage::Usage;
use crate::{Book, Rates};

const INVOCATION: &str =
    include_str!("../../../functions/wire/tests/golden/invocation-record.json");

fn charges(allocation: &Allocation, change: impl Fn(&mut InvocationRecord)) -> Charges<'_> {
    let (book, functions) = (Book::built_in(), Functions::built_in());
    let rates = Rates::of(&book, "us-east-1", &mut Default::default()).unwrap();
    let mut charges = Charges::new(allocation, "dev");
    let mut record: InvocationRecord = serde_json::from_str(INVOCATION).unwrap();
    change(&mut record);
    let used = functions.used(&record, 350);
    charges.add_invocation(&record, &used, &rates.of_part(&used));
    let mut usage = Usage::new(&book, allocation);
    let minute = UsageRecord {
        kind: UsageKind::Usage,
        form: 1,
        minute_ms: record.at_ms,
        shard: "eu-1-a".parse().unwrap(),
        boot: None,
        sequence: 0,
        room: wire::RoomKey([1; 8]),
        region: "us".into(),
        mode: VoiceMode::Forward,
        participant_ms: 120_000,
        talk_ms: 5_000,
        packets_in: 0,
        bytes_in: 0,
        packets_out: 3_000,
        bytes_out: 300_000,
        mixed_frames: 0,
        cpu_us: 0,
        quality: None,
    };
    charges.add_usage(&minute, &usage.add(&minute).unwrap());
    charges
}

#[test]
fn every_charge_has_an_owner_and_the_sum_is_the_sum_of_the_rows() {
    let allocation = Allocation::built_in();
    let charges = charges(&allocation, |_| {});
    let csv = charges.csv();
    let rows: Vec<Vec<&str>> = csv
        .lines()
        .skip(1)
        .map(|line| line.split(',').collect())
        .collect();
    assert_eq!(rows.len(), 7);
    let sum: Money = rows.iter().map(|row| Money::parse(row[9]).unwrap()).sum();
    assert_eq!(sum, charges.total());
    assert!(
        rows.iter()
            .all(|row| row[2] == "voice" && row[3] == "realtime"),
        "{csv}"
    );
    assert_eq!(charges.untagged(), Money::ZERO);
}

#[test]
fn what_nobody_owns_is_told_and_a_formula_stays_text() {
    let allocation = Allocation::built_in();
    let charges = charges(&allocation, |record| {
        record.function = "=cmd(),\"x\"".into()
    });
    assert!(charges.untagged() > Money::ZERO);
    assert!(
        charges.csv().contains("\"'=cmd(),\"\"x\"\"\""),
        "{}",
        charges.csv()
    );
    assert_eq!(focus::check(&charges.focus()), Ok(7));
}

#[test]
fn rows_of_focus_have_what_is_mandatory() {
    let allocation = Allocation::built_in();
    let text = charges(&allocation, |_| {}).focus();
    assert_eq!(focus::check(&text), Ok(7));
    for (from, to, fault) in [
        (
            "BilledCost,",
            "BiledCost,",
            "the column BilledCost is missing",
        ),
        (
            ",USD,",
            ",usd,",
            "BillingCurrency is `usd`: not a code of ISO 4217",
        ),
        (",USD,", ",,", "BillingCurrency is ``: it may not be empty"),
        (
            ",Usage,",
            ",Use,",
            "ChargeCategory is `Use`: no category of charges",
        ),
        ("T00:00:00Z", " 0:00", "not a time such as"),
        (",AWS,AWS,", ",AWS,", "27 cells under 28 columns"),
    ] {
        let faults = focus::check(&text.replacen(from, to, 1)).unwrap_err();
        assert!(
            faults.iter().any(|it| it.contains(fault)),
            "{fault}: {faults:?}"
        );
    }
}
