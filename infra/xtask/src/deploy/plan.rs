//! The steps from an environment as it was read to the release that is wanted. Nothing here reads
//! or changes anything: the same environment gives the same steps, so a run that was killed is run
//! again, and what is done already is not done twice.

use std::fmt;

use super::model::{
    Code, Colour, Coming, Environment, Function, Kept, Live, WHOLE, Wanted, not_granted,
};

/// The parts of the traffic that a new version has, one after the other, in thousandths.
pub(super) const STAGES: [u16; 4] = [10, 100, 500, WHOLE];
/// What is known to be good has everything at once.
pub(super) const AT_ONCE: [u16; 1] = [WHOLE];

/// One change, or one wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Says in the bucket what is on its way.
    Begin,
    Upload {
        key: String,
    },
    /// Terraform, with the grants of both releases.
    Grow,
    /// An alarm for each new version.
    Watch,
    Weigh {
        function: String,
        permille: u16,
    },
    /// Requests at the new versions, then time and their alarms.
    Bake {
        permille: u16,
    },
    Raise {
        colour: Colour,
        machines: u32,
    },
    /// Until the relays of the colour have joined.
    Await {
        colour: Colour,
    },
    /// Takes back an earlier drain.
    Open {
        colour: Colour,
    },
    Drain {
        colour: Colour,
    },
    /// Until nobody is left, or the limit.
    Empty {
        colour: Colour,
    },
    TakeDown {
        colour: Colour,
    },
    /// Terraform, with the grants of the new release alone.
    Shrink,
    Unwatch,
    /// Says in the bucket what is live.
    Finish,
}

impl Action {
    /// What takes it back.
    pub(super) fn undo(&self) -> &'static str {
        match self {
            Self::Begin | Self::Finish => "rollback writes it anew",
            Self::Upload { .. } => "nothing: what is in the bucket is run by nobody",
            Self::Grow => "nothing: more grants harm no version; the next deployment shrinks them",
            Self::Watch | Self::Unwatch => "nothing: an alarm changes no traffic",
            Self::Weigh { .. } => "rollback gives all traffic to the version before",
            Self::Bake { .. } | Self::Await { .. } | Self::Empty { .. } => "nothing: it waits",
            Self::Raise { .. } => "rollback drains these machines and takes them down",
            Self::Open { .. } | Self::Drain { .. } => {
                "rollback turns the drain to the other colour"
            }
            Self::TakeDown { .. } => "rollback starts as many again",
            Self::Shrink => "rollback grows them first",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |permille: &u16| f64::from(*permille) / 10.0;
        match self {
            Self::Begin => write!(out, "say in the bucket what is on its way"),
            Self::Upload { key } => write!(out, "upload {key}"),
            Self::Grow => write!(
                out,
                "terraform: publish the functions, set the idle colour's template, add grants"
            ),
            Self::Watch => write!(out, "make an alarm for each new version"),
            Self::Weigh { function, permille } => {
                write!(
                    out,
                    "{function}: {} % of the traffic to its version of this release",
                    percent(permille)
                )
            }
            Self::Bake { permille } => write!(
                out,
                "ask the new versions themselves, then watch their alarms at {} %",
                percent(permille)
            ),
            Self::Raise { colour, machines } => {
                write!(out, "start {machines} machines of {colour}")
            }
            Self::Await { colour } => write!(out, "wait until the relays of {colour} have joined"),
            Self::Open { colour } => write!(out, "let placement use {colour}"),
            Self::Drain { colour } => write!(out, "drain {colour}: its players move"),
            Self::Empty { colour } => write!(out, "wait until {colour} carries nobody"),
            Self::TakeDown { colour } => write!(out, "end the machines of {colour}"),
            Self::Shrink => write!(
                out,
                "terraform: take away grants that only the version before had"
            ),
            Self::Unwatch => write!(out, "take away the alarms of the new versions"),
            Self::Finish => write!(out, "say in the bucket what is live"),
        }
    }
}

