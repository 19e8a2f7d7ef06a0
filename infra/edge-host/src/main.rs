//! The `edge-host` program: reads its flags, serves until a signal, stops in order.

mod args;
mod check;
mod dev_token;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use edge_host::{CodeSource, Config, Limits, RecordSink};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

use args::{Code, Command, CommandLine, Serve};

/// What is logged unless RUST_LOG says otherwise.
const LOG_FILTER: &str = "info";

#[tokio::main]
async fn main() -> ExitCode {
    let line = CommandLine::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    let done = match (line.command, line.code, line.serve) {
        (Some(Command::Check { url }), ..) => check::check(&url),
        (Some(Command::Compile { code, cache_dir }), ..) => {
            log_to_stderr();
            compile(code, cache_dir)
        }
        (None, Some(code), Some(serve)) => {
            log_to_stderr();
            run(code, serve).await
        }
        (None, ..) => unreachable!("clap asks for a flag of each"),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("edge-host: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(code: Code, serve: Serve) -> anyhow::Result<()> {
    // Before listening, so that no signal comes too early.
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let running = edge_host::start(config(code, serve)?).await?;
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

fn compile(code: Code, cache_dir: PathBuf) -> anyhow::Result<()> {
    // Compiling opens no database.
    let config = Config {
        cache_dir,
        portable_code: code.portable_code,
        ..Config::new(code.spin_toml, PathBuf::new())
    };
    let components = edge_host::compile(&config)?;
    println(&format!(
        r#"{{"event":"compiled","components":{components}}}"#
    ));
    Ok(())
}

fn config(code: Code, serve: Serve) -> anyhow::Result<Config> {
    serve.check_dev_tokens().map_err(anyhow::Error::msg)?;
    let variables = serve.variables().map_err(anyhow::Error::msg)?;
    let dev_token = serve
        .dev_signing_key
        .map(|file| dev_token::mint(&file))
        .transpose()?;
    let defaults = Config::new(code.spin_toml, serve.state_dir);
    Ok(Config {
        listen: serve.listen,
        cache_dir: serve.cache_dir.unwrap_or(defaults.cache_dir),
        variables,
        portable_code: code.portable_code,
        limits: Limits {
            concurrent_requests: serve.concurrent_requests,
            ..Limits::default()
        },
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
