//! From queueing up to a result, as clients and game servers see it.

use crate::rig::{self, Rig, path, problem, read, rules, text, ticket};
use edge::config;
use edge::ports::Clock as _;
use edge::store::Store as _;
use edge::testing::schedule::block_on;
use serde_json::{Value, json};
use wire::claims::{Grant, Permission, Role};
use wire::matching::{
    BackfillReply, MatchReply, MatchStatus, QueueRules, RatingReply, ResultReply, SeatReply,
    TicketEnd, TicketReply, TicketStatus,
};
use wire::routes::Function;
use wire::ticket::Permissions;

fn duel() -> Rig {
    Rig::with_queue(1, &rules(2, 1, json!({})))
}

fn accepted_duel() -> Rig {
    Rig::with_queue(
        1,
        &rules(2, 1, json!({ "acceptance": { "timeout_s": 20 } })),
    )
}

/// Two who were matched in the queue `q`, and their match.
fn matched(rig: &Rig) -> (TicketReply, TicketReply, MatchReply) {
    let ann = rig.queued("q", "ann");
    rig.pass(1_000);
    let bob = rig.queued("q", "bob");
    let ann = rig.until("ann", &ann, TicketStatus::Matched);
    let bob = rig.until("bob", &bob, TicketStatus::Matched);
    let found = ann.found.clone().unwrap();
    assert_eq!(found.id, bob.found.as_ref().unwrap().id);
    (ann, bob, found)
}

#[test]
fn two_players_meet_and_their_tokens_open_their_own_channels() {
    let rig = duel();
    let (ann, bob, found) = matched(&rig);
    assert_eq!(found.status, MatchStatus::Ready);
    assert_eq!(found.region.as_str(), "eu");
    assert_eq!(found.teams.len(), 2);
    let verifier = block_on(config::verifier(&rig.variables, Function::Signalling)).unwrap();
    let seats = [(&ann, "ann"), (&bob, "bob")].map(|(ticket, player)| {
        let found = ticket.found.as_ref().unwrap();
        let seat = found.seat.as_ref().unwrap();
        let claims = verifier
            .verify(Some(&format!("Bearer {}", seat.token)), rig::NOW_MS / 1000)
            .unwrap();
        assert_eq!(claims.sub.as_str(), player);
        assert_eq!(claims.role, None);
        let own = claims.permissions(&found.room, &seat.channels[0]);
        assert!(own.contains(Permissions::SPEAK) && own.contains(Permissions::CHAT));
        let all = claims.permissions(&found.room, &seat.channels[1]);
        assert!(all.contains(Permissions::LISTEN) && !all.contains(Permissions::SPEAK));
        (claims, seat.channels[0].clone())
    });
    assert_ne!(seats[0].1, seats[1].1);
    let others = seats[0].0.permissions(&found.room, &seats[1].1);
    assert_eq!(others, Permissions::default(), "the other team's channel");
}

#[test]
fn a_retry_is_the_same_ticket_and_another_one_is_refused() {
    let rig = duel();
    let first: TicketReply = read(&rig.queue("q", "ann", "k1"));
    rig.pass(5_000);
    let again: TicketReply = read(&rig.queue("q", "ann", "k1"));
    assert_eq!(again.ticket, first.ticket);
    assert_eq!(again.since_ms, first.since_ms);
    assert_eq!(problem(&rig.queue("q", "ann", "k2")), "already-queued");
    assert_eq!(
        problem(&rig.queue("duel", "ann", "k3")),
        "already-queued",
        "in any queue"
    );
    let seat: SeatReply = read(&rig.call("ann", "GET", "/v1/match/seat", Value::Null));
    assert_eq!(seat.ticket, Some(first.ticket.clone()));
    assert_eq!(
        rig.call("ann", "DELETE", &path(&first), Value::Null).status,
        204
    );
    assert_eq!(
        problem(&rig.queue("q", "ann", "k1")),
        "ticket-expired",
        "a late duplicate"
    );
    assert_eq!(rig.queue("q", "ann", "k2").status, 201);
}

