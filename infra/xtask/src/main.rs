//! Build, run, test and measure LifeVerse Voice: `cargo xtask help` lists the commands.

#![expect(
    clippy::print_stdout,
    reason = "a command-line tool talks on standard output"
)]

mod bench;
mod chat;
mod check;
mod child;
mod cli;
mod clock;
mod components;
mod curl;
mod deny;
mod dev;
mod enrolment_token;
mod flexmatch;
mod fuzz;
mod install;
mod keys;
mod lambda;
mod openapi;
mod package;
mod ports;
mod process;
mod progress;
mod secret;
mod sim;
mod spin_manifest;
mod tidy;
mod token;
mod up;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};

use cli::{Invocation, Parsed};
use workspace::Workspace;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().map(String::as_str) == Some(child::LAUNCH) {
        return child::launch(&args[1..]);
    }
    match cli::parse(&args).and_then(run) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(invocation: Invocation) -> Result<ExitCode> {
    let (command, parsed) = match invocation {
        Invocation::Help(text) => {
            print!("{text}");
            return Ok(ExitCode::SUCCESS);
        }
        Invocation::Run(command, parsed) => (command, parsed),
    };
    needs_linux(command.name, std::env::consts::OS)?;
    let workspace = Workspace::find()?;
    match command.name {
        "up" => up::run(&workspace, &parsed)?,
        "wasm" => components::build_and_list(&workspace)?,
        "lambda" => lambda::run(&workspace)?,
        "package" => package::run(&workspace, &parsed)?,
        "token" => token::run(&workspace, &parsed)?,
        "enrolment-token" => enrolment_token::run(&workspace, &parsed)?,
        "keys" => keys::run(&parsed)?,
        "test" | "ci" => return check::run(&workspace, &parsed),
        "tidy" => return tidy_command(&workspace, &parsed),
        "openapi" => openapi::run(&workspace, parsed.has("--check"))?,
        "bench" => bench::run(&workspace, &parsed)?,
        "chat" => chat::run(&workspace, &parsed)?,
        "flexmatch" => flexmatch::run(&workspace, &parsed)?,
        "sim" => sim::run(&workspace, &parsed)?,
        "fuzz" => fuzz::run(&workspace, &parsed)?,
        "deny" => deny::run(parsed.has("--install"))?,
        other => unreachable!("`{other}` is in the command table but not dispatched"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Says at once, and not after minutes of building, what cannot run here.
fn needs_linux(command: &str, os: &str) -> Result<()> {
    let runs_a_relay = ["up", "test", "ci", "bench", "fuzz", "package"].contains(&command);
    if runs_a_relay && os != "linux" {
        bail!(
            "`cargo xtask {command}` needs Linux (the relay is made of its system calls) and this \
             is {os}; run it in a virtual machine, in WSL 2 or in a container"
        );
    }
    Ok(())
}

fn tidy_command(workspace: &Workspace, _parsed: &Parsed) -> Result<ExitCode> {
    let violations = tidy::check(workspace)?;
    for violation in &violations {
        println!("{violation}");
    }
    if violations.is_empty() {
        println!("tidy: nothing to report");
        return Ok(ExitCode::SUCCESS);
    }
    println!("tidy: {} to mend", violations.len());
    Ok(ExitCode::FAILURE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_system_is_told_what_to_do() {
        let error = needs_linux("up", "macos").unwrap_err().to_string();
        assert!(
            error.contains("macos") && error.contains("WSL 2"),
            "{error}"
        );
        assert!(needs_linux("up", "linux").is_ok());
        assert!(needs_linux("token", "macos").is_ok());
    }
}
