//! `cargo xtask bench`: builds everything a benchmark needs, then runs it.

use std::process::Command;

use anyhow::Result;

use crate::cli::Parsed;
use crate::workspace::Workspace;
use crate::{components, install, process};

/// Runs the benchmark that was named; it prints its figures and writes target/bench/NAME.json.
pub(crate) fn run(workspace: &Workspace, parsed: &Parsed) -> Result<()> {
    let name = parsed
        .word
        .as_deref()
        .expect("the table says that a word is needed");
    let binary = format!("bench-{name}");
    install::cmake(workspace)?;
    println!("[1/3] components");
    components::build(workspace)?;
    println!("[2/3] {binary}");
    process::run(&mut workspace.cargo(&["build", "--package", "e2e", "--bin", &binary]))?;
    println!("[3/3] measuring");
    process::run(Command::new(workspace.binary(&binary)).current_dir(&workspace.root))
}
