//! What is done to a service with calls in it, and what came of it.

use std::time::Duration;

use anyhow::{Result, ensure};
use bench_report::Report;
use client::STABLE_AFTER;
use tokio::time::sleep;
use wire::ShardId;

use crate::caller::Caller;
use crate::control::{Control, Fault};
use crate::heard::{Effect, effect, first_silence, longest_gap, longest_part};
use crate::kind::Kind;
use crate::now;
use crate::party::Party;
use crate::pulse::Pulse;
use crate::seen::{FAILOVER_AIM_S, GAP_AIM_MS, Seen};

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(50);
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
    /// How long everybody is left alone before a fault: a client whose connection did not last
    /// waits longer before it tries again, which is not what is measured.
    pub rest: Duration,
    /// The figures so far.
    pub report: Report,
    pulse: Pulse,
}

impl Drills {
    /// Faults that `control` causes to the calls of `party`.
    pub fn new(party: Party, control: Control, runs: usize, outage: Duration) -> Self {
        Self {
            party,
            control,
            runs,
            outage,
            rest: STABLE_AFTER + LOOK,
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
        sleep(self.rest).await;
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
                sleep(LOOK).await;
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
            sleep(LOOK).await;
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
            let after = match effect(&noticed.heard, &speakers, fault, to) {
                Effect::None => continue,
                Effect::Again(after) => after,
                Effect::Silent => {
                    seen.silent += 1;
                    to - fault
                }
            };
            seen.again_s.push(after.as_secs_f64());
            if after.as_secs_f64() > FAILOVER_AIM_S {
                let (player, failures) = (&caller.role.player, &noticed.failures);
                tell(&format!(
                    "{player} heard all again after {after:.2?}; failed: {failures:?}"
                ));
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
                let gap_ms = gap.as_secs_f64() * 1e3;
                seen.gaps_ms.push(gap_ms);
                if gap_ms > GAP_AIM_MS {
                    let (player, shard) = (&caller.role.player, &noticed.shard);
                    tell(&format!(
                        "{player}, now at {shard:?}, did not hear {speaker} for {gap_ms:.0} ms; \
                         lost {}, failed: {:?}",
                        noticed.losses, noticed.failures
                    ));
                }
            }
        }
        seen.lost += self.party.losses();
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
