//! Searches for seeds that break an invariant.

#![expect(
    clippy::print_stdout,
    reason = "a command-line tool talks on standard output"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;
use sim::fleet::{self, Reach, Worst};
use sim::{Sabotage, run};

/// Searches for seeds that break an invariant
#[derive(Parser)]
struct Flags {
    /// How many seeds
    #[arg(long, value_name = "N")]
    seeds: u64,

    /// The first one
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    from: u64,

    /// The whole service instead of one shard
    #[arg(long)]
    fleet: bool,

    /// With everything that the service is to withstand, and not only what it does today
    #[arg(long, requires = "fleet")]
    aim: bool,
}

fn main() -> ExitCode {
    let Flags {
        seeds,
        from,
        fleet,
        aim,
    } = Flags::parse();
    if fleet {
        let reach = if aim { Reach::AIM } else { Reach::TODAY };
        return search_fleet(seeds, from, &reach);
    }
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

/// The same with the whole service.
fn search_fleet(seeds: u64, from: u64, reach: &Reach) -> ExitCode {
    let (mut bad, mut heard, mut worst) = (Vec::new(), 0, Worst::default());
    for (done, seed) in (from..from.saturating_add(seeds)).enumerate() {
        let run = || fleet::run(seed, reach, fleet::Sabotage::None);
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(report)) => {
                heard += report.heard;
                worst = worst.or(report.worst);
            }
            Ok(Err(violation)) => {
                println!("{violation}");
                bad.push(seed);
            }
            Err(_) => {
                println!("fleet seed {seed}: panicked");
                println!("  again: cargo xtask sim --fleet --from {seed} --seeds 1");
                bad.push(seed);
            }
        }
        if (done + 1) % 50 == 0 {
            println!("{} of {seeds} seeds, {} violations", done + 1, bad.len());
        }
    }
    println!(
        "{seeds} seeds of the fleet from {from}: {heard} voice packets heard, {worst:?}, {} \
         violations {bad:?}",
        bad.len()
    );
    if bad.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
