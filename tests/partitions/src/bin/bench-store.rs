//! `cargo xtask bench store`: how hot each partition of the store is at a million players, and
//! whether the functions hold at its rates on a store that refuses as DynamoDB does. Writes the
//! table of infra/ops/CAPACITY.md anew.

use anyhow::Result;
use bench_report::{Aim, Report};
use edge::testing::{READS_PER_S, WRITES_PER_S};
use partitions::balance::{SHARDS, spread};
use partitions::game::Game;
use partitions::load::{self, Hottest};
use partitions::measure::{grown, just_begun, measure, settled};
use partitions::{load::LANES_BEFORE_AND_AFTER, table};

/// Decides everything random.
const SEED: u64 = 1;
/// New rooms whose spread is looked at.
const ROOMS: u64 = 10_000;

fn main() -> Result<()> {
    let measured = measure();
    std::fs::write(table::path(), table::file(&measured)?)?;
    let mut report = Report::default();
    for row in table::table(&measured) {
        let heat = row.heat(&measured);
        let (reads, writes) = (READS_PER_S.into(), WRITES_PER_S.into());
        report.row(
            format!("{}: reads", row.kind),
            heat.reads,
            "units/s",
            Aim::AtMost(reads),
        );
        report.row(
            format!("{}: writes", row.kind),
            heat.writes,
            "units/s",
            Aim::AtMost(writes),
        );
    }
    let stages = [
        "all shards in one partition, as before",
        "shards in buckets",
    ];
    region(&mut report, stages[0], just_begun(SEED), false);
    region(&mut report, stages[1], grown(SEED), true);
    let stages = [
        "all of the region one hall, as before",
        "a hall for each bucket",
    ];
    world(&mut report, stages[0], just_begun(SEED), false);
    world(&mut report, stages[1], settled(SEED), true);
    let (before, after) = LANES_BEFORE_AND_AFTER;
    for (lanes, is_now) in [(before, false), (after, true)] {
        let load = load::queue(grown(SEED), lanes);
        let what = format!("one queue, {lanes} lanes");
        refused(
            &mut report,
            format!("{what}: tickets refused"),
            load.tickets,
            is_now,
        );
        hottest(&mut report, &what, &load.hottest);
    }
    for (sees_all, what) in [(true, "all shards looked at"), (false, "two buckets")] {
        let spread = spread(SEED, ROOMS, sees_all);
        let what = format!("{ROOMS} rooms on {SHARDS} shards, {what}");
        report.row(
            format!("{what}: fullest over mean"),
            spread.fullest,
            "x",
            Aim::AtMost(1.25),
        );
        report.row(
            format!("{what}: deviation over mean"),
            spread.deviation,
            "x",
            Aim::None,
        );
    }
    report.finish("store")
}

fn region(report: &mut Report, stage: &str, game: Game, is_now: bool) {
    let load = load::region(game);
    for (what, answers) in [
        ("heartbeats", load.heartbeats),
        ("joins", load.joins),
        ("new rooms", load.new_rooms),
    ] {
        refused(report, format!("{stage}: {what} refused"), answers, is_now);
    }
    hottest(report, stage, &load.hottest);
}

fn world(report: &mut Report, stage: &str, game: Game, is_now: bool) {
    let load = load::world(game);
    refused(
        report,
        format!("{stage}: world messages refused"),
        load.messages,
        is_now,
    );
    let what = format!("{stage}: requests to relays for them");
    report.row(what, load.pushes as f64, "1/s", Aim::None);
    let what = format!("{stage}: shards told, of those that should be");
    let aim = match is_now {
        true => Aim::AtLeast(100.0),
        false => Aim::None,
    };
    report.row(what, load.told * 100.0, "%", aim);
    hottest(report, &format!("{stage}: world"), &load.hottest);
}

fn refused(report: &mut Report, what: String, answers: load::Answers, is_now: bool) {
    let aim = match is_now {
        true => Aim::AtMost(0.0),
        false => Aim::None,
    };
    report.row(what, answers.refused_share() * 100.0, "%", aim);
}

fn hottest(report: &mut Report, what: &str, hottest: &Hottest) {
    let Hottest {
        reads,
        writes,
        refused,
    } = hottest;
    report.row(
        format!("{what}: reads of the hottest partition"),
        *reads as f64,
        "units/s",
        Aim::None,
    );
    report.row(
        format!("{what}: writes of the hottest partition"),
        *writes as f64,
        "units/s",
        Aim::None,
    );
    report.row(
        format!("{what}: refused by partitions"),
        *refused as f64,
        "1/s",
        Aim::None,
    );
}
