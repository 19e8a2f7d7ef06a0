//! Reports as they are kept, with the channel that they are about.

use edge::stored;
use serde::{Deserialize, Serialize};
use wire::chat::Report;

/// A report as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    #[serde(flatten)]
    pub(crate) report: Report,
    /// Partition and sort key of its place in the queue, also when it is settled.
    #[serde(default, rename = "q", skip_serializing_if = "Option::is_none")]
    pub(crate) queued: Option<(String, String)>,
}

stored!(report: Kept);

/// The partition of a channel's reports.
pub(crate) fn reports_partition(place: &str) -> String {
    format!("chat-report#{place}")
}
