//! Against a stream of younger tickets that fit each other better than they fit anybody else, for
//! hours: who fits them by the hard rules waits `max_wait_s` and a pass, and no longer.

use std::collections::BTreeMap;

use crate::support::checker::check;
use crate::support::pools::{NOW_MS, player, region, ticket};
use crate::support::sets;
use matchmaking::{AttributeValue, Player, QueueTicket, Region, RuleSet, World, form};
use proptest::prelude::{Rng, RngExt};
use proptest::test_runner::{RngAlgorithm, TestRng};
use serde_json::{Value, json};

/// Seconds between passes.
const PASS_S: u64 = 7;
/// Passes of a run: more than two hours.
const PASSES: u64 = 1_100;
/// A victim arrives every so many passes.
const VICTIM_EVERY: u64 = 3;

fn seeded(seed: u64) -> TestRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}

/// A rule set in which everything that can be soft is soft and strict, of teams of one size.
fn strict(rng: &mut impl Rng) -> Value {
    let count = rng.random_range(2..5);
    let size = rng.random_range(1..5);
    let mut rules = vec![
        json!({ "type": "difference", "attribute": "level", "max": 1, "soft": true }),
        json!({ "type": "equal", "attribute": "server", "soft": true }),
        json!({ "type": "overlap", "attribute": "maps", "min": 1, "soft": true }),
        json!({ "type": "average", "attribute": "level", "max": 1, "soft": true }),
        json!({ "type": "count", "attribute": "role", "value": "healer", "max": 0, "soft": true }),
        json!({ "type": "minimum", "attribute": "level", "value": 1 }),
    ];
    rules.retain(|_| rng.random_bool(0.7));
    let mut document = json!({
        "mode": "m", "version": 1, "max_wait_s": rng.random_range(20..200),
        "attributes": {
            "role": { "type": "text", "default": "dps" },
            "maps": { "type": "set", "default": ["a"] },
            "server": { "type": "text", "default": "a" },
            "level": { "type": "number", "default": 5 }
        },
        "teams": [{ "name": "team", "count": count, "players": { "min": size, "max": size } }],
        "rating": { "spread": 1 },
        "balance": { "favourite": 0.55, "distribution": 0.5 },
        "rules": rules,
    });
    if rng.random_bool(0.5) {
        document["latency"] = json!({ "max_ms": 40, "soft": true });
    }
    document
}

/// Somebody whom no soft rule likes: far off in rating and place, with a wish of his own for
/// everything. As a party as large as a team when `size` says so.
fn victim(number: u64, size: u64, now_ms: u64, rng: &mut impl Rng) -> QueueTicket {
    let mu = if rng.random_bool(0.5) { 90.0 } else { -40.0 };
    let players = (0..size).map(|member| {
        let mut found = player(&format!("v{number}.{member}"));
        found.rating.mu = mu + f64::from(rng.random_range(0..400)) / 10.0;
        found.latency_ms = match rng.random_range(0..3) {
            0 => BTreeMap::new(),
            1 => BTreeMap::from([(region("west"), 900)]),
            _ => found.latency_ms,
        };
        let text = |text: String| AttributeValue::Text(text);
        found.attributes = BTreeMap::from([
            ("role".to_owned(), text("healer".to_owned())),
            ("server".to_owned(), text(format!("own{number}"))),
            (
                "maps".to_owned(),
                AttributeValue::Set([format!("m{number}")].into()),
            ),
            (
                "level".to_owned(),
                AttributeValue::Number(1_000.0 + number as f64),
            ),
        ]);
        found
    });
    let players: Vec<Player> = players.collect();
    arrived(ticket(&format!("v{number}"), 0, players), now_ms)
}

fn arrived(mut ticket: QueueTicket, now_ms: u64) -> QueueTicket {
    ticket.since_ms = now_ms;
    ticket
}

