//! What is packaged, and one run of it: from where to where.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::files::{self, fresh, place};
use crate::process;
use crate::workspace::Workspace;

/// A program that is packaged.
pub(super) struct Program {
    /// The binary that cargo builds.
    pub(super) binary: &'static str,
    /// What it and its package are called on a machine where other things are called relay too.
    pub(super) name: &'static str,
    /// `relay` or `edge`: the end of the names of its files under infra/deploy.
    pub(super) short: &'static str,
    pub(super) summary: &'static str,
    pub(super) readme: &'static str,
    /// Packages of the workspace that are in it besides: the components that it serves.
    pub(super) serves: &'static [&'static str],
}

pub(super) const PROGRAMS: [Program; 2] = [
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
pub(super) const LICENCES: [&str; 3] = ["LICENSE", "LICENSE-APACHE", "LICENSE-MIT"];

/// Where functions/spin.toml looks for components, and where the packages have them.
const SOURCES: (&str, &str) = ("../target/wasm32-wasip2/wasm/", "components/");

pub(super) fn target() -> String {
    format!("{}-unknown-linux-musl", std::env::consts::ARCH)
}

/// What makes two runs give the same bytes.
pub(super) struct Stamp {
    pub(super) version: String,
    pub(super) commit: String,
    /// Time of the commit, seconds since 1970: that of every file.
    pub(super) epoch: String,
    /// As Debian and OCI call this processor.
    pub(super) architecture: String,
}

impl Stamp {
    pub(super) fn read(workspace: &Workspace) -> Result<Self> {
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
pub(super) struct Packing<'a> {
    pub(super) workspace: &'a Workspace,
    /// The folder of the binaries.
    pub(super) built: PathBuf,
    pub(super) output: &'a Path,
    pub(super) stamp: Stamp,
}

impl Packing<'_> {
    /// The name of a program's artefacts, without their ends.
    pub(super) fn stem(&self, program: &Program) -> String {
        let Stamp {
            version,
            architecture,
            ..
        } = &self.stamp;
        format!("{}-{version}-{architecture}", program.name)
    }

    /// A file of the repository.
    pub(super) fn source(&self, path: &str) -> PathBuf {
        self.workspace.root.join(path)
    }

    /// A file of infra/deploy.
    pub(super) fn deploy(&self, path: &str) -> PathBuf {
        self.source("infra/deploy").join(path)
    }

    pub(super) fn place_binary(&self, program: &Program, to: &Path) -> Result<()> {
        place(&self.built.join(program.binary), to, 0o755)
    }

    pub(super) fn tarball(&self, program: &Program, tree: &Path) -> Result<()> {
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

    pub(super) fn unit(&self, program: &Program) -> PathBuf {
        self.deploy(&format!("systemd/{}.service", program.name))
    }

    /// An example of its settings.
    pub(super) fn settings(&self, program: &Program) -> PathBuf {
        self.deploy(&format!("systemd/{}.env", program.short))
    }

    /// The manifest and the components that it names, beside each other.
    pub(super) fn place_functions(&self, folder: &Path) -> Result<()> {
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

pub(super) fn said_by(command: &mut Command, workspace: &Workspace) -> Result<String> {
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
