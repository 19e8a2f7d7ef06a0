//! Loads a relay with a swarm, through the edge or on a relay of its own; prints a progress line
//! a second and in the end a report as JSON.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool talks on standard output and error"
)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use hdrhistogram::Histogram;
use loadgen::edge::Edge;
use loadgen::now;
use loadgen::peer::{Common, Entry, Voice};
use loadgen::relay_process::{self, RelayProcess};
use loadgen::scenario::Scenario;
use loadgen::swarm::{Counts, Phase, Swarm, TalkPattern, pause};
use serde_json::{Value, json};

const DETAIL: &str = "\
Without --edge it starts the relay next to itself and seals the tickets; with it, every peer joins
by an HTTP request with a token that FILE signs (target/dev/token-signing.key of `cargo xtask up`).
Speakers hear nobody. Probes are listeners that decrypt what they hear and measure its latency.";

/// Percentiles of the report.
const PERCENTILES: [f64; 6] = [50.0, 90.0, 99.0, 99.9, 99.99, 100.0];
/// Talking before the measurement.
const WARM_UP: Duration = Duration::from_secs(1);
/// Wait for what is under way after the last packet.
const AFTERMATH: Duration = Duration::from_secs(1);
/// Loads a relay with a swarm
#[derive(Debug, Parser)]
#[command(after_help = DETAIL)]
struct Options {
    #[arg(long, value_name = "N", default_value_t = 1, help = "Rooms")]
    rooms: usize,

    #[arg(
        long,
        value_name = "N",
        default_value_t = 2,
        help = "Speakers of each room"
    )]
    speakers: usize,

    #[arg(
        long,
        value_name = "N",
        default_value_t = 8,
        help = "Listeners of each room"
    )]
    listeners: usize,

    #[arg(
        long,
        value_name = "N",
        default_value_t = 2,
        help = "Probes of each room"
    )]
    probes: usize,

    /// Time of a packet: one of those of Opus that WebRTC uses
    #[arg(long, value_name = "MS", default_value = "20")]
    #[arg(value_parser = PossibleValuesParser::new(["10", "20", "40", "60"]).map(milliseconds))]
    packet_ms: u16,

    /// Packets that are lost on their way to the relay
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = permille)]
    loss: u16,

    /// How long a speaker talks at a time
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    talk: Duration,

    /// How long he is silent then; 0 for never
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    pause: Duration,

    #[arg(
        long,
        value_name = "N",
        default_value_t = 10,
        help = "Seconds that are measured"
    )]
    seconds: u64,

    /// Join through this edge
    #[arg(long, value_name = "URL", requires = "signing_key")]
    edge: Option<String>,

    /// With --edge: signs the tokens
    #[arg(long, value_name = "FILE", requires = "edge")]
    signing_key: Option<PathBuf>,

    /// With --edge: id of that key
    #[arg(long, value_name = "ID", default_value = "dev")]
    key_id: String,

    /// Write the report there too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Options {
    fn scenario(&self) -> Scenario {
        Scenario {
            name: "loadgen".to_owned(),
            rooms: self.rooms,
            speakers: self.speakers,
            listeners: self.listeners,
            probes: self.probes,
            deafened: false,
            pattern: TalkPattern {
                talk: self.talk,
                pause: self.pause,
            },
            voice: Voice {
                packet_ms: self.packet_ms,
                loss_permille: self.loss,
            },
        }
    }
}

fn milliseconds(text: String) -> u16 {
    text.parse().expect("it is one of the possible values")
}

fn permille(text: &str) -> Result<u16, &'static str> {
    match text.parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok((percent * 10.0).round() as u16),
        _ => Err("use 0 to 100"),
    }
}

fn seconds(text: &str) -> Result<Duration, &'static str> {
    let seconds = text.parse().ok();
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.ok_or("use a number of seconds")
}

