//! The steps, in the order in which they run: the quick ones first.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use super::built::build_all;
use super::count::Count;
use super::package;
use super::programs::{self, Times};
use super::rig::Rig;
use super::terraform;
use crate::install;
use crate::workspace::{WASM_TARGET, Workspace};
use crate::{components, openapi, process, tidy};

/// Folders of what is not Rust.
const SDK: &str = "functions/web";
const BROWSER_TESTS: &str = "tests/browser";
const AIORTC: &str = "tests/e2e/aiortc";

/// One step.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// Installs what it needs besides Rust and its targets; done already, it is quick.
    pub(crate) install: Option<fn(&Workspace) -> Result<()>>,
    /// Builds a part of it beside earlier steps that [wait](Step::waits). What fails here fails
    /// again in the step, which then tells it.
    pub(crate) ahead: Option<fn(&Workspace) -> Result<()>>,
    /// Whether it leaves the cores idle for much of its time, and needs cargo for the workspace's
    /// own build alone.
    pub(crate) waits: bool,
    /// Adds what its runner counted; an error is a failure too.
    pub(crate) run: fn(&Workspace, &mut Count) -> Result<()>,
}

const fn step(
    name: &'static str,
    what: &'static str,
    run: fn(&Workspace, &mut Count) -> Result<()>,
) -> Step {
    Step {
        name,
        what,
        install: None,
        ahead: None,
        waits: false,
        run,
    }
}

impl Step {
    const fn waits(mut self) -> Self {
        self.waits = true;
        self
    }

    const fn ahead(mut self, ahead: fn(&Workspace) -> Result<()>) -> Self {
        self.ahead = Some(ahead);
        self
    }

    const fn needs(mut self, install: fn(&Workspace) -> Result<()>) -> Self {
        self.install = Some(install);
        self
    }
}

/// Every step.
pub(crate) const STEPS: &[Step] = &[
    step("fmt", "the code is formatted", fmt),
    step(
        "tidy",
        "crate edges, sizes, clocks in cores, manifests",
        run_tidy,
    ),
    step(
        "openapi",
        "functions/wire/openapi.json is current",
        check_openapi,
    ),
    step("wasm", "the components build", wasm),
    step("clippy", "no warning, all targets", clippy),
    step(
        "clippy-wasm",
        "no warning in what only Wasm compiles",
        clippy_wasm,
    ),
    step("build", "every crate and its tests", |workspace, _| {
        build_all(workspace)
    }),
    step("rust", "cargo test of the whole workspace", rust).needs(aws_tools),
    step(
        "scenarios",
        "edge-host, Lambda and Spin behave alike",
        scenarios,
    )
    .needs(aws_tools)
    .waits(),
    step(
        "schema",
        "requests made from the OpenAPI document find nothing undocumented",
        schema,
    )
    .needs(aws_tools)
    .waits(),
    step(
        "terraform",
        "modules keep their promises, and dev is applied on the emulator",
        terraform::run,
    )
    .needs(aws_tools)
    .waits(),
    step(
        "finops",
        "no hot call and no plan is dearer than its baseline",
        finops,
    ),
    step("sdk", "the browser SDK: types and unit tests", sdk).needs(sdk_tools),
    step(
        "browser",
        "Chromium and Firefox talk through the page",
        browser,
    )
    .needs(browser_tools)
    .waits(),
    step("aiortc", "an independent WebRTC stack talks", aiortc)
        .needs(|workspace| aiortc_python(workspace).map(drop)),
    step(
        "soak",
        "two minutes of joins, speech and faults leave relay and edge as they were",
        soak,
    )
    .waits(),
    step(
        "package",
        "packages are reproducible, signed, and run where they are installed",
        package::run,
    )
    .needs(package::install)
    .ahead(package::ahead),
];

/// The emulator, cargo-lambda and schemathesis.
fn aws_tools(workspace: &Workspace) -> Result<()> {
    install::aws_tools(workspace).map(drop)
}

fn sdk_tools(workspace: &Workspace) -> Result<()> {
    install::node()?;
    install::npm_packages(&workspace.root.join(SDK))
}

fn browser_tools(workspace: &Workspace) -> Result<()> {
    install::node()?;
    install::browsers()?;
    install::npm_packages(&workspace.root.join(BROWSER_TESTS))
}

fn aiortc_python(workspace: &Workspace) -> Result<PathBuf> {
    let requirements = workspace.root.join(AIORTC).join("requirements.txt");
    install::python(workspace, "venv", &requirements)
}

fn fmt(workspace: &Workspace, _: &mut Count) -> Result<()> {
    process::run(&mut workspace.cargo(&["fmt", "--all", "--check"]))
}

fn run_tidy(workspace: &Workspace, _: &mut Count) -> Result<()> {
    let violations = tidy::check(workspace)?;
    for violation in &violations {
        println!("{violation}");
    }
    if !violations.is_empty() {
        bail!("{} to mend", violations.len());
    }
    Ok(())
}

fn check_openapi(workspace: &Workspace, _: &mut Count) -> Result<()> {
    openapi::run(workspace, true)
}

fn wasm(workspace: &Workspace, _: &mut Count) -> Result<()> {
    components::build_and_list(workspace)
}

fn clippy(workspace: &Workspace, _: &mut Count) -> Result<()> {
    install::cmake(workspace)?;
    let args = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    process::run(&mut workspace.cargo(&args))
}

