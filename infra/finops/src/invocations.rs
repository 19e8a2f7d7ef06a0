//! Cost per invocation: by function, route and outcome, which are dearest, and which single ones
//! stand out and why.

mod outlier;

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use hdrhistogram::Histogram;
use wire::record::InvocationRecord;

use crate::book::{Book, HOME_REGION, Missing};
use crate::cost::{Cost, Rates, Used};
use crate::lambda::Functions;
use crate::money::Money;

pub use outlier::Outlier;
use outlier::{Dearest, Together};

/// Groups that are told apart; what comes after goes into one that is called so. Names come from
/// records, which anybody may have written.
const GROUPS_MAX: usize = 2_000;
const OTHERS: &str = "(others)";
/// Builds of a group that are told apart; what comes after is in the group alone.
const BUILDS_MAX: usize = 100;
/// Longest invocation that is told apart from longer ones: Lambda's own limit, 15 minutes.
const DURATION_US_MAX: u64 = 900_000_000;
/// A build whose invocations cost so much more than those before it is named, per cent.
const DEARER_PERCENT: i128 = 5;

/// What is told apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Where it ran: `edge-host`, `spin` or `lambda`.
    pub host: String,
    /// Which function.
    pub function: String,
    /// Which route of it.
    pub route: String,
    /// What came of it.
    pub outcome: String,
}

/// Names by which something is found without making a key of them.
type Names<'a> = [&'a str; 4];

/// What has such names: a key, and what is looked for.
trait Named {
    fn names(&self) -> Names<'_>;
}

impl Named for Key {
    fn names(&self) -> Names<'_> {
        [&self.host, &self.function, &self.route, &self.outcome]
    }
}

impl Named for Names<'_> {
    fn names(&self) -> Names<'_> {
        *self
    }
}

impl<'a> Borrow<dyn Named + 'a> for Key {
    fn borrow(&self) -> &(dyn Named + 'a) {
        self
    }
}

impl PartialEq for dyn Named + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.names() == other.names()
    }
}

impl Eq for dyn Named + '_ {}

impl PartialOrd for dyn Named + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// As the key's own order, which is that of its fields.
impl Ord for dyn Named + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.names().cmp(&other.names())
    }
}

/// The invocations of one key.
#[derive(Debug, Clone)]
pub struct Group {
    /// How many.
    pub count: u64,
    /// Those for which a process was started.
    pub cold: u64,
    /// How long they took, microseconds, to 1 %.
    pub durations_us: Histogram<u32>,
    /// What they used of what is paid for.
    pub used: Used,
    /// What that costs.
    pub cost: Cost,
    /// Wasm fuel.
    pub fuel: u128,
    /// Bytes of requests.
    pub bytes_in: u128,
    /// Requests to the store.
    pub store_calls: u128,
    /// The same by build, as far as it is known.
    pub builds: BTreeMap<String, BuildGroup>,
    dearest: Dearest,
}

/// The invocations of one build of a route.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BuildGroup {
    /// How many.
    pub count: u64,
    /// What they cost.
    pub cost: Money,
    /// When the first of them began, Unix milliseconds.
    pub first_ms: u64,
}

impl BuildGroup {
    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.cost += other.cost;
        self.first_ms = self.first_ms.min(other.first_ms);
    }
}

/// A change that made a route dearer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dearer {
    /// The function and its route.
    pub route: (String, String),
    /// The build before, and the one that is dearer.
    pub builds: (String, String),
    /// Dollars of a million invocations, before and since.
    pub per_million: (Money, Money),
}

/// All invocations, priced as they come.
#[derive(Debug)]
pub struct Summary<'a> {
    book: &'a Book,
    functions: &'a Functions,
    rates: BTreeMap<String, Rates<'a>>,
    /// Prices that a region does not have, for which the home region's were taken.
    pub substituted: BTreeSet<Missing>,
    /// By host, function, route and outcome.
    pub groups: BTreeMap<Key, Group>,
    /// The first and the last beginning, Unix milliseconds.
    pub span_ms: Option<(u64, u64)>,
}

impl Group {
    fn new() -> Self {
        Self {
            count: 0,
            cold: 0,
            durations_us: Histogram::new_with_bounds(1, DURATION_US_MAX, 2)
                .expect("the bounds are in order, and two digits are allowed"),
            used: Used::default(),
            cost: Cost::default(),
            fuel: 0,
            bytes_in: 0,
            store_calls: 0,
            builds: BTreeMap::new(),
            dearest: Dearest::default(),
        }
    }

    fn add_build(&mut self, record: &InvocationRecord, cost: Money) {
        if !self.builds.contains_key(&record.build) {
            if record.build.is_empty() || self.builds.len() >= BUILDS_MAX {
                return;
            }
            let first = BuildGroup {
                first_ms: record.at_ms,
                ..BuildGroup::default()
            };
            self.builds.insert(record.build.clone(), first);
        }
        if let Some(build) = self.builds.get_mut(&record.build) {
            build.add(&BuildGroup {
                count: 1,
                cost,
                first_ms: record.at_ms,
            });
        }
    }

    /// Dollars of a million of them, by part and together. The sum is what the parts add up to.
    pub fn per_million(&self) -> ([Money; 5], Money) {
        let parts = self.cost.parts().map(|part| per_million(part, self.count));
        (parts, parts.into_iter().sum())
    }

    /// The single ones that cost far more than the mean, dearest first, with the reason.
    pub fn outliers(&self) -> Vec<Outlier> {
        self.dearest.outliers(&Together {
            count: self.count,
            used: self.used,
            cost: self.cost,
            median_us: self.durations_us.value_at_quantile(0.5),
        })
    }
}

