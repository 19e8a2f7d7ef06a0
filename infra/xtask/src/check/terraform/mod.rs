//! The step `terraform`: modules are tested with mocks, and dev is applied on the emulator.

mod emulator;
mod policies;
mod provider;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::count::Count;
use crate::workspace::Workspace;
use crate::{install, process};
use emulator::{BUCKET, Emulator};
use policies::{Plan, RULES};

/// The plan of dev as JSON, for other steps.
pub(crate) const PLAN: &str = "target/bench/plan.json";
/// Files outside terraform/ that modules read.
const READ_BY_MODULES: [&str; 2] = ["functions/permissions.json", "functions/wire/openapi.json"];
/// The version of checkov and what it needs.
const CHECKOV: &str = "terraform/requirements.txt";
/// Addresses that the emulator never settles.
const ARTEFACTS: &str = "terraform/artefacts.txt";
/// Region and account of the emulator, which checks neither.
const REGION: &str = "us-east-1";
const ACCOUNT: &str = "123456789012";

pub(super) fn run(workspace: &Workspace, count: &mut Count) -> Result<()> {
    note(count, "each route has a function", untold(workspace)?);
    let Some(program) = install::find_program(&["terraform"]) else {
        println!("left out: everything else, since terraform is not installed (1.11 or newer)");
        return Ok(());
    };
    let folder = workspace.root.join("terraform");
    let mut fmt = Command::new(&program);
    process::run(
        fmt.args(["fmt", "-check", "-recursive", "-diff"])
            .arg(&folder),
    )?;
    let Some(plugins) = provider::find() else {
        println!(
            "left out: everything else, since the provider hashicorp/aws 5.100.0 is in no plugin \
             folder here; TF_PLUGIN_DIR may name one"
        );
        return Ok(());
    };
    let scratch = copy(workspace)?;
    let terraform = Terraform { program, plugins };
    for module in folders(&scratch.join("terraform/modules"))? {
        terraform.test(&module, count)?;
    }
    checkov(workspace, &scratch, count)?;
    let emulator = Emulator::start(workspace, &scratch)?;
    apply_dev(workspace, &terraform, &scratch, &emulator, count)
}

/// Counts what was checked, and prints what is wrong with it.
fn note(count: &mut Count, what: &str, faults: Vec<String>) {
    println!(
        "{} {what}",
        if faults.is_empty() {
            "ok    "
        } else {
            "FAILED"
        }
    );
    for fault in &faults {
        println!("  {fault}");
    }
    count.add(Count {
        passed: u32::from(faults.is_empty()),
        failed: u32::from(!faults.is_empty()),
    });
}

fn read_json(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{}", path.display()))
}

/// Functions of which only one of permissions.json and the OpenAPI document knows.
fn untold(workspace: &Workspace) -> Result<Vec<String>> {
    let [permissions, document] = READ_BY_MODULES.map(|path| read_json(&workspace.root.join(path)));
    let (permissions, document) = (permissions?, document?);
    let paths = document["paths"].as_object().into_iter().flatten();
    let operations = paths.flat_map(|(_, path)| path.as_object().into_iter().flatten());
    let tagged = operations.filter_map(|(_, operation)| operation["tags"][0].as_str());
    let tagged: BTreeSet<&str> = tagged.collect();
    let listed = permissions.as_object().into_iter().flatten();
    let listed: BTreeSet<&str> = listed.map(|(name, _)| name.as_str()).collect();
    let odd = tagged.symmetric_difference(&listed);
    Ok(odd
        .map(|name| format!("{name}: either without permissions or without routes"))
        .collect())
}

/// A copy in the target folder, so that nothing that terraform writes is among the sources.
fn copy(workspace: &Workspace) -> Result<PathBuf> {
    let scratch = workspace.target.join("terraform");
    if scratch.exists() {
        fs::remove_dir_all(&scratch).with_context(|| format!("{}", scratch.display()))?;
    }
    copy_folder(
        &workspace.root.join("terraform"),
        &scratch.join("terraform"),
    )?;
    for path in READ_BY_MODULES {
        let to = scratch.join(path);
        fs::create_dir_all(to.parent().expect("it is in a folder"))?;
        fs::copy(workspace.root.join(path), to).context(path)?;
    }
    Ok(scratch)
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("{}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("{}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if !entry.file_type()?.is_dir() {
            fs::copy(entry.path(), target)?;
        } else if entry.file_name() != ".terraform" {
            copy_folder(&entry.path(), &target)?;
        }
    }
    Ok(())
}

fn folders(root: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(root).with_context(|| format!("{}", root.display()))?;
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    Ok(folders)
}

/// Findings of checkov that no comment in the code justifies.
fn checkov(workspace: &Workspace, scratch: &Path, count: &mut Count) -> Result<()> {
    let python = install::python(workspace, "venv-checkov", &workspace.root.join(CHECKOV))?;
    let mut command = Command::new(python.with_file_name("checkov"));
    command
        .args([
            "--framework",
            "terraform",
            "--skip-download",
            "--quiet",
            "--compact",
        ])
        .arg("--directory")
        .arg(scratch.join("terraform"));
    let (output, ok) = process::said(&mut command)?;
    let faults = if ok { Vec::new() } else { vec![output] };
    note(count, "checkov finds nothing that is not justified", faults);
    Ok(())
}

