//! What this month and the next will cost: what was spent, and a forecast of the rest with an
//! interval, from the dollars of records by hour and the calendar of events.

pub mod backtest;
mod course;
mod model;
mod solve;

use std::collections::BTreeMap;

use crate::allocation::Allocation;
use crate::calendar::{Calendar, Hour, first_hour};
use crate::chance::Chance;
use crate::date::Date;
use crate::hours::Hours;
use crate::money::Money;
use model::{Ahead, Model};

pub use course::course;
pub use model::HOURS_MIN;

/// Courses that are drawn.
const PATHS: usize = 400;
/// Of every ten courses one is below the interval and one above it.
const TAIL: f64 = 0.1;
const SEED: u64 = 15;
/// Longest time from the last record to the beginning of the forecast, hours.
const GAP_MAX: i64 = 31 * 24;

/// A forecast of something, dollars.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Interval {
    /// One in ten is less.
    pub low: f64,
    /// Half are less.
    pub likely: f64,
    /// One in ten is more.
    pub high: f64,
}

/// A month, or a day.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Its first day.
    pub from: Date,
    /// What its records say.
    pub spent: Money,
    /// What it will be when it ends: spent, and the forecast of the rest.
    pub whole: Interval,
}

/// What is to be expected.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlook {
    /// The first hour that is foretold.
    pub at: Hour,
    /// This month and the next, of all regions.
    pub months: [Span; 2],
    /// The same by region of AWS.
    pub regions: BTreeMap<String, [Span; 2]>,
    /// Their days, of all regions.
    pub days: Vec<Span>,
    /// Hours of this month without a record, which are taken as the model has them.
    pub filled_hours: usize,
    /// Regions with too few hours: what they spent is in the sums, and nothing of theirs to come.
    pub too_short: Vec<String>,
}

impl Outlook {
    /// Looks ahead from `at`; records of `at` and later do not count, since that hour may not be
    /// over.
    ///
    /// # Errors
    /// A sentence when there are too few records, or they end too long before.
    pub fn new(
        hours: &Hours,
        at: Hour,
        calendar: &Calendar,
        allocation: &Allocation,
    ) -> Result<Self, String> {
        let today = Date::of_ms(0).plus_days(at.div_euclid(24));
        let (month, next) = today.month();
        let (_, end) = next.month();
        let last = hours
            .last(at)
            .ok_or("no record is of a whole hour before it: give more, or a later --at")?;
        if at - last > GAP_MAX {
            return Err(format!(
                "the last record is {} hours before the forecast, and {GAP_MAX} are the most",
                at - last
            ));
        }
        let days = usize::try_from(end.days_since(month)).unwrap_or(0);
        let mut fleet = Courses::new(days);
        let (mut regions, mut too_short, mut filled_hours) = (BTreeMap::new(), Vec::new(), 0);
        let steps = steps(at, first_hour(end));
        for (seed, (region, of_region)) in (SEED + 1..).zip(hours.regions()) {
            let factor = |hour| factor(calendar, allocation, region, hour);
            let known = of_region
                .range(..at)
                .map(|(hour, cost)| (*hour, cost.dollars()));
            let known: BTreeMap<Hour, f64> = known.collect();
            let mut courses = Courses::new(days);
            for (hour, dollars) in known.range(first_hour(month)..) {
                courses.add(hour - first_hour(month), |_| *dollars);
            }
            match Model::fit(&known, &factor) {
                Some(model) => {
                    let ahead: Vec<Ahead> = (at..first_hour(end))
                        .map(|hour| model.ahead(hour, factor(hour)))
                        .collect();
                    filled_hours += courses.fill(&model, &known, first_hour(month)..at, &factor);
                    courses.foretell(&model, &ahead, &steps, at - first_hour(month), seed);
                }
                None => too_short.push(region.to_owned()),
            }
            let spent = |from, end: Hour| hours.spent(Some(region), from, end.min(at));
            regions.insert(region.to_owned(), courses.months(month, next, end, &spent));
            fleet.join(&courses);
        }
        if too_short.len() == regions.len() {
            return Err(format!(
                "no region has {HOURS_MIN} hours with records before the forecast: three days are \
                 the least that a day's course is known from"
            ));
        }
        let spent = |from, end: Hour| hours.spent(None, from, end.min(at));
        Ok(Self {
            at,
            months: fleet.months(month, next, end, &spent),
            regions,
            days: (0..days)
                .map(|day| fleet.span(month, day, day + 1, &spent))
                .collect(),
            filled_hours,
            too_short,
        })
    }
}

