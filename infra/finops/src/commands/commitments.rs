//! `finops commitments`.

use std::collections::BTreeSet;

use anyhow::{Result, anyhow, bail};
use finops::Money;
use finops::book::{AWS, HOME_REGION};
use finops::commitments::Hours;
use finops::page::{Page, Table};
use finops::plan::{Basis, Demand, plan};

use super::plan::{DEMAND, number, with_basis};
use super::shared::{Flags, PAGE, show, today};
use crate::arguments::Arguments;

pub(super) const FLAGS: Flags = &[
    DEMAND,
    PAGE,
    &[
        "--discounts",
        "--egress-discount",
        "--spot-discount",
        "--dev-relays",
    ],
];
/// Hours of a month.
const MONTH_HOURS: u128 = finops::book::MONTH_HOURS;

pub(super) fn run(arguments: &Arguments) -> Result<bool> {
    with_basis(arguments, |demand, basis| run_on(arguments, demand, basis))
}

fn run_on(arguments: &Arguments, demand: &Demand, basis: &Basis<'_>) -> Result<bool> {
    let plan = plan(demand, basis).map_err(|fault| anyhow!("{fault}"))?;
    let price = basis.book.price(&basis.machine.item, AWS, HOME_REGION);
    let hourly = price.map_err(|missing| anyhow!("{missing}"))?.list();
    let hours = Hours::of(&plan);
    let mut page = Page::new("What to commit to");
    page.text(format!(
        "{} hours of {} at {hourly} $ on demand in {HOME_REGION}, addresses apart: no plan \
         covers them. {} relays are needed in every hour, {} in the busiest.",
        hours.count(),
        basis.machine.name,
        hours.floor(),
        hours.peak()
    ));
    page.heading("From which discount on a commitment pays");
    page.table(break_even(&hours));
    page.heading("At the discounts given");
    match arguments.get("--discounts") {
        Some(text) => page.table(at_discounts(&hours, hourly, text)?),
        None => page.warning(
            "The book has no rate of a Savings Plan, a reservation or Spot, for want of a source: \
             give --discounts 1y=0.28,3y=0.5 with those of your offer.",
        ),
    }
    page.heading("Spot for dev");
    page.text(spot(arguments, hourly)?);
    let discount = discount(arguments, "--egress-discount")?;
    if discount > 0.0 {
        page.text(format!(
            "Voice egress: {:.0} GB, {} $. An agreement for all of it at {:.1} % less saves \
             {:.2} $, and costs more than list prices when less than {:.1} % of it is \
             sent.",
            plan.egress_gb,
            plan.egress,
            100.0 * discount,
            plan.egress.dollars() * discount,
            100.0 * (1.0 - discount)
        ));
    }
    finops::report::prices(&mut page, basis.book, today(arguments)?, &plan.substituted);
    show(arguments, &page)
}

/// A discount that somebody was offered: a share below 1, and 0 when it is not given.
fn discount(arguments: &Arguments, flag: &str) -> Result<f64> {
    let discount = number(arguments, flag, 0.0)?;
    if !(0.0..1.0).contains(&discount) {
        bail!("{flag} {discount}: give a share below 1");
    }
    Ok(discount)
}

/// Relays of the dev environment may stop at any time, so all of their hours can be Spot: there is
/// nothing to commit to, and it pays from any discount on.
fn spot(arguments: &Arguments, hourly: Money) -> Result<String> {
    let relays = number(arguments, "--dev-relays", 1.0)?;
    let discount = discount(arguments, "--spot-discount")?;
    let month = hourly.dollars() * relays.max(0.0) * MONTH_HOURS as f64;
    let hours = MONTH_HOURS as f64;
    // What is given back: a relay that is only there when somebody works.
    let as_cheap = hours * (1.0 - discount);
    let told = match discount > 0.0 {
        true => format!(
            "At {:.1} % less it is {:.2} $, and saves {:.2} $: as much as on demand for \
             {as_cheap:.0} of {hours:.0} hours. A relay that runs for fewer is cheaper on demand \
             and switched off.",
            100.0 * discount,
            month * (1.0 - discount),
            month * discount
        ),
        false => "The book has no rate of Spot, for want of a source: give --spot-discount 0.6 \
                  with that of your region."
            .to_owned(),
    };
    Ok(format!(
        "{relays} relays of dev cost {month:.2} $ a month on demand, addresses apart. All of it \
         is fit for Spot: nobody is promised that dev is there. {told}"
    ))
}

fn break_even(hours: &Hours) -> Table {
    let mut table = Table::new(&[
        "relays",
        "hours that need them %",
        "pays from a discount of %",
    ]);
    let (floor, peak) = (hours.floor(), hours.peak());
    let rest = peak - floor;
    let levels: BTreeSet<u32> = (0..=4).map(|quarter| floor + rest / 4 * quarter).collect();
    for relays in levels.into_iter().chain([peak]).collect::<BTreeSet<_>>() {
        let share = 100.0 * hours.needed_share(relays);
        table.rows.push(vec![
            relays.to_string(),
            format!("{share:.1}"),
            format!("{:.1}", 100.0 - share),
        ]);
    }
    table
}

/// `1y=0.28,3y=0.5`: each at the relays always needed, and at the number that saves most.
fn at_discounts(hours: &Hours, hourly: Money, text: &str) -> Result<Table> {
    let mut table = Table::new(&[
        "offer",
        "relays",
        "coverage %",
        "used %",
        "break-even used %",
        "saving $ a month",
    ]);
    for part in text.split(',') {
        let read = part.split_once('=');
        let share = read.and_then(|(name, share)| Some((name, share.parse::<f64>().ok()?)));
        let Some((name, share)) = share.filter(|(_, share)| (0.0..1.0).contains(share)) else {
            bail!("--discounts {text}: write 1y=0.28,3y=0.5, each a share below 1");
        };
        let mille = (share * 1_000.0).round() as u32;
        let floor = hours.commitment(hours.floor(), hourly, mille);
        for (what, found) in [
            ("always needed", floor),
            ("best", hours.best(hourly, mille)),
        ] {
            let month = found
                .saving
                .scaled(MONTH_HOURS, hours.count().max(1) as u128);
            table.rows.push(vec![
                format!("{name}, {what}"),
                found.relays.to_string(),
                format!("{:.1}", 100.0 * found.coverage),
                format!("{:.1}", 100.0 * found.utilisation),
                format!("{:.1}", 100.0 * (1.0 - share)),
                month.text(2),
            ]);
        }
    }
    Ok(table)
}
