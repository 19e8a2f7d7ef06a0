//! `finops plan`.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail};
use finops::Allocation;
use finops::calendar::first_hour;
use finops::measured::Measured;
use finops::plan::{Basis, Demand, Machines, plan, replay};
use finops::report::plan::{Range, add_replays, page};

use super::shared::{Flags, PAGE, book, calendar, show, today};
use crate::arguments::Arguments;

/// Flags of what a plan is asked for.
pub(super) const DEMAND: &[&str] = &[
    "--players",
    "--concurrent-share",
    "--voice-share",
    "--streams",
    "--regions",
    "--from",
    "--days",
    "--headroom",
    "--zones",
    "--machine",
    "--calendar",
];
pub(super) const FLAGS: Flags = &[
    DEMAND,
    PAGE,
    &["--joins", "--messages", "--tickets", "--range"],
];

/// Seeds of the weeks that are replayed.
const SEEDS: [u64; 3] = [1, 2, 3];

pub(super) fn run(arguments: &Arguments) -> Result<bool> {
    with_basis(arguments, |demand, basis| run_on(arguments, demand, basis))
}

/// Hands on what a plan is asked for and what it is made from.
pub(super) fn with_basis(
    arguments: &Arguments,
    then: impl FnOnce(&Demand, &Basis<'_>) -> Result<bool>,
) -> Result<bool> {
    let (demand, calendar) = (demand(arguments)?, calendar(arguments)?);
    let (machines, measured) = (Machines::built_in(), Measured::built_in());
    let name = arguments.get("--machine").unwrap_or("t4g.small");
    let machine = machines
        .find(name)
        .map_err(|fault| anyhow!("--machine: {fault}"))?;
    let basis = Basis {
        book: &book(arguments)?,
        allocation: &Allocation::built_in(),
        measured: &measured,
        calendar: &calendar,
        machine,
    };
    then(&demand, &basis)
}

fn run_on(arguments: &Arguments, demand: &Demand, basis: &Basis<'_>) -> Result<bool> {
    let range = number(arguments, "--range", 0.25)?;
    if !(0.0..1.0).contains(&range) {
        bail!("--range {range}: give a share below 1");
    }
    let times = |times: f64| {
        let players = demand.players * times;
        plan(
            &Demand {
                players,
                ..demand.clone()
            },
            basis,
        )
        .map_err(|fault| anyhow!("{fault}"))
    };
    let (low, likely, high) = (times(1.0 - range)?, times(1.0)?, times(1.0 + range)?);
    let range = Range {
        low: (&low, 1.0 - range),
        likely: &likely,
        high: (&high, 1.0 + range),
    };
    let mut page = page(demand, basis.calendar, basis.machine, &range);
    let replays = SEEDS.map(|seed| (seed, replay(&likely, demand, seed)));
    add_replays(&mut page, &replays);
    finops::report::prices(
        &mut page,
        basis.book,
        today(arguments)?,
        &likely.substituted,
    );
    show(arguments, &page)
}

fn demand(arguments: &Arguments) -> Result<Demand> {
    let players = arguments
        .get("--players")
        .context("--players N says for how many players of a day")?;
    let from = match arguments.get("--from") {
        Some(text) => text.parse().map_err(|fault| anyhow!("--from: {fault}"))?,
        None => today(arguments)?,
    };
    Ok(Demand {
        players: players
            .parse()
            .with_context(|| format!("--players {players}"))?,
        concurrent_share: number(arguments, "--concurrent-share", 0.1)?,
        voice_share: number(arguments, "--voice-share", 0.5)?,
        streams: number(arguments, "--streams", 0.8)?,
        joins_per_hour: number(arguments, "--joins", 2.0)?,
        messages_per_hour: number(arguments, "--messages", 4.0)?,
        tickets_per_hour: number(arguments, "--tickets", 1.0)?,
        regions: regions(arguments.get("--regions").unwrap_or("us=1"))?,
        from: first_hour(from),
        hours: (24.0 * number(arguments, "--days", 30.0)?) as u32,
        headroom: number(arguments, "--headroom", 0.3)?,
        zones: number(arguments, "--zones", 3.0)? as u32,
    })
}

pub(super) fn number(arguments: &Arguments, flag: &str, default: f64) -> Result<f64> {
    let Some(text) = arguments.get(flag) else {
        return Ok(default);
    };
    let number: f64 = text.parse().with_context(|| format!("{flag} {text}"))?;
    match number.is_finite() {
        true => Ok(number),
        false => bail!("{flag} {text}: give a number"),
    }
}

/// `eu=0.6@1,us=0.4@-6`: share of the players, and hours before UTC.
fn regions(text: &str) -> Result<BTreeMap<String, (f64, f64)>> {
    let region = |part: &str| {
        let (name, rest) = part.split_once('=')?;
        let (share, offset) = rest.split_once('@').unwrap_or((rest, "0"));
        Some((name.to_owned(), (share.parse().ok()?, offset.parse().ok()?)))
    };
    let all: Option<BTreeMap<_, _>> = text.split(',').map(region).collect();
    all.with_context(|| format!("--regions {text}: write eu=0.6@1,us=0.4@-6"))
}
