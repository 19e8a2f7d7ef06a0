//! The same crowd and the same bad day, with a game server that asks for players in place of others
//! and reports results, also twice and half way: who plays is nowhere else, no place is filled
//! twice, and every result is in every rating once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::crowd::{Seen, everybody_who_waits_is_read, parties, ready};
use crate::rig::{Rig, claims, read, request, rules};
use edge::testing::schedule::{Chance, interleave, yield_now};
use serde_json::{Value, json};
use wire::claims::Role;
use wire::matching::RatingReply;

/// Rounds after all others, in which what was left half done is finished.
const LAST_ROUNDS: usize = 3;

/// What the store says of a match.
struct Kept {
    id: String,
    /// Who is in which team, of all parts that came to be.
    teams: BTreeMap<String, Vec<String>>,
    gone: BTreeSet<String>,
    /// Whose ratings the result changes.
    rated: Option<Vec<String>>,
}

impl Kept {
    fn here(&self) -> impl Iterator<Item = &String> {
        let players = self.teams.values().flatten();
        players.filter(|player| !self.gone.contains(*player))
    }
}

/// Every match of which a part came to be.
fn matches(rig: &Rig) -> Vec<Kept> {
    let everything = rig.store.inner.everything();
    let value = |partition: &str, sort: &str| -> Option<Value> {
        let mut items = everything.iter();
        let item = items.find(|(found, item)| found == partition && item.sort == sort)?;
        serde_json::from_slice(&item.1.value).ok()
    };
    let mut kept: BTreeMap<String, Kept> = BTreeMap::new();
    for ((partition, part), _) in ready(rig) {
        let body = value(&partition, &format!("body#{part}")).unwrap();
        let found = kept.entry(partition.clone()).or_insert_with(|| {
            let names = |sort| {
                let names = value(&partition, sort).unwrap_or_default();
                serde_json::from_value::<BTreeSet<String>>(names).unwrap_or_default()
            };
            let result = value(&partition, "result");
            let changes = result.map(|result| result["changes"].as_array().unwrap().clone());
            let player = |change: &Value| change["player"].as_str().unwrap().to_owned();
            Kept {
                id: partition.trim_start_matches("match#").to_owned(),
                teams: BTreeMap::new(),
                gone: &names("left") | &names("quit"),
                rated: changes.map(|changes| changes.iter().map(player).collect()),
            }
        });
        for team in body["t"].as_array().unwrap() {
            let tickets = team["t"].as_array().unwrap().iter();
            let players = tickets.flat_map(|ticket| ticket["p"].as_array().unwrap());
            let players = players.map(|player| player["i"].as_str().unwrap().to_owned());
            let name = team["n"].as_str().unwrap().to_owned();
            found.teams.entry(name).or_default().extend(players);
        }
    }
    kept.into_values().collect()
}

/// The game's server: looks what runs, and does something about it.
struct Server<'a> {
    rig: &'a Rig,
    chance: Chance,
    /// Parties that go on.
    playing: &'a AtomicUsize,
}

impl Server<'_> {
    async fn send(&self, method: &str, path: &str, body: Value, wild: bool) {
        let claims = claims("server", Some(Role::GameServer));
        let request = request(&claims, method, path, body);
        if wild && self.chance.below(4) == 0 {
            let calls = self.chance.below(16);
            self.rig.crashing(request, calls).await;
        } else {
            if wild && self.chance.below(4) == 0 {
                matchmaking::handle(self.rig, request.clone()).await;
            }
            matchmaking::handle(self.rig, request).await;
        }
    }

    async fn report(&self, found: &Kept, wild: bool) {
        let path = format!("/v1/match/matches/{}/result", found.id);
        let names = found.teams.keys().enumerate();
        let ranks: Value = names
            .map(|(at, name)| (name.clone(), json!(at + 1)))
            .collect();
        self.send("POST", &path, json!({ "ranks": ranks }), wild)
            .await;
    }

    async fn round(&self, wild: bool) {
        for found in matches(self.rig) {
            match self.chance.below(60) {
                0 => self.report(&found, wild).await,
                1 => {
                    let path = format!("/v1/match/matches/{}/backfill", found.id);
                    let left: Vec<&String> = found.here().take(1).collect();
                    self.send("PUT", &path, json!({ "left": left }), wild).await;
                }
                _ => {}
            }
        }
    }

    async fn run(self) {
        while self.playing.load(Ordering::Relaxed) > 0 {
            self.round(self.chance.below(2) == 0).await;
            yield_now().await;
        }
        for _ in 0..LAST_ROUNDS {
            for found in matches(self.rig)
                .iter()
                .filter(|found| found.rated.is_some())
            {
                self.report(found, false).await;
            }
        }
    }
}

