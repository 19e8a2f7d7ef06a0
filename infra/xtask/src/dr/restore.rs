//! The table, restored to a moment as a new one. AWS restores items, and next to nothing else.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use super::settings::{Arns, Settings, Step, describe};
use super::times::{Times, wait_until};
use crate::aws_cli::{Aws, Cli};
use crate::workspace::text;

/// Which table, to which moment, as which.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// The table that was spoilt, which stays as it is
    #[arg(long, value_name = "NAME")]
    table: String,

    /// A moment, such as 2026-12-09T16:00:00Z, or latest
    #[arg(long, value_name = "TIME")]
    to: String,

    /// Name of the restored table
    #[arg(long = "as", value_name = "NAME")]
    name: String,

    /// Region of AWS [default: the CLI's]
    #[arg(long, value_name = "NAME")]
    aws_region: Option<String>,
}

const EVERY: Duration = Duration::from_secs(2);
/// AWS restores most tables within an hour, whatever they hold; large ones take longer.
const LIMIT: Duration = Duration::from_secs(4 * 3_600);
/// Replicas and what is in them come one after the other.
const ROUNDS: usize = 20;

pub(super) fn run(flags: &Flags) -> Result<()> {
    let aws = Cli {
        region: flags.aws_region.clone(),
    };
    restore(&aws, flags)
}

fn restore(aws: &dyn Aws, flags: &Flags) -> Result<()> {
    let mut times = Times::start();
    if flags.table == flags.name {
        bail!("--as is the table itself: a restored table is another one");
    }
    let source = Settings::read(aws, &flags.table)?;
    times.done(&format!("settings of {} are read", flags.table));
    match describe(aws, None, &flags.name) {
        Ok(found) => is_ours(&found, flags)?,
        Err(error) if error.to_string().contains("ResourceNotFound") => begin(aws, flags)?,
        Err(error) => return Err(error),
    }
    active(aws, &flags.name)?;
    times.done(&format!("{} has the items of {}", flags.name, flags.to));
    settle(aws, flags, &source, &mut times)?;
    let restored = Settings::read(aws, &flags.name)?;
    let differences = source.differences(&restored);
    if !differences.is_empty() {
        bail!(
            "{} is there and is not like {} in:\n  {}\nSet them by hand, or run this again",
            flags.name,
            flags.table,
            differences.join("\n  ")
        );
    }
    times.done(&format!(
        "all {} settings are those of {}",
        source.0.len(),
        flags.table
    ));
    println!("Nothing uses it yet: infra/ops/dr/restore.md says how functions do, what to erase.");
    Ok(())
}

/// A run that was killed left it. A table of that name that was not made of ours is not touched.
fn is_ours(found: &Value, flags: &Flags) -> Result<()> {
    let source = text(&found["RestoreSummary"], "SourceTableArn");
    if !source.ends_with(&format!("table/{}", flags.table)) {
        bail!(
            "{} is there and was not restored from {}: choose another name for --as",
            flags.name,
            flags.table
        );
    }
    println!("{} is there already; this goes on with it", flags.name);
    Ok(())
}

fn begin(aws: &dyn Aws, flags: &Flags) -> Result<()> {
    let mut input = json!({ "SourceTableName": flags.table, "TargetTableName": flags.name });
    if flags.to == "latest" {
        input["UseLatestRestorableTime"] = json!(true);
    } else {
        crate::scale::unix_seconds(&flags.to).with_context(|| {
            format!(
                "--to {}: write a moment as 2026-12-09T16:00:00Z, or latest",
                flags.to
            )
        })?;
        input["RestoreDateTime"] = json!(flags.to);
    }
    aws.call("dynamodb", "restore-table-to-point-in-time", &input)
        .map(drop)
}

fn active(aws: &dyn Aws, table: &str) -> Result<()> {
    wait_until(&format!("{table} is active"), EVERY, LIMIT, || {
        let found = describe(aws, None, table)?;
        let replicas = crate::workspace::list(&found, "Replicas").iter();
        let mut states = replicas.map(|it| text(it, "ReplicaStatus"));
        Ok(text(&found, "TableStatus") == "ACTIVE" && states.all(|state| state == "ACTIVE"))
    })
}

/// Sets what differs, until nothing does.
fn settle(aws: &dyn Aws, flags: &Flags, source: &Settings, times: &mut Times) -> Result<()> {
    let arn = text(&describe(aws, None, &flags.name)?, "TableArn").to_owned();
    let (arns, mut done) = (Arns(arn), BTreeSet::new());
    for _ in 0..ROUNDS {
        let here = Settings::read(aws, &flags.name)?;
        let steps = source.steps(&here, &flags.name, &arns);
        // What was asked for and does not show is named in the end; asking again makes it no truer.
        let mut fresh = |step: &Step| done.insert(format!("{step:?}"));
        let steps: Vec<Step> = steps.into_iter().filter(|step| fresh(step)).collect();
        if steps.is_empty() {
            break;
        }
        for step in steps {
            let region = step.region.as_deref();
            aws.call_in(region, "dynamodb", step.operation, &step.input)?;
            // A table takes one such change at a time.
            if step.operation == "update-table" {
                active(aws, &flags.name)?;
            }
            times.done(&step.field);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws_cli::tests::Told;

    fn flags() -> Flags {
        Flags {
            table: "old".to_owned(),
            to: "2026-12-09T16:00:00Z".to_owned(),
            name: "new".to_owned(),
            aws_region: None,
        }
    }

    #[test]
    fn a_table_of_that_name_that_is_anothers_is_not_touched() {
        let mut told = Told::default();
        told.answers.insert(
            "describe-table",
            json!({ "Table": { "TableStatus": "ACTIVE" } }),
        );
        let fault = restore(&told, &flags()).unwrap_err().to_string();
        assert!(fault.contains("choose another name"), "{fault}");
        assert!(told.changes().is_empty());
    }

    #[test]
    fn a_restored_table_that_is_like_the_other_is_left_alone() {
        // It says the same of both tables, but for where the new one is from.
        let mut told = Told::default();
        let table = json!({ "Table": {
            "TableStatus": "ACTIVE", "TableArn": "arn:aws:dynamodb:eu-west-1:1:table/new",
            "RestoreSummary": { "SourceTableArn": "arn:aws:dynamodb:eu-west-1:1:table/old" },
        } });
        told.answers.insert("describe-table", table);
        restore(&told, &flags()).unwrap();
        assert!(
            told.changes().is_empty(),
            "it is as it should be: {:?}",
            told.changes()
        );
    }

    #[test]
    fn what_cannot_be_is_said() {
        let mut same = flags();
        same.name = "old".to_owned();
        let fault = restore(&Told::default(), &same).unwrap_err().to_string();
        assert!(fault.contains("another one"), "{fault}");
        let mut odd = flags();
        odd.to = "yesterday".to_owned();
        let fault = begin(&Told::default(), &odd).unwrap_err().to_string();
        assert!(fault.contains("2026-12-09T16:00:00Z"), "{fault}");
    }
}
