//! What `/metrics` says of usage on its way to the edge, of the whole relay.

use std::sync::atomic::{AtomicU64, Ordering};

use super::counted::Stats;
use crate::exposition::{Exposition, Kind};

/// Why a record that was written down is not brought to the edge.
const DROPPED: [&str; 3] = ["size", "age", "refused"];

/// Adds the families.
pub(crate) fn write(text: &mut Exposition, stats: &Stats) {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    for (name, help, counter) in [
        (
            "relay_usage_records_written_total",
            "Usage records written to the journal.",
            &stats.written,
        ),
        (
            "relay_usage_records_taken_total",
            "Records that the edge took, those of a room and minute as one.",
            &stats.taken,
        ),
        (
            "relay_usage_records_lost_total",
            "Usage records that the output or the disk did not take.",
            &stats.lost,
        ),
        (
            "relay_usage_lines_torn_total",
            "Lines of the journal that could not be read.",
            &stats.torn,
        ),
        (
            "relay_usage_pushes_failed_total",
            "Batches of usage that the edge did not take then.",
            &stats.failed,
        ),
    ] {
        text.family(name, Kind::Counter, help)
            .sample(&[], read(counter));
    }
    let help = "Usage records of the journal that the edge will not get, by reason.";
    let mut family = text.family("relay_usage_records_dropped_total", Kind::Counter, help);
    let counters = [
        &stats.dropped_size,
        &stats.dropped_age,
        &stats.dropped_refused,
    ];
    for (reason, counter) in DROPPED.iter().zip(counters) {
        family.sample(&[("reason", reason)], read(counter));
    }
    let help = "Bytes of the journal that wait for the edge.";
    text.family("relay_usage_journal_bytes", Kind::Gauge, help)
        .sample(&[], read(&stats.waiting_bytes));
    let help = "1 while the disk does not take the journal.";
    text.family("relay_usage_journal_failing", Kind::Gauge, help)
        .sample(&[], u8::from(stats.is_failing.load(Ordering::Relaxed)));
}
