//! Where things are, and what `cargo metadata` says of the workspace.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process;

/// The target that components are built for.
pub(crate) const WASM_TARGET: &str = "wasm32-wasip2";

/// The workspace's folders.
pub(crate) struct Workspace {
    /// The folder of the root manifest.
    pub(crate) root: PathBuf,
    /// Where cargo builds, as an absolute path.
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// The workspace that holds the current directory, so that a copy of the repository runs its
    /// own code; the one that xtask was built in otherwise.
    pub(crate) fn find() -> Result<Self> {
        let built_in = Path::new(env!("CARGO_MANIFEST_DIR"));
        let here = std::env::current_dir().context("the current directory is gone")?;
        let root = here
            .ancestors()
            .chain(built_in.ancestors())
            .find(|folder| folder.join("infra/xtask/Cargo.toml").is_file())
            .context("no folder above holds infra/xtask; run this inside the repository")?
            .to_owned();
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => here.join(folder),
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// A cargo command that runs in the root.
    pub(crate) fn cargo(&self, args: &[&str]) -> Command {
        let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(program);
        command.args(args).current_dir(&self.root);
        command
    }

    /// A cargo command that takes only time that nothing else wants.
    pub(crate) fn cargo_at_leisure(&self, args: &[&str]) -> Command {
        let cargo = self.cargo(args);
        let mut command = Command::new("nice");
        command
            .args(["-n", "19"])
            .arg(cargo.get_program())
            .args(cargo.get_args())
            .current_dir(&self.root);
        command
    }

    /// A cargo command that builds some binaries, with the features that the whole workspace asks
    /// of its dependencies: with others, what the tests have built would be built again.
    pub(crate) fn build_binaries(&self, names: &[&str]) -> Command {
        let mut command = self.cargo(&["build", "--workspace"]);
        for name in names {
            command.args(["--bin", name]);
        }
        command
    }

    /// Downloads every crate that is built for this machine or for components, so that the time for
    /// it is not taken for time to build.
    ///
    /// # Errors
    /// No network, or a lock file that does not fit the manifests.
    pub(crate) fn fetch(&self) -> Result<()> {
        let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        process::run(&mut self.cargo(&["fetch", "--target", &host, "--target", WASM_TARGET]))
    }

    /// `cargo metadata`, with the resolved graph or without.
    pub(crate) fn metadata(&self, with_graph: bool) -> Result<Value> {
        let no_graph: &[&str] = &["--no-deps"];
        self.metadata_with(if with_graph { &[] } else { no_graph })
    }

    /// `cargo metadata`, with the resolved graph of one target.
    pub(crate) fn metadata_of(&self, target: &str) -> Result<Value> {
        self.metadata_with(&["--filter-platform", target])
    }

    fn metadata_with(&self, args: &[&str]) -> Result<Value> {
        let mut command = self.cargo(&["metadata", "--format-version", "1"]);
        let output = command
            .args(args)
            .output()
            .context("cargo does not start")?;
        if !output.status.success() {
            bail!(
                "cargo metadata: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        serde_json::from_slice(&output.stdout).context("cargo metadata did not print JSON")
    }

    /// A binary of the dev profile.
    pub(crate) fn binary(&self, name: &str) -> PathBuf {
        self.target.join("debug").join(name)
    }

    /// Secrets, state and logs of a development run.
    pub(crate) fn dev(&self) -> PathBuf {
        self.target.join("dev")
    }

    /// The folder in which functions/spin.toml looks for components.
    pub(crate) fn served_components(&self) -> PathBuf {
        self.root.join("target/wasm32-wasip2/wasm")
    }
}

/// The text at `key` of a metadata object; empty when there is none.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// The array at `key`; empty when there is none.
pub(crate) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}
