//! Carries steps out, through the narrow port [`World`]. Before each step the environment is read
//! anew, so a run that was killed, or whose credentials ended, goes on where it stopped.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::Error;
use serde_json::Value;

use super::model::{Colour, Environment, Kept, Live, Wanted, Weights, union};
use super::plan::{self, Action, Way};

/// Until the machines of a colour have joined: an image starts and a release is fetched.
const JOIN_LIMIT_MS: u64 = 15 * 60_000;

/// All that a deployment asks of the world. Only the methods that say so change something.
pub(super) trait World {
    /// Reads functions, groups, shards and what is kept.
    fn environment(&mut self) -> Result<Environment, Error>;
    /// Names of the alarms that burn.
    fn burning(&mut self) -> Result<BTreeSet<String>, Error>;
    /// How often a version was invoked since a moment.
    fn invocations(&mut self, function: &str, version: &str, since_ms: u64) -> Result<u64, Error>;
    /// Why a colour's machines do not come, by its group.
    fn why_not(&mut self, colour: Colour) -> Result<String, Error>;
    /// A signed request to a version itself; what is wrong with its answer, if something is.
    fn probe(&mut self, function: &str, version: &str) -> Result<Option<String>, Error>;
    fn now_ms(&mut self) -> u64;
    fn pause(&mut self, ms: u64);
    fn say(&mut self, line: &str);

    /// Changes: a file of the release into the bucket.
    fn upload(&mut self, key: &str) -> Result<(), Error>;
    /// Changes: what Terraform makes, with the grants of another release beside those of this one.
    fn apply(&mut self, beside: Option<&Value>) -> Result<(), Error>;
    /// Changes: the alias of a function.
    fn weigh(&mut self, function: &str, weights: &Weights) -> Result<(), Error>;
    /// Changes: makes the alarm of a version.
    fn watch(&mut self, function: &str, version: &str) -> Result<(), Error>;
    /// Changes: takes it away.
    fn unwatch(&mut self, function: &str, version: &str) -> Result<(), Error>;
    /// Changes: least and wanted machines of a group.
    fn size(&mut self, colour: Colour, least: u32, desired: u32) -> Result<(), Error>;
    /// Changes: ends a machine, and wants one less.
    fn end(&mut self, machine: &str) -> Result<(), Error>;
    /// Changes: whether a shard drains.
    fn drain(&mut self, shard: &str, draining: bool) -> Result<(), Error>;
    /// Changes: what is kept.
    fn keep(&mut self, kept: &Kept) -> Result<(), Error>;
}

/// How patient a run is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// How long each part of the traffic is watched.
    pub(super) bake_ms: u64,
    /// How often a version must have been invoked in that time.
    pub(super) invocations: u64,
    /// How long more is waited for them.
    pub(super) traffic_limit_ms: u64,
    /// How long a colour may take to empty.
    pub(super) drain_limit_ms: u64,
    /// Between two looks at what is waited for.
    pub(super) look_ms: u64,
}

/// Why a run ended before its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// A new version is not well: it is taken back.
    Unwell(String),
    /// Something else; run again, it goes on.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unwell(why) => out.write_str(why),
            Self::Failed(error) => write!(out, "{error:#}"),
        }
    }
}

/// How a deployment ended.
#[derive(Debug)]
pub(super) enum Ended {
    Done,
    /// It went back by itself: why.
    WentBack(String),
}

/// Carries all out; a version that is not well is taken back.
///
/// # Errors
/// What failed. What was done stays done.
pub(super) fn deploy(
    world: &mut dyn World,
    wanted: &Wanted,
    way: Way,
    manner: Manner,
) -> Result<Ended, Error> {
    let burning = world.burning()?;
    let run = Run {
        world,
        wanted,
        way,
        manner,
        burning: &burning,
    };
    let why = match run.all() {
        Ok(()) => return Ok(Ended::Done),
        Err(Stop::Failed(error)) => return Err(error),
        Err(Stop::Unwell(why)) => why,
    };
    world.say(&format!("going back: {why}"));
    let kept = world.environment()?.kept;
    let before = plan::back(&kept).map_err(Error::msg)?;
    let run = Run {
        world,
        wanted: &before,
        way: Way::Back,
        manner,
        burning: &burning,
    };
    run.all().map_err(|stop| {
        Error::msg(format!(
            "{why}; and going back failed: {stop}. Run `rollback`"
        ))
    })?;
    world.say("went back; the new version's alarms stay for a look at them");
    Ok(Ended::WentBack(why))
}

/// Prints the steps and does none of them.
///
/// # Errors
/// What stands in the way.
pub(super) fn show(world: &mut dyn World, wanted: &Wanted, way: Way) -> Result<usize, Error> {
    let environment = world.environment()?;
    let steps = plan::plan(&environment, wanted, way).map_err(Error::msg)?;
    let mut left = 0;
    for (number, step) in (1..).zip(&steps) {
        let done = plan::is_done(&environment, wanted, way, step);
        left += usize::from(!done);
        let state = if done { "done" } else { "to do" };
        world.say(&format!(
            "{number:>3}. {step} [{state}; back: {}]",
            step.undo()
        ));
    }
    Ok(left)
}

