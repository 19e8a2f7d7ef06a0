//! Queues: rule sets under one name, by version.

use edge::Refusal;
use edge::http::Call;
use edge::items::{self, Over};
use edge::store::{Key, Store};
use wire::matching::{MAX_MODES, MAX_NAMED, MAX_POOL_LANES, QueueRules};
use wire::problem::ProblemKind;
use wire::{ModeName, QueueName};

use crate::rules::RuleSet;

/// Most faults that one refusal names.
const MAX_FAULTS: usize = 5;
/// Queues that exist without anybody having set their rules.
const BUILT_IN: [(&str, &str); 2] = [
    ("duel", include_str!("../../queues/duel.json")),
    ("squads", include_str!("../../queues/squads.json")),
];
const SORT: &str = "rules";

/// A queue with its rules read.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    pub(super) name: QueueName,
    pub(super) version: u32,
    /// Lanes of its pool that take new tickets.
    pub(super) lanes: u32,
    /// Lanes that may hold tickets: the most that there ever were.
    pub(super) lanes_ever: u32,
    pub(super) modes: Vec<RuleSet>,
}

/// What is kept of a queue.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Stored {
    rules: QueueRules,
    #[serde(rename = "shards_ever")]
    lanes_ever: u32,
}

edge::stored!(queue: Stored);

impl Queue {
    pub(super) fn mode(&self, name: &ModeName) -> Option<&RuleSet> {
        self.modes.iter().find(|rules| rules.mode == *name)
    }

    fn read(name: &QueueName, stored: &Stored) -> Result<Self, Refusal> {
        Ok(Self {
            name: name.clone(),
            version: stored.rules.version,
            lanes: stored.rules.lanes,
            lanes_ever: stored.lanes_ever.max(stored.rules.lanes),
            modes: modes(&stored.rules)?,
        })
    }
}

fn partition(queue: &QueueName) -> String {
    format!("match-queue#{queue}")
}

fn built_in(name: &QueueName) -> Option<Stored> {
    let (_, text) = BUILT_IN.iter().find(|(known, _)| *known == name.as_str())?;
    let rules: QueueRules = serde_json::from_str(text).expect("a test reads the built-in queues");
    Some(Stored {
        lanes_ever: rules.lanes,
        rules,
    })
}

/// The rule sets of a queue, or all that is wrong with them.
fn modes(rules: &QueueRules) -> Result<Vec<RuleSet>, Refusal> {
    let invalid = |detail: String| Err(Refusal::new(ProblemKind::RulesInvalid, detail));
    if !rules.lanes.is_power_of_two() || rules.lanes > MAX_POOL_LANES {
        return invalid(format!(
            "shards: use a power of two up to {MAX_POOL_LANES}."
        ));
    }
    if rules.modes.is_empty() || rules.modes.len() > MAX_MODES {
        return invalid(format!("modes: give 1 to {MAX_MODES} rule sets."));
    }
    // A player may name as many with their latencies.
    if rules.regions.len() > MAX_NAMED {
        return invalid(format!("regions: give at most {MAX_NAMED}."));
    }
    let mut read: Vec<RuleSet> = Vec::new();
    for (at, document) in rules.modes.iter().enumerate() {
        let text = serde_json::to_string(document).expect("string keys only");
        match RuleSet::from_json(&text) {
            Ok(mode) if read.iter().any(|other| other.mode == mode.mode) => {
                return invalid(format!("modes[{at}].mode: {} is there twice.", mode.mode));
            }
            Ok(mode) => read.push(mode),
            Err(faults) => {
                let named = faults.iter().take(MAX_FAULTS);
                let named: Vec<String> = named
                    .map(|fault| format!("modes[{at}].{}: {}", fault.path, fault.message))
                    .collect();
                return invalid(format!("{}.", named.join("; ")));
            }
        }
    }
    Ok(read)
}

async fn stored(store: &impl Store, now_ms: u64, name: &QueueName) -> Result<Stored, Refusal> {
    let partition = partition(name);
    let held = items::get(store, now_ms, Key::new(&partition, SORT)).await?;
    let stored = held.map(|held| held.value).or_else(|| built_in(name));
    stored.ok_or_else(|| {
        Refusal::new(
            ProblemKind::UnknownQueue,
            "Name a queue of the game; an operator sets its rules first.",
        )
    })
}

/// The queue of this name.
///
/// # Errors
/// `unknown-queue`.
pub(super) async fn get(
    store: &impl Store,
    now_ms: u64,
    name: &QueueName,
) -> Result<Queue, Refusal> {
    Queue::read(name, &stored(store, now_ms, name).await?)
}

/// The queue of the path's first parameter.
///
/// # Errors
/// As [`get`].
pub(super) async fn of_path(
    store: &impl Store,
    now_ms: u64,
    call: &Call<'_>,
) -> Result<Queue, Refusal> {
    let name: QueueName = call.parameter(0)?;
    get(store, now_ms, &name).await
}

/// Its rules as they were set.
///
/// # Errors
/// As [`get`].
pub(super) async fn rules(
    store: &impl Store,
    now_ms: u64,
    name: &QueueName,
) -> Result<QueueRules, Refusal> {
    Ok(stored(store, now_ms, name).await?.rules)
}

/// Checks rules as [`set`] does, and writes nothing.
///
/// # Errors
/// `rules-invalid`.
pub(super) fn check(rules: &QueueRules) -> Result<(), Refusal> {
    modes(rules).map(drop)
}

/// Sets the rules of a queue, or finds that they are so already.
///
/// # Errors
/// `rules-invalid`, `rules-outdated`, `conflict`.
pub(super) async fn set(
    store: &impl Store,
    now_ms: u64,
    name: &QueueName,
    rules: &QueueRules,
) -> Result<(), Refusal> {
    check(rules)?;
    let partition = partition(name);
    let key = Key::new(&partition, SORT);
    let held = items::get::<_, Stored>(store, now_ms, key).await?;
    let before = held.as_ref().map(|held| held.value.clone());
    let before = before.or_else(|| built_in(name));
    if let Some(before) = &before {
        if before.rules == *rules {
            return Ok(());
        }
        let version = before.rules.version;
        if rules.version <= version {
            let detail = format!("Give the new rules a version above {version}.");
            return Err(Refusal::new(ProblemKind::RulesOutdated, detail));
        }
    }
    let ever = before.map_or(0, |before| before.lanes_ever);
    let stored = Stored {
        lanes_ever: ever.max(rules.lanes),
        rules: rules.clone(),
    };
    let over = Over::read(held.as_ref());
    items::put(store, now_ms, key, &stored, None, over).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_queues_are_valid() {
        for (name, _) in BUILT_IN {
            let name = QueueName::new(name).unwrap();
            Queue::read(&name, &built_in(&name).unwrap()).unwrap();
        }
    }

    #[test]
    fn no_more_regions_than_a_player_may_name() {
        let mut rules = built_in(&QueueName::new("duel").unwrap()).unwrap().rules;
        let (_, probe) = rules.regions.pop_first().unwrap();
        let regions = (0..MAX_NAMED).map(|n| (format!("r{n}").parse().unwrap(), probe.clone()));
        rules.regions = regions.collect();
        assert!(modes(&rules).is_ok());
        rules.regions.insert("one-more".parse().unwrap(), probe);
        let refusal = modes(&rules).unwrap_err();
        assert_eq!(refusal.kind, ProblemKind::RulesInvalid);
    }
}
