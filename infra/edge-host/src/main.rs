//! The `edge-host` program: reads its flags, serves until a signal, stops in order.

mod args;
mod check;
mod dev_token;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use edge_host::{CodeSource, Config, Limits, RecordSink};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

use args::{Args, Command};

/// Exit code for a command line that is wrong.
const EXIT_USAGE: u8 = 2;

/// What is logged unless RUST_LOG says otherwise.
const LOG_FILTER: &str = "info";

#[tokio::main]
async fn main() -> ExitCode {
    let command = match args::parse(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(message) => {
            eprintln!("edge-host: {message}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let done = match command {
        Command::Help => {
            println(args::USAGE);
            Ok(())
        }
        Command::Check(url) => check::check(&url),
        Command::Compile(args) => {
            log_to_stderr();
            compile(args)
        }
        Command::Serve(args) => {
            log_to_stderr();
            run(args).await
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("edge-host: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> anyhow::Result<()> {
    // Before listening, so that no signal comes too early.
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let running = edge_host::start(config(args)?).await?;
    let address = running.address();
    let compiled = |code: &&CodeSource| **code == CodeSource::Compiled;
    let compiled = running.code().values().filter(compiled).count();
    println(&format!(
        r#"{{"event":"listening","address":"{address}","compiled":{compiled}}}"#
    ));
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("stopping");
    running.stop().await;
    Ok(())
}

fn compile(args: Args) -> anyhow::Result<()> {
    let components = edge_host::compile(&config(args)?)?;
    println(&format!(
        r#"{{"event":"compiled","components":{components}}}"#
    ));
    Ok(())
}

fn config(args: Args) -> anyhow::Result<Config> {
    let mut limits = Limits::default();
    if let Some(concurrent_requests) = args.concurrent_requests {
        limits.concurrent_requests = concurrent_requests;
    }
    let dev_token = args
        .dev_signing_key
        .map(|file| dev_token::mint(&file))
        .transpose()?;
    let defaults = Config::new(args.spin_toml, args.state_dir);
    Ok(Config {
        listen: args.listen,
        cache_dir: args.cache_dir.unwrap_or(defaults.cache_dir),
        variables: args.variables,
        portable_code: args.portable_code,
        limits,
        records: RecordSink::Stdout,
        dev_token,
        ..defaults
    })
}

/// As RUST_LOG says, if it can be read.
fn log_to_stderr() {
    let wanted = std::env::var("RUST_LOG").unwrap_or_default();
    let wanted = Some(wanted).filter(|text| !text.is_empty());
    let filter: Targets = wanted
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| LOG_FILTER.parse().expect("it is well formed"));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .init();
}

/// One line on stdout. A reader that is gone is no reason to stop serving.
fn println(line: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
