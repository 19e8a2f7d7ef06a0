//! `finops waste`.

use std::collections::BTreeSet;

use anyhow::{Context, Result, anyhow, bail};
use finops::page::{Page, Table};
use finops::waste::{Finding, Use, of_state};
use finops::{Allocation, Functions, report};

use super::shared::{Flags, PAGE, book, read_records, show, today};
use crate::arguments::Arguments;

pub(super) const FLAGS: Flags = &[PAGE, &["--state"]];

pub(super) fn run(arguments: &Arguments) -> Result<bool> {
    let (book, allocation, functions) = (
        book(arguments)?,
        Allocation::built_in(),
        Functions::built_in(),
    );
    let state = arguments.get("--state");
    if arguments.words.is_empty() && state.is_none() {
        bail!("name files of records, or --state FILE of terraform show -json");
    }
    let mut used = Use::default();
    let intake = read_records(arguments, |record| used.add(record, &functions))?;
    let found = used.findings(&book, &allocation, &functions);
    let mut found = found.map_err(|missing| anyhow!("{missing}"))?;
    if let Some(path) = state {
        let text = std::fs::read(path).with_context(|| format!("--state {path}"))?;
        let state = serde_json::from_slice(&text).with_context(|| format!("--state {path}"))?;
        found.extend(of_state(&state, &book).map_err(|fault| anyhow!("--state {path}: {fault}"))?);
    }
    let mut page = Page::new("What is paid for and not used");
    if !arguments.words.is_empty() {
        report::intake(&mut page, &intake);
        page.text(format!(
            "{:.2} hours of records, taken for a month of 730 at the same rate.",
            used.hours()
        ));
    }
    for (count, what) in [
        (
            used.passed_over,
            "records of shards or functions beyond the bound",
        ),
        (
            used.of_lambda(),
            "records of Lambda, which do not say what less memory would do",
        ),
    ] {
        if count > 0 {
            page.warning(format!("{count} {what}: not looked at."));
        }
    }
    match found.is_empty() {
        true => page.text("Nothing found."),
        false => page.table(table(&found)),
    }
    report::prices(&mut page, &book, today(arguments)?, &BTreeSet::new());
    show(arguments, &page)
}

fn table(found: &[Finding]) -> Table {
    let mut table = Table::new(&["what", "how it is known", "$ a month", "the change to make"]);
    for finding in found {
        let month = finding.month.map_or("-".to_owned(), |month| month.text(2));
        table.rows.push(vec![
            finding.what.clone(),
            finding.evidence.clone(),
            month,
            finding.change.clone(),
        ]);
    }
    table
}
