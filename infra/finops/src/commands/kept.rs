//! What is kept of benchmarks, and the dollars of the README that are made of it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use finops::book::page_prices;
use finops::measured::{Entry, Measured, Million, readme as lines};
use finops::{Allocation, Book};

use super::gate::{read, repository};
use super::shared::{self, print};
use crate::arguments::Arguments;

/// In the repository.
const MEASURED: &str = "infra/finops/measured.json";
const README: &str = "README.md";
/// The price of what the demo\'s page hears.
const PAGE_PRICES: &str = "functions/web/demo/prices.js";

/// Keeps files that benchmarks wrote, each named after what it is of.
pub(super) fn measured(arguments: &Arguments) -> Result<bool> {
    if arguments.words.is_empty() {
        bail!("name files of target/bench/measured/, which benchmarks write");
    }
    let command = arguments
        .get("--command")
        .context("--command says what repeats it")?;
    let path = repository().join(MEASURED);
    let mut all: Measured = if path.exists() {
        read(&path)?
    } else {
        Measured::default()
    };
    for name in &arguments.words {
        let million: Million = read(Path::new(name))?;
        let of = Path::new(name).file_stem().and_then(|stem| stem.to_str());
        let entry = Entry {
            commit: commit()?,
            date: shared::today(arguments)?.to_string(),
            machine: machine(),
            command: command.to_owned(),
            million,
        };
        all.0
            .insert(of.context("a file has a name")?.to_owned(), entry);
    }
    let text = serde_json::to_string_pretty(&all)? + "\n";
    std::fs::write(&path, text).with_context(|| format!("{}", path.display()))?;
    print(&format!(
        "written: {MEASURED}; `finops readme --write yes` takes it over\n"
    ))?;
    Ok(true)
}

/// Compares the README with what it should say, or mends it.
pub(super) fn readme(arguments: &Arguments) -> Result<bool> {
    let path = repository().join(README);
    let mut text = std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
    let lines = lines(
        &Measured::built_in(),
        &Book::built_in(),
        &Allocation::built_in(),
    );
    let (mut is_current, is_to_write) = (true, arguments.get("--write").is_some());
    for (begin, whole) in lines.map_err(|missing| anyhow!("{missing}"))? {
        let found = text
            .lines()
            .find(|line| line.starts_with(&begin))
            .map(str::to_owned);
        let found = found.with_context(|| format!("{README} has no line that begins `{begin}`"))?;
        if found != whole {
            is_current = false;
            print(&format!(
                "{README}: it says\n  {found}\nand should say\n  {whole}\n"
            ))?;
            text = text.replace(&found, &whole);
        }
    }
    if is_to_write {
        std::fs::write(&path, text).with_context(|| format!("{}", path.display()))?;
    }
    let path = repository().join(PAGE_PRICES);
    let found = std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
    let whole = page_prices(&Book::built_in()).map_err(|missing| anyhow!("{missing}"))?;
    if found != whole {
        is_current = false;
        print(&format!("{PAGE_PRICES}: it should say\n{whole}"))?;
        if is_to_write {
            std::fs::write(&path, whole).with_context(|| format!("{}", path.display()))?;
        }
    }
    Ok(is_current || is_to_write)
}

fn commit() -> Result<String> {
    let mut git = Command::new("git");
    let output = git
        .current_dir(repository())
        .args(["rev-parse", "--short", "HEAD"])
        .output();
    let output = output.context("git does not start")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("model name"))
        .filter_map(|line| line.split(':').nth(1))
        .map(str::trim)
        .collect();
    format!(
        "{} cores, {}",
        models.len(),
        models.first().unwrap_or(&"of a kind that is not told")
    )
}
