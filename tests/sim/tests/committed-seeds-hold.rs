//! Replays the committed seeds: those that once found something, and some for breadth.

use sim::{Sabotage, run};

fn seeds() -> Vec<u64> {
    let lines = include_str!("../seeds.txt").lines();
    let numbers = lines.filter_map(|line| line.split('#').next()?.trim().parse().ok());
    numbers.collect()
}

#[test]
fn committed_seeds_hold() {
    let seeds = seeds();
    assert!(seeds.len() >= 20, "the list was not read");
    let mut heard = 0;
    for seed in seeds {
        match run(seed, Sabotage::None) {
            Ok(report) => heard += report.heard,
            Err(violation) => panic!("{violation}"),
        }
    }
    assert!(
        heard > 10_000,
        "a world in which {heard} packets are heard proves nothing"
    );
}

#[test]
fn a_seed_makes_one_run() {
    let once = run(3, Sabotage::None).expect("a committed seed");
    let again = run(3, Sabotage::None).expect("a committed seed");
    assert_eq!(once, again);
    let other = run(4, Sabotage::None).expect("a committed seed");
    assert_ne!(once.transitions, other.transitions);
}
