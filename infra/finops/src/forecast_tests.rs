use super::*;
use crate::calendar::hour;
use backtest::{Score, backtest};

/// Seeds that nothing was tuned with: that was done with 1 to 24.
const FRESH: std::ops::Range<u64> = 9_001..9_013;

#[test]
fn weeks_of_fresh_seeds_are_within_the_interval_and_better_than_naive() {
    let mut all = Score::default();
    for seed in FRESH {
        let score = backtest(seed);
        assert!(score.off < score.naive_off, "seed {seed}: {score:?}");
        all.join(&score);
    }
    assert!(all.hours > 20_000, "{all:?}");
    assert!((70.0..=90.0).contains(&all.coverage()), "{all:?}");
    // Sums that overlap tell less than as many that do not.
    assert!((65.0..=95.0).contains(&all.coverage_of_sums()), "{all:?}");
    assert!(all.wmape() < 0.85 * all.naive_wmape(), "{all:?}");
}

/// Ten weeks: a dollar an hour on average, two at noon.
fn hours(of: impl Fn(Hour) -> Option<f64>) -> (Hours, Hour) {
    let (mut hours, at) = (Hours::default(), hour("2027-03-11T00:00Z").unwrap());
    for hour in at - 70 * 24..at {
        let wave = 1.0 - (std::f64::consts::TAU * hour.rem_euclid(24) as f64 / 24.0).cos();
        if let Some(times) = of(hour) {
            let cost = Money(((0.05 + 0.95 * wave) * times * 1e12) as i128);
            hours.add("us-east-1", hour as u64 * 3_600_000, cost);
        }
    }
    (hours, at)
}

fn outlook(hours: &Hours, at: Hour, calendar: &str) -> Result<Outlook, String> {
    let calendar = Calendar::read(calendar).unwrap();
    Outlook::new(hours, at, &calendar, &Allocation::built_in())
}

const NEAR: f64 = 0.02;

fn is_near(found: f64, wanted: f64) -> bool {
    (found / wanted - 1.0).abs() < NEAR
}

#[test]
fn a_course_that_repeats_goes_on_as_it_was() {
    let (hours, at) = hours(|_| Some(1.0));
    let outlook = outlook(&hours, at, "").unwrap();
    let [month, next] = &outlook.months;
    assert_eq!(month.from.to_string(), "2027-03-01");
    assert!(
        (month.spent.dollars() - 10.0 * 24.0).abs() < 0.01,
        "{month:?}"
    );
    assert!(is_near(month.whole.likely, 31.0 * 24.0), "{month:?}");
    assert!(is_near(next.whole.likely, 30.0 * 24.0), "{next:?}");
    assert!(next.whole.low < next.whole.likely && next.whole.likely < next.whole.high);
    assert_eq!((outlook.days.len(), outlook.filled_hours), (61, 0));
    let of_days: Money = outlook.days.iter().map(|day| day.spent).sum();
    assert_eq!(of_days, month.spent, "the sum of the days is the whole");
    assert_eq!(outlook.regions["us-east-1"], outlook.months);
}

#[test]
fn an_outage_and_missing_hours_do_not_wreck_it() {
    let (all, at) = hours(|_| Some(1.0));
    let whole = outlook(&all, at, "").unwrap();
    let (hurt, _) = hours(|hour| match at - hour {
        // Just before, and records that never came.
        1..6 => Some(0.02),
        100..124 => None,
        _ if hour % 97 == 0 => None,
        _ => Some(1.0),
    });
    let hurt = outlook(&hurt, at, "").unwrap();
    assert!(hurt.filled_hours >= 24, "{hurt:?}");
    let (hurt, whole) = (hurt.months[1].whole, whole.months[1].whole);
    assert!(
        (hurt.likely / whole.likely - 1.0).abs() < 0.05,
        "{hurt:?} {whole:?}"
    );
}

#[test]
fn an_event_to_come_adds_what_its_place_spends() {
    let event = |region: &str| {
        format!(
            "[[event]]\nname = \"x\"\nkind = \"product\"\nfrom = \"2027-03-20T00:00Z\"\n\
             hours = 48\nfactor = 2.0\nregions = [\"{region}\"]\nowner = \"me\"\n"
        )
    };
    let (hours, at) = hours(|_| Some(1.0));
    let of = |calendar: &str| {
        outlook(&hours, at, calendar).unwrap().months[0]
            .whole
            .likely
    };
    let (without, with, elsewhere) = (of(""), of(&event("us")), of(&event("ap")));
    assert!((with - without - 48.0).abs() < 6.0, "{without} {with}");
    assert!((elsewhere - without).abs() < 1e-6, "{elsewhere}");
}

#[test]
fn a_short_history_has_a_wide_interval_and_none_is_refused() {
    let (_, at) = hours(|_| None);
    let of_last = |count: Hour| hours(move |hour| (hour >= at - count).then_some(1.0)).0;
    let width = |hours: &Hours| {
        let whole = outlook(hours, at, "").unwrap().months[1].whole;
        (whole.high - whole.low) / whole.likely
    };
    assert!(width(&of_last(80)) > 2.0 * width(&of_last(60 * 24)));
    let few = outlook(&of_last(50), at, "").unwrap_err();
    assert!(few.contains("72 hours"), "{few}");
    assert!(
        outlook(&Hours::default(), at, "")
            .unwrap_err()
            .contains("no record")
    );
    let late = outlook(&of_last(80), at + 40 * 24, "").unwrap_err();
    assert!(
        late.contains("960 hours") || late.contains("961 hours"),
        "{late}"
    );
}

#[test]
fn moments_that_make_no_sense_do_not_panic() {
    let mut hours = Hours::default();
    for at in [0, 1, u64::MAX, 1_800_000_000_000] {
        hours.add("us-east-1", at, Money(i128::from(u64::MAX)));
    }
    for at in [0, 1, 500_000, i64::from(i32::MAX)] {
        assert!(outlook(&hours, at, "").is_err());
    }
}
