//! What commands share: files of records and prices, the day, and where a page goes.

use std::fs::File;
use std::io::{BufReader, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use finops::calendar::Calendar;
use finops::page::Page;
use finops::records::{Intake, Record};
use finops::{Allocation, Book, Date, Day, Functions};

use crate::arguments::Arguments;

/// Names of flags, in groups that commands share; each takes a value.
pub(crate) type Flags = &'static [&'static [&'static str]];

/// Of a page: prices, the day, and where it goes.
pub(super) const PAGE: &[&str] = &["--prices", "--today", "--html", "--markdown"];

/// Hands on each record of the files that are named.
pub(super) fn read_records(arguments: &Arguments, mut each: impl FnMut(&Record)) -> Result<Intake> {
    let mut intake = Intake::default();
    for name in &arguments.words {
        let read = if name == "-" {
            intake.read("stdin", std::io::stdin().lock(), |record| each(&record))
        } else {
            let file = File::open(name).with_context(|| format!("{name} cannot be opened"))?;
            let short = name.rsplit('/').next().unwrap_or(name);
            intake.read(short, BufReader::new(file), |record| each(&record))
        };
        read.with_context(|| format!("{name} cannot be read"))?;
    }
    Ok(intake)
}

/// The events of `--calendar`; none without it.
pub(super) fn calendar(arguments: &Arguments) -> Result<Calendar> {
    let Some(path) = arguments.get("--calendar") else {
        return Ok(Calendar::default());
    };
    let text = std::fs::read_to_string(path).with_context(|| format!("{path} cannot be read"))?;
    Calendar::read(&text).map_err(|faults| anyhow!("{path}: {faults}"))
}

pub(super) fn read_day<'a>(
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
    let intake = read_records(arguments, |record| day.add(record))?;
    match &day.missing {
        Some(missing) => bail!("{missing}"),
        None => Ok((day, intake)),
    }
}

pub(super) fn book(arguments: &Arguments) -> Result<Book> {
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
pub(super) fn today(arguments: &Arguments) -> Result<Date> {
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
pub(super) fn show(arguments: &Arguments, page: &Page) -> Result<bool> {
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
pub(super) fn print(text: &str) -> Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(fault) if fault.kind() != std::io::ErrorKind::BrokenPipe => Err(fault.into()),
        _ => Ok(()),
    }
}
