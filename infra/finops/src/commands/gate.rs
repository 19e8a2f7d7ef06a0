//! `finops gate`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use finops::Rates;
use finops::book::HOME_REGION;
use finops::gate::{Baseline, Counts, Finding, compare, is_dearer, reasons};
use finops::terraform::Estimate;
use finops::{Book, Money};
use serde::de::DeserializeOwned;

use super::shared::{self, Flags, print};
use crate::arguments::Arguments;

pub(super) const FLAGS: Flags = &[&[
    "--prices", "--counts", "--plan", "--region", "--base", "--update",
]];
/// In the repository.
const BASELINE: &str = "infra/finops/baseline.json";
const COUNTS: &str = "target/bench/counts.json";

pub(super) fn run(arguments: &Arguments) -> Result<bool> {
    let book = shared::book(arguments)?;
    let root = repository();
    let path = root.join(BASELINE);
    let counts = arguments
        .get("--counts")
        .map_or_else(|| root.join(COUNTS), PathBuf::from);
    let counts: Counts = read(&counts).context("`cargo xtask bench counts` makes it")?;
    let region = arguments.get("--region").unwrap_or(HOME_REGION);
    let plan = arguments
        .get("--plan")
        .map(|path| estimate(path, &book, region))
        .transpose()?;
    if let Some(reason) = arguments.get("--update") {
        return update(&path, reason, counts, plan);
    }
    let baseline: Baseline = read(&path)?;
    let rates = Rates::of(&book, HOME_REGION, &mut Default::default());
    let rates = rates.map_err(|missing| anyhow!("{missing}"))?;
    show(&counts, &baseline, &rates)?;
    let mut found = compare(&baseline, &counts, &rates).map_err(|missing| anyhow!("{missing}"))?;
    match &plan {
        Some(plan) => plan_findings(&baseline, plan, &mut found),
        None => found.push(Finding::Note(
            "no --plan: what Terraform makes was not priced".to_owned(),
        )),
    }
    if let Some(reference) = arguments.get("--base") {
        match of_commit(&root, reference)? {
            Some(base) => found.extend(reasons(&base, &baseline)),
            None => found.push(Finding::Note(format!(
                "{reference} has no {BASELINE} to compare with"
            ))),
        }
    }
    tell(&found)
}

fn tell(found: &[Finding]) -> Result<bool> {
    let mut faults = 0;
    for finding in found {
        match finding {
            Finding::Fault(text) => {
                faults += 1;
                print(&format!("FAULT  {text}\n"))?;
            }
            Finding::Note(text) => print(&format!("note   {text}\n"))?,
        }
    }
    if faults > 0 {
        print(&format!(
            "{faults} faults. Make it cheaper, or run `finops gate --update REASON` and commit \
             {BASELINE} with the change.\n"
        ))?;
    }
    Ok(faults == 0)
}

/// Every route with the dollars of what is counted.
fn show(counts: &Counts, baseline: &Baseline, rates: &Rates<'_>) -> Result<()> {
    for (route, counted) in &counts.routes {
        let was = baseline
            .routes
            .get(route)
            .map(|was| was.per_million(rates).text(3));
        print(&format!(
            "{route:<18}{:>8} $ a million of what is counted (baseline {})\n",
            counted.per_million(rates).text(3),
            was.as_deref().unwrap_or("-")
        ))?;
    }
    Ok(())
}

fn estimate(path: &str, book: &Book, region: &str) -> Result<Estimate> {
    let plan: serde_json::Value = read(Path::new(path))?;
    Estimate::of(&plan, book, region).map_err(|fault| anyhow!("{path}: {fault}"))
}

fn plan_findings(baseline: &Baseline, plan: &Estimate, found: &mut Vec<Finding>) {
    found.push(Finding::Note(format!(
        "the plan costs {} $ a month before anybody plays: {} resources; {} more cost nothing by \
         themselves",
        plan.total().text(2),
        plan.monthly.len(),
        plan.free
    )));
    for (address, now) in &plan.monthly {
        let was = baseline
            .plan
            .get(address)
            .map(|text| Money::parse(text).unwrap_or_default());
        match was {
            Some(was) if is_dearer(was, *now) => found.push(Finding::Fault(format!(
                "{address} costs {now} $ a month, and {was} $ in the baseline"
            ))),
            None => found.push(Finding::Fault(format!(
                "{address} costs {now} $ a month and is not in the baseline"
            ))),
            Some(_) => {}
        }
    }
    for (kind, address) in &plan.unknown {
        found.push(Finding::Fault(format!(
            "{kind} ({address}) has no price: teach infra/finops/src/terraform.rs what it costs"
        )));
    }
    found.extend(plan.unpriced.iter().cloned().map(Finding::Fault));
    let missing = plan.substituted.iter();
    found.extend(
        missing.map(|it| Finding::Note(format!("{it}: the price of {HOME_REGION} was taken"))),
    );
}

fn update(path: &Path, reason: &str, counts: Counts, plan: Option<Estimate>) -> Result<bool> {
    if reason.trim().is_empty() {
        bail!("--update needs a reason");
    }
    let old: Baseline = if path.exists() {
        read(path)?
    } else {
        Baseline::default()
    };
    let exact = |(address, cost): (&String, &Money)| (address.clone(), cost.text(6));
    let baseline = Baseline {
        reason: reason.to_owned(),
        routes: counts.routes,
        plan: plan.map_or(old.plan, |plan| plan.monthly.iter().map(exact).collect()),
    };
    let text = serde_json::to_string_pretty(&baseline)? + "\n";
    std::fs::write(path, text).with_context(|| format!("{}", path.display()))?;
    print(&format!("written: {BASELINE}\n"))?;
    Ok(true)
}

/// The baseline of a commit; none when it has no such file.
fn of_commit(root: &Path, reference: &str) -> Result<Option<Baseline>> {
    let git = |args: &[&str]| Command::new("git").current_dir(root).args(args).output();
    let known = git(&[
        "rev-parse",
        "--verify",
        "--quiet",
        "--end-of-options",
        &format!("{reference}^{{commit}}"),
    ]);
    if !known.context("git does not start")?.status.success() {
        bail!("--base {reference}: git knows no such commit");
    }
    let shown = git(&["show", &format!("{reference}:{BASELINE}")])?;
    if !shown.status.success() {
        return Ok(None);
    }
    let read = serde_json::from_slice(&shown.stdout);
    read.map(Some)
        .with_context(|| format!("{BASELINE} of {reference}"))
}

/// The repository that this program was built in.
pub(super) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let name = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("{name} cannot be read"))?;
    serde_json::from_str(&text).with_context(|| format!("{name}"))
}
