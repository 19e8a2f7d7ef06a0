use std::cell::RefCell;

use serde_json::{Value, json};
use wire::fleet::ListedShard;

use super::*;
use crate::aws_cli::tests::Told;
use crate::cli::Command;
use crate::cli::tests::{command, refusal};
use crate::workspace::Workspace;

/// 2026-12-09T10:20:00Z
const NOW_S: u64 = 1_796_811_600;
const GROUP: &str = "lifeverse-prod-eu-west-1-blue";

#[derive(Default)]
struct Fleet {
    shards: Vec<ListedShard>,
    asked: RefCell<Vec<(String, bool)>>,
}

impl Relays for Fleet {
    fn list(&self) -> Result<Vec<ListedShard>> {
        Ok(self.shards.clone())
    }

    fn drain(&self, shard: &str, draining: bool) -> Result<()> {
        self.asked.borrow_mut().push((shard.to_owned(), draining));
        Ok(())
    }
}

fn shard(name: &str, participants: u32, live: bool) -> ListedShard {
    let heartbeat = json!({
        "shard": name, "region": "eu", "boot": "0011223344556677", "epoch": 0,
        "sent_at_ms": (NOW_S - 60) * 1_000, "state": "open", "candidates": [],
        "fingerprint": format!("sha-256 {}", ["00"; 32].join(":")),
        "control_url": "http://192.0.2.1:7411",
        "load": { "participants": participants, "rooms": 1, "cpu_permille": 10 }, "capacity": 1000,
    });
    let listed =
        json!({ "heartbeat": heartbeat, "seen_at_ms": (NOW_S - 60) * 1_000, "live": live });
    serde_json::from_value(listed).unwrap()
}

/// A group of `count` machines in three zones.
fn told(count: usize) -> Told {
    let zones = ["eu-west-1a", "eu-west-1b", "eu-west-1c"];
    let machine = |at: usize| {
        json!({
            "InstanceId": format!("i-{at:02}"), "AvailabilityZone": zones[at % 3],
            "LifecycleState": "InService",
        })
    };
    let instances: Vec<Value> = (0..count).map(machine).collect();
    let group = json!({ "AutoScalingGroups": [{
        "AutoScalingGroupName": GROUP, "MinSize": 3, "MaxSize": 20, "DesiredCapacity": count,
        "AvailabilityZones": zones, "Instances": instances,
    }] });
    let launched: Vec<Value> = (0..count)
        .map(|at| format!("i-{at:02}"))
        .map(|id| json!({ "InstanceId": id, "LaunchTime": "2026-12-09T09:00:00+00:00" }))
        .collect();
    let answers = [
        ("describe-auto-scaling-groups", group),
        (
            "describe-instances",
            json!({ "Reservations": [{ "Instances": launched }] }),
        ),
        (
            "get-parameter",
            json!("An error occurred (ParameterNotFound)"),
        ),
    ];
    Told {
        answers: answers.into(),
        ..Told::default()
    }
}

fn flags(more: &str) -> Flags {
    let root = Workspace::find().unwrap().root;
    let ops = root.join("infra/ops");
    let line = format!(
        "scale --env prod --group {GROUP} --region eu --rules {0}/scaling.toml \
         --calendar {0}/calendar.toml {more}",
        ops.display()
    );
    let Ok(Command::Scale(flags)) = command(&line) else {
        panic!("{line}");
    };
    flags
}

fn ran(told: &Told, fleet: &Fleet, more: &str) {
    run_with(told, fleet, &flags(more), NOW_S).unwrap();
}

#[test]
fn a_plan_changes_nothing() {
    let fleet = Fleet {
        shards: (0..4)
            .map(|at| shard(&format!("i-{at:02}-0"), 2_000, true))
            .collect(),
        ..Fleet::default()
    };
    let told = told(4);
    ran(&told, &fleet, "--plan");
    ran(&told, &fleet, "");
    assert_eq!(told.changes(), Vec::<String>::new());
    assert!(fleet.asked.borrow().is_empty());
}

#[test]
fn more_people_have_the_group_grow_once() {
    let fleet = Fleet {
        shards: (0..4)
            .map(|at| shard(&format!("i-{at:02}-0"), 1_000, true))
            .collect(),
        ..Fleet::default()
    };
    let told = told(4);
    ran(&told, &fleet, "--apply");
    assert_eq!(
        told.changes(),
        ["put-parameter", "update-auto-scaling-group"]
    );
    let asked = told.asked.borrow();
    let (_, input) = asked
        .iter()
        .find(|(name, _)| name.starts_with("update"))
        .unwrap();
    // 750 a relay: 6, and 9 with a zone to spare. The floor is the least: there is no forecast.
    assert_eq!(input["DesiredCapacity"], 9);
    assert_eq!(input["MinSize"], Value::Null, "it is 3 already");
}

