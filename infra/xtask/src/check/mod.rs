//! `cargo xtask test`: every check and test, one step after another. A failed step does not hide
//! what comes after it; the last line counts.

mod count;
mod rig;
mod steps;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::cli::Parsed;
use crate::clock::now;
use crate::workspace::Workspace;
use count::Count;
use steps::{STEPS, Step};

/// What came of one step.
struct Outcome {
    step: &'static str,
    count: Count,
    error: Option<String>,
    took: Duration,
}

/// Runs the chosen steps and prints `N passed, N failed` last.
///
/// # Errors
/// Only for a `--only` that names no step; a failed step is told by the exit code.
pub(crate) fn run(workspace: &Workspace, parsed: &Parsed) -> Result<ExitCode> {
    let steps = choose(parsed.get("--only"), parsed.has("--no-browser"))?;
    if parsed.has("--no-browser") {
        println!("left out: browser");
    }
    let outcomes: Vec<Outcome> = steps
        .iter()
        .enumerate()
        .map(|(index, step)| run_step(workspace, step, index + 1, steps.len()))
        .collect();
    let total = total(&outcomes);
    print!("{}", summary(&outcomes));
    println!("{total}");
    Ok(if total.is_success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn choose(only: Option<&str>, no_browser: bool) -> Result<Vec<&'static Step>> {
    let names: Vec<&str> = only
        .map(|only| only.split(',').collect())
        .unwrap_or_default();
    for name in &names {
        if !STEPS.iter().any(|step| step.name == *name) {
            let known: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
            bail!(
                "--only `{name}` is not a step; the steps are: {}",
                known.join(", ")
            );
        }
    }
    let chosen = |step: &&Step| names.is_empty() || names.contains(&step.name);
    let kept = |step: &&Step| !(no_browser && step.name == "browser");
    Ok(STEPS.iter().filter(chosen).filter(kept).collect())
}

fn run_step(workspace: &Workspace, step: &Step, number: usize, of: usize) -> Outcome {
    println!("\n== [{number}/{of}] {}: {}", step.name, step.what);
    let started = now();
    let mut count = Count::default();
    let result = (step.run)(workspace, &mut count);
    let took = started.elapsed();
    let error = match result {
        Ok(()) if count.failed > 0 => Some(format!("{} failed", count.failed)),
        Ok(()) => None,
        Err(error) => Some(format!("{error:#}")),
    };
    // A step that fails without counting, such as one that does not compile, is one failure.
    if error.is_some() && count.failed == 0 {
        count.failed = 1;
    }
    match &error {
        Some(error) => println!(
            "-- {} FAILED after {:.1} s: {error}",
            step.name,
            took.as_secs_f32()
        ),
        None => println!("-- {} ok, {:.1} s", step.name, took.as_secs_f32()),
    }
    Outcome {
        step: step.name,
        count,
        error,
        took,
    }
}

fn total(outcomes: &[Outcome]) -> Count {
    let mut total = Count::default();
    for outcome in outcomes {
        total.add(outcome.count);
    }
    total
}

fn summary(outcomes: &[Outcome]) -> String {
    let mut text = "\nstep          passed  failed  seconds\n".to_owned();
    for Outcome {
        step, count, took, ..
    } in outcomes
    {
        let seconds = took.as_secs_f32();
        let Count { passed, failed } = count;
        text.push_str(&format!("{step:<12}{passed:>8}{failed:>8}{seconds:>9.1}\n"));
    }
    for outcome in outcomes {
        if let Some(error) = &outcome.error {
            let step = outcome.step;
            text.push_str(&format!(
                "\n{step}: {error}\n  again: cargo xtask test --only {step}\n"
            ));
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(only: Option<&str>, no_browser: bool) -> Vec<&'static str> {
        choose(only, no_browser)
            .unwrap()
            .iter()
            .map(|step| step.name)
            .collect()
    }

    fn sample(run: fn(&Workspace, &mut Count) -> Result<()>) -> Outcome {
        let workspace = Workspace {
            root: "/nowhere".into(),
            target: "/nowhere".into(),
        };
        run_step(
            &workspace,
            &Step {
                name: "sample",
                what: "a sample",
                run,
            },
            1,
            1,
        )
    }

    #[test]
    fn steps_are_chosen_by_name_in_their_own_order() {
        assert_eq!(names(None, false).len(), STEPS.len());
        assert_eq!(names(Some("tidy,fmt"), false), ["fmt", "tidy"]);
        assert!(!names(None, true).contains(&"browser"));
        let error = choose(Some("unit"), false).err().unwrap().to_string();
        assert!(
            error.contains("`unit`") && error.contains("clippy"),
            "{error}"
        );
    }

    #[test]
    fn a_step_that_fails_without_counting_is_one_failure() {
        let outcome = sample(|_, _| bail!("does not compile"));
        assert_eq!(
            outcome.count,
            Count {
                passed: 0,
                failed: 1
            }
        );
        let outcome = sample(|_, count| {
            *count = Count {
                passed: 3,
                failed: 2,
            };
            bail!("exit status 1")
        });
        assert_eq!(
            outcome.count,
            Count {
                passed: 3,
                failed: 2
            }
        );
    }

    #[test]
    fn failed_tests_fail_a_step_that_ended_well() {
        let outcome = sample(|_, count| {
            count.failed = 1;
            Ok(())
        });
        assert!(outcome.error.is_some());
        let text = summary(&[outcome]);
        assert!(text.contains("cargo xtask test --only sample"), "{text}");
    }

    #[test]
    fn checks_alone_are_not_a_success() {
        let outcome = sample(|_, _| Ok(()));
        assert!(outcome.error.is_none());
        assert!(!total(&[outcome]).is_success(), "no test ran");
    }
}
