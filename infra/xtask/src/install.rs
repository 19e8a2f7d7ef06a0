//! What the machine lacks: found, named and installed.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::process;
use crate::workspace::{WASM_TARGET, Workspace};

/// Oldest Node.js whose test runner and modules the tests use.
const NODE_MAJOR_MIN: u32 = 20;

/// Crates that build C code with CMake; the others in Cargo.lock that mention it do without.
const NEEDS_CMAKE: [&str; 3] = ["audiopus_sys", "opusic-sys", "libopus_sys"];

/// The browsers that tests drive.
pub(crate) struct Browsers {
    pub(crate) chromium: PathBuf,
    pub(crate) firefox: PathBuf,
}

/// Says what is installed, before it is.
fn say(what: &str, why: &str) {
    println!("installing: {what} ({why})");
}

/// A target of the toolchain that cargo uses here.
pub(crate) fn target(workspace: &Workspace, target: &str, why: &str) -> Result<()> {
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", target])
        .current_dir(&workspace.root)
        .output()
        .context("rustc does not start")?;
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && Path::new(&folder).is_dir() {
        return Ok(());
    }
    say(&format!("the Rust target {target}"), why);
    if find_program(&["rustup"]).is_none() {
        bail!("rustup is not here; install the standard library of {target} by hand");
    }
    let mut command = Command::new("rustup");
    command
        .args(["target", "add", target])
        .current_dir(&workspace.root);
    process::run_quietly(&mut command)
}

/// The target of components.
pub(crate) fn wasm_target(workspace: &Workspace) -> Result<()> {
    target(workspace, WASM_TARGET, "components are built for it")
}

/// CMake, when a crate of the lock file needs it.
pub(crate) fn cmake(workspace: &Workspace) -> Result<()> {
    let lock = fs::read_to_string(workspace.root.join("Cargo.lock")).unwrap_or_default();
    let Some(user) = cmake_user(&lock) else {
        return Ok(());
    };
    if find_program(&["cmake"]).is_some() {
        return Ok(());
    }
    apt(
        &["cmake"],
        &format!("the crate {user} builds C code with it"),
    )
}

/// A C compiler for static binaries of this machine's processor.
pub(crate) fn musl(architecture: &str) -> Result<()> {
    if find_program(&["musl-gcc"]).is_some() {
        return Ok(());
    }
    let why = format!("static binaries for {architecture} hold C code of aws-lc and SQLite");
    apt(&["musl-tools"], &why)
}

fn cmake_user(lock: &str) -> Option<&'static str> {
    NEEDS_CMAKE
        .into_iter()
        .find(|name| lock.contains(&format!("name = \"{name}\"\n")))
}

/// What reads images without a daemon, and what rates units.
pub(crate) fn package_tools() -> Result<()> {
    for (program, package, why) in [
        (
            "buildah",
            "buildah",
            "images are unpacked by a program that did not make them",
        ),
        (
            "podman",
            "podman",
            "compose.yaml is read by podman-compose, which asks it what it can do",
        ),
        ("systemd-analyze", "systemd", "it rates what units may do"),
        (
            "openssl",
            "openssl",
            "signatures are checked without xtask too",
        ),
        ("sqlite3", "sqlite3", "databases are backed up with it"),
    ] {
        if find_program(&[program]).is_none() {
            apt(&[package], why)?;
        }
    }
    Ok(())
}

/// What reads shell scripts as a strict colleague.
pub(crate) fn shellcheck() -> Result<()> {
    if find_program(&["shellcheck"]).is_some() {
        return Ok(());
    }
    apt(&["shellcheck"], "scripts of machines are checked by it")
}

/// cargo-fuzz, which drives libFuzzer.
pub(crate) fn cargo_fuzz() -> Result<()> {
    if find_program(&["cargo-fuzz"]).is_some() {
        return Ok(());
    }
    say("cargo-fuzz", "`cargo xtask fuzz` searches with it");
    process::run_quietly(Command::new("cargo").args(["install", "cargo-fuzz", "--locked"]))
}

/// Node.js with npm. Not installed by xtask: it is a requirement like Rust itself.
pub(crate) fn node() -> Result<()> {
    let output = Command::new("node").arg("--version").output();
    let version = match output {
        Ok(output) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Err(_) => bail!("Node.js {NODE_MAJOR_MIN} or newer with npm is needed; install it"),
    };
    let major = version
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|m| m.parse().ok());
    if major.is_none_or(|major: u32| major < NODE_MAJOR_MIN) {
        bail!("Node.js {NODE_MAJOR_MIN} or newer is needed; this is {version}");
    }
    if find_program(&["npm"]).is_none() {
        bail!("Node.js is here but npm is not; install it");
    }
    Ok(())
}

/// The packages of `folder`'s package-lock.json, unless they are there already.
pub(crate) fn npm_packages(folder: &Path) -> Result<()> {
    let modified = |path: PathBuf| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let locked = modified(folder.join("package-lock.json"));
    let installed = modified(folder.join("node_modules/.package-lock.json"));
    if locked.is_none() {
        bail!("{} has no package-lock.json", folder.display());
    }
    if installed >= locked {
        return Ok(());
    }
    say(
        "npm packages",
        &format!("{}", folder.join("package-lock.json").display()),
    );
    let mut command = Command::new("npm");
    command
        .args(["ci", "--no-audit", "--no-fund"])
        .current_dir(folder);
    process::run_quietly(&mut command)
}

