//! `cargo xtask bench match`: how long a pass of the matcher takes, and how a day of queueing comes
//! out.

use std::path::Path;

use anyhow::Result;
use bench_report::{Aim, Report};
use clap::Parser;
use matchbench::churn::{self, Churn};
use matchbench::day::{Day, DayOutcome, simulate};
use matchbench::page::{page, quantile_or_zero, tables};
use matchbench::population::Population;
use matchbench::{cpu_s, rules};
use matchmaking::{AttributeValue, QueueTicket, RuleSet, World, form};

/// A pass over 100,000 tickets of five against five, seconds.
const PASS_AIM_S: f64 = 1.0;
/// Runs of which the median counts.
const RUNS: usize = 3;
/// Decides everything random.
const SEED: u64 = 5;
/// How much longer they may wait than without them, seconds: half of a poll's pause.
const CHURN_MORE_S: f64 = 0.5;
/// Parties a minute in the busiest and in the quietest hour, at scale 1.
const PEAK_PER_MIN: f64 = 240.0;
const LOW_PER_MIN: f64 = 12.0;

/// Measures the matcher
#[derive(Parser)]
struct Flags {
    /// A day of six hours at a quarter of the scale
    #[arg(long)]
    quick: bool,

    /// The passes alone
    #[arg(long, conflicts_with = "day")]
    passes: bool,

    /// The day alone
    #[arg(long)]
    day: bool,

    /// Those who come and go alone
    #[arg(long, conflicts_with_all = ["passes", "day"])]
    churn: bool,

    /// How many times as many parties as at scale 1: above 0, 1000 at most
    /// [default: 1, with --quick 0.25]
    #[arg(long, value_name = "N", value_parser = scale, verbatim_doc_comment)]
    scale: Option<f64>,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    let (hours, usual) = if flags.quick { (6, 0.25) } else { (24, 1.0) };
    let scale = flags.scale.unwrap_or(usual);
    let mut report = Report::default();
    if !flags.day && !flags.churn {
        passes(&mut report)?;
    }
    if !flags.day && !flags.passes {
        churn(&mut report, if flags.quick { 60 } else { 600 })?;
    }
    if !flags.passes && !flags.churn {
        let day = Day {
            seed: SEED,
            peak_per_min: PEAK_PER_MIN * scale,
            low_per_min: LOW_PER_MIN * scale,
            pass_s: 5,
            hours,
            room: 1_000_000,
        };
        let begun = cpu_s()?;
        let outcome = simulate(&day, &rules::modes());
        tell_day(&mut report, &day, &outcome, cpu_s()? - begun)?;
    }
    report.finish("match")
}

fn scale(text: &str) -> Result<f64, &'static str> {
    let number = text.parse().ok();
    let fine = number.filter(|scale| *scale > 0.0 && *scale <= 1_000.0);
    fine.ok_or("use a number above 0 and at most 1000")
}

fn passes(report: &mut Report) -> Result<()> {
    let aim = Aim::AtMost(PASS_AIM_S);
    let [five, roles, squads] = rules::modes();
    pass(report, "5v5, 100,000 tickets", &five, 100_000, aim)?;
    pass(
        report,
        "5v5 with roles, 100,000 tickets",
        &roles,
        100_000,
        aim,
    )?;
    pass(
        report,
        "20 squads of 5, 10,000 tickets",
        &squads,
        10_000,
        aim,
    )?;
    // Everybody looks for company, and there is none: because nobody heals, because nobody likes
    // the same map, or because the teams are never alike.
    for late_s in [0, 1_000] {
        let after = if late_s > 0 { ", all overdue" } else { "" };
        none_fits(
            report,
            &format!("nobody heals{after}"),
            &roles,
            late_s,
            &|_, ticket| {
                ticket
                    .players
                    .iter_mut()
                    .for_each(|player| player.attributes.clear());
            },
        )?;
        let own_map = |number: usize, ticket: &mut QueueTicket| {
            let map = AttributeValue::Set([format!("m{number}")].into());
            for player in &mut ticket.players {
                player.attributes.insert("maps".to_owned(), map.clone());
            }
        };
        let name = format!("no map in common{after}");
        none_fits(report, &name, &rules::shared_map(), late_s, &own_map)?;
    }
    none_fits(report, "never equal", &rules::never_equal(), 0, &|_, _| {})
}

