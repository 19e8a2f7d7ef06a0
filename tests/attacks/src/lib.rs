//! Attacks of one player with a good ticket on a relay that runs as a process of its own, and what
//! bystanders notice: their voice's latency and loss, and the CPU time that the shard took.

mod attacker;
mod bystanders;
mod guests;
mod scale;

pub use attacker::{Attacker, Heard};
pub use bystanders::{Bystanders, Noticed};
pub use guests::{Guest, Guests, Kind, first_check};
pub use scale::Scale;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// The relay that is attacked: the file that `ATTACKED_RELAY` names, such as one of an older
/// release, or the one that was built with these tests.
///
/// # Errors
/// When there is none.
#[expect(clippy::disallowed_methods, reason = "only its folder is looked at")]
pub fn relay_program() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("ATTACKED_RELAY") {
        return Ok(named.into());
    }
    let tests = std::env::current_exe()?;
    let built = tests.parent().and_then(|deps| deps.parent());
    let relay = built.context("a folder of what was built")?.join("relay");
    if !relay.is_file() {
        bail!("{} is missing: cargo build -p relay", relay.display());
    }
    Ok(relay)
}
