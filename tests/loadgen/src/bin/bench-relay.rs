//! `cargo xtask bench relay`: what the relay takes to forward voice, to hold participants and to
//! let them in, next to what the kernel alone takes.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use bench_report::prices::per_1000_minutes;
use bench_report::{Aim, Report};
use clap::Parser;
use clap::builder::PossibleValuesParser;
use loadgen::now;
use loadgen::peer::Voice;
use loadgen::scenario::{Outcome, SETTLED, Scenario, quantile};
use loadgen::swarm::{TalkPattern, pause};

/// CPU per forwarded packet of a large room, microseconds.
const PACKET_AIM_US: f64 = 1.8;
/// The same, over the kernel floor.
const FLOOR_RATIO_AIM: f64 = 1.6;
/// CPU per forwarded packet of many small rooms, microseconds.
const SMALL_ROOMS_AIM_US: f64 = 3.0;
/// Resident memory per idle participant, kB.
const MEMORY_AIM_KB: f64 = 60.0;
/// CPU per idle participant-second, microseconds.
const IDLE_AIM_US: f64 = 10.0;
/// Joins per second per shard.
const JOINS_AIM: f64 = 500.0;
/// Telling a room of 5,000 who of twenty speaks, percent of a core.
const TELLING_AIM: f64 = 5.0;
/// Added latency, milliseconds.
const LATENCY_AIM_MS: (f64, f64) = (0.5, 3.0);
/// Shares of a core at which latency and loss have their aims.
const LOADS: [f64; 2] = [0.7, 0.8];
/// Packets that a room of the loaded rows gets forwarded in a second: 5 speakers, 100 listeners.
const LOADED_ROOM_PER_S: f64 = 5.0 * 50.0 * 100.0;

/// Attempts to find the load.
const STEPS_MAX: usize = 4;
/// Length of an attempt.
const STEP_TIME: Duration = Duration::from_secs(3);
/// How near a load must be, as a share of a core.
const LOAD_TOLERANCE: f64 = 0.03;
/// More rooms than this would need more descriptors than a process has.
const LOADED_ROOMS_MAX: usize = 40;

/// Groups of rows, in their order.
const GROUPS: [&str; 6] = ["large", "huge", "small", "loaded", "idle", "telling"];
/// CPU per packet from which the load is sought where it was not measured before, microseconds.
const EXPECTED_US: f64 = 3.5;

/// How much is measured.
struct Extent {
    time: Duration,
    idle: usize,
    largest: usize,
    loads: &'static [f64],
}

const FULL: Extent = Extent {
    time: Duration::from_secs(10),
    idle: 2000,
    largest: 5000,
    loads: &LOADS,
};
const QUICK: Extent = Extent {
    time: Duration::from_secs(3),
    idle: 500,
    largest: 1000,
    loads: &[],
};

/// Measures what a relay takes
#[derive(Parser)]
struct Flags {
    /// Under a minute, less exact
    #[arg(long)]
    quick: bool,

    /// Groups of rows; all where none is named
    #[arg(value_parser = PossibleValuesParser::new(GROUPS))]
    groups: Vec<String>,
}

fn main() -> Result<()> {
    let Flags { quick, groups } = Flags::parse();
    let extent = if quick { QUICK } else { FULL };
    let wants = |group: &str| groups.is_empty() || groups.iter().any(|wanted| wanted == group);
    let binary = loadgen::relay_process::program()?;
    let mut report = Report::default();
    let mut large_us = EXPECTED_US;
    if wants("large") {
        let scenario = room("10 to 100", 1, 10, 100);
        large_us = talk(&binary, &extent, &mut report, &scenario)?;
    }
    if wants("huge") {
        let scenario = room("4 to 1,000", 1, 4, 1000);
        talk(&binary, &extent, &mut report, &scenario)?;
    }
    if wants("small") {
        let scenario = room("200 rooms of 5", 200, 1, 4);
        talk(&binary, &extent, &mut report, &scenario)?;
    }
    if wants("loaded") {
        let mut rooms = None;
        for &load in extent.loads {
            let known = (large_us, rooms);
            rooms = Some(loaded(&binary, &extent, &mut report, load, known)?);
        }
    }
    if wants("idle") {
        idle(&binary, &extent, &mut report)?;
    }
    if wants("telling") {
        telling(&binary, &extent, &mut report)?;
    }
    report.finish("relay")
}

