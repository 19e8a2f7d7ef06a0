//! What holds for all inputs, and the golden file that the browser SDK is held to as well.

use std::time::Duration;

use proptest::prelude::*;
use quality::{Adaptation, Carries, Counts, Heard, Measured, Tally, adapt, score};
use serde_json::{Value, json};

fn heard(concealed: f64, delay_ms: u64) -> Heard {
    Heard {
        concealed,
        coarse: 0.0,
        burst_ratio: 1.0,
        delay: Duration::from_millis(delay_ms),
        bitrate_bps: 32_000,
    }
}

proptest! {
    #[test]
    fn more_loss_and_more_delay_are_never_better(
        lost in 0.0..1.0_f64, more in 0.0..1.0_f64, coarse in 0.0..1.0_f64,
        delay_ms in 0..5_000_u64, longer_ms in 0..5_000_u64,
        burst_ratio in 0.0..20.0_f64, bitrate_bps: u32,
    ) {
        let one = Heard { burst_ratio, bitrate_bps, coarse, ..heard(lost, delay_ms) };
        let worse = [
            Heard { concealed: lost + more, ..one },
            Heard { coarse: coarse + more, ..one },
            Heard { burst_ratio: burst_ratio + more, ..one },
            Heard { delay: one.delay + Duration::from_millis(longer_ms), ..one },
        ];
        for worse in worse {
            let (worse_r, best_r) = (score(&worse).r(), score(&one).r());
            prop_assert!(worse_r <= best_r + 1e-9, "{:?} than {:?}", worse, one);
        }
    }

    #[test]
    fn whatever_is_told_the_rating_is_one(
        concealed: f64, coarse: f64, burst_ratio: f64, delay_ms: u64, bitrate_bps: u32,
    ) {
        let delay = Duration::from_millis(delay_ms);
        let rating = score(&Heard { concealed, coarse, burst_ratio, delay, bitrate_bps });
        prop_assert!((0.0..=100.0).contains(&rating.r()), "{rating:?}");
        prop_assert!((1.0..=4.5).contains(&rating.mos()), "{rating:?}");
    }

    /// Against a list of what came and what was repeated.
    #[test]
    fn a_tally_counts_what_a_list_would(
        came in prop::collection::vec(prop::bool::weighted(0.8), 20..400),
        copies in 0..3_u8, coarse: bool, start in 0..1_000_000_u64,
        swaps in prop::collection::vec(any::<bool>(), 200),
    ) {
        let mut numbers: Vec<usize> = (0..came.len()).filter(|n| *n == 0 || came[*n]).collect();
        let came: Vec<bool> = (0..came.len()).map(|n| n == 0 || came[n]).collect();
        // Neighbours change places, the first of all aside.
        for (pair, swap) in numbers[1..].chunks_exact_mut(2).zip(swaps) {
            if swap && pair[1] - pair[0] < 6 {
                pair.swap(0, 1);
            }
        }
        let mut tally = Tally::default();
        for n in numbers {
            tally.note(start + n as u64, Carries { copies, coarse });
        }
        // Far enough that all of them are over, and itself without a repetition.
        let last = came.len() as u64 + 100;
        tally.note(start + last, Carries::default());
        let found = tally.take();
        let is_there = |n: usize| came.get(n).copied().unwrap_or(false);
        let mut expected = Counts::default();
        let mut was_concealed = false;
        for n in 0..(last - 7) as usize {
            let is_repeated = (1..=usize::from(copies)).any(|k| is_there(n + k));
            let is_coarse = coarse && is_there(n + 1);
            expected.expected += 1;
            expected.lost += u64::from(!is_there(n));
            expected.repeated += u64::from(!is_there(n) && is_repeated);
            expected.coarse += u64::from(!is_there(n) && !is_repeated && is_coarse);
            let is_concealed = !is_there(n) && !is_repeated && !is_coarse;
            expected.bursts += u64::from(is_concealed && !was_concealed);
            was_concealed = is_concealed;
        }
        prop_assert_eq!(found, expected);
        prop_assert!(found.burst_ratio() >= 1.0);
    }

    #[test]
    fn any_numbers_are_counted(numbers: Vec<(u64, u8, bool)>) {
        let mut tally = Tally::default();
        for (number, copies, coarse) in numbers {
            tally.note(number >> 1, Carries { copies, coarse });
            let counts = tally.clone().take();
            prop_assert!(counts.lost <= counts.expected);
            prop_assert!(counts.repeated + counts.coarse <= counts.lost);
        }
    }

    #[test]
    fn a_sender_stays_in_the_table_and_comes_back_to_rest(
        measured in prop::collection::vec((0..=u16::MAX, prop::option::of(any::<u16>()), any::<u16>()), 0..50),
        level: u8, calm: u8, clear: u8, is_congested: bool,
    ) {
        let mut now = Adaptation { level, is_congested, calm, clear };
        for (lost_permille, rtt_ms, jitter_ms) in measured {
            now = adapt::adapt(&Measured { lost_permille, rtt_ms, jitter_ms }, now);
            prop_assert!(now.level <= 3 && now.calm < 3 && now.clear < 3);
        }
        for _ in 0..9 {
            now = adapt::adapt(&Measured::default(), now);
        }
        prop_assert!(now.level == 0 || level > 3, "{now:?}");
        prop_assert!(!now.is_congested);
    }
}

