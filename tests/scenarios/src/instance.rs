//! A function's process as Lambda starts and ends it.

use std::path::Path;

use anyhow::Result;
use process::{Process, Stream};
use tokio::sync::mpsc;
use wire::record::InvocationRecord;

/// A running function; it ends when the last handle is dropped. To end it at once is to kill it
/// and wait for that: until then, it might be given an event that it never answers.
pub type Instance = Process;

/// Starts `program` with nothing but `environment`. Its records go to `records` too.
///
/// # Errors
/// When it does not start.
pub fn start(
    program: &Path,
    environment: &[(&'static str, String)],
    records: Option<mpsc::UnboundedSender<InvocationRecord>>,
) -> Result<Instance> {
    let name = program.file_name().unwrap_or_default();
    let mut command = process::command(program);
    command
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)));
    Process::start_and(&name.to_string_lossy(), command, move |stream, line| {
        if let Some(records) = &records {
            hand_on(records, stream, line);
        }
    })
}

/// Hands on a line of standard output that is a record.
pub(crate) fn hand_on(
    records: &mpsc::UnboundedSender<InvocationRecord>,
    stream: Stream,
    line: &str,
) {
    if stream == Stream::Out
        && let Ok(record) = serde_json::from_str(line)
    {
        // Nobody may want it any more.
        let _ = records.send(record);
    }
}
