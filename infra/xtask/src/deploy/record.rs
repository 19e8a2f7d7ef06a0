//! One line for each run, in `infra/ops/records/deployments.jsonl`: how often, how long and how
//! well is counted from it.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// Where, from the root of the repository.
pub(super) const FILE: &str = "infra/ops/records/deployments.jsonl";

/// What is told of a run; each field is explained beside the file.
pub(super) struct Record<'a> {
    pub(super) id: &'a str,
    pub(super) environment: &'a str,
    pub(super) region: &'a str,
    /// `release` or `rollback`; drills say `drill`.
    pub(super) kind: &'a str,
    pub(super) release: &'a str,
    pub(super) before: Option<&'a str>,
    pub(super) colour: &'a str,
    pub(super) commit: &'a str,
    /// Unix seconds of the commit: how long a change was on its way.
    pub(super) committed_at_s: Option<u64>,
    pub(super) by: &'a str,
    pub(super) started_at_ms: u64,
    pub(super) ended_at_ms: u64,
    /// `done`, `went-back` or `failed`.
    pub(super) outcome: &'a str,
    pub(super) why: Option<&'a str>,
    /// Why the gate was passed though it was closed.
    pub(super) overridden: Option<&'a str>,
}

impl Record<'_> {
    pub(super) fn json(&self) -> Value {
        json!({
            "format": 1, "id": self.id, "environment": self.environment, "region": self.region,
            "kind": self.kind, "release": self.release, "before": self.before,
            "colour": self.colour, "commit": self.commit, "committed_at_s": self.committed_at_s,
            "by": self.by, "started_at_ms": self.started_at_ms, "ended_at_ms": self.ended_at_ms,
            "outcome": self.outcome, "why": self.why, "overridden": self.overridden,
        })
    }

    /// Appends it, in one write: two that end at once have a line each.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(super) fn append(&self, file: &Path) -> Result<()> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
        }
        let opened = OpenOptions::new().append(true).create(true).open(file);
        let mut opened = opened.with_context(|| format!("{}", file.display()))?;
        let line = format!("{}\n", self.json());
        opened
            .write_all(line.as_bytes())
            .with_context(|| format!("{}", file.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::tests::Folder;

    #[test]
    fn each_run_is_a_line() {
        let folder = Folder::new("records");
        let file = folder.0.join("ops/deployments.jsonl");
        let record = Record {
            id: "a",
            environment: "dev",
            region: "eu-west-1",
            kind: "release",
            release: "0.2.0",
            before: Some("0.1.0"),
            colour: "green",
            commit: "abc",
            committed_at_s: Some(1),
            by: "ann",
            started_at_ms: 1,
            ended_at_ms: 2,
            outcome: "went-back",
            why: Some("an alarm\nburns"),
            overridden: None,
        };
        record.append(&file).unwrap();
        record.append(&file).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines, [record.json(), record.json()]);
        assert_eq!(lines[0]["why"], "an alarm\nburns");
    }
}
