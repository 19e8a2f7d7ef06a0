//! Where programs are that tests start.

use std::path::PathBuf;

use anyhow::{Context, Result};

/// The Python environment that `cargo xtask test` makes beside what cargo builds.
const PYTHON_PROGRAMS: &str = "venv-aws/bin";

/// A program of a Python package.
///
/// # Errors
/// When it is not installed.
pub fn of_python(name: &str) -> Result<PathBuf> {
    beside(&format!("{PYTHON_PROGRAMS}/{name}")).with_context(|| {
        format!("{name} is not installed; `cargo xtask test --only scenarios` does it")
    })
}

/// A program of this workspace, of the profile that this one is of.
///
/// # Errors
/// When it is not built.
pub fn of_workspace(name: &str) -> Result<PathBuf> {
    beside(name).with_context(|| format!("{name} is not built; `cargo build --package {name}`"))
}

/// Where hosts keep compiled components: one folder for all that tests start, since compiling takes
/// longer than most of the tests.
///
/// # Errors
/// When this program is not where cargo builds it.
pub fn compiled_components() -> Result<PathBuf> {
    let own = own()?;
    let profile = own
        .ancestors()
        .skip(1)
        .find(|folder| folder.join("deps").is_dir())
        .with_context(|| format!("{} is not in a folder of cargo's", own.display()))?;
    Ok(profile.join("compiled-components"))
}

/// A program of the release that `cargo xtask lambda` builds for this machine.
///
/// # Errors
/// When it is not built.
pub fn of_lambda(name: &str) -> Result<PathBuf> {
    beside(&format!("x86_64-unknown-linux-gnu/lambda/{name}"))
        .with_context(|| format!("{name} is not built; `cargo xtask lambda` does it"))
}

#[expect(clippy::disallowed_methods, reason = "only its folders are looked at")]
fn own() -> std::io::Result<PathBuf> {
    std::env::current_exe()
}

/// A file in one of the folders above this program.
fn beside(path: &str) -> Result<PathBuf> {
    let own = own()?;
    let found = own.ancestors().skip(1).map(|folder| folder.join(path));
    found
        .into_iter()
        .find(|path| path.is_file())
        .with_context(|| format!("{path} is not beside {}", own.display()))
}
