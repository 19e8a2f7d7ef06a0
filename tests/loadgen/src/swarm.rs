//! Threads that drive peers: the probes, which wait for their sockets and measure latency, and
//! the crowd, whose sockets are swept every few milliseconds.
//!
//! Sweeping makes a listener cost about a microsecond per packet, and leaves no waiter whose
//! wake-up the relay would have to pay for within its own `sendmmsg`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use udp::{Poller, RecvBatch, SendBatch};

use crate::peer::{Common, Noticed, Peer, Role};
use crate::{nanos_since, now};

/// Time between two sweeps of the crowd's sockets.
const SWEEP: Duration = Duration::from_millis(10);
/// Peers of one thread that may be in their handshake at once.
const HANDSHAKES_MAX: usize = 24;
/// Longest time to wait for the whole swarm to be connected.
const JOIN_MAX: Duration = Duration::from_secs(180);
/// Shortest time between two timeouts of a peer.
const TIMER_MIN: Duration = Duration::from_millis(1);
/// Largest latency that is told apart, nanoseconds.
const AGE_NS_MAX: u64 = 10_000_000_000;

/// What the swarm does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Connects; nobody talks.
    Join,
    /// Speakers talk.
    Talk,
    /// Speakers talk, and what is heard goes into the histograms.
    Measure,
    /// Nobody talks; what is under way is still received.
    Quiet,
    /// The threads end.
    Stop,
}

/// How long speakers talk and pause, in turn.
#[derive(Debug, Clone, Copy)]
pub struct TalkPattern {
    /// Length of a talk spurt.
    pub talk: Duration,
    /// Length of the pause after it; zero talks without end.
    pub pause: Duration,
}

impl TalkPattern {
    /// Talks without end.
    pub const ENDLESS: Self = Self {
        talk: Duration::from_secs(1),
        pause: Duration::ZERO,
    };

    /// Whether one talks `since` the start.
    fn talks(self, since: Duration) -> bool {
        let round = self.talk + self.pause;
        let into_ns = since.as_nanos() % round.as_nanos().max(1);
        into_ns < self.talk.as_nanos()
    }
}

/// Counters that all threads add to.
#[derive(Debug, Default)]
struct Shared {
    phase: AtomicU8,
    connected: AtomicU64,
    welcomed: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    messages: AtomicU64,
}

/// What the swarm has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Peers whose handshake is done.
    pub connected: u64,
    /// Peers that the relay welcomed.
    pub welcomed: u64,
    /// Voice packets sent.
    pub sent: u64,
    /// Voice packets received by all listeners.
    pub received: u64,
    /// Messages of the relay, of all peers.
    pub messages: u64,
}

/// Latencies of a run, nanoseconds.
pub struct Latency {
    /// From just before the speaker's sending to the listener's receiving, decrypted.
    pub voice: Histogram<u64>,
    /// How late the generator itself was to send, measured from the open-loop schedule.
    pub generator: Histogram<u64>,
}

impl Latency {
    fn new() -> Self {
        let histogram =
            || Histogram::new_with_bounds(1_000, AGE_NS_MAX, 3).expect("these bounds are in order");
        Self {
            voice: histogram(),
            generator: histogram(),
        }
    }
}

/// Threads of peers.
pub struct Swarm {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<Latency>>>,
    peers: u64,
    greeters: u64,
}

impl Swarm {
    /// Starts to connect a peer for each role. Speakers and probes share a thread, and with it
    /// its promptness; the crowd has another.
    ///
    /// # Errors
    /// When there are no threads or descriptors left.
    pub fn start(common: &Common, roles: Vec<Role>, pattern: TalkPattern) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let peers = roles.len() as u64;
        let greeters = roles.iter().filter(|role| role.hello).count() as u64;
        let numbered = (0..).zip(roles);
        let (prompt, crowd): (Vec<_>, Vec<_>) =
            numbered.partition(|(_, role)| role.speaks || role.probes);
        let mut threads = Vec::new();
        for (roles, waits) in [(prompt, true), (crowd, false)] {
            if roles.is_empty() {
                continue;
            }
            let group = Group::new(common.clone(), roles, waits, pattern, Arc::clone(&shared))?;
            threads.push(std::thread::spawn(move || group.run()));
        }
        Ok(Self {
            shared,
            threads,
            peers,
            greeters,
        })
    }

    /// Waits until every peer is connected and, where it said hello, welcome. `progress` is
    /// called about every second.
    ///
    /// # Errors
    /// When that takes too long.
    pub fn wait_joined(&self, mut progress: impl FnMut(Counts)) -> Result<()> {
        let until = now() + JOIN_MAX;
        let mut told = now();
        loop {
            let counts = self.counts();
            if counts.connected >= self.peers && counts.welcomed >= self.greeters {
                return Ok(());
            }
            if now() >= until || self.threads.iter().any(JoinHandle::is_finished) {
                bail!("not all of {} peers connected: {counts:?}", self.peers);
            }
            if now() >= told + Duration::from_secs(1) {
                told = now();
                progress(counts);
            }
            pause(Duration::from_millis(5))?;
        }
    }

    /// Changes what the swarm does.
    pub fn set_phase(&self, phase: Phase) {
        self.shared.phase.store(phase as u8, Ordering::Release);
    }

    /// What has been counted so far.
    pub fn counts(&self) -> Counts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Acquire);
        Counts {
            connected: load(&self.shared.connected),
            welcomed: load(&self.shared.welcomed),
            sent: load(&self.shared.sent),
            received: load(&self.shared.received),
            messages: load(&self.shared.messages),
        }
    }

    /// Ends the threads and returns the latencies of the measured phase.
    ///
    /// # Errors
    /// What ended a thread early.
    pub fn stop(self) -> Result<Latency> {
        self.set_phase(Phase::Stop);
        let mut all = Latency::new();
        for thread in self.threads {
            let latency = thread.join().ok().context("a thread panicked")??;
            all.voice.add(&latency.voice)?;
            all.generator.add(&latency.generator)?;
        }
        Ok(all)
    }
}

