//! Deadlines in a heap with lazy deletion: one live entry for each owner.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// Who waits, by index, and a generation, so that an entry of a removed owner is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Waiter {
    pub(crate) owner: Owner,
    pub(crate) generation: u64,
}

/// What a deadline belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    Session(usize),
    Room(usize),
}

/// The next deadline of one owner, and which of its entries in the heap is the live one.
#[derive(Debug, Default)]
pub(crate) struct Deadline {
    queued: Option<Instant>,
}

#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Waiter)>>,
}

impl Timers {
    /// Makes sure that `waiter` is woken at `at` or earlier. A later deadline than the queued one
    /// costs nothing: the owner asks again when woken.
    pub(crate) fn arm(&mut self, deadline: &mut Deadline, at: Instant, waiter: Waiter) {
        if deadline.queued.is_none_or(|queued| at < queued) {
            deadline.queued = Some(at);
            self.heap.push(Reverse((at, waiter)));
        }
    }

    /// Entries, live or not.
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    /// The earliest entry, live or not.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Removes an entry that is due at `now`. The owner calls [`Deadline::fired`] with its time.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(Instant, Waiter)> {
        if self.next_at()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}

impl Deadline {
    /// Whether the entry at `at` was the live one; if so there is none now.
    pub(crate) fn fired(&mut self, at: Instant) -> bool {
        let live = self.queued == Some(at);
        if live {
            self.queued = None;
        }
        live
    }
}
