//! A bill held against records: by day, service and owner, every difference that matters.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::bill::{Bill, Key};
use crate::charges::Charges;
use crate::money::Money;

/// A difference over so many per cent of the bill is named.
pub const DIFFERENCE_PERCENT: i128 = 5;

/// What bill and records are summed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Axis {
    /// By service.
    Service,
    /// By day.
    Day,
    /// By day and service: where a difference is.
    DayAndService,
    /// By the tag `feature`.
    Feature,
    /// By the tag `team`.
    Team,
    /// By the tag `environment`.
    Environment,
}

impl Axis {
    /// All of them, in the order of a report.
    pub const ALL: [Self; 6] = [
        Self::Service,
        Self::Day,
        Self::DayAndService,
        Self::Feature,
        Self::Team,
        Self::Environment,
    ];

    /// What a report calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Day => "day",
            Self::DayAndService => "day and service",
            Self::Feature => "feature",
            Self::Team => "team",
            Self::Environment => "environment",
        }
    }

    fn of(self, key: &Key) -> String {
        match self {
            Self::Service => key.service.clone(),
            Self::Day => key.day.to_string(),
            Self::DayAndService => format!("{} {}", key.day, key.service),
            Self::Feature => key.owner.feature.clone(),
            Self::Team => key.owner.team.clone(),
            Self::Environment => key.environment.clone(),
        }
    }
}

/// What bill and records say of the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pair {
    /// The bill, at its effective cost.
    pub billed: Money,
    /// The records, at list prices.
    pub recorded: Money,
}

/// How the two differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// At most [`DIFFERENCE_PERCENT`] of what was billed.
    Agrees,
    /// More than that.
    Differs,
    /// The records have nothing of it.
    NotRecorded,
    /// The bill has nothing of it.
    NotBilled,
}

impl Verdict {
    /// What a report says.
    pub fn name(self) -> &'static str {
        match self {
            Self::Agrees => "agrees",
            Self::Differs => "differs",
            Self::NotRecorded => "not in the records",
            Self::NotBilled => "not in the bill",
        }
    }
}

impl Pair {
    /// How they differ.
    pub fn verdict(self) -> Verdict {
        let is_none = |amount: Money| amount == Money::ZERO;
        match (is_none(self.billed), is_none(self.recorded)) {
            (true, true) => Verdict::Agrees,
            (false, true) => Verdict::NotRecorded,
            (true, false) => Verdict::NotBilled,
            (false, false) => {
                let difference = self
                    .billed
                    .0
                    .saturating_sub(self.recorded.0)
                    .saturating_abs();
                let most = self
                    .billed
                    .0
                    .saturating_abs()
                    .saturating_mul(DIFFERENCE_PERCENT);
                if difference.saturating_mul(100) > most {
                    Verdict::Differs
                } else {
                    Verdict::Agrees
                }
            }
        }
    }
}

/// Bill and records beside each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// By axis and what it says.
    pub pairs: BTreeMap<(Axis, String), Pair>,
    /// All of it.
    pub total: Pair,
    /// Of the bill's usage, what the records explain: of each day and service the smaller amount.
    pub explained: Money,
}

impl Reconciled {
    /// Holds a bill's usage against what records were priced at.
    pub fn of(bill: &Bill<'_>, charges: &Charges<'_>) -> Self {
        let mut found = Self::default();
        for (key, amount) in &bill.usage {
            found.add(key, |pair| pair.billed += *amount);
        }
        for (key, charge) in &charges.all {
            let (_, service, ..) = key.item.names();
            let key = Key {
                day: key.day,
                service: service.to_owned(),
                owner: key.owner.clone(),
                environment: charges.environment.clone(),
            };
            found.add(&key, |pair| pair.recorded += charge.cost);
        }
        let both = |pair: &Pair| pair.billed.min(pair.recorded).max(Money::ZERO);
        found.explained = found
            .by(Axis::DayAndService)
            .map(|(_, pair)| both(pair))
            .sum();
        found
    }

    fn add(&mut self, key: &Key, each: impl Fn(&mut Pair)) {
        for axis in Axis::ALL {
            each(self.pairs.entry((axis, axis.of(key))).or_default());
        }
        each(&mut self.total);
    }

    /// What one axis says.
    pub fn by(&self, axis: Axis) -> impl Iterator<Item = (&str, &Pair)> {
        let of_axis = self.pairs.iter().filter(move |((of, _), _)| *of == axis);
        of_axis.map(|((_, name), pair)| (name.as_str(), pair))
    }

    /// Every difference that is to be named.
    pub fn differences(&self) -> Vec<(Axis, &str, Pair)> {
        let all = self.pairs.iter();
        all.filter(|(_, pair)| pair.verdict() != Verdict::Agrees)
            .map(|((axis, name), pair)| (*axis, name.as_str(), *pair))
            .collect()
    }

    /// Per cent of the bill's usage that the records explain; none of an empty bill.
    pub fn explained_percent(&self) -> Option<f64> {
        let billed = self.total.billed.dollars();
        (billed > 0.0).then(|| 100.0 * self.explained.dollars() / billed)
    }

    /// As JSON; dollars are text, exactly.
    pub fn json(&self, bill: &Bill<'_>) -> Value {
        let pair = |pair: &Pair| {
            json!({
                "billed": pair.billed.text(12),
                "recorded": pair.recorded.text(12),
                "verdict": pair.verdict().name(),
            })
        };
        let axis = |axis: Axis| {
            let pairs = self.by(axis).map(|(name, of)| (name.to_owned(), pair(of)));
            (axis.name().to_owned(), Value::Object(pairs.collect()))
        };
        let asides = bill.asides.iter().map(|(aside, (count, sum))| {
            let value = json!({ "line_items": count, "usd": sum.text(12) });
            (aside.sentence().to_owned(), value)
        });
        let faults = bill.faults.iter().map(|(fault, (count, places))| {
            let value = json!({ "rows": count, "first": places });
            (fault.sentence().to_owned(), value)
        });
        let names = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>();
        json!({
            "rows": bill.rows,
            "total": pair(&self.total),
            "explained": self.explained.text(12),
            "explained_percent": self.explained_percent(),
            "by": Value::Object(Axis::ALL.into_iter().map(axis).collect()),
            "covered_line_items": bill.covered,
            "set_aside": Value::Object(asides.collect()),
            "faults": Value::Object(faults.collect()),
            "accounts": names(&bill.accounts),
            "currencies": names(&bill.currencies),
        })
    }
}

#[cfg(test)]
#[path = "reconcile_tests.rs"]
mod tests;
