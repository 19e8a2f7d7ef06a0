//! What is there: the group, its machines, their relays, and what the last run kept.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use finops::records::{Intake, Record};
use scaling::history::History;
use scaling::{Memory, Outlook, Relay, Seen, State};
use serde_json::{Value, json};
use wire::fleet::ListedShard;

use crate::aws_cli::Aws;
use crate::workspace::{list, text};

/// An auto-scaling group.
pub(super) struct Group {
    pub(super) name: String,
    pub(super) least: u32,
    pub(super) most: u32,
    pub(super) desired: u32,
    zones: u32,
    launches_fail: bool,
    machines: Vec<Machine>,
}

struct Machine {
    id: String,
    zone: String,
    launched_s: u64,
}

/// How many activities are looked at for the last launch.
const ACTIVITIES: u32 = 50;

pub(super) fn group(aws: &dyn Aws, name: &str) -> Result<Group> {
    let input = json!({ "AutoScalingGroupNames": [name] });
    let reply = aws.call("autoscaling", "describe-auto-scaling-groups", &input)?;
    let Some(found) = list(&reply, "AutoScalingGroups").first() else {
        bail!("there is no auto-scaling group {name}: look at --group and --aws-region");
    };
    let size = |key: &str| {
        let size = found[key]
            .as_u64()
            .and_then(|size| u32::try_from(size).ok());
        size.with_context(|| format!("{name} has no {key}"))
    };
    let zones = list(found, "AvailabilityZones").len() as u32;
    let stays = |it: &&Value| !text(it, "LifecycleState").starts_with("Terminat");
    let here: Vec<&Value> = list(found, "Instances").iter().filter(stays).collect();
    let launched = launched(aws, &here)?;
    let machine = |it: &&Value| {
        let id = text(it, "InstanceId").to_owned();
        Machine {
            launched_s: launched.get(&id).copied().unwrap_or(0),
            zone: text(it, "AvailabilityZone").to_owned(),
            id,
        }
    };
    Ok(Group {
        name: name.to_owned(),
        least: size("MinSize")?,
        most: size("MaxSize")?,
        desired: size("DesiredCapacity")?,
        zones,
        launches_fail: launches_fail(aws, name)?,
        machines: here.iter().map(machine).collect(),
    })
}

/// When each machine was launched, Unix seconds.
fn launched(aws: &dyn Aws, instances: &[&Value]) -> Result<BTreeMap<String, u64>> {
    if instances.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids: Vec<&str> = instances.iter().map(|it| text(it, "InstanceId")).collect();
    let reply = aws.call("ec2", "describe-instances", &json!({ "InstanceIds": ids }))?;
    let reservations = list(&reply, "Reservations").iter();
    let instances = reservations.flat_map(|it| list(it, "Instances"));
    Ok(instances
        .filter_map(|it| {
            let at_s = unix_seconds(text(it, "LaunchTime"))?;
            Some((text(it, "InstanceId").to_owned(), at_s))
        })
        .collect())
}

/// Of `2026-12-09T16:00:01+00:00` or `..Z`; fractions are left out.
pub(crate) fn unix_seconds(text: &str) -> Option<u64> {
    let (day, time) = text.split_once('T')?;
    let day: finops::Date = day.parse().ok()?;
    let mut parts = time
        .get(..8)?
        .split(':')
        .map(|part| part.parse::<i64>().ok());
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    let hours = finops::calendar::first_hour(day) + hours;
    u64::try_from(hours * 3_600 + minutes * 60 + seconds).ok()
}

/// Whether the last launch that the group tried came to nothing. The newest come first.
fn launches_fail(aws: &dyn Aws, name: &str) -> Result<bool> {
    let input = json!({ "AutoScalingGroupName": name, "MaxRecords": ACTIVITIES });
    let reply = aws.call("autoscaling", "describe-scaling-activities", &input)?;
    let launches = |it: &&Value| text(it, "Description").starts_with("Launching");
    let is_over = |it: &&Value| {
        let status = text(it, "StatusCode");
        ["Successful", "Failed", "Cancelled"].contains(&status)
    };
    let last = list(&reply, "Activities")
        .iter()
        .filter(launches)
        .find(is_over);
    Ok(last.is_some_and(|last| text(last, "StatusCode") != "Successful"))
}