#[test]
fn a_relay_that_is_unheard_is_drained_and_its_calls_are_left_alone() {
    let live = |at: usize| at != 1;
    let fleet = Fleet {
        shards: (0..6)
            .flat_map(|at| {
                [0, 1].map(|number| shard(&format!("i-{at:02}-{number}"), 100, live(at)))
            })
            // Another's, whose name begins alike.
            .chain([shard("i-011-0", 900, false), shard("i-01-x", 900, false)])
            .collect(),
        ..Fleet::default()
    };
    let told = told(6);
    ran(&told, &fleet, "--apply");
    let drained = [("i-01-0".to_owned(), true), ("i-01-1".to_owned(), true)];
    assert_eq!(*fleet.asked.borrow(), drained);
    let kept = told
        .asked
        .borrow()
        .iter()
        .find(|(name, _)| name == "put-parameter")
        .unwrap()
        .1
        .clone();
    assert!(kept["Value"].as_str().unwrap().contains("hung"), "{kept}");
    assert_eq!(kept["Name"], format!("/lifeverse/prod/scaling/{GROUP}"));
    let ends = told
        .changes()
        .iter()
        .any(|name| name.starts_with("terminate"));
    assert!(!ends, "it may carry calls");
}

#[test]
fn a_drain_of_before_that_did_not_arrive_is_asked_for_again_and_what_is_empty_ends() {
    let fleet = Fleet {
        shards: (0..6)
            .map(|at| shard(&format!("i-{at:02}-0"), if at == 2 { 0 } else { 100 }, true))
            .collect(),
        ..Fleet::default()
    };
    let mut told = told(6);
    let drain = json!({ "since_s": NOW_S - 300, "why": "too-many" });
    let memory = json!({ "drains": { "i-02": drain, "i-03": drain } });
    let kept = json!({ "Parameter": { "Value": memory.to_string() } });
    told.answers.insert("get-parameter", kept);
    ran(&told, &fleet, "--apply");
    let asked = fleet.asked.borrow();
    assert!(
        asked.iter().all(|(_, draining)| *draining) && asked.len() == 2,
        "{asked:?}"
    );
    let all = told.asked.borrow();
    let ends: Vec<&Value> = all
        .iter()
        .filter(|(name, _)| name.starts_with("terminate"))
        .map(|(_, input)| input)
        .collect();
    assert_eq!(
        ends,
        [&json!({ "InstanceId": "i-02", "ShouldDecrementDesiredCapacity": true })]
    );
}

#[test]
fn a_launch_that_failed_last_is_seen() {
    let activity = |what: &str, status: &str| json!({ "Description": what, "StatusCode": status });
    let mut told = told(3);
    let read = |told: &Told| {
        read::seen(
            &read::group(told, GROUP).unwrap(),
            &[],
            &scaling::Memory::default(),
            Outlook::default(),
            NOW_S,
        )
    };
    assert!(!read(&told).launches_fail);
    let failed = [
        activity("Terminating EC2 instance: i-9", "Successful"),
        activity("Launching a new EC2 instance", "InProgress"),
        activity("Launching a new EC2 instance", "Failed"),
        activity("Launching a new EC2 instance: i-8", "Successful"),
    ];
    told.answers.insert(
        "describe-scaling-activities",
        json!({ "Activities": failed }),
    );
    assert!(read(&told).launches_fail);
    // None was heard yet, since they were launched.
    let since_s = NOW_S - 80 * 60;
    let state = scaling::State::Starting { since_s };
    assert!(
        read(&told)
            .relays
            .values()
            .all(|relay| relay.state == state)
    );
}

#[test]
fn what_cannot_be_done_says_why() {
    let told = Told::default();
    let fault = run_with(&told, &Fleet::default(), &flags(""), NOW_S).unwrap_err();
    assert!(fault.to_string().contains("--group"), "{fault}");
    let mut flags = flags("");
    flags.env = "stage".to_owned();
    let fault = run_with(&told, &Fleet::default(), &flags, NOW_S).unwrap_err();
    assert!(fault.to_string().contains("dev, prod"), "{fault}");
    assert!(refusal("scale --env prod").contains("--group <NAME>"));
    let both = refusal("scale --env prod --group g --region eu --plan --apply");
    assert!(both.contains("cannot be used with"), "{both}");
}

#[test]
fn moments_of_aws_are_read() {
    assert_eq!(
        read::unix_seconds("2026-12-09T10:20:00.123000+00:00"),
        Some(NOW_S)
    );
    assert_eq!(read::unix_seconds("2026-12-09T10:20:00Z"), Some(NOW_S));
    for text in [
        "",
        "T",
        "2026-12-09",
        "2026-12-09T1",
        "2026-13-09T10:20:00Z",
        "x\u{e9}Tyyyyyyyy",
    ] {
        assert_eq!(read::unix_seconds(text), None, "{text}");
    }
}
