//! Writes the journal on a thread of its own: the disk may wait, the voice does not. What the disk
//! does not take is lost and counted, and it is asked again a little later.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use wire::limits::MAX_USAGE_AGE_MS;
use wire::usage::{MINUTE_MS, RoomUsage};

use super::counted::{Entry, Stats};
use super::files::{Closed, Folder};
use super::journal::{self, Head};
use crate::clock;
use crate::config::Settings;

/// Time between two moments at which what was written is safe from a power failure.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// Time until a disk that did not take the journal is asked again.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// A file is closed when it is longer.
const FILE_BYTES: u64 = 4 << 20;
/// A minute's last records are written by this long after its end, so that a file that is closed
/// then has whole minutes.
const MARGIN_MS: u64 = 10_000;

/// How much of the journal is kept, and how soon it is brought away.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Over how long records are gathered into one batch.
    pub(crate) batch: Duration,
    /// Most bytes that wait for the edge; the oldest go first.
    pub(crate) bytes: u64,
}

impl Limits {
    /// Of a relay's settings.
    pub(crate) fn of(settings: &Settings) -> Self {
        Self {
            batch: Duration::from_secs(settings.usage_seconds.into()),
            bytes: u64::from(settings.usage_megabytes) << 20,
        }
    }
}

/// Writes the journal of a relay.
pub(crate) struct Writer {
    folder: Arc<Folder>,
    limits: Limits,
    shards: Vec<Shard>,
    stats: Arc<Stats>,
    /// Told when there is something to bring away.
    news: Arc<Notify>,
}

struct Shard {
    head: Head,
    began_ms: u64,
    /// Files so far.
    files: u64,
    open: Option<Open>,
    retry_at: Option<Instant>,
}

struct Open {
    file: BufWriter<File>,
    path: PathBuf,
    bytes: u64,
    /// Records that may not have reached the disk.
    unsynced: u64,
    /// The file is closed when another has begun.
    period: u64,
}

impl Writer {
    /// For these shards of a relay, which began at `began_ms` of Unix time.
    pub(crate) fn new(
        folder: Arc<Folder>,
        limits: Limits,
        (heads, began_ms): (Vec<Head>, u64),
        stats: Arc<Stats>,
        news: Arc<Notify>,
    ) -> Self {
        let shard = |head| Shard {
            head,
            began_ms,
            files: 0,
            open: None,
            retry_at: None,
        };
        Self {
            folder,
            limits,
            shards: heads.into_iter().map(shard).collect(),
            stats,
            news,
        }
    }

