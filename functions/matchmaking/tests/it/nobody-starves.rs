//! The bound on waiting, and what is told to those who wait.

use std::collections::BTreeMap;

use crate::support::checker::{check, rules_after, violation};
use crate::support::pools::{NOW_MS, any_tickets, player, region, ticket};
use crate::support::sets;
use matchmaking::ticket::TicketFault;
use matchmaking::{AttributeValue, QueueTicket, Region, Waiting, World, form};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

fn world() -> World {
    World {
        regions: ["east", "mid", "west"]
            .map(|name| Region::of_one_shard(region(name), 1000))
            .to_vec(),
        arrivals_per_min: 60.0,
        recent_waits_s: vec![8.0, 30.0, 90.0],
        ..World::default()
    }
}

/// Whether single players among `others` fill a match with `ticket`: the first that fit, team by
/// team, in any region.
fn singles_suffice(
    rules: &Value,
    ticket: &QueueTicket,
    others: &[&QueueTicket],
    world: &World,
) -> bool {
    let mut loose = rules.clone();
    // While it grows a match need not be full, nor have its healers yet.
    for team in loose["teams"].as_array_mut().unwrap() {
        team["players"]["min"] = json!(0);
    }
    if let Some(list) = loose["rules"].as_array_mut() {
        list.iter_mut().for_each(|rule| {
            if rule["type"] == "count" {
                rule["min"] = json!(0);
            }
        });
    }
    world.regions.iter().any(|region| {
        let mut teams = vec![vec![ticket], Vec::new()];
        for other in others.iter().filter(|other| other.players.len() == 1) {
            for team in 0..teams.len() {
                teams[team].push(*other);
                if violation(&loose, &teams, &region.name).is_none() {
                    break;
                }
                teams[team].pop();
            }
        }
        violation(rules, &teams, &region.name).is_none()
    })
}

#[test]
fn in_a_busy_hour_nobody_waits_past_the_bound_who_has_company() {
    for (seed, document) in [(1, sets::duel()), (2, sets::roles())] {
        let rules = sets::read(&document);
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        let mut waiting: Vec<QueueTicket> = Vec::new();
        let (mut matched, mut overdue, mut arrived) = (0, 0, 0);
        for pass in 0..50_u64 {
            let now_ms = NOW_MS + pass * 5_000;
            for mut found in any_tickets(9).new_tree(&mut runner).unwrap().current() {
                arrived += 1;
                found.id = format!("n{arrived}").parse().unwrap();
                for (index, member) in found.players.iter_mut().enumerate() {
                    member.id = format!("p{arrived}.{index}").parse().unwrap();
                    member.blocks.clear();
                    if arrived % 5 == 0 {
                        member
                            .blocks
                            .push(format!("p{}.0", arrived - 3).parse().unwrap());
                    }
                }
                found.since_ms = now_ms;
                waiting.push(found);
            }
            let world = world();
            let outcome = form(&waiting, &rules, &world, now_ms, pass);
            check(&document, &waiting, &world, now_ms, &outcome);
            matched += outcome.matches.len();
            let left: Vec<&Waiting> = outcome
                .waiting
                .iter()
                .filter(|left| left.fault.is_none())
                .collect();
            let by_id: BTreeMap<_, _> = waiting.iter().map(|t| (&t.id, t)).collect();
            for late in left.iter().filter(|left| rules.is_overdue(left.waited_s)) {
                overdue += 1;
                let others: Vec<&QueueTicket> = left
                    .iter()
                    .filter(|other| other.ticket != late.ticket)
                    .map(|other| by_id[&other.ticket])
                    .collect();
                let limits = rules_after(&document, late.waited_s);
                assert!(
                    !singles_suffice(&limits, by_id[&late.ticket], &others, &world),
                    "seed {seed}, pass {pass}: {late:?}"
                );
            }
            let keep: Vec<_> = left.iter().map(|left| left.ticket.clone()).collect();
            waiting.retain(|ticket| keep.contains(&ticket.id));
        }
        // Otherwise this test would say nothing.
        assert!(
            matched > 10 && overdue > 0,
            "{matched} matches, {overdue} overdue"
        );
    }
}

