//! Queues: rule sets under one name, by version.

use edge::Refusal;
use edge::http::Response;
use edge::items::{self, Over};
use edge::store::{Key, Store};
use wire::matching::{MAX_MODES, MAX_NAMED, MAX_POOL_SHARDS, QueueRules};
use wire::problem::ProblemKind;
use wire::routes::{QUEUE_RULES, RULES};
use wire::{ModeName, QueueName};

use super::Ports;
use super::caller::Caller;
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
    /// Shards of its pool that take new tickets.
    pub(super) shards: u32,
    /// Shards that may hold tickets: the most that there ever were.
    pub(super) shards_ever: u32,
    pub(super) modes: Vec<RuleSet>,
}

/// What is kept of a queue.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Stored {
    rules: QueueRules,
    shards_ever: u32,
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
            shards: stored.rules.shards,
            shards_ever: stored.shards_ever.max(stored.rules.shards),
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
        shards_ever: rules.shards,
        rules,
    })
}

/// The rule sets of a queue, or all that is wrong with them.
fn modes(rules: &QueueRules) -> Result<Vec<RuleSet>, Refusal> {
    let invalid = |detail: String| Err(Refusal::new(ProblemKind::RulesInvalid, detail));
    if !rules.shards.is_power_of_two() || rules.shards > MAX_POOL_SHARDS {
        return invalid(format!(
            "shards: use a power of two up to {MAX_POOL_SHARDS}."
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

impl<H: Ports, S: Store> Caller<'_, H, S> {
    async fn stored_queue(&self, name: &QueueName) -> Result<Stored, Refusal> {
        let partition = partition(name);
        let held = items::get(self.store, self.now_ms, Key::new(&partition, SORT)).await?;
        let stored = held.map(|held| held.value).or_else(|| built_in(name));
        stored.ok_or_else(|| {
            Refusal::new(
                ProblemKind::UnknownQueue,
                "Name a queue of the game; an operator sets its rules first.",
            )
        })
    }

    /// The queue of this name.
    pub(super) async fn queue(&self, name: &QueueName) -> Result<Queue, Refusal> {
        Queue::read(name, &self.stored_queue(name).await?)
    }

    /// The queue of the path's first parameter.
    pub(super) async fn queue_of_path(&self) -> Result<Queue, Refusal> {
        let name: QueueName = self.call.parameter(0)?;
        self.queue(&name).await
    }
}

/// `GET /v1/match/queues/{queue}`.
pub(super) async fn show<H: Ports, S: Store>(
    caller: &Caller<'_, H, S>,
) -> Result<Response, Refusal> {
    let stored = caller.stored_queue(&caller.call.parameter(0)?).await?;
    Ok(Response::json(QUEUE_RULES.status, &stored.rules))
}

/// `PUT /v1/match/queues/{queue}`.
pub(super) async fn set<H: Ports, S: Store>(
    caller: &Caller<'_, H, S>,
) -> Result<Response, Refusal> {
    let name: QueueName = caller.call.parameter(0)?;
    let rules: QueueRules = caller.call.body()?;
    modes(&rules)?;
    if caller.call.request.query_value("check").is_some() {
        return Ok(Response::json(RULES.status, &rules));
    }
    let (partition, now_ms) = (partition(&name), caller.now_ms);
    let key = Key::new(&partition, SORT);
    let held = items::get::<_, Stored>(caller.store, now_ms, key).await?;
    let before = held.as_ref().map(|held| held.value.clone());
    let before = before.or_else(|| built_in(&name));
    if let Some(before) = &before {
        if before.rules == rules {
            return Ok(Response::json(RULES.status, &rules));
        }
        if rules.version <= before.rules.version {
            let detail = format!(
                "Give the new rules a version above {}.",
                before.rules.version
            );
            return Err(Refusal::new(ProblemKind::RulesOutdated, detail));
        }
    }
    let stored = Stored {
        shards_ever: before
            .map_or(0, |before| before.shards_ever)
            .max(rules.shards),
        rules,
    };
    let over = Over::read(held.as_ref());
    items::put(caller.store, now_ms, key, &stored, None, over).await?;
    Ok(Response::json(RULES.status, &stored.rules))
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
