//! Requests that wait for news without an instance: what they wait for, who is told of a write, and
//! how many there may be (decision 0037).
//!
//! No write is lost between a function's reads and its request's waiting: a run takes the number of
//! writes before it begins ([`Waiters::writes`]), and a request waits only if none of those that came
//! since is about it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;
use wire::PlayerId;
use wire::until::{MAX_WATCHES, Until, Watch};

use crate::config::Limits;

/// Writes that are remembered: some seconds' worth. A run that took longer is made again.
const RECENT_WRITES: usize = 8_192;

/// Why a request waits no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Something that it is about was written.
    Written,
    /// It waited as long as it was to.
    TimeOver,
    /// It may not wait: there are too many, of all or of its player.
    Full,
    /// The host stops.
    Stopping,
}

/// All requests of a host that wait.
pub(crate) struct Waiters {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Number of the last write.
    writes: u64,
    /// The last writes, the oldest first: partition and sort key.
    recent: VecDeque<(Box<str>, Box<str>)>,
    /// By request and watch, whoever came first before the others.
    by_partition: HashMap<String, BTreeMap<(u64, usize), Waiter>>,
    of_player: HashMap<PlayerId, usize>,
    waiting: usize,
    bytes: usize,
    next_id: u64,
    is_stopping: bool,
}

struct Waiter {
    watch: Watch,
    wake: Arc<Notify>,
}

/// The place of a request that waits; dropping it gives it up, also when the client is gone.
struct Place<'w> {
    waiters: &'w Waiters,
    until: &'w Until,
    id: u64,
    bytes: usize,
    wake: Arc<Notify>,
}

