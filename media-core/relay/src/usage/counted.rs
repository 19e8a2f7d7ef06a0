//! What becomes of usage between a shard and the edge, counted.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use wire::usage::RoomUsage;

/// What became of usage, of the whole relay.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    /// Records written to the journal.
    pub(crate) written: AtomicU64,
    /// Records that found no room on their way to it or to the output, or that the disk did not
    /// take.
    pub(crate) lost: AtomicU64,
    /// Lines of a journal that cannot be read, such as the torn last one of a relay that was
    /// killed.
    pub(crate) torn: AtomicU64,
    /// Records dropped since the journal was full of older ones.
    pub(crate) dropped_size: AtomicU64,
    /// Records dropped since they had waited too long.
    pub(crate) dropped_age: AtomicU64,
    /// Records dropped since the edge will never take them.
    pub(crate) dropped_refused: AtomicU64,
    /// Records that the edge has taken.
    pub(crate) taken: AtomicU64,
    /// Batches that were not taken, at this time.
    pub(crate) failed: AtomicU64,
    /// Bytes of the journal that wait for the edge.
    pub(crate) waiting_bytes: AtomicU64,
    /// Whether the disk does not take the journal.
    pub(crate) is_failing: AtomicBool,
}

impl Stats {
    pub(crate) fn add(counter: &AtomicU64, more: u64) {
        counter.fetch_add(more, Ordering::Relaxed);
    }
}

/// A record on its way to the journal.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Which shard of the relay it is of, from 0.
    pub(crate) shard: usize,
    pub(crate) usage: RoomUsage,
}
