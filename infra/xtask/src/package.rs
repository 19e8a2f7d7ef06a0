//! `cargo xtask package`: what a user would rather download than build. Static tarballs and Debian
//! packages of relay and edge host, the browser SDK, and their sums.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cli::Parsed;
use crate::workspace::Workspace;
use crate::{components, install, process};

/// A program that is packaged.
struct Program {
    /// The binary that cargo builds.
    binary: &'static str,
    /// What it and its package are called on a machine where other things are called relay too.
    name: &'static str,
    summary: &'static str,
    readme: &'static str,
    /// Whether it serves the components, which come with it.
    serves: bool,
}

const PROGRAMS: [Program; 2] = [
    Program {
        binary: "relay",
        name: "lifeverse-relay",
        summary: "carries voice between the players of a room",
        readme: "media-core/relay/README.md",
        serves: false,
    },
    Program {
        binary: "edge-host",
        name: "lifeverse-edge",
        summary: "signalling, chat and matchmaking on one machine",
        readme: "infra/edge-host/README.md",
        serves: true,
    },
];

/// Files that every package has.
const LICENCES: [&str; 3] = ["LICENSE", "LICENSE-APACHE", "LICENSE-MIT"];

/// Where functions/spin.toml looks for components, and where the packages have them.
const SOURCES: (&str, &str) = ("../target/wasm32-wasip2/wasm/", "components/");

/// Builds everything into target/package and prints what is there.
///
/// # Errors
/// When something does not build or a tool is missing.
pub(crate) fn run(workspace: &Workspace, parsed: &Parsed) -> Result<()> {
    let profile = parsed.get("--profile").unwrap_or("release");
    if !matches!(profile, "release" | "dev") {
        bail!("--profile `{profile}` is not release or dev");
    }
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    build(workspace, profile, &target)?;
    let output = workspace.target.join("package");
    // What an earlier version left would be summed up too.
    let _ = fs::remove_dir_all(&output);
    fs::create_dir_all(&output).with_context(|| format!("{}", output.display()))?;
    let folder = if profile == "dev" { "debug" } else { profile };
    let built = workspace.target.join(&target).join(folder);
    let stamp = Stamp::read(workspace)?;
    for program in &PROGRAMS {
        let tree = workspace.target.join("package-tree").join(program.name);
        tarball(workspace, program, &built, &tree, &output, &stamp)?;
        debian(workspace, program, &built, &tree, &output, &stamp)?;
    }
    sdk(workspace, &output)?;
    sums(&output)
}

/// Static binaries: they run on every Linux of this processor, whatever its C library.
fn build(workspace: &Workspace, profile: &str, target: &str) -> Result<()> {
    install::target(workspace, target, "packages hold static binaries")?;
    install::musl(std::env::consts::ARCH)?;
    components::build(workspace)?;
    let compiler = format!("CC_{}", target.replace('-', "_"));
    let mut command = workspace.cargo(&["build", "--profile", profile, "--target", target]);
    for program in &PROGRAMS {
        command.args(["--package", program.binary, "--bin", program.binary]);
    }
    process::run(command.env(compiler, "musl-gcc"))
}

/// What makes two runs give the same bytes.
struct Stamp {
    version: String,
    /// Time of the commit, seconds since 1970: that of every file.
    epoch: String,
    architecture: String,
}

impl Stamp {
    fn read(workspace: &Workspace) -> Result<Self> {
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: said_by(
                Command::new("git").args(["log", "-1", "--format=%ct"]),
                workspace,
            )?,
            architecture: said_by(Command::new("dpkg").arg("--print-architecture"), workspace)?,
        })
    }
}

fn tarball(
    workspace: &Workspace,
    program: &Program,
    built: &Path,
    tree: &Path,
    output: &Path,
    stamp: &Stamp,
) -> Result<()> {
    let name = format!("{}-{}-{}", program.name, stamp.version, stamp.architecture);
    let parent = tree.join("tar");
    let folder = fresh(&parent)?.join(&name);
    place(
        &built.join(program.binary),
        &folder.join(program.name),
        0o755,
    )?;
    place(
        &workspace.root.join(program.readme),
        &folder.join("README.md"),
        0o644,
    )?;
    place_unit(workspace, program, &folder)?;
    for licence in LICENCES {
        place(&workspace.root.join(licence), &folder.join(licence), 0o644)?;
    }
    if program.serves {
        place_functions(workspace, &folder)?;
    }
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner"])
        .arg(format!("--mtime=@{}", stamp.epoch))
        // -n: no time of its own in the header.
        .args(["--use-compress-program", "gzip -9n", "--create", "--file"])
        .arg(output.join(format!("{name}.tar.gz")))
        .arg("--directory")
        .arg(&parent)
        .arg(&name);
    process::run(&mut tar)
}

