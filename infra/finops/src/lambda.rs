//! What an invocation uses on Lambda: as it was billed, or as it would be of one that ran on a
//! machine of our own.

use std::collections::BTreeMap;

use serde::Deserialize;
use wire::record::InvocationRecord;

use crate::cost::Used;

/// Memory at which Lambda gives a whole processor, MB; with less it gives that much less of one.
/// AWS, "Configure Lambda function memory".
pub const WHOLE_CPU_MB: u64 = 1_769;
/// Assumed time of one call of DynamoDB from a function of its region, microseconds: waiting, which
/// is billed like working.
pub const STORE_CALL_US: u64 = 5_000;
/// Memory of a function of which `functions/permissions.json` does not say.
pub const DEFAULT_MEMORY_MB: u32 = 128;
/// What CloudWatch counts of an event besides its text, bytes: PutLogEvents.
pub const LOG_EVENT_BYTES: u64 = 26;
/// What API Gateway counts as one request of an HTTP API, bytes.
const GATEWAY_STEP_BYTES: u64 = 512 << 10;
/// Hosts whose records say what was billed.
const LAMBDA: &str = "lambda";

/// What each function has, as it is deployed.
#[derive(Debug, Clone, Default)]
pub struct Functions {
    memory_mb: BTreeMap<String, u32>,
}

#[derive(Deserialize)]
struct FunctionPermissions {
    memory_mb: u32,
}

impl Functions {
    /// As in `functions/permissions.json` of this repository.
    ///
    /// # Panics
    /// Never: a test reads it.
    pub fn built_in() -> Self {
        let text = include_str!("../../../functions/permissions.json");
        let read: BTreeMap<String, FunctionPermissions> =
            serde_json::from_str(text).expect("the repository's file is read by a test");
        let memory = read
            .into_iter()
            .map(|(name, function)| (name, function.memory_mb));
        Self {
            memory_mb: memory.collect(),
        }
    }

    /// Memory of a function, MB.
    pub fn memory_mb(&self, function: &str) -> u32 {
        let found = self.memory_mb.get(function).copied();
        found.unwrap_or(DEFAULT_MEMORY_MB)
    }

    /// What an invocation used, with a line of so many bytes in the logs. Of one that was not
    /// billed it is what it would be on Lambda.
    pub fn used(&self, record: &InvocationRecord, line_bytes: u64) -> Used {
        let is_billed = record.host == LAMBDA && record.memory_mb > 0;
        let (billed_ms, memory_mb) = if is_billed {
            // Where it is left out, it is the duration rounded up.
            let warm_ms = record.duration_us.div_ceil(1_000).max(1);
            (record.billed_ms.max(warm_ms), record.memory_mb)
        } else {
            let memory_mb = self.memory_mb(&record.function);
            // The first form did not count calls; items are at least as many.
            let calls = match record.store_calls {
                0 => record.store_reads.saturating_add(record.store_writes),
                calls => calls,
            };
            (
                billed_ms(record.duration_us, memory_mb, calls.into()),
                memory_mb,
            )
        };
        let steps = record
            .bytes_in
            .max(record.bytes_out)
            .div_ceil(GATEWAY_STEP_BYTES);
        let logged = u128::from(line_bytes) + u128::from(record.log_bytes);
        Used {
            gateway_requests: steps.max(1).into(),
            requests: 1,
            mb_ms: u128::from(billed_ms) * u128::from(memory_mb),
            read_units: record.store_read_units.into(),
            write_units: record.store_write_units.into(),
            log_bytes: logged + u128::from(LOG_EVENT_BYTES),
            egress_bytes: record.bytes_out.into(),
        }
    }
}

/// Milliseconds that Lambda would bill for `busy_us` microseconds of a whole processor and so many
/// calls of the store, with so much memory: at least one.
pub fn billed_ms(busy_us: u64, memory_mb: u32, store_calls: u64) -> u64 {
    let share_mb = u128::from(memory_mb.max(1)).min(WHOLE_CPU_MB.into());
    let busy = (u128::from(busy_us) * u128::from(WHOLE_CPU_MB)).div_ceil(share_mb);
    let waiting = u128::from(store_calls) * u128::from(STORE_CALL_US);
    u64::try_from((busy + waiting).div_ceil(1_000))
        .unwrap_or(u64::MAX)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_with_less_memory_works_longer() {
        assert_eq!(billed_ms(1_000, 1_769, 0), 1);
        // 480 us of a processor are 6.6 ms of its 128/1769th, and two calls are 10.
        assert_eq!(billed_ms(480, 128, 2), 17);
        assert_eq!(billed_ms(0, 128, 0), 1, "never nothing");
        assert_eq!(
            billed_ms(1_000, 10_240, 0),
            1,
            "one thread has one processor"
        );
        assert_eq!(billed_ms(u64::MAX, 0, u64::MAX), u64::MAX);
    }

    #[test]
    fn memory_is_what_is_deployed() {
        let functions = Functions::built_in();
        assert_eq!(functions.memory_mb("matchmaking"), 256);
        assert_eq!(functions.memory_mb("unheard-of"), DEFAULT_MEMORY_MB);
    }
}
