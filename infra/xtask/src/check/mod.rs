//! `cargo xtask test`: every check and test, one step after another. A failed step does not hide
//! what comes after it; the last line counts.

mod built;
mod count;
mod image;
mod outcome;
mod package;
mod programs;
mod rig;
mod steps;
mod table;
mod terraform;

use std::process::ExitCode;
use std::thread::{Scope, ScopedJoinHandle};

use anyhow::Result;
use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::clock::now;
use crate::install;
use crate::progress::{self, Progress};
use crate::workspace::Workspace;
use count::Count;
use outcome::Outcome;
use steps::{STEPS, Step};

/// Which steps.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Run these steps only (the names are printed with each step)
    #[arg(
        long,
        value_name = "STEP[,STEP]",
        value_delimiter = ',',
        hide_possible_values = true
    )]
    #[arg(value_parser = PossibleValuesParser::new(STEPS.iter().map(|step| step.name)))]
    only: Vec<String>,

    /// Leave out the browser tests, and say so
    #[arg(long)]
    no_browser: bool,
}

/// Runs the chosen steps and prints `N passed, N failed` last.
///
/// # Errors
/// Only when the table cannot be written; a failed step is told by the exit code.
pub(crate) fn run(workspace: &Workspace, flags: &Flags) -> Result<ExitCode> {
    let steps = choose(&flags.only, flags.no_browser);
    if flags.no_browser {
        println!("left out: browser");
    }
    let is_cold = !workspace.binary("rig").is_file();
    let planned: Vec<_> = steps.iter().map(|step| (step.name, is_cold)).collect();
    let mut progress = Progress::new("test", &planned);
    let outcomes = std::thread::scope(|scope| {
        // Downloading and unpacking takes minutes and hardly a core: it goes on while cargo builds.
        let mut installing =
            install::asks_nobody().then(|| scope.spawn(|| install_all(workspace, &steps)));
        let mut outcomes = Vec::new();
        let mut ahead = Ahead::of(&steps);
        for step in &steps {
            println!();
            if step.waits && built::is_built() {
                ahead.start(scope, workspace);
            }
            let what = format!("{}: {}", step.name, step.what);
            let wait = || {
                if step.install.is_some()
                    && let Some(installing) = installing.take()
                {
                    installing.join().expect("installing does not panic");
                }
                if step.ahead.is_some() {
                    ahead.finish();
                }
            };
            let run = || run_step(workspace, step, wait);
            outcomes.push(progress.step(step.name, &what, run));
        }
        outcomes
    });
    let total = total(&outcomes);
    let weights = progress::weights("test");
    print!("{}", table::table(&outcomes, &weights));
    table::write(workspace, &outcomes, &weights)?;
    println!("{total}");
    Ok(if total.is_success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn choose(only: &[String], no_browser: bool) -> Vec<&'static Step> {
    let chosen = |step: &&Step| only.is_empty() || only.iter().any(|name| name == step.name);
    let kept = |step: &&Step| !(no_browser && step.name == "browser");
    STEPS.iter().filter(chosen).filter(kept).collect()
}

/// What later steps have built ahead of them.
struct Ahead<'scope> {
    todo: Vec<fn(&Workspace) -> Result<()>>,
    building: Option<ScopedJoinHandle<'scope, ()>>,
}

impl<'scope> Ahead<'scope> {
    fn of(steps: &[&Step]) -> Self {
        Self {
            todo: steps.iter().filter_map(|step| step.ahead).collect(),
            building: None,
        }
    }

    /// Begins, unless it has begun.
    fn start<'env>(&mut self, scope: &'scope Scope<'scope, 'env>, workspace: &'env Workspace) {
        let todo = std::mem::take(&mut self.todo);
        if !todo.is_empty() {
            self.building = Some(scope.spawn(move || {
                for build in todo {
                    let _ = build(workspace);
                }
            }));
        }
    }

    /// Waits for what has begun; the step does the rest.
    fn finish(&mut self) {
        self.todo.clear();
        if let Some(building) = self.building.take() {
            building.join().expect("building does not panic");
        }
    }
}

/// Installs what the steps need. What fails here fails again in its step, which then tells it.
fn install_all(workspace: &Workspace, steps: &[&Step]) {
    for install in steps.iter().filter_map(|step| step.install) {
        let _ = install(workspace);
    }
}

/// Waiting for what goes on beside is a part of the step.
fn run_step(workspace: &Workspace, step: &Step, wait: impl FnOnce()) -> Outcome {
    let started = now();
    wait();
    let mut count = Count::default();
    let install = step.install.unwrap_or(|_| Ok(()));
    let result = install(workspace).and_then(|()| (step.run)(workspace, &mut count));
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

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;
    use crate::cli::Command;
    use crate::cli::tests::{command, refusal};

    fn names(line: &str) -> Vec<&'static str> {
        let Ok(Command::Test(flags)) = command(line) else {
            panic!("{line}");
        };
        let steps = choose(&flags.only, flags.no_browser);
        steps.iter().map(|step| step.name).collect()
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
                install: None,
                ahead: None,
                waits: false,
                run,
            },
            || {},
        )
    }

    #[test]
    fn steps_are_chosen_by_name_in_their_own_order() {
        assert_eq!(names("test").len(), STEPS.len());
        assert_eq!(names("test --only tidy,fmt"), ["fmt", "tidy"]);
        assert!(!names("test --no-browser").contains(&"browser"));
        let error = refusal("test --only unit");
        assert!(
            error.contains("'unit'") && error.contains("clippy"),
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
    }

    #[test]
    fn checks_alone_are_not_a_success() {
        let outcome = sample(|_, _| Ok(()));
        assert!(outcome.error.is_none());
        assert!(!total(&[outcome]).is_success(), "no test ran");
    }
}
