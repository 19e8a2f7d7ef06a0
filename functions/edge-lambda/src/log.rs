//! What goes to CloudWatch Logs: invocation records on stdout, and on stderr what operators must
//! know. Never a key, an address or a body.

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

static WRITTEN_BYTES: AtomicU64 = AtomicU64::new(0);

/// Something outside of the function failed.
pub(crate) fn fault(what: &str, why: &str) {
    let line = serde_json::json!({ "level": "error", "what": what, "why": why }).to_string();
    WRITTEN_BYTES.fetch_add(line.len() as u64 + 1, Ordering::Relaxed);
    eprintln!("{line}");
}

/// The code of a function was wrong: where, since a panic's own words may quote what it worked on.
pub(crate) fn panicked(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    fault("panic", place.as_deref().unwrap_or("somewhere"));
}

/// Bytes of faults since the last call.
pub(crate) fn take_written_bytes() -> u64 {
    WRITTEN_BYTES.swap(0, Ordering::Relaxed)
}

/// Writes a record as a line of its own. One that cannot be written is lost: the reply matters
/// more.
pub(crate) fn record(line: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(line).and_then(|()| stdout.flush());
}
