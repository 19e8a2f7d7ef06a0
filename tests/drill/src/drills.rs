//! What is done to a service with calls in it, and what came of it.

use std::time::Duration;

use anyhow::{Result, ensure};
use bench_report::{Aim, Report, quantile};
use clap::ValueEnum;
use tokio::time::sleep;
use wire::ShardId;

use crate::caller::Caller;
use crate::control::{Control, Fault};
use crate::heard::{Effect, effect, first_silence, longest_gap, longest_part};
use crate::now;
use crate::party::Party;
use crate::pulse::Pulse;

/// Everybody is heard for so long before a fault.
const BEFORE: Duration = Duration::from_millis(500);
/// After a fault nobody counts as heard because of what came before it.
const ONSET: Duration = Duration::from_millis(700);
/// Longest wait until everybody hears his room again.
const LIMIT: Duration = Duration::from_secs(30);
/// So long everybody is watched after that.
const AFTER: Duration = Duration::from_secs(1);
/// How long a relay stands still before it goes on: around the times at which callers miss it (2 s)
/// and the fleet has given it up, when a room is in two places if it ever is.
const FREEZES_MS: [u64; 8] = [2_500, 10_500, 4_000, 12_000, 2_000, 9_000, 3_000, 6_000];
/// How long the edge is away at least.
const EDGE_AWAY: Duration = Duration::from_secs(1);
/// Rooms into which somebody tries to come while edge or store are away.
const NEWCOMERS: u16 = 10;
/// Heartbeats of all relays have come after this.
const HEARTBEATS: Duration = Duration::from_secs(5);
/// Speakers who come back within a few packets of each other do so together.
const PART_MIN: Duration = Duration::from_millis(100);
/// A longer gap in a drain is heard.
const GAP_AIM_MS: f64 = 100.0;
const FAILOVER_AIM_S: f64 = 4.0;
const SPLIT_AIM_S: f64 = 2.5;

/// What is drilled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A relay is killed
    Kill,
    /// A relay is frozen until everybody is elsewhere
    Freeze,
    /// A relay goes on that stood still, while some have gone and some have not
    Thaw,
    /// A relay is drained
    Drain,
    /// The edge is killed and started again
    EdgeRestart,
    /// The store answers nothing for a while
    StoreOutage,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Freeze => "freeze",
            Self::Thaw => "thaw",
            Self::Drain => "drain",
            Self::EdgeRestart => "edge restart",
            Self::StoreOutage => "store outage",
        }
    }
}

/// Callers, and who causes faults.
pub struct Drills {
    /// Who is in calls.
    pub party: Party,
    /// Who causes faults.
    pub control: Control,
    /// How often each fault is caused.
    pub runs: usize,
    /// How long a store is away.
    pub outage: Duration,
    /// The figures so far.
    pub report: Report,
    pulse: Pulse,
}

/// What came of all runs of one drill.
#[derive(Debug, Default)]
pub struct Seen {
    /// Until somebody who had missed anybody heard all of his room, seconds.
    pub again_s: Vec<f64>,
    /// Longest times in which somebody heard a part of his room, seconds.
    pub parts_s: Vec<f64>,
    /// Longest times without a packet, one for each listener and speaker, milliseconds.
    pub gaps_ms: Vec<f64>,
    /// How long a relay took to drain, seconds.
    pub drains_s: Vec<f64>,
    /// Until somebody new heard his room after edge or store were back, seconds.
    pub newcomers_s: Vec<f64>,
    /// Callers who did not hear their room in the end.
    pub silent: usize,
    /// Calls that were lost in drains and outages.
    pub lost: u64,
    /// Rooms into which somebody new was sent elsewhere than where they were.
    pub moved: usize,
    /// By how much this program itself was too late at most.
    pub stood_still: Duration,
}

impl Drills {
    /// Faults that `control` causes to the calls of `party`.
    pub fn new(party: Party, control: Control, runs: usize, outage: Duration) -> Self {
        Self {
            party,
            control,
            runs,
            outage,
            report: Report::default(),
            pulse: Pulse::start(),
        }
    }

