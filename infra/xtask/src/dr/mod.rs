//! `cargo xtask dr`: brings back what was lost. Each has a page, infra/ops/dr/NAME.md.

mod erasures;
mod region;
mod relay_key;
mod restore;
mod settings;
mod state;
mod times;

use anyhow::Result;
use clap::Subcommand;

use crate::workspace::Workspace;

/// What was lost.
#[derive(Debug, Subcommand)]
pub(crate) enum Loss {
    /// Restore the table to a moment, as a new one with the same settings
    Restore(restore::Flags),
    /// Erase again whom a restored table knows although he was erased
    Erasures(erasures::Flags),
    /// Give a lost region's homes to the others
    Region(region::Flags),
    /// Keep a copy of Terraform's states, or bring a lost bucket back from it
    State(state::Flags),
    /// Refuse the keys of a relay, everywhere and at once
    RelayKey(relay_key::Flags),
}

/// Runs it.
pub(crate) fn run(workspace: &Workspace, loss: &Loss) -> Result<()> {
    match loss {
        Loss::Restore(flags) => restore::run(flags),
        Loss::Erasures(flags) => erasures::run(workspace, flags),
        Loss::Region(flags) => region::run(workspace, flags),
        Loss::State(flags) => state::run(flags),
        Loss::RelayKey(flags) => relay_key::run(workspace, flags),
    }
}
