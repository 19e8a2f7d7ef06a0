//! `finops forecast --fail yes` on records in files: what is said, and how it ends.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use wire::RoomKey;
use wire::record::{UsageKind, UsageRecord, VoiceMode};

const HOUR_MS: u64 = 3_600_000;
/// 2027-03-21T00:00Z, and three weeks before.
const END: u64 = 501_552;
const BEGIN: u64 = END - 21 * 24;

fn record(hour: u64) -> UsageRecord {
    // A GB an hour: 0.09 $ of traffic.
    UsageRecord {
        kind: UsageKind::Usage,
        form: 1,
        minute_ms: hour * HOUR_MS,
        shard: "us-1".parse().unwrap(),
        boot: None,
        sequence: 0,
        room: RoomKey([7; 8]),
        region: "us".to_owned(),
        mode: VoiceMode::Forward,
        participant_ms: 40 * HOUR_MS,
        talk_ms: 8 * HOUR_MS,
        packets_in: 0,
        bytes_in: 0,
        packets_out: 6_000_000,
        bytes_out: 840_000_000,
        mixed_frames: 0,
        cpu_us: 0,
        quality: None,
    }
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn forecast(folder: &Path, budget: &str, flags: &[&str]) -> Output {
    let records: String = (BEGIN..=END)
        .map(|hour| serde_json::to_string(&record(hour)).unwrap() + "\n")
        .collect();
    std::fs::write(folder.join("relay.jsonl"), records).unwrap();
    std::fs::write(folder.join("budgets.json"), budget).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_finops"));
    command.current_dir(folder).arg("forecast").args(flags);
    command.args([
        "relay.jsonl",
        "--budget",
        "budgets.json",
        "--today",
        "2027-03-21",
    ]);
    command.output().unwrap()
}

#[test]
fn a_month_that_will_pass_its_budget_fails() {
    let folder = folder("forecast-fails");
    // 31 days are 67.56 $ of traffic.
    let over = forecast(&folder, r#"{"dev": {"month_usd": 60}}"#, &["--fail", "yes"]);
    let said = String::from_utf8(over.stdout).unwrap();
    assert!(
        said.contains("NOTE  2027-03 will pass its budget of 60.00 $"),
        "{said}"
    );
    assert!(said.contains("no real weeks exist yet"), "{said}");
    assert!(!over.status.success());
    let told = forecast(&folder, r#"{"dev": {"month_usd": 60}}"#, &[]);
    assert!(told.status.success(), "it fails where that is asked for");
    let within = forecast(&folder, r#"{"dev": {"month_usd": 90}}"#, &["--fail", "yes"]);
    let said = String::from_utf8(within.stdout).unwrap();
    assert!(
        within.status.success() && said.contains("2027-03 is within its budget"),
        "{said}"
    );
}

#[test]
fn programs_read_the_figures() {
    let folder = folder("forecast-json");
    forecast(
        &folder,
        r#"{"dev": {"month_usd": 60}}"#,
        &["--json", "out.json", "--html", "out.html"],
    );
    let text = std::fs::read_to_string(folder.join("out.json")).unwrap();
    let figures: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        figures["at"], "2027-03-21T00:00Z",
        "the hour of the last record may not be over"
    );
    let dollars = |of: &str| {
        figures["months"][0][of]
            .as_str()
            .unwrap()
            .parse::<f64>()
            .unwrap()
    };
    // 20 days of it, of which the last hour does not count.
    assert!(
        (dollars("spent") / (20.0 * 24.0) - 0.0909).abs() < 0.001,
        "{figures}"
    );
    assert!(
        (dollars("likely") / (31.0 * 24.0) - 0.0909).abs() < 0.002,
        "{figures}"
    );
    assert_eq!(figures["budgets"][0]["alarm"], "will-pass");
    assert!(
        std::fs::read_to_string(folder.join("out.html"))
            .unwrap()
            .contains("<svg")
    );
}

#[test]
fn what_is_missing_is_said() {
    let folder = folder("forecast-missing");
    let none = forecast(&folder, r#"{"prod": {"month_usd": 60}}"#, &[]);
    let said = String::from_utf8(none.stderr).unwrap();
    assert!(
        !none.status.success() && said.contains("`dev` has no budget; the file has prod"),
        "{said}"
    );
    let late = forecast(
        &folder,
        r#"{"dev": {"month_usd": 60}}"#,
        &["--at", "2027-02-28T10:00Z"],
    );
    let said = String::from_utf8(late.stderr).unwrap();
    assert!(
        !late.status.success() && said.contains("72 hours"),
        "{said}"
    );
}