/// A deployment forwards, or back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Forward,
    Back,
}

/// Where a rollback goes.
///
/// # Errors
/// Why there is nowhere to go.
pub(super) fn back(kept: &Kept) -> Result<Wanted, String> {
    let target = match (&kept.coming, &kept.live, &kept.before) {
        // A rollback that was begun goes on to where it went.
        (Some(coming), _, Some(before)) if coming.back && coming.release == before.release => {
            before
        }
        (Some(_), Some(live), _) => live,
        (None, Some(_), Some(before)) => before,
        _ => {
            return Err(
                "there is nothing to go back to: the bucket knows of no release before this one. \
                 Deploy the one that is wanted"
                    .to_owned(),
            );
        }
    };
    Ok(Wanted {
        release: target.release.clone(),
        colour: target.colour,
        code: Code::Versions(target.versions.clone()),
        files: Default::default(),
        permissions: target.permissions.clone(),
    })
}

/// The version of a function that is wanted, once it is published.
pub(super) fn target<'a>(
    wanted: &'a Wanted,
    name: &str,
    function: &'a Function,
) -> Option<&'a str> {
    match &wanted.code {
        Code::Versions(versions) => versions.get(name).map(String::as_str),
        Code::Zips(sums) => function.version_of(sums.get(name)?),
    }
}

/// Names of the functions of the release.
pub(super) fn functions(wanted: &Wanted) -> Vec<&String> {
    match &wanted.code {
        Code::Versions(versions) => versions.keys().collect(),
        Code::Zips(sums) => sums.keys().collect(),
    }
}

/// The steps, those that are done already too.
///
/// # Errors
/// What stands in the way, and what to do.
pub(super) fn plan(
    environment: &Environment,
    wanted: &Wanted,
    way: Way,
) -> Result<Vec<Action>, String> {
    refuse(environment, wanted, way)?;
    let mut steps = vec![Action::Begin];
    steps.extend(
        wanted
            .files
            .keys()
            .map(|key| Action::Upload { key: key.clone() }),
    );
    steps.push(Action::Grow);
    let stages = match way {
        Way::Forward => {
            steps.push(Action::Watch);
            &STAGES[..]
        }
        Way::Back => &AT_ONCE,
    };
    for &permille in stages {
        for function in functions(wanted) {
            let function = function.clone();
            steps.push(Action::Weigh { function, permille });
        }
        if way == Way::Forward {
            steps.push(Action::Bake { permille });
        }
    }
    if !environment.groups.is_empty() {
        relays(environment, wanted.colour, &mut steps)?;
    }
    if way == Way::Forward {
        steps.extend([Action::Shrink, Action::Unwatch]);
    }
    steps.push(Action::Finish);
    Ok(steps)
}

fn relays(
    environment: &Environment,
    colour: Colour,
    steps: &mut Vec<Action>,
) -> Result<(), String> {
    let other = colour.other();
    let (Some(new), Some(old)) = (
        environment.groups.get(&colour),
        environment.groups.get(&other),
    ) else {
        return Err(format!(
            "there is a group of one colour only; apply the relays module, which makes {colour} \
             and {other}"
        ));
    };
    // As many as carry the players now; how many that is, calendar and load say.
    let machines = old.desired.max(old.least).max(new.desired).max(1);
    if machines > new.most {
        return Err(format!(
            "{colour} takes {} machines at most and {machines} are needed: raise its `max` in the \
             variables and apply",
            new.most
        ));
    }
    steps.extend([
        Action::Raise { colour, machines },
        Action::Await { colour },
        Action::Open { colour },
        Action::Drain { colour: other },
        Action::Empty { colour: other },
        Action::TakeDown { colour: other },
    ]);
    Ok(())
}