#[test]
fn packets_in_bursts_are_told_from_single_losses() {
    let count = |is_lost: fn(u64) -> bool| {
        let mut tally = Tally::default();
        for n in (0..2000).filter(|n| !is_lost(*n)) {
            tally.note(n, Carries::default());
        }
        tally.take()
    };
    let (single, bursts) = (count(|n| n % 10 == 5), count(|n| n % 40 > 35));
    assert_eq!(single.burst_ratio(), 1.0);
    assert!((bursts.burst_ratio() - 3.6).abs() < 0.05, "{bursts:?}");
    assert!((single.share(single.lost).unwrap() - 0.1).abs() < 0.001);
}

/// What a step is, as the golden file has it.
fn step(measured: &Measured, from: Adaptation, to: Adaptation) -> Value {
    let state = |state: Adaptation| {
        json!({
            "level": state.level, "congested": state.is_congested,
            "calm": state.calm, "clear": state.clear,
        })
    };
    let settings = to.settings();
    json!({
        "measured": {
            "lostPermille": measured.lost_permille, "rttMs": measured.rtt_ms,
            "jitterMs": measured.jitter_ms,
        },
        "from": state(from),
        "to": state(to),
        "settings": {
            "fecPercent": settings.fec_percent, "copies": settings.copies,
            "packetMs": settings.packet_ms, "bitrateBps": settings.bitrate_bps,
        },
    })
}

/// `UPDATE_GOLDEN=1 cargo test -p quality` writes the file anew.
#[test]
fn steps_are_those_of_the_golden_file() {
    let at = |lost_permille, rtt_ms, jitter_ms| Measured {
        lost_permille,
        rtt_ms,
        jitter_ms,
    };
    let course = [
        at(0, None, 0),
        at(7, Some(40), 5),
        at(8, Some(40), 5),
        at(29, Some(40), 5),
        at(30, Some(40), 5),
        at(14, Some(40), 5),
        at(14, Some(40), 5),
        at(15, Some(40), 5),
        at(14, Some(40), 5),
        at(14, Some(40), 5),
        at(14, Some(40), 5),
        at(200, Some(399), 79),
        at(79, Some(400), 5),
        at(79, Some(249), 39),
        at(79, Some(250), 5),
        at(1000, Some(40), 80),
        at(0, None, 0),
        at(0, None, 0),
        at(0, None, 0),
        at(0, None, 0),
        at(0, Some(40), 40),
        at(0, Some(40), 5),
        at(0, Some(40), 5),
        at(0, Some(40), 5),
        at(0, Some(40), 5),
    ];
    let mut state = Adaptation::default();
    let steps: Vec<Value> = course
        .iter()
        .map(|measured| {
            let from = state;
            state = adapt::adapt(measured, from);
            step(measured, from, state)
        })
        .collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/adapt.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let text = serde_json::to_string_pretty(&steps).unwrap() + "\n";
        std::fs::write(path, text).unwrap();
    }
    let golden: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(golden, steps);
    assert!(
        steps.iter().any(|step| step["to"]["level"] == 3),
        "all levels"
    );
}