/// What a host is told to look for is what a match writes.
#[test]
fn who_waits_for_a_match_is_told_until_when_there_is_none() {
    let rig = duel();
    let ann = rig.queued("q", "ann");
    let ask = |query: &str| {
        let path = format!("{}{query}", path(&ann));
        rig.call("ann", "GET", &path, Value::Null)
    };
    let reply = ask("?wait=20");
    let until = reply.until.clone().expect("there is nothing yet");
    let pause_ms = read::<TicketReply>(&reply).poll_after_ms.unwrap();
    // Not longer than until it is time to ask again: that drives the passes.
    assert_eq!((until.wait_ms, until.player.as_str()), (pause_ms, "ann"));
    assert_eq!(ask("").until, None);
    assert_eq!(ask("?wait=0").until, None);
    assert_eq!(problem(&ask("?wait=soon")), "cursor-invalid");
    let watched = || -> Vec<_> {
        let item = |watch: &wire::until::Watch| {
            assert_eq!(watch.from, watch.to);
            let key = edge::store::Key {
                partition: &watch.partition,
                sort: &watch.from,
            };
            let found = block_on(rig.store.inner.get(rig.now_ms(), key)).unwrap();
            found.map(|item| item.version)
        };
        until.watches.iter().map(item).collect()
    };
    let before = watched();
    assert_eq!(before.len(), 1);
    rig.pass(1_000);
    rig.queued("q", "bob");
    rig.until("ann", &ann, TicketStatus::Matched);
    assert_ne!(watched(), before);
    assert_eq!(ask("?wait=20").until, None);
}

#[test]
fn a_ticket_lives_on_without_its_client_for_the_grace_time_and_no_longer() {
    let rig = duel();
    let ann = rig.queued("q", "ann");
    for _ in 0..10 {
        rig.pass(70_000);
        let reply: TicketReply = read(&rig.look("ann", &ann));
        assert_eq!(
            (reply.status, reply.since_ms),
            (TicketStatus::Waiting, ann.since_ms)
        );
    }
    rig.pass(74_999);
    assert_eq!(
        rig.look("ann", &ann).status,
        200,
        "inside of the grace time"
    );
    rig.pass(151_000);
    assert_eq!(problem(&rig.look("ann", &ann)), "ticket-expired");
    assert_eq!(problem(&rig.queue("q", "ann", "k")), "ticket-expired");
    assert_eq!(
        rig.queue("q", "ann", "other").status,
        201,
        "the seat is free"
    );
}

#[test]
fn a_party_gathers_and_only_then_waits() {
    let rig = Rig::with_queue(2, &rules(2, 2, json!({})));
    let queue = "/v1/match/queues/q/tickets";
    let ann: TicketReply = read(&rig.call("ann", "POST", queue, ticket("k", &["ann", "bob"])));
    assert_eq!((ann.status, ann.since_ms), (TicketStatus::Gathering, None));
    let party = format!("{}/party", path(&ann));
    assert_eq!(
        problem(&rig.call("eve", "PUT", &party, json!({}))),
        "not-in-party"
    );
    assert_eq!(
        problem(&rig.call("eve", "GET", &path(&ann), Value::Null)),
        "not-in-party"
    );
    rig.pass(3_000);
    let bob: TicketReply = read(&rig.call("bob", "PUT", &party, json!({})));
    assert_eq!(
        (bob.status, bob.since_ms),
        (TicketStatus::Waiting, Some(rig::NOW_MS + 3_000))
    );
    let again: TicketReply = read(&rig.call("bob", "PUT", &party, json!({})));
    assert_eq!(again.since_ms, bob.since_ms);
    let other: TicketReply = read(&rig.call("cid", "POST", queue, ticket("k", &["cid", "dan"])));
    let party = format!("{}/party", path(&other));
    let _: TicketReply = read(&rig.call("dan", "PUT", &party, json!({})));
    let found = rig.until("bob", &ann, TicketStatus::Matched).found.unwrap();
    let teams: Vec<Vec<&str>> = found
        .teams
        .iter()
        .map(|team| team.players.iter().map(|player| player.as_str()).collect())
        .collect();
    assert!(
        teams.contains(&vec!["ann", "bob"]) && teams.contains(&vec!["cid", "dan"]),
        "{teams:?}"
    );
}

