//! `cargo xtask tidy`: the architecture, checked by machine.
//!
//! One module per kind of rule; each rule is a function from text to violations, so that a test can
//! show a sample on which it fires. All exceptions are in [`exceptions`], each with its reason.

mod circles;
mod edges;
mod exceptions;
mod layout;
mod manifest;
mod profile;
mod readme;
mod source;
mod text;
mod violation;

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;
pub(crate) use violation::Violation;

/// Checks every rule; the exceptions are taken off.
pub(crate) fn check(workspace: &Workspace) -> Result<Vec<Violation>> {
    let (mut found, mut rust, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    for path in repository_files(workspace)? {
        // Deleted but not yet committed, or not text: nothing to read.
        let Ok(content) = std::fs::read_to_string(workspace.root.join(&path)) else {
            continue;
        };
        found.extend(layout::check(&path, &content));
        found.extend(text::check(&path, &content));
        lines.push((path.clone(), content.lines().count()));
        if path.ends_with(".rs") {
            rust.push((path, content));
        }
    }
    found.extend(circles::check(&rust));
    found.extend(readme::check(&lines));
    let metadata = workspace.metadata(true)?;
    found.extend(edges::check(&metadata));
    found.extend(manifest::check(workspace, &metadata)?);
    found.extend(profile::check(workspace, &metadata)?);
    let mut kept = exceptions::apply(exceptions::EXCEPTIONS, found);
    kept.sort();
    Ok(kept)
}

/// What git tracks, and what it would: a new file is checked before it is committed.
fn repository_files(workspace: &Workspace) -> Result<Vec<String>> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(&workspace.root)
        .output()
        .context("git does not start")?;
    if !output.status.success() {
        bail!(
            "git ls-files: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let list = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
    Ok(list.split_terminator('\0').map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_prints_as_a_place_that_editors_open() {
        let mut violation = Violation {
            place: "a/b.rs".into(),
            line: 7,
            rule: "columns",
            message: "101 columns".into(),
        };
        assert_eq!(violation.to_string(), "a/b.rs:7: columns: 101 columns");
        violation.line = 0;
        assert_eq!(violation.to_string(), "a/b.rs: columns: 101 columns");
    }
}
