//! Requests that schemathesis makes from the OpenAPI document, against every host with all of its
//! checks: no fault of ours, nothing that the document does not say. A step of
//! `cargo xtask test`; `--host NAME` takes one host, `--seconds N` another time for each.

#![expect(clippy::print_stdout, reason = "the counts are what it is for")]

use std::process::ExitCode;

use anyhow::{Context, Result};
use scenarios::hosts::{self, Host};
use scenarios::programs;
use tokio::process::Command;

/// Time for each host, unless said otherwise.
const SECONDS: &str = "60";
/// The same requests each time, as far as time allows.
const SEED: &str = "7";

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let flag = |name: &str| {
        let at = args.iter().position(|arg| arg == name)?;
        args.get(at + 1).map(String::as_str)
    };
    let seconds = flag("--seconds").unwrap_or(SECONDS);
    let (mut passed, mut failed) = (0, 0);
    for name in ["edge-host", "lambda"] {
        if flag("--host").is_some_and(|wanted| wanted != name) {
            continue;
        }
        let host = match name {
            "lambda" => hosts::lambda().await?,
            _ => hosts::edge_host().await?,
        };
        println!("-- schemathesis, {name}, {seconds} s");
        if run(&host, seconds).await? {
            passed += 1;
        } else {
            failed += 1;
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(if failed == 0 && passed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn run(host: &Host, seconds: &str) -> Result<bool> {
    let folder = hosts::root().join("tests/scenarios");
    let token = host.target.secrets.everything_token();
    let status = Command::new(programs::of_python("schemathesis")?)
        .arg("--config-file")
        .arg(folder.join("schemathesis.toml"))
        .arg("run")
        .arg(hosts::root().join("functions/wire/openapi.json"))
        .args(["--url", &host.target.base])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--checks", "all", "--max-time", seconds, "--seed", SEED])
        .arg("--continue-on-failure")
        .env("SCHEMATHESIS_HOOKS", "schemathesis_hooks")
        .env("SCHEMA_HOST", host.name)
        .env("PYTHONPATH", &folder)
        // It keeps notes where it runs.
        .current_dir(hosts::root().join("target"))
        .kill_on_drop(true)
        .status()
        .await
        .context("schemathesis does not start")?;
    Ok(status.success())
}
