//! A pass reads a lane from its oldest open ticket on. Whatever is written late, with an earlier
//! key or again, is read all the same, and what cannot be written down is in nobody's way.

use crate::rig::{self, Rig, claims, request, rules, ticket};
use edge::testing::schedule::block_on;
use serde_json::{Value, json};
use wire::matching::{TicketReply, TicketStatus};

const QUEUE: &str = "/v1/match/queues/q/tickets";

#[test]
fn a_ticket_whose_first_request_died_is_matched_after_the_second() {
    for calls in 0..14 {
        let rig = Rig::with_queue(calls, &rules(2, 1, json!({})));
        let body = ticket("k", &["ann"]);
        let first = request(&claims("ann", None), "POST", QUEUE, body.clone());
        block_on(rig.crashing(first, calls));
        // Others come and are matched, and passes forget what is older than who is left.
        let ask = |who: &[(&str, TicketReply)]| {
            for (name, ticket) in who {
                rig.look(name, ticket);
            }
            rig.pass(1_000);
        };
        let mut others = Vec::new();
        for name in ["bob", "cid", "dan", "eva", "fay", "gus", "hal"] {
            rig.pass(50);
            others.push((name, rig.queued("q", name)));
            (0..3).for_each(|_| ask(&others));
        }
        let again = rig.call("ann", "POST", QUEUE, body);
        if again.status != 201 {
            continue;
        }
        others.push(("ivy", rig.queued("q", "ivy")));
        let ann: TicketReply = rig::read(&again);
        (0..5).for_each(|_| ask(&others));
        rig.until("ann", &ann, TicketStatus::Matched);
    }
}

#[test]
fn hosts_whose_clocks_differ_serve_one_queue() {
    let rig = Rig::with_queue(1, &rules(2, 1, json!({})));
    let cid = rig.queued("q", "cid");
    rig.go_back(900);
    let dan = rig.queued("q", "dan");
    rig.pass(900);
    rig.until("dan", &dan, TicketStatus::Matched);
    rig.until("cid", &cid, TicketStatus::Matched);
}

#[test]
fn two_hundred_players_of_whom_much_is_known_are_one_match() {
    let more = json!({ "backfill": { "until_s": 600 } });
    let rig = Rig::with_queue(1, &rules(2, 100, more));
    let much: Value = (0..28)
        .map(|n| (format!("attribute-{n}"), json!("x".repeat(60))))
        .collect();
    let blocks: Vec<String> = (0..60).map(|n| format!("somebody-else-{n}")).collect();
    let details = json!({ "attributes": much, "blocks": blocks });
    let mut tickets = Vec::new();
    for n in 0..200 {
        let player = format!("p{n}");
        let players = json!([{ "player": player, "details": details }]);
        let body = json!({ "key": "k", "players": players });
        tickets.push(rig::read::<TicketReply>(
            &rig.call(&player, "POST", QUEUE, body),
        ));
        rig.pass(20);
    }
    let found = rig
        .until("p7", &tickets[7], TicketStatus::Matched)
        .found
        .unwrap();
    assert_eq!(
        found
            .teams
            .iter()
            .map(|team| team.players.len())
            .sum::<usize>(),
        200
    );
    for (_, item) in rig.store.inner.everything() {
        assert!(
            item.value.len() <= 256 * 1024,
            "{}: {}",
            item.sort,
            item.value.len()
        );
    }
    // And one who leaves is replaced.
    let party = format!("{}/party", rig::path(&tickets[3]));
    assert_eq!(rig.call("p3", "DELETE", &party, Value::Null).status, 204);
    let backfill = format!("/v1/match/matches/{}/backfill", found.id);
    assert_eq!(
        rig.server("PUT", &backfill, json!({ "left": [] })).status,
        200
    );
    let body = ticket("k", &["late"]);
    let late: TicketReply = rig::read(&rig.call("late", "POST", QUEUE, body));
    let joined = rig
        .until("late", &late, TicketStatus::Matched)
        .found
        .unwrap();
    assert_eq!(joined.id, found.id);
}