#[test]
fn the_leader_cancels_and_a_member_leaves() {
    let rig = Rig::with_queue(2, &rules(2, 2, json!({})));
    let queue = "/v1/match/queues/q/tickets";
    let ann: TicketReply = read(&rig.call("ann", "POST", queue, ticket("k", &["ann", "bob"])));
    let party = format!("{}/party", path(&ann));
    let _: TicketReply = read(&rig.call("bob", "PUT", &party, json!({})));
    assert_eq!(
        problem(&rig.call("bob", "DELETE", &path(&ann), Value::Null)),
        "not-leader"
    );
    assert_eq!(rig.call("bob", "DELETE", &party, Value::Null).status, 204);
    let ended: TicketReply = read(&rig.look("ann", &ann));
    assert_eq!(
        (ended.status, ended.ended),
        (TicketStatus::Ended, Some(TicketEnd::Cancelled))
    );
    for player in ["ann", "bob"] {
        assert_eq!(
            rig.queue("duel", player, "n").status,
            201,
            "{player} is free"
        );
    }
    assert_eq!(
        rig.call("bob", "DELETE", &party, Value::Null).status,
        204,
        "again"
    );
}

#[test]
fn all_accept_or_those_who_did_wait_on() {
    let rig = accepted_duel();
    let (ann, bob) = (rig.queued("q", "ann"), rig.queued("q", "bob"));
    rig.pass(1_000);
    let found = rig
        .until("ann", &ann, TicketStatus::Proposed)
        .found
        .unwrap();
    assert_eq!(found.seat, None, "nobody joins before all have accepted");
    let reply: MatchReply = read(&rig.accept("ann", &found.id, true));
    assert_eq!(
        (reply.status, reply.accepted.len()),
        (MatchStatus::Proposed, 1)
    );
    assert_eq!(problem(&rig.accept("eve", &found.id, true)), "not-in-match");
    rig.pass(21_000);
    assert_eq!(problem(&rig.accept("bob", &found.id, true)), "not-accepted");
    let reply: TicketReply = read(&rig.look("ann", &ann));
    assert_eq!(
        (reply.status, reply.since_ms),
        (TicketStatus::Waiting, ann.since_ms)
    );
    let reply: TicketReply = read(&rig.look("bob", &bob));
    assert_eq!(
        (reply.status, reply.ended),
        (TicketStatus::Ended, Some(TicketEnd::NotAccepted))
    );
    let cid = rig.queued("q", "cid");
    let found = rig
        .until("ann", &ann, TicketStatus::Proposed)
        .found
        .unwrap();
    let _: TicketReply = rig.until("cid", &cid, TicketStatus::Proposed);
    let _: MatchReply = read(&rig.accept("ann", &found.id, true));
    let reply: MatchReply = read(&rig.accept("cid", &found.id, true));
    assert_eq!(reply.status, MatchStatus::Ready);
    assert!(reply.seat.is_some());
    rig.until("ann", &ann, TicketStatus::Matched);
}