fn room(name: &str, rooms: usize, speakers: usize, listeners: usize) -> Scenario {
    Scenario {
        name: name.to_owned(),
        rooms,
        speakers,
        listeners,
        probes: 2,
        deafened: false,
        pattern: TalkPattern::ENDLESS,
        voice: Voice::default(),
    }
}

/// Rows of one scenario; returns its CPU per packet, microseconds.
fn talk(binary: &Path, extent: &Extent, report: &mut Report, scenario: &Scenario) -> Result<f64> {
    let outcome = scenario.measure(binary, extent.time)?;
    let name = &scenario.name;
    let (packet, ratio) = if scenario.rooms == 1 {
        (Aim::AtMost(PACKET_AIM_US), Aim::AtMost(FLOOR_RATIO_AIM))
    } else {
        (Aim::AtMost(SMALL_ROOMS_AIM_US), Aim::None)
    };
    let (cpu_us, floor_us) = (outcome.cpu_us, outcome.floor_us);
    let row = |what: &str| format!("{name}: {what}");
    report.row(row("CPU per forwarded packet"), cpu_us, "us", packet);
    report.row(row("kernel floor, just before"), floor_us, "us", Aim::None);
    report.row(row("over the floor"), cpu_us / floor_us, "x", ratio);
    flow(report, name, &outcome, Aim::None);
    latency(report, name, &outcome, (Aim::None, Aim::None));
    let profile = outcome.profile.iter().flatten();
    for (category, share) in profile {
        let name = row(&format!("CPU, {category}"));
        report.row(name, *share, "% of shard", Aim::None);
    }
    if outcome.profile.is_none() {
        eprintln!("{name}: no profile, since `perf` is not installed or may not sample");
    }
    let (cpu, egress) = per_1000_minutes(cpu_us / 1e6, outcome.payload_bytes);
    let unit = "USD/1000 min";
    report.row(row("CPU, 1,000 stream-minutes"), cpu, unit, Aim::None);
    report.row(row("egress, 1,000 stream-minutes"), egress, unit, Aim::None);
    Ok(cpu_us)
}

/// Rows of a shard that is loaded to `share` of a core. How many rooms that takes is found by
/// stepping: a loaded shard forwards cheaper than an idle one. Returns the rooms of a load of one.
fn loaded(
    binary: &Path,
    extent: &Extent,
    report: &mut Report,
    share: f64,
    (cpu_us, known): (f64, Option<f64>),
) -> Result<f64> {
    let mut full = known.unwrap_or(1e6 / (cpu_us * LOADED_ROOM_PER_S));
    let mut rooms = 0;
    for _ in 0..STEPS_MAX {
        let next = ((share * full).round() as usize).clamp(1, LOADED_ROOMS_MAX);
        if next == rooms {
            break;
        }
        rooms = next;
        let found = loaded_room(rooms).measure(binary, STEP_TIME)?;
        full = rooms as f64 / found.core.max(0.01);
        if (found.core - share).abs() < LOAD_TOLERANCE {
            break;
        }
    }
    let scenario = loaded_room(rooms);
    let outcome = scenario.measure(binary, extent.time)?;
    let name = format!("at {:.0} % of a core ({})", share * 100.0, scenario.name);
    flow(report, &name, &outcome, Aim::AtMost(0.0));
    let aims = (Aim::AtMost(LATENCY_AIM_MS.0), Aim::AtMost(LATENCY_AIM_MS.1));
    latency(report, &name, &outcome, aims);
    Ok(full)
}

fn loaded_room(rooms: usize) -> Scenario {
    room(&format!("{rooms} rooms, 5 to 100"), rooms, 5, 100)
}

fn flow(report: &mut Report, name: &str, outcome: &Outcome, loss: Aim) {
    let row = |what: &str| format!("{name}: {what}");
    let core = outcome.core * 100.0;
    report.row(row("forwarded"), outcome.forwarded_per_s, "1/s", Aim::None);
    report.row(row("shard's load"), core, "% of core", Aim::None);
    report.row(
        row("dropped by the relay"),
        outcome.dropped as f64,
        "packets",
        loss,
    );
    report.row(
        row("lost, ends included"),
        outcome.lost as f64,
        "packets",
        Aim::None,
    );
}

