//! Commands that run to their end while their output is shown.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Lines of a quiet command that an error shows.
const TAIL_LINES: usize = 20;

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

/// Runs `command` without its output, which may come while something else prints; an error has its
/// last lines.
///
/// # Errors
/// It does not start, or ends with another status than zero.
pub(crate) fn run_quietly(command: &mut Command) -> Result<()> {
    let (text, ok) = said(command)?;
    if !ok {
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n  ");
        bail!("`{}` failed:\n  {tail}", line(command));
    }
    Ok(())
}

/// All that `command` prints, standard error last, and whether it succeeded.
///
/// # Errors
/// It does not start.
pub(crate) fn said(command: &mut Command) -> Result<(String, bool)> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{} does not start", name(command)))?;
    let text = [output.stdout, output.stderr].concat();
    Ok((
        String::from_utf8_lossy(&text).into_owned(),
        output.status.success(),
    ))
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
    fn a_quiet_failure_shows_what_was_said_last() {
        assert!(run_quietly(&mut sh("echo unheard")).is_ok());
        let error = run_quietly(&mut sh("seq 1 30; echo why >&2; exit 4"));
        let error = error.unwrap_err().to_string();
        assert!(
            error.ends_with("30\n  why") && !error.contains("\n  5\n"),
            "{error}"
        );
    }

    #[test]
    fn output_is_kept_even_when_it_is_not_text() {
        let (output, ok) = tee(&mut sh("printf 'a\\377\\nb'; exit 1")).unwrap();
        assert_eq!(output, "a\u{fffd}\nb\n");
        assert!(!ok);
    }
}