fn debian(
    workspace: &Workspace,
    program: &Program,
    built: &Path,
    tree: &Path,
    output: &Path,
    stamp: &Stamp,
) -> Result<()> {
    let root = fresh(&tree.join("deb"))?;
    let usr = root.join("usr");
    place(
        &built.join(program.binary),
        &usr.join("bin").join(program.name),
        0o755,
    )?;
    let documents = usr.join("share/doc").join(program.name);
    place(
        &workspace.root.join(program.readme),
        &documents.join("README.md"),
        0o644,
    )?;
    place(
        &workspace.root.join("LICENSE"),
        &documents.join("copyright"),
        0o644,
    )?;
    place_unit(workspace, program, &root.join("lib/systemd/system"))?;
    if program.serves {
        place_functions(workspace, &usr.join("share").join(program.name))?;
    }
    let control = root.join("DEBIAN");
    fs::create_dir_all(&control).with_context(|| format!("{}", control.display()))?;
    fs::write(control.join("control"), control_file(program, stamp))?;
    let mut command = Command::new("dpkg-deb");
    command
        .args(["--build", "--root-owner-group"])
        .arg(&root)
        .arg(output)
        .env("SOURCE_DATE_EPOCH", &stamp.epoch);
    process::run(&mut command)
}

fn control_file(program: &Program, stamp: &Stamp) -> String {
    format!(
        "Package: {}\nVersion: {}\nArchitecture: {}\nMaintainer: LifeVerse Voice \
         <voice@lifeverse.example>\nSection: net\nPriority: optional\nRecommends: \
         ca-certificates\nDescription: LifeVerse Voice: {}\n A static binary and its systemd unit; \
         see README.md in /usr/share/doc.\n",
        program.name, stamp.version, stamp.architecture, program.summary
    )
}

fn place_unit(workspace: &Workspace, program: &Program, folder: &Path) -> Result<()> {
    let unit = format!("{}.service", program.name);
    let from = workspace.root.join("infra/deploy/systemd").join(&unit);
    place(&from, &folder.join(unit), 0o644)
}

/// The manifest and the components that it names, beside each other.
fn place_functions(workspace: &Workspace, folder: &Path) -> Result<()> {
    let manifest = workspace.root.join("functions/spin.toml");
    let text = fs::read_to_string(&manifest).with_context(|| format!("{}", manifest.display()))?;
    let (text, components) = with_components_beside(&text);
    for component in components {
        let from = workspace.served_components().join(&component);
        place(&from, &folder.join(SOURCES.1).join(&component), 0o644)?;
    }
    fs::write(folder.join("spin.toml"), text).with_context(|| format!("{}", folder.display()))
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
    process::run(&mut command)
}

/// SHA256SUMS, in the form that `sha256sum --check` reads.
fn sums(output: &Path) -> Result<()> {
    let mut names: Vec<String> = fs::read_dir(output)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    names.sort();
    let made = Command::new("sha256sum")
        .arg("--")
        .args(&names)
        .current_dir(output)
        .output()
        .context("sha256sum does not start")?;
    if !made.status.success() {
        bail!("sha256sum failed ({})", made.status);
    }
    fs::write(output.join("SHA256SUMS"), made.stdout)?;
    println!("{}:", output.display());
    for name in names {
        let bytes = fs::metadata(output.join(&name))?.len();
        println!("{:>7} kB  {name}", bytes.div_ceil(1000));
    }
    Ok(())
}

/// An empty folder.
fn fresh(folder: &Path) -> Result<PathBuf> {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
    Ok(folder.to_owned())
}

/// Copies a file and sets its mode, whatever the umask is.
fn place(from: &Path, to: &Path, mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = to.parent().expect("it is in a folder");
    fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
    fs::copy(from, to).with_context(|| format!("{} is not built", from.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode))
        .with_context(|| format!("{}", to.display()))
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
        let manifest = include_str!("../../../functions/spin.toml");
        let (text, files) = with_components_beside(manifest);
        assert!(!text.contains("../target"), "{text}");
        assert!(
            files.contains(&"signalling_spin.wasm".to_owned()),
            "{files:?}"
        );
        let sources = text.matches("source = \"components/").count();
        assert_eq!(sources, files.len());
    }

    #[test]
    fn a_control_file_has_what_dpkg_wants() {
        let stamp = Stamp {
            version: "1.2.3".into(),
            epoch: "0".into(),
            architecture: "amd64".into(),
        };
        let text = control_file(&PROGRAMS[0], &stamp);
        for line in [
            "Package: lifeverse-relay",
            "Version: 1.2.3",
            "Architecture: amd64",
        ] {
            assert!(text.lines().any(|has| has == line), "{text}");
        }
        assert!(text.ends_with(".\n") && !text.contains("\n\n"), "{text}");
    }
}