/// How long honest players wait beside those who come and go.
fn churn(report: &mut Report, seconds: u64) -> Result<()> {
    for accepts in [false, true] {
        let mut alone: Option<[f64; 2]> = None;
        for share in [0.0, 0.1, 0.3] {
            let outcome = churn::simulate(&Churn {
                seed: SEED,
                population: 1_000,
                share,
                per_s: 5.0,
                seconds,
                accepts,
            })?;
            let of = |share| quantile_or_zero(&outcome.waits_s, share);
            let waits = [of(0.5), of(0.95)];
            let most = alone.map(|alone| alone.map(|wait_s| wait_s + CHURN_MORE_S));
            let asked = if accepts { ", all accept" } else { "" };
            let beside = format!("beside {:.0} % who come and go{asked}", 100.0 * share);
            for (at, name) in ["p50", "p95"].into_iter().enumerate() {
                let aim = most.map_or(Aim::None, |most| Aim::AtMost(most[at]));
                report.row(format!("wait {name}, {beside}"), waits[at], "s", aim);
            }
            let most = f64::from(outcome.read_units_max);
            report.row(
                format!("dearest request, {beside}"),
                most,
                "units",
                Aim::None,
            );
            let each = outcome.read_units_each;
            report.row(
                format!("read of one player, {beside}"),
                each,
                "units",
                Aim::None,
            );
            told(&format!(
                "{beside}: {:.2} and {:.2} s, {} tickets taken back, {} times put off, {each:.1} \
                 read units each, {most} of one request",
                waits[0], waits[1], outcome.taken_back, outcome.put_off
            ));
            alone.get_or_insert(waits);
        }
    }
    Ok(())
}

fn pool(count: usize, rules: &RuleSet) -> (Vec<QueueTicket>, World, u64) {
    let mut population = Population::new(SEED);
    let world = population.world(1_000_000);
    // Arrived evenly within the last ten seconds.
    let now_ms = 1_000_000;
    let since = |n: usize| now_ms - 10_000 * (count - n) as u64 / count as u64;
    let mut tickets: Vec<QueueTicket> = (0..count).map(|n| population.ticket(since(n))).collect();
    for ticket in &mut tickets {
        ticket.modes = vec![rules.mode.clone()];
    }
    (tickets, world, now_ms)
}

/// Median CPU time of a pass, and how many tickets it left.
fn timed(
    tickets: &[QueueTicket],
    rules: &RuleSet,
    world: &World,
    now_ms: u64,
) -> Result<(f64, usize)> {
    let mut runs: Vec<(f64, usize)> = Vec::new();
    for _ in 0..RUNS {
        let begun = cpu_s()?;
        let outcome = form(tickets, rules, world, now_ms, SEED);
        runs.push((cpu_s()? - begun, outcome.waiting.len()));
    }
    runs.sort_by(|a, b| a.0.total_cmp(&b.0));
    Ok(runs[RUNS / 2])
}

