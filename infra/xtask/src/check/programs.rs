//! The test programs that cargo has built, several at a time: `cargo test` runs one after another,
//! and many of them wait for processes of theirs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::count::Count;
use crate::clock::now;
use crate::process;
use crate::workspace::{Workspace, text};

/// At the same time for each core: while one waits, another computes.
const PROGRAMS_PER_CORE: usize = 2;

/// Tests of one program at the same time for each core: most wait for processes, sockets and
/// timers, and one that computes has its core whatever waits beside it.
const TESTS: &str = "RUST_TEST_THREADS";
const TESTS_PER_CORE: usize = 4;

/// From what proptest makes its cases: the same ones in each run, so that a failure is one of the
/// change. Another number, or `cargo test`, searches elsewhere.
const CASES: &str = "PROPTEST_RNG_SEED";
const CASES_SEED: &str = "7";

/// A program of tests.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Program {
    /// As a person calls it: package and target.
    name: String,
    package: String,
    file: PathBuf,
    /// The package's folder, in which cargo runs its tests.
    folder: PathBuf,
}

/// Builds every test of the workspace and returns the programs.
///
/// # Errors
/// What does not compile.
pub(super) fn build(workspace: &Workspace) -> Result<Vec<Program>> {
    let mut command = workspace.cargo(&["test", "--workspace", "--no-run"]);
    command.arg("--message-format=json-render-diagnostics");
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .context("cargo does not start")?;
    if !output.status.success() {
        bail!("`{}` failed ({})", process::line(&command), output.status);
    }
    let output = String::from_utf8_lossy(&output.stdout);
    Ok(output.lines().filter_map(program).collect())
}

/// The program that a message of cargo tells of, if it is one of tests.
fn program(message: &str) -> Option<Program> {
    let message: Value = serde_json::from_str(message).ok()?;
    let file = message["executable"].as_str()?;
    message["profile"]["test"].as_bool().filter(|test| *test)?;
    let manifest = PathBuf::from(text(&message, "manifest_path"));
    let folder = manifest.parent()?.to_owned();
    // As in path+file:///src/functions/chat#0.1.0 or ..#chat-lambda@0.1.0.
    let id = text(&message, "package_id").rsplit('#').next()?;
    let package = match id.split_once('@') {
        Some((name, _)) => name.to_owned(),
        None => folder.file_name()?.to_str()?.to_owned(),
    };
    let target = text(&message["target"], "name");
    Some(Program {
        name: format!("{package}: {target}"),
        package,
        file: file.into(),
        folder,
    })
}

/// Seconds that programs took the last time, by their names.
pub(super) struct Times {
    file: PathBuf,
    seconds: BTreeMap<String, f64>,
}

impl Times {
    /// What is known; nothing where there is no file or no such file.
    pub(super) fn read(workspace: &Workspace) -> Self {
        let file = workspace.target.join("test-programs.json");
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let seconds = serde_json::from_str(&text).unwrap_or_default();
        Self { file, seconds }
    }

    /// The longest first, so that none of them is alone at the end; who is unknown before them.
    fn sorted<'a>(&self, programs: &'a [Program]) -> Vec<&'a Program> {
        let seconds = |program: &Program| self.seconds.get(&program.name).copied();
        let mut sorted: Vec<&Program> = programs.iter().collect();
        sorted.sort_by(|a, b| {
            let of = |program| seconds(program).unwrap_or(f64::MAX);
            of(b).total_cmp(&of(a))
        });
        sorted
    }

    /// Only the next order depends on it, so a file that cannot be written is no failure.
    fn write(&self) {
        let text = serde_json::to_string(&self.seconds).expect("names and numbers");
        let _ = std::fs::write(&self.file, text);
    }
}

