//! `cargo xtask bench match`: how long a pass of the matcher takes, and how a day of queueing comes
//! out.

use std::path::Path;

use anyhow::{Result, bail};
use matchbench::charts::{HEADS, cells, page, short};
use matchbench::day::{Day, Outcome, quantile_or_zero, simulate};
use matchbench::population::Population;
use matchbench::report::{Aim, Report};
use matchbench::{cpu_s, rules};
use matchmaking::{RuleSet, Ticket, World, form};

/// A pass over 100,000 tickets of five against five, seconds.
const PASS_AIM_S: f64 = 1.0;
/// Runs of which the median counts.
const RUNS: usize = 3;
/// Decides everything random.
const SEED: u64 = 5;

fn main() -> Result<()> {
    let quick = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => false,
        [flag] if flag == "--quick" => true,
        _ => bail!("bench-match takes --quick or nothing"),
    };
    let mut report = Report::default();
    let aim = Aim::AtMost(PASS_AIM_S);
    pass(
        &mut report,
        "5v5, 100,000 tickets",
        &rules::five_v_five(),
        100_000,
        aim,
    )?;
    let roles = rules::five_v_five_with_roles();
    pass(
        &mut report,
        "5v5 with roles, 100,000 tickets",
        &roles,
        100_000,
        Aim::None,
    )?;
    pass(
        &mut report,
        "20 squads of 5, 10,000 tickets",
        &rules::hundred(),
        10_000,
        Aim::None,
    )?;
    nobody_fits(&mut report)?;
    let day = Day {
        seed: SEED,
        peak_per_min: if quick { 60.0 } else { 240.0 },
        low_per_min: if quick { 6.0 } else { 12.0 },
        pass_s: 5,
        hours: if quick { 6 } else { 24 },
        room: 1_000_000,
    };
    let outcome = simulate(&day, &rules::five_v_five());
    tell_day(&mut report, &day, &outcome)?;
    report.finish("match")
}

fn pool(count: usize) -> (Vec<Ticket>, World, u64) {
    let mut population = Population::new(SEED);
    let world = population.world(1_000_000);
    // Arrived evenly within the last ten seconds.
    let now_ms = 1_000_000;
    let since = |n: usize| now_ms - 10_000 * (count - n) as u64 / count as u64;
    let tickets = (0..count).map(|n| population.ticket(since(n))).collect();
    (tickets, world, now_ms)
}

/// Median CPU time of a pass, and how many tickets it left.
fn timed(tickets: &[Ticket], rules: &RuleSet, world: &World, now_ms: u64) -> Result<(f64, usize)> {
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
    let (tickets, world, now_ms) = pool(count);
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

/// The worst case: everybody looks for company, and there is none because nobody heals.
fn nobody_fits(report: &mut Report) -> Result<()> {
    let (mut tickets, world, now_ms) = pool(100_000);
    for player in tickets.iter_mut().flat_map(|ticket| &mut ticket.players) {
        player.attributes.clear();
    }
    let rules = rules::five_v_five_with_roles();
    let (seconds, left) = timed(&tickets, &rules, &world, now_ms)?;
    assert_eq!(left, tickets.len(), "nobody can be matched without healers");
    report.row(
        "pass, 100,000 tickets of which none fits",
        seconds,
        "s",
        Aim::None,
    );
    told(&format!("none fits: {seconds:.2} s of CPU"));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the table is a benchmark's output")]
fn tell_day(report: &mut Report, day: &Day, outcome: &Outcome) -> Result<()> {
    println!("{}", HEADS.map(|head| format!("{head:>16}")).join(""));
    for (number, hour) in outcome.hours.iter().enumerate() {
        let row = cells(hour).map(|value| format!("{:>16}", short(value)));
        println!("{number:>16}{}", row.join(""));
    }
    let waits = outcome.all(|hour| &hour.waits_s);
    for (name, share) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
        report.row(
            format!("wait {name}"),
            quantile_or_zero(&waits, share),
            "s",
            Aim::None,
        );
    }
    report.row("longest wait", outcome.wait_max_s, "s", Aim::None);
    let spreads = outcome.all(|hour| &hour.spreads);
    report.row(
        "rating spread p95",
        quantile_or_zero(&spreads, 0.95),
        "",
        Aim::None,
    );
    let favourites = outcome.all(|hour| &hour.favourites);
    let favourite = 100.0 * quantile_or_zero(&favourites, 0.95);
    report.row(
        "predicted win of the better team p95",
        favourite,
        "%",
        Aim::None,
    );
    let latencies = outcome.all(|hour| &hour.latencies_ms);
    report.row(
        "worst round trip p95",
        quantile_or_zero(&latencies, 0.95),
        "ms",
        Aim::None,
    );
    let estimates = outcome.estimates.clone();
    let typical = quantile_or_zero(&estimates, 0.5);
    report.row("estimated over actual wait, median", typical, "", Aim::None);
    let about = format!(
        "Five against five, seed {}; {} to {} parties a minute, a pass every {} s. \
         {} parties were matched, {} waited at the end.",
        day.seed,
        day.low_per_min,
        day.peak_per_min,
        day.pass_s,
        waits.len(),
        outcome.left
    );
    println!("{about}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("match.html"), page(outcome, &about))?;
    println!("written: target/bench/match.html");
    Ok(())
}
