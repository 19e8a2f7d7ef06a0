//! `cargo xtask flexmatch`: a FlexMatch-style rule set as one of ours.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::process;
use crate::workspace::Workspace;

/// Which rule set, and what FlexMatch does not write into one.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// The FlexMatch rule set
    #[arg(long, value_name = "PATH")]
    file: PathBuf,

    /// Name of the mode
    #[arg(long, value_name = "NAME")]
    mode: String,

    /// After which soft rules do not apply any more
    #[arg(long, value_name = "SECONDS")]
    max_wait: u32,

    /// Version of the new rule set
    #[arg(long, value_name = "N", default_value_t = 1)]
    version: u32,
}

/// Builds the reader, which knows the rules, and shows what it says.
pub(crate) fn run(workspace: &Workspace, flags: &Flags) -> Result<()> {
    let mut build = workspace.build_binaries(&["flexmatch"]);
    process::run(build.arg("--quiet"))?;
    let mut reader = Command::new(workspace.binary("flexmatch"));
    reader.arg(&flags.file).arg(&flags.mode);
    reader.args([&flags.version, &flags.max_wait].map(u32::to_string));
    process::run(&mut reader)
}