/// Plans, judges, applies and plans dev again.
fn apply_dev(
    workspace: &Workspace,
    terraform: &Terraform,
    scratch: &Path,
    emulator: &Emulator,
    count: &mut Count,
) -> Result<()> {
    let dev = Root {
        terraform,
        folder: scratch.join("terraform/environments/dev"),
        url: &emulator.url,
        packages: packages(workspace, scratch)?,
    };
    let backend = |value: String| format!("-backend-config={value}");
    dev.run(&[
        "init",
        "-input=false",
        &format!("-plugin-dir={}", terraform.plugins.display()),
        &backend(format!("bucket={BUCKET}")),
        &backend(format!("region={REGION}")),
        &backend("use_path_style=true".to_owned()),
    ])?;
    let plan = dev.plan("first")?;
    // The step `finops` prices it.
    let kept = workspace.root.join(PLAN);
    fs::create_dir_all(kept.parent().expect("it is in a folder"))?;
    fs::write(&kept, plan.to_string()).with_context(|| format!("{}", kept.display()))?;
    let permissions = read_json(&workspace.root.join(READ_BY_MODULES[0]))?;
    let judged = Plan::new(&plan, &permissions);
    for (name, rule) in RULES {
        note(count, name, rule(&judged));
    }
    dev.run(&["apply", "-input=false", "first"])?;
    note(count, "dev is applied on the emulator", Vec::new());
    let artefacts = workspace.root.join(ARTEFACTS);
    let artefacts =
        fs::read_to_string(&artefacts).with_context(|| format!("{}", artefacts.display()))?;
    let unsettled = policies::unsettled(&dev.plan("second")?, &artefacts);
    note(count, "a second plan changes nothing", unsettled);
    // Not destroyed: the emulator does not finish that for the backup vault. What it holds ends
    // with it.
    Ok(())
}

/// Zips with nothing to run in them: the emulator keeps and never runs them.
fn packages(workspace: &Workspace, scratch: &Path) -> Result<PathBuf> {
    let folder = scratch.join("packages");
    let permissions = read_json(&workspace.root.join(READ_BY_MODULES[0]))?;
    for (name, _) in permissions.as_object().into_iter().flatten() {
        let package = folder.join(format!("{name}-lambda"));
        fs::create_dir_all(&package).with_context(|| format!("{}", package.display()))?;
        fs::write(package.join("bootstrap.zip"), EMPTY_ZIP)?;
    }
    Ok(folder)
}

/// The end of a zip's directory, with nothing in it.
const EMPTY_ZIP: &[u8] = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

struct Terraform {
    program: PathBuf,
    plugins: PathBuf,
}

impl Terraform {
    fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command
            .current_dir(folder)
            .env("TF_IN_AUTOMATION", "1")
            // A configuration file of the machine could look for the provider elsewhere.
            .env_remove("TF_CLI_CONFIG_FILE")
            .env("CHECKPOINT_DISABLE", "1");
        command
    }

    /// Validates a module and runs its tests.
    fn test(&self, module: &Path, count: &mut Count) -> Result<()> {
        let plugins = format!("-plugin-dir={}", self.plugins.display());
        let init = ["init", "-backend=false", "-input=false", &plugins];
        process::run_quietly(self.command(module).args(init))?;
        process::run_quietly(self.command(module).args(["validate", "-no-color"]))?;
        let mut command = self.command(module);
        let (output, ok) = process::tee(command.args(["test", "-no-color"]))?;
        let found = of_terraform(&output);
        count.add(found);
        if !ok || found == Count::default() {
            bail!(
                "{}: `terraform test` failed or ran nothing",
                module.display()
            );
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

/// A root that is applied on the emulator.
struct Root<'a> {
    terraform: &'a Terraform,
    folder: PathBuf,
    url: &'a str,
    packages: PathBuf,
}

impl Root<'_> {
    fn command(&self) -> Command {
        let mut command = self.terraform.command(&self.folder);
        command
            .env("AWS_ENDPOINT_URL", self.url)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_REGION", REGION)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            // A call that the emulator lacks is repeated for ten minutes otherwise.
            .env("AWS_MAX_ATTEMPTS", "2")
            .env("TF_VAR_account", ACCOUNT)
            .env("TF_VAR_region", REGION)
            .env("TF_VAR_packages", &self.packages)
            .env("TF_VAR_queues", r#"["duel"]"#);
        command
    }

    fn run(&self, args: &[&str]) -> Result<()> {
        process::run_quietly(self.command().args(args).arg("-no-color"))
    }

    /// The plan as JSON; it is kept as `name`.
    fn plan(&self, name: &str) -> Result<Value> {
        self.run(&["plan", "-input=false", &format!("-out={name}")])?;
        let mut show = self.command();
        let output = show.args(["show", "-json", name]).output();
        let output = output.context("terraform does not start")?;
        serde_json::from_slice(&output.stdout).context("terraform show printed no JSON")
    }
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