#[test]
fn who_declines_is_out_and_the_other_waits_on_at_once() {
    let rig = accepted_duel();
    let (ann, bob) = (rig.queued("q", "ann"), rig.queued("q", "bob"));
    rig.pass(1_000);
    let found = rig
        .until("ann", &ann, TicketStatus::Proposed)
        .found
        .unwrap();
    let declined: MatchReply = read(&rig.accept("bob", &found.id, false));
    assert_eq!(declined.status, MatchStatus::Abandoned);
    assert_eq!(problem(&rig.accept("ann", &found.id, true)), "not-accepted");
    let reply: TicketReply = read(&rig.look("ann", &ann));
    assert_eq!(
        (reply.status, reply.since_ms),
        (TicketStatus::Waiting, ann.since_ms)
    );
    let reply: TicketReply = read(&rig.look("bob", &bob));
    assert_eq!(reply.ended, Some(TicketEnd::NotAccepted));
    assert_eq!(rig.queue("q", "bob", "again").status, 201);
    // Taking the ticket back while a match is proposed is the same as declining.
    let found = rig.until("ann", &ann, TicketStatus::Proposed);
    assert_eq!(
        rig.call("ann", "DELETE", &path(&found), Value::Null).status,
        204
    );
    let reply: TicketReply = read(&rig.look("ann", &ann));
    assert_eq!(reply.status, TicketStatus::Ended);
}

#[test]
fn results_change_ratings_once_and_free_the_players() {
    let rig = duel();
    let (_, _, found) = matched(&rig);
    let result = format!("/v1/match/matches/{}/result", found.id);
    let names: Vec<&str> = found.teams.iter().map(|team| team.name.as_str()).collect();
    let body = json!({ "ranks": { names[0]: 1, names[1]: 2 } });
    assert_eq!(
        problem(&rig.call("ann", "POST", &result, body.clone())),
        "game-server-only"
    );
    assert_eq!(
        problem(&rig.server("POST", &result, json!({ "ranks": {} }))),
        "body-invalid"
    );
    let first: ResultReply = read(&rig.server("POST", &result, body.clone()));
    let again: ResultReply = read(&rig.server("POST", &result, body));
    assert_eq!(first, again);
    let winner = found.teams[0].players[0].as_str();
    let ratings = format!("/v1/match/queues/q/ratings/{winner}");
    let rated: RatingReply = read(&rig.call(winner, "GET", &ratings, Value::Null));
    assert_eq!(rated.matches, 1);
    assert!(
        rated.rating.mu > 25.0 && rated.rating.sigma < 25.0 / 3.0,
        "{rated:?}"
    );
    let other = found.teams[1].players[0].as_str();
    assert_eq!(
        problem(&rig.call(other, "GET", &ratings, Value::Null)),
        "game-server-only"
    );
    assert_eq!(rig.queue("q", winner, "next").status, 201);
    let over: MatchReply = read(&rig.call(
        winner,
        "GET",
        &format!("/v1/match/matches/{}", found.id),
        Value::Null,
    ));
    assert_eq!((over.status, over.seat), (MatchStatus::Over, None));
}

#[test]
fn who_leaves_a_match_may_queue_and_another_takes_his_place() {
    let rig = Rig::with_queue(3, &rules(2, 1, json!({ "backfill": { "until_s": 600 } })));
    let (ann, _, found) = matched(&rig);
    assert_eq!(problem(&rig.queue("q", "ann", "next")), "already-queued");
    assert_eq!(
        rig.call(
            "ann",
            "DELETE",
            &format!("{}/party", path(&ann)),
            Value::Null
        )
        .status,
        204
    );
    let backfill = format!("/v1/match/matches/{}/backfill", found.id);
    let reply: BackfillReply = read(&rig.server("PUT", &backfill, json!({ "left": ["ann"] })));
    assert_eq!(reply.wanted.values().sum::<u32>(), 1);
    rig.pass(1_000);
    let cid = rig.queued("q", "cid");
    let joined = rig.until("cid", &cid, TicketStatus::Matched).found.unwrap();
    assert_eq!(joined.id, found.id);
    let players: Vec<&str> = joined
        .teams
        .iter()
        .flat_map(|team| &team.players)
        .map(|player| player.as_str())
        .collect();
    assert!(
        players.contains(&"cid") && players.contains(&"bob") && !players.contains(&"ann"),
        "{players:?}"
    );
    let seen: MatchReply = read(&rig.call(
        "bob",
        "GET",
        &format!("/v1/match/matches/{}", found.id),
        Value::Null,
    ));
    assert_eq!(seen.teams, joined.teams);
    // The match is whole: who comes now waits.
    rig.pass(1_000);
    let dan = rig.queued("q", "dan");
    rig.pass(3_000);
    let reply: TicketReply = read(&rig.look("dan", &dan));
    assert_eq!(reply.status, TicketStatus::Waiting);
}

