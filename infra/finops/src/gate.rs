//! The gate: what hot calls use is counted, priced, and compared with a baseline that is committed.
//! Only counted quantities are compared, never time: what the same code counts is the same on every
//! machine.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::book::Missing;
use crate::cost::{Rates, Used};
use crate::lambda::LOG_EVENT_BYTES;
use crate::money::Money;

/// A call or a plan may be dearer by this, per cent.
pub const TOLERANCE_PERCENT: u64 = 5;
/// Most bytes of logs of one invocation, with what CloudWatch counts besides.
pub const LOG_BYTES_MAX: u64 = 400;

/// What the calls of one route used, all of them together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counted {
    /// How many calls were made; at least one.
    pub requests: u64,
    /// Requests to the store.
    pub store_calls: u64,
    /// Read units.
    pub read_units: u64,
    /// Write units.
    pub write_units: u64,
    /// Bytes of request bodies.
    pub bytes_in: u64,
    /// Bytes of replies.
    pub bytes_out: u64,
    /// Bytes of records, and of what the function logged besides.
    pub log_bytes: u64,
    /// Wasm fuel.
    pub fuel: u64,
}

impl Counted {
    /// Quantities with their names and, in thousandths, a difference of means that is none: now and
    /// then a join renews the home of its room, and a time has a digit more.
    fn quantities(&self) -> [(&'static str, u64, u64); 7] {
        [
            ("store calls", self.store_calls, 100),
            ("read units", self.read_units, 100),
            ("write units", self.write_units, 100),
            ("bytes in", self.bytes_in, 16_000),
            ("bytes out", self.bytes_out, 16_000),
            ("log bytes", self.log_bytes, 16_000),
            ("fuel", self.fuel, 1_000_000),
        ]
    }

    /// Dollars of a million calls, of what is counted: all but time.
    pub fn per_million(&self, rates: &Rates<'_>) -> Money {
        let requests = u128::from(self.requests.max(1));
        let used = Used {
            gateway_requests: requests,
            requests,
            mb_ms: 0,
            read_units: self.read_units.into(),
            write_units: self.write_units.into(),
            log_bytes: u128::from(self.log_bytes) + requests * u128::from(LOG_EVENT_BYTES),
            egress_bytes: self.bytes_out.into(),
        };
        rates.of_part(&used).total().scaled(1_000_000, requests)
    }
}

/// What was counted, by route.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// By route.
    pub routes: BTreeMap<String, Counted>,
}

/// What is allowed: `baseline.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// Why it is what it is: another one for each time that something became dearer.
    pub reason: String,
    /// By route.
    pub routes: BTreeMap<String, Counted>,
    /// Dollars a month of what a plan makes, by address of the resource, used or not.
    #[serde(default)]
    pub plan: BTreeMap<String, String>,
}

/// One line of what the gate found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It fails.
    Fault(String),
    /// It does not, and should be known.
    Note(String),
}

/// Compares what was counted with the baseline.
///
/// # Errors
/// [`Missing`] when the book lacks a price.
pub fn compare(
    baseline: &Baseline,
    counts: &Counts,
    rates: &Rates<'_>,
) -> Result<Vec<Finding>, Missing> {
    let mut found = Vec::new();
    for (route, now) in &counts.routes {
        match baseline.routes.get(route) {
            Some(was) => route_findings(route, was, now, rates, &mut found),
            None => found.push(Finding::Fault(format!(
                "{route} is not in the baseline; `finops gate --update` adds it, with a reason"
            ))),
        }
        let logged = now.log_bytes.div_ceil(now.requests.max(1)) + LOG_EVENT_BYTES;
        if logged > LOG_BYTES_MAX {
            found.push(Finding::Fault(format!(
                "{route} leaves {logged} bytes of logs; {LOG_BYTES_MAX} are allowed"
            )));
        }
    }
    for route in baseline
        .routes
        .keys()
        .filter(|route| !counts.routes.contains_key(*route))
    {
        found.push(Finding::Fault(format!(
            "{route} is in the baseline and was not counted; measure it, or take it out"
        )));
    }
    Ok(found)
}

