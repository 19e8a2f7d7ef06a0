//! A long time of joins, leaves, speech, chat and faults, and whether relay and edge take more and
//! more: `soak --minutes 20`.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool talks on standard output and error"
)]

mod crowd;
mod slope;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bench_report::{Aim, Report};
use clap::{Parser, value_parser};
use drill::caller::Line;
use drill::options::{drill_name, names};
use drill::usage::Usage;
use drill::{Local, now};
use tokio::time::{MissedTickBehavior, interval};
use wire::ShardId;

use crowd::Crowd;
use slope::{Sample, per_hour};

/// Relays: the first lives all the time and is measured, the others have faults in turn.
const RELAYS: u8 = 3;
const PARTICIPANTS: u32 = 1_000;
/// Between two turns of callers and two samples.
const TURN: Duration = Duration::from_secs(1);
/// Turns from the beginning of a fault to that of the next.
const FAULT_TURNS: u64 = 20;
/// Turns until a relay that was killed is started again, or one that stood still goes on.
const AWAY_TURNS: u64 = 4;
/// The first part of the time is not judged: caches fill, and allocators take what they keep.
const WARM_UP: f64 = 0.3;
/// Windows of the time that is judged.
const WINDOWS: f64 = 12.0;
/// Everybody is in a call again after the last fault.
const GRACE: Duration = Duration::from_secs(20);

/// What is judged of a process.
struct Kind {
    name: &'static str,
    unit: &'static str,
    per_hour: &'static str,
    /// By how much it may grow in all of the time that is judged.
    growth: f64,
    read: fn(&Usage) -> f64,
}

const KINDS: [Kind; 3] = [
    Kind {
        name: "memory",
        unit: "KiB",
        per_hour: "KiB/h",
        growth: 4096.0,
        read: |it| it.resident_kib,
    },
    Kind {
        name: "descriptors",
        unit: "",
        per_hour: "1/h",
        growth: 8.0,
        read: |it| it.descriptors,
    },
    Kind {
        name: "threads",
        unit: "",
        per_hour: "1/h",
        growth: 2.0,
        read: |it| it.threads,
    },
];

/// Watches what relay and edge take in a long time
#[derive(Debug, Parser)]
struct Flags {
    /// How long
    #[arg(long, value_name = "N", default_value_t = 2)]
    #[arg(value_parser = value_parser!(u64).range(1..=1_440))]
    minutes: u64,

    /// Callers at once
    #[arg(long, value_name = "N", default_value_t = 40)]
    #[arg(value_parser = value_parser!(u16).range(5..=1_000))]
    callers: u16,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Flags::parse()).await {
        Ok(report) => {
            let (met, missed) = report.judged();
            println!("{met} passed, {missed} failed");
            ExitCode::from(u8::from(missed > 0))
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: &Flags) -> Result<Report> {
    let mut local = Local::start(PARTICIPANTS).await?;
    let relays = names(RELAYS)?;
    for relay in &relays {
        local.start_relay(relay).await?;
    }
    let line = Line::new(local.edge()?, [127, 0, 0, 1].into())?;
    let mut crowd = Crowd::new(line, drill_name()?, flags.callers.into());
    for _ in 0..flags.callers {
        crowd.change().await?;
    }
    let turns = flags.minutes * 60;
    let (mut faults, mut series) = (Faults::new(&relays[1..]), Series::default());
    let mut ticks = interval(TURN);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let began = now();
    for turn in 0..turns {
        ticks.tick().await;
        crowd.change().await?;
        crowd.talk(turn);
        crowd.write(turn).await;
        // Nothing is away when it ends.
        if turn + FAULT_TURNS < turns || faults.is_any() {
            faults.turn(&mut local, turn).await?;
        }
        let at = (now() - began).as_secs_f64();
        series.take(at, &local, &relays[0])?;
        if turn.is_multiple_of(30) {
            eprintln!(
                "{turn} s of {turns}: {} came, {} calls lost",
                crowd.came,
                crowd.lost()
            );
        }
    }
    let until = now() + GRACE;
    while crowd.outside() > 0 && now() < until {
        ticks.tick().await;
    }
    let mut report = Report::default();
    series.tell(&mut report)?;
    let caused = faults.caused as f64;
    report.row("faults of relays", caused, "", Aim::AtLeast(1.0));
    crowd.tell(&mut report);
    crowd.leave().await;
    report.finish("soak")?;
    Ok(report)
}

/// What is done to relays, one after the other.
struct Faults {
    relays: Vec<ShardId>,
    /// The relay that is away, since that turn, and whether it stands still.
    away: Option<(ShardId, u64, bool)>,
    caused: usize,
}

impl Faults {
    fn new(relays: &[ShardId]) -> Self {
        Self {
            relays: relays.to_vec(),
            away: None,
            caused: 0,
        }
    }

    fn is_any(&self) -> bool {
        self.away.is_some()
    }

    /// Kills a relay, freezes one, or brings back the one that is away.
    async fn turn(&mut self, local: &mut Local, turn: u64) -> Result<()> {
        match self.away.take() {
            Some((relay, since, is_frozen)) if turn >= since + AWAY_TURNS => match is_frozen {
                true => local.relay(&relay)?.thaw()?,
                false => local.start_relay(&relay).await?,
            },
            Some(away) => self.away = Some(away),
            None if turn % FAULT_TURNS == FAULT_TURNS / 2 => {
                let relay = self.relays[self.caused % self.relays.len()].clone();
                let is_frozen = self.caused % 3 == 2;
                match is_frozen {
                    true => local.relay(&relay)?.clone().until(|it| it.freeze()).await?,
                    false => local.kill_relay(&relay).await?,
                }
                self.caused += 1;
                self.away = Some((relay, turn, is_frozen));
            }
            None => {}
        }
        Ok(())
    }
}

/// What edge and relay had, second by second.
#[derive(Default)]
struct Series {
    edge: Vec<(f64, Usage)>,
    relay: Vec<(f64, Usage)>,
}

impl Series {
    fn take(&mut self, at: f64, local: &Local, relay: &ShardId) -> Result<()> {
        self.edge.push((at, Usage::of(local.edge_process()?.id())?));
        self.relay.push((at, Usage::of(local.relay(relay)?.id())?));
        Ok(())
    }

    fn tell(&self, report: &mut Report) -> Result<()> {
        let total_s = self.edge.last().map_or(0.0, |(at, _)| *at);
        let judged_s = total_s * (1.0 - WARM_UP);
        for (name, usages) in [("edge", &self.edge), ("relay", &self.relay)] {
            for kind in &KINDS {
                let samples = usages.iter().map(|(at, usage)| (*at, (kind.read)(usage)));
                let samples = samples.filter(|(at, _)| *at >= total_s * WARM_UP);
                let samples: Vec<Sample> = samples.collect();
                let slope = per_hour(&samples, judged_s / WINDOWS);
                let slope = slope.context("the time is too short to tell")?;
                let aim = Aim::AtMost((kind.growth / judged_s * 3600.0).round());
                let row = |what: &str| format!("{name}: {}, {what}", kind.name);
                report.row(row("growth"), slope, kind.per_hour, aim);
                let (_, last) = samples.last().context("there are samples")?;
                report.row(row("at the end"), *last, kind.unit, Aim::None);
            }
        }
        Ok(())
    }
}
