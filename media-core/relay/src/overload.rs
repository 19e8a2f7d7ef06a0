//! When a shard is full: it says so, and lets nobody new in, before those inside are worse off.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Time over which load is measured: long enough that one slow turn is no overload.
const WINDOW: Duration = Duration::from_secs(2);

/// Part of a limit, in thousandths, to which a load must fall before the shard takes sessions
/// again, so that it does not swing.
const LEAVE_PERMILLE: u64 = 900;

/// Above which load a shard is full.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Sessions, those in handshake included.
    pub(crate) sessions: u64,
    /// Thousandths of a core; none for no limit.
    pub(crate) cpu_permille: Option<u64>,
    /// Datagrams sent in a second; none for no limit.
    pub(crate) packets_per_s: Option<u64>,
}

/// What made a shard full. Also the metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FullReason {
    Sessions,
    Cpu,
    Packets,
}

impl FullReason {
    pub(crate) const ALL: [Self; 3] = [Self::Sessions, Self::Cpu, Self::Packets];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::Cpu => "cpu",
            Self::Packets => "packets",
        }
    }
}

/// A shard's running totals at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) at: Instant,
    /// CPU time of its thread.
    pub(crate) cpu: Duration,
    /// Datagrams sent.
    pub(crate) packets: u64,
    /// Sessions now.
    pub(crate) sessions: u64,
}

/// Decides from samples whether the shard is full.
#[derive(Debug)]
pub(crate) struct Overload {
    limits: Limits,
    /// Of the window, oldest first, and one that is older.
    samples: VecDeque<Sample>,
    full: Option<FullReason>,
}

impl Overload {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            samples: VecDeque::new(),
            full: None,
        }
    }

    /// Takes the next sample; why the shard is full from now on, none when it is not.
    pub(crate) fn observe(&mut self, sample: Sample) -> Option<FullReason> {
        self.samples.push_back(sample);
        while self
            .samples
            .get(1)
            .is_some_and(|second| sample.at.saturating_duration_since(second.at) >= WINDOW)
        {
            self.samples.pop_front();
        }
        self.full = match self.full {
            None => self.loads().find(|load| load.is_over(1000)),
            // The first reason that still holds; one may follow another.
            Some(_) => self.loads().find(|load| load.is_over(LEAVE_PERMILLE)),
        }
        .map(|load| load.reason);
        self.full
    }

    /// Each limited load, once a whole window has been seen; sessions at once.
    fn loads(&self) -> impl Iterator<Item = Load> {
        let (first, last) = (self.samples[0], self.samples[self.samples.len() - 1]);
        let span = last.at.saturating_duration_since(first.at);
        let measured = (span >= WINDOW).then_some(span);
        let rate = |limit: Option<u64>, amount: u64| {
            let span_us = u64::try_from(measured?.as_micros()).ok()?;
            Some((amount.saturating_mul(1_000_000) / span_us, limit?))
        };
        let cpu_ms = last.cpu.saturating_sub(first.cpu).as_millis();
        let cpu_ms = u64::try_from(cpu_ms).unwrap_or(u64::MAX);
        let packets = last.packets.saturating_sub(first.packets);
        let loads = [
            (
                FullReason::Sessions,
                Some((last.sessions, self.limits.sessions)),
            ),
            (FullReason::Cpu, rate(self.limits.cpu_permille, cpu_ms)),
            (
                FullReason::Packets,
                rate(self.limits.packets_per_s, packets),
            ),
        ];
        loads.into_iter().filter_map(|(reason, load)| {
            let (amount, limit) = load?;
            Some(Load {
                reason,
                amount,
                limit,
            })
        })
    }
}

struct Load {
    reason: FullReason,
    amount: u64,
    limit: u64,
}

impl Load {
    /// Whether it is at or above a part of its limit.
    fn is_over(&self, permille: u64) -> bool {
        // Rounded up, so that a part of a small limit is above zero, and below the whole of it.
        let part = (self.limit * permille).div_ceil(1000);
        self.amount >= part.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const TICK: Duration = Duration::from_millis(200);

    struct Rig {
        overload: Overload,
        sample: Sample,
    }

    impl Rig {
        fn new(limits: Limits) -> Self {
            let sample = Sample {
                at: clock::now(),
                cpu: Duration::ZERO,
                packets: 0,
                sessions: 0,
            };
            let mut overload = Overload::new(limits);
            assert_eq!(overload.observe(sample), None);
            Self { overload, sample }
        }

        /// Some seconds at a share of a core and a number of packets in a second.
        fn run(&mut self, seconds: u32, cpu_permille: u32, packets_per_s: u64) -> Vec<bool> {
            (0..seconds * 5)
                .map(|_| {
                    self.sample.at += TICK;
                    self.sample.cpu += TICK * cpu_permille / 1000;
                    self.sample.packets += packets_per_s / 5;
                    self.overload.observe(self.sample).is_some()
                })
                .collect()
        }

        fn sessions(&mut self, sessions: u64) -> Option<FullReason> {
            self.sample.sessions = sessions;
            self.sample.at += TICK;
            self.overload.observe(self.sample)
        }
    }

    fn limits(sessions: u64) -> Limits {
        Limits {
            sessions,
            cpu_permille: Some(800),
            packets_per_s: Some(1000),
        }
    }

    #[test]
    fn load_over_its_limit_for_two_seconds_is_full_until_it_is_well_below() {
        let mut rig = Rig::new(limits(100));
        assert!(rig.run(5, 790, 0).iter().all(|full| !full), "below");
        rig.run(2, 400, 0);
        let peak = rig.run(1, 1000, 0);
        assert!(peak.iter().all(|full| !full), "one second is a peak");
        assert!(rig.run(3, 900, 0).last().unwrap());
        assert!(
            rig.run(10, 740, 0).iter().all(|full| *full),
            "does not swing"
        );
        assert!(!rig.run(3, 700, 0).last().unwrap());
        assert!(rig.run(5, 790, 0).iter().all(|full| !full));
    }

    #[test]
    fn each_load_counts_and_is_named() {
        let mut rig = Rig::new(limits(100));
        rig.run(4, 100, 1200);
        assert_eq!(rig.overload.full, Some(FullReason::Packets));
        rig.run(4, 900, 100);
        assert_eq!(rig.overload.full, Some(FullReason::Cpu));
        assert_eq!(rig.sessions(100), Some(FullReason::Sessions));
    }

    #[test]
    fn sessions_count_at_once_whatever_the_limit() {
        for (limit, below) in [(1, 0), (2, 1), (10, 8), (1000, 899)] {
            let mut rig = Rig::new(limits(limit));
            assert_eq!(rig.sessions(limit - 1), None, "of {limit}");
            assert_eq!(
                rig.sessions(limit),
                Some(FullReason::Sessions),
                "of {limit}"
            );
            assert_eq!(rig.sessions(below), None, "{below} of {limit}");
        }
    }

    #[test]
    fn what_has_no_limit_never_counts_and_samples_are_few() {
        let mut rig = Rig::new(Limits {
            sessions: 10,
            cpu_permille: None,
            packets_per_s: None,
        });
        assert!(rig.run(60, 1000, 1_000_000).iter().all(|full| !full));
        assert!(rig.overload.samples.len() <= 12);
    }
}
