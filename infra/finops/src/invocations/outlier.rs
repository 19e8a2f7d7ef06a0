//! Single invocations that cost far more than others of their kind.

use wire::ids::InvocationId;
use wire::record::InvocationRecord;

use crate::cost::{Cost, Used};
use crate::money::Money;

/// Kept of each group while records come.
const KEPT: usize = 3;
/// One stands out when it costs so many times the mean of its group.
const TIMES: i128 = 4;

/// One invocation that stands out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlier {
    /// Which one it was.
    pub id: Option<InvocationId>,
    /// When it began, Unix milliseconds.
    pub at_ms: u64,
    /// What it cost.
    pub cost: Money,
    /// How many times the mean of its group.
    pub times: i128,
    /// Why.
    pub reason: String,
}

#[derive(Debug, Clone)]
struct Kept {
    id: Option<InvocationId>,
    at_ms: u64,
    cold: bool,
    duration_us: u64,
    billed_ms: u64,
    used: Used,
    cost: Cost,
}

/// What the invocations of a group came to together.
pub(super) struct Together {
    pub(super) count: u64,
    pub(super) used: Used,
    pub(super) cost: Cost,
    /// Half of them took longer, microseconds.
    pub(super) median_us: u64,
}

/// The dearest few of a group, whatever the order in which they come.
#[derive(Debug, Clone, Default)]
pub(super) struct Dearest(Vec<Kept>);

impl Dearest {
    pub(super) fn offer(&mut self, record: &InvocationRecord, used: &Used, cost: &Cost) {
        let rank = |kept: &Kept| (std::cmp::Reverse(kept.cost.total()), kept.at_ms, kept.id);
        if let Some(last) = self.0.get(KEPT - 1)
            && last.cost.total() > cost.total()
        {
            return;
        }
        self.0.push(Kept {
            id: record.id,
            at_ms: record.at_ms,
            cold: record.cold,
            duration_us: record.duration_us,
            billed_ms: record.billed_ms,
            used: *used,
            cost: *cost,
        });
        self.0.sort_by_key(rank);
        self.0.truncate(KEPT);
    }

    pub(super) fn outliers(&self, group: &Together) -> Vec<Outlier> {
        let count = i128::from(group.count.max(1));
        let mean = Money(group.cost.total().0 / count);
        let stands_out = |kept: &&Kept| group.count > 1 && kept.cost.total().0 > TIMES * mean.0;
        let outlier = |kept: &Kept| Outlier {
            id: kept.id,
            at_ms: kept.at_ms,
            cost: kept.cost.total(),
            times: kept.cost.total().0 / mean.0.max(1),
            reason: reason(kept, group),
        };
        self.0.iter().filter(stands_out).map(outlier).collect()
    }
}

/// The part of the cost that is most above the mean's, and what it was spent on.
fn reason(kept: &Kept, group: &Together) -> String {
    let count = u128::from(group.count.max(1));
    let above = |at: usize| kept.cost.parts()[at].0 - group.cost.parts()[at].0 / count as i128;
    let most = (0..Cost::PARTS.len())
        .max_by_key(|at| above(*at))
        .unwrap_or(0);
    let used = &group.used;
    match Cost::PARTS[most] {
        "store" => format!(
            "{} read and {} write units; the mean is {} and {}",
            kept.used.read_units,
            kept.used.write_units,
            used.read_units / count,
            used.write_units / count,
        ),
        "compute" if kept.cold => {
            format!("a cold start: {} ms billed", kept.billed_ms)
        }
        "compute" => format!(
            "it took {:.1} ms; half take {:.1}",
            kept.duration_us as f64 / 1e3,
            group.median_us as f64 / 1e3,
        ),
        "logs" => format!(
            "{} bytes of logs; the mean is {}",
            kept.used.log_bytes,
            used.log_bytes / count,
        ),
        "egress" => format!(
            "a reply of {} bytes; the mean is {}",
            kept.used.egress_bytes,
            used.egress_bytes / count,
        ),
        _ => format!("{} requests' worth of bytes", kept.used.gateway_requests),
    }
}