/// The Python environment of the tools for AWS: cargo-lambda with its C compiler, the emulator and
/// schemathesis. Returns the folder of its programs.
pub(crate) fn aws_tools(workspace: &Workspace) -> Result<PathBuf> {
    let requirements = workspace.root.join("tests/scenarios/requirements.txt");
    let python = python(workspace, "venv-aws", &requirements)?;
    Ok(python.parent().expect("a file in bin").to_owned())
}

/// A Python environment in this folder of the target directory, with exactly the packages of
/// `requirements`; returns its interpreter.
pub(crate) fn python(workspace: &Workspace, name: &str, requirements: &Path) -> Result<PathBuf> {
    let folder = workspace.target.join(name);
    let python = folder.join("bin/python");
    let wanted =
        fs::read_to_string(requirements).with_context(|| format!("{}", requirements.display()))?;
    let stamp = folder.join("requirements.installed");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    if !succeeds(Command::new("python3").args(["-c", "import ensurepip"])) {
        apt(
            &["python3", "python3-venv"],
            "Python packages live in a virtual environment",
        )?;
    }
    say(
        &format!("Python packages in target/{name}"),
        &format!("{}", requirements.display()),
    );
    process::run_quietly(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&folder),
    )?;
    process::run_quietly(
        Command::new(&python)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "-r",
            ])
            .arg(requirements),
    )?;
    fs::write(&stamp, wanted)?;
    Ok(python)
}

/// Chromium and Firefox: as CHROMIUM and FIREFOX say, else found on the path, else from Debian.
pub(crate) fn browsers() -> Result<Browsers> {
    let chromium = || {
        browser(
            "CHROMIUM",
            &["chromium", "chromium-browser", "google-chrome"],
        )
    };
    let firefox = || browser("FIREFOX", &["firefox-esr", "firefox"]);
    let mut missing = Vec::new();
    if chromium().is_none() {
        missing.push("chromium");
    }
    if firefox().is_none() {
        missing.push("firefox-esr");
    }
    // Firefox plays and measures no sound without a sound card; the tests start a null sink.
    if find_program(&["pulseaudio"]).is_none() {
        missing.push("pulseaudio");
    }
    if !missing.is_empty() {
        apt(&missing, "the browser tests drive them")?;
    }
    Ok(Browsers {
        chromium: chromium().context("Chromium is still not found; set CHROMIUM to its path")?,
        firefox: firefox().context("Firefox is still not found; set FIREFOX to its path")?,
    })
}

fn browser(variable: &str, names: &[&str]) -> Option<PathBuf> {
    match std::env::var_os(variable) {
        Some(path) => Some(PathBuf::from(path)).filter(|path| path.is_file()),
        None => find_program(names),
    }
}

/// Whether installing asks nobody for a password, so that it can go on beside something else.
pub(crate) fn asks_nobody() -> bool {
    nix::unistd::geteuid().is_root() || succeeds(Command::new("sudo").args(["-n", "true"]))
}

/// Installs Debian packages, as root or through sudo.
fn apt(packages: &[&str], why: &str) -> Result<()> {
    let list = packages.join(" ");
    let by_hand = format!("install by hand: apt-get install {list} ({why})");
    if find_program(&["apt-get"]).is_none() {
        bail!("this machine has no apt-get; {by_hand}");
    }
    let sudo = if nix::unistd::geteuid().is_root() {
        None
    } else if find_program(&["sudo"]).is_some() {
        Some("sudo")
    } else {
        bail!("not root and no sudo; {by_hand}");
    };
    say(&format!("apt-get install {list}"), why);
    process::run_quietly(&mut apt_get(sudo, &["update", "-q"])).context(by_hand.clone())?;
    let mut install = vec!["install", "-q", "-y", "--no-install-recommends"];
    install.extend(packages);
    process::run_quietly(&mut apt_get(sudo, &install)).context(by_hand)
}

fn apt_get(sudo: Option<&str>, args: &[&str]) -> Command {
    let mut command = match sudo {
        Some(sudo) => {
            let mut command = Command::new(sudo);
            command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
            command
        }
        None => {
            let mut command = Command::new("apt-get");
            command.env("DEBIAN_FRONTEND", "noninteractive");
            command
        }
    };
    command.args(args);
    command
}

/// The first of `names` that is an executable on the path.
pub(crate) fn find_program(names: &[&str]) -> Option<PathBuf> {
    find_in(&std::env::var_os("PATH")?, names)
}

fn find_in(path: &OsStr, names: &[&str]) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let is_executable = |file: &PathBuf| {
        fs::metadata(file)
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    let folders: Vec<PathBuf> = std::env::split_paths(path).collect();
    names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(is_executable)
}

fn succeeds(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_on_the_path_in_order_of_preference() {
        let path = OsStr::new("/nowhere:/bin:/usr/bin");
        assert!(
            find_in(path, &["no-such-program", "sh"])
                .unwrap()
                .ends_with("sh")
        );
        assert_eq!(find_in(path, &["no-such-program"]), None);
        assert_eq!(
            find_in(OsStr::new("/etc"), &["passwd"]),
            None,
            "not executable"
        );
    }

    #[test]
    fn cmake_is_wanted_for_crates_that_use_it_only() {
        assert_eq!(
            cmake_user("[[package]]\nname = \"opusic-sys\"\n"),
            Some("opusic-sys")
        );
        assert_eq!(cmake_user("[[package]]\nname = \"cmake\"\n"), None);
    }

    #[test]
    fn a_folder_without_a_lock_file_is_refused() {
        let error = npm_packages(Path::new("/nowhere")).unwrap_err().to_string();
        assert!(error.contains("package-lock.json"), "{error}");
    }
}
