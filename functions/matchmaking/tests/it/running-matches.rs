//! Matches that run: nobody of them is free for another, who leaves is out of it alone, and places
//! are filled once.

use std::collections::BTreeSet;

use crate::rig::{self, Rig, path, problem, read, rules, ticket};
use serde_json::{Value, json};
use wire::matching::{MatchReply, RatingReply, TicketReply, TicketStatus};

const QUEUE: &str = "/v1/match/queues/q/tickets";
const HOUR_MS: u64 = 60 * 60 * 1000;

/// Parties of two against each other: ann leads bob, cid leads dan.
fn squads(more: Value) -> (Rig, [TicketReply; 2]) {
    let rig = Rig::with_queue(5, &rules(2, 2, more));
    let tickets = [["ann", "bob"], ["cid", "dan"]].map(|party| {
        let ticket: TicketReply = read(&rig.call(party[0], "POST", QUEUE, ticket("k", &party)));
        let join = format!("{}/party", path(&ticket));
        let _: TicketReply = read(&rig.call(party[1], "PUT", &join, json!({})));
        ticket
    });
    (rig, tickets)
}

fn players(found: &MatchReply) -> BTreeSet<&str> {
    let teams = found.teams.iter();
    teams
        .flat_map(|team| &team.players)
        .map(|player| player.as_str())
        .collect()
}

fn look_at(rig: &Rig, found: &MatchReply) -> MatchReply {
    read(&rig.server(
        "GET",
        &format!("/v1/match/matches/{}", found.id),
        Value::Null,
    ))
}

#[test]
fn a_player_whose_own_client_never_asked_is_not_free_while_the_match_runs() {
    let (rig, [first, _]) = squads(json!({}));
    rig.until("ann", &first, TicketStatus::Matched);
    // Their tickets are long gone.
    rig.pass(HOUR_MS);
    for player in ["ann", "bob", "cid", "dan"] {
        assert_eq!(
            problem(&rig.queue("q", player, "n")),
            "already-queued",
            "{player}"
        );
        let seat = rig.call(player, "GET", "/v1/match/seat", Value::Null);
        assert!(
            rig::text(&seat).contains("\"match\""),
            "{}",
            rig::text(&seat)
        );
    }
}

#[test]
fn players_queued_by_a_game_server_are_not_free_while_the_match_runs() {
    let rig = Rig::with_queue(5, &rules(2, 1, json!({})));
    let tickets = ["ann", "bob"]
        .map(|player| read::<TicketReply>(&rig.server("POST", QUEUE, ticket(player, &[player]))));
    let asks = || -> TicketReply { read(&rig.server("GET", &path(&tickets[0]), Value::Null)) };
    while asks().status != TicketStatus::Matched {
        rig.pass(500);
    }
    rig.pass(HOUR_MS);
    for player in ["ann", "bob"] {
        assert_eq!(
            problem(&rig.queue("q", player, "n")),
            "already-queued",
            "{player}"
        );
    }
}

#[test]
fn who_leaves_a_running_match_leaves_alone_and_is_listed_no_more() {
    for late_ms in [0, 200_000] {
        let (rig, [first, _]) = squads(json!({}));
        let found = rig
            .until("ann", &first, TicketStatus::Matched)
            .found
            .unwrap();
        // After a while the ticket is gone, and the match goes on.
        rig.pass(late_ms);
        let party = format!("{}/party", path(&first));
        assert_eq!(rig.call("bob", "DELETE", &party, Value::Null).status, 204);
        assert_eq!(
            players(&look_at(&rig, &found)),
            BTreeSet::from(["ann", "cid", "dan"])
        );
        assert_eq!(rig.queue("q", "bob", "n").status, 201, "he is free");
        assert_eq!(problem(&rig.queue("q", "ann", "n")), "already-queued");
        // Nor does a token of the match come back to him.
        let seat = rig.call(
            "bob",
            "GET",
            &format!("/v1/match/matches/{}", found.id),
            Value::Null,
        );
        assert_eq!(problem(&seat), "not-in-match");
    }
}

#[test]
fn who_leaves_does_not_escape_the_result() {
    let (rig, [first, _]) = squads(json!({}));
    let found = rig
        .until("ann", &first, TicketStatus::Matched)
        .found
        .unwrap();
    let party = format!("{}/party", path(&first));
    assert_eq!(rig.call("bob", "DELETE", &party, Value::Null).status, 204);
    let lost = found
        .teams
        .iter()
        .find(|team| team.players.iter().any(|p| p.as_str() == "bob"));
    let lost = &lost.unwrap().name;
    let ranks = found
        .teams
        .iter()
        .map(|team| (team.name.clone(), u32::from(team.name == *lost)));
    let ranks: Value = ranks.map(|(name, rank)| (name, json!(rank + 1))).collect();
    let result = format!("/v1/match/matches/{}/result", found.id);
    assert_eq!(
        rig.server("POST", &result, json!({ "ranks": ranks }))
            .status,
        200
    );
    let path = "/v1/match/queues/q/ratings/bob";
    let rating: RatingReply = read(&rig.call("bob", "GET", path, Value::Null));
    assert!(rating.matches == 1 && rating.rating.mu < 25.0, "{rating:?}");
}

#[test]
fn places_are_filled_minutes_later_while_others_come_and_go() {
    let more = json!({ "backfill": { "until_s": 3600 } });
    let rig = Rig::with_queue(5, &rules(2, 1, more));
    let ann = rig.queued("q", "ann");
    let bob = rig.queued("q", "bob");
    let found = rig.until("ann", &ann, TicketStatus::Matched).found.unwrap();
    rig.until("bob", &bob, TicketStatus::Matched);
    for n in 0..8 {
        rig.pass(30_000);
        let names = [format!("a{n}"), format!("b{n}")];
        let tickets = [rig.queued("q", &names[0]), rig.queued("q", &names[1])];
        for (name, ticket) in names.iter().zip(&tickets) {
            rig.until(name, ticket, TicketStatus::Matched);
        }
    }
    let party = format!("{}/party", path(&ann));
    assert_eq!(rig.call("ann", "DELETE", &party, Value::Null).status, 204);
    let backfill = format!("/v1/match/matches/{}/backfill", found.id);
    assert_eq!(
        rig.server("PUT", &backfill, json!({ "left": [] })).status,
        200
    );
    // Who has left is not his own substitute.
    let again: TicketReply = read(&rig.queue("q", "ann", "n"));
    for _ in 0..10 {
        rig.pass(1_000);
        let reply: TicketReply = read(&rig.look("ann", &again));
        assert_eq!(reply.status, TicketStatus::Waiting);
    }
    assert_eq!(
        rig.call("ann", "DELETE", &path(&again), Value::Null).status,
        204
    );
    let cid = rig.queued("q", "cid");
    let joined = rig.until("cid", &cid, TicketStatus::Matched).found.unwrap();
    assert_eq!(joined.id, found.id);
    assert_eq!(
        players(&look_at(&rig, &found)),
        BTreeSet::from(["bob", "cid"])
    );
}