fn clippy_wasm(workspace: &Workspace, _: &mut Count) -> Result<()> {
    install::wasm_target(workspace)?;
    let mut command = workspace.cargo(&["clippy", "--profile", "wasm", "--target", WASM_TARGET]);
    for package in components::component_packages(&workspace.metadata(false)?) {
        command.args(["--package", &package.name]);
    }
    process::run(command.args(["--package", "edge-spin", "--", "-D", "warnings"]))
}

fn rust(workspace: &Workspace, count: &mut Count) -> Result<()> {
    build_all(workspace)?;
    let programs = programs::build(workspace)?;
    // Examples in documentation: each is compiled by itself when it is run.
    let mut examples =
        workspace.cargo(&["test", "--workspace", "--doc", "--no-fail-fast", "--quiet"]);
    let (ran, told) = std::thread::scope(|scope| {
        let told = scope.spawn(|| process::said(&mut examples));
        let ran = programs::run(&programs, Times::read(workspace), count);
        (ran, told.join().expect("it does not panic"))
    });
    let (output, ok) = told?;
    count.add(Count::of_cargo(&output));
    if !ok {
        println!("{output}");
    }
    ran?;
    if !ok {
        bail!("`{}` failed", process::line(&examples));
    }
    Ok(())
}

fn scenarios(workspace: &Workspace, count: &mut Count) -> Result<()> {
    build_all(workspace)?;
    let mut command = Command::new(workspace.binary("scenarios"));
    counted(
        command.current_dir(&workspace.root),
        Count::of_last_line,
        count,
    )
}

/// Counts what hot calls use, and compares that and the plan of the step before with the baseline.
fn finops(workspace: &Workspace, _: &mut Count) -> Result<()> {
    build_all(workspace)?;
    let root = &workspace.root;
    process::run(Command::new(workspace.binary("bench-counts")).current_dir(root))?;
    let mut gate = Command::new(workspace.binary("finops"));
    gate.current_dir(root).arg("gate");
    if root.join(terraform::PLAN).is_file() {
        gate.args(["--plan", terraform::PLAN]);
    }
    // Not where only one commit was fetched.
    let before = "HEAD^";
    let mut git = Command::new("git");
    let known = git
        .current_dir(root)
        .args(["rev-parse", "--quiet", "--verify", before]);
    if known.output().is_ok_and(|output| output.status.success()) {
        gate.args(["--base", before]);
    }
    process::run(&mut gate)
}

fn schema(workspace: &Workspace, count: &mut Count) -> Result<()> {
    build_all(workspace)?;
    let mut command = Command::new(workspace.binary("schema"));
    counted(
        command.current_dir(&workspace.root),
        Count::of_last_line,
        count,
    )
}

fn soak(workspace: &Workspace, count: &mut Count) -> Result<()> {
    build_all(workspace)?;
    let mut command = Command::new(workspace.binary("soak"));
    counted(
        command.current_dir(&workspace.root),
        Count::of_last_line,
        count,
    )
}

fn sdk(workspace: &Workspace, count: &mut Count) -> Result<()> {
    let folder = workspace.root.join(SDK);
    process::run(npm(&["run", "--silent", "check"]).current_dir(&folder))?;
    counted(
        npm(&["test", "--silent"]).current_dir(&folder),
        Count::of_node,
        count,
    )
}

fn browser(workspace: &Workspace, count: &mut Count) -> Result<()> {
    let browsers = install::browsers()?;
    let folder = workspace.root.join(BROWSER_TESTS);
    build_all(workspace)?;
    let rig = Rig::start(workspace)?;
    let mut command = npm(&["test", "--silent"]);
    command
        .current_dir(&folder)
        .env("CHROMIUM", browsers.chromium)
        .env("FIREFOX", browsers.firefox);
    rig.prepare(&mut command);
    counted(&mut command, Count::of_node, count)
}

fn aiortc(workspace: &Workspace, count: &mut Count) -> Result<()> {
    let folder = workspace.root.join(AIORTC);
    let python = aiortc_python(workspace)?;
    build_all(workspace)?;
    let rig = Rig::start(workspace)?;
    let mut command = Command::new(python);
    command.arg(folder.join("interops.py")).current_dir(&folder);
    rig.prepare(&mut command);
    counted(&mut command, Count::of_last_line, count)
}

fn npm(args: &[&str]) -> Command {
    let mut command = Command::new("npm");
    command.args(args);
    command
}

fn counted(command: &mut Command, read: fn(&str) -> Count, count: &mut Count) -> Result<()> {
    let (output, ok) = process::tee(command)?;
    let found = read(&output);
    count.add(found);
    if !ok {
        bail!("`{}` failed", process::line(command));
    }
    if found == Count::default() {
        bail!("`{}` ran no test", process::line(command));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runner_that_runs_nothing_is_a_failure() {
        let mut count = Count::default();
        let error = counted(&mut Command::new("true"), Count::of_node, &mut count).unwrap_err();
        assert!(error.to_string().contains("ran no test"), "{error}");
    }

    #[test]
    fn a_runner_that_fails_keeps_its_count() {
        let mut count = Count::default();
        let mut command = Command::new("sh");
        command.args(["-c", "echo 2 passed, 1 failed; exit 1"]);
        assert!(counted(&mut command, Count::of_last_line, &mut count).is_err());
        assert_eq!(
            count,
            Count {
                passed: 2,
                failed: 1
            }
        );
    }
}
