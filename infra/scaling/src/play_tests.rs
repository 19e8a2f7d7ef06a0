use super::*;
use crate::policy::tests::prod;

const SEEDS: std::ops::Range<u64> = 1..4;

#[test]
fn a_week_refuses_nobody_and_costs_less_than_its_peak() {
    for seed in SEEDS {
        let played = play(&Days::new(Day::Week, seed), &prod());
        assert_eq!(played.refused_minutes, 0, "seed {seed}: {played:?}");
        assert_eq!(played.replaced, 3, "seed {seed}");
        assert!(
            played.machine_hours < 0.95 * played.at_peak_hours,
            "seed {seed}: {played:?}"
        );
        let calm_s = played.calm_s.expect("it grows and shrinks");
        assert!(calm_s >= prod().cool_down_s, "seed {seed}: {calm_s}");
    }
}

#[test]
fn an_event_that_was_written_down_is_no_surprise() {
    for seed in SEEDS {
        let known = play(&Days::new(Day::Patch, seed), &prod());
        assert_eq!(known.refused_minutes, 0, "seed {seed}: {known:?}");
        let surprise = play(&Days::new(Day::Surprise, seed), &prod());
        assert!(
            surprise.relays.1 >= known.peak.div_ceil(1_000),
            "seed {seed}"
        );
    }
}

#[test]
fn a_day_without_launches_is_got_through_by_the_floor_alone() {
    for seed in SEEDS {
        let days = Days::new(Day::NoLaunches, seed);
        let played = play(&days, &prod());
        assert_eq!(
            (played.refused_minutes, played.launched),
            (0, 0),
            "seed {seed}: {played:?}"
        );
        let bare = Policy {
            horizon_hours: 1,
            ..prod()
        };
        let without = play(&days, &bare);
        assert!(
            without.refused_minutes > 0,
            "else it shows nothing: seed {seed}"
        );
    }
}

#[test]
fn a_lost_zone_is_spared() {
    for seed in SEEDS {
        let played = play(&Days::new(Day::ZoneLost, seed), &prod());
        assert_eq!(played.refused_minutes, 0, "seed {seed}: {played:?}");
    }
}