/// Lets `time` pass.
///
/// # Errors
/// When the process is out of descriptors.
pub fn pause(time: Duration) -> Result<()> {
    let until = now() + time;
    let mut poller = Poller::new()?;
    loop {
        let left = until.saturating_duration_since(now());
        if left.is_zero() {
            return Ok(());
        }
        poller.wait(Some(left))?;
    }
}

/// The peers of one thread.
struct Group {
    common: Common,
    waiting: Vec<(u32, Role)>,
    peers: Vec<Peer>,
    handshakes: usize,
    timers: BinaryHeap<Reverse<(Instant, usize)>>,
    /// Which entry of a peer in `timers` counts; others are left over.
    armed: Vec<Instant>,
    voices: BinaryHeap<Reverse<(Instant, usize)>>,
    poller: Poller,
    /// Waits for its sockets; otherwise they are swept.
    waits: bool,
    sweep_at: Instant,
    received: RecvBatch,
    batch: Option<SendBatch>,
    pattern: TalkPattern,
    talk_since: Option<Instant>,
    measures: bool,
    latency: Latency,
    shared: Arc<Shared>,
}

impl Group {
    fn new(
        common: Common,
        mut waiting: Vec<(u32, Role)>,
        waits: bool,
        pattern: TalkPattern,
        shared: Arc<Shared>,
    ) -> Result<Self> {
        // Taken from the end.
        waiting.reverse();
        Ok(Self {
            common,
            waiting,
            peers: Vec::new(),
            handshakes: 0,
            timers: BinaryHeap::new(),
            armed: Vec::new(),
            voices: BinaryHeap::new(),
            poller: Poller::new()?,
            waits,
            sweep_at: now(),
            received: RecvBatch::new(),
            batch: None,
            pattern,
            talk_since: None,
            measures: false,
            latency: Latency::new(),
            shared,
        })
    }

    fn run(mut self) -> Result<Latency> {
        loop {
            let phase = self.shared.phase.load(Ordering::Acquire);
            if phase == Phase::Stop as u8 {
                return Ok(self.latency);
            }
            self.measures = phase == Phase::Measure as u8;
            let talks = self.measures || phase == Phase::Talk as u8;
            match (talks, self.talk_since) {
                (true, None) => self.start_talking(now()),
                (false, Some(_)) => {
                    self.talk_since = None;
                    self.voices.clear();
                }
                _ => {}
            }
            self.connect_more()?;
            self.receive()?;
            self.speak();
            self.fire_timers();
            let wait = self.next_at().saturating_duration_since(now());
            self.poller.wait(Some(wait))?;
        }
    }

