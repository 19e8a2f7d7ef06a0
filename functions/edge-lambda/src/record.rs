//! The invocation record as one line of CloudWatch Logs. Its metrics are made by metric filters
//! (`terraform/modules/edge/metrics.tf`), which cost nothing: saying in each line which they are,
//! as the Embedded Metric Format does, was 250 bytes of logs for each invocation.

use wire::record::InvocationRecord;

/// The record as one line.
pub(crate) fn line(record: &InvocationRecord) -> Vec<u8> {
    let mut line = serde_json::to_vec(record).expect("a record has string keys only");
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
    use wire::ids::InvocationId;
    use wire::record::{InvocationKind, RECORD_FORM};

    /// What CloudWatch counts of each event besides its text.
    const EVENT_BYTES: usize = 26;

    #[test]
    fn a_line_is_the_record_and_is_cheap() {
        // Of the longest names and large figures.
        let record = InvocationRecord {
            kind: InvocationKind::Invocation,
            form: RECORD_FORM,
            id: Some(InvocationId([0xee; 8])),
            at_ms: 1_700_000_000_000,
            function: "matchmaking".into(),
            route: "match-queue-up".into(),
            host: "lambda".into(),
            region: "ap-southeast-1".into(),
            build: "123".into(),
            method: "POST".into(),
            status: 201,
            outcome: "ok".into(),
            cold: false,
            duration_us: 412_345,
            billed_ms: 0,
            memory_mb: 256,
            fuel: 0,
            peak_memory_bytes: 14_123_456,
            store_calls: 12,
            store_reads: 20,
            store_writes: 12,
            store_read_units: 20,
            store_write_units: 12,
            bytes_in: 1_234,
            bytes_out: 12_345,
            log_bytes: 0,
        };
        let line = line(&record);
        assert_eq!(line.last(), Some(&b'\n'));
        let billed = line.len() - 1 + EVENT_BYTES;
        assert!(billed <= 400, "{billed} bytes of logs for each invocation");
        let read: InvocationRecord = serde_json::from_slice(&line).unwrap();
        assert_eq!(read, record);
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