#[test]
fn an_overdue_ticket_is_matched_in_the_pass_whatever_its_rating() {
    let rules = sets::read(&sets::duel());
    let with_rating = |id: &str, waited_s, mu: f64| {
        let mut one = player(&format!("p-{id}"));
        one.rating.mu = mu;
        ticket(id, waited_s, vec![one])
    };
    let mut tickets = vec![with_rating("late", 59, 90.0)];
    tickets.extend((0..3).map(|n| with_rating(&format!("t{n}"), 0, 20.0 + f64::from(n))));
    let before = form(&tickets, &rules, &world(), NOW_MS, 1);
    assert!(before.matches.is_empty());
    let late = &before.waiting[0];
    assert_eq!(late.blocked_by, ["rating.spread"], "{late:?}");
    let next = late.next_expansion.as_ref().unwrap();
    assert_eq!(
        (next.in_s, next.paths.clone()),
        (1, vec!["max_wait_s".to_owned()])
    );
    let after = form(&tickets, &rules, &world(), NOW_MS + 1_000, 1);
    assert_eq!(after.matches.len(), 1);
    assert_eq!(after.matches[0].anchor.as_str(), "late");
}

#[test]
fn a_waiting_ticket_is_told_what_each_rule_leaves() {
    let rules = sets::read(&sets::duel());
    let one = |id: &str, change: fn(&mut matchmaking::Player)| {
        let mut found = player(&format!("p-{id}"));
        change(&mut found);
        ticket(id, 5, vec![found])
    };
    let tickets = [
        one("a", |p| p.cross_play = false),
        one("b", |p| p.rating.mu = 60.0),
        one("c", |p| p.rating.mu = 61.0),
        one("d", |p| p.platform = "console".to_owned()),
        one("e", |p| p.latency_ms.clear()),
        one("f", |p| p.blocks.push("p-a".parse().unwrap())),
    ];
    let outcome = form(&tickets, &rules, &world(), NOW_MS, 1);
    assert!(outcome.matches.is_empty(), "{:?}", outcome.matches);
    let told = outcome
        .waiting
        .iter()
        .find(|w| w.ticket.as_str() == "a")
        .unwrap();
    let left: Vec<(&str, u32)> = told
        .candidates
        .iter()
        .map(|left| (left.rule.as_str(), left.tickets))
        .collect();
    assert_eq!(
        left,
        [
            ("mode", 5),
            ("rating.spread", 3),
            ("latency.max_ms", 2),
            ("cross_play", 1),
            ("blocks", 0)
        ]
    );
    assert_eq!(
        told.blocked_by,
        ["rating.spread", "latency.max_ms", "cross_play", "blocks"],
        "b and c fail by their rating alone, the others one each"
    );
    assert_eq!(told.players_missing, 3);
    assert!(
        told.estimate_s.is_some_and(|estimate| estimate >= 25.0),
        "{told:?}"
    );
    let silent = World {
        arrivals_per_min: 0.0,
        recent_waits_s: vec![],
        ..world()
    };
    let outcome = form(&tickets, &rules, &silent, NOW_MS, 1);
    assert!(
        outcome.waiting.iter().all(|w| w.estimate_s.is_none()),
        "nothing is known"
    );
}

#[test]
fn a_rule_on_the_whole_match_is_told_when_company_one_by_one_is_enough() {
    let rules = sets::read(&sets::roles());
    let tickets: Vec<QueueTicket> = (0..8)
        .map(|n| {
            let mut one = player(&format!("p{n}"));
            let role = if n == 0 { "healer" } else { "tank" };
            one.attributes
                .insert("role".to_owned(), AttributeValue::Text(role.to_owned()));
            ticket(&format!("t{n}"), 60, vec![one])
        })
        .collect();
    let outcome = form(&tickets, &rules, &world(), NOW_MS, 1);
    assert_eq!(outcome.waiting.len(), 8);
    for told in &outcome.waiting {
        assert_eq!(told.blocked_by[0], "rules[0] (healer)", "{told:?}");
    }
}

#[test]
fn tickets_that_can_never_be_matched_are_told_apart() {
    let rules = sets::read(&sets::duel());
    let mut odd = ticket("odd", 3, vec![player("x")]);
    odd.players[0].rating.sigma = f64::NAN;
    let crowd = ticket("crowd", 2, vec![player("a"), player("b"), player("c")]);
    let twice = ticket("twice", 1, vec![player("d"), player("d")]);
    let outcome = form(&[odd, crowd, twice], &rules, &world(), NOW_MS, 1);
    let faults: Vec<_> = outcome.waiting.into_iter().map(|told| told.fault).collect();
    assert_eq!(
        faults,
        [
            TicketFault::RatingInvalid,
            TicketFault::PartySize,
            TicketFault::Duplicate
        ]
        .map(Some)
    );
}
