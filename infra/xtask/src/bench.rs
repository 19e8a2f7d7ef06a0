//! `cargo xtask bench`: builds everything a benchmark needs, then runs it.

use std::process::Command;

use anyhow::Result;

use crate::cli::Parsed;
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

const BENCHES: [Bench; 8] = [
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
        name: "match",
        starts: &[],
        serves: false,
    },
];

/// Runs the benchmark that was named; it prints its figures and writes target/bench/NAME.json.
pub(crate) fn run(workspace: &Workspace, parsed: &Parsed) -> Result<()> {
    let bench = BENCHES
        .iter()
        .find(|bench| Some(bench.name) == parsed.word.as_deref())
        .expect("the command line knows the same names");
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
    if parsed.has("--quick") {
        command.arg("--quick");
    }
    process::run(command.current_dir(&workspace.root))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    #[test]
    fn the_command_line_knows_the_same_benchmarks() {
        for bench in &BENCHES {
            let line = ["bench".to_owned(), bench.name.to_owned()];
            assert!(cli::parse(&line).is_ok(), "{}", bench.name);
        }
    }
}
