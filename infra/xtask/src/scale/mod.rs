//! `cargo xtask scale`: has a group of relays the size that its rules want, and drains, replaces
//! and ends its machines by name. Made to be run every five minutes; what it decides is
//! `scaling::decide`.

mod apply;
mod read;
mod relays;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use finops::calendar::Calendar;
use scaling::schedule::{self, Changes};
use scaling::{Decision, Outlook, Policy, Seen, decide};

use crate::aws_cli::{Aws, Cli};
use crate::clock;
use crate::curl::Edge;
use crate::workspace::Workspace;
pub(crate) use read::{shards_of, unix_seconds};
pub(crate) use relays::{OfEdge, Relays};

/// Which group, and by what.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Whose rules count: an entry of infra/ops/scaling.toml
    #[arg(long, value_name = "NAME")]
    env: String,

    /// Auto-scaling group of the live colour
    #[arg(long, value_name = "NAME")]
    group: String,

    /// What the service calls the region, such as eu
    #[arg(long, value_name = "NAME")]
    region: String,

    /// Region of AWS [default: the CLI's]
    #[arg(long, value_name = "NAME")]
    aws_region: Option<String>,

    /// Usage records of the last weeks, from which the forecast is made
    #[arg(long, value_name = "FILE", num_args = 1..)]
    records: Vec<PathBuf>,

    /// Rules
    #[arg(long, value_name = "FILE", default_value = "infra/ops/scaling.toml")]
    rules: PathBuf,

    /// Events
    #[arg(long, value_name = "FILE", default_value = "infra/ops/calendar.toml")]
    calendar: PathBuf,

    /// Say what would be done, and do nothing; what happens without --apply too
    #[arg(long, conflicts_with = "apply")]
    plan: bool,

    /// Do it
    #[arg(long)]
    apply: bool,

    #[command(flatten)]
    edge: Edge,
}

/// How far scheduled actions reach, hours.
const SCHEDULED_HOURS: u32 = 24;

/// Reads, says what is to be done, and does it.
pub(crate) fn run(workspace: &Workspace, flags: &Flags) -> Result<()> {
    let aws = Cli {
        region: flags.aws_region.clone(),
    };
    let edge = OfEdge::new(workspace, &flags.edge)?;
    run_with(&aws, &edge, flags, clock::unix_seconds())
}

fn run_with(aws: &dyn Aws, edge: &dyn Relays, flags: &Flags, now_s: u64) -> Result<()> {
    let mut policy = rules(flags)?;
    let group = read::group(aws, &flags.group)?;
    if group.most < policy.most {
        println!(
            "the group's `max` is {}, below `most` of the rules, {}: it counts",
            group.most, policy.most
        );
        policy.most = group.most;
        policy
            .check()
            .map_err(|fault| anyhow!("{}: {fault}", flags.group))?;
    }
    let place = format!("/lifeverse/{}/scaling/{}", flags.env, flags.group);
    let memory = read::memory(aws, &place)?;
    let outlook = outlook(flags, &policy, now_s)?;
    let shards = edge.list()?;
    let seen = read::seen(&group, &shards, &memory, outlook, now_s);
    let decision = decide(&policy, &seen, &memory);
    let wanted = schedule::actions(&seen.outlook, now_s, SCHEDULED_HOURS, seen.zones, &policy);
    let there = read::scheduled(aws, &flags.group)?;
    let changes = schedule::changes(&there, &wanted);
    say(&group, &seen, &decision, &changes);
    if !flags.apply {
        println!("Nothing was changed; --apply does it.");
        return Ok(());
    }
    let doing = apply::Doing {
        aws,
        edge,
        group: &group,
        shards: &shards,
        place: &place,
    };
    doing.all(&decision, &changes)
}

fn rules(flags: &Flags) -> Result<Policy> {
    let file = flags.rules.display();
    let text = fs::read_to_string(&flags.rules).with_context(|| format!("--rules {file}"))?;
    Policy::read(&text, &flags.env).map_err(|fault| anyhow!("--rules {file}: {fault}"))
}

fn outlook(flags: &Flags, policy: &Policy, now_s: u64) -> Result<Outlook> {
    let file = flags.calendar.display();
    let text = fs::read_to_string(&flags.calendar).with_context(|| format!("--calendar {file}"))?;
    let calendar = Calendar::read(&text).map_err(|fault| anyhow!("--calendar {file}: {fault}"))?;
    let history = read::history(&flags.records)?.hours(&flags.region);
    let from = scaling::outlook::hour_of(now_s);
    let hours = SCHEDULED_HOURS + policy.horizon_hours + 2;
    Ok(Outlook::new(
        &history,
        &calendar,
        &flags.region,
        from,
        hours,
    ))
}

fn say(group: &read::Group, seen: &Seen, decision: &Decision, changes: &Changes) {
    println!(
        "{}: {} participants on {} machines, {} of them drained; wanted {}, floor {}",
        group.name,
        seen.participants(),
        seen.relays.len(),
        decision.memory.drains.len(),
        decision.wanted,
        decision.floor,
    );
    for note in &decision.notes {
        println!("note: {}", note.sentence());
    }
    for act in &decision.acts {
        println!("- {act}");
    }
    for action in &changes.put {
        println!(
            "- {}: at least {} machines from then on",
            action.name, action.floor
        );
    }
    for name in &changes.delete {
        println!("- {name} is not wanted any more");
    }
}

#[cfg(test)]
mod tests;