    /// Writes what comes until nobody sends any more, and closes what is open.
    pub(crate) fn run(mut self, entries: &Receiver<Entry>) {
        self.keep_bounds();
        let mut sync_at = clock::now() + SYNC_INTERVAL;
        loop {
            let left = sync_at.saturating_duration_since(clock::now());
            match entries.recv_timeout(left) {
                Ok(entry) => self.write(&entry),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let now = clock::now();
            if now >= sync_at {
                sync_at = now + SYNC_INTERVAL;
                self.sync();
            }
        }
        for number in 0..self.shards.len() {
            self.close(number);
        }
    }

    fn write(&mut self, entry: &Entry) {
        let period = self.period();
        let shard = &mut self.shards[entry.shard];
        if shard.retry_at.is_some_and(|at| clock::now() < at) {
            return Stats::add(&self.stats.lost, 1);
        }
        let opened = match shard.open {
            Some(_) => Ok(()),
            None => shard.begin(&self.folder, period),
        };
        let written = opened.and_then(|()| {
            let open = shard.open.as_mut().expect("opened above");
            open.write(&entry.usage)
        });
        match written {
            Ok(()) => self.recovered(entry.shard),
            Err(error) => self.failed(entry.shard, &error, 1),
        }
    }

    /// Number of the time of which records are in one file; in each a few minutes of the clock
    /// begin and end.
    fn period(&self) -> u64 {
        let batch_ms = u64::try_from(self.limits.batch.as_millis()).unwrap_or(u64::MAX);
        let margin_ms = if batch_ms >= MINUTE_MS { MARGIN_MS } else { 0 };
        clock::unix_ms().saturating_sub(margin_ms) / batch_ms.max(1)
    }

    /// Brings what was written to the disk, and closes files that are full or old.
    fn sync(&mut self) {
        let period = self.period();
        for number in 0..self.shards.len() {
            let Some(open) = &mut self.shards[number].open else {
                continue;
            };
            if let Err(error) = open.sync() {
                self.failed(number, &error, 0);
            } else if open.period != period || open.bytes >= FILE_BYTES {
                self.close(number);
            }
        }
    }

    /// Closes a shard's file, whatever reached it.
    fn close(&mut self, number: usize) {
        let Some(mut open) = self.shards[number].open.take() else {
            return;
        };
        let synced = open.sync();
        if let Err(error) = &synced {
            self.say_failed(error);
            Stats::add(&self.stats.lost, open.unsynced);
        }
        self.finish(open, synced.is_ok());
    }

    /// The disk did not take a record, and perhaps others before it.
    fn failed(&mut self, number: usize, error: &io::Error, records: u64) {
        self.say_failed(error);
        let shard = &mut self.shards[number];
        shard.retry_at = Some(clock::now() + RETRY_INTERVAL);
        let open = shard.open.take();
        let unsynced = open.as_ref().map_or(0, |open| open.unsynced);
        Stats::add(&self.stats.lost, unsynced + records);
        if let Some(open) = open {
            self.finish(open, false);
        }
    }

    fn finish(&mut self, open: Open, is_synced: bool) {
        let Open { file, path, .. } = open;
        // What is in the buffer yet would come behind a line that is torn.
        let (file, buffer) = file.into_parts();
        debug_assert!(!is_synced || buffer.is_ok_and(|buffer| buffer.is_empty()));
        drop(file);
        if let Err(error) = Folder::close(&path) {
            self.say_failed(&error);
        }
        self.keep_bounds();
        self.news.notify_one();
    }

    fn say_failed(&self, error: &io::Error) {
        if !self.stats.is_failing.swap(true, Ordering::Relaxed) {
            let kind = error.kind();
            tracing::error!(%kind, "the disk does not take the journal of usage; voice goes on");
        }
    }

    fn recovered(&mut self, number: usize) {
        Stats::add(&self.stats.written, 1);
        self.shards[number].retry_at = None;
        let is_well = self.shards.iter().all(|shard| shard.retry_at.is_none());
        if is_well && self.stats.is_failing.swap(false, Ordering::Relaxed) {
            tracing::info!("the disk takes the journal of usage again");
        }
    }

    /// Drops what is too old, and the oldest of what is too much.
    fn keep_bounds(&self) {
        let mut closed = match self.folder.closed() {
            Ok(closed) => closed,
            Err(error) => return self.say_failed(&error),
        };
        closed.sort_by_key(|file| file.written);
        let mut bytes: u64 = closed.iter().map(|file| file.bytes).sum();
        let oldest = clock::since_epoch().saturating_sub(Duration::from_millis(MAX_USAGE_AGE_MS));
        for file in &closed {
            let dropped = if file.written < oldest {
                &self.stats.dropped_age
            } else if bytes > self.limits.bytes {
                &self.stats.dropped_size
            } else {
                break;
            };
            Stats::add(dropped, records(file));
            bytes -= file.bytes;
            if let Err(error) = file.remove() {
                self.say_failed(&error);
            }
        }
        self.stats.waiting_bytes.store(bytes, Ordering::Relaxed);
    }
}

impl Shard {
    fn begin(&mut self, folder: &Folder, period: u64) -> io::Result<()> {
        self.files += 1;
        let run = (self.head.boot, self.began_ms);
        let (file, path) = folder.open(&self.head.shard, run, self.files)?;
        let mut open = Open::new(file, path, period);
        let head = open.write_bytes(&journal::line(&self.head));
        self.open = Some(open);
        head
    }
}

impl Open {
    fn new(file: File, path: PathBuf, period: u64) -> Self {
        Self {
            file: BufWriter::new(file),
            path,
            bytes: 0,
            unsynced: 0,
            period,
        }
    }

    fn write(&mut self, usage: &RoomUsage) -> io::Result<()> {
        self.write_bytes(&journal::line(usage))?;
        self.unsynced += 1;
        Ok(())
    }

    fn write_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.flush()?;
        if self.unsynced > 0 {
            self.file.get_ref().sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }
}

/// How many records a file has.
fn records(file: &Closed) -> u64 {
    let journal = file.read().ok().flatten();
    journal.map_or(0, |journal| journal.records.len() as u64)
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
