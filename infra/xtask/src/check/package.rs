//! The step `package`: what a release has is built twice, signed, installed, run and refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::count::Count;
use super::image;
use crate::package::{self, Manner, PublicKey};
use crate::workspace::Workspace;
use crate::{child, install as tools, process};

/// Quick to build; what is shown does not depend on it.
const PROFILE: &str = "dev";

/// Highest exposure of a unit, in tenths, by `systemd-analyze security`.
const EXPOSURE_TENTHS_MAX: &str = "20";

/// Where packages bring their units.
const UNITS: &str = "usr/lib/systemd/system";

/// Files that an installed pair of packages has; the first two are programs.
const INSTALLED: [&str; 9] = [
    "usr/bin/lifeverse-relay",
    "usr/bin/lifeverse-edge",
    "usr/lib/systemd/system/lifeverse-relay.service",
    "usr/lib/systemd/system/lifeverse-edge.service",
    "usr/lib/systemd/journald@lifeverse-relay.conf.d/rotation.conf",
    "usr/lib/systemd/journald@lifeverse-edge.conf.d/rotation.conf",
    "usr/lib/sysctl.d/60-lifeverse-relay.conf",
    "usr/share/lifeverse-edge/spin.toml",
    "etc/lifeverse-voice",
];

/// What the step needs besides Rust.
pub(super) fn install(workspace: &Workspace) -> Result<()> {
    tools::package_tools()?;
    python(workspace).map(drop)
}

fn python(workspace: &Workspace) -> Result<PathBuf> {
    let requirements = workspace.root.join("infra/deploy/requirements.txt");
    tools::python(workspace, "venv-deploy", &requirements)
}

/// Builds the static binaries while steps run that mostly wait: wasmtime and all below it a second
/// time is most of what this step takes.
pub(super) fn ahead(workspace: &Workspace) -> Result<()> {
    package::build(workspace, PROFILE, Manner::Beside)
}

/// Runs the step.
pub(super) fn run(workspace: &Workspace, count: &mut Count) -> Result<()> {
    let python = python(workspace)?;
    let mut lint = Command::new(python);
    lint.arg(workspace.root.join("infra/deploy/lint.py"));
    counted(&mut lint, count)?;
    package::build(workspace, PROFILE, Manner::Alone)?;
    process::run(&mut workspace.build_binaries(&["installed"]))?;
    let folder = workspace.target.join("package-test");
    let _ = fs::remove_dir_all(&folder);
    let (one, two) = (folder.join("one"), folder.join("two"));
    for output in [&one, &two] {
        package::pack(workspace, PROFILE, output)?;
    }
    let mut checks = Checks {
        count,
        faults: Vec::new(),
    };
    checks.check("two runs give the same bytes", || same(&one, &two));
    checks.check("a release that is not as it was signed is refused", || {
        refusals(workspace, &folder, &one)
    });
    let root = folder.join("root");
    checks.check("both packages are installed in an empty root", || {
        install_in(&root, &one)
    });
    checks.check("units expose little", || units(&root));
    checks.check("images are what OCI says, and run as nobody", || {
        image::check(workspace, &folder, &one)
    });
    let faults = checks.faults;
    let mut installed = Command::new(workspace.binary("installed"));
    let went = counted(installed.arg(&root), count);
    if !faults.is_empty() {
        bail!("{}", faults.join("\n  "));
    }
    went
}

/// Counts what passed and goes on after what failed.
struct Checks<'a> {
    count: &'a mut Count,
    faults: Vec<String>,
}

impl Checks<'_> {
    fn check(&mut self, what: &str, check: impl FnOnce() -> Result<()>) {
        match check() {
            Ok(()) => {
                self.count.passed += 1;
                println!("ok: {what}");
            }
            Err(error) => {
                self.count.failed += 1;
                println!("FAILED: {what}: {error:#}");
                self.faults.push(format!("{what}: {error:#}"));
            }
        }
    }
}

fn counted(command: &mut Command, count: &mut Count) -> Result<()> {
    let (output, ok) = process::tee(command)?;
    let found = Count::of_last_line(&output);
    count.add(found);
    if !ok || found == Count::default() {
        bail!("`{}` failed or ran nothing", process::line(command));
    }
    Ok(())
}

/// The names of a folder's files.
fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn same(one: &Path, two: &Path) -> Result<()> {
    let found = names(one)?;
    ensure!(found == names(two)?, "not the same files");
    ensure!(found.len() >= 8, "too few files: {found:?}");
    for name in found {
        let same = fs::read(one.join(&name))? == fs::read(two.join(&name))?;
        ensure!(same, "{name} differs from one run to the next");
    }
    Ok(())
}