    /// Keeps a bounded number of handshakes going until everybody is in.
    fn connect_more(&mut self) -> Result<()> {
        while self.handshakes < HANDSHAKES_MAX
            && let Some((number, role)) = self.waiting.pop()
        {
            let peer = Peer::new(&self.common, number, role, now())?;
            let index = self.peers.len();
            if self.waits {
                self.poller.add(peer.socket(), index as u64)?;
            }
            self.batch
                .get_or_insert_with(|| SendBatch::new(peer.socket()));
            self.timers.push(Reverse((peer.timeout_at, index)));
            self.armed.push(peer.timeout_at);
            self.peers.push(peer);
            self.handshakes += 1;
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<()> {
        if self.waits {
            let ready: Vec<u64> = self.poller.readable().collect();
            for token in ready {
                self.receive_one(usize::try_from(token)?)?;
            }
            return Ok(());
        }
        if now() < self.sweep_at {
            return Ok(());
        }
        for index in 0..self.peers.len() {
            self.receive_one(index)?;
        }
        // Handshakes want an answer sooner than voice.
        let pause = if self.handshakes > 0 {
            SWEEP / 10
        } else {
            SWEEP
        };
        self.sweep_at = now() + pause;
        Ok(())
    }

    fn receive_one(&mut self, index: usize) -> Result<()> {
        let mut noticed = Noticed::default();
        let peer = &mut self.peers[index];
        let batch = self.batch.as_mut().expect("made with the first peer");
        peer.receive(now(), &mut self.received, batch, &mut noticed)?;
        if peer.timeout_at < self.armed[index] {
            self.armed[index] = peer.timeout_at;
            self.timers.push(Reverse((peer.timeout_at, index)));
        }
        self.note(&noticed);
        Ok(())
    }

    /// Gives each speaker a phase of its own within the packet time.
    fn start_talking(&mut self, at: Instant) {
        self.talk_since = Some(at);
        let speakers: Vec<usize> = (0..self.peers.len())
            .filter(|&index| self.peers[index].role().speaks)
            .collect();
        let count = u32::try_from(speakers.len()).unwrap_or(u32::MAX);
        let round = self.pattern.talk + self.pattern.pause;
        for (nth, index) in (0..).zip(speakers) {
            let first = at + self.common.voice.packet_time() * nth / count;
            self.peers[index].voice_at = Some(first);
            // Nor do they all begin and end their spurts at once.
            self.peers[index].spurt_offset = round * nth / count;
            self.voices.push(Reverse((first, index)));
        }
    }

    /// Sends what is due. The schedule does not wait for anything: what is late is sent late.
    fn speak(&mut self) {
        while let Some(&Reverse((due, index))) = self.voices.peek() {
            let at = now();
            if due > at {
                return;
            }
            self.voices.pop();
            let (peer, mut noticed) = (&mut self.peers[index], Noticed::default());
            let since = self.talk_since.map_or(Duration::ZERO, |start| at - start);
            let since = since + peer.spurt_offset;
            if self.pattern.talks(since) {
                if self.measures {
                    let late_ns = nanos_since(due, at);
                    self.latency.generator.saturating_record(late_ns);
                }
                let batch = self.batch.as_mut().expect("made with the first peer");
                if peer.speak(at, batch, &mut noticed) {
                    self.shared.sent.fetch_add(1, Ordering::AcqRel);
                }
            } else {
                peer.voice_at = Some(due + self.common.voice.packet_time());
            }
            if let Some(next) = peer.voice_at {
                self.voices.push(Reverse((next, index)));
            }
            self.note(&noticed);
        }
    }

    fn fire_timers(&mut self) {
        let at = now();
        while let Some(&Reverse((due, index))) = self.timers.peek() {
            if due > at {
                return;
            }
            self.timers.pop();
            if self.armed[index] != due {
                continue;
            }
            let (peer, mut noticed) = (&mut self.peers[index], Noticed::default());
            // Something else may have let the peer act since.
            if peer.timeout_at <= at {
                let batch = self.batch.as_mut().expect("made with the first peer");
                peer.handle_timeout(at, batch, &mut noticed);
            }
            // str0m may ask for the same moment again; a later one keeps this loop finite.
            let next = peer.timeout_at.max(at + TIMER_MIN);
            self.armed[index] = next;
            self.timers.push(Reverse((next, index)));
            self.note(&noticed);
        }
    }

    fn next_at(&self) -> Instant {
        let of = |heap: &BinaryHeap<Reverse<(Instant, usize)>>| heap.peek().map(|top| top.0.0);
        let mut at = now() + SWEEP;
        if !self.waits {
            at = at.min(self.sweep_at);
        }
        [of(&self.timers), of(&self.voices)]
            .into_iter()
            .flatten()
            .fold(at, Instant::min)
    }

    fn note(&mut self, noticed: &Noticed) {
        let shared = &self.shared;
        if noticed.connected {
            self.handshakes = self.handshakes.saturating_sub(1);
            shared.connected.fetch_add(1, Ordering::AcqRel);
        }
        if noticed.welcomed {
            shared.welcomed.fetch_add(1, Ordering::AcqRel);
        }
        if noticed.messages > 0 {
            shared
                .messages
                .fetch_add(noticed.messages, Ordering::AcqRel);
        }
        if noticed.voice > 0 {
            shared.received.fetch_add(noticed.voice, Ordering::AcqRel);
        }
        if self.measures {
            for &age_ns in &noticed.ages_ns {
                self.latency.voice.saturating_record(age_ns);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_talks_and_pauses_in_turn() {
        let pattern = TalkPattern {
            talk: Duration::from_secs(2),
            pause: Duration::from_secs(3),
        };
        let talks = |ms| pattern.talks(Duration::from_millis(ms));
        assert!(talks(0) && talks(1_999) && !talks(2_000) && !talks(4_999) && talks(5_000));
        assert!((0..100).all(|s| TalkPattern::ENDLESS.talks(Duration::from_secs(s))));
    }
}
