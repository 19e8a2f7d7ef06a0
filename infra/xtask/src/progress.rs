//! What a command is doing and about how long it will still take, from a small file of weights.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use toml::{Table, Value};

use crate::clock::now;

/// Seconds of every step, as measured; the budgets of `cargo xtask test`.
const WEIGHTS: &str = include_str!("../steps.toml");

/// How often a step that goes on says so.
const TICK: Duration = Duration::from_secs(30);

/// From this much work on, what is done tells how fast the machine is.
const PACE_FROM: Duration = Duration::from_secs(20);

/// How much faster or slower than the measured machine another one is believed to be.
const PACE_MIN: f64 = 0.25;
const PACE_MAX: f64 = 4.0;

/// What all steps of `cargo xtask test` may take together, those to come among them.
#[cfg(test)]
pub(crate) const BUDGETS_MAX: Duration = Duration::from_secs(50 * 60);

/// What one step takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weight {
    /// With nothing built and nothing installed.
    pub(crate) cold: Duration,
    /// With nothing changed since the last time.
    pub(crate) warm: Duration,
    /// What it may take cold before it is named; only steps of `cargo xtask test` have one.
    pub(crate) budget: Option<Duration>,
}

/// The weights of the steps of one command.
pub(crate) fn weights(command: &str) -> BTreeMap<String, Weight> {
    read(WEIGHTS, command).expect("a test reads the same file")
}

/// What is kept free for steps of `cargo xtask test` that do not exist yet.
#[cfg(test)]
pub(crate) fn to_come() -> BTreeMap<String, Duration> {
    let file: Table = WEIGHTS.parse().expect("a test reads the same file");
    let rows = file["to_come"].as_table().expect("a table").iter();
    let seconds = |value: &Value| value.as_integer().and_then(|s| u64::try_from(s).ok());
    rows.map(|(name, value)| {
        let seconds = seconds(value).expect("whole seconds");
        (name.clone(), Duration::from_secs(seconds))
    })
    .collect()
}

fn read(text: &str, command: &str) -> Result<BTreeMap<String, Weight>> {
    let file: Table = text.parse().context("steps.toml")?;
    let steps = file.get(command).and_then(Value::as_table);
    let steps = steps.with_context(|| format!("steps.toml has no [{command}]"))?;
    let weight = |(name, step): (&String, &Value)| {
        let seconds = |key: &str| {
            let value = step.get(key)?.as_integer()?;
            Some(Duration::from_secs(u64::try_from(value).ok()?))
        };
        let wanted = |key: &str| {
            seconds(key).with_context(|| format!("steps.toml: {command}.{name} has no {key}"))
        };
        let weight = Weight {
            cold: wanted("cold_s")?,
            warm: wanted("warm_s")?,
            budget: seconds("budget_s"),
        };
        Ok((name.clone(), weight))
    };
    steps.iter().map(weight).collect()
}

/// The steps of a running command.
pub(crate) struct Progress {
    /// Names in their order, with what each is expected to take on the measured machine.
    steps: Vec<(&'static str, Duration)>,
    begun: usize,
    /// What was expected of the steps that are done, and what they took.
    expected: Duration,
    spent: Duration,
}

impl Progress {
    /// Progress over `steps`, each with whether it has to begin from nothing.
    ///
    /// # Panics
    /// When steps.toml does not know one of them; a test reads every name.
    pub(crate) fn new(command: &str, steps: &[(&'static str, bool)]) -> Self {
        let weights = weights(command);
        let expect = |(name, is_cold): &(&'static str, bool)| {
            let weight = weights.get(*name);
            let weight = weight.unwrap_or_else(|| panic!("steps.toml has no {command}.{name}"));
            (*name, if *is_cold { weight.cold } else { weight.warm })
        };
        Self {
            steps: steps.iter().map(expect).collect(),
            begun: 0,
            expected: Duration::ZERO,
            spent: Duration::ZERO,
        }
    }

    /// Runs the next step: says what it is, how long it and all the rest will take, and goes on
    /// saying so while it runs.
    ///
    /// # Panics
    /// When the steps are used up or `name` is not the next one.
    pub(crate) fn step<T>(&mut self, name: &str, what: &str, run: impl FnOnce() -> T) -> T {
        let (next, expected) = self.steps[self.begun];
        assert_eq!(next, name, "steps run in the order that was planned");
        let (this, rest) = (self.paced(expected), self.rest());
        self.begun += 1;
        let of = self.steps.len();
        println!(
            "[{}/{of}] {what}{}",
            self.begun,
            forecast(this, this + rest)
        );
        let ticker = Ticker::start(what, this, rest);
        let started = now();
        let result = run();
        self.spent += started.elapsed();
        self.expected += expected;
        ticker.stop();
        result
    }

    /// What is left behind the next step.
    fn rest(&self) -> Duration {
        let rest = self.steps[self.begun + 1..].iter();
        self.paced(rest.map(|(_, expected)| *expected).sum())
    }

    /// `expected` on this machine, as far as it is known by now.
    fn paced(&self, expected: Duration) -> Duration {
        if self.expected < PACE_FROM {
            return expected;
        }
        let pace = self.spent.as_secs_f64() / self.expected.as_secs_f64();
        expected.mul_f64(pace.clamp(PACE_MIN, PACE_MAX))
    }
}

/// Says every [`TICK`] that a step goes on.
struct Ticker {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Ticker {
    fn start(what: &str, expected: Duration, rest: Duration) -> Self {
        let (stop, stopped) = mpsc::channel();
        let what = what.to_owned();
        let started = now();
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                println!("{}", going_on(&what, started.elapsed(), expected, rest));
            }
        });
        Self { stop, thread }
    }