fn run(options: &Options) -> Result<()> {
    let (relay, entry) = match options.edge.as_ref().zip(options.signing_key.as_ref()) {
        Some((url, key)) => (
            None,
            Entry::Edge(Box::new(Edge::new(url, key, &options.key_id)?)),
        ),
        None => {
            let relay = RelayProcess::start(&relay_process::program()?)?;
            let entry = relay.entry();
            (Some(relay), entry)
        }
    };
    let scenario = options.scenario();
    let began = now();
    let common = Common::new(entry, scenario.voice, began)?;
    let swarm = Swarm::start(&common, scenario.roles()?, scenario.pattern)?;
    swarm.wait_joined(progress)?;
    let join_s = (now() - began).as_secs_f64();
    swarm.set_phase(Phase::Talk);
    pause(WARM_UP)?;
    swarm.set_phase(Phase::Measure);
    for _ in 0..options.seconds {
        pause(Duration::from_secs(1))?;
        progress(swarm.counts());
    }
    swarm.set_phase(Phase::Quiet);
    pause(AFTERMATH)?;
    let counts = swarm.counts();
    let dropped = relay.as_ref().map(|relay| relay.figures()).transpose()?;
    let latency = swarm.stop()?;
    let expected = counts.sent * scenario.listeners as u64;
    let people = scenario.rooms * (scenario.speakers + scenario.listeners);
    let report = json!({
        "rooms": scenario.rooms,
        "speakers": scenario.speakers,
        "listeners": scenario.listeners,
        "packet_ms": scenario.voice.packet_ms,
        "uplink_loss_percent": f64::from(scenario.voice.loss_permille) / 10.0,
        "through_edge": options.edge.is_some(),
        "joined": { "people": people, "seconds": join_s, "per_s": people as f64 / join_s },
        "sent": counts.sent,
        "received": counts.received,
        "lost": expected.saturating_sub(counts.received),
        "dropped_by_relay": dropped.map(|figures| figures.dropped()),
        "voice_latency_ms": percentiles(&latency.voice),
        "generator_late_ms": percentiles(&latency.generator),
    });
    let text = format!("{report:#}\n");
    match &options.json {
        Some(file) => std::fs::write(file, text).with_context(|| format!("{}", file.display())),
        None => {
            print!("{text}");
            Ok(())
        }
    }
}

fn progress(counts: Counts) {
    let Counts {
        connected,
        welcomed,
        sent,
        received,
        ..
    } = counts;
    eprintln!("{connected} connected, {welcomed} welcome, {sent} sent, {received} received");
}

/// Percentiles of a histogram of nanoseconds, in milliseconds.
fn percentiles(histogram: &Histogram<u64>) -> Value {
    let at = |percentile: f64| {
        let ms = histogram.value_at_percentile(percentile) as f64 / 1e6;
        (format!("p{percentile}"), json!(ms))
    };
    let mut all: serde_json::Map<String, Value> = PERCENTILES.into_iter().map(at).collect();
    all.insert("count".to_owned(), json!(histogram.len()));
    Value::Object(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, clap::Error> {
        Options::try_parse_from(["loadgen"].into_iter().chain(line.split_whitespace()))
    }

    #[test]
    fn flags_say_what_is_loaded() {
        let line = "--rooms 3 --speakers 1 --listeners 4 --packet-ms 60 --loss 2.5 --talk 1.5 \
                    --pause 3 --seconds 2";
        let options = parsed(line).unwrap();
        let scenario = options.scenario();
        assert_eq!((scenario.rooms, scenario.speakers), (3, 1));
        assert_eq!((scenario.listeners, scenario.voice.packet_ms), (4, 60));
        assert_eq!(scenario.voice.loss_permille, 25);
        assert_eq!(scenario.pattern.talk, Duration::from_millis(1500));
        assert_eq!(options.seconds, 2);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in [
            "--packet-ms 30",
            "--rooms many",
            "--loss 101",
            "--talk -1",
            "--edge http://x",
            "--edge http://x --signing-key",
            "--hurry 1",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
