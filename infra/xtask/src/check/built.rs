//! The build that all steps of a run share.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{components, install, process};

/// Components and every Rust target, in one set of features: a second build of a part of the
/// workspace would compile its dependencies again with others.
///
/// Once in a run: all of its steps test the same build, and none waits for the locks of another.
pub(super) fn build_all(workspace: &Workspace) -> Result<()> {
    if is_built() {
        return Ok(());
    }
    components::build(workspace)?;
    install::cmake(workspace)?;
    process::run(&mut workspace.cargo(&["build", "--workspace", "--all-targets"]))?;
    BUILT.store(true, Ordering::Relaxed);
    Ok(())
}

static BUILT: AtomicBool = AtomicBool::new(false);

/// Whether this run has built the whole workspace.
pub(super) fn is_built() -> bool {
    BUILT.load(Ordering::Relaxed)
}