/// The largest factor of the places of the fleet that are in a region of AWS.
fn factor(calendar: &Calendar, allocation: &Allocation, region: &str, hour: Hour) -> f64 {
    let names = allocation
        .regions
        .iter()
        .filter(|(_, of_aws)| *of_aws == region);
    let names = names.map(|(name, _)| name.as_str()).chain([region]);
    let factors = names.map(|name| calendar.factor(name, hour));
    // An event of one place is no event of the others there, whose factor is 1.
    let furthest = |a: f64, b: f64| {
        if (b - 1.0).abs() > (a - 1.0).abs() {
            b
        } else {
            a
        }
    };
    factors.fold(1.0, furthest)
}

/// Which error of the past comes again, by path and hour.
fn steps(at: Hour, end: Hour) -> Vec<Vec<f64>> {
    let mut chance = Chance(SEED);
    let hours = usize::try_from(end - at).unwrap_or(0);
    (0..PATHS)
        .map(|_| (0..hours).map(|_| chance.uniform()).collect())
        .collect()
}

/// Dollars by day and path.
struct Courses(Vec<[f64; PATHS]>);

impl Courses {
    fn new(days: usize) -> Self {
        Self(vec![[0.0; PATHS]; days])
    }

    /// Adds an hour, by its number since the first day began.
    fn add(&mut self, hour: Hour, of_path: impl Fn(usize) -> f64) {
        let day = usize::try_from(hour.div_euclid(24)).ok();
        if let Some(day) = day.and_then(|day| self.0.get_mut(day)) {
            for (path, sum) in day.iter_mut().enumerate() {
                *sum += of_path(path);
            }
        }
    }

    /// Hours that have no record, since the region's first; how many.
    fn fill(
        &mut self,
        model: &Model,
        known: &BTreeMap<Hour, f64>,
        range: std::ops::Range<Hour>,
        factor: &dyn Fn(Hour) -> f64,
    ) -> usize {
        let first = known.first_key_value().map_or(range.end, |it| *it.0);
        let missing = (range.start.max(first)..range.end).filter(|hour| !known.contains_key(hour));
        let mut count = 0;
        for hour in missing {
            let dollars = model.fitted(hour, factor(hour));
            self.add(hour - range.start, |_| dollars);
            count += 1;
        }
        count
    }

    fn foretell(
        &mut self,
        model: &Model,
        ahead: &[Ahead],
        steps: &[Vec<f64>],
        from: Hour,
        seed: u64,
    ) {
        let mut chance = Chance(seed);
        for (path, steps) in steps.iter().enumerate() {
            let hours = model.path(ahead, steps, &mut chance);
            for (hour, dollars) in (from..).zip(hours) {
                let day = usize::try_from(hour.div_euclid(24)).ok();
                if let Some(day) = day.and_then(|day| self.0.get_mut(day)) {
                    day[path] += dollars;
                }
            }
        }
    }

    fn join(&mut self, other: &Self) {
        for (day, of_other) in self.0.iter_mut().zip(&other.0) {
            day.iter_mut()
                .zip(of_other)
                .for_each(|(sum, it)| *sum += it);
        }
    }

    /// Days `from` until before `end`, by their numbers since `first`.
    fn span(
        &self,
        first: Date,
        from: usize,
        end: usize,
        spent: &dyn Fn(Hour, Hour) -> Money,
    ) -> Span {
        let mut sums = vec![0.0; PATHS];
        for day in &self.0[from..end] {
            sums.iter_mut().zip(day).for_each(|(sum, it)| *sum += it);
        }
        let (from, end) = (first.plus_days(from as i64), first.plus_days(end as i64));
        Span {
            from,
            spent: spent(first_hour(from), first_hour(end)),
            whole: Interval::of(&mut sums),
        }
    }

    fn months(
        &self,
        month: Date,
        next: Date,
        end: Date,
        spent: &dyn Fn(Hour, Hour) -> Money,
    ) -> [Span; 2] {
        let middle = usize::try_from(next.days_since(month)).unwrap_or(0);
        let end = usize::try_from(end.days_since(month)).unwrap_or(0);
        [
            self.span(month, 0, middle, spent),
            self.span(month, middle, end, spent),
        ]
    }
}

impl Interval {
    /// Of values, none of which is missing.
    fn of(values: &mut [f64]) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let at = (share * (values.len() as f64 - 1.0)).round() as usize;
            values.get(at).copied().unwrap_or_default()
        };
        Self {
            low: at(TAIL),
            likely: at(0.5),
            high: at(1.0 - TAIL),
        }
    }
}

#[cfg(test)]
#[path = "forecast_tests.rs"]
mod tests;
