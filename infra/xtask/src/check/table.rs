//! What the steps came to: a table for people, and the same as a file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use super::count::Count;
use super::outcome::Outcome;
use crate::progress::Weight;
use crate::workspace::Workspace;

/// The table, what was over its budget, and what failed with the command that repeats it.
pub(super) fn table(outcomes: &[Outcome], weights: &BTreeMap<String, Weight>) -> String {
    let mut text = "\nstep          passed  failed  seconds  budget\n".to_owned();
    for outcome in outcomes {
        let Count { passed, failed } = outcome.count;
        let (step, seconds) = (outcome.step, outcome.took.as_secs_f32());
        let budget = budget(outcome, weights).map_or(String::new(), |b| b.as_secs().to_string());
        let _ = writeln!(
            text,
            "{step:<12}{passed:>8}{failed:>8}{seconds:>9.1}{budget:>8}"
        );
    }
    let all: Duration = outcomes.iter().map(|outcome| outcome.took).sum();
    let _ = writeln!(text, "{:<28}{:>9.1}", "all", all.as_secs_f32());
    for outcome in outcomes {
        let Some(budget) = budget(outcome, weights).filter(|budget| outcome.took > *budget) else {
            continue;
        };
        let _ = writeln!(
            text,
            "\n{} took {:.0} s; its budget in infra/xtask/steps.toml is {} s",
            outcome.step,
            outcome.took.as_secs_f32(),
            budget.as_secs()
        );
    }
    for outcome in outcomes {
        if let Some(error) = &outcome.error {
            let step = outcome.step;
            let _ = writeln!(
                text,
                "\n{step}: {error}\n  again: cargo xtask test --only {step}"
            );
        }
    }
    text.push('\n');
    text
}

/// Writes target/bench/test.json, in the form of every benchmark.
pub(super) fn write(
    workspace: &Workspace,
    outcomes: &[Outcome],
    weights: &BTreeMap<String, Weight>,
) -> Result<()> {
    let row = |outcome: &Outcome| {
        let budget = budget(outcome, weights);
        json!({
            "name": outcome.step,
            "value": outcome.took.as_secs_f64(),
            "unit": "s",
            "aim": budget.map(|budget| budget.as_secs()),
            "met": budget.map(|budget| outcome.took <= budget),
        })
    };
    let rows: Vec<_> = outcomes.iter().map(row).collect();
    let file = workspace.target.join("bench/test.json");
    let folder = file.parent().expect("it is in a folder");
    fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
    fs::write(&file, json!({ "rows": rows }).to_string())
        .with_context(|| format!("{}", file.display()))
}

fn budget(outcome: &Outcome, weights: &BTreeMap<String, Weight>) -> Option<Duration> {
    weights.get(outcome.step)?.budget
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::{self, BUDGETS_MAX};

    fn outcome(step: &'static str, seconds: u64, error: Option<&str>) -> Outcome {
        Outcome {
            step,
            count: Count::default(),
            error: error.map(str::to_owned),
            took: Duration::from_secs(seconds),
        }
    }

    fn weights() -> BTreeMap<String, Weight> {
        let seconds = Duration::from_secs;
        let weight = Weight {
            cold: seconds(9),
            warm: seconds(1),
            budget: Some(seconds(10)),
        };
        [("fmt".to_owned(), weight)].into()
    }

    #[test]
    fn a_step_over_its_budget_is_named() {
        let text = table(&[outcome("fmt", 11, None)], &weights());
        assert!(text.contains("fmt took 11 s; its budget"), "{text}");
        let text = table(&[outcome("fmt", 10, None)], &weights());
        assert!(!text.contains("took"), "{text}");
    }

    #[test]
    fn a_failure_says_how_to_repeat_it() {
        let text = table(&[outcome("fmt", 1, Some("not formatted"))], &weights());
        assert!(text.contains("cargo xtask test --only fmt"), "{text}");
    }

    #[test]
    fn the_budgets_and_those_to_come_leave_room() {
        let steps = progress::weights("test");
        let budgets: Duration = steps.values().filter_map(|weight| weight.budget).sum();
        let all = budgets + progress::to_come().into_values().sum::<Duration>();
        assert!(all < BUDGETS_MAX, "{} s", all.as_secs());
        let known: Vec<&str> = super::super::STEPS.iter().map(|step| step.name).collect();
        assert_eq!(steps.len(), known.len());
        assert!(known.iter().all(|name| steps[*name].budget.is_some()));
    }

    #[test]
    fn the_readme_has_the_same_budgets() {
        let readme = include_str!("../../README.md");
        let rows = progress::weights("test")
            .into_iter()
            .filter_map(|(name, weight)| Some((name, weight.budget?)))
            .chain(progress::to_come());
        for (name, budget) in rows {
            let end = format!(" | {} s |", budget.as_secs());
            let row = |line: &str| line.starts_with(&format!("| {name} |")) && line.ends_with(&end);
            assert!(
                readme.lines().any(row),
                "{name}: a row that ends in `{end}`"
            );
        }
    }
}