fn latency(report: &mut Report, name: &str, outcome: &Outcome, aims: (Aim, Aim)) {
    let ms = |share| outcome.latency.voice.value_at_quantile(share) as f64 / 1e6;
    let late_ms = outcome.latency.generator.value_at_quantile(0.99) as f64 / 1e6;
    let row = |what: &str| format!("{name}: {what}");
    let added_ms = |share| quantile(&outcome.transit, share) * 1e3;
    report.row(row("added by the relay, p50"), added_ms(0.5), "ms", aims.0);
    report.row(row("added by the relay, p99"), added_ms(0.99), "ms", aims.1);
    report.row(row("latency, ends included, p50"), ms(0.5), "ms", Aim::None);
    report.row(
        row("latency, ends included, p99"),
        ms(0.99),
        "ms",
        Aim::None,
    );
    report.row(row("generator late, p99"), late_ms, "ms", Aim::None);
}

/// What it takes to tell the largest room who speaks: its listeners are deafened, so that nothing
/// else is done for them, and what their voice costs is that of the same speakers among themselves.
fn telling(binary: &Path, extent: &Extent, report: &mut Report) -> Result<()> {
    let spurts = TalkPattern {
        talk: Duration::from_secs(1),
        pause: Duration::from_secs(1),
    };
    let scenario = |listeners| Scenario {
        probes: 0,
        deafened: true,
        pattern: spurts,
        ..room(&format!("20 of {}", 20 + listeners), 1, 20, listeners)
    };
    let (all, alone) = (scenario(extent.largest - 20), scenario(0));
    let (core, messages_per_s) = all.measure_told(binary, extent.time)?;
    let (base, _) = alone.measure_told(binary, extent.time)?;
    let name = format!("{} talk and pause", all.name);
    let row = |what: &str| format!("{name}: {what}");
    let share = (core - base) * 100.0;
    report.row(row("shard's load"), core * 100.0, "% of core", Aim::None);
    report.row(
        row("of it telling"),
        share,
        "% of core",
        Aim::AtMost(TELLING_AIM),
    );
    report.row(row("messages"), messages_per_s, "1/s", Aim::None);
    let us = (core - base) / messages_per_s.max(1.0) * 1e6;
    report.row(row("CPU per message"), us, "us", Aim::None);
    Ok(())
}

/// Joins, and what those who are in take while nobody talks.
fn idle(binary: &Path, extent: &Extent, report: &mut Report) -> Result<()> {
    let mut first = room("one idle room of 5", 1, 1, 4);
    first.probes = 0;
    // A relay that has served somebody has paid for what does not grow with participants.
    let (relay, swarm) = first.join(binary)?;
    pause(SETTLED)?;
    let base_bytes = relay.figures()?.resident_bytes();
    let base = first.speakers + first.listeners;
    swarm.stop()?;
    drop(relay);
    let mut scenario = room("idle rooms of 5", extent.idle / 5, 1, 4);
    scenario.probes = 0;
    let began = now();
    let (relay, swarm) = scenario.join(binary)?;
    let joined_s = (now() - began).as_secs_f64();
    // Rosters, and the first reports of everybody.
    pause(SETTLED)?;
    let (before, counted_at) = (relay.figures()?, now());
    pause(extent.time.min(Duration::from_secs(8)))?;
    let (after, took) = (relay.figures()?, (now() - counted_at).as_secs_f64());
    swarm.stop()?;
    let people = extent.idle as f64;
    let connected = before.get("relay_sessions_connected_total");
    let more = people - base as f64;
    let memory_kb = (after.resident_bytes() - base_bytes) / more / 1000.0;
    let idle_us = (after.cpu_s() - before.cpu_s()) / took / people * 1e6;
    let rate = |family: &str| (after.get(family) - before.get(family)) / took;
    let per_core_s = connected / before.cpu_s();
    let row = "joins per second of the shard's CPU, DTLS 1.3";
    report.row(row, per_core_s, "1/s", Aim::AtLeast(JOINS_AIM));
    let row = "joins per second, generator beside it";
    report.row(row, people / joined_s, "1/s", Aim::None);
    let row = "memory per idle participant";
    report.row(row, memory_kb, "kB", Aim::AtMost(MEMORY_AIM_KB));
    let row = "CPU per idle participant-second";
    report.row(row, idle_us, "us", Aim::AtMost(IDLE_AIM_US));
    let received = rate("relay_datagrams_received_total") / people;
    let row = "datagrams received per idle participant-second";
    report.row(row, received, "1/s", Aim::None);
    let row = "wake-ups per second, everybody idle";
    report.row(row, rate("relay_loop_turn_seconds_count"), "1/s", Aim::None);
    let left = people - after.get("relay_participants");
    (left == 0.0)
        .then_some(())
        .with_context(|| format!("{left} idle participants were lost"))
}
