//! Faults of the service that the simulation found, and that are mended: each is played as it was,
//! and holds.

use sim::fleet::{Reach, Script, StoreWeather, Transition, play};

/// Seeds of each script; all of them found it, or half.
const SEEDS: u64 = 12;

fn holds(script: &Script<'_>) {
    for seed in 0..SEEDS {
        if let Err(violation) = play(seed, &Reach::TODAY, script) {
            panic!("{violation}");
        }
    }
}

/// A shard that was frozen until its room had moved came back, and kept whoever was still there: a
/// player whose machine slept meanwhile. He and the others did not hear each other, for good.
#[test]
fn a_home_is_fenced() {
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
    holds(&script);
}

/// A shard whose clock was set back was dead for the edge, which answered each of its heartbeats:
/// its room moved with the next join, and those who were there stayed.
#[test]
fn a_shard_whose_clock_is_set_back_is_not_dead() {
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
    holds(&script);
}

/// After a restart with a clock behind, tickets went to the boot that was gone.
#[test]
fn no_tickets_go_to_a_boot_that_is_gone() {
    let script = Script {
        shards: 1,
        players: 3,
        happens: &[
            (6_000, Transition::Kill(0)),
            (
                6_000,
                Transition::StepRelay {
                    shard: 0,
                    ms: -29_000,
                },
            ),
            (6_500, Transition::Start(0)),
        ],
        until_ms: 45_000,
    };
    holds(&script);
}

/// Who lost his relay came back when the edge had not heard of it for ten seconds.
#[test]
fn failing_over_takes_four_seconds() {
    assert!(
        Reach::TODAY
            .failover_max
            .is_some_and(|max| max.as_millis() <= 4_500)
    );
    for lost in [Transition::Kill, Transition::Freeze] {
        for shard in 0..2 {
            let script = Script {
                shards: 2,
                players: 4,
                happens: &[(15_000, lost(shard))],
                until_ms: 30_000,
            };
            holds(&script);
        }
    }
}

/// A store that was gone for a minute moved rooms that were well.
#[test]
fn an_outage_of_the_store_moves_no_healthy_room() {
    let of = |up_ms: u64| {
        let mut happens = vec![
            (8_000, Transition::Store(StoreWeather::Down)),
            (up_ms, Transition::Store(StoreWeather::Fine)),
        ];
        // Somebody comes at each moment until all shards have been heard of.
        happens.extend((0..4).map(|n| (up_ms + 100 + 400 * n, Transition::Join(0))));
        happens
    };
    for up_ms in [68_000, 68_500, 69_000, 69_500] {
        let script = Script {
            shards: 3,
            players: 1,
            happens: &of(up_ms),
            until_ms: 80_000,
        };
        for seed in 0..3 {
            if let Err(violation) = play(seed, &Reach::TODAY, &script) {
                panic!("{violation}");
            }
        }
    }
}

/// The edge's clock was set forth, and no shard had been heard of for long.
#[test]
fn an_edge_whose_clock_is_set_forth_moves_no_healthy_room() {
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
    holds(&script);
}

/// A drain that was taken back left those where they were who had not been asked yet; the others
/// had moved, with the room's home.
#[test]
fn a_drain_that_is_taken_back_splits_no_room() {
    holds(&Script {
        shards: 2,
        players: 4,
        happens: &[
            (8_000, Transition::Drain(0, true)),
            (14_000, Transition::Drain(0, false)),
        ],
        until_ms: 60_000,
    });
}
