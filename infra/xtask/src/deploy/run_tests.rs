//! A world in memory, in which a deployment is killed after each of its changes.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Error, bail};
use serde_json::{Value, json};

use super::model::*;
use super::plan::{self, Way};
use super::run::*;

const MANNER: Manner = Manner {
    bake_ms: 60_000,
    invocations: 20,
    traffic_limit_ms: 120_000,
    drain_limit_ms: 600_000,
    look_ms: 5_000,
};
const NAMES: [&str; 2] = ["chat", "fleet"];

struct Fake {
    environment: Environment,
    now_ms: u64,
    said: Vec<String>,
    /// What was changed.
    changes: Vec<String>,
    /// Changes until it is killed.
    left: usize,
    /// Zip that the next apply publishes.
    sum: String,
    release: String,
    burns: Option<&'static str>,
    /// From which part of the traffic on a version's alarm burns.
    burns_from: u16,
    probes_fail: bool,
    quiet: bool,
    stuck: u32,
}

impl Fake {
    fn new() -> Self {
        let function = Function {
            versions: vec![("1".to_owned(), "old".to_owned())],
            alias: Weights::all_to("1"),
        };
        let live = Live {
            release: "0.1.0".to_owned(),
            colour: Colour::Blue,
            versions: NAMES.map(|name| (name.to_owned(), "1".to_owned())).into(),
            permissions: permissions("Query"),
        };
        let group = |machines: &[&str]| Group {
            least: 1,
            most: 4,
            desired: u32::try_from(machines.len()).unwrap(),
            release: "0.1.0".to_owned(),
            image: "ami-1".to_owned(),
            machines: machines.iter().map(|id| (*id).to_owned()).collect(),
        };
        let mut environment = Environment {
            functions: NAMES.map(|name| (name.to_owned(), function.clone())).into(),
            groups: BTreeMap::from([
                (Colour::Blue, group(&["i-b1", "i-b2"])),
                (
                    Colour::Green,
                    Group {
                        least: 0,
                        ..group(&[])
                    },
                ),
            ]),
            ..Environment::default()
        };
        environment.kept.granted = Some(live.permissions.clone());
        environment.kept.live = Some(live);
        environment.shards = ["i-b1", "i-b2"].map(|id| shard(id, 30)).into();
        Self {
            environment,
            now_ms: 0,
            said: Vec::new(),
            changes: Vec::new(),
            left: usize::MAX,
            sum: "new".to_owned(),
            release: "0.2.0".to_owned(),
            burns: None,
            burns_from: 0,
            probes_fail: false,
            quiet: false,
            stuck: 0,
        }
    }

    /// Kills the run instead of a change when its time has come.
    fn change(&mut self, what: String) -> Result<(), Error> {
        if self.left == 0 {
            bail!("killed before: {what}");
        }
        self.left -= 1;
        self.changes.push(what);
        Ok(())
    }

    /// What is left when a deployment is over.
    fn end_state(&self) -> Environment {
        let mut end = self.environment.clone();
        end.shards.retain(|shard| shard.live);
        for group in end.groups.values_mut() {
            // Which machines there are depends on how often it was tried.
            let count = group.machines.len();
            group.machines = (0..count).map(|n| n.to_string()).collect();
        }
        end.shards.clear();
        end
    }
}

fn permissions(action: &str) -> Value {
    let grants = json!({ "table": ["GetItem", action], "partitions": [], "secrets": [] });
    json!({ "chat": grants, "fleet": grants })
}

fn shard(machine: &str, participants: u32) -> Shard {
    Shard {
        id: machine.to_owned(),
        live: true,
        draining: false,
        participants,
    }
}

fn wanted() -> Wanted {
    Wanted {
        release: "0.2.0".to_owned(),
        colour: Colour::Green,
        code: Code::Zips(NAMES.map(|name| (name.to_owned(), "new".to_owned())).into()),
        files: BTreeMap::from([("0.2.0/manifest.json".to_owned(), "sum".to_owned())]),
        permissions: permissions("PutItem"),
    }
}

impl World for Fake {
    fn environment(&mut self) -> Result<Environment, Error> {
        Ok(self.environment.clone())
    }

    fn burning(&mut self) -> Result<BTreeSet<String>, Error> {
        let chat = self.environment.functions.get("chat");
        let part = chat.map_or(0, |chat| chat.alias.of("2"));
        let burns = self.burns.filter(|_| part >= self.burns_from && part > 0);
        Ok(burns.map(str::to_owned).into_iter().collect())
    }

    fn invocations(&mut self, _: &str, _: &str, _: u64) -> Result<u64, Error> {
        Ok(if self.quiet { 19 } else { 20 })
    }