/// Whether a step has nothing to do.
pub(super) fn is_done(environment: &Environment, wanted: &Wanted, way: Way, step: &Action) -> bool {
    let group = |colour: &Colour| environment.groups.get(colour);
    match step {
        Action::Begin => {
            let coming = environment.kept.coming.as_ref();
            coming.is_some_and(|coming| *coming == begun(wanted, way))
                || is_finished(&environment.kept, wanted)
        }
        Action::Upload { key } => environment.uploaded.get(key) == wanted.files.get(key),
        Action::Grow => has_grown(environment, wanted, way),
        Action::Weigh { function, permille } => {
            let found = environment.functions.get(function);
            let version = found.and_then(|found| target(wanted, function, found));
            found
                .zip(version)
                .is_some_and(|(found, it)| found.alias.of(it) >= *permille)
        }
        // Further on already.
        Action::Bake { permille } => {
            // The same release with other settings is a version too, and is watched like one.
            let least = match is_finished(&environment.kept, wanted) {
                true => *permille,
                false => *permille + 1,
            };
            let is_further = |name: &&String| {
                let found = environment.functions.get(*name);
                let version = found.and_then(|found| target(wanted, name, found));
                let part = found.zip(version).map(|(found, it)| found.alias.of(it));
                part.is_some_and(|part| part >= least)
            };
            functions(wanted).iter().all(is_further)
        }
        Action::Raise { colour, machines } => {
            group(colour).is_some_and(|group| group.desired >= *machines)
        }
        Action::Await { colour } => have_joined(environment, *colour),
        Action::Open { colour } => !environment.shards_of(*colour).any(|shard| shard.draining),
        Action::Drain { colour } => {
            let mut live = environment.shards_of(*colour).filter(|shard| shard.live);
            live.all(|shard| shard.draining)
        }
        Action::Empty { colour } => carried(environment, *colour) == 0,
        Action::TakeDown { colour } => {
            group(colour).is_some_and(|group| group.desired == 0 && group.machines.is_empty())
        }
        Action::Shrink => environment.kept.granted.as_ref() == Some(&wanted.permissions),
        Action::Watch | Action::Unwatch => is_finished(&environment.kept, wanted),
        Action::Finish => is_finished(&environment.kept, wanted),
    }
}

/// What [`Action::Begin`] writes.
pub(super) fn begun(wanted: &Wanted, way: Way) -> Coming {
    Coming {
        release: wanted.release.clone(),
        colour: wanted.colour,
        back: way == Way::Back,
    }
}

/// What [`Action::Finish`] writes, if every function has one version alone.
pub(super) fn finished(environment: &Environment, wanted: &Wanted) -> Option<Kept> {
    // What has the traffic, whatever was published since.
    let version = |name: &String| {
        let alias = &environment.functions.get(name)?.alias;
        let is_whole = alias.others.is_empty();
        is_whole.then(|| (name.clone(), alias.version.clone()))
    };
    let versions = functions(wanted)
        .into_iter()
        .map(version)
        .collect::<Option<_>>()?;
    let now = Live {
        release: wanted.release.clone(),
        colour: wanted.colour,
        versions,
        permissions: wanted.permissions.clone(),
    };
    let kept = &environment.kept;
    let is_same = |live: &&Live| live.release == now.release && live.colour == now.colour;
    let before = match kept.live.as_ref().filter(is_same) {
        // What came was undone before it was live.
        Some(_) => kept.before.clone(),
        None => kept.live.clone(),
    };
    Some(Kept {
        live: Some(now),
        before,
        coming: None,
        ..kept.clone()
    })
}

fn is_finished(kept: &Kept, wanted: &Wanted) -> bool {
    let live = kept.live.as_ref();
    let is_wanted = |live: &Live| live.release == wanted.release && live.colour == wanted.colour;
    kept.coming.is_none() && live.is_some_and(is_wanted)
}

fn has_grown(environment: &Environment, wanted: &Wanted, way: Way) -> bool {
    let granted = environment.kept.granted.as_ref();
    let is_published = |name: &&String| {
        let function = environment.functions.get(*name);
        function.is_some_and(|function| target(wanted, name, function).is_some())
    };
    let has_template = || {
        let group = environment.groups.get(&wanted.colour);
        way == Way::Back || group.is_none_or(|group| group.release == wanted.release)
    };
    granted.is_some_and(|granted| not_granted(&wanted.permissions, granted).is_empty())
        && functions(wanted).iter().all(is_published)
        && has_template()
}

