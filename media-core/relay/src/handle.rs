//! What a shard's thread and the async side share: commands one way, figures the other.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex as Turn, Notify, Semaphore, oneshot, watch};
use tokio::time::{sleep_until, timeout};
use udp::{RecvStats, SendStats, Waker};
use wire::ShardId;
use wire::fleet::{LargeRoom, RefusedRoom};

use crate::clock::{self, EdgeClock};
use crate::exposition::Histogram;
use crate::overload::FullReason;
use crate::question::{Asker, Question, Seen};
use crate::streams::{Arrival, StreamStats};

/// Orders that wait for a shard. It takes 64 each turn; a queue this long means that it is stuck.
pub(crate) const ORDERS_MAX: usize = 1024;

/// A loop that has not turned for this long is stuck.
const TURN_MAX: Duration = Duration::from_secs(1);

/// Questions that may wait for a shard; who asks beyond them is told to come back.
const QUESTIONS_MAX: usize = 8;

/// Time between two questions to a shard, so that whoever asks takes a small share of its core.
const QUESTION_INTERVAL: Duration = Duration::from_millis(20);

/// Longest wait for an answer; the edge waits for twice as long.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// What the async side tells a shard.
#[derive(Debug)]
pub(crate) enum Order {
    /// Carry out a command of the edge.
    Command(sfu::Command),
    /// Answer a question of the edge.
    Question(Question, Asker),
    /// Ask the participants to migrate, or stop asking.
    Drain(bool),
    /// Take over a media connection.
    Connection(Arrival),
    /// End all sessions, and then the thread.
    Stop,
    /// End the thread at once, as if the process had been killed.
    Abandon,
}

/// The shard did not take an order, or did not answer: too many wait, or its thread has ended.
#[derive(Debug)]
pub(crate) struct NotTaken;

/// Figures that a shard publishes a few times a second.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    /// Sessions, those in handshake included.
    pub(crate) sessions: u32,
    /// Sessions with a finished handshake.
    pub(crate) participants: u32,
    /// Rooms with at least one session.
    pub(crate) rooms: u32,
    /// The largest of them, from [`wire::fleet::LARGE_ROOM`] participants on.
    pub(crate) large: Vec<LargeRoom>,
    /// Counters of the core.
    pub(crate) core: sfu::Stats,
    /// Counters of receiving.
    pub(crate) received: RecvStats,
    /// Datagrams that the kernel dropped before they were received.
    pub(crate) overflows: u64,
    /// Counters of sending.
    pub(crate) sent: SendStats,
    /// Open media connections, and their counters.
    pub(crate) connections: u32,
    pub(crate) streams: StreamStats,
    /// What rooms have used.
    pub(crate) usage: sfu::Usage,
    /// CPU time of the thread.
    pub(crate) cpu: Duration,
    /// Time of each turn of the loop, waiting left out.
    pub(crate) turns: Histogram,
    /// From a datagram's arrival in the kernel to the end of sending what came of it.
    pub(crate) transits: Histogram,
}

/// The async side's view of one shard.
#[derive(Debug)]
pub(crate) struct ShardHandle {
    pub(crate) id: ShardId,
    /// Unix time, by the edge's clock.
    pub(crate) time: EdgeClock,
    orders: SyncSender<Order>,
    waker: Waker,
    snapshot: Mutex<Snapshot>,
    /// When the loop last turned, or was made.
    pub(crate) turned: Mark,
    /// When a heartbeat was last accepted.
    pub(crate) accepted: Mark,
    /// Whether the shard drains.
    pub(crate) draining: AtomicBool,
    /// Whether it drains for good, whatever the fleet wishes: the process is about to end.
    leaving: AtomicBool,
    /// The machine's wall clock minus the edge's, milliseconds, network delay included.
    pub(crate) skew_ms: AtomicI64,
    pub(crate) heartbeats_accepted: AtomicU64,
    pub(crate) heartbeats_failed: AtomicU64,
    /// Commands that came in replies to heartbeats.
    pub(crate) commands_handed_over: AtomicU64,
    fullness: Mutex<Fullness>,
    /// The next heartbeat has something that cannot wait.
    urgent: Notify,
    started: watch::Sender<bool>,
    ready: watch::Sender<bool>,
    questions: Semaphore,
    /// From when on the shard may be asked; held by whoever asks.
    question_at: Turn<Instant>,
}

