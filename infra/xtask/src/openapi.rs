//! `cargo xtask openapi`: the document that `wire` generates, written or compared.

use anyhow::Result;

use crate::process;
use crate::workspace::Workspace;

/// Writes the document; with `check` fails when the file is not what the code says.
pub(crate) fn run(workspace: &Workspace, check: bool) -> Result<()> {
    let mut command = workspace.cargo(&["run", "--quiet", "--package", "wire"]);
    command.args(["--features", "schema", "--bin", "openapi"]);
    if check {
        command.args(["--", "--check"]);
    }
    process::run(&mut command)
}
