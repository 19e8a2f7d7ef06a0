//! One invocation record per request, and where the records go.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use serde::Deserialize;
use wire::record::InvocationRecord;

/// Records that may wait for a slow reader of stdout; more are dropped and counted.
const QUEUE_RECORDS: usize = 16_384;

/// The function's share, from its `lv-record` reply header. Unlike [`wire::record::FunctionShare`]
/// every field may be missing: what a function does not say, the host does.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct FunctionShare {
    pub(crate) route: Option<String>,
    pub(crate) outcome: Option<String>,
    #[serde(default)]
    pub(crate) store_calls: u32,
    pub(crate) store_reads: Option<u32>,
    pub(crate) store_writes: Option<u32>,
    #[serde(default)]
    pub(crate) store_read_units: u32,
    #[serde(default)]
    pub(crate) store_write_units: u32,
}

impl FunctionShare {
    /// Adds what an earlier run of the same request counted. One that did not count leaves it to
    /// the host, which knows of all runs.
    pub(crate) fn add(&mut self, before: &Self) {
        let both = |this: Option<u32>, before: Option<u32>| Some(this? + before?);
        self.store_calls += before.store_calls;
        self.store_reads = both(self.store_reads, before.store_reads);
        self.store_writes = both(self.store_writes, before.store_writes);
        self.store_read_units += before.store_read_units;
        self.store_write_units += before.store_write_units;
    }
}

/// Where invocation records go.
#[derive(Clone, Debug, Default)]
pub enum RecordSink {
    /// One JSON line each on stdout.
    #[default]
    Stdout,
    /// To a channel, for tests and embedding programs.
    Channel(tokio::sync::mpsc::UnboundedSender<InvocationRecord>),
}

/// Writes records without holding up the request that made them.
pub(crate) struct Recorder {
    output: Output,
    dropped: Arc<AtomicU64>,
}

enum Output {
    Writer {
        queue: Option<SyncSender<InvocationRecord>>,
        thread: Option<JoinHandle<()>>,
    },
    Channel(tokio::sync::mpsc::UnboundedSender<InvocationRecord>),
}

impl Recorder {
    pub(crate) fn start(sink: RecordSink) -> std::io::Result<Self> {
        let output = match sink {
            RecordSink::Channel(sender) => Output::Channel(sender),
            RecordSink::Stdout => {
                let (queue, records) = sync_channel(QUEUE_RECORDS);
                let thread = std::thread::Builder::new()
                    .name("records".into())
                    .spawn(move || write_lines(&records, std::io::stdout()))?;
                Output::Writer {
                    queue: Some(queue),
                    thread: Some(thread),
                }
            }
        };
        Ok(Self {
            output,
            dropped: Arc::default(),
        })
    }

    pub(crate) fn record(&self, record: InvocationRecord) {
        let lost = match &self.output {
            Output::Channel(sender) => sender.send(record).is_err(),
            Output::Writer { queue, .. } => {
                let queue = queue.as_ref().expect("the queue closes only on drop");
                match queue.try_send(record) {
                    Ok(()) => false,
                    Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => true,
                }
            }
        };
        if lost {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many records found no room in the queue.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if let Output::Writer { queue, thread } = &mut self.output {
            drop(queue.take());
            if let Some(thread) = thread.take() {
                // A panic of the writer was already printed; there is nothing more to flush.
                let _ = thread.join();
            }
        }
    }
}

/// Writes each record as a line; flushes when no other is waiting.
fn write_lines(records: &Receiver<InvocationRecord>, output: impl Write) {
    let mut output = std::io::BufWriter::new(output);
    while let Ok(first) = records.recv() {
        let mut next = Some(first);
        while let Some(record) = next {
            if write_line(&mut output, &record).is_err() {
                // The reader is gone: keep draining so that the senders count nothing as lost.
                return records.iter().for_each(drop);
            }
            next = records.try_recv().ok();
        }
        if output.flush().is_err() {
            return records.iter().for_each(drop);
        }
    }
}

fn write_line(output: &mut impl Write, record: &InvocationRecord) -> std::io::Result<()> {
    serde_json::to_writer(&mut *output, record)?;
    output.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_json_line() {
        let (sender, receiver) = sync_channel(4);
        for status in [201, 404] {
            sender.send(sample(status)).unwrap();
        }
        drop(sender);
        let mut written = Vec::new();
        write_lines(&receiver, &mut written);
        let text = String::from_utf8(written).unwrap();
        let statuses: Vec<u64> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .map(|value| value["status"].as_u64().unwrap())
            .collect();
        assert_eq!(statuses, [201, 404]);
    }

    #[test]
    fn a_broken_pipe_does_not_block_the_senders() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
        }
        let (sender, receiver) = sync_channel(1);
        let writer = std::thread::spawn(move || write_lines(&receiver, Broken));
        for _ in 0..100 {
            sender.send(sample(200)).unwrap();
        }
        drop(sender);
        writer.join().unwrap();
    }

    fn sample(status: u16) -> InvocationRecord {
        InvocationRecord {
            kind: wire::record::InvocationKind::Invocation,
            form: wire::record::RECORD_FORM,
            id: None,
            region: String::new(),
            build: String::new(),
            cold: false,
            billed_ms: 0,
            memory_mb: 0,
            store_calls: 0,
            function: "signalling".into(),
            route: "join".into(),
            host: "edge-host".into(),
            method: "POST".into(),
            status,
            outcome: "created".into(),
            duration_us: 1,
            fuel: 2,
            peak_memory_bytes: 3,
            store_reads: 4,
            store_writes: 5,
            store_read_units: 4,
            store_write_units: 5,
            bytes_in: 6,
            bytes_out: 7,
            log_bytes: 8,
            at_ms: 9,
        }
    }
}
