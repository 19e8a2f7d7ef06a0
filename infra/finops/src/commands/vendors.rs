//! `finops vendors`.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use finops::page::{Page, Table};
use finops::tracker::{Finding, Tracker, uses};

use super::gate::repository;
use super::{show, today};
use crate::arguments::Arguments;

pub(super) const FLAGS: &[&str] = &["--tracker", "--today", "--html", "--markdown"];
/// In the repository.
const TRACKER: &str = "infra/ops/vendors.toml";

pub(super) fn run(arguments: &Arguments) -> Result<bool> {
    if arguments.get("--tracker") != Some("yes") {
        bail!("give --tracker yes");
    }
    let path = repository().join(TRACKER);
    let text = std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
    let tracker = Tracker::read(&text).map_err(|fault| anyhow!("{TRACKER}: {fault}"))?;
    let mut page = Page::new("External dependencies");
    let mut is_good = true;
    for finding in tracker.check(today(arguments)?, &of_tree()?) {
        match finding {
            Finding::Fault(text) => {
                is_good = false;
                page.warning(format!("FAULT: {text}"));
            }
            Finding::Warning(text) => page.warning(text),
        }
    }
    let heads = [
        "what",
        "provider",
        "contract",
        "licence",
        "exit",
        "stops with it",
        "owner",
        "review",
    ];
    let mut table = Table::new(&heads);
    for vendor in tracker.vendors {
        table.rows.push(vec![
            vendor.name,
            vendor.provider,
            vendor.contract,
            vendor.licence,
            vendor.exit,
            vendor.single_point,
            vendor.owner,
            vendor.review,
        ]);
    }
    page.table(table);
    show(arguments, &page)?;
    Ok(is_good)
}

/// What files that git tracks use, and one file of each.
fn of_tree() -> Result<BTreeMap<String, String>> {
    let root = repository();
    let listed = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(&root)
        .output()
        .context("git does not start")?;
    if !listed.status.success() {
        bail!(
            "git ls-files: {}",
            String::from_utf8_lossy(&listed.stderr).trim()
        );
    }
    let mut found = BTreeMap::new();
    for path in String::from_utf8_lossy(&listed.stdout).split_terminator('\0') {
        // Deleted but not yet committed, or not text: nothing to read.
        let Ok(text) = std::fs::read_to_string(root.join(path)) else {
            continue;
        };
        for name in uses(path, &text) {
            found.entry(name).or_insert_with(|| path.to_owned());
        }
    }
    Ok(found)
}