struct Run<'a> {
    world: &'a mut dyn World,
    wanted: &'a Wanted,
    way: Way,
    manner: Manner,
    /// Alarms that burned before: the gate was told of them.
    burning: &'a BTreeSet<String>,
}

impl Run<'_> {
    fn all(mut self) -> Result<(), Stop> {
        let environment = self.world.environment()?;
        let steps = plan::plan(&environment, self.wanted, self.way).map_err(Error::msg)?;
        for (number, step) in (1..).zip(&steps) {
            let environment = self.world.environment()?;
            let what = format!("{number:>3}/{}  {step}", steps.len());
            if plan::is_done(&environment, self.wanted, self.way, step) {
                self.world.say(&format!("{what} [done already]"));
                continue;
            }
            self.world.say(&what);
            self.act(&environment, step)?;
        }
        Ok(())
    }

    fn act(&mut self, environment: &Environment, step: &Action) -> Result<(), Stop> {
        match step {
            Action::Begin => self.begin(environment)?,
            Action::Upload { key } => self.world.upload(key)?,
            Action::Grow => self.grow(environment)?,
            Action::Watch => self.watch(environment, true)?,
            Action::Unwatch => self.watch(environment, false)?,
            Action::Weigh { function, permille } => self.weigh(environment, function, *permille)?,
            Action::Bake { permille } => self.bake(environment, *permille)?,
            Action::Raise { colour, machines } => {
                let old = environment.groups.get(&colour.other());
                let least = old.map_or(0, |old| old.least).min(*machines);
                self.world.size(*colour, least, *machines)?;
            }
            Action::Await { colour } => self.wait_for(*colour)?,
            Action::Open { colour } => self.set_draining(environment, *colour, false)?,
            Action::Drain { colour } => self.set_draining(environment, *colour, true)?,
            Action::Empty { colour } => self.empty(*colour)?,
            Action::TakeDown { colour } => self.take_down(environment, *colour)?,
            Action::Shrink => {
                self.world.apply(None)?;
                let granted = Some(self.wanted.permissions.clone());
                let kept = environment.kept.clone();
                self.world.keep(&Kept { granted, ..kept })?;
            }
            Action::Finish => {
                let kept = plan::finished(environment, self.wanted);
                let kept = kept.ok_or_else(|| {
                    Error::msg("a function has two versions again: somebody moved its alias")
                })?;
                self.world.keep(&kept)?;
            }
        }
        Ok(())
    }

    fn begin(&mut self, environment: &Environment) -> Result<(), Error> {
        let kept = environment.kept.clone();
        let live = kept
            .live
            .clone()
            .or_else(|| adopted(environment, self.wanted));
        let coming = Some(plan::begun(self.wanted, self.way));
        self.world.keep(&Kept {
            live,
            coming,
            ..kept
        })
    }

    fn grow(&mut self, environment: &Environment) -> Result<(), Error> {
        let kept = environment.kept.clone();
        let live = kept.live.as_ref().map(|live| &live.permissions);
        let before = kept.granted.as_ref().or(live);
        let (wanted, release) = (&self.wanted.permissions, &self.wanted.release);
        let (beside, granted, applied) = match self.way {
            Way::Forward => {
                let granted = before.map(|before| union(wanted, before));
                (before.cloned(), granted, Some(release.clone()))
            }
            // The code stays what it is; what it goes back to gets its grants again.
            Way::Back => {
                let both = before.map_or_else(|| wanted.clone(), |before| union(before, wanted));
                (Some(both.clone()), Some(both), kept.applied.clone())
            }
        };
        self.world.apply(beside.as_ref())?;
        let granted = granted.or_else(|| Some(wanted.clone()));
        self.world.keep(&Kept {
            granted,
            applied,
            ..kept
        })
    }

    /// The version of a function that is wanted.
    fn version(&self, environment: &Environment, name: &str) -> Result<String, Error> {
        let function = environment.functions.get(name);
        let version = function.and_then(|found| plan::target(self.wanted, name, found));
        let version = version.map(str::to_owned);
        version.ok_or_else(|| {
            Error::msg(format!(
                "{name} has no version with the code of {}: Terraform published another zip. Look \
                 at -var packages",
                self.wanted.release
            ))
        })
    }

    /// Makes the alarm of each new version, or takes it away.
    fn watch(&mut self, environment: &Environment, wanted: bool) -> Result<(), Error> {
        for name in plan::functions(self.wanted) {
            let version = self.version(environment, name)?;
            match wanted {
                true => self.world.watch(name, &version)?,
                false => self.world.unwatch(name, &version)?,
            }
        }
        Ok(())
    }

    fn weigh(&mut self, environment: &Environment, name: &str, permille: u16) -> Result<(), Error> {
        let new = self.version(environment, name)?;
        let alias = environment.functions.get(name).map(|found| &found.alias);
        let old = alias.map_or(new.as_str(), |alias| match alias.version == new {
            // Turned round by hand: the other one is the old one.
            true => alias.others.keys().next().unwrap_or(&new),
            false => &alias.version,
        });
        self.world.weigh(name, &Weights::split(old, &new, permille))
    }

    /// Asks each new version until it was invoked often enough, and watches the alarms.
    fn bake(&mut self, environment: &Environment, permille: u16) -> Result<(), Stop> {
        let since = self.world.now_ms();
        let names = plan::functions(self.wanted);
        for name in &names {
            let version = self.version(environment, name)?;
            for _ in 0..self.manner.invocations {
                if let Some(fault) = self.world.probe(name, &version)? {
                    return Err(Stop::Unwell(format!("{name}, version {version}: {fault}")));
                }
            }
        }
        loop {
            self.look_at_alarms(permille)?;
            let waited = self.world.now_ms().saturating_sub(since);
            if waited >= self.manner.bake_ms {
                let Some(name) = self.too_quiet(environment, &names, since)? else {
                    return Ok(());
                };
                if waited >= self.manner.bake_ms + self.manner.traffic_limit_ms {
                    return Err(Stop::Unwell(format!(
                        "{name} had fewer than {} invocations of its new version in {} s, so \
                         nobody knows whether it is well",
                        self.manner.invocations,
                        waited / 1000
                    )));
                }
            }
            self.world.pause(self.manner.look_ms);
        }
    }

    fn look_at_alarms(&mut self, permille: u16) -> Result<(), Stop> {
        let burning = self.world.burning()?;
        let mut new = burning.difference(self.burning);
        match new.next() {
            None => Ok(()),
            Some(alarm) => Err(Stop::Unwell(format!(
                "the alarm {alarm} burns at {} % of the traffic",
                f64::from(permille) / 10.0
            ))),
        }
    }

    /// A function whose new version was not invoked often enough.
    fn too_quiet(
        &mut self,
        environment: &Environment,
        names: &[&String],
        since_ms: u64,
    ) -> Result<Option<String>, Error> {
        for name in names {
            let version = self.version(environment, name)?;
            let count = self.world.invocations(name, &version, since_ms)?;
            if count < self.manner.invocations {
                return Ok(Some((*name).clone()));
            }
        }
        Ok(None)
    }

    fn wait_for(&mut self, colour: Colour) -> Result<(), Error> {
        let since = self.world.now_ms();
        loop {
            let environment = self.world.environment()?;
            let step = Action::Await { colour };
            if plan::is_done(&environment, self.wanted, self.way, &step) {
                return Ok(());
            }
            if self.world.now_ms().saturating_sub(since) >= JOIN_LIMIT_MS {
                let why = self.world.why_not(colour)?;
                return Err(Error::msg(format!(
                    "the relays of {colour} did not join within {} minutes: {why}",
                    JOIN_LIMIT_MS / 60_000
                )));
            }
            self.world.pause(self.manner.look_ms);
        }
    }

    fn set_draining(
        &mut self,
        environment: &Environment,
        colour: Colour,
        draining: bool,
    ) -> Result<(), Error> {
        let shards = environment.shards_of(colour);
        let shards = shards.filter(|shard| shard.live && shard.draining != draining);
        for shard in shards {
            self.world.drain(&shard.id, draining)?;
        }
        Ok(())
    }

    fn empty(&mut self, colour: Colour) -> Result<(), Error> {
        let since = self.world.now_ms();
        loop {
            let left = plan::carried(&self.world.environment()?, colour);
            if left == 0 {
                return Ok(());
            }
            let waited = self.world.now_ms().saturating_sub(since);
            if waited >= self.manner.drain_limit_ms {
                // Its end moves them too, within a minute.
                let minutes = waited / 60_000;
                self.world.say(&format!(
                    "     {left} are left after {minutes} minutes; going on"
                ));
                return Ok(());
            }
            self.world.pause(self.manner.look_ms);
        }
    }

    fn take_down(&mut self, environment: &Environment, colour: Colour) -> Result<(), Error> {
        let Some(group) = environment.groups.get(&colour) else {
            return Ok(());
        };
        // Machines are protected from a smaller number, so each one is ended by its name.
        self.world.size(colour, 0, group.desired)?;
        for machine in &group.machines {
            self.world.end(machine)?;
        }
        self.world.size(colour, 0, 0)
    }
}

/// What was live before the first deployment that keeps something.
fn adopted(environment: &Environment, wanted: &Wanted) -> Option<Live> {
    let colour = wanted.colour.other();
    let group = environment.groups.get(&colour);
    let versions = environment.functions.iter();
    let versions = versions.map(|(name, found)| (name.clone(), found.alias.version.clone()));
    Some(Live {
        release: group.map_or_else(|| "before".to_owned(), |group| group.release.clone()),
        colour,
        versions: versions.collect(),
        // What it may do is not known; what comes may do at least as much.
        permissions: wanted.permissions.clone(),
    })
}
