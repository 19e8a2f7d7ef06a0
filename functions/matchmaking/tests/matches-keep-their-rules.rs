//! Every match, as an independent reading of RULES.md sees it.

mod support;

use matchmaking::form;
use proptest::prelude::*;
use support::checker::{check, rules_after, violation};
use support::pools::{NOW_MS, any_tickets, any_world};
use support::sets;

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
        mut tickets in any_tickets(8), world in any_world(), set in 0..2_usize,
    ) {
        let document = &sets::all()[set];
        // All overdue: what is left over are hard rules.
        for ticket in &mut tickets {
            ticket.since_ms -= 120_000;
        }
        let rules = sets::read(document);
        let outcome = form(&tickets, &rules, &world, NOW_MS, 7);
        let waiting: Vec<_> = outcome
            .waiting
            .iter()
            .filter(|waiting| waiting.fault.is_none())
            .map(|waiting| tickets.iter().find(|t| t.id == waiting.ticket).unwrap())
            .collect();
        let mut room: std::collections::BTreeMap<_, _> =
            world.regions.iter().map(|region| (&region.name, region.room)).collect();
        for found in &outcome.matches {
            let players: usize = found.teams.iter().map(|team| team.players.len()).sum();
            *room.get_mut(&found.region).unwrap() -= players as u32;
        }
        let expanded = rules_after(document, 120);
        // Each waiting ticket in neither team, in the first, or in the second.
        for code in 1..3_usize.pow(waiting.len() as u32) {
            let mut teams = vec![Vec::new(), Vec::new()];
            for (index, ticket) in waiting.iter().enumerate() {
                if let team @ 1.. = code / 3_usize.pow(index as u32) % 3 {
                    teams[team - 1].push(*ticket);
                }
            }
            let players: usize = teams.iter().flatten().map(|ticket| ticket.players.len()).sum();
            for (region, room) in &room {
                let fits = *room as usize >= players;
                prop_assert!(
                    !fits || violation(&expanded, &teams, region).is_some(),
                    "missed: {:?} in {region}", teams,
                );
            }
        }
    }
}
