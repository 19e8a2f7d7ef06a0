//! `finops`: reads records, prices and a clock, and prints what the library says.

mod arguments;
mod commands;

use std::process::ExitCode;

use arguments::Arguments;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    let Some((_, flags, run)) = commands::ALL.iter().find(|(name, ..)| *name == command) else {
        let is_help = matches!(command.as_str(), "" | "help" | "--help" | "-h");
        if !is_help {
            eprintln!("`{command}` is no command of finops");
        }
        eprintln!("{}", commands::USAGE);
        return if is_help {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(2)
        };
    };
    let arguments = match Arguments::parse(words, &flags.concat()) {
        Ok(arguments) => arguments,
        Err(fault) => {
            eprintln!("{fault}\n{}", commands::USAGE);
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("{fault:#}");
            ExitCode::FAILURE
        }
    }
}
