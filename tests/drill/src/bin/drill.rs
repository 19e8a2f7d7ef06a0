//! Causes faults to a service with calls in it, and tells what the callers heard of them.

#![expect(clippy::print_stderr, reason = "how far it is goes beside the table")]

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, ValueEnum as _, value_parser};
use drill::Party;
use drill::drills::Drills;
use drill::kind::Kind;
use drill::options::Options;

const DETAIL: &str = "\
Without --edge an edge host and relays are started here, and stopped in the end. With it, --control
is run by sh for each fault, with {fault} one of kill, freeze, thaw, drain, start, edge-stop,
edge-start, store-stop, store-start and {relay} the relay's name in the fleet; without --control you
are asked to do it. tests/drill/README.md says what it needs. Writes target/bench/drill.json.";

/// Causes faults to a service with calls in it
#[derive(Debug, Parser)]
#[command(after_help = DETAIL)]
struct Flags {
    /// What to drill; everything when nothing is named
    #[arg(value_enum)]
    kinds: Vec<Kind>,

    /// How often
    #[arg(long, value_name = "N", default_value_t = 3)]
    #[arg(value_parser = value_parser!(u16).range(1..=1_000))]
    runs: u16,

    /// How long the store is away
    #[arg(long, value_name = "N", default_value_t = 60)]
    outage_seconds: u64,

    /// Drill the store this often instead
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = value_parser!(u16).range(1..=1_000))]
    outages: u16,

    #[command(flatten)]
    options: Options,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Flags::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: &Flags) -> Result<()> {
    let (control, line) = flags.options.service().await?;
    let party = Party::gather(line, flags.options.shape()?).await?;
    eprintln!("{} callers hear their rooms", party.callers().len());
    let outage = Duration::from_secs(flags.outage_seconds);
    let mut drills = Drills::new(party, control, flags.runs.into(), outage);
    let kinds = match &flags.kinds[..] {
        [] => Kind::value_variants(),
        kinds => kinds,
    };
    for kind in kinds {
        drills.runs = match kind {
            Kind::StoreOutage => flags.outages.into(),
            _ => flags.runs.into(),
        };
        drills.run(*kind).await?;
    }
    let Drills { party, report, .. } = drills;
    party.leave().await;
    report.finish("drill")
}
