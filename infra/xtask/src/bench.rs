//! `cargo xtask bench`: builds everything a benchmark needs, then runs it.

use std::process::Command;

use anyhow::Result;
use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::workspace::Workspace;
use crate::{components, install, lambda, process};

/// A benchmark: the binary `bench-NAME`.
struct Bench {
    name: &'static str,
    /// Other binaries that it starts.
    starts: &'static [&'static str],
    /// Whether it serves the components.
    serves: bool,
}

const BENCHES: [Bench; 11] = [
    Bench {
        name: "join",
        starts: &[],
        serves: true,
    },
    Bench {
        name: "chat",
        starts: &[],
        serves: true,
    },
    Bench {
        name: "relay",
        starts: &["relay"],
        serves: false,
    },
    Bench {
        name: "queue",
        starts: &[],
        serves: true,
    },
    Bench {
        name: "edge",
        starts: &["edge-host"],
        serves: true,
    },
    Bench {
        name: "polls",
        starts: &["edge-host"],
        serves: true,
    },
    Bench {
        name: "counts",
        starts: &["edge-host"],
        serves: true,
    },
    Bench {
        name: "finops",
        starts: &[],
        serves: false,
    },
    Bench {
        name: "store",
        starts: &[],
        serves: false,
    },
    Bench {
        name: "quality",
        starts: &[],
        serves: false,
    },
    Bench {
        name: "match",
        starts: &[],
        serves: false,
    },
];

/// Which benchmark.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// What; see below
    #[arg(
        value_parser = PossibleValuesParser::new(BENCHES.map(|bench| bench.name)),
        hide_possible_values = true
    )]
    name: String,

    /// relay, chat, queue, polls, match, quality: under a minute, less exact
    #[arg(long)]
    quick: bool,
}

/// Runs the benchmark that was named; it prints its figures and writes target/bench/NAME.json.
pub(crate) fn run(workspace: &Workspace, flags: &Flags) -> Result<()> {
    let bench = BENCHES
        .iter()
        .find(|bench| bench.name == flags.name)
        .expect("the flag takes these names");
    let binary = format!("bench-{}", bench.name);
    install::cmake(workspace)?;
    if bench.serves {
        println!("components");
        components::build(workspace)?;
    }
    if bench.name == "edge" {
        println!("functions for Lambda");
        lambda::build_to_measure(workspace)?;
    }
    println!("{binary}");
    let binaries = [&[binary.as_str()], bench.starts].concat();
    process::run(&mut workspace.build_binaries(&binaries))?;
    println!("measuring");
    let mut command = Command::new(workspace.binary(&binary));
    if flags.quick {
        command.arg("--quick");
    }
    process::run(command.current_dir(&workspace.root))
}
