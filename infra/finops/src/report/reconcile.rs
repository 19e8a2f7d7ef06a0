//! A bill and records beside each other, as a page.

use crate::bill::Bill;
use crate::page::{Page, Table};
use crate::reconcile::{Axis, DIFFERENCE_PERCENT, Pair, Reconciled, Verdict};

/// Writes it.
pub fn page(bill: &Bill<'_>, found: &Reconciled) -> Page {
    let mut page = Page::new("The bill, and what records say of it");
    let total = found.total;
    let share = found.explained_percent().map_or_else(
        || "nothing to explain".to_owned(),
        |share| format!("{share:.1} %"),
    );
    page.text(format!(
        "Usage billed: {} $, at its effective cost. Recorded: {} $, at list prices. Of the bill's \
         usage the records explain {share}: of each day and service, the smaller amount.",
        total.billed, total.recorded
    ));
    page.text(
        "Records do not know what waits: a relay's machine is recorded for the time of forwarding \
         alone, and is billed for its hours.",
    );
    left_out(&mut page, bill);
    let differences = found.differences().len();
    page.heading(format!(
        "Differences over {DIFFERENCE_PERCENT} %: {differences}"
    ));
    let mut table = table("what");
    for (axis, name, pair) in found.differences() {
        table
            .rows
            .push(row(format!("{}: {name}", axis.name()), pair));
    }
    page.table(table);
    for axis in Axis::ALL {
        page.heading(format!("By {}", axis.name()));
        let mut table = self::table(axis.name());
        for (name, pair) in found.by(axis) {
            table.rows.push(row(name.to_owned(), *pair));
        }
        page.table(table);
    }
    page
}

fn table(what: &str) -> Table {
    Table::new(&[
        what,
        "billed $",
        "recorded $",
        "difference $",
        "of the bill %",
        "verdict",
    ])
}

fn row(name: String, pair: Pair) -> Vec<String> {
    let difference = pair.recorded - pair.billed;
    let percent = match pair.verdict() {
        Verdict::Agrees | Verdict::Differs if pair.billed.0 != 0 => {
            format!(
                "{:.1}",
                100.0 * difference.dollars() / pair.billed.dollars()
            )
        }
        _ => "-".to_owned(),
    };
    vec![
        name,
        pair.billed.to_string(),
        pair.recorded.to_string(),
        difference.to_string(),
        percent,
        pair.verdict().name().to_owned(),
    ]
}

/// What is in the bill and was not compared, and what could not be read.
fn left_out(page: &mut Page, bill: &Bill<'_>) {
    for (aside, (count, sum)) in &bill.asides {
        page.warning(format!(
            "{count} line items set aside, {sum} $: {}.",
            aside.sentence()
        ));
    }
    for (fault, (count, places)) in &bill.faults {
        page.warning(format!(
            "{count} rows left out: {} (first at {}).",
            fault.sentence(),
            places.join(", ")
        ));
    }
    let list = |names: &std::collections::BTreeSet<String>| {
        names.iter().cloned().collect::<Vec<_>>().join(", ")
    };
    if !bill.currencies.is_empty() {
        page.warning(format!("Other currencies: {}.", list(&bill.currencies)));
    }
    if bill.accounts.len() > 1 {
        page.warning(format!(
            "The bill is of several accounts: {}. --account ID compares one alone.",
            list(&bill.accounts)
        ));
    }
    if bill.covered > 0 {
        page.text(format!(
            "{} line items are covered by a plan or a reservation, and count at their \
             effective cost.",
            bill.covered
        ));
    }
    if bill.is_beyond_duplicates() {
        page.warning("So many line items that duplicates among the last were not noticed.");
    }
}
