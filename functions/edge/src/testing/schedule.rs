//! Runs futures without a runtime: to the end, together, or interleaved by a seed.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Runs one future that never waits for anything outside itself.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            return value;
        }
    }
}

/// Polls all futures until each is done, under whatever runtime polls the result.
pub async fn join_all<T>(futures: Vec<Pin<Box<dyn Future<Output = T> + '_>>>) -> Vec<T> {
    let mut slots: Vec<_> = futures.into_iter().map(|future| (future, None)).collect();
    std::future::poll_fn(move |context| {
        for (future, done) in slots.iter_mut().filter(|(_, done)| done.is_none()) {
            if let Poll::Ready(value) = future.as_mut().poll(context) {
                *done = Some(value);
            }
        }
        if slots.iter().any(|(_, done)| done.is_none()) {
            return Poll::Pending;
        }
        Poll::Ready(
            slots
                .iter_mut()
                .filter_map(|(_, done)| done.take())
                .collect(),
        )
    })
    .await
}

/// Gives up the turn once: the place where [`interleave`] may switch to another task.
pub async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Runs the tasks to their end, choosing by `seed` which goes on at each [`yield_now`]. The same
/// seed gives the same run. Panics after a million turns.
pub fn interleave<T>(seed: u64, tasks: Vec<Pin<Box<dyn Future<Output = T> + '_>>>) -> Vec<T> {
    let waker = Waker::from(Arc::new(Ignore));
    let mut context = Context::from_waker(&waker);
    let chance = Chance::new(seed);
    let mut results: Vec<Option<T>> = tasks.iter().map(|_| None).collect();
    let mut running: Vec<_> = tasks.into_iter().enumerate().collect();
    for _ in 0..1_000_000 {
        if running.is_empty() {
            return results.into_iter().flatten().collect();
        }
        let turn = chance.below(running.len() as u64) as usize;
        let (task, future) = &mut running[turn];
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            results[*task] = Some(value);
            drop(running.swap_remove(turn));
        }
    }
    panic!("a task never ends; seed {seed}");
}

struct Ignore;

impl Wake for Ignore {
    fn wake(self: Arc<Self>) {}
}

/// Seeded chance (SplitMix64), for tests only.
#[derive(Debug)]
pub struct Chance(AtomicU64);

impl Chance {
    /// Chance from a seed.
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// The next number.
    pub fn next(&self) -> u64 {
        let step = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(step, Ordering::Relaxed).wrapping_add(step);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&self, bound: u64) -> u64 {
        self.next() % bound
    }
}