fn route_findings(
    route: &str,
    was: &Counted,
    now: &Counted,
    rates: &Rates<'_>,
    found: &mut Vec<Finding>,
) {
    for ((name, old, slack), (_, new, _)) in was.quantities().into_iter().zip(now.quantities()) {
        match change(old, was.requests, new, now.requests, slack) {
            Change::More => found.push(Finding::Fault(format!(
                "{route}: {} {name} where the baseline has {}",
                mean(new, now.requests),
                mean(old, was.requests)
            ))),
            Change::Less => found.push(Finding::Note(format!(
                "{route}: {} {name} where the baseline has {}; `finops gate --update` keeps it so",
                mean(new, now.requests),
                mean(old, was.requests)
            ))),
            Change::None => {}
        }
    }
    let (old, new) = (was.per_million(rates), now.per_million(rates));
    if is_dearer(old, new) {
        found.push(Finding::Fault(format!(
            "{route}: {} $ a million of what is counted, and {} $ in the baseline",
            new.text(3),
            old.text(3)
        )));
    }
}

/// Whether `new` is more than the tolerance above `old`.
pub fn is_dearer(old: Money, new: Money) -> bool {
    let allowed = old.scaled((100 + TOLERANCE_PERCENT).into(), 100);
    new > allowed
}

/// What a change of the baseline needs: where it allows more than it did at `base`, a reason that
/// is not the old one.
pub fn reasons(base: &Baseline, now: &Baseline) -> Vec<Finding> {
    let mut risen = Vec::new();
    for (route, new) in &now.routes {
        let Some(old) = base.routes.get(route) else {
            risen.push(route.clone());
            continue;
        };
        let mut pairs = old.quantities().into_iter().zip(new.quantities());
        if pairs.any(|((_, was, slack), (_, is, _))| {
            matches!(
                change(was, old.requests, is, new.requests, slack),
                Change::More
            )
        }) {
            risen.push(route.clone());
        }
    }
    for (address, new) in &now.plan {
        let old = base
            .plan
            .get(address)
            .and_then(|text| Money::parse(text).ok());
        let new = Money::parse(new).unwrap_or_default();
        if is_dearer(old.unwrap_or_default(), new) {
            risen.push(address.clone());
        }
    }
    let is_same = base.reason.trim() == now.reason.trim() || now.reason.trim().is_empty();
    match (risen.is_empty(), is_same) {
        (true, _) => Vec::new(),
        (false, true) => vec![Finding::Fault(format!(
            "the baseline allows more of {} than before; write into its `reason` why",
            risen.join(", ")
        ))],
        (false, false) => vec![Finding::Note(format!(
            "dearer by decision: {}: {}",
            risen.join(", "),
            now.reason
        ))],
    }
}

enum Change {
    More,
    Less,
    None,
}

/// Of means, which need not be of as many calls.
fn change(old: u64, of_old: u64, new: u64, of_new: u64, slack: u64) -> Change {
    let (of_old, of_new) = (u128::from(of_old.max(1)), u128::from(of_new.max(1)));
    // Both as sums of of_old x of_new calls, in thousandths.
    let (old, new) = (
        u128::from(old) * of_new * 1_000,
        u128::from(new) * of_old * 1_000,
    );
    let slack = u128::from(slack) * of_old * of_new;
    let tolerance = u128::from(TOLERANCE_PERCENT);
    if new * 100 > old * (100 + tolerance) + slack * 100 {
        Change::More
    } else if new * (100 + tolerance) + slack * 100 < old * 100 {
        Change::Less
    } else {
        Change::None
    }
}

fn mean(sum: u64, count: u64) -> String {
    let hundredths = u128::from(sum) * 100 / u128::from(count.max(1));
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