#[test]
fn who_may_watch_hears_all_teams_and_speaks_in_none() {
    let rig = duel();
    let (_, _, found) = matched(&rig);
    let seats = format!("/v1/match/matches/{}/spectators", found.id);
    assert_eq!(
        problem(&rig.call("eve", "POST", &seats, Value::Null)),
        "channel-not-granted"
    );
    let watch = |player: &str| {
        let mut claims = rig::claims(player, None);
        claims.grants = vec![Grant {
            room: "match-*".into(),
            channels: vec!["spectators".into()],
            permissions: vec![Permission::Listen],
        }];
        rig.send(rig::request(&claims, "POST", &seats, Value::Null))
    };
    let reply: MatchReply = read(&watch("eve"));
    let channels = reply.seat.unwrap().channels;
    let channels: Vec<&str> = channels.iter().map(|channel| channel.as_str()).collect();
    assert_eq!(channels, ["spectators", "all", "team-t-1", "team-t-2"]);
    for at in 1..wire::matching::MAX_SPECTATORS {
        assert_eq!(watch(&format!("w{at}")).status, 200);
    }
    assert_eq!(problem(&watch("late")), "limit-reached");
    assert_eq!(watch("eve").status, 200, "again");
}

#[test]
fn a_client_that_starts_anew_finds_its_invitation_its_ticket_and_its_match() {
    let rig = Rig::with_queue(2, &rules(1, 2, json!({})));
    let seat = |player: &str| -> SeatReply {
        read(&rig.call(player, "GET", "/v1/match/seat", Value::Null))
    };
    let queue = "/v1/match/queues/q/tickets";
    let ann: TicketReply = read(&rig.call("ann", "POST", queue, ticket("k", &["ann", "bob"])));
    let invited = seat("bob").invitations;
    assert_eq!(
        (&invited[0].ticket, invited[0].leader.as_str()),
        (&ann.ticket, "ann")
    );
    assert_eq!(
        rig.look("bob", &ann).status,
        200,
        "he sees it before he joins"
    );
    let _: TicketReply = read(&rig.call("bob", "PUT", &format!("{}/party", path(&ann)), json!({})));
    assert_eq!(seat("bob").ticket, Some(ann.ticket.clone()));
    assert_eq!(seat("bob").invitations, [], "he has joined");
    let found = rig.until("bob", &ann, TicketStatus::Matched).found.unwrap();
    for _ in 0..20 {
        rig.pass(60_000);
        assert_eq!(seat("bob").found.as_ref(), Some(&found.id));
    }
    assert_eq!(problem(&rig.queue("duel", "bob", "next")), "already-queued");
    assert_eq!(
        rig.call(
            "bob",
            "DELETE",
            &format!("{}/party", path(&ann)),
            Value::Null
        )
        .status,
        204
    );
    assert_eq!(rig.queue("duel", "bob", "next").status, 201);
}

#[test]
fn a_waiting_ticket_is_told_what_stands_in_its_way() {
    let spread = json!({ "rating": { "spread": 5 }, "expansions": [
        { "path": "rating.spread", "steps": [{ "after_s": 30, "value": 50 }] }
    ] });
    let rig = Rig::with_queue(4, &rules(2, 1, spread));
    let rated = |player: &str, mu: f64| {
        json!({ "key": player, "players": [
        { "player": player, "details": { "rating": { "mu": mu, "sigma": 2.0 } } }
    ] })
    };
    let path = "/v1/match/queues/q/tickets";
    let ann: TicketReply = read(&rig.server("POST", path, rated("ann", 10.0)));
    rig.pass(1_000);
    let _: TicketReply = read(&rig.server("POST", path, rated("bob", 40.0)));
    let why = rig.explain("ann", &ann).modes.remove(0);
    assert!(!why.matchable);
    assert_eq!(
        why.blocked_by.first().map(String::as_str),
        Some("rating.spread"),
        "{why:?}"
    );
    assert_eq!(why.next_expansion_s, Some(29));
    rig.pass(30_000);
    rig.until("ann", &ann, TicketStatus::Matched);
}

