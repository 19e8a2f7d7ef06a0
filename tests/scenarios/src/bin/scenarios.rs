//! Runs every scenario against every host and prints a table, a column per host: a step of
//! `cargo xtask test`.

#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use scenarios::hosts::{self, Deployed, Host};
use scenarios::suite::{SCENARIOS, Scenario};

/// Runs scenarios against every host
#[derive(Parser)]
#[command(after_help = "\
With SCENARIOS_AWS_URL and SCENARIOS_TABLE they run on Lambda alone, against that table.")]
struct Flags {
    /// Those that have this in their names
    #[arg(value_name = "WORD", default_value = "")]
    wanted: String,
}

/// A scenario is a few requests.
const SCENARIO_LIMIT: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let Flags { wanted } = Flags::parse();
    let chosen: Vec<&Scenario> = SCENARIOS
        .iter()
        .filter(|scenario| scenario.name.contains(&wanted))
        .collect();
    let running = hosts().await?;
    let width = chosen.iter().map(|scenario| scenario.name.len()).max();
    let width = width.unwrap_or(0);
    let heads: String = running
        .iter()
        .map(|host| format!("{:>11}", host.name))
        .collect();
    println!("{:<width$}{heads}", "scenario");
    let (mut passed, mut faults) = (0, Vec::new());
    for scenario in chosen {
        print!("{:<width$}", scenario.name);
        for host in &running {
            if !scenario.fits(host.name) {
                print!("{:>11}", "-");
                continue;
            }
            let outcome = run(scenario, host).await;
            print!("{:>11}", if outcome.is_ok() { "ok" } else { "FAILED" });
            match outcome {
                Ok(()) => passed += 1,
                Err(fault) => faults.push((scenario.name, host.name, fault)),
            }
        }
        println!();
    }
    for (scenario, host, fault) in &faults {
        println!("\n{scenario}, on {host}:\n  {fault:#}");
    }
    println!("{passed} passed, {} failed", faults.len());
    Ok(if faults.is_empty() && passed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn hosts() -> Result<Vec<Host>> {
    if let Some(deployed) = Deployed::of_environment() {
        return Ok(vec![hosts::lambda_on(&deployed).await?]);
    }
    let mut running = vec![hosts::edge_host().await?, hosts::lambda().await?];
    match hosts::spin().await? {
        Some(host) => running.push(host),
        None => println!("spin is not installed: left out"),
    }
    Ok(running)
}

async fn run(scenario: &Scenario, host: &Host) -> Result<()> {
    let running = (scenario.run)(&host.target);
    tokio::time::timeout(SCENARIO_LIMIT, running).await?
}