/// What a run of hours showed.
#[derive(Debug, Default)]
struct Shown {
    victims: u64,
    /// The longest wait of a victim, matched or not, seconds.
    longest_s: u64,
    /// Matches of the stream's tickets among themselves, without a victim.
    perfect: usize,
}

/// In each pass two matches of players arrive who are all alike, and so fit each other perfectly;
/// `hopeless` older tickets wait for ever, each on a platform of its own.
fn run(document: &Value, hopeless: u64, seed: u64) -> Shown {
    let rules: RuleSet = sets::read(document);
    let mut rng = seeded(seed);
    let world = World {
        regions: ["east", "mid", "west"]
            .map(|name| Region::of_one_shard(region(name), 1_000))
            .to_vec(),
        ..World::default()
    };
    let limits = rules.limits_at(0);
    let (full, team) = (
        u64::from(limits.players_max()),
        u64::from(limits.teams[0].max),
    );
    let mut waiting: Vec<QueueTicket> = (0..hopeless)
        .map(|number| {
            let mut found = player(&format!("h{number}"));
            found.platform = format!("own{number}");
            found.cross_play = false;
            arrived(ticket(&format!("h{number}"), 0, vec![found]), NOW_MS - 1)
        })
        .collect();
    let mut shown = Shown::default();
    for pass in 0..PASSES {
        let now_ms = NOW_MS + pass * PASS_S * 1000;
        if pass % VICTIM_EVERY == 0 {
            let size = if rng.random_bool(0.3) { team } else { 1 };
            waiting.push(victim(pass, size, now_ms, &mut rng));
            shown.victims += 1;
        }
        for number in 0..2 * full {
            let name = format!("s{pass}.{number}");
            waiting.push(arrived(ticket(&name, 0, vec![player(&name)]), now_ms));
        }
        let outcome = form(&waiting, &rules, &world, now_ms, pass);
        check(document, &waiting, &world, now_ms, &outcome);
        for found in &outcome.matches {
            let mut tickets = found.teams.iter().flat_map(|team| &team.tickets);
            shown.perfect += usize::from(!tickets.any(|id| id.as_str().starts_with('v')));
        }
        let left: BTreeMap<_, _> = outcome.waiting.iter().map(|w| (&w.ticket, w)).collect();
        for ticket in waiting.iter().filter(|t| t.id.as_str().starts_with('v')) {
            shown.longest_s = shown.longest_s.max((now_ms - ticket.since_ms) / 1000);
        }
        waiting.retain(|ticket| left.contains_key(&ticket.id));
    }
    shown
}

#[test]
fn whoever_fits_by_the_hard_rules_is_matched_in_time_however_well_younger_tickets_fit() {
    for seed in 0..16 {
        let document = strict(&mut seeded(seed));
        let shown = run(&document, 0, seed);
        let bound_s = document["max_wait_s"].as_u64().unwrap() + PASS_S;
        assert!(
            shown.longest_s < bound_s,
            "seed {seed}: {shown:?}, bound {bound_s} s, under {document}"
        );
        // The adversary did its work: most matches are of the younger ones alone.
        assert!(
            shown.perfect > 1_000 && shown.victims > 300,
            "seed {seed}: {shown:?}"
        );
    }
}

#[test]
fn older_tickets_that_fit_nobody_do_not_use_up_the_search_of_those_who_do() {
    for seed in 0..4 {
        let document = strict(&mut seeded(100 + seed));
        let shown = run(&document, 150, seed);
        let bound_s = document["max_wait_s"].as_u64().unwrap() + PASS_S;
        assert!(
            shown.longest_s < bound_s,
            "seed {seed}: {shown:?} under {document}"
        );
    }
}

#[test]
fn without_the_bound_the_same_stream_starves_them() {
    let mut document = strict(&mut seeded(3));
    document["max_wait_s"] = json!(86_400);
    let shown = run(&document, 0, 3);
    assert_eq!(
        shown.longest_s,
        (PASSES - 1) * PASS_S,
        "the first waits to the end: {shown:?}"
    );
}