    /// Drills one kind of fault, and adds what came of it to the report.
    ///
    /// # Errors
    /// When a fault cannot be caused, or the service does not come back.
    pub async fn run(&mut self, kind: Kind) -> Result<Seen> {
        let mut seen = Seen::default();
        for run in 0..self.runs {
            self.begin().await?;
            match kind {
                Kind::Kill => {
                    self.lose_relay(Fault::Kill, Fault::Start, &mut seen)
                        .await?
                }
                Kind::Freeze => {
                    self.lose_relay(Fault::Freeze, Fault::Thaw, &mut seen)
                        .await?
                }
                Kind::Thaw => self.thaw(run, &mut seen).await?,
                Kind::Drain => self.drain(&mut seen).await?,
                Kind::EdgeRestart | Kind::StoreOutage => self.outage(kind, &mut seen).await?,
            }
            seen.stood_still = seen.stood_still.max(self.pulse.take_longest());
            progress(kind, run + 1, self.runs, &seen);
            self.recover(&mut seen).await?;
        }
        seen.tell(kind, &mut self.report);
        Ok(seen)
    }

    /// Everybody hears everybody, and what was is forgotten.
    async fn begin(&mut self) -> Result<()> {
        if self.party.line.edge.is_due() {
            self.party.prepare().await?;
        }
        let is_whole = self.party.await_whole(LIMIT).await;
        ensure!(is_whole, "before the fault: {}", self.party.complaints());
        self.party.forget();
        self.pulse.take_longest();
        sleep(BEFORE).await;
        Ok(())
    }

    /// After a fault and its end: who does not find his room by himself begins anew.
    async fn recover(&mut self, seen: &mut Seen) -> Result<()> {
        if !self.party.await_whole(LIMIT).await {
            tell(&self.party.complaints());
            seen.silent = seen.silent.max(self.party.mend().await?);
        }
        Ok(())
    }

    /// A relay is lost, and comes back when everybody is elsewhere.
    async fn lose_relay(&mut self, fault: Fault, end: Fault, seen: &mut Seen) -> Result<()> {
        let target = self.party.fullest()?;
        let from = self.party.line.time();
        self.control.cause(fault, Some(&target)).await?;
        let to = self.settle().await;
        self.note_effects(from, to, seen);
        self.control.cause(end, Some(&target)).await
    }

    async fn thaw(&mut self, run: usize, seen: &mut Seen) -> Result<()> {
        let target = self.party.fullest()?;
        self.control.cause(Fault::Freeze, Some(&target)).await?;
        let frozen_ms = FREEZES_MS[run % FREEZES_MS.len()];
        sleep(Duration::from_millis(frozen_ms)).await;
        let from = self.party.line.time();
        self.control.cause(Fault::Thaw, Some(&target)).await?;
        let to = self.settle().await;
        self.note_effects(from, to, seen);
        for caller in self.party.callers() {
            let (speakers, noticed) = (self.party.heard_by(caller), caller.noticed());
            let part = longest_part(&noticed.heard, &speakers, from, to);
            if part > PART_MIN {
                seen.parts_s.push(part.as_secs_f64());
            }
        }
        Ok(())
    }

    async fn drain(&mut self, seen: &mut Seen) -> Result<()> {
        let target = self.party.fullest()?;
        let on_it: Vec<u16> = self.numbers_on(&target);
        let (from, began) = (self.party.line.time(), now());
        self.control.cause(Fault::Drain, Some(&target)).await?;
        match self.control.local() {
            Some(local) => local.await_drained(&target).await?,
            None => self.await_left(&target).await?,
        }
        seen.drains_s.push((now() - began).as_secs_f64());
        let to = self.settle().await;
        self.note_gaps(from, to, |caller| on_it.contains(&caller.role.number), seen);
        self.control.cause(Fault::Start, Some(&target)).await
    }

