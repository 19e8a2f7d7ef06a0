//! `cargo xtask sim`: builds the simulation and lets it search.

use std::process::Command;

use anyhow::Result;

use crate::cli::Parsed;
use crate::workspace::Workspace;
use crate::{install, process};

/// Searches `--seeds` seeds from `--from` on; fails when one of them breaks an invariant.
pub(crate) fn run(workspace: &Workspace, parsed: &Parsed) -> Result<()> {
    install::cmake(workspace)?;
    process::run(&mut workspace.build_binaries(&["sim"]))?;
    let mut search = Command::new(workspace.binary("sim"));
    search.args(["--seeds", parsed.get("--seeds").unwrap_or("200")]);
    search.args(["--from", parsed.get("--from").unwrap_or("0")]);
    process::run(&mut search)
}
