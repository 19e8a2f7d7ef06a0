//! The program `terraform`, as the parts of the step run it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use super::provider::StandIn;
use super::report::Report;
use crate::check::count::Count;
use crate::process;

/// The program, and the provider or what stands for it.
pub(super) struct Terraform {
    program: PathBuf,
    plugins: Option<PathBuf>,
    stand_in: Option<StandIn>,
}

impl Terraform {
    pub(super) fn of_plugins(program: PathBuf, plugins: PathBuf) -> Self {
        Self {
            program,
            plugins: Some(plugins),
            stand_in: None,
        }
    }

    pub(super) fn of_schema(program: PathBuf, stand_in: StandIn) -> Self {
        Self {
            program,
            plugins: None,
            stand_in: Some(stand_in),
        }
    }

    pub(super) fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command
            .current_dir(folder)
            .env("TF_IN_AUTOMATION", "1")
            // A configuration file of the machine could look for the provider elsewhere.
            .env_remove("TF_CLI_CONFIG_FILE")
            .env("CHECKPOINT_DISABLE", "1");
        if let Some(stand_in) = &self.stand_in {
            command.env("TF_REATTACH_PROVIDERS", stand_in.reattach.trim());
        }
        command
    }

    /// Prepares a folder, with further arguments of `init`.
    pub(super) fn init(&self, command: &mut Command, args: &[&str]) -> Result<()> {
        command
            .args(["init", "-input=false", "-no-color"])
            .args(args);
        if let Some(plugins) = &self.plugins {
            command.arg(format!("-plugin-dir={}", plugins.display()));
        }
        process::run_quietly(command)
    }

    /// Validates a module and runs its tests.
    pub(super) fn test(&self, module: &Path, report: &mut Report) -> Result<()> {
        self.init(&mut self.command(module), &["-backend=false"])?;
        // Tests validate it before they run, with the providers that they hand on.
        let mut command = self.command(module);
        let (said, ok) = process::said(command.args(["test", "-no-color"]))?;
        let found = of_terraform(&said);
        let name = module.file_name().unwrap_or_default().to_string_lossy();
        report.ran(&format!("module {name}:\n{}", said.trim()), found);
        if !ok || found == Count::default() {
            bail!("module {name}: `terraform test` failed or ran nothing");
        }
        Ok(())
    }
}

/// Reads `Success! 3 passed, 0 failed.`, after which it may say how many were skipped.
fn of_terraform(output: &str) -> Count {
    let total = |line: &str| {
        let (_, total) = line.split_once("! ")?;
        let parts: Vec<&str> = total.trim_end_matches('.').splitn(3, ", ").collect();
        Some(parts.get(..2)?.join(", "))
    };
    let totals: Vec<String> = output.lines().filter_map(total).collect();
    Count::of_last_line(&totals.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_terraform_counts_is_read() {
        let count = of_terraform("x... pass\n\nSuccess! 3 passed, 1 failed.\n");
        assert_eq!((count.passed, count.failed), (3, 1));
        let count = of_terraform("\nFailure! 3 passed, 2 failed, 4 skipped.\n");
        assert_eq!((count.passed, count.failed), (3, 2));
    }
}
