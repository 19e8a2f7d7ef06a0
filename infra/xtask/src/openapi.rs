//! `cargo xtask openapi`: the document that `wire` generates, written or compared.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::workspace::Workspace;

/// Where the document is kept.
const DOCUMENT: &str = "functions/wire/openapi.json";

/// Writes the document, or with `check` compares it with what is there.
pub(crate) fn run(workspace: &Workspace, check: bool) -> Result<()> {
    let mut command = workspace.cargo(&["run", "--quiet", "--package", "wire"]);
    command.args(["--features", "schema", "--bin", "openapi"]);
    let output = command.output().context("cargo does not start")?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed: {}", process::line(&command), error.trim());
    }
    let generated = String::from_utf8(output.stdout).context("the document is not UTF-8")?;
    serde_json::from_str::<serde_json::Value>(&generated).context("the document is not JSON")?;
    let file = workspace.root.join(DOCUMENT);
    if !check {
        fs::write(&file, generated).with_context(|| DOCUMENT.to_owned())?;
        println!("wrote {DOCUMENT}");
        return Ok(());
    }
    let kept = fs::read_to_string(&file).with_context(|| DOCUMENT.to_owned())?;
    match first_difference(&kept, &generated) {
        None => println!("{DOCUMENT} is current"),
        Some(line) => bail!(
            "{DOCUMENT} is not what the code says, from line {line} on; \
             run `cargo xtask openapi` and commit the file"
        ),
    }
    Ok(())
}

/// The first line, from 1, in which two texts differ.
fn first_difference(a: &str, b: &str) -> Option<usize> {
    if a == b {
        return None;
    }
    let same = a.lines().zip(b.lines()).take_while(|(a, b)| a == b).count();
    Some(same + 1)
}

#[cfg(test)]
mod tests {
    use super::first_difference;

    #[test]
    fn the_first_different_line_is_named() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nb\n", "a\nc\n"), Some(2));
        assert_eq!(first_difference("a\n", "a\nb\n"), Some(2));
        assert_eq!(first_difference("a\n", "a"), Some(2));
    }
}
