//! `cargo xtask drill`: builds what a drill needs, and runs it.

use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::workspace::Workspace;
use crate::{components, install, process};

/// What the drill itself is told.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// For the drill; `cargo xtask drill -- --help` explains them
    #[arg(
        value_name = "DRILL'S FLAGS",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    rest: Vec<String>,
}

impl Flags {
    /// Whether the service runs elsewhere, so that none is built here, or only help is wanted.
    fn needs_no_service(&self) -> bool {
        let says = |flag: &&String| {
            let name = flag.split_once('=').map_or(flag.as_str(), |(name, _)| name);
            ["--edge", "--help", "-h"].contains(&name)
        };
        self.rest.iter().any(|flag| says(&flag))
    }
}

/// Builds the drill, and the service that it starts where it is not told of one.
pub(crate) fn run(workspace: &Workspace, flags: &Flags) -> Result<()> {
    install::cmake(workspace)?;
    let mut binaries = vec!["drill"];
    if !flags.needs_no_service() {
        components::build(workspace)?;
        binaries.extend(["edge-host", "relay"]);
    }
    process::run(&mut workspace.build_binaries(&binaries))?;
    let mut drill = Command::new(workspace.binary("drill"));
    process::run(drill.args(&flags.rest).current_dir(&workspace.root))
}

#[cfg(test)]
mod tests {
    use crate::cli::Command;
    use crate::cli::tests::command;

    fn needs_no_service(line: &str) -> bool {
        let Ok(Command::Drill(flags)) = command(line) else {
            panic!("{line}");
        };
        flags.needs_no_service()
    }

    #[test]
    fn flags_go_to_the_drill_and_a_service_elsewhere_is_not_built() {
        assert!(!needs_no_service("drill"));
        assert!(!needs_no_service("drill kill --runs 50"));
        assert!(needs_no_service("drill kill --edge https://x.example"));
        assert!(needs_no_service("drill --edge=https://x.example"));
        assert!(needs_no_service("drill -- --help"));
    }
}
