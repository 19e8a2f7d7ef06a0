//! Many players who queue alone and in parties, send things twice, cancel, accept, decline and
//! vanish, while requests die half way and the store fails before and after its calls, all
//! interleaved by a seed. A failure names the seed that repeats it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use crate::crowd::{Seen, blocks, everybody_who_waits_is_read, parties, quitters, ready};
use crate::rig::{Rig, problem, rules};
use edge::testing::schedule::{Chance, interleave};
use serde_json::json;

fn check(rig: &Rig, seen: &Seen, team_size: usize, seed: u64) -> usize {
    let (ready, quitters) = (ready(rig), quitters(rig));
    let mut where_is: BTreeMap<&String, &String> = BTreeMap::new();
    let mut tickets = BTreeSet::new();
    for ((partition, part), teams) in &ready {
        assert_eq!(part, "00", "nobody asked for backfill; seed {seed}");
        assert_eq!(teams.len(), 2);
        let mut together: Vec<&String> = Vec::new();
        for team in teams {
            let players: Vec<&String> = team.iter().flat_map(|(_, players)| players).collect();
            assert_eq!(players.len(), team_size, "seed {seed}: {teams:?}");
            let stays = |player: &&String| {
                let place = (partition.clone(), (*player).clone());
                !quitters.contains(&place)
            };
            together.extend(players.into_iter().filter(stays));
            for (ticket, _) in team {
                assert!(
                    tickets.insert(ticket),
                    "{ticket} is in two matches; seed {seed}"
                );
            }
        }
        for player in &together {
            let before = where_is.insert(player, partition);
            assert_eq!(before, None, "{player} is in two matches; seed {seed}");
            let enemies = blocks(player);
            let met = together.iter().find(|other| enemies.contains(other));
            assert_eq!(met, None, "{player} met whom he blocks; seed {seed}");
        }
    }
    for (player, matches) in seen {
        for told in matches {
            let there = ready.iter().any(|((partition, _), teams)| {
                let mut tickets = teams.iter().flatten();
                partition == &format!("match#{told}")
                    && tickets.any(|(_, players)| players.contains(player))
            });
            assert!(there, "{player} was told of {told}; seed {seed}");
        }
    }
    everybody_who_waits_is_read(rig, seed);
    // Long after their tickets are gone, nobody of a running match is free for another.
    rig.pass(200_000);
    for player in where_is.keys().filter(|player| seen.contains_key(**player)) {
        let again = rig.queue("q", player, "again");
        assert_eq!(problem(&again), "already-queued", "{player}, seed {seed}");
    }
    where_is.len()
}

/// Players who were matched, and how many there are.
fn run(seed: u64, team_size: u32, acceptance: bool, faults_per_thousand: u64) -> (usize, usize) {
    let more = match acceptance {
        true => json!({ "acceptance": { "timeout_s": 8 } }),
        false => json!({}),
    };
    let mut rules = rules(2, team_size, more);
    // Some queues have several lanes.
    rules["shards"] = json!(1 << (seed % 3));
    let rig = Rig::with_queue(seed, &rules);
    rig.store
        .faults_per_thousand
        .store(faults_per_thousand, Ordering::Relaxed);
    let (seen, chance) = (Mutex::new(Seen::default()), Chance::new(seed ^ 0xfeed));
    let parties = parties(&rig, &seen, &chance, team_size);
    let count = parties.iter().map(|party| party.players.len()).sum();
    let tasks = parties
        .into_iter()
        .map(|party| Box::pin(party.run()) as _)
        .collect();
    interleave(seed, tasks);
    let matched = check(&rig, &seen.into_inner().unwrap(), team_size as usize, seed);
    (matched, count)
}

fn search(team_size: u32, acceptance: bool, faults_per_thousand: u64, seeds: u64) -> f64 {
    let runs = (0..seeds).map(|seed| run(seed, team_size, acceptance, faults_per_thousand));
    let (matched, all) = runs.fold((0, 0), |sum, run| (sum.0 + run.0, sum.1 + run.1));
    matched as f64 / all as f64
}

#[test]
fn duels_of_impatient_players_on_a_bad_day() {
    let share = search(1, false, 60, 100);
    assert!(share > 0.8, "{share} of the players were matched");
}

#[test]
fn squads_with_acceptance_on_a_bad_day() {
    let share = search(2, true, 40, 80);
    assert!(share > 0.4, "{share} of the players were matched");
}

#[test]
fn squads_with_acceptance_and_a_good_store() {
    let share = search(2, true, 0, 40);
    assert!(share > 0.4, "{share} of the players were matched");
}