#[test]
fn players_who_block_each_other_never_meet() {
    let rig = duel();
    let blocking = json!({ "key": "k", "players": [
        { "player": "ann", "details": { "blocks": ["bob"] } }
    ] });
    let ann: TicketReply = read(&rig.call("ann", "POST", "/v1/match/queues/q/tickets", blocking));
    let bob = rig.queued("q", "bob");
    for _ in 0..10 {
        rig.pass(20_000);
        for (player, ticket) in [("ann", &ann), ("bob", &bob)] {
            let reply: TicketReply = read(&rig.look(player, ticket));
            assert_eq!(reply.status, TicketStatus::Waiting);
        }
    }
    let cid = rig.queued("q", "cid");
    rig.until("cid", &cid, TicketStatus::Matched);
}

#[test]
fn a_party_that_names_no_mode_plays_those_that_take_it() {
    let mode = |name: &str, size: u32| {
        let mut mode = rules(2, size, json!({}))["modes"][0].clone();
        mode["mode"] = json!(name);
        mode
    };
    let modes = json!([mode("duel", 1), mode("pairs", 2)]);
    let rig = Rig::with_queue(1, &json!({ "version": 2, "modes": modes }));
    let path = "/v1/match/queues/q/tickets";
    let wants = |players: &[&str]| -> Vec<String> {
        let asked = rig.call(players[0], "POST", path, ticket("k", players));
        let reply: TicketReply = read(&asked);
        reply.modes.iter().map(ToString::to_string).collect()
    };
    assert_eq!(wants(&["ann"]), ["duel", "pairs"]);
    assert_eq!(wants(&["bob", "cid"]), ["pairs"]);
    let three = rig.call("dan", "POST", path, ticket("k", &["dan", "eve", "fay"]));
    assert_eq!(problem(&three), "party-too-large");
    let mut named = ticket("k", &["dan", "eve"]);
    named["modes"] = json!(["duel", "pairs"]);
    let named = rig.call("dan", "POST", path, named);
    assert_eq!(problem(&named), "party-too-large", "he asked for duels");
}

#[test]
fn a_poll_reads_the_ticket_and_the_lease_and_nothing_that_all_players_share() {
    let rig = duel();
    let ann = rig.queued("q", "ann");
    // No pass is due again so soon.
    let polled = rig::share(&rig.look("ann", &ann));
    assert_eq!((polled.store_reads, polled.store_writes), (2, 0));
}

#[test]
fn an_explanation_of_a_large_pool_reads_a_part_of_it_and_knows_the_ticket() {
    let alone = json!({ "rating": { "spread": 0.1 } });
    let rig = Rig::with_queue(4, &rules(2, 1, alone));
    let rated = |player: &str, mu: f64| {
        let details = json!({ "rating": { "mu": mu, "sigma": 2.0 } });
        json!({ "key": player, "players": [{ "player": player, "details": details }] })
    };
    let path = "/v1/match/queues/q/tickets";
    for number in 0..300 {
        let name = format!("p{number}");
        let body = rated(&name, f64::from(number) / 2.0 - 100.0);
        assert_eq!(rig.server("POST", path, body).status, 201);
    }
    rig.pass(1);
    let ann: TicketReply = read(&rig.server("POST", path, rated("ann", 900.0)));
    let explanation = format!("{}/explanation", rig::path(&ann));
    let response = rig.call("ann", "GET", &explanation, Value::Null);
    let why: wire::matching::Explanation = read(&response);
    assert_eq!(why.modes[0].blocked_by[0], "rating.spread");
    let reads = rig::share(&response).store_reads;
    assert!((64..84).contains(&reads), "{reads} items");
}

