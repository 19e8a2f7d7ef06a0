//! The one clock of a run, and how futures wait on it: the functions of the edge are polled by hand
//! when what they wait for is due.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use edge::ports::{RelayReply, Unreachable};
use wire::ShardId;

use super::weather::StoreWeather;
use crate::chance::Chance;

/// Unix time at which every run starts, milliseconds.
pub(super) const UNIX_MS: u64 = 1_800_000_000_000;
/// Longest time that a relay gets to answer: the port's limit.
const RELAY_MAX: Duration = Duration::from_millis(edge::ports::RELAY_LINK_TIMEOUT_MS);

/// A sealed message on its way to a relay.
#[derive(Debug)]
pub(super) struct Post {
    /// Names the answer.
    pub(super) number: u64,
    pub(super) url: String,
    pub(super) shard: ShardId,
    pub(super) sealed: String,
}

/// What world and edge share.
pub(super) struct Air {
    t0: Instant,
    now: Cell<Instant>,
    /// What the edge's clock is ahead of true time, milliseconds.
    pub(super) edge_ahead_ms: Cell<i64>,
    pub(super) store: Cell<StoreWeather>,
    pub(super) chance: RefCell<Chance>,
    /// When the future that is polled wants to be polled again.
    due: Cell<Option<Instant>>,
    posts: RefCell<Vec<Post>>,
    answers: RefCell<Vec<(u64, Result<RelayReply, Unreachable>)>>,
    posted: Cell<u64>,
}

impl Air {
    pub(super) fn new(t0: Instant, seed: u64) -> Self {
        Self {
            t0,
            now: Cell::new(t0),
            edge_ahead_ms: Cell::new(0),
            store: Cell::new(StoreWeather::Fine),
            chance: RefCell::new(Chance::new(seed)),
            due: Cell::new(None),
            posts: RefCell::default(),
            answers: RefCell::default(),
            posted: Cell::new(0),
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.now.get()
    }

    pub(super) fn advance_to(&self, now: Instant) {
        self.now.set(now);
    }

    /// True Unix time, milliseconds.
    pub(super) fn unix_ms(&self) -> u64 {
        UNIX_MS + self.now().saturating_duration_since(self.t0).as_millis() as u64
    }

    /// The same by the edge's clock.
    pub(super) fn edge_ms(&self) -> u64 {
        self.unix_ms()
            .saturating_add_signed(self.edge_ahead_ms.get())
    }

    /// From `low` to `high` milliseconds, drawn.
    pub(super) fn draw_ms(&self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.chance.borrow_mut().between(low, high))
    }

    /// Lets `time` pass for who awaits it.
    pub(super) async fn pass(&self, time: Duration) {
        let until = self.now() + time;
        poll_fn(|_| match self.now() >= until {
            true => Poll::Ready(()),
            false => {
                self.note_due(until);
                Poll::Pending
            }
        })
        .await;
    }

    fn note_due(&self, at: Instant) {
        let due = self.due.get().map_or(at, |due| due.min(at));
        self.due.set(Some(due));
    }

    /// When the future that was just polled wants to be polled again.
    pub(super) fn take_due(&self) -> Option<Instant> {
        self.due.take()
    }

    /// Posts to a relay, and waits for its answer as long as the port does.
    pub(super) async fn post(
        &self,
        url: &str,
        shard: &ShardId,
        sealed: String,
    ) -> Result<RelayReply, Unreachable> {
        let number = self.posted.get();
        self.posted.set(number + 1);
        self.posts.borrow_mut().push(Post {
            number,
            url: url.to_owned(),
            shard: shard.clone(),
            sealed,
        });
        let until = self.now() + RELAY_MAX;
        poll_fn(|_| {
            let mut answers = self.answers.borrow_mut();
            let found = answers.iter().position(|(known, _)| *known == number);
            match found {
                Some(at) => Poll::Ready(answers.swap_remove(at).1),
                None if self.now() >= until => Poll::Ready(Err(Unreachable)),
                None => {
                    self.note_due(until);
                    Poll::Pending
                }
            }
        })
        .await
    }

    pub(super) fn take_posts(&self) -> Vec<Post> {
        std::mem::take(&mut self.posts.borrow_mut())
    }

    /// An answer has arrived; nobody may wait for it any more.
    pub(super) fn answer(&self, number: u64, answer: Result<RelayReply, Unreachable>) {
        self.answers.borrow_mut().push((number, answer));
    }
}
