//! How long this program itself stood still: a gap of that length says nothing of the service.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::now;

/// Time between two beats.
const BEAT: Duration = Duration::from_millis(5);

/// A thread that wants to run each few milliseconds and notes by how much it came too late.
pub struct Pulse {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    longest_us: AtomicU64,
    is_over: AtomicBool,
}

impl Pulse {
    /// Begins to beat.
    pub fn start() -> Self {
        let shared = Arc::<Shared>::default();
        let beating = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let mut before = now();
            while !beating.is_over.load(Ordering::Relaxed) {
                std::thread::park_timeout(BEAT);
                let late = (now() - before).saturating_sub(BEAT);
                let late_us = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
                beating.longest_us.fetch_max(late_us, Ordering::Relaxed);
                before = now();
            }
        });
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// By how much it was late at most since it was asked last.
    pub fn take_longest(&self) -> Duration {
        Duration::from_micros(self.shared.longest_us.swap(0, Ordering::Relaxed))
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It does nothing that panics.
            let _ = thread.join();
        }
    }
}
