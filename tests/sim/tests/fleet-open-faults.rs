//! Faults of the service that are known and not mended: each is played, and is seen. Whoever mends
//! one turns its test round, and widens `Reach::TODAY`, so that every search goes there.

use std::time::Duration;

use sim::fleet::{Reach, Script, StoreWeather, Transition, play};

/// Seeds of each script.
const SEEDS: u64 = 12;

/// Plays a script with seed after seed; what is violated, and by which of them.
fn violations(script: &Script<'_>, seeds: std::ops::Range<u64>, reach: &Reach) -> Vec<(u64, String)> {
    let violated = |seed| Some((seed, play(seed, reach, script).err()?.what));
    seeds.filter_map(violated).collect()
}

/// Asserts that some seed finds `what`, and prints which.
fn finds(script: &Script<'_>, reach: &Reach, what: &str) {
    let found = violations(script, 0..SEEDS, reach);
    let seeds: Vec<u64> = found
        .iter()
        .filter(|(_, said)| said.contains(what))
        .map(|(seed, _)| *seed)
        .collect();
    println!("`{what}` is found by {} of {SEEDS} seeds: {seeds:?}; {found:?}", seeds.len());
    assert!(!seeds.is_empty(), "nobody finds `{what}`, but {found:?}");
}

/// Everything else of a script holds: it is the fault that is seen.
fn holds_without(script: &Script<'_>) {
    let script = Script {
        happens: &[],
        ..*script
    };
    assert_eq!(violations(&script, 0..5, &Reach::TODAY), []);
}

/// A shard that was frozen until its room has moved comes back, and keeps whoever is still there: a
/// player whose machine slept meanwhile. He and the others do not hear each other, for good.
#[test]
fn a_home_is_not_fenced() {
    let sleeps = Transition::Sleep {
        player: 2,
        ms: 11_500,
    };
    let script = Script {
        shards: 2,
        players: 4,
        happens: &[
            (6_000, sleeps),
            (6_000, Transition::Freeze(0)),
            (17_000, Transition::Thaw(0)),
        ],
        until_ms: 50_000,
    };
    holds_without(&script);
    finds(&script, &Reach::TODAY, "is split");
}

/// A shard whose clock is set back is dead for the edge, which answers each of its heartbeats: its
/// room moves with the next join, and those who are there stay.
#[test]
fn a_shard_whose_clock_is_set_back_is_dead() {
    let back = Transition::StepRelay {
        shard: 0,
        ms: -25_000,
    };
    let script = Script {
        shards: 2,
        players: 3,
        happens: &[(20_000, back), (34_000, Transition::Join(0))],
        until_ms: 60_000,
    };
    holds_without(&script);
    finds(&script, &Reach::TODAY, "without cause");
}

/// After a restart with a clock behind, tickets go to the boot that is gone.
#[test]
fn tickets_go_to_a_boot_that_is_gone() {
    let script = Script {
        shards: 1,
        players: 3,
        happens: &[
            (6_000, Transition::Kill(0)),
            (6_000, Transition::StepRelay { shard: 0, ms: -29_000 }),
            (6_500, Transition::Start(0)),
        ],
        until_ms: 45_000,
    };
    holds_without(&script);
    finds(&script, &Reach::TODAY, "is lost");
}

/// Who loses his relay comes back when the edge has not heard of it for ten seconds.
#[test]
fn failing_over_takes_ten_seconds() {
    let reach = Reach {
        failover_max: Some(Duration::from_secs(4)),
        ..Reach::TODAY
    };
    for lost in [Transition::Kill, Transition::Freeze] {
        let script = Script {
            shards: 2,
            players: 4,
            happens: &[(15_000, lost(0)), (40_000, lost(1))],
            until_ms: 39_000,
        };
        holds_without(&script);
        finds(&script, &reach, "after his relay was lost");
    }
}

/// A store that was gone for a minute moves rooms that were well.
#[test]
fn an_outage_of_the_store_moves_healthy_rooms() {
    let of = |up_ms: u64| {
        let mut happens = vec![
            (8_000, Transition::Store(StoreWeather::Down)),
            (up_ms, Transition::Store(StoreWeather::Fine)),
        ];
        // Somebody comes at each moment until all shards have been heard of.
        happens.extend((0..4).map(|n| (up_ms + 100 + 400 * n, Transition::Join(0))));
        happens
    };
    let mut found = Vec::new();
    for up_ms in [68_000, 68_500, 69_000, 69_500] {
        let script = Script {
            shards: 3,
            players: 1,
            happens: &of(up_ms),
            until_ms: 80_000,
        };
        holds_without(&script);
        found.extend(violations(&script, 0..3, &Reach::TODAY));
    }
    println!("`without cause`, after an outage of the store: {found:?}");
    assert!(found.iter().any(|(_, said)| said.contains("without cause")), "{found:?}");
}

/// The edge's clock is set forth, and no shard has been heard of for long.
#[test]
fn an_edge_whose_clock_is_set_forth_moves_healthy_rooms() {
    let script = Script {
        shards: 3,
        players: 1,
        happens: &[
            (20_000, Transition::StepEdge { ms: 25_000 }),
            (20_300, Transition::Join(0)),
            (20_700, Transition::Join(0)),
            (21_100, Transition::Join(0)),
            (21_500, Transition::Join(0)),
        ],
        until_ms: 60_000,
    };
    holds_without(&script);
    finds(&script, &Reach::TODAY, "without cause");
}

/// A drain that is taken back leaves those where they are who were not asked yet; the others have
/// moved, with the room's home.
#[test]
fn a_drain_that_is_taken_back_splits_rooms() {
    let script = Script {
        shards: 2,
        players: 4,
        happens: &[
            (8_000, Transition::Drain(0, true)),
            (14_000, Transition::Drain(0, false)),
        ],
        until_ms: 60_000,
    };
    holds_without(&script);
    finds(&script, &Reach::TODAY, "is split");
}