/// Whether a shard is full, why, and to which rooms it refused somebody since.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fullness {
    pub(crate) reason: Option<FullReason>,
    pub(crate) refused: Vec<RefusedRoom>,
    /// How often it became full.
    pub(crate) times: u64,
}

impl ShardHandle {
    pub(crate) fn new(id: ShardId, orders: SyncSender<Order>, waker: Waker, now: Instant) -> Self {
        // A thread that is not there yet is not stuck yet: a probe that comes first would end it.
        let turned = Mark::new(now);
        turned.set(now);
        Self {
            id,
            time: EdgeClock::new(now, clock::unix_ms()),
            orders,
            waker,
            snapshot: Mutex::default(),
            turned,
            accepted: Mark::new(now),
            draining: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            skew_ms: AtomicI64::new(0),
            heartbeats_accepted: AtomicU64::new(0),
            heartbeats_failed: AtomicU64::new(0),
            commands_handed_over: AtomicU64::new(0),
            fullness: Mutex::default(),
            urgent: Notify::new(),
            started: watch::Sender::new(false),
            ready: watch::Sender::new(false),
            questions: Semaphore::new(QUESTIONS_MAX),
            question_at: Turn::new(now),
        }
    }

    /// The edge's Unix time at a moment.
    pub(crate) fn wall_clock(&self, now: Instant) -> sfu::WallClock {
        sfu::WallClock {
            at: now,
            unix_ms: self.time.unix_ms(now),
        }
    }

    /// Has the shard carry out a command of the edge.
    pub(crate) fn command(&self, command: sfu::Command) -> Result<(), NotTaken> {
        self.order(Order::Command(command))
    }

    /// Asks the shard: one question at a time and a moment after the last, while a few wait.
    pub(crate) async fn ask(&self, question: Question) -> Result<Vec<Seen>, NotTaken> {
        let _place = self.questions.try_acquire().map_err(|_| NotTaken)?;
        let mut may_ask_at = self.question_at.lock().await;
        if clock::now() < *may_ask_at {
            sleep_until((*may_ask_at).into()).await;
        }
        *may_ask_at = clock::now() + QUESTION_INTERVAL;
        let (asker, answer) = oneshot::channel();
        self.order(Order::Question(question, asker))?;
        match timeout(ANSWER_MAX, answer).await {
            Ok(Ok(seen)) => Ok(seen),
            Ok(Err(_)) | Err(_) => Err(NotTaken),
        }
    }

    /// Hands the shard a media connection.
    pub(crate) fn take_connection(&self, arrival: Arrival) -> Result<(), NotTaken> {
        self.order(Order::Connection(arrival))
    }

    /// Tells the shard to stop.
    pub(crate) fn stop(&self) -> Result<(), NotTaken> {
        self.order(Order::Stop)
    }

    /// Ends the shard's thread without a word to anybody. Whether it takes the order does not
    /// matter: a thread that takes none has ended.
    pub(crate) fn abandon(&self) {
        let _ = self.order(Order::Abandon);
    }

    /// Follows the fleet's wish; true when that changed something. A wish that the shard did not
    /// take comes again with the next heartbeat.
    pub(crate) fn set_draining(&self, draining: bool) -> bool {
        let draining = draining || self.leaving.load(Ordering::Relaxed);
        if self.draining.swap(draining, Ordering::Relaxed) == draining {
            return false;
        }
        let taken = self.order(Order::Drain(draining)).is_ok();
        if taken {
            tracing::info!(shard = %self.id, draining, "the drain flag changed");
        } else {
            self.draining.store(!draining, Ordering::Relaxed);
        }
        taken
    }

