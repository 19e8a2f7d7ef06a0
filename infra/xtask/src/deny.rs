//! `cargo xtask deny`: licences, banned crates and sources.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::process;

/// Runs cargo-deny with deny.toml.
pub(crate) fn run(install: bool) -> Result<()> {
    let is_here = Command::new("cargo-deny")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !is_here {
        if !install {
            bail!("cargo-deny is not installed; `cargo xtask deny --install` installs it");
        }
        println!("installing: cargo-deny (cargo install cargo-deny --locked)");
        process::run(Command::new("cargo").args(["install", "cargo-deny", "--locked"]))?;
    }
    process::run(Command::new("cargo").args(["deny", "check", "licenses", "bans", "sources"]))
}
