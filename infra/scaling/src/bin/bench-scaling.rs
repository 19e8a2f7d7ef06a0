//! `cargo xtask bench scaling`: plays days by the rules of prod, and draws them.

#![expect(clippy::print_stdout, reason = "a benchmark talks on standard output")]

use std::fs;

use anyhow::{Context as _, Result, anyhow};
use scaling::Policy;
use scaling::play::{Day, Days, Played, all, chart, play};
use serde_json::{Value, json};

const SEED: u64 = 21;
const RULES: &str = "infra/ops/scaling.toml";
const FIGURES: &str = "target/bench/scaling.json";

fn main() -> Result<()> {
    let text = fs::read_to_string(RULES).with_context(|| format!("{RULES} cannot be read"))?;
    let policy = Policy::read(&text, "prod").map_err(|fault| anyhow!("{RULES}: {fault}"))?;
    let mut rows = Vec::new();
    for days in all(SEED) {
        let played = play(&days, &policy);
        println!("{}\n{}", days.day.name(), chart::draw(&played.line));
        rows.push((days.day.name().to_owned(), played));
    }
    // What the floor is for.
    let bare = Policy {
        horizon_hours: 1,
        ..policy
    };
    for day in [Day::NoLaunches, Day::Week] {
        let played = play(&Days::new(day, SEED), &bare);
        rows.push((format!("{}; floor of an hour", day.name()), played));
    }
    print_table(&rows);
    let figures: Vec<Value> = rows.iter().map(figures).collect();
    fs::create_dir_all("target/bench")?;
    fs::write(FIGURES, format!("{:#}\n", Value::from(figures))).context(FIGURES)?;
    Ok(())
}

fn print_table(rows: &[(String, Played)]) {
    println!(
        "| days | most participants | refused: most at once, person-minutes | relays \
         | machine-hours, of those at peak all the time | launched | drained, taken back \
         | replaced | moved at the limit |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for (name, played) in rows {
        println!(
            "| {name} | {} | {}, {} | {} to {} | {:.0}, {:.0} % | {} | {}, {} | {} | {} |",
            played.peak,
            played.refused_most,
            played.refused_minutes,
            played.relays.0,
            played.relays.1,
            played.machine_hours,
            played.machine_hours / played.at_peak_hours * 100.0,
            played.launched,
            played.drained.0,
            played.drained.1,
            played.replaced,
            played.moved_at_limit,
        );
    }
}

fn figures((name, played): &(String, Played)) -> Value {
    json!({
        "days": name, "peak": played.peak, "refused_minutes": played.refused_minutes,
        "refused_most": played.refused_most, "relays": [played.relays.0, played.relays.1],
        "machine_hours": played.machine_hours, "at_peak_hours": played.at_peak_hours,
        "launched": played.launched, "drained": played.drained.0, "returned": played.drained.1,
        "replaced": played.replaced, "moved_at_limit": played.moved_at_limit,
        "calm_s": played.calm_s,
    })
}