/// Sizes of the group's scheduled actions, by name.
pub(super) fn scheduled(aws: &dyn Aws, group: &str) -> Result<BTreeMap<String, Option<u32>>> {
    let input = json!({ "AutoScalingGroupName": group });
    let reply = aws.call("autoscaling", "describe-scheduled-actions", &input)?;
    let actions = list(&reply, "ScheduledUpdateGroupActions").iter();
    let size = |it: &Value| {
        it["MinSize"]
            .as_u64()
            .and_then(|size| u32::try_from(size).ok())
    };
    Ok(actions
        .map(|it| (text(it, "ScheduledActionName").to_owned(), size(it)))
        .collect())
}

/// What the last run kept; nothing where there was none.
pub(super) fn memory(aws: &dyn Aws, place: &str) -> Result<Memory> {
    match aws.call("ssm", "get-parameter", &json!({ "Name": place })) {
        Ok(reply) => serde_json::from_str(text(&reply["Parameter"], "Value")).with_context(|| {
            format!(
                "the parameter {place} is not what a run keeps; delete it: drains under way \
                 are then somebody else's"
            )
        }),
        Err(error) if error.to_string().contains("ParameterNotFound") => Ok(Memory::default()),
        Err(error) => Err(error),
    }
}

/// Usage records of files.
pub(super) fn history(files: &[PathBuf]) -> Result<History> {
    let (mut history, mut intake) = (History::default(), Intake::default());
    for path in files {
        let shown = path.display().to_string();
        let file = File::open(path).with_context(|| format!("--records {shown}"))?;
        let read = intake.read(&shown, BufReader::new(file), |record| {
            if let Record::Usage(record) = record {
                history.add(&record);
            }
        });
        read.with_context(|| format!("--records {shown}"))?;
    }
    let faults: u64 = intake.faults.values().map(|(count, _)| count).sum();
    if faults > 0 || history.left_out > 0 {
        println!(
            "records: {faults} lines are none, and {} are beyond what is kept",
            history.left_out
        );
    }
    Ok(history)
}

/// The shards of a relay: it is called like its instance.
pub(crate) fn shards_of<'a>(id: &str, shards: &'a [ListedShard]) -> Vec<&'a ListedShard> {
    let is_of = |shard: &&ListedShard| {
        let name = shard.record.heartbeat.shard.as_str();
        let rest = name.strip_prefix(id);
        rest.is_some_and(|rest| {
            let number = rest.strip_prefix('-');
            rest.is_empty() || number.is_some_and(|it| it.bytes().all(|it| it.is_ascii_digit()))
        })
    };
    shards.iter().filter(is_of).collect()
}

pub(super) fn seen(
    group: &Group,
    shards: &[ListedShard],
    memory: &Memory,
    outlook: Outlook,
    now_s: u64,
) -> Seen {
    let relay = |machine: &Machine| {
        let shards = shards_of(&machine.id, shards);
        let loads = shards
            .iter()
            .map(|it| it.record.heartbeat.load.participants);
        let unheard = shards.iter().filter(|it| !it.live);
        let since_s = unheard.map(|it| it.record.seen_at_ms / 1_000).min();
        let is_drained = shards.iter().any(|it| it.record.draining);
        let state = match since_s {
            _ if shards.is_empty() => State::Starting {
                since_s: machine.launched_s,
            },
            Some(since_s) => State::Silent { since_s },
            None if is_drained && !memory.drains.contains_key(&machine.id) => State::Drained,
            None => State::Serving,
        };
        Relay {
            zone: machine.zone.clone(),
            participants: loads.fold(0, u32::saturating_add),
            state,
        }
    };
    let machines = group.machines.iter();
    Seen {
        now_s,
        zones: group.zones,
        relays: machines.map(|it| (it.id.clone(), relay(it))).collect(),
        launches_fail: group.launches_fail,
        outlook,
    }
}
