//! Requests that schemathesis makes from the OpenAPI document, against every host with all of its
//! checks: no fault of ours, nothing that the document does not say. A step of
//! `cargo xtask test`.

#![expect(clippy::print_stdout, reason = "the counts are what it is for")]

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use edge::config::DEFAULT_REGION;
use scenarios::hosts::{self, Host};
use scenarios::programs;
use scenarios::shard::Shard;
use tokio::process::Command;
use wire::routes::ROUTES;

/// Lets schemathesis make requests
#[derive(Parser)]
struct Flags {
    /// To this host alone
    #[arg(long, value_name = "NAME", value_parser = ["edge-host", "lambda"])]
    host: Option<String>,

    /// Time for each host
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u32,

    /// Decides which requests: the same each time, as far as time allows
    #[arg(long, value_name = "N", default_value_t = 7)]
    seed: u64,
}

/// A relay that has not been heard of for ten seconds is gone.
const BEAT_EVERY: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let flags = Flags::parse();
    let check = async |name: &str| match &flags.host {
        Some(wanted) if wanted != name => Ok(None),
        _ => check(name, &flags).await.map(Some),
    };
    // Beside each other: a client asks one question after another, and leaves a core.
    let (edge_host, lambda) = tokio::try_join!(check("edge-host"), check("lambda"))?;
    let outcomes = [edge_host, lambda];
    let of = |fine: bool| outcomes.iter().filter(|it| **it == Some(fine)).count();
    let (passed, failed) = (of(true), of(false));
    println!("{passed} passed, {failed} failed");
    Ok(if failed == 0 && passed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Whether a host does what the document says, and every route was reached.
async fn check(name: &str, flags: &Flags) -> Result<bool> {
    let Flags { seconds, seed, .. } = flags;
    let mut host = match name {
        "lambda" => hosts::lambda().await?,
        _ => hosts::edge_host().await?,
    };
    println!("-- schemathesis, {name}, {seconds} s, seed {seed}");
    let shard = Shard::start(&host.target, "schema-0", DEFAULT_REGION).await?;
    let is_fine = tokio::select! {
        is_fine = run(&host, flags) => is_fine?,
        stopped = beat(&shard, &host) => return Err(stopped),
    };
    Ok(is_fine && all_are_reached(&mut host))
}

/// Keeps a relay alive, so that joins find one.
async fn beat(shard: &Shard, host: &Host) -> anyhow::Error {
    loop {
        tokio::time::sleep(BEAT_EVERY).await;
        if let Err(error) = shard.beat(&host.target).await {
            return error.context("the relay's heartbeat");
        }
    }
}

/// Whether a request was made of every route; says of which none succeeded, since made-up data
/// names no ticket or message that exists.
fn all_are_reached(host: &mut Host) -> bool {
    let (mut reached, mut served) = (BTreeSet::new(), BTreeSet::new());
    for record in host.records() {
        if record.status < 300 {
            served.insert(record.route.clone());
        }
        reached.insert(record.route);
    }
    let missing = |found: &BTreeSet<String>| -> Vec<&'static str> {
        let names = ROUTES.iter().map(|route| route.name);
        names.filter(|name| !found.contains(*name)).collect()
    };
    let (never, refused) = (missing(&reached), missing(&served));
    let all = ROUTES.len();
    println!(
        "{}: {} of {all} routes reached, {} with a success; never: {never:?}; always refused: \
         {refused:?}",
        host.name,
        all - never.len(),
        all - refused.len()
    );
    never.is_empty()
}

async fn run(host: &Host, flags: &Flags) -> Result<bool> {
    let folder = hosts::root().join("tests/scenarios");
    let token = host.target.secrets.everything_token();
    let output = Command::new(programs::of_python("schemathesis")?)
        .arg("--config-file")
        .arg(folder.join("schemathesis.toml"))
        .arg("run")
        .arg(hosts::root().join("functions/wire/openapi.json"))
        .args(["--url", &host.target.base])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--checks", "all", "--max-time", &flags.seconds.to_string()])
        .args(["--seed", &flags.seed.to_string()])
        .arg("--continue-on-failure")
        .env("SCHEMATHESIS_HOOKS", "schemathesis_hooks")
        .env("SCHEMA_HOST", host.name)
        .env("PYTHONPATH", &folder)
        // It keeps notes where it runs.
        .current_dir(hosts::root().join("target"))
        .kill_on_drop(true)
        .output()
        .await
        .context("schemathesis does not start")?;
    let told = [output.stdout, output.stderr].concat();
    println!("-- {}\n{}", host.name, String::from_utf8_lossy(&told));
    Ok(output.status.success())
}
