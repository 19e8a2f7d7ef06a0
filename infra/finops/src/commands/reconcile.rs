//! `finops reconcile`.

use std::fs::File;
use std::io::BufReader;

use anyhow::{Context, Result, bail};
use finops::bill::Bill;
use finops::page::Page;
use finops::reconcile::Reconciled;
use finops::report::{intake, reconcile::page};
use finops::{Allocation, Functions};

use super::shared::{Flags, book, read_day, show};
use crate::arguments::Arguments;

pub(super) const FLAGS: Flags = &[&[
    "--bill",
    "--account",
    "--environment",
    "--prices",
    "--html",
    "--markdown",
    "--json",
]];

pub(super) fn run(arguments: &Arguments) -> Result<bool> {
    let path = arguments
        .get("--bill")
        .context("--bill names the bill: CSV of an AWS Data Export, CUR 2.0 or FOCUS")?;
    if path == "-" && arguments.words.iter().any(|word| word == "-") {
        bail!("standard input is the bill or the records, not both");
    }
    let (book, functions, allocation) = (
        book(arguments)?,
        Functions::built_in(),
        Allocation::built_in(),
    );
    let mut bill = Bill::new(&allocation, arguments.get("--account"));
    let read = if path == "-" {
        bill.read("stdin", std::io::stdin().lock())
    } else {
        let file = File::open(path).with_context(|| format!("--bill {path} cannot be opened"))?;
        let short = path.rsplit('/').next().unwrap_or(path);
        bill.read(short, BufReader::new(file))
    };
    read.with_context(|| format!("--bill {path}"))?;
    let (day, read) = read_day(arguments, &book, &functions, &allocation)?;
    let found = Reconciled::of(&bill, &day.charges);
    if let Some(path) = arguments.get("--json") {
        let text = format!("{:#}\n", found.json(&bill));
        std::fs::write(path, text).with_context(|| format!("--json {path}"))?;
    }
    let mut whole = Page::new("");
    intake(&mut whole, &read);
    let mut page = page(&bill, &found);
    page.parts.extend(whole.parts);
    show(arguments, &page)
}
