//! Runs of the whole service, as it is today, hold.

use sim::fleet::{Reach, Sabotage, Worst, run};

/// A search as it fits into a minute; the long one is `cargo xtask sim --fleet`.
const SEEDS: u64 = 400;

#[test]
fn committed_seeds_hold() {
    let (mut heard, mut worst, mut happened) = (0, Worst::default(), 0);
    for seed in 0..SEEDS {
        match run(seed, &Reach::TODAY, Sabotage::None) {
            Ok(report) => {
                heard += report.heard;
                worst = worst.or(report.worst);
                happened += report.transitions.len();
            }
            Err(violation) => panic!("{violation}"),
        }
    }
    println!("{SEEDS} seeds: {heard} voice packets heard, {happened} transitions, {worst:?}");
    let all = (heard, happened);
    assert!(
        heard > 500 * SEEDS && happened > 10 * SEEDS as usize,
        "a world in which so little happens proves nothing: {all:?}"
    );
    assert!(
        worst.failover_ms > 0 && worst.lost_ms > 0,
        "nobody was ever lost: {worst:?}"
    );
}

#[test]
fn a_seed_makes_one_run() {
    for seed in [3, 17, 58] {
        let once = run(seed, &Reach::TODAY, Sabotage::None).expect("a committed seed");
        let again = run(seed, &Reach::TODAY, Sabotage::None).expect("a committed seed");
        assert_eq!(once, again);
        let other = run(seed + 1, &Reach::TODAY, Sabotage::None).expect("a committed seed");
        assert_ne!(once.transitions, other.transitions);
    }
}
