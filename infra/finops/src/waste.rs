//! What is paid for and not used: relays in which nobody talks, cores that get no room, memory that
//! a function only waits with, addresses that lead nowhere, logs that are kept for ever.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use wire::record::{InvocationRecord, UsageRecord};

use crate::allocation::Allocation;
use crate::book::{AWS, Book, HOME_REGION, MONTH_HOURS, Missing};
use crate::lambda::{Functions, STORE_CALL_US, billed_ms};
use crate::money::Money;
use crate::records::Record;
use crate::terraform::managed;

/// Least memory of a function, MB.
const LEAST_MB: u32 = 128;
const MINUTE_MS: u64 = 60_000;
/// Shards and functions that are told apart.
const NAMES_MAX: usize = 10_000;
/// Longest file of Terraform's that makes sense, resources.
const RESOURCES_MAX: usize = 100_000;

/// Something that can be saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is wasted.
    pub what: String,
    /// How that is known.
    pub evidence: String,
    /// Dollars of a month; none where it cannot be told from what was read.
    pub month: Option<Money>,
    /// The change to make.
    pub change: String,
}

/// What records say of use.
#[derive(Debug, Default)]
pub struct Use {
    /// Minutes, since the epoch, in which each shard had a room.
    shards: BTreeMap<String, BTreeSet<u64>>,
    functions: BTreeMap<String, Function>,
    /// Names beyond the bound.
    pub passed_over: u64,
    span_ms: Option<(u64, u64)>,
}

/// A function's time, as it would be with its memory and with the least.
#[derive(Debug, Default)]
struct Function {
    calls: u64,
    mb_ms: u128,
    least_mb_ms: u128,
    longest_ms: (u64, u64),
    peak_bytes: u64,
    /// Records of Lambda, whose time is of its memory and not of a processor.
    of_lambda: u64,
}

impl Use {
    /// Counts a record.
    pub fn add(&mut self, record: &Record, functions: &Functions) {
        match record {
            Record::Usage(record) => self.add_minute(record),
            Record::Invocation(record, _) => self.add_invocation(record, functions),
        }
    }

    fn add_minute(&mut self, record: &UsageRecord) {
        self.note_time(record.minute_ms, record.minute_ms.saturating_add(MINUTE_MS));
        let is_known = self.shards.contains_key(record.shard.as_str());
        if !is_known && self.shards.len() >= NAMES_MAX {
            self.passed_over += 1;
            return;
        }
        let minutes = self
            .shards
            .entry(record.shard.as_str().to_owned())
            .or_default();
        if record.participant_ms > 0 {
            minutes.insert(record.minute_ms / MINUTE_MS);
        }
    }

    fn add_invocation(&mut self, record: &InvocationRecord, functions: &Functions) {
        self.note_time(record.at_ms, record.at_ms);
        let is_known = self.functions.contains_key(&record.function);
        if !is_known && self.functions.len() >= NAMES_MAX {
            self.passed_over += 1;
            return;
        }
        let function = self.functions.entry(record.function.clone()).or_default();
        if record.host == "lambda" {
            function.of_lambda += 1;
            return;
        }
        let memory_mb = functions.memory_mb(&record.function);
        let calls = u64::from(record.store_calls);
        let ms = billed_ms(record.duration_us, memory_mb, calls);
        let least_ms = billed_ms(record.duration_us, LEAST_MB, calls);
        function.calls += 1;
        function.peak_bytes = function.peak_bytes.max(record.peak_memory_bytes);
        function.mb_ms += u128::from(ms) * u128::from(memory_mb);
        function.least_mb_ms += u128::from(least_ms) * u128::from(LEAST_MB);
        function.longest_ms.0 = function.longest_ms.0.max(ms);
        function.longest_ms.1 = function.longest_ms.1.max(least_ms);
    }

    fn note_time(&mut self, from: u64, to: u64) {
        let (first, last) = self.span_ms.unwrap_or((from, to));
        self.span_ms = Some((first.min(from), last.max(to)));
    }

    /// Hours from the first record to the last.
    pub fn hours(&self) -> f64 {
        let span = self.span_ms.map(|(from, to)| to.saturating_sub(from));
        span.unwrap_or_default() as f64 / 3_600_000.0
    }

    /// What can be saved, by what the records say.
    ///
    /// # Errors
    /// [`Missing`] when the book has no price of a machine or a function's time.
    pub fn findings(
        &self,
        book: &Book,
        allocation: &Allocation,
        functions: &Functions,
    ) -> Result<Vec<Finding>, Missing> {
        let mut found = self.idle_relays(book, allocation)?;
        found.extend(self.empty_shards(book, allocation)?);
        found.extend(self.memory(book, functions)?);
        found.sort_by_key(|finding| (std::cmp::Reverse(finding.month), finding.what.clone()));
        Ok(found)
    }

