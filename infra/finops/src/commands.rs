//! The commands: each reads its files, asks the library, and writes.

mod commitments;
mod forecast;
mod gate;
mod kept;
mod plan;
mod reconcile;
mod serve;
mod shared;
mod vendors;
mod waste;

use anyhow::{Context, Result, anyhow};
use finops::page::{Page, Table};
use finops::{Allocation, Functions, charges, report};

use crate::arguments::Arguments;
use shared::{Flags, PAGE, book, print, read_day, show, today};

pub(crate) const USAGE: &str = "\
usage: finops COMMAND [flags] [FILE..]; a FILE - is standard input
  prices       the book of prices, and what of it is stale or unsure
  invocations  cost per invocation, from records of hosts: FILE..
  players      cost per player: voice, rooms, chat, matches, owners, from all records: FILE..
  report       both: FILE..
  showback     whose what is, as CSV: FILE..
  focus        the same as rows of FOCUS 1.2: FILE..; focus-check looks at such rows: FILE..
  reconcile    a bill against records: --bill FILE (CSV of CUR 2.0 or FOCUS) FILE..
  forecast     what this month and the next will cost, and whether it passes a budget: FILE..
  gate         what hot calls and a plan use against baseline.json; fails when they are dearer
  plan         what so many players need by region and hour, and what it costs: --players N
  commitments  what of a plan's relays to commit to: --players N and other flags of plan
  waste        what is paid for and not used, and the change to make: FILE..
  serve        dollars per hour and player-hour as JSON over HTTP, from files as they grow: FILE..
  vendors      what a plan's traffic costs at others: --players N and other flags of plan;
               --tracker yes: external dependencies (infra/ops/vendors.toml), and whether each
               that the tree uses is there and none is overdue for review
  measured     keeps what benchmarks measured: FILE.. of target/bench/measured/
  readme       the dollars of the README; fails when they are not current, --write yes mends it
