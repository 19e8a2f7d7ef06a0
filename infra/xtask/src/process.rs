//! Commands that run to their end while their output is shown.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Runs `command` with its output on the terminal.
///
/// # Errors
/// It does not start, or ends with another status than zero.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("{} does not start", name(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", line(command));
    }
    Ok(())
}

/// Runs `command`, shows its standard output as it comes and returns it with whether it succeeded.
/// Standard error goes to the terminal untouched, so that cargo keeps its progress bar.
pub(crate) fn tee(command: &mut Command) -> Result<(String, bool)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} does not start", name(command)))?;
    let stdout = child.stdout.take().expect("standard output is piped");
    let mut output = String::new();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.context("the output cannot be read")?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        output.push_str(&line);
        output.push('\n');
    }
    let status = child.wait().context("the child cannot be waited for")?;
    Ok((output, status.success()))
}

/// The command as a person would type it.
pub(crate) fn line(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_failure_names_the_command() {
        assert!(run(&mut sh("exit 0")).is_ok());
        let error = run(&mut sh("exit 3")).unwrap_err().to_string();
        assert!(
            error.contains("sh -c exit 3") && error.contains('3'),
            "{error}"
        );
        assert!(run(&mut Command::new("no-such-program-here")).is_err());
    }

    #[test]
    fn output_is_kept_even_when_it_is_not_text() {
        let (output, ok) = tee(&mut sh("printf 'a\\377\\nb'; exit 1")).unwrap();
        assert_eq!(output, "a\u{fffd}\nb\n");
        assert!(!ok);
    }
}
