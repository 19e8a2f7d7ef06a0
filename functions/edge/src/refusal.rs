use std::borrow::Cow;

use wire::ids::BadId;
use wire::problem::{Problem, ProblemKind};

use crate::store::StoreError;

/// Why a request is not served: a kind and a sentence that says what to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Which problem.
    pub kind: ProblemKind,
    /// What to change. Holds no secret and nothing of another player.
    pub detail: Cow<'static, str>,
    /// Seconds after which the request may succeed, for the header `retry-after`.
    pub retry_after_s: Option<u64>,
}

impl Refusal {
    /// A refusal of `kind`.
    pub fn new(kind: ProblemKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            retry_after_s: (kind.status() == 503).then_some(1),
        }
    }

    /// The same, worth another try after `seconds`.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        Self {
            retry_after_s: Some(seconds),
            ..self
        }
    }

    /// The variable `name` is missing or wrong. `wanted` says what it should be; the value is
    /// never told.
    pub fn misconfigured(name: &str, wanted: &str) -> Self {
        Self::new(
            ProblemKind::Misconfigured,
            format!("The operator must set the variable {name} to {wanted}."),
        )
    }

    /// The body that the client reads.
    pub fn problem(&self) -> Problem {
        Problem::new(self.kind, self.detail.clone())
    }
}

/// A name in the path or query is not well formed.
impl From<BadId> for Refusal {
    fn from(bad: BadId) -> Self {
        Self::new(ProblemKind::NameInvalid, format!("The address has {bad}."))
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::ConditionFailed => Self::new(
                ProblemKind::Conflict,
                "Others changed the same thing at the same time; send the request again.",
            ),
            StoreError::Unavailable(_) | StoreError::Unreadable(_) => Self::new(
                ProblemKind::StoreUnavailable,
                "The service cannot reach its data; send the request again in a moment.",
            ),
            StoreError::TooLarge => Self::new(
                ProblemKind::Internal,
                "The service tried to keep more than its store takes; tell its operator.",
            ),
        }
    }
}
