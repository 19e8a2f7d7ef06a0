//! Prints a FlexMatch-style rule set as one of ours, and on standard error what does not map.
//! `cargo xtask flexmatch` runs it.

#![expect(
    clippy::print_stdout,
    reason = "the rule set goes to standard output, so that it can be kept"
)]

use std::process::ExitCode;

use matchmaking::flexmatch::{Header, Reading, read};
use wire::ModeName;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match convert(&arguments) {
        Ok(Reading {
            document, unmapped, ..
        }) => {
            println!("{document:#}");
            for fault in unmapped {
                eprintln!("not mapped: {fault}");
            }
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn convert(arguments: &[String]) -> Result<Reading, String> {
    let [file, mode, version, max_wait_s] = arguments else {
        return Err("usage: flexmatch FILE MODE VERSION MAX_WAIT_S".to_owned());
    };
    let number = |name: &str, text: &str| {
        let wrong = |_| format!("{name}: expected a whole number, found {text}");
        text.parse::<u32>().map_err(wrong)
    };
    let header = Header {
        mode: ModeName::new(mode).map_err(|bad| format!("mode: {bad}"))?,
        version: number("version", version)?,
        max_wait_s: number("max_wait_s", max_wait_s)?,
    };
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    read(&text, &header).map_err(|faults| {
        let lines = faults.iter().map(|fault| format!("\n    {fault}"));
        let lines: String = lines.collect();
        format!("{file}: what maps is no valid rule set; paths are those of the new one:{lines}")
    })
}
