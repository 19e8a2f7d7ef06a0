//! Who queues up and takes it back, declines, or stays silent, waits for it himself; nobody else
//! does.

use crate::rig::{Rig, path, problem, read, rules, share, ticket};
use edge::ports::Clock;
use serde_json::{Value, json};
use wire::matching::{MatchReply, TicketReply, TicketStatus};

/// Ten at once, and one each six seconds.
const AT_ONCE: usize = 10;
const EVERY_MS: u64 = 6_000;
/// Longest time from one pass of a lane to the next.
const PASS_MS: u64 = 2_000;

fn take_back(rig: &Rig, player: &str, queued: &TicketReply) {
    let response = rig.call(player, "DELETE", &path(queued), Value::Null);
    assert_eq!(response.status, 204);
}

/// Queues up and takes it back as often as he is let.
fn churn(rig: &Rig, player: &str, tries: usize) -> usize {
    let mut taken = 0;
    for number in 0..tries {
        let response = rig.queue("q", player, &format!("c{number}-{}", rig.now_ms()));
        if response.status == 201 {
            taken += 1;
            take_back(rig, player, &read(&response));
        } else {
            assert_eq!(problem(&response), "too-fast");
        }
    }
    taken
}

/// What he is told to wait, seconds.
fn told_to_wait_s(rig: &Rig, player: &str) -> u64 {
    let response = rig.queue("q", player, "one-more");
    assert_eq!(
        (response.status, problem(&response).as_str()),
        (429, "too-fast")
    );
    let wait = response
        .headers
        .iter()
        .find(|(name, _)| *name == "retry-after");
    wait.unwrap().1.parse().unwrap()
}

#[test]
fn who_queues_up_too_often_is_told_when_he_may_again() {
    let rig = Rig::with_queue(7, &rules(2, 2, json!({})));
    assert_eq!(churn(&rig, "mal", 40), AT_ONCE);
    let wait_s = told_to_wait_s(&rig, "mal");
    assert_eq!(wait_s, EVERY_MS / 1000);
    rig.pass(wait_s * 1000);
    assert_eq!(churn(&rig, "mal", 10), 1);
    // Nor by way of other people's parties, whose leader is told the same.
    let body = ticket("k", &["ann", "mal"]);
    let ann: TicketReply = read(&rig.call("ann", "POST", "/v1/match/queues/q/tickets", body));
    let join = format!("{}/party", path(&ann));
    let joined = rig.call("mal", "PUT", &join, json!({}));
    assert_eq!(problem(&joined), "too-fast");
}

/// How long pairs of honest players wait, each by their own clock, and what their polls read at
/// most, while so many others queue up and take it back as often as they can.
fn waits(churners: usize) -> (Vec<u64>, u32) {
    let rig = Rig::with_queue(8, &rules(2, 1, json!({})));
    let (mut waits_ms, mut most_read) = (Vec::new(), 0);
    for round in 0..12 {
        for number in 0..churners {
            churn(&rig, &format!("mal{number}"), AT_ONCE + 2);
        }
        rig.pass(1);
        let pair = ["a", "b"].map(|name| format!("{name}{round}"));
        let tickets = pair.each_ref().map(|player| rig.queued("q", player));
        let mut waited_ms = 0;
        loop {
            let looks = [0, 1].map(|n| rig.look(&pair[n], &tickets[n]));
            let reads = looks.iter().map(|look| share(look).store_reads);
            most_read = reads.fold(most_read, u32::max);
            let replies = looks.each_ref().map(read::<TicketReply>);
            if replies.iter().all(|r| r.status == TicketStatus::Matched) {
                break;
            }
            waited_ms += 500;
            assert!(waited_ms < 60_000, "never");
            rig.pass(500);
        }
        waits_ms.push(waited_ms);
        // The churners have as many tickets again.
        rig.pass(AT_ONCE as u64 * EVERY_MS);
    }
    (waits_ms, most_read)
}