    /// Edge or store are away, and meanwhile some try to come in.
    async fn outage(&mut self, kind: Kind, seen: &mut Seen) -> Result<()> {
        let (stop, start, away) = match kind {
            Kind::EdgeRestart => (Fault::EdgeStop, Fault::EdgeStart, EDGE_AWAY),
            _ => (Fault::StoreStop, Fault::StoreStart, self.outage),
        };
        let rooms = 0..self.party.rooms().min(NEWCOMERS);
        let homes: Vec<_> = rooms
            .clone()
            .map(|room| self.party.shard_of(room))
            .collect();
        let from = self.party.line.time();
        self.control.cause(stop, None).await?;
        sleep(away / 2).await;
        let mut newcomers = Vec::new();
        for room in rooms {
            newcomers.push(self.party.newcomer(room).await?);
        }
        sleep(away / 2).await;
        self.control.cause(start, None).await?;
        let back = now();
        for (room, newcomer) in (0..).zip(&newcomers) {
            let speakers = self.party.speakers(room);
            while !newcomer.hears(&speakers, self.party.line.time()) && now() < back + LIMIT {
                sleep(BEFORE / 10).await;
            }
        }
        sleep(HEARTBEATS).await;
        let to = self.party.line.time();
        for (caller, home) in newcomers.iter().zip(homes) {
            let noticed = caller.noticed();
            seen.silent += usize::from(!noticed.is_connected);
            seen.moved += usize::from(noticed.is_connected && noticed.shard != home);
            if let Some(at) = noticed.connected_at {
                let base = self.party.line.base;
                let waited = (base + at).saturating_duration_since(back);
                seen.newcomers_s.push(waited.as_secs_f64());
            }
        }
        for newcomer in newcomers {
            newcomer.leave().await;
        }
        self.note_gaps(from, to, |_| true, seen);
        Ok(())
    }

    /// Waits until everybody hears his room again, or does not for long, and a moment more.
    async fn settle(&self) -> Duration {
        sleep(ONSET).await;
        self.party.await_whole(LIMIT).await;
        sleep(AFTER).await;
        self.party.line.time()
    }

    async fn await_left(&self, shard: &ShardId) -> Result<()> {
        let until = now() + crate::local::DRAIN_LIMIT;
        while self.party.count_on(shard) > 0 {
            ensure!(now() < until, "{shard} is not left");
            sleep(BEFORE / 10).await;
        }
        Ok(())
    }

    fn numbers_on(&self, shard: &ShardId) -> Vec<u16> {
        let there = self.party.callers().iter();
        let there = there.filter(|it| it.noticed().shard.as_ref() == Some(shard));
        there.map(|it| it.role.number).collect()
    }

    fn note_effects(&self, from: Duration, to: Duration, seen: &mut Seen) {
        let begins = |caller: &Caller| {
            let speakers = self.party.heard_by(caller);
            first_silence(&caller.noticed().heard, &speakers, from, to)
        };
        // Of a command or a hand nobody knows when it did what it was asked for.
        let fault = match self.control.is_prompt() {
            true => from,
            false => self
                .party
                .callers()
                .iter()
                .filter_map(begins)
                .min()
                .unwrap_or(from),
        };
        for caller in self.party.callers() {
            let (speakers, noticed) = (self.party.heard_by(caller), caller.noticed());
            match effect(&noticed.heard, &speakers, fault, to) {
                Effect::None => {}
                Effect::Again(after) => seen.again_s.push(after.as_secs_f64()),
                Effect::Silent => {
                    seen.silent += 1;
                    seen.again_s.push((to - fault).as_secs_f64());
                }
            }
        }
    }

    fn note_gaps(
        &self,
        from: Duration,
        to: Duration,
        is_meant: impl Fn(&Caller) -> bool,
        seen: &mut Seen,
    ) {
        for caller in self.party.callers().iter().filter(|it| is_meant(it)) {
            let noticed = caller.noticed();
            for speaker in self.party.heard_by(caller) {
                let gap = longest_gap(&noticed.heard, speaker, from, to);
                seen.gaps_ms.push(gap.as_secs_f64() * 1e3);
            }
        }
        seen.lost += self.party.losses();
    }
}

