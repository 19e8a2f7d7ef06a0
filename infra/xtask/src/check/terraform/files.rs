//! Files that the parts of the step share.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// The plan of dev as JSON, for other steps.
pub(in crate::check) const PLAN: &str = "target/bench/plan.json";
/// Files outside terraform/ that modules and roots read.
pub(super) const READ_BY_MODULES: [&str; 4] = [
    "functions/permissions.json",
    "functions/wire/openapi.json",
    "infra/deploy/verify.sh",
    BUDGETS,
];
/// What a month of each environment may cost.
pub(super) const BUDGETS: &str = "infra/ops/budgets.json";
/// Addresses that the emulator never settles.
pub(super) const ARTEFACTS: &str = "terraform/artefacts.txt";

pub(super) fn read_json(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{}", path.display()))
}