flags: --prices DIR       more prices, TOML files beside those that are built in
       --today DATE       as 2026-11-30 [the clock's]
       --environment NAME of which the records are [that of allocation.toml]
       --players N        players of the records, for dollars a player
       --html FILE, --markdown FILE, --json FILE  write the report there too
       reconcile: --account ID of which the bill is compared [all of it]
       forecast, report: --calendar FILE of events, --budget FILE [none]
       forecast: --at HOUR from which on [that of the last record], as 2026-12-09T16:00Z,
             --fail yes to fail when the month will pass its budget
       gate: --counts FILE [target/bench/counts.json], --plan FILE of terraform show -json,
             --region NAME [us-east-1], --base REF, --update REASON
       waste: --state FILE of terraform show -json, for addresses and logs
       serve: --listen ADDRESS [127.0.0.1:0]
       commitments: --discounts 1y=0.28,3y=0.5 of your offers, --egress-discount S,
             --spot-discount S, --dev-relays N [1]
       plan: --concurrent-share S [0.1], --voice-share V [0.5], --streams K heard at once [0.8],
             --joins, --messages, --tickets N of an online player in an hour [2, 4, 1],
             --regions eu=0.6@1,us=0.4@-6 [us=1], --from DATE, --days N [30], --calendar FILE,
             --headroom S [0.3], --zones N [3], --machine NAME [t4g.small], --range S [0.25]";

/// Whether all is well.
type Run = fn(&Arguments) -> Result<bool>;

const DAY: &[&str] = &["--json", "--environment", "--players"];
const ROWS: Flags = &[&["--prices", "--environment"]];

/// Name, flags, and what it does.
pub(crate) const ALL: &[(&str, Flags, Run)] = &[
    ("prices", &[PAGE], prices),
    ("invocations", &[PAGE, DAY], |arguments| {
        day(arguments, true, false)
    }),
    ("players", &[PAGE, DAY], |arguments| {
        day(arguments, false, true)
    }),
    (
        "report",
        &[PAGE, DAY, &["--calendar", "--budget"]],
        |arguments| day(arguments, true, true),
    ),
    ("showback", ROWS, |arguments| {
        rows(arguments, |charges| charges.csv())
    }),
    ("focus", ROWS, |arguments| {
        rows(arguments, |charges| charges.focus())
    }),
    ("focus-check", &[], focus_check),
    ("reconcile", reconcile::FLAGS, reconcile::run),
    ("forecast", forecast::FLAGS, forecast::run),
    ("gate", gate::FLAGS, gate::run),
    ("plan", plan::FLAGS, plan::run),
    ("commitments", commitments::FLAGS, commitments::run),
    ("waste", waste::FLAGS, waste::run),
    ("serve", serve::FLAGS, serve::run),
    ("vendors", vendors::FLAGS, vendors::run),
    ("measured", &[&["--today", "--command"]], kept::measured),
    ("readme", &[&["--write"]], kept::readme),
];

fn prices(arguments: &Arguments) -> Result<bool> {
    let (book, today) = (book(arguments)?, today(arguments)?);
    let mut page = Page::new("Prices");
    report::prices(&mut page, &book, today, &Default::default());
    let mut table = Table::new(&[
        "item", "provider", "region", "$", "unit", "read", "sure", "source",
    ]);
    for price in book.iter() {
        table.rows.push(vec![
            price.item.clone(),
            price.provider.clone(),
            price.region.clone(),
            price
                .list()
                .text(10)
                .trim_end_matches('0')
                .trim_end_matches('.')
                .to_owned(),
            price.unit.name().to_owned(),
            price.date.to_string(),
            if price.check { "check" } else { "yes" }.to_owned(),
            price.source.clone(),
        ]);
    }
    page.table(table);
    show(arguments, &page)
}

/// A report of records: what invocations cost, what players cost, or both.
fn day(arguments: &Arguments, has_invocations: bool, has_players: bool) -> Result<bool> {
    let (book, functions, allocation) = (
        book(arguments)?,
        Functions::built_in(),
        Allocation::built_in(),
    );
    let (day, intake) = read_day(arguments, &book, &functions, &allocation)?;
    let players = arguments.get("--players").map(|text| {
        text.parse()
            .map_err(|_| anyhow!("--players {text}: give a whole number"))
    });
    let options = report::Options {
        today: today(arguments)?,
        players: players.transpose()?,
        has_invocations,
        has_players,
    };
    let mut page =
        report::day(&book, &day, &intake, &options).map_err(|missing| anyhow!("{missing}"))?;
    if arguments.get("--calendar").is_some() || arguments.get("--budget").is_some() {
        forecast::add(&mut page, arguments, &day)?;
    }
    if let Some(path) = arguments.get("--json") {
        let text = format!("{:#}\n", report::figures(&day));
        std::fs::write(path, text).with_context(|| format!("--json {path}"))?;
    }
    show(arguments, &page)
}

fn rows(arguments: &Arguments, of: fn(&charges::Charges<'_>) -> String) -> Result<bool> {
    let (book, functions, allocation) = (
        book(arguments)?,
        Functions::built_in(),
        Allocation::built_in(),
    );
    let (day, intake) = read_day(arguments, &book, &functions, &allocation)?;
    // On standard error, since the rows are for programs.
    let mut page = Page::new("What was read");
    report::intake(&mut page, &intake);
    eprint!("{}", page.plain());
    print(&of(&day.charges))?;
    Ok(true)
}

fn focus_check(arguments: &Arguments) -> Result<bool> {
    let mut all_good = !arguments.words.is_empty();
    for name in &arguments.words {
        let text =
            std::fs::read_to_string(name).with_context(|| format!("{name} cannot be read"))?;
        match charges::focus::check(&text) {
            Ok(rows) => print(&format!(
                "{name}: {rows} rows of FOCUS {} are good\n",
                charges::focus::VERSION
            ))?,
            Err(faults) => {
                all_good = false;
                print(&format!("{name}:\n{}\n", faults.join("\n")))?;
            }
        }
    }
    Ok(all_good)
}