#[test]
fn honest_waits_do_not_depend_on_who_comes_and_goes() {
    let (alone, _) = waits(0);
    let (beside, most_read) = waits(30);
    assert_eq!(alone, beside);
    assert!(most_read < 20, "{most_read} items in one poll");
}

/// The most that a poll of somebody reads who has waited longer than all others came and went, at
/// the pace that they are allowed, for as long as what they leave is kept: items and read units.
fn most_read(churners: usize) -> (u32, u32) {
    let rig = Rig::with_queue(3, &rules(2, 2, json!({})));
    let old = rig.queued("q", "old");
    for number in 0..churners {
        churn(&rig, &format!("mal{number}"), AT_ONCE);
    }
    let mut most = (0, 0);
    for _ in 0..16 {
        rig.pass(EVERY_MS - PASS_MS);
        for number in 0..churners {
            churn(&rig, &format!("mal{number}"), 1);
        }
        // A pass is due, and hers.
        rig.pass(PASS_MS);
        let share = share(&rig.look("old", &old));
        let read = (share.store_reads, share.store_read_units);
        most = most.max(read);
    }
    most
}

#[test]
fn a_pass_reads_who_waits_and_not_who_came_and_went() {
    // It was 695 items beside thirty, and 23,005 beside a thousand.
    assert_eq!(most_read(30), most_read(0));
}

#[test]
fn who_declines_match_after_match_waits_longer_each_time() {
    let acceptance = json!({ "acceptance": { "timeout_s": 20 } });
    for silent in [false, true] {
        let rig = Rig::with_queue(9, &rules(2, 1, acceptance.clone()));
        let ann = rig.queued("q", "ann");
        for expected_s in [0, 10, 60] {
            let mal: TicketReply = read(&rig.queue("q", "mal", &format!("k{expected_s}")));
            let found = rig
                .until("mal", &mal, TicketStatus::Proposed)
                .found
                .unwrap();
            let _: MatchReply = read(&rig.accept("ann", &found.id, true));
            if silent {
                rig.pass(21_000);
            } else {
                let _: MatchReply = read(&rig.accept("mal", &found.id, false));
            }
            let ann: TicketReply = read(&rig.look("ann", &ann));
            assert_eq!(ann.status, TicketStatus::Waiting, "her place is kept");
            if expected_s > 0 {
                let wait_s = told_to_wait_s(&rig, "mal");
                assert_eq!(wait_s, expected_s);
                rig.pass(wait_s * 1000);
            }
        }
        // It cost her nothing but those matches.
        take_back(&rig, "ann", &ann);
        assert_eq!(churn(&rig, "ann", AT_ONCE - 1), AT_ONCE - 1);
    }
}

#[test]
fn a_leader_cannot_throw_his_party_out_of_a_running_match() {
    let rig = Rig::with_queue(5, &rules(2, 2, json!({})));
    let [first, _] = [["ann", "bob"], ["cid", "dan"]].map(|party| {
        let body = ticket("k", &party);
        let queued: TicketReply =
            read(&rig.call(party[0], "POST", "/v1/match/queues/q/tickets", body));
        let join = format!("{}/party", path(&queued));
        let _: TicketReply = read(&rig.call(party[1], "PUT", &join, json!({})));
        queued
    });
    let found = rig
        .until("ann", &first, TicketStatus::Matched)
        .found
        .unwrap();
    take_back(&rig, "ann", &first);
    let look = format!("/v1/match/matches/{}", found.id);
    let left: MatchReply = read(&rig.call("bob", "GET", &look, Value::Null));
    assert!(left.seat.is_some(), "bob plays on");
    assert_eq!(
        problem(&rig.call("ann", "GET", &look, Value::Null)),
        "not-in-match"
    );
    assert_eq!(problem(&rig.queue("q", "bob", "n")), "already-queued");
    // The game may.
    let server = rig.server("DELETE", &path(&first), Value::Null);
    assert_eq!(server.status, 204);
    assert_eq!(rig.queue("q", "bob", "n").status, 201);
}