impl Seen {
    fn tell(&mut self, kind: Kind, report: &mut Report) {
        let mut row = |what: &str, value: f64, unit: &'static str, aim: Aim| {
            report.row(format!("{}: {what}", kind.name()), value, unit, aim);
        };
        match kind {
            Kind::Kill | Kind::Freeze => {
                let affected = self.again_s.len() as f64;
                row("callers who missed somebody", affected, "", Aim::None);
                row(
                    "audible again, p50",
                    at(&mut self.again_s, 0.5),
                    "s",
                    Aim::None,
                );
                let aim = Aim::AtMost(FAILOVER_AIM_S);
                row("audible again, p99", at(&mut self.again_s, 0.99), "s", aim);
            }
            Kind::Thaw => {
                let affected = self.parts_s.len() as f64;
                row(
                    "callers who heard a part of a room",
                    affected,
                    "",
                    Aim::None,
                );
                row(
                    "hearing a part, p50",
                    at(&mut self.parts_s, 0.5),
                    "s",
                    Aim::None,
                );
                let aim = Aim::AtMost(SPLIT_AIM_S);
                row(
                    "hearing a part, longest",
                    at(&mut self.parts_s, 1.0),
                    "s",
                    aim,
                );
                row(
                    "whole again, p99",
                    at(&mut self.again_s, 0.99),
                    "s",
                    Aim::None,
                );
            }
            Kind::Drain | Kind::EdgeRestart | Kind::StoreOutage => {
                let over = self.gaps_ms.iter().filter(|gap| **gap > GAP_AIM_MS).count();
                row(
                    "gap of a listener and speaker, p99",
                    at(&mut self.gaps_ms, 0.99),
                    "ms",
                    Aim::None,
                );
                let aim = Aim::AtMost(GAP_AIM_MS);
                row("gap, longest", at(&mut self.gaps_ms, 1.0), "ms", aim);
                let of = self.gaps_ms.len();
                let name = format!("gaps over {GAP_AIM_MS} ms, of {of}");
                row(&name, over as f64, "", Aim::AtMost(0.0));
                row("calls lost", self.lost as f64, "", Aim::AtMost(0.0));
            }
        }
        if kind == Kind::Drain {
            row(
                "until the relay ended, longest",
                at(&mut self.drains_s, 1.0),
                "s",
                Aim::None,
            );
        }
        if matches!(kind, Kind::EdgeRestart | Kind::StoreOutage) {
            row("rooms moved", self.moved as f64, "", Aim::AtMost(0.0));
            let longest = at(&mut self.newcomers_s, 1.0);
            row("newcomers in after, longest", longest, "s", Aim::None);
        }
        row(
            "callers who did not come back",
            self.silent as f64,
            "",
            Aim::AtMost(0.0),
        );
        let still_ms = self.stood_still.as_secs_f64() * 1e3;
        row("the drill itself stood still", still_ms, "ms", Aim::None);
    }
}

/// A quantile of what may be nothing.
fn at(values: &mut [f64], share: f64) -> f64 {
    match values {
        [] => 0.0,
        values => quantile(values, share),
    }
}

fn progress(kind: Kind, run: usize, runs: usize, seen: &Seen) {
    let largest = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    tell(&format!(
        "{} {run} of {runs}: so far {} missed somebody, {:.2} s at most; part of a room {:.2} s, \
         gap {:.0} ms, {} calls lost, {} not back",
        kind.name(),
        seen.again_s.len(),
        largest(&seen.again_s),
        largest(&seen.parts_s),
        largest(&seen.gaps_ms),
        seen.lost,
        seen.silent
    ));
}

#[expect(clippy::print_stderr, reason = "how far it is goes beside the table")]
fn tell(text: &str) {
    eprintln!("{text}");
}