/// Of a million, when `count` cost `cost`.
pub fn per_million(cost: Money, count: u64) -> Money {
    cost.scaled(1_000_000, u128::from(count.max(1)))
}

impl<'a> Summary<'a> {
    /// Of nothing yet.
    pub fn new(book: &'a Book, functions: &'a Functions) -> Self {
        Self {
            book,
            functions,
            rates: BTreeMap::new(),
            substituted: BTreeSet::new(),
            groups: BTreeMap::new(),
            span_ms: None,
        }
    }

    /// Prices one invocation whose line has so many bytes, and counts it. What it used and costs.
    ///
    /// # Errors
    /// [`Missing`] when neither its region nor the home region has a price.
    pub fn add(
        &mut self,
        record: &InvocationRecord,
        line_bytes: u64,
    ) -> Result<(Used, Cost), Missing> {
        let used = self.functions.used(record, line_bytes);
        let cost = self.rates(&record.region)?.of_part(&used);
        let group = self.group(record);
        group.count += 1;
        group.cold += u64::from(record.cold);
        group.durations_us.saturating_record(record.duration_us);
        group.used += used;
        group.cost += cost;
        group.fuel += u128::from(record.fuel);
        group.bytes_in += u128::from(record.bytes_in);
        group.store_calls += u128::from(record.store_calls);
        group.dearest.offer(record, &used, &cost);
        group.add_build(record, cost.total());
        let (first, last) = self.span_ms.unwrap_or((record.at_ms, record.at_ms));
        self.span_ms = Some((first.min(record.at_ms), last.max(record.at_ms)));
        Ok((used, cost))
    }

    fn rates(&mut self, region: &str) -> Result<Rates<'a>, Missing> {
        // A machine of our own is in no region of AWS: its column is what it would be at home.
        let is_of_aws = region.bytes().filter(|byte| *byte == b'-').count() >= 2;
        let region = if is_of_aws { region } else { HOME_REGION };
        if let Some(rates) = self.rates.get(region) {
            return Ok(*rates);
        }
        let region = if self.rates.len() < GROUPS_MAX {
            region
        } else {
            HOME_REGION
        };
        let rates = Rates::of(self.book, region, &mut self.substituted)?;
        self.rates.insert(region.to_owned(), rates);
        Ok(rates)
    }

    fn group(&mut self, record: &InvocationRecord) -> &mut Group {
        let names: Names<'_> = [
            &record.host,
            &record.function,
            &record.route,
            &record.outcome,
        ];
        let is_known = self.groups.contains_key(&names as &dyn Named);
        let names = match is_known || self.groups.len() < GROUPS_MAX {
            true => names,
            false => [OTHERS; 4],
        };
        if !self.groups.contains_key(&names as &dyn Named) {
            let [host, function, route, outcome] = names.map(str::to_owned);
            let key = Key {
                host,
                function,
                route,
                outcome,
            };
            self.groups.insert(key, Group::new());
        }
        let group = self.groups.get_mut(&names as &dyn Named);
        group.expect("it was there, or has just been put there")
    }

    /// Everything together.
    pub fn total(&self) -> (u64, Used, Cost) {
        let groups = self.groups.values();
        groups.fold((0, Used::default(), Cost::default()), |sum, group| {
            (sum.0 + group.count, sum.1 + group.used, sum.2 + group.cost)
        })
    }

    /// Groups, the dearest first.
    pub fn dearest(&self) -> Vec<(&Key, &Group)> {
        let mut all: Vec<_> = self.groups.iter().collect();
        all.sort_by_key(|(key, group)| (std::cmp::Reverse(group.cost.total()), *key));
        all
    }

    /// What these invocations would cost in a month that goes on like this, and `times` as many:
    /// through tiers and allowances of the home region. None when they span no time.
    ///
    /// # Errors
    /// [`Missing`].
    pub fn of_month(&self, times: u128) -> Result<Option<Cost>, Missing> {
        const MONTH_MS: u128 = 730 * 3_600_000;
        let (_, used, _) = self.total();
        let span = self
            .span_ms
            .map_or(0, |(first, last)| u128::from(last - first));
        if span == 0 {
            return Ok(None);
        }
        let month = used.scaled(MONTH_MS * times, span);
        let rates = Rates::of(self.book, HOME_REGION, &mut BTreeSet::new())?;
        Ok(Some(rates.of_month(&month)))
    }

    /// Builds that made a route dearer than the build that came before them did.
    pub fn dearer(&self) -> Vec<Dearer> {
        let mut routes: BTreeMap<[&str; 3], BTreeMap<&str, BuildGroup>> = BTreeMap::new();
        for (key, group) in &self.groups {
            let builds = routes
                .entry([&key.host, &key.function, &key.route])
                .or_default();
            for (name, build) in &group.builds {
                let all = builds.entry(name).or_insert(BuildGroup {
                    first_ms: build.first_ms,
                    ..BuildGroup::default()
                });
                all.add(build);
            }
        }
        let mut found = Vec::new();
        for ([_, function, route], builds) in routes {
            let mut builds: Vec<_> = builds.into_iter().collect();
            builds.sort_by_key(|(name, build)| (build.first_ms, *name));
            for pair in builds.windows(2) {
                let [(before, old), (since, new)] = [pair[0], pair[1]];
                let per_million = (
                    per_million(old.cost, old.count),
                    per_million(new.cost, new.count),
                );
                let (was, is) = (per_million.0.0, per_million.1.0);
                if is.saturating_mul(100) > was.saturating_mul(100 + DEARER_PERCENT) {
                    found.push(Dearer {
                        route: (function.to_owned(), route.to_owned()),
                        builds: (before.to_owned(), since.to_owned()),
                        per_million,
                    });
                }
            }
        }
        found
    }
}

#[cfg(test)]
#[path = "invocations_tests.rs"]
mod tests;
