//! The table of infra/ops/CAPACITY.md.

use std::collections::BTreeSet;

use edge::http::Response;
use edge::testing::schedule::interleave;
use partitions::balance::spread;
use partitions::load;
use partitions::measure::{KINDS, grown, just_begun, kind, measure, set_queue, settled};
use partitions::table::{FILE, file, path, table};

#[test]
fn the_table_is_what_is_measured_and_every_partition_holds() {
    let measured = measure();
    let wanted = file(&measured).unwrap();
    let text = std::fs::read_to_string(path()).unwrap();
    assert!(
        text == wanted,
        "{FILE} is of another time; run: cargo xtask bench store"
    );
    for row in table(&measured) {
        let heat = row.heat(&measured);
        assert!(heat.share() < 1.0, "{}: {heat:?}", row.kind);
    }
}

#[test]
fn the_table_has_every_partition_that_a_function_may_touch() {
    let permissions = include_str!("../../../../functions/permissions.json");
    let permissions: serde_json::Value = serde_json::from_str(permissions).unwrap();
    let listed: BTreeSet<String> = permissions
        .as_object()
        .unwrap()
        .values()
        .flat_map(|function| function["partitions"].as_array().unwrap())
        .map(|partition| partition.as_str().unwrap().trim_end_matches('*').to_owned())
        .collect();
    let measured = measure();
    let rows: BTreeSet<&str> = table(&measured).iter().map(|row| row.kind).collect();
    assert_eq!(rows, KINDS.into_iter().collect());
    for beginning in &listed {
        let is_there = |kind: &&&str| match beginning.ends_with('#') {
            true => kind.starts_with(beginning.as_str()),
            false => **kind == beginning,
        };
        assert!(
            rows.iter().any(|kind| is_there(&kind)),
            "{beginning} is in no row"
        );
    }
    assert_eq!(kind("match-pool#duel#3"), "match-pool#QUEUE#LANE");
    assert_eq!(kind("region#eu#7"), "region#REGION#BUCKET");
    assert_eq!(kind("region#eu#buckets"), "region#REGION#buckets");
}

#[test]
fn a_large_region_breaks_as_one_partition_and_holds_in_buckets() {
    let before = load::region(just_begun(1));
    assert!(before.new_rooms.refused_share() > 0.5, "{before:?}");
    let after = load::region(grown(1));
    for answers in [after.heartbeats, after.joins, after.new_rooms] {
        assert!(answers.done > 100 && answers.refused == 0, "{after:?}");
    }
    assert_eq!(after.hottest.refused, 0);
}

#[test]
fn the_world_channel_of_a_large_region_breaks_as_one_hall_and_holds_as_many() {
    let before = load::world(just_begun(1));
    assert!(before.told < 0.5, "{before:?}");
    let after = load::world(settled(1));
    assert!(after.messages.done > 300 && after.messages.refused == 0);
    assert_eq!((after.told, after.hottest.refused), (1.0, 0), "{after:?}");
    // What the table says that each message is.
    let wanted = after.messages.done as f64 * measure().told() / load::SECONDS as f64;
    let is_near = (after.pushes as f64 / wanted - 1.0).abs() < 0.1;
    assert!(is_near, "{after:?} and not {wanted} requests a second");
}

#[test]
fn of_many_passes_at_once_one_looks_at_the_fleet() {
    for seed in 0..20 {
        let game = grown(seed);
        set_queue(&game, "many", 16, true);
        let tick = |player: usize| {
            let player = format!("player-{player}");
            let body = serde_json::json!({
                "key": "k", "players": [{ "player": player, "details": {} }],
            });
            let path = "/v1/match/queues/many/tickets";
            game.request(&player, "POST", path, &body)
        };
        let answers = |players: std::ops::Range<usize>| {
            let tasks = players
                .map(|player| Box::pin(matchmaking::handle(&game, tick(player))) as _)
                .collect();
            interleave::<Response>(seed, tasks)
        };
        assert!(answers(0..1).iter().all(|reply| reply.status == 201));
        // The summary is old, and the lanes of sixty tickets are due.
        game.pass(4_000);
        game.store.take_used();
        assert!(answers(1..61).iter().all(|reply| reply.status == 201));
        let used = game.store.take_used();
        assert!(used["match-world"].reads > 5, "seed {seed}: {used:?}");
        assert_eq!(used["regions"].reads, 1, "seed {seed}");
    }
}

#[test]
fn the_fullest_of_a_thousand_shards_has_a_quarter_more_than_the_mean_at_most() {
    for seed in [1, 2] {
        let spread = spread(seed, 10_000, false);
        assert!(spread.fullest < 1.25, "seed {seed}: {spread:?}");
        assert!(spread.fullest > 1.0 && spread.deviation > 0.0);
    }
}