/// A way to spoil a release, and a word that the refusal must have.
type Spoiler = (&'static str, fn(&Path, &str) -> std::io::Result<()>);

const SPOILERS: [Spoiler; 4] = [
    ("changed", |folder, file| fs::write(folder.join(file), "x")),
    ("missing", |folder, file| fs::remove_file(folder.join(file))),
    ("not in", |folder, _| {
        fs::write(folder.join("more.deb"), "x")
    }),
    ("unsigned", |folder, _| {
        fs::remove_file(folder.join("manifest.json.sig"))
    }),
];

/// By xtask, and by the script that machines have which install.
fn refusals(workspace: &Workspace, folder: &Path, release: &Path) -> Result<()> {
    let (secret, public) = (folder.join("release.key"), folder.join("release.pem"));
    let mut keys = child::myself()?;
    keys.args(["keys", "release", "--replace", "--file"]);
    process::run_quietly(keys.arg(&secret).arg("--public").arg(&public))?;
    package::seal(workspace, release, Some(&secret))?;
    let key = PublicKey::read(&public)?;
    let verified = |release: &Path| package::verify(release, &key);
    let script = |release: &Path, only: Option<&str>| {
        let mut command = Command::new("sh");
        command.arg(workspace.root.join("infra/deploy/verify.sh"));
        process::said(command.arg(release).arg(&public).args(only))
    };
    verified(release)?;
    let (said, ok) = script(release, None)?;
    ensure!(ok, "verify.sh refuses a good release: {said}");
    let spoiled = folder.join("spoiled");
    let victim = names(release)?
        .into_iter()
        .find(|name| name.ends_with(".deb"));
    let victim = victim.context("there is a package")?;
    for (wanted, spoil) in SPOILERS {
        let _ = fs::remove_dir_all(&spoiled);
        process::run(Command::new("cp").arg("-r").arg(release).arg(&spoiled))?;
        spoil(&spoiled, &victim)?;
        let told = match verified(&spoiled) {
            Ok(_) => bail!("{wanted}: it was taken"),
            Err(error) => error.to_string(),
        };
        ensure!(told.contains(wanted), "{wanted}: {told}");
        let (said, ok) = script(&spoiled, None)?;
        ensure!(!ok && said.contains(wanted), "verify.sh, {wanted}: {said}");
    }
    only_one(release, &spoiled, &victim, script)
}

/// A machine that fetched one package of a release is told about that one.
fn only_one(
    release: &Path,
    folder: &Path,
    package: &str,
    script: impl Fn(&Path, Option<&str>) -> Result<(String, bool)>,
) -> Result<()> {
    fs::remove_dir_all(folder)?;
    fs::create_dir(folder)?;
    for name in ["manifest.json", "manifest.json.sig", package] {
        fs::copy(release.join(name), folder.join(name))?;
    }
    let (said, ok) = script(folder, Some(package))?;
    ensure!(
        ok && said.contains("1 files"),
        "verify.sh, one file: {said}"
    );
    let (said, ok) = script(folder, Some("unheard-of"))?;
    ensure!(!ok && said.contains("is not in manifest.json"), "{said}");
    fs::write(folder.join(package), "other")?;
    let (said, ok) = script(folder, Some(package))?;
    ensure!(
        !ok && said.contains("was changed"),
        "verify.sh, one changed file: {said}"
    );
    Ok(())
}

/// Static programs need no system around them, so the root is empty. Scripts of packages run
/// outside of it, as dpkg lets them.
fn install_in(root: &Path, release: &Path) -> Result<()> {
    let database = root.join("var/lib/dpkg");
    for folder in ["info", "updates"] {
        fs::create_dir_all(database.join(folder))?;
    }
    fs::write(database.join("status"), "")?;
    let mut dpkg = Command::new("dpkg");
    dpkg.args([
        "--force-script-chrootless",
        "--force-not-root",
        "--log=/dev/null",
    ])
    .arg(format!("--root={}", root.display()))
    .arg("--install");
    for name in names(release)?.iter().filter(|name| name.ends_with(".deb")) {
        dpkg.arg(release.join(name));
    }
    process::run_quietly(&mut dpkg)?;
    for file in INSTALLED {
        ensure!(root.join(file).exists(), "{file} was not installed");
    }
    for program in &INSTALLED[..2] {
        let elf = fs::read(root.join(program))?;
        let needs_loader = elf.windows(8).any(|window| window == b"ld-linux");
        ensure!(!needs_loader, "{program} is not static");
    }
    Ok(())
}

fn units(root: &Path) -> Result<()> {
    for name in ["lifeverse-relay", "lifeverse-edge"] {
        let unit = root.join(UNITS).join(format!("{name}.service"));
        let mut command = Command::new("systemd-analyze");
        command
            .args(["security", "--no-pager", "--offline=true"])
            .arg(format!("--threshold={EXPOSURE_TENTHS_MAX}"))
            .arg(&unit);
        let (said, ok) = process::said(&mut command)?;
        let verdict = said.lines().find(|line| line.contains("Overall exposure"));
        println!("{}", verdict.unwrap_or_default().trim());
        ensure!(ok, "{name} is over {EXPOSURE_TENTHS_MAX} tenths");
        let text = fs::read_to_string(&unit)?;
        let executable_memory_is_denied = text.contains("\nMemoryDenyWriteExecute=yes");
        ensure!(
            executable_memory_is_denied == (name == "lifeverse-relay"),
            "{name}: MemoryDenyWriteExecute is for the relay alone"
        );
        let no_address_limit = !text.lines().any(|line| line.starts_with("LimitAS="));
        ensure!(no_address_limit, "{name}: LimitAS stops wasmtime's pool");
    }
    Ok(())
}