    fn why_not(&mut self, _: Colour) -> Result<String, Error> {
        Ok("VcpuLimitExceeded".to_owned())
    }

    fn probe(&mut self, _: &str, _: &str) -> Result<Option<String>, Error> {
        Ok(self.probes_fail.then(|| "it answers 500".to_owned()))
    }

    fn now_ms(&mut self) -> u64 {
        self.now_ms
    }

    fn pause(&mut self, ms: u64) {
        self.now_ms += ms;
        // Time in which machines start and players move.
        let environment = &mut self.environment;
        for (colour, group) in &mut environment.groups {
            while u32::try_from(group.machines.len()).unwrap() < group.desired && self.stuck == 0 {
                let id = format!("i-{colour}{}", self.now_ms + group.machines.len() as u64);
                group.machines.insert(id.clone());
                environment.shards.push(shard(&id, 0));
            }
        }
        let draining = |shard: &&mut Shard| shard.draining && shard.participants > 0;
        let moved: u32 = environment
            .shards
            .iter_mut()
            .filter(draining)
            .map(|shard| std::mem::take(&mut shard.participants))
            .sum();
        if let Some(open) = environment.shards.iter_mut().find(|shard| !shard.draining) {
            open.participants += moved;
        }
    }

    fn say(&mut self, line: &str) {
        self.said.push(line.to_owned());
    }

    fn upload(&mut self, key: &str) -> Result<(), Error> {
        self.change(format!("upload {key}"))?;
        self.environment
            .uploaded
            .insert(key.to_owned(), "sum".to_owned());
        Ok(())
    }

    fn apply(&mut self, beside: Option<&Value>) -> Result<(), Error> {
        self.change(format!(
            "apply {}",
            beside.map_or(&Value::Null, |all| &all["chat"]["table"])
        ))?;
        for function in self.environment.functions.values_mut() {
            if function.version_of(&self.sum).is_none() {
                let version = (function.versions.len() + 1).to_string();
                function.versions.push((version, self.sum.clone()));
            }
        }
        let green = self.environment.groups.get_mut(&Colour::Green).unwrap();
        green.release.clone_from(&self.release);
        Ok(())
    }

    fn weigh(&mut self, function: &str, weights: &Weights) -> Result<(), Error> {
        self.change(format!("{function} {} of 2", weights.of("2")))?;
        assert_eq!(weights.fault(), None);
        self.environment.functions.get_mut(function).unwrap().alias = weights.clone();
        Ok(())
    }

    fn watch(&mut self, function: &str, version: &str) -> Result<(), Error> {
        self.change(format!("watch {function} {version}"))
    }

    fn unwatch(&mut self, function: &str, version: &str) -> Result<(), Error> {
        self.change(format!("unwatch {function} {version}"))
    }

    fn size(&mut self, colour: Colour, least: u32, desired: u32) -> Result<(), Error> {
        self.change(format!("size {colour} {least} {desired}"))?;
        let group = self.environment.groups.get_mut(&colour).unwrap();
        (group.least, group.desired) = (least, desired);
        Ok(())
    }

    fn end(&mut self, machine: &str) -> Result<(), Error> {
        self.change(format!("end {machine}"))?;
        let carried = self
            .environment
            .shards
            .iter()
            .find(|shard| shard.is_on(machine))
            .unwrap();
        assert!(
            carried.participants == 0 || self.stuck > 0,
            "{machine} carried players"
        );
        for group in self.environment.groups.values_mut() {
            group.desired -= u32::from(group.machines.remove(machine));
        }
        self.environment
            .shards
            .retain(|shard| !shard.is_on(machine));
        Ok(())
    }

    fn drain(&mut self, id: &str, draining: bool) -> Result<(), Error> {
        self.change(format!("drain {id} {draining}"))?;
        let shard = self
            .environment
            .shards
            .iter_mut()
            .find(|shard| shard.id == id);
        shard.unwrap().draining = draining;
        Ok(())
    }

    fn keep(&mut self, kept: &Kept) -> Result<(), Error> {
        self.change(format!("keep {}", kept.coming.is_some()))?;
        self.environment.kept = kept.clone();
        Ok(())
    }
}

fn forward(world: &mut Fake) -> Result<Ended, Error> {
    deploy(world, &wanted(), Way::Forward, MANNER)
}

fn backward(world: &mut Fake) -> Result<Ended, Error> {
    let wanted = plan::back(&world.environment.kept).map_err(Error::msg)?;
    deploy(world, &wanted, Way::Back, MANNER)
}

