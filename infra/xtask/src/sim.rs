//! `cargo xtask sim`: builds the simulation and lets it search.

use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::workspace::Workspace;
use crate::{install, process};

/// Which seeds.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// How many seeds
    #[arg(long, value_name = "N", default_value_t = 200)]
    seeds: u64,

    /// The first one
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    from: u64,

    /// The whole service instead of one shard
    #[arg(long)]
    fleet: bool,

    /// With all that the service is to withstand, and not what it does today
    #[arg(long, requires = "fleet")]
    aim: bool,
}

/// Searches `--seeds` seeds from `--from` on; fails when one of them breaks an invariant.
pub(crate) fn run(workspace: &Workspace, flags: &Flags) -> Result<()> {
    install::cmake(workspace)?;
    process::run(&mut workspace.build_binaries(&["sim"]))?;
    let mut search = Command::new(workspace.binary("sim"));
    search.args(["--seeds", &flags.seeds.to_string()]);
    search.args(["--from", &flags.from.to_string()]);
    search.args(flags.fleet.then_some("--fleet"));
    search.args(flags.aim.then_some("--aim"));
    process::run(&mut search)
}