fn have_joined(environment: &Environment, colour: Colour) -> bool {
    let Some(group) = environment.groups.get(&colour) else {
        return false;
    };
    let has_joined = |machine: &String| {
        let mut here = environment
            .shards
            .iter()
            .filter(|shard| shard.is_on(machine));
        here.any(|shard| shard.live)
    };
    let joined = group
        .machines
        .iter()
        .filter(|machine| has_joined(machine))
        .count();
    u32::try_from(joined).is_ok_and(|joined| joined >= group.desired) && group.desired > 0
}

/// Participants of a colour.
pub(super) fn carried(environment: &Environment, colour: Colour) -> u32 {
    let live = environment.shards_of(colour).filter(|shard| shard.live);
    live.map(|shard| shard.participants).sum()
}

/// What stands in the way of any step.
fn refuse(environment: &Environment, wanted: &Wanted, way: Way) -> Result<(), String> {
    if environment.functions.is_empty() {
        return Err(
            "there are no functions: apply the environment first (terraform/README.md)".to_owned(),
        );
    }
    if let Some(coming) = environment
        .kept
        .coming
        .as_ref()
        .filter(|_| way == Way::Forward)
    {
        let is_this = coming.release == wanted.release && coming.colour == wanted.colour;
        if coming.back || !is_this {
            return Err(format!(
                "{} to {} is half-way{}: run it again, or `rollback`, before another one",
                coming.release,
                coming.colour,
                if coming.back { ", a rollback" } else { "" }
            ));
        }
    }
    if way == Way::Forward {
        refuse_colour(environment, wanted)?;
    }
    let names = functions(wanted);
    for (name, function) in &environment.functions {
        if let Some(fault) = function.alias.fault() {
            return Err(format!(
                "{name}: {fault}. Somebody moved the alias by hand: give all of it to one version \
                 (`aws lambda update-alias --name live`), then run this again"
            ));
        }
        if !names.contains(&name) {
            return Err(format!(
                "{name} is not in {}: a function goes in two releases, its routes in the first one",
                wanted.release
            ));
        }
        refuse_others(wanted, way, name, function)?;
    }
    Ok(())
}

fn refuse_colour(environment: &Environment, wanted: &Wanted) -> Result<(), String> {
    let (colour, other) = (wanted.colour, wanted.colour.other());
    let live = environment.kept.live.as_ref();
    let carries = environment
        .groups
        .get(&colour)
        .filter(|group| group.desired > 0);
    let release = match (live, carries) {
        (Some(live), _) if live.colour == colour && live.release != wanted.release => &live.release,
        (None, Some(group)) if group.release != wanted.release => &group.release,
        _ => return Ok(()),
    };
    Err(format!(
        "{colour} is live, with {release}: a deployment would end its calls. Deploy to {other}"
    ))
}

/// An alias with a part for another version than the one before and the one that comes.
fn refuse_others(wanted: &Wanted, way: Way, name: &str, function: &Function) -> Result<(), String> {
    let new = target(wanted, name, function);
    if new.is_none() && way == Way::Back {
        return Err(format!(
            "{name}: the version that was live before is gone, so nothing can go back to it: \
             deploy {} again",
            wanted.release
        ));
    }
    let mut strange = function
        .alias
        .others
        .keys()
        .filter(|other| Some(other.as_str()) != new);
    match strange
        .next()
        .filter(|_| Some(function.alias.version.as_str()) != new)
    {
        None => Ok(()),
        Some(other) => Err(format!(
            "{name}: a part of the traffic goes to version {other}, which is not of {}: another \
             deployment is half-way. Run that one again, or `rollback`",
            wanted.release
        )),
    }
}
