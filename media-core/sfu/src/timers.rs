//! Deadlines in a heap with lazy deletion: one live entry for each owner.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// How far away deadlines are, and to whole multiples of what they are then rounded up, longest
/// first: a shard with thousands of sessions wakes up twenty times in a second for their
/// keep-alives rather than once for each.
const GRAINS: [(Duration, Duration); 2] = [
    (Duration::from_secs(1), Duration::from_millis(50)),
    (Duration::from_millis(100), Duration::from_millis(10)),
];

/// Who waits, by index, and a generation, so that an entry of a removed owner is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Waiter {
    pub(crate) owner: Owner,
    generation: u64,
}

/// What a deadline belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    Link(usize),
    Room(usize),
    Pushes,
}

/// The next deadline of one owner: which of its entries in the heap is the live one.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    generation: u64,
    queued: Option<Instant>,
}

#[derive(Debug)]
pub(crate) struct Timers {
    /// Grains count from here.
    base: Instant,
    heap: BinaryHeap<Reverse<(Instant, Waiter)>>,
    /// Alarms so far.
    generation: u64,
}

impl Timers {
    /// None yet.
    pub(crate) fn new(base: Instant) -> Self {
        Self {
            base,
            heap: BinaryHeap::new(),
            generation: 0,
        }
    }

    /// An alarm of a new owner, whose index may have been another's.
    pub(crate) fn new_alarm(&mut self) -> Alarm {
        self.generation += 1;
        Alarm {
            generation: self.generation,
            queued: None,
        }
    }

    /// Makes sure that `owner` is woken soon after `at`, or earlier. A later deadline than the
    /// queued one costs nothing: the owner asks again when woken.
    pub(crate) fn arm(&mut self, now: Instant, alarm: &mut Alarm, at: Instant, owner: Owner) {
        let wait = at.saturating_duration_since(now);
        let grain = GRAINS.iter().find(|(far, _)| wait >= *far);
        let at = grain.map_or(at, |(_, grain)| self.round_up(at, *grain));
        if alarm.queued.is_none_or(|queued| at < queued) {
            alarm.queued = Some(at);
            let generation = alarm.generation;
            let waiter = Waiter { owner, generation };
            self.heap.push(Reverse((at, waiter)));
        }
    }

    fn round_up(&self, at: Instant, grain: Duration) -> Instant {
        let since = at.saturating_duration_since(self.base).as_millis();
        let grains = since / grain.as_millis() + 1;
        // Grains that do not fit are further away than anybody waits.
        u32::try_from(grains).map_or(at, |grains| self.base + grain * grains)
    }

    /// Entries, live or not.
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    /// The earliest entry, live or not.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Removes an entry that is due at `now`. The owner calls [`Alarm::fired`] with it.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(Instant, Waiter)> {
        if self.next_at()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}

impl Alarm {
    /// Whether the entry at `at` was the live one; if so there is none now.
    pub(crate) fn fired(&mut self, at: Instant, waiter: Waiter) -> bool {
        let live = self.generation == waiter.generation && self.queued == Some(at);
        if live {
            self.queued = None;
        }
        live
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_deadlines_share_a_wake_up_and_near_ones_are_exact() {
        #[expect(
            clippy::disallowed_methods,
            reason = "a test needs some instant to start from"
        )]
        let base = Instant::now();
        let at = |ms| base + Duration::from_millis(ms);
        let mut timers = Timers::new(base);
        let mut fires_at = |due| {
            timers.arm(at(1000), &mut Alarm::default(), due, Owner::Link(0));
            timers.heap.pop().map(|Reverse((at, _))| at)
        };
        assert_eq!(fires_at(at(1001)), Some(at(1001)));
        assert_eq!(fires_at(at(1099)), Some(at(1099)));
        assert_eq!(fires_at(at(1101)), Some(at(1110)));
        assert_eq!(fires_at(at(1999)), Some(at(2000)));
        assert_eq!(fires_at(at(2001)), Some(at(2050)));
        assert_eq!(fires_at(at(2049)), Some(at(2050)));
        assert_eq!(fires_at(at(999)), Some(at(999)), "what is due stays due");
    }
}
