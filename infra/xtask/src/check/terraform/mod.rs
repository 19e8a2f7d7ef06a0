//! The step `terraform`: modules are tested with mocks, and dev is applied on the emulator.

mod deployed;
mod emulator;
mod files;
mod machine;
mod policies;
mod program;
mod provider;
mod report;
mod roots;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::built::build_all;
use super::count::Count;
use crate::workspace::Workspace;
use crate::{install, process};
use emulator::Emulator;
use files::{READ_BY_MODULES, read_json};
use program::Terraform;
use provider::StandIn;
use report::{Report, note};

pub(super) use files::PLAN;

/// The version of checkov and what it needs.
const CHECKOV: &str = "terraform/requirements.txt";
/// The regions of production, and the workflows that plan them: each night, and with each change.
const REGIONS: &str = "terraform/environments/prod/regions.json";
const PLANNED_BY: [&str; 2] = [
    ".github/workflows/drift.yml",
    ".github/workflows/deploy.yml",
];
pub(super) fn run(workspace: &Workspace, count: &mut Count) -> Result<()> {
    let mut report = Report::default();
    let ran = all(workspace, &mut report);
    count.add(report.count);
    ran
}

fn all(workspace: &Workspace, report: &mut Report) -> Result<()> {
    note(report, "each route has a function", untold(workspace)?);
    note(
        report,
        "the plans of workflows know every region",
        unwatched(workspace)?,
    );
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
    let scratch = copy(workspace)?;
    let stand_in = Terraform::of_schema(program.clone(), StandIn::start(workspace)?);
    let Some(plugins) = provider::find() else {
        println!(
            "left out: plans, the emulator and what they show, since the provider hashicorp/aws \
             5.100.0 is in no plugin folder here (TF_PLUGIN_DIR may name one). Modules are tested \
             by its schema alone: values that the provider refuses are not noticed"
        );
        modules(&stand_in, &scratch.join("terraform/modules"), report)?;
        return checkov(workspace, &scratch, report);
    };
    build_all(workspace)?;
    packages(workspace, &scratch)?;
    let terraform = Terraform::of_plugins(program, plugins);
    // Elsewhere it is all there is, so it is tried here too.
    let tried = scratch.join("stand-in");
    copy_folder(
        &scratch.join("terraform/modules/network"),
        &tried.join("network"),
    )?;
    modules(&stand_in, &tried, report)?;
    drop(stand_in);
    let emulator = Emulator::start(workspace, &scratch)?;
    side_by_side(workspace, &terraform, &scratch, &emulator, report)
}

/// A part of the step that needs no other.
type Part<'a> = Box<dyn FnOnce(&mut Report) -> Result<()> + Send + 'a>;

/// What takes longest. Much of it is waiting: for the emulator, and for providers that start.
fn side_by_side(
    workspace: &Workspace,
    terraform: &Terraform,
    scratch: &Path,
    emulator: &Emulator,
    report: &mut Report,
) -> Result<()> {
    let parts: [Part<'_>; 3] = [
        Box::new(|report| roots::dev(workspace, terraform, scratch, emulator, report)),
        Box::new(|report| modules(terraform, &scratch.join("terraform/modules"), report)),
        Box::new(|report| {
            roots::prod(workspace, terraform, scratch, &emulator.url, report)?;
            checkov(workspace, scratch, report)
        }),
    ];
    let mut ended = Ok(());
    std::thread::scope(|scope| {
        let running = parts.map(|part| {
            scope.spawn(move || {
                let mut report = Report::default();
                let ran = part(&mut report);
                (report, ran)
            })
        });
        for part in running {
            let (found, ran) = part.join().expect("it does not panic");
            report.count.add(found.count);
            if ended.is_ok() {
                ended = ran;
            } else if let Err(error) = ran {
                println!("{error:#}");
            }
        }
    });
    ended
}

/// Tests every module of a folder.
fn modules(terraform: &Terraform, folder: &Path, report: &mut Report) -> Result<()> {
    for module in folders(folder)? {
        terraform.test(&module, report)?;
    }
    Ok(())
}

/// Functions of which only one of permissions.json and the OpenAPI document knows.
fn untold(workspace: &Workspace) -> Result<Vec<String>> {
    let permissions = read_json(&workspace.root.join(READ_BY_MODULES[0]))?;
    let document = read_json(&workspace.root.join(READ_BY_MODULES[1]))?;
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

/// Regions of production that a workflow does not plan.
fn unwatched(workspace: &Workspace) -> Result<Vec<String>> {
    let regions = read_json(&workspace.root.join(REGIONS))?;
    let regions = regions.as_object().into_iter().flatten();
    let regions: Vec<&str> = regions
        .map(|(name, _)| name.as_str())
        .chain(["global"])
        .collect();
    let mut left_out = Vec::new();
    for workflow in PLANNED_BY {
        let file = workspace.root.join(workflow);
        let text = fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
        let states = text
            .lines()
            .find_map(|line| line.trim().strip_prefix("state: ["));
        let states = states.with_context(|| format!("{workflow} has no `state: [..]`"))?;
        let states: Vec<&str> = states.trim_end_matches(']').split(", ").collect();
        let unknown = regions.iter().filter(|name| !states.contains(name));
        left_out.extend(unknown.map(|name| format!("{name}: add it to the matrix of {workflow}")));
    }
    Ok(left_out)
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
fn checkov(workspace: &Workspace, scratch: &Path, report: &mut Report) -> Result<()> {
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
    note(
        report,
        "checkov finds nothing that is not justified",
        faults,
    );
    Ok(())
}

/// Zips with nothing to run in them: the emulator keeps and never runs them.
fn packages(workspace: &Workspace, scratch: &Path) -> Result<()> {
    let folder = scratch.join("packages");
    let permissions = read_json(&workspace.root.join(READ_BY_MODULES[0]))?;
    for (name, _) in permissions.as_object().into_iter().flatten() {
        let package = folder.join(format!("{name}-lambda"));
        fs::create_dir_all(&package).with_context(|| format!("{}", package.display()))?;
        fs::write(package.join("bootstrap.zip"), EMPTY_ZIP)?;
    }
    Ok(())
}

/// The end of a zip's directory, with nothing in it.
const EMPTY_ZIP: &[u8] = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
