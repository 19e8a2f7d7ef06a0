//! `cargo xtask bench finops`: a million records read and priced: how long it takes, and how much
//! memory.

use std::io::{BufReader, Read, Write as _};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use bench_report::{Aim, Report};
use finops::forecast::backtest::{Score, backtest};
use finops::invocations::Summary;
use finops::records::{Intake, Record};
use finops::{Book, Functions};

const RECORDS: u64 = 1_000_000;
/// Aims of both.
const SECONDS: f64 = 2.0;
const MEGABYTES: f64 = 200.0;

const ROUTES: [(&str, &str); 5] = [
    ("signalling", "join"),
    ("chat", "chat-post"),
    ("chat", "chat-history"),
    ("matchmaking", "match-queue-up"),
    ("matchmaking", "match-ticket"),
];

fn main() -> Result<()> {
    let (book, functions) = (Book::built_in(), Functions::built_in());
    let (mut summary, mut intake) = (Summary::new(&book, &functions), Intake::default());
    let started = now();
    let mut missing = None;
    intake.read("made", BufReader::new(Made::default()), |record| {
        if let Record::Invocation(record, line_bytes) = record
            && let Err(what) = summary.add(&record, line_bytes)
        {
            missing = Some(what);
        }
    })?;
    let took_s = started.elapsed().as_secs_f64();
    if let Some(missing) = missing {
        return Err(anyhow!("{missing}"));
    }
    ensure!(
        intake.invocations == RECORDS && intake.faulty() == 0,
        "{intake:?}"
    );
    let dollars = summary.total().2.total().dollars();
    let mut report = Report::default();
    let name = "a million records, making them included";
    report.row(name, took_s, "s", Aim::AtMost(SECONDS));
    report.row("of it, processor time", cpu_s()?, "s", Aim::None);
    report.row("peak memory", peak_mb()?, "MB", Aim::AtMost(MEGABYTES));
    report.row("what they cost", dollars, "$", Aim::None);
    forecasts(&mut report);
    report.finish("finops")
}

/// Weeks of the planner's population that nothing was tuned with.
fn forecasts(report: &mut Report) {
    const SEEDS: std::ops::Range<u64> = 9_001..9_041;
    let started = now();
    let mut all = Score::default();
    SEEDS.for_each(|seed| all.join(&backtest(seed)));
    let took_s = started.elapsed().as_secs_f64();
    let hours = f64::from(all.hours);
    report.row(
        "hours that were foretold a week ahead",
        hours,
        "h",
        Aim::None,
    );
    let covered = all.coverage();
    report.row(
        "of them within the 80 % interval",
        covered,
        "%",
        Aim::AtLeast(70.0),
    );
    report.row(
        "the same, which may be too wide too",
        covered,
        "%",
        Aim::AtMost(90.0),
    );
    let sums = all.coverage_of_sums();
    report.row("of sums of four weeks, within it", sums, "%", Aim::None);
    let naive = all.naive_wmape();
    report.row(
        "error of an hour (wMAPE)",
        all.wmape(),
        "%",
        Aim::AtMost(naive),
    );
    report.row("that of a seasonal naive forecast", naive, "%", Aim::None);
    report.row(
        "fits and courses, of 40 times 18 weeks",
        took_s,
        "s",
        Aim::None,
    );
}

/// Lines as a host prints them, made while they are read.
#[derive(Default)]
struct Made {
    number: u64,
    line: Vec<u8>,
    at: usize,
}

impl Read for Made {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut written = 0;
        while written < buffer.len() {
            if self.at == self.line.len() {
                if self.number == RECORDS {
                    break;
                }
                self.make()?;
            }
            let part = (buffer.len() - written).min(self.line.len() - self.at);
            buffer[written..written + part].copy_from_slice(&self.line[self.at..self.at + part]);
            (written, self.at) = (written + part, self.at + part);
        }
        Ok(written)
    }
}

impl Made {
    fn make(&mut self) -> std::io::Result<()> {
        let n = self.number;
        let (function, route) = ROUTES[(n % ROUTES.len() as u64) as usize];
        // Spread over the range of ids, as random ones are.
        let id = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.line.clear();
        self.at = 0;
        self.number += 1;
        writeln!(
            self.line,
            concat!(
                r#"{{"kind":"invocation","form":2,"id":"{:016x}","at_ms":{},"function":"{}","#,
                r#""route":"{}","host":"lambda","region":"us-east-1","build":"{}","#,
                r#""method":"POST","status":200,"duration_us":{},"memory_mb":128,"#,
                r#""peak_bytes":13107200,"calls":3,"reads":1,"writes":2,"read_units":1,"#,
                r#""write_units":2,"bytes_in":150,"bytes_out":380}}"#
            ),
            id,
            1_700_000_000_000 + n,
            function,
            route,
            n / 300_000,
            5_000 + n % 9_000,
        )
    }
}

/// Processor time of this process's only thread so far, seconds.
fn cpu_s() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/schedstat")?;
    let ns: f64 = stat.split(' ').next().context("a time")?.parse()?;
    Ok(ns / 1e9)
}

/// The largest resident set of this process so far.
fn peak_mb() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: f64 = line
        .context("Linux says it")?
        .trim()
        .trim_end_matches("kB")
        .trim()
        .parse()?;
    Ok(kib * 1024.0 / 1e6)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a shell reads clocks, in one place"
)]
fn now() -> Instant {
    Instant::now()
}
