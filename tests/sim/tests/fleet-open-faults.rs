//! Faults of the service that are known and not mended: each is played, and is seen. Whoever mends
//! one moves its test to `fleet-faults-are-mended.rs`, and widens `Reach::TODAY`, so that every
//! search goes there.

#![expect(clippy::print_stdout, reason = "which seeds find a fault")]

use sim::fleet::{Reach, Sanction, Script, Transition, play};

/// Seeds of each script.
const SEEDS: u64 = 12;

/// Asserts that some seed finds `what`, that the seed says again, and that nothing is found where
/// nothing happens.
fn finds(script: &Script<'_>, what: &str) {
    let nothing = Script {
        happens: &[],
        ..*script
    };
    for seed in 0..3 {
        let held = play(seed, &Reach::TODAY, &nothing);
        assert!(held.is_ok(), "{held:?}");
    }
    let said = |seed| play(seed, &Reach::TODAY, script).err().map(|it| it.what);
    let found: Vec<_> = (0..SEEDS).map(said).collect();
    let is_it = |said: &Option<String>| said.as_ref().is_some_and(|said| said.contains(what));
    let seeds: Vec<_> = (0..SEEDS)
        .filter(|seed| is_it(&found[*seed as usize]))
        .collect();
    println!("`{what}` is found by {seeds:?} of {SEEDS} seeds");
    assert!(!seeds.is_empty(), "nobody finds `{what}`, but {found:?}");
}

/// What an edge orders whose clock was set back counts as older than who came before: a ban that
/// is done leaves the player where he is.
#[test]
fn a_ban_by_an_edge_whose_clock_was_set_back_is_lost() {
    let script = Script {
        shards: 2,
        players: 3,
        happens: &[
            (10_000, Transition::StepEdge { ms: -30_000 }),
            (14_000, Transition::Sanction(Sanction::Ban, 1)),
        ],
        until_ms: 40_000,
    };
    finds(&script, "although he is banned");
}

/// An edge whose clock is set forth by more than ten minutes has forgotten every shard until it is
/// heard of again, and keeps nothing for one that it does not know.
#[test]
fn a_mute_is_lost_while_the_edge_has_forgotten_the_shard() {
    let script = Script {
        shards: 2,
        players: 3,
        happens: &[
            (10_000, Transition::StepEdge { ms: 3_600_000 }),
            (10_050, Transition::Sanction(Sanction::Mute, 1)),
        ],
        until_ms: 40_000,
    };
    finds(&script, "who is muted");
}
