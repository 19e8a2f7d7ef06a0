//! `finops vendors`: what others would ask for a plan's traffic, and the tracker of those that
//! we use.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use finops::page::{Page, Table};
use finops::plan::{Basis, Demand, plan};
use finops::tracker::{Finding, Tracker, uses};
use finops::vendors::{Offer, Traffic};

use super::gate::repository;
use super::plan::{DEMAND, with_basis};
use super::shared::{Flags, PAGE, show, today};
use crate::arguments::Arguments;

pub(super) const FLAGS: Flags = &[DEMAND, PAGE, &["--tracker", "--tickets"]];
/// In the repository.
const TRACKER: &str = "infra/ops/vendors.toml";

pub(super) fn run(arguments: &Arguments) -> Result<bool> {
    match arguments.get("--tracker") {
        Some("yes") => tracker(arguments),
        None => with_basis(arguments, |demand, basis| compare(arguments, demand, basis)),
        Some(other) => bail!("--tracker {other}: it is yes or not given"),
    }
}

fn compare(arguments: &Arguments, demand: &Demand, basis: &Basis<'_>) -> Result<bool> {
    let plan = plan(demand, basis).map_err(|fault| anyhow!("{fault}"))?;
    let traffic = Traffic::of(demand, &plan, basis.book, basis.measured);
    let traffic = traffic.map_err(|fault| anyhow!("{fault}"))?;
    let mut page = Page::new("What this traffic costs here and at others");
    page.text(format!(
        "A month of {} players a day, {:.0} % of them online at once at the peak and {:.0} % of \
         those in voice, each hearing {} streams on average at 32 kbit/s. A voice-minute is one \
         participant connected for a minute. List prices, without anybody's discounts; what they \
         include besides (video, recording, support, moderation) is not weighed, and neither are \
         the people who run ours.",
        demand.players,
        100.0 * demand.concurrent_share,
        100.0 * demand.voice_share,
        demand.streams
    ));
    page.heading("Voice");
    page.table(offers(
        &traffic.voice_offers(basis.book),
        Some(traffic.voice_ms),
    ));
    page.heading("Matchmaking");
    page.table(offers(&traffic.matchmaking_offers(basis.book), None));
    finops::report::prices(&mut page, basis.book, today(arguments)?, &plan.substituted);
    show(arguments, &page)
}

fn offers(offers: &[Offer], voice_ms: Option<u128>) -> Table {
    let own = offers.first().map_or(0.0, |own| own.month.dollars());
    let mut heads = vec!["at", "sold as", "counted", "$ a month", "times ours"];
    heads.extend(voice_ms.map(|_| "$ per 1,000 voice-minutes"));
    heads.push("price of");
    let mut table = Table::new(&heads);
    for offer in offers {
        let times = offer.month.dollars() / own.max(f64::MIN_POSITIVE);
        let mut row = vec![
            offer.provider.clone(),
            offer.what.clone(),
            offer.counted.clone(),
            offer.month.text(2),
            format!("{times:.2}"),
        ];
        row.extend(voice_ms.map(|ms| offer.month.scaled(60_000_000, ms.max(1)).text(4)));
        let unsure = |check: bool| if check { " (check)" } else { "" };
        let price = offer.price.as_ref();
        row.push(price.map_or("the book".to_owned(), |price| {
            format!("{}{}", price.date, unsure(price.check))
        }));
        table.rows.push(row);
    }
    table
}

fn tracker(arguments: &Arguments) -> Result<bool> {
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