    /// Minutes of each relay in which none of its shards had anybody.
    fn idle_relays(&self, book: &Book, allocation: &Allocation) -> Result<Vec<Finding>, Missing> {
        let Some((from, to)) = self.span_ms else {
            return Ok(Vec::new());
        };
        let all = (to.div_ceil(MINUTE_MS) - from / MINUTE_MS).max(1);
        let hourly = book
            .price(&allocation.relays.machine, AWS, HOME_REGION)?
            .list();
        let mut relays: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
        for (shard, minutes) in &self.shards {
            relays.entry(relay_of(shard)).or_default().extend(minutes);
        }
        let idle = |(relay, used): (&&str, &BTreeSet<u64>)| {
            let idle = all.saturating_sub(used.len() as u64);
            let month = hourly.scaled(MONTH_HOURS * u128::from(idle), u128::from(all));
            (idle > 0).then(|| Finding {
                what: format!("relay {relay}: {:.0} % idle", share(idle, all)),
                evidence: format!(
                    "in {idle} of {all} minutes no room of it had anybody (records of voice)"
                ),
                month: Some(month),
                change: "fewer relays in those hours: a lower minimum, or a later morning in \
                         infra/ops/calendar.toml; one for each zone stays"
                    .to_owned(),
            })
        };
        Ok(relays.iter().filter_map(idle).collect())
    }

    /// Cores that never had a room while their relay had some.
    fn empty_shards(&self, book: &Book, allocation: &Allocation) -> Result<Vec<Finding>, Missing> {
        let hourly = book
            .price(&allocation.relays.machine, AWS, HOME_REGION)?
            .list();
        let cores = u128::from(allocation.relays.cores.max(1));
        let mut relays: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (shard, minutes) in &self.shards {
            let (used, empty) = relays.entry(relay_of(shard)).or_default();
            *(if minutes.is_empty() { empty } else { used }) += 1;
        }
        let finding = |(relay, (used, empty)): (&&str, &(u64, u64))| {
            (*used > 0 && *empty > 0).then(|| Finding {
                what: format!("relay {relay}: {empty} of its shards empty"),
                evidence: format!("{used} had rooms, {empty} none at all (records of voice)"),
                month: Some(hourly.scaled(MONTH_HOURS * u128::from(*empty), cores)),
                change: "a machine with fewer cores".to_owned(),
            })
        };
        Ok(relays.iter().filter_map(finding).collect())
    }

    /// Memory with which a function only waits longer than it must.
    fn memory(&self, book: &Book, functions: &Functions) -> Result<Vec<Finding>, Missing> {
        let price = book.price("lambda-duration-arm", AWS, HOME_REGION)?;
        let hours = self.hours();
        let finding = |(name, function): (&String, &Function)| {
            let memory_mb = functions.memory_mb(name);
            let saved = function.mb_ms.checked_sub(function.least_mb_ms)?;
            if memory_mb <= LEAST_MB || saved == 0 || hours <= 0.0 {
                return None;
            }
            let month = price.of_part(saved);
            let month = month.scaled(MONTH_HOURS * 1_000, (hours * 1_000.0).max(1.0) as u128);
            Some(Finding {
                what: format!("function {name}: {memory_mb} MB where {LEAST_MB} would do"),
                evidence: format!(
                    "{} calls of edge-host, with {:.1} MB at most; {} ms a call of the store are \
                     waiting, whatever the memory",
                    function.calls,
                    function.peak_bytes as f64 / 1e6,
                    STORE_CALL_US / 1_000
                ),
                month: Some(month),
                change: format!(
                    "memory_mb {LEAST_MB} in functions/permissions.json; its slowest call takes \
                     {} ms then, and {} now",
                    function.longest_ms.1, function.longest_ms.0
                ),
            })
        };
        Ok(self.functions.iter().filter_map(finding).collect())
    }

    /// Records of Lambda, which do not say what their function would need of a processor.
    pub fn of_lambda(&self) -> u64 {
        self.functions.values().map(|one| one.of_lambda).sum()
    }
}

/// The relay of a shard: its name without the number of the core.
fn relay_of(shard: &str) -> &str {
    shard.rsplit_once('-').map_or(shard, |(relay, _)| relay)
}

fn share(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

/// What can be saved by what Terraform says there is: `state` is of `terraform show -json`.
///
/// # Errors
/// A sentence when it is no such file, or the book has no price of an address.
pub fn of_state(state: &Value, book: &Book) -> Result<Vec<Finding>, String> {
    let root = ["values", "planned_values"]
        .iter()
        .find_map(|name| state.get(name)?.get("root_module"))
        .ok_or("no values.root_module: give what `terraform show -json` prints")?;
    let price = book.price("public-ipv4", AWS, HOME_REGION);
    let hourly = price.map_err(|missing| missing.to_string())?.list();
    let mut found = Vec::new();
    for resource in managed(root).into_iter().take(RESOURCES_MAX) {
        let text = |name: &str| {
            resource
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let values = resource.get("values").unwrap_or(&Value::Null);
        let is_set = |name: &str| {
            let value = values.get(name).and_then(Value::as_str);
            value.is_some_and(|value| !value.is_empty())
        };
        match text("type") {
            "aws_eip" => {
                let users = ["association_id", "instance", "network_interface"];
                if !users.iter().any(|name| is_set(name)) {
                    found.push(Finding {
                        what: format!("address {}", text("address")),
                        evidence: "nothing uses it".to_owned(),
                        month: Some(hourly.scaled(MONTH_HOURS, 1)),
                        change: "give it back, or attach it".to_owned(),
                    });
                }
            }
            "aws_cloudwatch_log_group" => {
                let days = values.get("retention_in_days").and_then(Value::as_u64);
                if days.unwrap_or_default() == 0 {
                    found.push(Finding {
                        what: format!("logs {}", text("address")),
                        evidence: "kept for ever: retention_in_days is not set".to_owned(),
                        month: None,
                        change: "set retention_in_days".to_owned(),
                    });
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

#[cfg(test)]
#[path = "waste_tests.rs"]
mod tests;
