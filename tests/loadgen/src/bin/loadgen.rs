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

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use loadgen::edge::Edge;
use loadgen::now;
use loadgen::peer::{Common, Entry, Voice};
use loadgen::relay_process::{self, RelayProcess};
use loadgen::scenario::Scenario;
use loadgen::swarm::{Counts, Phase, Swarm, TalkPattern, pause};
use serde_json::{Value, json};

const USAGE: &str = "\
usage: loadgen [--rooms 1] [--speakers 2] [--listeners 8] [--probes 2]
               [--packet-ms 20] [--loss PERCENT] [--talk S --pause S] [--seconds 10]
               [--edge http://HOST:PORT --signing-key FILE [--key-id dev]] [--json FILE]

Without --edge it starts the relay next to itself and seals the tickets; with it, every peer joins
by an HTTP request with a token that FILE signs (target/dev/token-signing.key of `cargo xtask up`).
Speakers hear nobody. Probes are listeners that decrypt what they hear and measure its latency.";

/// Percentiles of the report.
const PERCENTILES: [f64; 6] = [50.0, 90.0, 99.0, 99.9, 99.99, 100.0];
/// Talking before the measurement.
const WARM_UP: Duration = Duration::from_secs(1);
/// Wait for what is under way after the last packet.
const AFTERMATH: Duration = Duration::from_secs(1);
/// Packet times of Opus that WebRTC uses, milliseconds.
const PACKET_TIMES_MS: [u16; 4] = [10, 20, 40, 60];

struct Options {
    scenario: Scenario,
    seconds: u64,
    edge: Option<(String, PathBuf)>,
    key_id: String,
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = parse(&args).and_then(|options| run(&options));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn parse(args: &[String]) -> Result<Options> {
    let mut options = Options {
        scenario: Scenario {
            name: "loadgen".to_owned(),
            rooms: 1,
            speakers: 2,
            listeners: 8,
            probes: 2,
            all_greet: true,
            deafened: false,
            pattern: TalkPattern::ENDLESS,
            voice: Voice::default(),
        },
        seconds: 10,
        edge: None,
        key_id: "dev".to_owned(),
        json: None,
    };
    let (mut edge, mut key) = (None, None);
    for pair in args.chunks(2) {
        let [name, value] = pair else { bail!(USAGE) };
        let scenario = &mut options.scenario;
        match name.as_str() {
            "--rooms" => scenario.rooms = number(name, value)?,
            "--speakers" => scenario.speakers = number(name, value)?,
            "--listeners" => scenario.listeners = number(name, value)?,
            "--probes" => scenario.probes = number(name, value)?,
            "--packet-ms" => scenario.voice.packet_ms = number(name, value)?,
            "--loss" => {
                let percent: f64 = number(name, value)?;
                scenario.voice.loss_permille = (percent.clamp(0.0, 100.0) * 10.0).round() as u16;
            }
            "--talk" => scenario.pattern.talk = seconds(name, value)?,
            "--pause" => scenario.pattern.pause = seconds(name, value)?,
            "--seconds" => options.seconds = number(name, value)?,
            "--edge" => edge = Some(value.clone()),
            "--signing-key" => key = Some(PathBuf::from(value)),
            "--key-id" => options.key_id = value.clone(),
            "--json" => options.json = Some(PathBuf::from(value)),
            other => bail!("there is no flag `{other}`\n\n{USAGE}"),
        }
    }
    if !PACKET_TIMES_MS.contains(&options.scenario.voice.packet_ms) {
        bail!("--packet-ms takes one of {PACKET_TIMES_MS:?}");
    }
    options.edge = match (edge, key) {
        (Some(edge), Some(key)) => Some((edge, key)),
        (None, None) => None,
        _ => bail!("--edge and --signing-key go together\n\n{USAGE}"),
    };
    Ok(options)
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T> {
    let number = value.parse().ok();
    number.with_context(|| format!("{name} takes a number, not `{value}`"))
}

fn seconds(name: &str, value: &str) -> Result<Duration> {
    let seconds = number(name, value)?;
    Duration::try_from_secs_f64(seconds).with_context(|| format!("{name} {value} is no time"))
}

fn run(options: &Options) -> Result<()> {
    let (relay, entry) = match &options.edge {
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
    let scenario = &options.scenario;
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

    fn parsed(line: &str) -> Result<Options> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words)
    }

    #[test]
    fn flags_say_what_is_loaded() {
        let line = "--rooms 3 --speakers 1 --listeners 4 --packet-ms 60 --loss 2.5 --talk 1.5 \
                    --pause 3 --seconds 2";
        let options = parsed(line).unwrap();
        let scenario = &options.scenario;
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
            "--talk -1",
            "--edge http://x",
            "--edge http://x --signing-key",
            "--hurry 1",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
