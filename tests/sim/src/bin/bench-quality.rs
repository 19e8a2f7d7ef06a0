//! `cargo xtask bench quality`: how voice is rated over networks that lose, with a sender who
//! adapts and one who does not.

use anyhow::Result;
use bench_report::{Aim, Report};
use clap::Parser;
use sim::speech::{Case, Outcome, Way, rate};

/// Runs of each case, of which the mean counts.
const SEEDS: u64 = 5;
/// What a sender who adapts must reach, by loss in percent: from 4.0 on users are satisfied, from
/// 3.6 on all but some (ITU-T G.107 annex B).
const LEAST: [(f64, f64); 5] = [(0.0, 4.2), (1.0, 4.1), (5.0, 4.0), (10.0, 3.8), (20.0, 3.6)];

/// Rates voice in the simulated network
#[derive(Parser)]
struct Flags {
    /// One run of each case
    #[arg(long)]
    quick: bool,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    let seeds = if flags.quick { 1 } else { SEEDS };
    let mut report = Report::default();
    for (way, burst, name) in [
        (Way::Up, 1.0, "to the relay"),
        (Way::Down, 1.0, "to the listener"),
        (Way::Up, 2.0, "to the relay, bursts of 2"),
    ] {
        for (percent, least) in LEAST {
            if percent == 0.0 && burst > 1.0 {
                continue;
            }
            let case = |adaptive| Case {
                way,
                lost: percent as f32 / 100.0,
                burst,
                adaptive,
            };
            let plain = mean(case(false), seeds);
            let adapted = mean(case(true), seeds);
            let title = format!("{percent} % lost {name}");
            report.row(format!("{title}: plain"), plain.mos, "MOS", Aim::None);
            // Two frames are not enough against bursts: better than nothing is what there is.
            let least = if burst > 1.0 { plain.mos } else { least };
            let aim = Aim::AtLeast((least * 100.0).round() / 100.0);
            report.row(format!("{title}: adapted"), adapted.mos, "MOS", aim);
            for (what, outcome) in [("plain", plain), ("adapted", adapted)] {
                let named = |figure| format!("  {what}: {figure}");
                let percent = outcome.concealed * 100.0;
                report.row(named("concealed"), percent, "%", Aim::None);
                let bits = outcome.bytes_per_s * 8.0 / 1000.0;
                report.row(named("to the listener"), bits, "kbit/s", Aim::None);
            }
        }
    }
    report.finish("quality")
}

/// The mean of a case over its seeds; settings are those of the last.
fn mean(case: Case, seeds: u64) -> Outcome {
    let runs: Vec<Outcome> = (0..seeds).map(|seed| rate(case, seed)).collect();
    let mean = |of: fn(&Outcome) -> f64| runs.iter().map(of).sum::<f64>() / runs.len() as f64;
    Outcome {
        rating: mean(|run| run.rating),
        mos: mean(|run| run.mos),
        lost: mean(|run| run.lost),
        concealed: mean(|run| run.concealed),
        bytes_per_s: mean(|run| run.bytes_per_s),
        settings: runs[runs.len() - 1].settings,
    }
}
