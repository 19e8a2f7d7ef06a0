//! Many players who queue alone and in parties, send things twice, cancel, accept, decline and
//! vanish, while requests die half way and the store fails before and after its calls, all
//! interleaved by a seed. A failure names the seed that repeats it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::task::Poll;

use crate::crowd::{Seen, blocks, everybody_who_waits_is_read, parties, quitters, ready};
use crate::rig::{Rig, claims, problem, request, rules, ticket};
use edge::store::Item;
use edge::testing::schedule::{Chance, interleave, yield_now};
use serde_json::{Value, json};

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

/// A request that stops before one of its store calls, for some turns of the others.
async fn slow<T>(chance: &Chance, request: impl Future<Output = T>) -> T {
    let mut request = pin!(request);
    for _ in 0..chance.below(14) {
        let polled = poll_fn(|context| Poll::Ready(request.as_mut().poll(context)));
        if let Poll::Ready(done) = polled.await {
            return done;
        }
        yield_now().await;
    }
    turns(chance.below(60)).await;
    request.await
}

async fn turns(count: u64) {
    for _ in 0..count {
        yield_now().await;
    }
}

/// The ticket of a player that is in the pool.
fn ticket_of(rig: &Rig, player: &str) -> Option<String> {
    let everything = rig.store.inner.everything().into_iter();
    let mut tickets = everything.filter(|(_, item)| item.sort.starts_with("t#"));
    let player = format!("\"{player}\"");
    let found = tickets.find(|(_, item)| text(&item.value).contains(&player));
    found.map(|(_, item)| format!("{QUEUE}/0.{}", &item.sort[2..]))
}

fn text(value: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(value)
}

const QUEUE: &str = "/v1/match/queues/q/tickets";

/// Requests of one player that overlap, and stop half way: one that queues up, a retry that comes
/// when that should be done, one that takes the ticket back, and two that queue up anew; beside
/// others with whom he may be matched. In how many matches he is, and whether a ticket was barred.
fn overlap(seed: u64) -> (usize, bool) {
    let rig = Rig::with_queue(seed, &rules(2, 1, json!({})));
    let chance = Chance::new(seed ^ 0xbeef);
    let send = |player: &str, method: &str, path: &str, body: Value| {
        let request = request(&claims(player, None), method, path, body);
        let (rig, chance) = (&rig, &chance);
        async move { slow(chance, matchmaking::handle(rig, request)).await.status }
    };
    let queue = |player: &str, key: &str| send(player, "POST", QUEUE, ticket(key, &[player]));
    let first = async {
        queue("ann", "k").await;
    };
    let retry = async {
        turns(chance.below(12)).await;
        rig.pass(2_500);
        queue("ann", "k").await;
    };
    let cancel = async {
        let mut known = None;
        for _ in 0..150 {
            known = known.or_else(|| ticket_of(&rig, "ann"));
            yield_now().await;
            if known.is_some() && chance.below(4) == 0 {
                break;
            }
        }
        if let Some(path) = known {
            send("ann", "DELETE", &path, Value::Null).await;
        }
        for key in ["again", "once-more"] {
            rig.pass(1_300);
            queue("ann", key).await;
        }
    };
    let others = |name: &'static str| {
        let (queue, rig) = (&queue, &rig);
        async move {
            for _ in 0..5 {
                queue(name, "k").await;
                rig.pass(250);
                yield_now().await;
            }
        }
    };
    let tasks: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = vec![
        Box::pin(first),
        Box::pin(retry),
        Box::pin(cancel),
        Box::pin(others("bob")),
        Box::pin(others("cid")),
    ];
    interleave(seed, tasks);
    rig.pass(3_000);
    for name in ["dan", "eva"] {
        rig.queue("q", name, "k");
        rig.pass(1_000);
    }
    let (ready, quitters) = (ready(&rig), quitters(&rig));
    let is_ann = |(_, players): &(String, Vec<String>)| players.iter().any(|one| one == "ann");
    let plays = ready.iter().filter(|((partition, _), teams)| {
        let quit = quitters.contains(&(partition.clone(), "ann".to_owned()));
        !quit && teams.iter().flatten().any(is_ann)
    });
    let everything = rig.store.inner.everything();
    let is_tombstone =
        |item: &Item| item.sort.starts_with("t#") && text(&item.value).contains("\"p\":[]");
    let is_barred = everything.iter().any(|(_, item)| is_tombstone(item));
    (plays.count(), is_barred)
}

#[test]
fn whatever_overlaps_of_one_player_he_is_in_one_match_at_most() {
    let (mut matched, mut barred) = (0, 0);
    for seed in 0..SEEDS {
        let (matches, is_barred) = overlap(seed);
        assert!(matches <= 1, "{matches} matches, seed {seed}");
        matched += matches;
        barred += u64::from(is_barred);
    }
    assert!(matched as u64 > SEEDS / 2, "{matched} times he was matched");
    assert!(barred > SEEDS / 50, "{barred} times a retry came first");
}

/// Runs of those.
const SEEDS: u64 = 600;

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
