//! What to commit to: hours of relays that are needed always, against a discount for paying them
//! used or not. The book has no rate of a commitment, for want of a source: the discount is asked.

use crate::money::Money;
use crate::plan::Plan;

/// Hours in which so many relays were needed, all regions together: a Savings Plan is for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    /// By hour of the plan.
    relays: Vec<u32>,
}

/// So many relays, paid for every hour at a discount, the rest on demand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Commitment {
    /// Relays.
    pub relays: u32,
    /// Of the relay-hours that are needed, the share that is committed.
    pub coverage: f64,
    /// Of the hours that are paid for, the share that is used.
    pub utilisation: f64,
    /// Against all on demand, over the hours of the plan; negative when it costs more.
    pub saving: Money,
}

impl Hours {
    /// Those of a plan.
    pub fn of(plan: &Plan) -> Self {
        let count = plan.needs.values().map(Vec::len).max().unwrap_or(0);
        let at = |hour: usize| {
            let needs = plan.needs.values().filter_map(|needs| needs.get(hour));
            needs.fold(0_u32, |sum, need| sum.saturating_add(need.relays))
        };
        Self {
            relays: (0..count).map(at).collect(),
        }
    }

    /// How many hours.
    pub fn count(&self) -> usize {
        self.relays.len()
    }

    /// Relays that are needed in every hour: what can be committed without waste.
    pub fn floor(&self) -> u32 {
        self.relays.iter().copied().min().unwrap_or(0)
    }

    /// Relays of the busiest hour.
    pub fn peak(&self) -> u32 {
        self.relays.iter().copied().max().unwrap_or(0)
    }

    /// Share of the hours in which at least so many relays are needed. A commitment to the last
    /// of them pays from a discount of one less this share on.
    pub fn needed_share(&self, relays: u32) -> f64 {
        let needed = self.relays.iter().filter(|need| **need >= relays).count();
        needed as f64 / self.count().max(1) as f64
    }

    /// What a commitment to so many relays comes to, at an hourly price on demand and a discount
    /// in thousandths of it; a discount above 1,000 counts as that.
    pub fn commitment(&self, relays: u32, hourly: Money, discount_mille: u32) -> Commitment {
        let paid = u128::from(relays) * self.count() as u128;
        let used: u128 = self
            .relays
            .iter()
            .map(|need| u128::from(*need.min(&relays)))
            .sum();
        let needed: u128 = self.relays.iter().map(|need| u128::from(*need)).sum();
        let rate = u128::from(1_000 - discount_mille.min(1_000));
        let share = |part: u128, whole: u128| match whole {
            0 => 0.0,
            whole => part as f64 / whole as f64,
        };
        Commitment {
            relays,
            coverage: share(used, needed),
            utilisation: share(used, paid),
            saving: hourly.scaled(used, 1) - hourly.scaled(paid * rate, 1_000),
        }
    }

    /// The commitment that saves most; of equals, the smallest.
    pub fn best(&self, hourly: Money, discount_mille: u32) -> Commitment {
        // The last relay is needed in ever fewer hours, so savings rise and then fall: the last
        // one whose share of hours pays for itself is the best.
        let rate = u64::from(1_000 - discount_mille.min(1_000));
        let mut sorted = self.relays.clone();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        // So many hours must need the last relay: more than what is paid for it.
        let hours = self.count() as u64;
        let least = usize::try_from(hours * rate / 1_000).unwrap_or(usize::MAX);
        let relays = sorted.get(least).copied().unwrap_or(0);
        self.commitment(relays, hourly, discount_mille)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOURLY: Money = Money(16_800_000_000);

    #[test]
    fn a_day_of_two_and_six_relays() {
        let hours = Hours {
            relays: [vec![2; 18], vec![6; 6]].concat(),
        };
        assert_eq!((hours.floor(), hours.peak(), hours.count()), (2, 6, 24));
        assert_eq!(hours.needed_share(2), 1.0);
        assert_eq!(hours.needed_share(3), 0.25, "from a discount of 75 % on");
        let best = hours.best(HOURLY, 300);
        assert_eq!((best.relays, best.utilisation), (2, 1.0));
        assert_eq!(best.saving, HOURLY.scaled(2 * 24 * 300, 1_000));
        assert_eq!(
            hours.best(HOURLY, 750).relays,
            2,
            "it pays for itself alone"
        );
        assert_eq!(hours.best(HOURLY, 760).relays, 6);
        assert_eq!(hours.best(HOURLY, 0).saving, Money::ZERO);
        assert_eq!(hours.commitment(6, HOURLY, 300).utilisation, 0.5);
    }

    proptest! {
        #[test]
        fn no_other_commitment_saves_more(
            relays in prop::collection::vec(0_u32..30, 0..60),
            other in 0_u32..40,
            discount in 0_u32..1_100,
        ) {
            let hours = Hours { relays };
            let best = hours.best(HOURLY, discount);
            prop_assert!(best.saving >= Money::ZERO);
            prop_assert!(best.saving >= hours.commitment(other, HOURLY, discount).saving);
            prop_assert!((0.0..=1.0).contains(&best.coverage));
        }

        #[test]
        fn the_share_used_at_break_even_is_one_less_the_discount(
            relays in prop::collection::vec(0_u32..30, 1..60),
            k in 1_u32..30,
            discount in 0_u32..1_000,
        ) {
            let found = Hours { relays }.commitment(k, HOURLY, discount);
            let margin = found.utilisation - (1.0 - f64::from(discount) / 1_000.0);
            prop_assert!(margin.abs() < 1e-9 || (margin > 0.0) == (found.saving > Money::ZERO));
        }
    }
}
