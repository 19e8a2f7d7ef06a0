//! Searches for seeds that break an invariant: `sim --seeds N [--from S]`.

#![expect(
    clippy::print_stdout,
    reason = "a command-line tool talks on standard output"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use sim::{Sabotage, run};

const USAGE: &str = "usage: sim --seeds N [--from S]";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((seeds, from)) = parse(&args) else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    let (mut bad, mut heard, mut connected) = (Vec::new(), 0, 0);
    for (done, seed) in (from..from.saturating_add(seeds)).enumerate() {
        match catch_unwind(AssertUnwindSafe(|| run(seed, Sabotage::None))) {
            Ok(Ok(report)) => {
                heard += report.heard;
                connected += report.connected;
            }
            Ok(Err(violation)) => {
                println!("{violation}");
                bad.push(seed);
            }
            Err(_) => {
                println!("seed {seed}: panicked");
                println!("  again: cargo xtask sim --from {seed} --seeds 1");
                bad.push(seed);
            }
        }
        if (done + 1) % 50 == 0 {
            println!("{} of {seeds} seeds, {} violations", done + 1, bad.len());
        }
    }
    println!(
        "{seeds} seeds from {from}: {connected} sessions connected, {heard} voice packets heard, \
         {} violations {bad:?}",
        bad.len()
    );
    if bad.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn parse(args: &[String]) -> Option<(u64, u64)> {
    let (mut seeds, mut from) = (None, 0);
    for pair in args.chunks(2) {
        let [name, value] = pair else { return None };
        let value = value.parse().ok()?;
        match name.as_str() {
            "--seeds" => seeds = Some(value),
            "--from" => from = value,
            _ => return None,
        }
    }
    seeds.map(|seeds| (seeds, from))
}
