//! The invocation record as CloudWatch's Embedded Metric Format: the record that every host
//! writes, plus a member `_aws` that makes three metrics of it. They have the function as their
//! only dimension, because each metric of each combination is billed by the month.

use serde::Serialize;
use wire::record::InvocationRecord;

const NAMESPACE: &str = "LifeVerse";

#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "_aws")]
    aws: Aws,
    #[serde(flatten)]
    record: &'a InvocationRecord,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Aws {
    timestamp: u64,
    cloud_watch_metrics: [Directive; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive {
    namespace: &'static str,
    dimensions: [[&'static str; 1]; 1],
    metrics: [Metric; 3],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    name: &'static str,
    unit: &'static str,
}

/// The record as one line.
pub(crate) fn line(record: &InvocationRecord) -> Vec<u8> {
    let metric = |name, unit| Metric { name, unit };
    let line = Line {
        aws: Aws {
            timestamp: record.at_ms,
            cloud_watch_metrics: [Directive {
                namespace: NAMESPACE,
                dimensions: [["function"]],
                metrics: [
                    metric("duration_us", "Microseconds"),
                    metric("store_read_units", "Count"),
                    metric("store_write_units", "Count"),
                ],
            }],
        },
        record,
    };
    let mut line = serde_json::to_vec(&line).expect("a record has string keys only");
    line.push(b'\n');
    line
}

/// The largest resident set of this process so far, bytes; 0 where the kernel does not say.
pub(crate) fn peak_memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    peak_of(&status).unwrap_or(0)
}

fn peak_of(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::record::InvocationKind;

    #[test]
    fn a_line_is_the_record_and_names_metrics_that_it_has() {
        let record = InvocationRecord {
            kind: InvocationKind::Invocation,
            at_ms: 1,
            function: "chat".into(),
            route: "post".into(),
            host: "lambda".into(),
            method: "POST".into(),
            status: 201,
            outcome: "ok".into(),
            duration_us: 2,
            fuel: 0,
            peak_memory_bytes: 3,
            store_reads: 4,
            store_writes: 5,
            store_read_units: 9,
            store_write_units: 10,
            bytes_in: 6,
            bytes_out: 7,
            log_bytes: 8,
        };
        let line = line(&record);
        assert_eq!(line.last(), Some(&b'\n'));
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value["_aws"]["Timestamp"], 1);
        let directive = &value["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Dimensions"][0][0], "function");
        for metric in directive["Metrics"].as_array().unwrap() {
            let name = metric["Name"].as_str().unwrap();
            assert!(value[name].is_u64(), "{name} is a member of the record");
        }
        let read: InvocationRecord = serde_json::from_value(value).unwrap();
        assert_eq!(
            read, record,
            "a reader of records needs to know nothing of CloudWatch"
        );
    }

    #[test]
    fn the_peak_is_read_from_the_kernels_text() {
        assert_eq!(
            peak_of("VmPeak: 9 kB\nVmHWM:\t   1234 kB\n"),
            Some(1234 * 1024)
        );
        assert_eq!(peak_of("VmPeak: 9 kB\n"), None);
        assert!(peak_memory_bytes() > 0);
    }
}