fn pass(report: &mut Report, name: &str, rules: &RuleSet, count: usize, aim: Aim) -> Result<()> {
    let (tickets, world, now_ms) = pool(count, rules);
    let (seconds, left) = timed(&tickets, rules, &world, now_ms)?;
    report.row(format!("pass, {name}"), seconds, "s", aim);
    let matched = 100.0 * (count - left) as f64 / count as f64;
    report.row(format!("matched in it, {name}"), matched, "%", Aim::None);
    told(&format!(
        "{name}: {seconds:.2} s of CPU, {matched:.1} % matched"
    ));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a benchmark says how far it is")]
fn told(line: &str) {
    println!("{line}");
}

/// A pass over 100,000 tickets that `change` made unfit for each other.
fn none_fits(
    report: &mut Report,
    name: &str,
    rules: &RuleSet,
    late_s: u64,
    change: &dyn Fn(usize, &mut QueueTicket),
) -> Result<()> {
    let (mut tickets, world, now_ms) = pool(100_000, rules);
    for (number, ticket) in tickets.iter_mut().enumerate() {
        change(number, ticket);
    }
    let (seconds, left) = timed(&tickets, rules, &world, now_ms + late_s * 1000)?;
    let matched = 100.0 * (tickets.len() - left) as f64 / tickets.len() as f64;
    // Two parties of five can happen to be alike.
    assert!(matched < 6.0, "hardly anybody fits: {matched} %");
    let row = format!("pass, 100,000 tickets, {name}");
    report.row(row, seconds, "s", Aim::None);
    told(&format!(
        "{name}: {seconds:.2} s of CPU, {matched:.1} % matched"
    ));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the tables are a benchmark's output")]
fn tell_day(report: &mut Report, day: &Day, outcome: &DayOutcome, seconds: f64) -> Result<()> {
    for table in tables(outcome) {
        println!("{}", table.title);
        let width = |head: &str| head.len().max(7) + 2;
        let line = |cells: &[String]| -> String {
            let cells = cells.iter().zip(&table.heads);
            cells
                .map(|(cell, head)| format!("{cell:>0$}", width(head)))
                .collect()
        };
        let heads: Vec<String> = table.heads.iter().map(|head| (*head).to_owned()).collect();
        println!("{}", line(&heads));
        table.rows.iter().for_each(|row| println!("{}", line(row)));
    }
    let waits = outcome.of_parties(|_| true, |party| party.wait_s);
    for (name, share) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
        let value = quantile_or_zero(&waits, share);
        report.row(format!("wait {name}"), value, "s", Aim::None);
    }
    report.row("longest wait", outcome.wait_max_s(), "s", Aim::None);
    let duels = |of: &dyn Fn(&matchbench::day::Made) -> f64| {
        outcome.of_made(|made| made.mode < 2, |made| Some(of(made)))
    };
    let favourite = 100.0 * quantile_or_zero(&duels(&|made| made.favourite), 0.95);
    let spread = quantile_or_zero(&duels(&|made| made.spread), 0.95);
    report.row("rating spread of 5v5 p95", spread, "", Aim::None);
    report.row(
        "predicted win of the better of two teams p95",
        favourite,
        "%",
        Aim::None,
    );
    let worst = outcome.of_made(|_| true, |made| made.worst_ms);
    let worst = quantile_or_zero(&worst, 0.95);
    report.row("worst round trip p95", worst, "ms", Aim::None);
    let typical = quantile_or_zero(&outcome.estimates, 0.5);
    report.row("estimated over actual wait, median", typical, "", Aim::None);
    let off = outcome.estimates.iter().map(|ratio| ratio.ln().abs().exp());
    let off = quantile_or_zero(&off.collect::<Vec<_>>(), 0.5);
    report.row("estimate off by a factor of, median", off, "", Aim::None);
    let each = 1e3 * seconds / outcome.passes.max(1) as f64;
    report.row(
        "CPU of the day, with making the population",
        seconds,
        "s",
        Aim::None,
    );
    let about = about(day, outcome, each);
    println!("{about}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("match.html"), page(outcome, &about))?;
    println!("written: target/bench/match.html");
    Ok(())
}

fn about(day: &Day, outcome: &DayOutcome, each_ms: f64) -> String {
    let arrived: usize = outcome.arrived.iter().sum();
    format!(
        "{} hours, seed {}: {arrived} parties of {} players in six regions, {} a minute at 5 h and \
         {} at 17 h, queue for three modes: five against five (five), the same with roles (ranked) \
         and 20 squads of up to five (royale). A pass of each mode every {} s takes {each_ms:.1} \
         ms of CPU on average. {} parties were matched in {} matches; {} waited at the end.",
        day.hours,
        day.seed,
        outcome.players,
        day.low_per_min,
        day.peak_per_min,
        day.pass_s,
        outcome.parties.len(),
        outcome.made.len(),
        outcome.left_s.len()
    )
}