    /// Drains for good, and lets the fleet know at once.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
        self.set_draining(true);
        self.urgent.notify_one();
    }

    /// Why the shard is full; none when it is not.
    pub(crate) fn full(&self) -> Option<FullReason> {
        self.fullness().reason
    }

    /// Whether the shard is full, and what follows from it.
    pub(crate) fn fullness(&self) -> Fullness {
        let fullness = self.fullness.lock();
        fullness.expect("no panic while it is held").clone()
    }

    /// Notes whether the shard is full; called by the shard. What the fleet should know soon makes
    /// the next heartbeat come at once.
    pub(crate) fn set_full(&self, reason: Option<FullReason>, refused: Vec<RefusedRoom>) {
        let mut held = self.fullness.lock().expect("no panic while it is held");
        let turned = held.reason.is_some() != reason.is_some();
        if turned {
            let reason = reason.map(FullReason::label);
            tracing::warn!(shard = %self.id, full = reason.is_some(), reason, "load");
        }
        let news = turned || refused.iter().any(|room| !held.refused.contains(room));
        held.times += u64::from(turned && reason.is_some());
        held.reason = reason;
        held.refused = refused;
        if news {
            self.urgent.notify_one();
        }
    }

    /// Waits until the next heartbeat has something that cannot wait. Cancel-safe.
    pub(crate) async fn urgent(&self) {
        self.urgent.notified().await;
    }

    /// Counts a heartbeat that was accepted or not.
    pub(crate) fn note_heartbeat(&self, accepted: bool, now: Instant) {
        if accepted {
            self.heartbeats_accepted.fetch_add(1, Ordering::Relaxed);
            self.accepted.set(now);
            self.ready.send_replace(true);
        } else {
            self.heartbeats_failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Says that the loop begins to turn; called by the shard.
    pub(crate) fn note_start(&self, now: Instant) {
        self.turned.set(now);
        self.started.send_replace(true);
    }

    /// Waits until the loop turns.
    pub(crate) async fn started(&self) {
        let mut started = self.started.subscribe();
        started
            .wait_for(|started| *started)
            .await
            .expect("the sender is in self");
    }

    /// Whether the loop has not turned for too long.
    pub(crate) fn is_stuck(&self, now: Instant) -> bool {
        self.turned.age(now).is_none_or(|age| age > TURN_MAX)
    }

    /// Waits for the first accepted heartbeat.
    pub(crate) async fn ready(&self) {
        let mut ready = self.ready.subscribe();
        ready
            .wait_for(|ready| *ready)
            .await
            .expect("the sender is in self");
    }

    /// The last published figures.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.snapshot
            .lock()
            .expect("no panic while it is held")
            .clone()
    }

    /// Publishes figures; called by the shard.
    pub(crate) fn publish(&self, snapshot: Snapshot) {
        *self.snapshot.lock().expect("no panic while it is held") = snapshot;
    }

    fn order(&self, order: Order) -> Result<(), NotTaken> {
        match self.orders.try_send(order) {
            Ok(()) => {
                self.waker.wake();
                Ok(())
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(NotTaken),
        }
    }
}

/// An instant that threads share; never set at first.
#[derive(Debug)]
pub(crate) struct Mark {
    base: Instant,
    /// Nanoseconds since `base`, plus one; zero for never.
    nanos: AtomicU64,
}

impl Mark {
    pub(crate) fn new(base: Instant) -> Self {
        Self {
            base,
            nanos: AtomicU64::new(0),
        }
    }

    pub(crate) fn set(&self, now: Instant) {
        let nanos = now.saturating_duration_since(self.base).as_nanos();
        self.nanos.store(
            u64::try_from(nanos).unwrap_or(u64::MAX - 1) + 1,
            Ordering::Relaxed,
        );
    }

    /// Time since it was set; `None` when it never was.
    pub(crate) fn age(&self, now: Instant) -> Option<Duration> {
        let nanos = self.nanos.load(Ordering::Relaxed).checked_sub(1)?;
        Some(now.saturating_duration_since(self.base + Duration::from_nanos(nanos)))
    }
}

/// The share of a core that a thread used since the last question.
#[derive(Debug, Default)]
pub(crate) struct CpuMeter {
    last: Option<(Duration, Instant)>,
}

impl CpuMeter {
    /// Thousandths of a core between the last call and this one; 0 at the first.
    pub(crate) fn permille(&mut self, cpu: Duration, now: Instant) -> u16 {
        let Some((cpu_before, before)) = self.last.replace((cpu, now)) else {
            return 0;
        };
        let wall = now.saturating_duration_since(before).as_micros().max(1);
        let used = cpu.saturating_sub(cpu_before).as_micros();
        u16::try_from((used * 1000 / wall).min(1000)).expect("at most a thousand")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::pin::Pin;
    use std::task::Poll;

    use super::*;

    #[test]
    fn a_mark_knows_its_age() {
        let base = clock::now();
        let mark = Mark::new(base);
        assert_eq!(mark.age(base), None);
        mark.set(base);
        assert_eq!(
            mark.age(base + Duration::from_secs(3)),
            Some(Duration::from_secs(3))
        );
    }

    #[test]
    fn a_loop_is_stuck_when_it_does_not_turn() {
        let (orders, _received) = std::sync::mpsc::sync_channel(1);
        let waker = udp::Poller::new().unwrap().waker();
        let base = clock::now();
        let handle = ShardHandle::new("dev-0".parse().unwrap(), orders, waker, base);
        // Before its thread runs, which may take a while but not for ever.
        assert!(!handle.is_stuck(base));
        assert!(handle.is_stuck(base + TURN_MAX * 2));
        let start = base + TURN_MAX * 3;
        handle.note_start(start);
        assert!(!handle.is_stuck(start + TURN_MAX));
        assert!(handle.is_stuck(start + TURN_MAX * 2));
    }

    /// Whether it waits after the first look.
    async fn waits<F: Future>(mut of: Pin<&mut F>) -> bool {
        std::future::poll_fn(|context| Poll::Ready(of.as_mut().poll(context).is_pending())).await
    }

    #[tokio::test]
    async fn few_questions_wait_and_the_shard_has_one_at_a_time() {
        let (orders, received) = std::sync::mpsc::sync_channel(ORDERS_MAX);
        let waker = udp::Poller::new().unwrap().waker();
        let base = clock::now();
        let handle = ShardHandle::new("dev-0".parse().unwrap(), orders, waker, base);
        let question = Question {
            room: sfu::RoomKey([1; 8]),
            after: 7,
        };
        let mut waiting: VecDeque<_> = (0..QUESTIONS_MAX)
            .map(|_| Box::pin(handle.ask(question)))
            .collect();
        for one in &mut waiting {
            assert!(waits(one.as_mut()).await);
        }
        assert!(handle.ask(question).await.is_err(), "one too many");
        while let Some(mut one) = waiting.pop_front() {
            let asked = loop {
                assert!(waits(one.as_mut()).await, "nobody has answered");
                match received.try_recv() {
                    Ok(order) => break order,
                    Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            };
            let Order::Question(asked, asker) = asked else {
                panic!("another order");
            };
            assert_eq!(asked, question);
            assert!(received.try_recv().is_err(), "one at a time");
            asker.send(Vec::new()).unwrap();
            assert!(one.await.unwrap().is_empty());
        }
        let took = clock::now() - base;
        let least = QUESTION_INTERVAL * (QUESTIONS_MAX as u32 - 1);
        assert!(took >= least, "{took:?}");
        // A thread that has ended answers nobody.
        drop(received);
        assert!(handle.ask(question).await.is_err());
    }

    #[test]
    fn the_cpu_share_is_of_the_time_since_the_last_question() {
        let (mut meter, start) = (CpuMeter::default(), clock::now());
        let second = Duration::from_secs(1);
        assert_eq!(meter.permille(second, start), 0);
        assert_eq!(meter.permille(second * 2, start + second * 4), 250);
        assert_eq!(meter.permille(second * 2, start + second * 5), 0);
        assert_eq!(meter.permille(second * 9, start + second * 6), 1000);
        assert_eq!(meter.permille(second * 10, start + second * 6), 1000);
    }
}
