//! What the steps came to.

use std::time::Duration;

use super::count::Count;

/// What came of one step.
pub(super) struct Outcome {
    pub(super) step: &'static str,
    pub(super) count: Count,
    pub(super) error: Option<String>,
    pub(super) took: Duration,
}
