//! `cargo xtask flexmatch`: a FlexMatch-style rule set as one of ours.

use std::process::Command;

use anyhow::Result;

use crate::cli::Parsed;
use crate::process;
use crate::workspace::Workspace;

/// Builds the reader, which knows the rules, and shows what it says.
pub(crate) fn run(workspace: &Workspace, parsed: &Parsed) -> Result<()> {
    let mut build = workspace.build_binaries(&["flexmatch"]);
    process::run(build.arg("--quiet"))?;
    let mut reader = Command::new(workspace.binary("flexmatch"));
    for (flag, default) in [
        ("--file", ""),
        ("--mode", ""),
        ("--version", "1"),
        ("--max-wait", ""),
    ] {
        reader.arg(parsed.get(flag).unwrap_or(default));
    }
    process::run(&mut reader)
}