impl Waiters {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            limits: *limits,
            state: Mutex::default(),
        }
    }

    /// How many writes there were so far.
    pub(crate) fn writes(&self) -> u64 {
        self.lock().writes
    }

    /// Requests that wait now.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiting
    }

    /// An item was written, and everybody can read it now.
    pub(crate) fn note(&self, partition: &str, sort: &str) {
        let mut state = self.lock();
        state.writes += 1;
        if state.recent.len() == RECENT_WRITES {
            state.recent.pop_front();
        }
        state.recent.push_back((partition.into(), sort.into()));
        let waiters = state.by_partition.get(partition);
        for waiter in waiters.into_iter().flat_map(BTreeMap::values) {
            if waiter.watch.has(sort) {
                waiter.wake.notify_one();
            }
        }
    }

    /// Nobody waits any longer.
    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.is_stopping = true;
        for waiter in state.by_partition.values().flat_map(BTreeMap::values) {
            waiter.wake.notify_one();
        }
    }

    /// Waits for a write that comes, or came after the first `since` ones, but not beyond `end`.
    /// `bytes` is what is kept of the request meanwhile.
    pub(crate) async fn wait(&self, until: &Until, since: u64, bytes: usize, end: Instant) -> End {
        let place = match self.enter(until, since, bytes) {
            Ok(place) => place,
            Err(end) => return end,
        };
        let woken = tokio::time::timeout_at(end.into(), place.wake.notified()).await;
        match woken {
            _ if self.lock().is_stopping => End::Stopping,
            Ok(()) => End::Written,
            Err(_) => End::TimeOver,
        }
    }

    fn enter<'w>(&'w self, until: &'w Until, since: u64, bytes: usize) -> Result<Place<'w>, End> {
        let strings = |watch: &Watch| {
            size_of::<Waiter>() + 2 * watch.partition.len() + watch.from.len() + watch.to.len()
        };
        let bytes = bytes + until.watches.iter().map(strings).sum::<usize>();
        let mut state = self.lock();
        if state.is_stopping {
            return Err(End::Stopping);
        }
        if state.changed(until, since) {
            return Err(End::Written);
        }
        let of_player = state.of_player.get(&until.player).copied().unwrap_or(0);
        let is_full = state.waiting >= self.limits.waiting_requests
            || of_player >= self.limits.waiting_per_player
            || state.bytes + bytes > self.limits.waiting_bytes;
        if is_full || until.watches.len() > MAX_WATCHES {
            return Err(End::Full);
        }
        state.next_id += 1;
        state.waiting += 1;
        state.bytes += bytes;
        state.of_player.insert(until.player.clone(), of_player + 1);
        let place = Place {
            waiters: self,
            until,
            id: state.next_id,
            bytes,
            wake: Arc::default(),
        };
        for (at, watch) in until.watches.iter().enumerate() {
            let waiters = state.by_partition.entry(watch.partition.clone());
            let waiter = Waiter {
                watch: watch.clone(),
                wake: place.wake.clone(),
            };
            waiters.or_default().insert((place.id, at), waiter);
        }
        Ok(place)
    }

    /// A panic while the lock was held left nothing half done that matters.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether anything of this was written after the first `since` writes. Yes also if nobody
    /// knows any more.
    fn changed(&self, until: &Until, since: u64) -> bool {
        let missed = usize::try_from(self.writes - since).unwrap_or(usize::MAX);
        let mut recent = self.recent.iter().rev().take(missed);
        missed > self.recent.len()
            || recent.any(|(partition, sort)| {
                let mut watches = until.watches.iter();
                watches.any(|watch| *watch.partition == **partition && watch.has(sort))
            })
    }

    fn leave(&mut self, place: &Place<'_>) {
        self.waiting -= 1;
        self.bytes -= place.bytes;
        if let Some(count) = self.of_player.get_mut(&place.until.player) {
            *count -= 1;
            if *count == 0 {
                self.of_player.remove(&place.until.player);
            }
        }
        for (at, watch) in place.until.watches.iter().enumerate() {
            let Some(waiters) = self.by_partition.get_mut(&watch.partition) else {
                continue;
            };
            waiters.remove(&(place.id, at));
            if waiters.is_empty() {
                self.by_partition.remove(&watch.partition);
            }
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.waiters.lock().leave(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::config::milliseconds;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    const WAIT_MS: u64 = 1_000;

    fn waiters(change: impl FnOnce(&mut Limits)) -> Waiters {
        let mut limits = Limits::default();
        change(&mut limits);
        Waiters::new(&limits)
    }

    fn until(player: &str, watches: &[(&str, &str, &str)]) -> Until {
        let watch = |(partition, from, to): &(&str, &str, &str)| Watch {
            partition: (*partition).into(),
            from: (*from).into(),
            to: (*to).into(),
        };
        Until {
            wait_ms: WAIT_MS,
            player: player.parse().unwrap(),
            watches: watches.iter().map(watch).collect(),
        }
    }

    fn end() -> Instant {
        clock::now() + milliseconds(WAIT_MS)
    }

    /// Polls once.
    fn poll(future: Pin<&mut impl Future<Output = End>>) -> Option<End> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(end) => Some(end),
            Poll::Pending => None,
        }
    }

    fn assert_empty(waiters: &Waiters) {
        let state = waiters.lock();
        assert_eq!((state.waiting, state.bytes), (0, 0));
        assert!(state.by_partition.is_empty() && state.of_player.is_empty());
    }

    #[tokio::test]
    async fn a_write_of_what_is_watched_ends_the_wait_and_no_other_does() {
        let waiters = waiters(|_| {});
        let until = until("ann", &[("p", "b", "d"), ("q", "a", "a"), ("q", "x", "x")]);
        for news in [("p", "b"), ("p", "c1"), ("p", "d"), ("q", "a"), ("q", "x")] {
            let mut waiting = pin!(waiters.wait(&until, waiters.writes(), 10, end()));
            assert_eq!(poll(waiting.as_mut()), None);
            for (partition, sort) in [("p", "a"), ("p", "e"), ("q", "b"), ("pp", "c"), ("r", "a")] {
                waiters.note(partition, sort);
            }
            assert_eq!(poll(waiting.as_mut()), None);
            assert_eq!(waiters.waiting(), 1);
            waiters.note(news.0, news.1);
            assert_eq!(poll(waiting.as_mut()), Some(End::Written), "{news:?}");
            assert_empty(&waiters);
        }
    }

    #[tokio::test]
    async fn a_write_between_the_reads_and_the_wait_is_not_lost() {
        let waiters = waiters(|_| {});
        let until = until("ann", &[("p", "b", "d")]);
        let before = waiters.writes();
        // The function reads here. What follows it has not seen.
        waiters.note("p", "c");
        let ended = waiters.wait(&until, before, 10, end());
        assert_eq!(poll(pin!(ended)), Some(End::Written));
        // A run that began after the write has seen it.
        let since = waiters.writes();
        waiters.note("p", "a");
        let mut waiting = pin!(waiters.wait(&until, since, 10, end()));
        assert_eq!(poll(waiting.as_mut()), None);
        // What is no longer remembered may have been about it.
        for _ in 0..=RECENT_WRITES {
            waiters.note("q", "c");
        }
        let ended = waiters.wait(&until, since, 10, end());
        assert_eq!(poll(pin!(ended)), Some(End::Written));
        assert_eq!(waiters.lock().recent.len(), RECENT_WRITES);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_in_time_and_leaves_nothing() {
        let waiters = waiters(|_| {});
        let until = until("ann", &[("p", "b", "d")]);
        let started = tokio::time::Instant::now();
        let end = started.into_std() + milliseconds(WAIT_MS);
        assert_eq!(waiters.wait(&until, 0, 10, end).await, End::TimeOver);
        assert_eq!(started.elapsed(), milliseconds(WAIT_MS));
        assert_empty(&waiters);
        // The client is gone.
        let mut waiting = Box::pin(waiters.wait(&until, 0, 10, end));
        assert_eq!(poll(waiting.as_mut()), Some(End::TimeOver));
        let mut waiting = Box::pin(waiters.wait(&until, 0, 10, end + milliseconds(WAIT_MS)));
        assert_eq!(poll(waiting.as_mut()), None);
        drop(waiting);
        assert_empty(&waiters);
    }

    #[tokio::test]
    async fn how_many_wait_is_bounded_in_all_by_player_and_by_bytes() {
        let waiters = waiters(|limits| {
            limits.waiting_requests = 3;
            limits.waiting_per_player = 2;
            limits.waiting_bytes = 10_000;
        });
        let of = |player: &str| until(player, &[("p", "a", "z")]);
        let (ann, bob, cem) = (of("ann"), of("bob"), of("cem"));
        let wait = |until, bytes| Box::pin(waiters.wait(until, 0, bytes, end()));
        let mut waiting = Vec::new();
        for (until, bytes, expected) in [
            (&ann, 10, None),
            (&ann, 10, None),
            (&ann, 10, Some(End::Full)),
            (&bob, 10_000, Some(End::Full)),
            (&bob, 10, None),
            (&cem, 10, Some(End::Full)),
        ] {
            let mut next = wait(until, bytes);
            assert_eq!(poll(next.as_mut()), expected, "{}", until.player);
            waiting.push(next);
        }
        assert_eq!(waiters.waiting(), 3);
        // A place that is given up is free for the next.
        drop(waiting);
        assert_empty(&waiters);
        assert_eq!(poll(wait(&cem, 10).as_mut()), None);
    }

    #[tokio::test]
    async fn a_host_that_stops_keeps_nobody() {
        let waiters = waiters(|_| {});
        let until = until("ann", &[("p", "b", "d")]);
        let mut waiting = pin!(waiters.wait(&until, 0, 10, end()));
        assert_eq!(poll(waiting.as_mut()), None);
        waiters.stop();
        assert_eq!(poll(waiting.as_mut()), Some(End::Stopping));
        let late = waiters.wait(&until, 0, 10, end());
        assert_eq!(poll(pin!(late)), Some(End::Stopping));
        assert_empty(&waiters);
    }
}
