//! The report of records that real hosts wrote (tests/day/README.md says how) is as it was. What it
//! should be now is written by `UPDATE_GOLDEN=1 cargo test -p finops`.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::PathBuf;

use finops::records::Intake;
use finops::{Allocation, Book, Day, Functions, Money, charges, report};

const FILES: [&str; 3] = ["edge-host.jsonl", "queue.jsonl", "relay.jsonl"];
/// Prices are as old as they were on the day of the records.
const TODAY: &str = "2026-11-30";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/day")
}

struct Priced {
    book: Book,
    functions: Functions,
    allocation: Allocation,
}

impl Priced {
    fn new() -> Self {
        Self {
            book: Book::built_in(),
            functions: Functions::built_in(),
            allocation: Allocation::built_in(),
        }
    }

    fn day(&self) -> (Day<'_>, Intake) {
        let mut day = Day::new(&self.book, &self.functions, &self.allocation, "dev");
        let mut intake = Intake::default();
        for name in FILES {
            let text = std::fs::read(folder().join(name)).unwrap();
            intake
                .read(name, text.as_slice(), |record| day.add(&record))
                .unwrap();
        }
        (day, intake)
    }
}

#[test]
fn is_as_it_was() {
    let priced = Priced::new();
    let (day, intake) = priced.day();
    let options = report::Options {
        today: TODAY.parse().unwrap(),
        players: None,
        has_invocations: true,
        has_players: true,
    };
    let page = report::day(&priced.book, &day, &intake, &options).unwrap();
    for (name, text) in [("report.md", page.markdown()), ("report.html", page.html())] {
        let path = folder().join(name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            text == kept,
            "{name} is not what it was; UPDATE_GOLDEN=1 writes it anew"
        );
    }
}

#[test]
fn says_everything_that_came_in() {
    let priced = Priced::new();
    let (day, intake) = priced.day();
    assert!(intake.invocations > 500 && intake.usages > 5, "{intake:?}");
    assert_eq!(
        intake.lines,
        intake.invocations + intake.usages + intake.faulty() + intake.duplicates
    );
    assert_eq!(intake.without_id, 0);
    let charges = day.charges.total();
    assert_eq!(
        charges,
        day.summary.total().2.total() + day.usage.total().total()
    );
    let rows: Money = day.charges.all.values().map(|charge| charge.cost).sum();
    assert_eq!(rows, charges);
    assert_eq!(
        charges::focus::check(&day.charges.focus()),
        Ok(day.charges.all.len())
    );
    let figures = report::figures(&day);
    assert_eq!(figures["dollars"], charges.text(12));
}

#[test]
fn counts_once_what_comes_twice_and_in_any_order() {
    let priced = Priced::new();
    let (day, _) = priced.day();
    let mut again = Day::new(&priced.book, &priced.functions, &priced.allocation, "dev");
    let mut intake = Intake::default();
    for name in FILES.into_iter().rev().chain(FILES) {
        let text = std::fs::read_to_string(folder().join(name)).unwrap();
        let backwards: Vec<&str> = text.lines().rev().collect();
        let backwards = backwards.join("\n");
        intake
            .read(name, backwards.as_bytes(), |record| again.add(&record))
            .unwrap();
    }
    assert_eq!(intake.duplicates, intake.invocations + intake.usages);
    assert_eq!(again.charges.all, day.charges.all);
    assert_eq!(report::figures(&again), report::figures(&day));
}
