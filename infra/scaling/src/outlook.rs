//! Participants to come: FinOps' forecast of an hourly series, and events of the calendar.

use std::collections::BTreeMap;

use finops::calendar::{Calendar, Hour};
use finops::forecast::course;

const HOUR_S: u64 = 3_600;

/// Participants at once by hour, so many that one hour in ten has more.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outlook {
    hours: BTreeMap<Hour, f64>,
    /// Whether it is foretold from what was. Else it has the calendar's peaks alone.
    pub is_foretold: bool,
}

impl Outlook {
    /// Looks ahead from the hour `from`. `history` has the most participants at once of each hour
    /// before it.
    pub fn new(
        history: &BTreeMap<Hour, f64>,
        calendar: &Calendar,
        region: &str,
        from: Hour,
        hours: u32,
    ) -> Self {
        let known = history.range(..from).map(|(hour, most)| (*hour, *most));
        let known: BTreeMap<Hour, f64> = known.collect();
        let factor = |hour| calendar.factor(region, hour);
        let foretold = course(&known, &factor, from, hours);
        let mut outlook = Self {
            hours: BTreeMap::new(),
            is_foretold: foretold.is_some(),
        };
        let highs = foretold.into_iter().flatten().map(|interval| interval.high);
        outlook.hours = (from..).zip(highs).collect();
        for hour in from..from + Hour::from(hours) {
            if let Some(peak) = calendar.peak(region, hour) {
                let here = outlook.hours.entry(hour).or_default();
                *here = here.max(peak.into());
            }
        }
        outlook
    }

    /// Of hours that are known; for tests and plays.
    pub fn of_hours(hours: BTreeMap<Hour, f64>) -> Self {
        Self {
            hours,
            is_foretold: true,
        }
    }

    /// The most of the hours that the seconds from `from_s` to `until_s` touch.
    pub fn peak(&self, from_s: u64, until_s: u64) -> Option<f64> {
        let hours = hour_of(from_s)..=hour_of(until_s.max(from_s));
        let here = self.hours.range(hours).map(|(_, most)| *most);
        here.reduce(f64::max)
    }
}

/// The hour of a moment, Unix seconds.
pub fn hour_of(at_s: u64) -> Hour {
    (at_s / HOUR_S) as Hour
}

/// When an hour begins, Unix seconds; 0 for those before 1970.
pub fn begins_s(hour: Hour) -> u64 {
    u64::try_from(hour).unwrap_or(0).saturating_mul(HOUR_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"
        [[event]]
        name = "x"
        kind = "product"
        from = "2026-12-09T16:00Z"
        hours = 2
        factor = 2.0
        peak = 9000
        owner = "me"
        "#;

    #[test]
    fn an_event_is_there_with_or_without_a_history() {
        let calendar = Calendar::read(EVENT).unwrap();
        let at = finops::calendar::hour("2026-12-09T16:00Z").unwrap();
        let bare = Outlook::new(&BTreeMap::new(), &calendar, "eu", at - 2, 24);
        assert!(!bare.is_foretold);
        assert_eq!(bare.peak(begins_s(at - 1), begins_s(at)), Some(9_000.0));
        assert_eq!(bare.peak(begins_s(at + 2), begins_s(at + 5)), None);
        let history = (at - 400..at - 2).map(|hour| (hour, 10_000.0)).collect();
        let known = Outlook::new(&history, &calendar, "eu", at - 2, 24);
        let peak = known.peak(begins_s(at), begins_s(at) + 1).unwrap();
        assert!(
            known.is_foretold && (18_000.0..25_000.0).contains(&peak),
            "{peak}"
        );
        let before = known.peak(begins_s(at - 1), begins_s(at - 1)).unwrap();
        assert!((9_000.0..13_000.0).contains(&before), "{before}");
    }

    #[test]
    fn hours_that_are_not_over_do_not_count() {
        let mut history: BTreeMap<Hour, f64> = (0..200).map(|hour| (hour, 100.0)).collect();
        history.insert(200, 1e9);
        let outlook = Outlook::new(&history, &Calendar::default(), "eu", 200, 2);
        assert!(outlook.peak(200 * HOUR_S, 201 * HOUR_S).unwrap() < 150.0);
    }
}
