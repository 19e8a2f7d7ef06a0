//! `cargo xtask bench rejoin`: everybody of a relay that is killed comes back at once.

#![expect(clippy::print_stderr, reason = "how far it is goes beside the table")]

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bench_report::{Aim, Report, quantile};
use clap::{Parser, value_parser};
use drill::caller::Line;
use drill::options::{drill_name, names};
use drill::party::{Party, Shape};
use drill::usage::Usage;
use drill::{Local, now};
use tokio::time::sleep;
use wire::record::InvocationRecord;

/// Everybody is watched for so long after the relay is killed.
const WATCHED: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);
/// All are back after this.
const BACK_AIM_S: f64 = 10.0;
const EDGE_AIM_S: f64 = 1.0;
const ROOM_SIZE: u16 = 5;
const QUICK_CALLERS: u16 = 200;
/// Joins that the edge answers, which the route's name in records says.
const JOIN: &str = "join";

/// Measures the return of everybody of a relay
#[derive(Debug, Parser)]
struct Flags {
    /// Who is there
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    #[arg(value_parser = value_parser!(u16).range(10..=10_000))]
    callers: u16,

    /// Relays that are left
    #[arg(long, value_name = "N", default_value_t = 2)]
    #[arg(value_parser = value_parser!(u8).range(1..=15))]
    others: u8,

    /// A tenth of them
    #[arg(long)]
    quick: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut flags = Flags::parse();
    if flags.quick {
        flags.callers = QUICK_CALLERS;
    }
    let mut local = Local::start(u32::from(flags.callers) * 2).await?;
    let relays = names(flags.others + 1)?;
    let (lost, others) = relays.split_first().context("there is a relay")?;
    local.start_relay(lost).await?;
    let line = Line::new(local.edge()?, [127, 0, 0, 1].into())?;
    let shape = Shape {
        callers: flags.callers,
        room_size: ROOM_SIZE,
        speakers: 0,
        notes: false,
        name: drill_name()?,
    };
    let party = Party::gather(line, shape).await?;
    for other in others {
        local.start_relay(other).await?;
    }
    eprintln!("{} callers are on one relay", flags.callers);
    party.forget();
    let before = local.records()?.len();
    let processes = [local.edge_process()?.id(), std::process::id()];
    let used = usages(&processes)?;
    let killed_at = party.line.time();
    local.kill_relay(lost).await?;
    let back = watch(&party, killed_at).await;
    let cpu_s: Vec<f64> = usages(&processes)?
        .iter()
        .zip(used)
        .map(|(after, before)| after.cpu_s - before.cpu_s)
        .collect();
    let records = local.records()?.split_off(before);
    let mut report = Report::default();
    tell_callers(&party, killed_at, &back, &mut report);
    tell_edge(&records, &mut report);
    report.row("CPU of the edge host", cpu_s[0], "s", Aim::None);
    report.row("CPU of the callers", cpu_s[1], "s", Aim::None);
    let mut relays_s = 0.0;
    for other in others {
        relays_s += Usage::of(local.relay(other)?.id())?.cpu_s;
    }
    report.row("CPU of the relays that are left", relays_s, "s", Aim::None);
    report.finish("rejoin")
}

fn usages(processes: &[u32]) -> Result<Vec<Usage>> {
    processes.iter().map(|id| Usage::of(*id)).collect()
}

/// How many were back after each look, until all are or the time is over.
async fn watch(party: &Party, killed_at: Duration) -> Vec<(Duration, usize)> {
    let until = now() + WATCHED;
    let mut seen = Vec::new();
    loop {
        let is_back = |at: Option<Duration>| at.is_some_and(|at| at > killed_at);
        let callers = party.callers().iter();
        let back = callers
            .filter(|it| is_back(it.noticed().connected_at))
            .count();
        seen.push((party.line.time() - killed_at, back));
        if back == party.callers().len() || now() > until {
            return seen;
        }
        sleep(LOOK).await;
    }
}

fn tell_callers(
    party: &Party,
    killed_at: Duration,
    back: &[(Duration, usize)],
    report: &mut Report,
) {
    let (mut back_s, mut answers_s) = (Vec::new(), Vec::new());
    let (mut ended, mut failures) = (0, BTreeMap::<String, u64>::new());
    for caller in party.callers() {
        let noticed = caller.noticed();
        let at = noticed.connected_at.filter(|at| *at > killed_at);
        let last = back.last().map(|(at, _)| *at).unwrap_or_default();
        back_s.push(at.map_or(last, |at| at - killed_at).as_secs_f64());
        answers_s.extend(&noticed.answers_s);
        ended += usize::from(noticed.ended.is_some());
        for (cause, count) in &noticed.failures {
            *failures.entry(cause.clone()).or_default() += count;
        }
    }
    let all = party.callers().len() as f64;
    let missing = all - back.last().map_or(0, |(_, count)| *count) as f64;
    report.row("callers", all, "", Aim::None);
    report.row("not back in a minute", missing, "", Aim::AtMost(0.0));
    report.row("refused for good", ended as f64, "", Aim::AtMost(0.0));
    report.row("back, p50", quantile(&mut back_s, 0.5), "s", Aim::None);
    report.row("back, p99", quantile(&mut back_s, 0.99), "s", Aim::None);
    let last = quantile(&mut back_s, 1.0);
    report.row("back, last", last, "s", Aim::AtMost(BACK_AIM_S));
    // From the first who was back: without the time in which nobody knew that the relay is gone.
    let first = quantile(&mut back_s, 0.0);
    report.row("from the first to the last", last - first, "s", Aim::None);
    if !answers_s.is_empty() {
        let p99 = quantile(&mut answers_s, 0.99);
        let aim = Aim::AtMost(EDGE_AIM_S);
        report.row("edge's answer, seen by callers, p99", p99, "s", aim);
    }
    for (cause, count) in failures {
        report.row(
            format!("attempts that failed: {cause}"),
            count as f64,
            "",
            Aim::None,
        );
    }
}

/// As the edge host recorded it: once a request had an instance, until its reply was there.
fn tell_edge(records: &[InvocationRecord], report: &mut Report) {
    let joins = records.iter().filter(|it| it.route == JOIN);
    let mut took_s: Vec<f64> = joins
        .clone()
        .map(|it| it.duration_us as f64 / 1e6)
        .collect();
    let mut outcomes = BTreeMap::<String, u64>::new();
    for join in joins {
        let outcome = format!("{} {}", join.status, join.outcome);
        *outcomes.entry(outcome).or_default() += 1;
    }
    let count = took_s.len() as f64;
    report.row("joins at the edge", count, "", Aim::None);
    if !took_s.is_empty() {
        let p50 = quantile(&mut took_s, 0.5);
        report.row("a join in its function, p50", p50, "s", Aim::None);
        let p99 = quantile(&mut took_s, 0.99);
        report.row("a join in its function, p99", p99, "s", Aim::None);
    }
    for (outcome, count) in outcomes {
        report.row(
            format!("joins answered {outcome}"),
            count as f64,
            "",
            Aim::None,
        );
    }
}
