//! `finops forecast`.

use anyhow::{Context, Result, anyhow};
use finops::budgets::Budget;
use finops::calendar::{first_hour, hour};
use finops::forecast::Outlook;
use finops::page::Page;
use finops::report::forecast as pages;
use finops::{Allocation, Book, Budgets, Day, Functions, report};

use super::shared::{Flags, PAGE, book, calendar, read_day, show, today};
use crate::arguments::Arguments;

pub(super) const FLAGS: Flags = &[
    PAGE,
    &[
        "--json",
        "--environment",
        "--calendar",
        "--budget",
        "--at",
        "--fail",
    ],
];

pub(super) fn run(arguments: &Arguments) -> Result<bool> {
    let (book, functions, allocation): (Book, Functions, Allocation) = (
        book(arguments)?,
        Functions::built_in(),
        Allocation::built_in(),
    );
    let (day, intake) = read_day(arguments, &book, &functions, &allocation)?;
    let (outlook, budget) = outlook(arguments, &day)?;
    let mut page = Page::new("What it will cost");
    report::intake(&mut page, &intake);
    let mut substituted = day.summary.substituted.clone();
    substituted.extend(day.usage.substituted.iter().cloned());
    report::prices(&mut page, &book, today(arguments)?, &substituted);
    pages::add(&mut page, &outlook, budget.as_ref(), &day.hours);
    if let Some(path) = arguments.get("--json") {
        let text = format!("{:#}\n", pages::figures(&outlook, budget.as_ref()));
        std::fs::write(path, text).with_context(|| format!("--json {path}"))?;
    }
    show(arguments, &page)?;
    let held = budget.map(|budget| pages::held(&outlook, &budget));
    let passes = held.is_some_and(|held| pages::passes(&outlook, &held));
    Ok(!(passes && arguments.get("--fail").is_some()))
}

/// Adds a forecast to a report; too few records are no fault of the report.
pub(super) fn add(page: &mut Page, arguments: &Arguments, day: &Day<'_>) -> Result<()> {
    match outlook(arguments, day) {
        Ok((outlook, budget)) => pages::add(page, &outlook, budget.as_ref(), &day.hours),
        Err(fault) if fault.downcast_ref::<TooLittle>().is_some() => {
            page.heading("This month and the next");
            page.text(format!("No forecast: {fault}."));
        }
        Err(fault) => return Err(fault),
    }
    Ok(())
}

/// There is too little to go by.
#[derive(Debug)]
struct TooLittle(String);

impl std::fmt::Display for TooLittle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TooLittle {}

fn outlook(arguments: &Arguments, day: &Day<'_>) -> Result<(Outlook, Option<Budget>)> {
    let calendar = calendar(arguments)?;
    let budget = match arguments.get("--budget") {
        Some(path) => {
            let text = std::fs::read_to_string(path);
            let text = text.with_context(|| format!("{path} cannot be read"))?;
            let all = Budgets::read(&text).map_err(|faults| anyhow!("{path}: {faults}"))?;
            let budget = all.of(&day.charges.environment);
            Some(budget.map_err(|fault| anyhow!("{path}: {fault}"))?.clone())
        }
        None => None,
    };
    let at = match arguments.get("--at") {
        Some(text) => hour(text).map_err(|fault| anyhow!("--at: {fault}"))?,
        // Records of a clock that is far ahead are no reason to look from there.
        None => {
            let end = first_hour(today(arguments)?) + 24;
            day.hours.last(end).unwrap_or(end)
        }
    };
    let outlook = Outlook::new(&day.hours, at, &calendar, &Allocation::built_in());
    Ok((outlook.map_err(TooLittle)?, budget))
}
