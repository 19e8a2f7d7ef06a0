//! Refusals that several requests share.

use std::borrow::Cow;

use edge::Refusal;
use edge::store::StoreError;
use wire::problem::ProblemKind;

pub(super) fn body_invalid(detail: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::new(ProblemKind::BodyInvalid, detail)
}

pub(super) fn conflict() -> Refusal {
    StoreError::ConditionFailed.into()
}

/// He queues up too often, or declined too many matches.
pub(super) fn too_fast(wait_ms: u64) -> Refusal {
    let wait_s = wait_ms.div_ceil(1000);
    let detail = format!(
        "A player of the party queued up too often or declined matches; queue again in {wait_s} s."
    );
    Refusal::new(ProblemKind::TooFast, detail).retry_after(wait_s)
}

/// The ticket is not there any more.
pub(super) fn ended() -> Refusal {
    Refusal::new(
        ProblemKind::TicketExpired,
        "The ticket has ended, or nobody asked for it in time; queue again with a new key.",
    )
}

pub(super) fn unknown_mode() -> Refusal {
    Refusal::new(
        ProblemKind::UnknownMode,
        "Name modes of the queue, or none for all of them.",
    )
}

pub(super) fn not_in_match() -> Refusal {
    Refusal::new(
        ProblemKind::NotInMatch,
        "Only who plays in the match, or watches it, may do this.",
    )
}

pub(super) fn not_running() -> Refusal {
    Refusal::new(
        ProblemKind::MatchNotRunning,
        "The match is over, or not all have accepted it.",
    )
}
