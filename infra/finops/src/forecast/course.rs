//! The forecast's model on any hourly series: participants, of which a schedule of relays is made.

use std::collections::BTreeMap;

use super::model::{Ahead, Model};
use super::{Interval, PATHS, SEED, steps};
use crate::calendar::Hour;
use crate::chance::Chance;

/// What a series will be, hour by hour from `from` on, which may not be before its last hour.
/// `factor` is the calendar's, for hours that were and hours to come. None with fewer than
/// [`super::HOURS_MIN`] hours over 0.
pub fn course(
    known: &BTreeMap<Hour, f64>,
    factor: &dyn Fn(Hour) -> f64,
    from: Hour,
    hours: u32,
) -> Option<Vec<Interval>> {
    let model = Model::fit(known, factor)?;
    let end = from + Hour::from(hours);
    let ahead: Vec<Ahead> = (from..end)
        .map(|hour| model.ahead(hour, factor(hour)))
        .collect();
    let mut chance = Chance(SEED);
    let paths: Vec<Vec<f64>> = steps(from, end)
        .iter()
        .map(|steps| model.path(&ahead, steps, &mut chance))
        .collect();
    debug_assert_eq!(paths.len(), PATHS);
    let of_hour = |at: usize| {
        let mut values: Vec<f64> = paths.iter().map(|path| path[at]).collect();
        Interval::of(&mut values)
    };
    Some((0..ahead.len()).map(of_hour).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(hour: Hour) -> f64 {
        1_000.0 + 800.0 * (hour as f64 / 24.0 * std::f64::consts::TAU).sin()
    }

    #[test]
    fn a_wave_goes_on_and_an_event_multiplies_it() {
        let known: BTreeMap<Hour, f64> = (0..672).map(|hour| (hour, wave(hour))).collect();
        let factor = |hour| if hour >= 684 { 2.0 } else { 1.0 };
        let course = course(&known, &factor, 672, 24).unwrap();
        assert_eq!(course.len(), 24);
        for (hour, found) in (672..).zip(&course) {
            let want = wave(hour) * factor(hour);
            let off = (found.likely / want - 1.0).abs();
            assert!(off < 0.15, "{hour}: {found:?}, and {want} comes");
            assert!(found.low <= found.likely && found.likely <= found.high);
        }
    }

    #[test]
    fn a_short_series_foretells_nothing() {
        let known: BTreeMap<Hour, f64> = (0..71).map(|hour| (hour, 1.0)).collect();
        assert_eq!(course(&known, &|_| 1.0, 71, 5), None);
        let none = (0..200).map(|hour| (hour, 0.0)).collect();
        assert_eq!(course(&none, &|_| 1.0, 200, 5), None);
    }
}