#[test]
fn what_is_wrong_is_named() {
    let rig = duel();
    let queue = |body: Value| problem(&rig.call("ann", "POST", "/v1/match/queues/q/tickets", body));
    let with = |details: Value| {
        let player = json!({ "player": "ann", "details": details });
        json!({ "key": "k", "players": [player] })
    };
    assert_eq!(problem(&rig.queue("nowhere", "ann", "k")), "unknown-queue");
    assert_eq!(
        queue(
            json!({ "key": "k", "modes": ["x"], "players": [{ "player": "ann", "details": {} }] })
        ),
        "unknown-mode"
    );
    assert_eq!(queue(ticket("k", &["ann", "bob"])), "party-too-large");
    assert_eq!(queue(ticket("k", &["bob"])), "body-invalid");
    assert_eq!(queue(json!({ "key": "k", "players": [] })), "body-invalid");
    assert_eq!(
        queue(with(json!({ "rating": { "mu": 90.0, "sigma": 1.0 } }))),
        "game-server-only"
    );
    assert_eq!(
        queue(with(json!({ "languages": vec!["x"; 65] }))),
        "body-invalid"
    );
    assert_eq!(
        queue(with(json!({ "attributes": { "a": "x".repeat(65) } }))),
        "body-invalid"
    );
    let unknown = rig.call(
        "ann",
        "GET",
        "/v1/match/queues/q/tickets/nonsense",
        Value::Null,
    );
    assert_eq!(problem(&unknown), "unknown-ticket");
    let gone = "/v1/match/queues/q/tickets/0.1700000000000.aaaaaaaaaaaaaaaa";
    assert_eq!(
        problem(&rig.call("ann", "GET", gone, Value::Null)),
        "ticket-expired"
    );
    assert_eq!(
        problem(&rig.call("ann", "GET", "/v1/match/matches/none", Value::Null)),
        "unknown-match"
    );
    assert_eq!(
        rig.queue("q", "ann", "k").status,
        201,
        "nothing of this took the seat"
    );
}

#[test]
fn rules_are_checked_and_only_go_forward() {
    let rig = Rig::new(5);
    let put = |path: &str, body: &Value| rig.operator("PUT", path, body.clone());
    let good = rules(2, 3, json!({}));
    let mut bad = good.clone();
    bad["modes"][0]["teams"][0]["players"]["min"] = json!(4);
    let refused = put("/v1/match/queues/q", &bad);
    assert_eq!(problem(&refused), "rules-invalid");
    assert!(
        text(&refused).contains("modes[0].teams[0].players"),
        "{}",
        text(&refused)
    );
    assert_eq!(put("/v1/match/queues/q?check=1", &good).status, 200);
    assert_eq!(
        problem(&rig.queue("q", "ann", "k")),
        "unknown-queue",
        "only checked"
    );
    assert_eq!(put("/v1/match/queues/q", &good).status, 200);
    assert_eq!(
        put("/v1/match/queues/q", &good).status,
        200,
        "the same again"
    );
    let mut older = good.clone();
    older["modes"][0]["max_wait_s"] = json!(90);
    assert_eq!(
        problem(&put("/v1/match/queues/q", &older)),
        "rules-outdated"
    );
    older["version"] = json!(3);
    let kept: QueueRules = read(&put("/v1/match/queues/q", &older));
    assert_eq!(kept.version, 3);
    let player = rig.call("ann", "PUT", "/v1/match/queues/q", good);
    assert_eq!(problem(&player), "operator-only");
}

#[test]
fn every_route_answers_to_nobody_without_a_token() {
    let rig = duel();
    let routes = wire::routes::ROUTES.iter();
    for route in routes.filter(|route| route.function == wire::routes::Function::Matchmaking) {
        let path = route.path.replace(['{', '}'], "");
        let mut request = rig::request(
            &rig::claims("ann", Some(Role::Operator)),
            route.method,
            &path,
            Value::Null,
        );
        request.authorization = None;
        assert_eq!(
            problem(&rig.send(request)),
            "token-invalid",
            "{}",
            route.name
        );
    }
}
