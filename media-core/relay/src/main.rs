//! The relay daemon; see `relay --help`.

use std::io::{Read, Write};
use std::process::ExitCode;

use relay::{Arguments, Command, CommandLine, KeyArguments, LINES_MAX, StartError};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

/// A session is some hundred small blocks, and every packet looks at a few of them: with this one
/// they lie in huge pages, which the processor finds faster.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Logs of libraries below this may name addresses.
const LOG_FILTER: &str = "error,relay=info";

/// Bytes that are read of a fleet secret: it has 44, and perhaps white space around it.
const SECRET_BYTES_MAX: u64 = 1024;

fn main() -> ExitCode {
    let line = CommandLine::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    let done = match line.command {
        None => return carry(line.run),
        Some(Command::Check { url }) => relay::check(&url),
        Some(Command::Key(asked)) => print_keys(&asked),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn print_keys(asked: &KeyArguments) -> Result<(), StartError> {
    let keys = asked.derive(&standard_input()?)?;
    let _ = std::io::stdout().write_all(keys.as_bytes());
    Ok(())
}

fn carry(arguments: Arguments) -> ExitCode {
    log_to_stderr();
    if let Err(error) = udp::raise_descriptor_limit() {
        tracing::warn!(kind = %error.kind(), "the limit of open files stays as it is");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime needs a few descriptors, as everything that follows does");
    let (lines, received) = mpsc::channel(LINES_MAX);
    let writer = std::thread::spawn(move || write_lines(received));
    let result = runtime.block_on(run(arguments, lines));
    runtime.shutdown_background();
    match result {
        Ok(()) => {
            // Every shard has ended, so the last sender is gone and the writer with it.
            let _ = writer.join();
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
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

/// What comes in, up to more than a secret could have.
fn standard_input() -> Result<String, StartError> {
    let mut text = String::new();
    let mut input = std::io::stdin().take(SECRET_BYTES_MAX);
    match input.read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(error) => Err(StartError(format!(
            "the fleet secret cannot be read from standard input: {error}"
        ))),
    }
}

async fn run(arguments: Arguments, lines: mpsc::Sender<String>) -> Result<(), StartError> {
    let handler = |kind| {
        signal(kind).map_err(|error| StartError(format!("signals cannot be received: {error}")))
    };
    let mut interrupt = handler(SignalKind::interrupt())?;
    let mut terminate = handler(SignalKind::terminate())?;
    let drain_limit = arguments.drain_on_term();
    let variable = |name: &str| std::env::var(name).ok();
    // An edge that is away is waited for, and the wait can be ended.
    let config = tokio::select! {
        config = relay::configure(arguments, variable) => config?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    let mut running = relay::start(config, lines.clone()).await?;
    let ready = running.ready();
    let announce = tokio::spawn(async move {
        let line = ready.await;
        let _ = lines.send(line).await;
    });
    let ended = tokio::select! {
        failure = running.failure() => Err(failure),
        _ = interrupt.recv() => Ok(None),
        _ = terminate.recv() => Ok(drain_limit),
    };
    announce.abort();
    let ended = match ended {
        Ok(Some(limit)) => {
            let drained = running.drain(limit);
            tokio::select! {
                () = drained => Ok(()),
                failure = running.failure() => Err(failure),
                _ = interrupt.recv() => Ok(()),
                _ = terminate.recv() => Ok(()),
            }
        }
        Ok(None) => Ok(()),
        Err(failure) => Err(failure),
    };
    match ended {
        Ok(()) => running.stop().await,
        Err(failure) => Err(failure),
    }
}

/// Writes lines as they come, until no sender is left. A closed pipe does not stop the relay: the
/// lines are lost, the voice is not.
fn write_lines(mut lines: mpsc::Receiver<String>) {
    let mut output = std::io::stdout();
    while let Some(mut line) = lines.blocking_recv() {
        line.push('\n');
        let _ = output
            .write_all(line.as_bytes())
            .and_then(|()| output.flush());
    }
}

fn fail(error: &StartError) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "relay: {error}");
    ExitCode::FAILURE
}