/// What came of one run.
#[derive(Default)]
struct Count {
    matches: usize,
    filled: usize,
    rated: usize,
}

fn check(rig: &Rig, team_size: usize, seed: u64) -> Count {
    let all = matches(rig);
    let mut plays: BTreeMap<&String, &String> = BTreeMap::new();
    let mut results: BTreeMap<&String, u32> = BTreeMap::new();
    let mut count = Count::default();
    for found in &all {
        count.matches += 1;
        for (name, players) in &found.teams {
            let distinct: BTreeSet<&String> = players.iter().collect();
            assert_eq!(
                distinct.len(),
                players.len(),
                "{name}, seed {seed}: {players:?}"
            );
            let here = players
                .iter()
                .filter(|player| !found.gone.contains(*player));
            assert!(
                here.count() <= team_size,
                "{name} is too full, seed {seed}: {players:?}"
            );
            count.filled += players.len().saturating_sub(team_size);
        }
        for player in found.rated.iter().flatten() {
            *results.entry(player).or_default() += 1;
            count.rated += 1;
        }
        if found.rated.is_none() {
            for player in found.here() {
                let before = plays.insert(player, &found.id);
                assert_eq!(before, None, "{player} is in two matches; seed {seed}");
            }
        }
    }
    let tickets = ready(rig);
    let tickets = tickets
        .values()
        .flatten()
        .flatten()
        .map(|(ticket, _)| ticket);
    let distinct: BTreeSet<&String> = tickets.clone().collect();
    assert_eq!(
        tickets.count(),
        distinct.len(),
        "a ticket is in two matches; seed {seed}"
    );
    for (player, matches) in results {
        let path = format!("/v1/match/queues/q/ratings/{player}");
        let rating: RatingReply = read(&rig.server("GET", &path, Value::Null));
        assert_eq!(rating.matches, matches, "ratings of {player}, seed {seed}");
    }
    everybody_who_waits_is_read(rig, seed);
    count
}

fn run(seed: u64, team_size: u32, faults_per_thousand: u64) -> Count {
    let mut rules = rules(2, team_size, json!({ "backfill": { "until_s": 3600 } }));
    rules["shards"] = json!(1 << (seed % 2));
    let rig = Rig::with_queue(seed, &rules);
    let faults = &rig.store.faults_per_thousand;
    faults.store(faults_per_thousand, Ordering::Relaxed);
    let (seen, chance) = (Mutex::new(Seen::default()), Chance::new(seed ^ 0xfeed));
    let parties = parties(&rig, &seen, &chance, team_size);
    let playing = &AtomicUsize::new(parties.len());
    let mut tasks: Vec<_> = parties
        .into_iter()
        .map(|party| {
            Box::pin(async move {
                party.run().await;
                playing.fetch_sub(1, Ordering::Relaxed);
            }) as _
        })
        .collect();
    let server = Server {
        rig: &rig,
        chance: Chance::new(chance.next()),
        playing,
    };
    tasks.push(Box::pin(server.run()) as _);
    interleave(seed, tasks);
    // What came of it is read on a good day.
    faults.store(0, Ordering::Relaxed);
    check(&rig, team_size as usize, seed)
}

fn search(team_size: u32, seeds: u64) -> Count {
    let mut sum = Count::default();
    for seed in 0..seeds {
        let count = run(seed, team_size, 40);
        sum.matches += count.matches;
        sum.filled += count.filled;
        sum.rated += count.rated;
    }
    sum
}

#[test]
fn duels_that_are_left_and_reported_on_a_bad_day() {
    let Count {
        matches,
        filled,
        rated,
    } = search(1, 120);
    assert!(
        matches > 300 && filled > 60 && rated > 200,
        "{matches}, {filled}, {rated}"
    );
}

#[test]
fn squads_that_are_left_and_reported_on_a_bad_day() {
    let Count {
        matches,
        filled,
        rated,
    } = search(2, 60);
    assert!(
        matches > 60 && filled > 0 && rated > 100,
        "{matches}, {filled}, {rated}"
    );
}