/// Runs all, shows what each printed when it ends, and counts.
///
/// # Errors
/// The programs that failed, and how to run them again.
pub(super) fn run(programs: &[Program], mut times: Times, count: &mut Count) -> Result<()> {
    let next = Mutex::new(times.sorted(programs).into_iter());
    let done = Mutex::new((Count::default(), Vec::new(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..cores() * PROGRAMS_PER_CORE {
            scope.spawn(|| {
                // The guard is dropped before the program runs.
                while let Some(program) = { next.lock().expect("nobody panics").next() } {
                    let started = now();
                    let (found, fault) = run_one(program);
                    let took = started.elapsed().as_secs_f64();
                    let mut done = done.lock().expect("nobody panics");
                    done.0.add(found);
                    done.1.extend(fault);
                    done.2.push((program.name.clone(), took));
                }
            });
        }
    });
    let (found, faults, took) = done.into_inner().expect("nobody panics");
    times.seconds.extend(took);
    times.write();
    count.add(found);
    if !faults.is_empty() {
        bail!("{}", faults.join("\n  "));
    }
    if found == Count::default() {
        bail!("no test ran");
    }
    Ok(())
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn run_one(program: &Program) -> (Count, Option<String>) {
    let mut command = Command::new(&program.file);
    command
        .current_dir(&program.folder)
        .env("CARGO_MANIFEST_DIR", &program.folder)
        .stdin(Stdio::null());
    if std::env::var_os(CASES).is_none() {
        command.env(CASES, CASES_SEED);
    }
    if std::env::var_os(TESTS).is_none() {
        command.env(TESTS, (cores() * TESTS_PER_CORE).to_string());
    }
    let output = command.output();
    match output {
        Ok(output) => told(program, &output),
        Err(error) => (
            Count::default(),
            Some(format!("{} does not start: {error}", program.name)),
        ),
    }
}

/// Prints what a program said, in one piece.
fn told(program: &Program, output: &Output) -> (Count, Option<String>) {
    let said = String::from_utf8_lossy(&output.stdout);
    let count = Count::of_cargo(&said);
    let is_fine = output.status.success();
    let mut text = format!("-- {}\n", program.name);
    // What passed is a line; of a failure everything is wanted.
    let is_result = |line: &&str| line.starts_with("test result:");
    if is_fine {
        said.lines()
            .filter(is_result)
            .for_each(|line| text.push_str(&format!("{line}\n")));
    } else {
        text.push_str(&said);
        text.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    print!("{text}");
    let again = || {
        format!(
            "{} failed ({}): cargo test --package {}",
            program.name, output.status, program.package
        )
    };
    (count, (!is_fine).then(again))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(name: &str, script: &str) -> Program {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = std::env::temp_dir();
        let file = folder.join(format!("xtask-programs-{name}-{}", std::process::id()));
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        Program {
            name: name.to_owned(),
            package: name.to_owned(),
            file,
            folder,
        }
    }

    fn times(known: &[(&str, f64)]) -> Times {
        let seconds = known.iter().map(|(name, s)| ((*name).to_owned(), *s));
        Times {
            file: PathBuf::from("/nowhere/times.json"),
            seconds: seconds.collect(),
        }
    }

    fn result(passed: u32, failed: u32) -> String {
        format!("echo 'test result: ok. {passed} passed; {failed} failed; 0 ignored'")
    }

    #[test]
    fn counts_add_up_and_who_failed_is_named() {
        let programs = [
            sh("a", &result(3, 0)),
            sh("b", &format!("{}; exit 101", result(1, 2))),
            sh("c", &result(4, 0)),
        ];
        let mut count = Count::default();
        let error = run(&programs, times(&[]), &mut count);
        let error = error.unwrap_err().to_string();
        let (passed, failed) = (8, 2);
        assert_eq!(count, Count { passed, failed });
        assert!(
            error.contains("--package b") && !error.contains("--package a"),
            "{error}"
        );
        for program in programs {
            std::fs::remove_file(program.file).unwrap();
        }
    }

    #[test]
    fn nothing_that_ran_is_a_failure() {
        assert!(run(&[], times(&[]), &mut Count::default()).is_err());
    }

    #[test]
    fn who_is_unknown_or_slow_runs_first() {
        let programs = ["quick", "slow", "new"].map(|name| Program {
            name: name.to_owned(),
            package: name.to_owned(),
            file: PathBuf::new(),
            folder: PathBuf::new(),
        });
        let times = times(&[("quick", 0.1), ("slow", 70.0)]);
        let names: Vec<&str> = times.sorted(&programs).iter().map(|p| &*p.name).collect();
        assert_eq!(names, ["new", "slow", "quick"]);
    }

    #[test]
    fn only_programs_of_tests_are_taken() {
        let message = |test: bool| {
            serde_json::json!({
                "reason": "compiler-artifact",
                "package_id": "path+file:///w/functions/chat/lambda#chat-lambda@0.1.0",
                "manifest_path": "/w/functions/chat/lambda/Cargo.toml",
                "target": { "name": "it" },
                "profile": { "test": test },
                "executable": "/w/target/debug/deps/it-1",
            })
            .to_string()
        };
        let found = program(&message(true)).unwrap();
        assert_eq!(found.name, "chat-lambda: it");
        assert_eq!(found.folder, PathBuf::from("/w/functions/chat/lambda"));
        assert_eq!(program(&message(false)), None);
        assert_eq!(program("{\"reason\":\"build-finished\"}"), None);
    }
}
