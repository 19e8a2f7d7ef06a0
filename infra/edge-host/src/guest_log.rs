//! A component's stdout and stderr: to the host's log, up to a bound per request.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// Bytes a guest may hand over in one write.
const WRITE_BYTES: usize = 64 << 10;

/// Which of the two.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// Collects what one instance writes.
#[derive(Clone)]
pub(crate) struct GuestLog(Arc<Mutex<Collected>>);

struct Collected {
    component: String,
    /// What was written last and not yet ended by a newline; one for each stream.
    lines: [Vec<u8>; 2],
    remaining_bytes: usize,
    written_bytes: u64,
    is_cut: bool,
}

impl GuestLog {
    pub(crate) fn new(component: String, limit_bytes: usize) -> Self {
        Self(Arc::new(Mutex::new(Collected {
            component,
            lines: [Vec::new(), Vec::new()],
            remaining_bytes: limit_bytes,
            written_bytes: 0,
            is_cut: false,
        })))
    }

    pub(crate) fn stream(&self, stream: Stream) -> GuestStream {
        GuestStream {
            log: self.clone(),
            stream,
        }
    }

    /// Logs what is left and returns how many bytes the guest wrote, those over the bound among
    /// them.
    pub(crate) fn finish(&self) -> u64 {
        let mut collected = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in [Stream::Stdout, Stream::Stderr] {
            collected.end_line(stream);
        }
        if collected.is_cut {
            tracing::warn!(
                component = collected.component,
                bytes = collected.written_bytes,
                "the component wrote more than the log limit; the rest is cut off"
            );
        }
        collected.written_bytes
    }

    fn write(&self, stream: Stream, bytes: &[u8]) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write(stream, bytes);
    }
}

impl Collected {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        self.written_bytes += bytes.len() as u64;
        let kept = bytes.len().min(self.remaining_bytes);
        self.is_cut |= kept < bytes.len();
        self.remaining_bytes -= kept;
        for part in bytes[..kept].split_inclusive(|byte| *byte == b'\n') {
            let line = part.strip_suffix(b"\n");
            self.lines[stream as usize].extend_from_slice(line.unwrap_or(part));
            if line.is_some() {
                self.end_line(stream);
            }
        }
    }

    fn end_line(&mut self, stream: Stream) {
        let line = std::mem::take(&mut self.lines[stream as usize]);
        if line.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(&line);
        tracing::info!(target: "guest", component = self.component, ?stream, "{}", text.trim_end());
    }
}

/// One of a guest's two output streams.
#[derive(Clone)]
pub(crate) struct GuestStream {
    log: GuestLog,
    stream: Stream,
}

impl IsTerminal for GuestStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for GuestStream {
    async fn ready(&mut self) {}
}

#[wasmtime_wasi::async_trait]
impl OutputStream for GuestStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.log.write(self.stream, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}

impl AsyncWrite for GuestStream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.log.write(self.stream, bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_over_the_bound_are_counted_and_not_kept() {
        let log = GuestLog::new("fixture".into(), 10);
        log.write(Stream::Stdout, b"four");
        log.write(Stream::Stderr, b"another");
        log.write(Stream::Stdout, &[b'x'; 1_000]);
        {
            let collected = log.0.lock().unwrap();
            assert_eq!(collected.lines, [b"four".to_vec(), b"anothe".to_vec()]);
            assert!(collected.is_cut);
        }
        assert_eq!(log.finish(), 4 + 7 + 1_000);
    }

    #[test]
    fn a_newline_ends_a_line() {
        let log = GuestLog::new("fixture".into(), 100);
        log.write(Stream::Stdout, b"one\ntw");
        assert_eq!(log.0.lock().unwrap().lines[0], b"tw");
        log.write(Stream::Stdout, b"o\n");
        assert!(log.0.lock().unwrap().lines[0].is_empty());
    }
}
