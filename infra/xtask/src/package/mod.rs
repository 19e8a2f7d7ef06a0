//! `cargo xtask package`: what a user would rather download than build. Static tarballs, Debian
//! packages and OCI images of relay and edge host, the browser SDK, a list of what is in each, and
//! a signed manifest of it all.

mod debian;
mod files;
mod image;
mod manifest;
mod sbom;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::workspace::Workspace;
use crate::{components, install, process};
use files::{fresh, place};

pub(crate) use image::ARCHIVE_END as IMAGE_END;
pub(crate) use manifest::{PublicKey, public_pem, verify};

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

/// A program that is packaged.
struct Program {
    /// The binary that cargo builds.
    binary: &'static str,
    /// What it and its package are called on a machine where other things are called relay too.
    name: &'static str,
    /// `relay` or `edge`: the end of the names of its files under infra/deploy.
    short: &'static str,
    summary: &'static str,
    readme: &'static str,
    /// Packages of the workspace that are in it besides: the components that it serves.
    serves: &'static [&'static str],
}

const PROGRAMS: [Program; 2] = [
    Program {
        binary: "relay",
        name: "lifeverse-relay",
        short: "relay",
        summary: "carries voice between the players of a room",
        readme: "media-core/relay/README.md",
        serves: &[],
    },
    Program {
        binary: "edge-host",
        name: "lifeverse-edge",
        short: "edge",
        summary: "signalling, chat and matchmaking on one machine",
        readme: "infra/edge-host/README.md",
        serves: &[
            "signalling-spin",
            "fleet-spin",
            "chat-spin",
            "matchmaking-spin",
            "safety-spin",
            "web-spin",
        ],
    },
];

/// Files that every package has.
const LICENCES: [&str; 3] = ["LICENSE", "LICENSE-APACHE", "LICENSE-MIT"];

/// Where functions/spin.toml looks for components, and where the packages have them.
const SOURCES: (&str, &str) = ("../target/wasm32-wasip2/wasm/", "components/");

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

fn target() -> String {
    format!("{}-unknown-linux-musl", std::env::consts::ARCH)
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

/// What makes two runs give the same bytes.
struct Stamp {
    version: String,
    commit: String,
    /// Time of the commit, seconds since 1970: that of every file.
    epoch: String,
    /// As Debian and OCI call this processor.
    architecture: String,
}

impl Stamp {
    fn read(workspace: &Workspace) -> Result<Self> {
        let git =
            |format: &str| said_by(Command::new("git").args(["log", "-1", format]), workspace);
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: git("--format=%H")?,
            epoch: git("--format=%ct")?,
            architecture: said_by(Command::new("dpkg").arg("--print-architecture"), workspace)?,
        })
    }
}

/// One run: from where to where.
struct Packing<'a> {
    workspace: &'a Workspace,
    /// The folder of the binaries.
    built: PathBuf,
    output: &'a Path,
    stamp: Stamp,
}

impl Packing<'_> {
    /// The name of a program's artefacts, without their ends.
    fn stem(&self, program: &Program) -> String {
        let Stamp {
            version,
            architecture,
            ..
        } = &self.stamp;
        format!("{}-{version}-{architecture}", program.name)
    }

    /// A file of the repository.
    fn source(&self, path: &str) -> PathBuf {
        self.workspace.root.join(path)
    }

    /// A file of infra/deploy.
    fn deploy(&self, path: &str) -> PathBuf {
        self.source("infra/deploy").join(path)
    }

    fn place_binary(&self, program: &Program, to: &Path) -> Result<()> {
        place(&self.built.join(program.binary), to, 0o755)
    }

    fn tarball(&self, program: &Program, tree: &Path) -> Result<()> {
        let name = self.stem(program);
        let parent = fresh(tree)?;
        let folder = parent.join(&name);
        self.place_binary(program, &folder.join(program.name))?;
        for (from, to) in [
            (self.source(program.readme), "README.md".to_owned()),
            (
                self.source("infra/deploy/README.md"),
                "DEPLOY.md".to_owned(),
            ),
            (self.unit(program), format!("{}.service", program.name)),
            (self.settings(program), format!("{}.env", program.short)),
        ] {
            place(&from, &folder.join(to), 0o644)?;
        }
        for licence in LICENCES {
            place(&self.source(licence), &folder.join(licence), 0o644)?;
        }
        if !program.serves.is_empty() {
            self.place_functions(&folder)?;
        }
        let mut tar = files::tar(
            &self.stamp.epoch,
            &self.output.join(format!("{name}.tar.gz")),
        );
        // -n: no time of its own in the header.
        tar.args(["--use-compress-program", "gzip -6n", "--create"])
            .arg("--directory")
            .arg(&parent)
            .arg(&name);
        process::run(&mut tar)
    }

    fn unit(&self, program: &Program) -> PathBuf {
        self.deploy(&format!("systemd/{}.service", program.name))
    }

    /// An example of its settings.
    fn settings(&self, program: &Program) -> PathBuf {
        self.deploy(&format!("systemd/{}.env", program.short))
    }

    /// The manifest and the components that it names, beside each other.
    fn place_functions(&self, folder: &Path) -> Result<()> {
        let manifest = self.source("functions/spin.toml");
        let text =
            fs::read_to_string(&manifest).with_context(|| format!("{}", manifest.display()))?;
        let (text, components) = with_components_beside(&text);
        for component in components {
            let from = self.workspace.served_components().join(&component);
            place(&from, &folder.join(SOURCES.1).join(&component), 0o644)?;
        }
        files::write(&folder.join("spin.toml"), &text, 0o644)
    }
}

/// A manifest whose components are in a folder beside it, and their files.
fn with_components_beside(manifest: &str) -> (String, Vec<String>) {
    let (from, to) = SOURCES;
    let file = |line: &str| {
        let source = line.trim().strip_prefix("source = \"")?.strip_suffix('"')?;
        Some(source.strip_prefix(from)?.to_owned())
    };
    let files = manifest.lines().filter_map(file).collect();
    (manifest.replace(from, to), files)
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

fn said_by(command: &mut Command, workspace: &Workspace) -> Result<String> {
    let output = command
        .current_dir(&workspace.root)
        .output()
        .with_context(|| format!("`{}` does not start", process::line(command)))?;
    if !output.status.success() {
        bail!("`{}` failed ({})", process::line(command), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packaged_manifest_finds_its_components_beside_it() {
        let manifest = include_str!("../../../../functions/spin.toml");
        let (text, files) = with_components_beside(manifest);
        assert!(!text.contains("../target"), "{text}");
        assert!(
            files.contains(&"signalling_spin.wasm".to_owned()),
            "{files:?}"
        );
        let sources = text.matches("source = \"components/").count();
        assert_eq!(sources, files.len());
        // What is listed as part of the edge's package is what it serves.
        let served = PROGRAMS[1].serves.iter();
        let served: Vec<String> = served.map(|it| it.replace('-', "_") + ".wasm").collect();
        assert_eq!(files, served);
    }
}