fn deployed() -> Fake {
    let mut world = Fake::new();
    assert!(matches!(forward(&mut world).unwrap(), Ended::Done));
    world
}

#[test]
fn traffic_moves_in_parts_then_players_and_nothing_is_left_of_the_old() {
    let world = deployed();
    let parts: Vec<&String> = world
        .changes
        .iter()
        .filter(|what| what.starts_with("chat"))
        .collect();
    assert_eq!(
        parts,
        [
            "chat 10 of 2",
            "chat 100 of 2",
            "chat 500 of 2",
            "chat 1000 of 2"
        ]
    );
    let place = |what: &str| {
        world
            .changes
            .iter()
            .position(|one| one.starts_with(what))
            .unwrap()
    };
    let order = [
        "keep true",
        "upload",
        "apply",
        "watch",
        "chat 10 ",
        "chat 1000",
        "size green 1 2",
        "drain i-b1 true",
        "end i-b1",
        "apply null",
        "unwatch",
        "keep false",
    ];
    let places: Vec<usize> = order.iter().map(|what| place(what)).collect();
    assert!(places.is_sorted(), "{places:?}");
    // More grants before, fewer after.
    assert!(
        world
            .changes
            .contains(&r#"apply ["GetItem","Query"]"#.to_owned())
    );
    let groups = &world.environment.groups;
    assert_eq!(
        (
            groups[&Colour::Green].desired,
            groups[&Colour::Blue].desired
        ),
        (2, 0)
    );
    let carried: u32 = world
        .environment
        .shards
        .iter()
        .map(|shard| shard.participants)
        .sum();
    assert_eq!(carried, 60);
    let kept = &world.environment.kept;
    assert_eq!(kept.live.as_ref().unwrap().release, "0.2.0");
    assert_eq!(kept.before.as_ref().unwrap().versions["chat"], "1");
    assert_eq!(
        (&kept.coming, &kept.granted),
        (&None, &Some(permissions("PutItem")))
    );
    // Four parts of the traffic, a minute each.
    assert!(world.now_ms >= 240_000);
}

#[test]
fn a_run_that_is_killed_at_any_change_ends_alike_when_it_is_run_again() {
    let whole = deployed();
    for left in 0..whole.changes.len() {
        let mut world = Fake::new();
        world.left = left;
        assert!(
            forward(&mut world)
                .unwrap_err()
                .to_string()
                .contains("killed")
        );
        world.left = usize::MAX;
        let ended = forward(&mut world);
        assert!(
            matches!(ended, Ok(Ended::Done)),
            "killed at {left}: {ended:?}"
        );
        assert_eq!(world.end_state(), whole.end_state(), "killed at {left}");
    }
}

#[test]
fn a_rollback_at_any_change_ends_where_it_began_and_can_be_killed_too() {
    let changes = deployed().changes.len();
    // Before the first one there is nothing to take back.
    for left in 1..changes {
        let mut world = Fake::new();
        world.left = left;
        forward(&mut world).unwrap_err();
        world.left = left % 7;
        if backward(&mut world).is_err() {
            world.left = usize::MAX;
            backward(&mut world).unwrap();
        }
        let live = world.environment.kept.live.clone().unwrap();
        assert_eq!(live.release, "0.1.0", "{left}");
        assert_eq!(world.environment.kept.coming, None, "{left}");
        for function in world.environment.functions.values() {
            assert_eq!(function.alias, Weights::all_to("1"), "{left}");
        }
        let groups = &world.environment.groups;
        assert_eq!(
            (
                groups[&Colour::Blue].desired,
                groups[&Colour::Green].desired
            ),
            (2, 0)
        );
        assert!(
            world
                .environment
                .shards_of(Colour::Blue)
                .all(|shard| !shard.draining)
        );
    }
}

#[test]
fn a_deployment_that_is_done_is_taken_back_and_can_be_made_again() {
    let mut world = deployed();
    world.changes.clear();
    backward(&mut world).unwrap();
    let kept = &world.environment.kept;
    assert_eq!(kept.live.as_ref().unwrap().release, "0.1.0");
    assert_eq!(kept.before.as_ref().unwrap().release, "0.2.0");
    assert_eq!(world.environment.groups[&Colour::Blue].desired, 2);
    // What the old version needs was granted before it had traffic.
    let place = |what: &str| {
        world
            .changes
            .iter()
            .position(|one| one.starts_with(what))
            .unwrap()
    };
    assert!(place("apply") < place("chat 0 of 2"), "{:?}", world.changes);
    forward(&mut world).unwrap();
    assert_eq!(
        world.environment.kept.live.as_ref().unwrap().release,
        "0.2.0"
    );
    assert_eq!(world.environment.functions["chat"].versions.len(), 2);
}

#[test]
fn an_alarm_takes_the_version_back_by_itself() {
    for burns_from in plan::STAGES {
        let mut world = Fake::new();
        (world.burns, world.burns_from) = (Some("x-deploy-chat-2"), burns_from);
        let Ok(Ended::WentBack(why)) = forward(&mut world) else {
            panic!("it did not go back");
        };
        assert!(
            why.contains("x-deploy-chat-2") && why.contains('%'),
            "{why}"
        );
        assert_eq!(
            world.environment.functions["fleet"].alias,
            Weights::all_to("1")
        );
        assert_eq!(
            world.environment.kept.live.as_ref().unwrap().release,
            "0.1.0"
        );
        assert!(!world.changes.iter().any(|what| what.contains("drain")));
    }
}

#[test]
fn a_version_that_answers_wrongly_or_hardly_at_all_is_taken_back() {
    let mut world = Fake::new();
    world.probes_fail = true;
    let ended = forward(&mut world).unwrap();
    assert!(matches!(ended, Ended::WentBack(why) if why.contains("it answers 500")));
    let mut world = Fake::new();
    world.quiet = true;
    let ended = forward(&mut world).unwrap();
    assert!(matches!(ended, Ended::WentBack(why) if why.contains("fewer than 20")));
}

#[test]
fn a_plan_changes_nothing() {
    let mut world = Fake::new();
    let before = world.environment.clone();
    assert!(show(&mut world, &wanted(), Way::Forward).unwrap() > 10);
    assert_eq!((world.changes.len(), &world.environment), (0, &before));
    assert!(
        world
            .said
            .iter()
            .any(|line| line.contains("terraform") && line.contains("to do"))
    );
    let mut world = deployed();
    world.changes.clear();
    assert_eq!(
        show(&mut world, &wanted(), Way::Forward).unwrap(),
        0,
        "{:?}",
        world.said
    );
    forward(&mut world).unwrap();
    assert!(world.changes.is_empty(), "{:?}", world.changes);
}

#[test]
fn machines_that_do_not_come_are_told_with_the_groups_reason() {
    let mut world = Fake::new();
    world.stuck = 1;
    let error = forward(&mut world).unwrap_err().to_string();
    assert!(
        error.contains("green") && error.contains("VcpuLimitExceeded"),
        "{error}"
    );
    assert!(!world.changes.iter().any(|what| what.contains("drain")));
}

#[test]
fn what_stands_in_the_way_is_named_before_anything_is_done() {
    let refused = |change: &dyn Fn(&mut Fake, &mut Wanted), said: &str| {
        let (mut world, mut wanted) = (Fake::new(), wanted());
        change(&mut world, &mut wanted);
        let error = deploy(&mut world, &wanted, Way::Forward, MANNER)
            .unwrap_err()
            .to_string();
        assert!(error.contains(said), "{said}: {error}");
        assert!(world.changes.is_empty());
    };
    refused(
        &|_, wanted| wanted.colour = Colour::Blue,
        "blue is live, with 0.1.0",
    );
    refused(
        &|world, wanted| {
            world.environment.kept.live = None;
            wanted.colour = Colour::Blue;
        },
        "blue is live",
    );
    refused(
        &|world, _| world.environment.functions.clear(),
        "no functions",
    );
    let alias = |world: &mut Fake, others: &[(&str, u16)]| {
        let others = others
            .iter()
            .map(|(name, part)| ((*name).to_owned(), *part));
        world
            .environment
            .functions
            .get_mut("chat")
            .unwrap()
            .alias
            .others = others.collect();
    };
    refused(&|world, _| alias(world, &[("7", 1001)]), "do not add up");
    refused(&|world, _| alias(world, &[("7", 100)]), "goes to version 7");
    refused(
        &|world, _| {
            let coming = Coming {
                release: "0.3.0".to_owned(),
                colour: Colour::Green,
                back: false,
            };
            world.environment.kept.coming = Some(coming);
        },
        "0.3.0 to green is half-way",
    );
    refused(
        &|world, _| {
            world
                .environment
                .groups
                .get_mut(&Colour::Green)
                .unwrap()
                .most = 1
        },
        "green takes 1 machines at most",
    );
    refused(
        &|_, wanted| wanted.code = Code::Zips(BTreeMap::from([("chat".into(), "new".into())])),
        "fleet is not in 0.2.0",
    );
    let mut world = Fake::new();
    world.environment.kept.before = None;
    let error = plan::back(&world.environment.kept).unwrap_err();
    assert!(error.contains("nothing to go back to"), "{error}");
}
