//! Dollars by region and hour, of whatever they were spent on: what a forecast is made of.

use std::collections::BTreeMap;

use crate::calendar::Hour;
use crate::money::Money;

/// Regions that are told apart; records of others are counted and left out.
const REGIONS_MAX: usize = 40;
/// Hours of each region that are kept, a little more than a year.
const HOURS_MAX: usize = 10_000;
const HOUR_MS: u64 = 3_600_000;

/// Dollars by region of AWS and hour. An hour without a record is none of nothing: it is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hours {
    all: BTreeMap<String, BTreeMap<Hour, Money>>,
    /// Dollars beyond the bounds of what is kept, which are in no hour.
    pub left_out: Money,
}

impl Hours {
    /// Adds what was spent at a moment, Unix milliseconds.
    pub fn add(&mut self, region: &str, unix_ms: u64, cost: Money) {
        let hour = (unix_ms / HOUR_MS) as Hour;
        if !self.all.contains_key(region) {
            if self.all.len() >= REGIONS_MAX {
                self.left_out += cost;
                return;
            }
            self.all.insert(region.to_owned(), BTreeMap::new());
        }
        let hours = self.all.entry(region.to_owned()).or_default();
        if hours.len() >= HOURS_MAX && !hours.contains_key(&hour) {
            self.left_out += cost;
        } else {
            *hours.entry(hour).or_default() += cost;
        }
    }

    /// By region.
    pub fn regions(&self) -> impl Iterator<Item = (&str, &BTreeMap<Hour, Money>)> {
        self.all
            .iter()
            .map(|(region, hours)| (region.as_str(), hours))
    }

    /// The last hour before `end` that has a record.
    pub fn last(&self, end: Hour) -> Option<Hour> {
        let last = |hours: &BTreeMap<Hour, Money>| hours.range(..end).next_back().map(|it| *it.0);
        self.all.values().filter_map(last).max()
    }

    /// What was spent from `from` until before `end`, in one region or in all.
    pub fn spent(&self, region: Option<&str>, from: Hour, end: Hour) -> Money {
        let is_asked = |name: &&String| region.is_none_or(|region| region == *name);
        let regions = self.all.iter().filter(|(name, _)| is_asked(name));
        let range = from..end.max(from);
        regions
            .flat_map(|(_, hours)| hours.range(range.clone()).map(|it| *it.1))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_hours_that_were_asked_for() {
        let mut hours = Hours::default();
        for (region, hour, cost) in [("eu", 3, 1), ("eu", 3, 2), ("eu", 5, 4), ("us", 4, 8)] {
            hours.add(region, hour * HOUR_MS + 7, Money(cost));
        }
        assert_eq!(hours.spent(Some("eu"), 3, 5), Money(3));
        assert_eq!(hours.spent(None, 3, 6), Money(15));
        assert_eq!(hours.spent(None, 6, 3), Money::ZERO, "no panic");
        assert_eq!((hours.last(5), hours.last(3)), (Some(4), None));
    }

    #[test]
    fn hostile_records_are_bounded_and_what_is_left_out_is_told() {
        let mut hours = Hours::default();
        for at in 0..(HOURS_MAX as u64 + 5) {
            hours.add("eu", at * HOUR_MS, Money(1));
        }
        hours.add("eu", u64::MAX, Money(1));
        for region in 0..REGIONS_MAX {
            hours.add(&format!("r{region}"), 0, Money(1));
        }
        assert_eq!(hours.left_out, Money(5 + 1 + 1));
        assert_eq!(hours.regions().count(), REGIONS_MAX);
    }
}