    fn stop(self) {
        drop(self.stop);
        // It only prints; if that panicked, standard output is gone.
        let _ = self.thread.join();
    }
}

fn forecast(this: Duration, all: Duration) -> String {
    if all < Duration::from_secs(5) {
        return String::new();
    }
    format!(": about {}, {} to go", said(this), said(all))
}

fn going_on(what: &str, so_far: Duration, expected: Duration, rest: Duration) -> String {
    let done = said(so_far);
    match expected.checked_sub(so_far) {
        Some(left) => format!(
            "  .. {what}: {done} so far, about {} to go",
            said(left + rest)
        ),
        None => format!(
            "  .. {what}: {done} so far, longer than the usual {}; then about {}",
            said(expected),
            said(rest)
        ),
    }
}

/// A time as a person says it.
fn said(time: Duration) -> String {
    match time.as_secs() {
        0 => "1 s".to_owned(),
        seconds @ 1..100 => format!("{seconds} s"),
        seconds => format!("{} min", (seconds + 30) / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn progress(steps: &[(&'static str, u64)]) -> Progress {
        Progress {
            steps: steps
                .iter()
                .map(|(name, s)| (*name, *s as u32 * SECOND))
                .collect(),
            begun: 0,
            expected: Duration::ZERO,
            spent: Duration::ZERO,
        }
    }

    #[test]
    fn a_machine_that_was_slow_is_expected_to_stay_so() {
        let mut progress = progress(&[("a", 100), ("b", 60), ("c", 40)]);
        assert_eq!(progress.rest(), 100 * SECOND);
        progress.begun = 1;
        (progress.expected, progress.spent) = (100 * SECOND, 150 * SECOND);
        assert_eq!(progress.rest(), 60 * SECOND, "c, half again as long");
        progress.spent = 10_000 * SECOND;
        assert_eq!(
            progress.rest(),
            160 * SECOND,
            "there is an end to believing"
        );
    }

    #[test]
    fn a_short_step_says_nothing_about_the_machine() {
        let mut progress = progress(&[("a", 2), ("b", 60), ("c", 40)]);
        progress.begun = 1;
        (progress.expected, progress.spent) = (2 * SECOND, 9 * SECOND);
        assert_eq!(progress.rest(), 40 * SECOND);
    }

    #[test]
    fn steps_run_in_order_and_return_what_they_made() {
        let mut progress = progress(&[("a", 1), ("b", 1)]);
        assert_eq!(progress.step("a", "the first", || 3), 3);
        assert_eq!(progress.step("b", "the second", || "x"), "x");
        assert_eq!(progress.expected, 2 * SECOND);
    }

    #[test]
    fn what_is_said_says_when_it_ends_and_when_it_is_late() {
        let text = going_on("edge host", 40 * SECOND, 100 * SECOND, 10 * SECOND);
        assert_eq!(text, "  .. edge host: 40 s so far, about 70 s to go");
        let late = going_on("edge host", 200 * SECOND, 100 * SECOND, 10 * SECOND);
        assert!(late.contains("longer than the usual 2 min"), "{late}");
        assert_eq!(forecast(SECOND, 2 * SECOND), "");
        assert_eq!(
            forecast(70 * SECOND, 400 * SECOND),
            ": about 70 s, 7 min to go"
        );
    }

    #[test]
    fn the_file_is_read_and_a_hole_in_it_is_named() {
        for command in ["up", "test"] {
            assert!(read(WEIGHTS, command).unwrap().len() > 3);
        }
        let error = read("[up.a]\ncold_s = 1\n", "up").unwrap_err().to_string();
        assert!(error.contains("up.a has no warm_s"), "{error}");
        let error = read("[up]\n", "test").unwrap_err().to_string();
        assert!(error.contains("[test]"), "{error}");
    }
}
