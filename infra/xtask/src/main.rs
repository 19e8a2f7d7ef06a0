//! Build, run, test and measure LifeVerse Voice: `cargo xtask help` lists the commands.

#![expect(
    clippy::print_stdout,
    reason = "a command-line tool talks on standard output"
)]

mod aws_cli;
mod bench;
mod chat;
mod check;
mod child;
mod cli;
mod clock;
mod components;
mod curl;
mod deny;
mod deploy;
mod dev;
mod dr;
mod drill;
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
mod scale;
mod secret;
mod sim;
mod spin_manifest;
mod tidy;
mod token;
mod up;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{CommandFactory as _, Parser as _};

use cli::{Command, CommandLine};
use workspace::Workspace;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().map(String::as_str) == Some(child::LAUNCH) {
        return child::launch(&args[1..]);
    }
    let done = match CommandLine::parse().command {
        Some(command) => run(command),
        None => {
            print!("{}", CommandLine::command().render_help());
            Ok(ExitCode::SUCCESS)
        }
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    needs_linux(&command, std::env::consts::OS)?;
    let workspace = Workspace::find()?;
    match command {
        Command::Up(flags) => up::run(&workspace, &flags)?,
        Command::Wasm => components::build_and_list(&workspace)?,
        Command::Lambda => lambda::run(&workspace)?,
        Command::Package(flags) => package::run(&workspace, &flags)?,
        Command::Deploy(flags) => return deploy::deploy(&workspace, &flags),
        Command::Rollback(place) => return deploy::rollback(&workspace, &place),
        Command::Token(flags) => token::run(&workspace, &flags)?,
        Command::EnrolmentToken(flags) => enrolment_token::run(&workspace, &flags)?,
        Command::Keys { key } => keys::run(&key)?,
        Command::Test(flags) | Command::Ci(flags) => return check::run(&workspace, &flags),
        Command::Tidy => return tidy_command(&workspace),
        Command::Openapi { check } => openapi::run(&workspace, check)?,
        Command::Bench(flags) => bench::run(&workspace, &flags)?,
        Command::Drill(flags) => drill::run(&workspace, &flags)?,
        Command::Chat(flags) => chat::run(&workspace, &flags)?,
        Command::Dr { loss } => dr::run(&workspace, &loss)?,
        Command::Scale(flags) => scale::run(&workspace, &flags)?,
        Command::Flexmatch(flags) => flexmatch::run(&workspace, &flags)?,
        Command::Sim(flags) => sim::run(&workspace, &flags)?,
        Command::Fuzz(flags) => fuzz::run(&workspace, &flags)?,
        Command::Deny { install } => deny::run(install)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Says at once, and not after minutes of building, what cannot run here.
fn needs_linux(command: &Command, os: &str) -> Result<()> {
    if command.runs_a_relay() && os != "linux" {
        bail!(
            "this command needs Linux (the relay is made of its system calls) and this is {os}; \
             run it in a virtual machine, in WSL 2 or in a container"
        );
    }
    Ok(())
}

fn tidy_command(workspace: &Workspace) -> Result<ExitCode> {
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
        let command = |line| cli::tests::command(line).unwrap();
        let error = needs_linux(&command("up"), "macos").unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("macos") && error.contains("WSL 2"),
            "{error}"
        );
        assert!(needs_linux(&command("up"), "linux").is_ok());
        assert!(needs_linux(&command("wasm"), "macos").is_ok());
    }
}
