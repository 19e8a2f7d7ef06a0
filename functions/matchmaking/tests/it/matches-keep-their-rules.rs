//! Every match, as an independent reading of RULES.md sees it.

use std::collections::BTreeMap;

use crate::support::checker::{check, rules_after, violation};
use crate::support::pools::{NOW_MS, any_tickets, any_world};
use crate::support::sets;
use matchmaking::{QueueTicket, Waiting, World, form};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_match_keeps_every_rule(
        tickets in any_tickets(60), world in any_world(), set in 0..3_usize, seed in any::<u64>(),
    ) {
        let document = &sets::all()[set];
        let outcome = form(&tickets, &sets::read(document), &world, NOW_MS, seed);
        check(document, &tickets, &world, NOW_MS, &outcome);
    }

    #[test]
    fn every_match_keeps_the_rules_of_any_rule_set(
        tickets in any_tickets(60), world in any_world(), document in sets::any_set(1..=4, 5),
        seed in any::<u64>(),
    ) {
        let outcome = form(&tickets, &sets::read(&document), &world, NOW_MS, seed);
        check(&document, &tickets, &world, NOW_MS, &outcome);
    }

    #[test]
    fn the_order_of_the_tickets_changes_nothing(
        (tickets, shuffled) in any_tickets(40)
            .prop_flat_map(|tickets| (Just(tickets.clone()), Just(tickets).prop_shuffle())),
        world in any_world(), set in 0..3_usize, seed in any::<u64>(),
    ) {
        let rules = sets::read(&sets::all()[set]);
        let first = form(&tickets, &rules, &world, NOW_MS, seed);
        prop_assert_eq!(&first, &form(&tickets, &rules, &world, NOW_MS, seed));
        prop_assert_eq!(first, form(&shuffled, &rules, &world, NOW_MS, seed));
    }

    #[test]
    fn no_overdue_ticket_waits_when_there_is_a_match_for_it(
        tickets in any_tickets(8), world in any_world(), set in 0..2_usize,
    ) {
        assert_no_match_is_missed(&sets::all()[set], tickets, &world);
    }

    #[test]
    fn no_overdue_ticket_waits_under_any_rule_set_when_there_is_a_match_for_it(
        tickets in any_tickets(7), world in any_world(), document in sets::any_set(1..=3, 4),
    ) {
        assert_no_match_is_missed(&document, tickets, &world);
    }
}

/// With all tickets overdue: whether some of those that still wait are a match, each of them in no
/// team or in any.
fn assert_no_match_is_missed(document: &Value, mut tickets: Vec<QueueTicket>, world: &World) {
    for ticket in &mut tickets {
        ticket.since_ms -= 120_000;
    }
    let rules = sets::read(document);
    let outcome = form(&tickets, &rules, world, NOW_MS, 7);
    check(document, &tickets, world, NOW_MS, &outcome);
    let waiting = outcome
        .waiting
        .iter()
        .filter(|waiting| waiting.fault.is_none());
    let by_id = |waiting: &Waiting| tickets.iter().find(|t| t.id == waiting.ticket).unwrap();
    let waiting: Vec<&QueueTicket> = waiting.map(by_id).collect();
    let regions = world.regions.iter();
    let mut room: BTreeMap<_, _> = regions.map(|region| (&region.name, region.room)).collect();
    for found in &outcome.matches {
        let players: usize = found.teams.iter().map(|team| team.players.len()).sum();
        *room.get_mut(&found.region).unwrap() -= players as u32;
    }
    let expanded = rules_after(document, 120);
    let count = rules.limits_at(120).teams.len();
    for code in 1..(count + 1).pow(waiting.len() as u32) {
        let mut teams = vec![Vec::new(); count];
        for (index, ticket) in waiting.iter().enumerate() {
            if let team @ 1.. = code / (count + 1).pow(index as u32) % (count + 1) {
                teams[team - 1].push(*ticket);
            }
        }
        let players: usize = teams
            .iter()
            .flatten()
            .map(|ticket| ticket.players.len())
            .sum();
        for (region, room) in &room {
            let fits = *room as usize >= players;
            assert!(
                !fits || violation(&expanded, &teams, region).is_some(),
                "missed: {teams:?} in {region}",
            );
        }
    }
}

/// Two hundred players in any division, with everything that a rule can ask for.
fn large() -> impl Strategy<Value = Value> {
    let division = proptest::sample::select(vec![(2, 100), (4, 50), (40, 5), (100, 2), (200, 1)]);
    let kept = proptest::bits::u8::between(0, 5);
    (division, any::<bool>(), kept).prop_map(|((count, size), balanced, kept)| {
        let mut rules = vec![
            json!({ "type": "overlap", "attribute": "maps", "min": 1 }),
            json!({ "type": "equal", "attribute": "server" }),
            json!({ "type": "average", "attribute": "level", "max": 9 }),
            json!({ "type": "count", "attribute": "role", "value": "tank", "min": 3, "max": 60 }),
        ];
        if size > 3 {
            rules.push(json!({
                "type": "count", "attribute": "role", "value": "healer", "per": "team", "min": 1,
            }));
        }
        let numbered = rules.into_iter().enumerate();
        let rules: Vec<Value> = numbered
            .filter(|(number, _)| (kept >> number) & 1 == 1)
            .map(|(_, rule)| rule)
            .collect();
        json!({
            "mode": "m", "version": 1, "max_wait_s": 40,
            "attributes": {
                "role": { "type": "text", "default": "dps" },
                "maps": { "type": "set", "default": ["a", "b"] },
                "server": { "type": "text", "default": "a" },
                "level": { "type": "number", "default": 5 }
            },
            "teams": [{ "name": "t", "count": count, "players": { "min": size, "max": size } }],
            "rating": { "spread": 15 },
            "balance": { "distribution": if balanced { 6 } else { 50 } },
            "latency": { "max_ms": 110, "soft": true },
            "rules": rules
        })
    })
}

#[test]
fn matches_of_two_hundred_players_keep_every_rule() {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[200; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let (mut full, mut waited) = (0, 0);
    for case in 0..32 {
        let document = large().new_tree(&mut runner).unwrap().current();
        let tickets = any_tickets(900).new_tree(&mut runner).unwrap().current();
        let world = any_world().new_tree(&mut runner).unwrap().current();
        let outcome = form(&tickets, &sets::read(&document), &world, NOW_MS, case);
        check(&document, &tickets, &world, NOW_MS, &outcome);
        let players = |found: &matchmaking::Match| -> usize {
            found.teams.iter().map(|team| team.players.len()).sum()
        };
        full += outcome
            .matches
            .iter()
            .filter(|found| players(found) == 200)
            .count();
        waited += usize::from(outcome.matches.is_empty());
    }
    // Otherwise this test would say nothing.
    assert!(
        full >= 20 && waited > 0,
        "{full} matches, {waited} passes without one"
    );
}
