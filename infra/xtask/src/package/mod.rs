//! `cargo xtask package`: what a user would rather download than build. Static tarballs, Debian
//! packages and OCI images of relay and edge host, the browser SDK, a list of what is in each, and
//! a signed manifest of it all.

mod debian;
mod files;
mod image;
mod manifest;
mod packing;
mod sbom;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use crate::workspace::Workspace;
use crate::{components, install, process};
use files::fresh;
use packing::{PROGRAMS, Packing, Stamp, target};

pub(crate) use image::ARCHIVE_END as IMAGE_END;
#[cfg(test)]
pub(crate) use manifest::tests;
pub(crate) use manifest::{PublicKey, public_pem, sum_of, verify};

/// What to make, or to check.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// dev builds faster
    #[arg(long, value_name = "NAME", default_value = "release")]
    #[arg(value_parser = ["release", "dev"])]
    profile: String,

    /// Sign the manifest with a key of `keys release`
    #[arg(long, value_name = "FILE")]
    sign: Option<PathBuf>,

    /// Write and sign the manifest of this folder; build nothing
    #[arg(long, value_name = "FOLDER", requires = "sign")]
    seal: Option<PathBuf>,

    /// Check a folder against its signed manifest
    #[arg(long, value_name = "FOLDER", requires = "key", conflicts_with_all = ["sign", "seal"])]
    verify: Option<PathBuf>,

    /// With --verify: the public half of the release key
    #[arg(long, value_name = "FILE", requires = "verify")]
    key: Option<PathBuf>,
}

/// Does what the flags say; prints what was made.
///
/// # Errors
/// When something does not build, a tool is missing, or a folder is not what its manifest says.
pub(crate) fn run(workspace: &Workspace, flags: &Flags) -> Result<()> {
    if let (Some(folder), Some(key)) = (&flags.verify, &flags.key) {
        let files = verify(folder, &PublicKey::read(key)?)?;
        println!("{}: {files} files are as signed", folder.display());
        return Ok(());
    }
    let output = match &flags.seal {
        Some(folder) => folder.clone(),
        None => {
            let output = workspace.target.join("package");
            build(workspace, &flags.profile, Manner::Alone)?;
            pack(workspace, &flags.profile, &output)?;
            output
        }
    };
    seal(workspace, &output, flags.sign.as_deref())?;
    println!("{}:", output.display());
    for name in manifest::names(&output)? {
        let bytes = fs::metadata(output.join(&name))?.len();
        println!("{:>7} kB  {name}", bytes.div_ceil(1000));
    }
    Ok(())
}

/// Writes the manifest of a folder, and signs it if there is a key.
pub(crate) fn seal(workspace: &Workspace, output: &Path, sign: Option<&Path>) -> Result<()> {
    let stamp = Stamp::read(workspace)?;
    sums(output)?;
    manifest::seal(output, &stamp.version, &stamp.commit, sign)
}

/// Makes all packages of what [`build`] has built.
pub(crate) fn pack(workspace: &Workspace, profile: &str, output: &Path) -> Result<()> {
    // What an earlier version left would be summed up too.
    fresh(output)?;
    let folder = if profile == "dev" { "debug" } else { profile };
    let packing = Packing {
        workspace,
        built: workspace.target.join(target()).join(folder),
        output,
        stamp: Stamp::read(workspace)?,
    };
    let graphs = sbom::Graphs::read(workspace)?;
    for program in &PROGRAMS {
        let tree = workspace.target.join("package-tree").join(program.name);
        packing.tarball(program, &tree.join("tar"))?;
        debian::package(&packing, program, &tree.join("deb"))?;
        image::image(&packing, program, &tree.join("image"))?;
        sbom::of_program(&packing, program, &graphs)?;
    }
    sdk(workspace, output)?;
    sbom::of_sdk(&packing)
}

/// How a long build gets on with what else runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It is what somebody waits for: it takes the cores, and shows what it does.
    Alone,
    /// Beside tests that wait: at the lowest priority, and silent unless it fails.
    Beside,
}

/// Static binaries: they run on every Linux of this processor, whatever its C library. They do not
/// say in which folders they were built.
pub(crate) fn build(workspace: &Workspace, profile: &str, manner: Manner) -> Result<()> {
    let target = target();
    install::target(workspace, &target, "packages hold static binaries")?;
    install::musl(std::env::consts::ARCH)?;
    components::build(workspace)?;
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home = cargo_home
        .or_else(|| Some(std::env::home_dir()?.join(".cargo")))
        .context("cargo keeps downloads in a home folder, and there is none; set CARGO_HOME")?;
    let renamed = [
        (&workspace.target, "/target"),
        (&cargo_home, "/cargo"),
        (&workspace.root, "/source"),
    ];
    let rename = |flag: &str, folders: &[(&PathBuf, &str)]| -> Vec<String> {
        let rename = |(from, to): &(&PathBuf, &str)| format!("{flag}={}={to}", from.display());
        folders.iter().map(rename).collect()
    };
    let flags = rename("--remap-path-prefix", &renamed);
    let of_c = rename("-ffile-prefix-map", &renamed[..2]);
    let variable = |name: &str| format!("{name}_{}", target.replace('-', "_"));
    let cargo = match manner {
        Manner::Alone => Workspace::cargo,
        Manner::Beside => Workspace::cargo_at_leisure,
    };
    let mut command = cargo(
        workspace,
        &["build", "--profile", profile, "--target", &target],
    );
    for program in &PROGRAMS {
        command.args(["--package", program.binary, "--bin", program.binary]);
    }
    command
        .env(variable("CC"), "musl-gcc")
        .env(variable("CFLAGS"), of_c.join(" "))
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        // Names of functions stay, for the log of a panic; what debuggers read is most of a file.
        .env(
            format!("CARGO_PROFILE_{}_STRIP", profile.to_uppercase()),
            "debuginfo",
        );
    match manner {
        Manner::Alone => process::run(&mut command),
        Manner::Beside => process::run_quietly(&mut command),
    }
}

/// The browser SDK as npm packs it.
fn sdk(workspace: &Workspace, output: &Path) -> Result<()> {
    install::node()?;
    let mut command = Command::new("npm");
    command
        .args(["pack", "--silent", "--pack-destination"])
        .arg(output)
        .current_dir(workspace.root.join("functions/web"));
    process::run_quietly(&mut command)
}

/// SHA256SUMS, in the form that `sha256sum --check` reads.
fn sums(output: &Path) -> Result<()> {
    let lines: Vec<String> = manifest::sums(output)?
        .into_iter()
        .filter(|(name, _)| name != manifest::SUMS)
        .map(|(name, sum)| format!("{sum}  {name}\n"))
        .collect();
    files::write(&output.join(manifest::SUMS), &lines.concat(), 0o644)
}
