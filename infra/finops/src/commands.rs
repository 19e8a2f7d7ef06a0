//! The commands: each reads its files, asks the library, and writes.

mod commitments;
mod forecast;
mod gate;
mod kept;
mod plan;
mod reconcile;
mod vendors;

use std::fs::File;
use std::io::{BufReader, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use finops::page::{Page, Table};
use finops::records::Intake;
use finops::{Allocation, Book, Date, Day, Functions, charges, report};

use crate::arguments::Arguments;

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
  vendors      --tracker yes: external dependencies (infra/ops/vendors.toml), and whether each
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
       commitments: --discounts 1y=0.28,3y=0.5 of your offers, --egress-discount S
       plan: --concurrent-share S [0.1], --voice-share V [0.5], --streams K heard at once [0.8],
             --joins, --messages, --tickets N of an online player in an hour [2, 4, 1],
             --regions eu=0.6@1,us=0.4@-6 [us=1], --from DATE, --days N [30], --calendar FILE,
             --headroom S [0.3], --zones N [3], --machine NAME [t4g.small], --range S [0.25]";

/// Whether all is well.
type Run = fn(&Arguments) -> Result<bool>;

const PAGE: &[&str] = &["--prices", "--today", "--html", "--markdown"];
const DAY: &[&str] = &[
    "--prices",
    "--today",
    "--html",
    "--markdown",
    "--json",
    "--environment",
    "--players",
];
const REPORT: &[&str] = &[
    "--prices",
    "--today",
    "--html",
    "--markdown",
    "--json",
    "--environment",
    "--players",
    "--calendar",
    "--budget",
];
const ROWS: &[&str] = &["--prices", "--environment"];

/// Name, flags, and what it does.
pub(crate) const ALL: &[(&str, &[&str], Run)] = &[
    ("prices", PAGE, prices),
    ("invocations", DAY, |arguments| day(arguments, true, false)),
    ("players", DAY, |arguments| day(arguments, false, true)),
    ("report", REPORT, |arguments| day(arguments, true, true)),
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
    ("vendors", vendors::FLAGS, vendors::run),
    ("measured", &["--today", "--command"], kept::measured),
    ("readme", &["--write"], kept::readme),
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

fn read_day<'a>(
    arguments: &Arguments,
    book: &'a Book,
    functions: &'a Functions,
    allocation: &'a Allocation,
) -> Result<(Day<'a>, Intake)> {
    if arguments.words.is_empty() {
        bail!("name a file of records, as edge-host and relay print them, or - for standard input");
    }
    let environment = arguments
        .get("--environment")
        .unwrap_or(&allocation.environment);
    let mut day = Day::new(book, functions, allocation, environment);
    let mut intake = Intake::default();
    for name in &arguments.words {
        let read = if name == "-" {
            intake.read("stdin", std::io::stdin().lock(), |record| day.add(&record))
        } else {
            let file = File::open(name).with_context(|| format!("{name} cannot be opened"))?;
            let short = name.rsplit('/').next().unwrap_or(name);
            intake.read(short, BufReader::new(file), |record| day.add(&record))
        };
        read.with_context(|| format!("{name} cannot be read"))?;
    }
    match &day.missing {
        Some(missing) => bail!("{missing}"),
        None => Ok((day, intake)),
    }
}

fn book(arguments: &Arguments) -> Result<Book> {
    let mut book = Book::built_in();
    let Some(folder) = arguments.get("--prices") else {
        return Ok(book);
    };
    let files = std::fs::read_dir(folder).with_context(|| format!("{folder} cannot be read"))?;
    let mut paths: Vec<_> = files
        .map(|file| file.map(|file| file.path()))
        .collect::<Result<_, _>>()?;
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
    });
    paths.sort();
    for path in paths {
        let name = path.display().to_string();
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("{name} cannot be read"))?;
        book.add(&name, &text)
            .map_err(|faults| anyhow!("{faults}"))?;
    }
    Ok(book)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a shell reads clocks, in one place"
)]
fn today(arguments: &Arguments) -> Result<Date> {
    match arguments.get("--today") {
        Some(text) => text.parse().map_err(|fault| anyhow!("--today: {fault}")),
        None => {
            let since = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            Ok(Date::of_ms(
                u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            ))
        }
    }
}

/// A flag, and the form of a report that goes into its file.
type Form = (&'static str, fn(&Page) -> String);

/// Prints a report, and writes it where the flags say.
fn show(arguments: &Arguments, page: &Page) -> Result<bool> {
    let forms: [Form; 2] = [("--html", Page::html), ("--markdown", Page::markdown)];
    for (flag, text) in forms {
        if let Some(path) = arguments.get(flag) {
            std::fs::write(path, text(page)).with_context(|| format!("{flag} {path}"))?;
        }
    }
    print(&page.plain())?;
    Ok(true)
}

/// A reader that is gone is no fault.
fn print(text: &str) -> Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(fault) if fault.kind() != std::io::ErrorKind::BrokenPipe => Err(fault.into()),
        _ => Ok(()),
    }
}
