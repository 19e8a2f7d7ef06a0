//! The host's own refusals.

use bytes::Bytes;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use wire::problem::{MEDIA_TYPE, Problem, ProblemKind};

/// Seconds a refused client is told to wait.
const OVERLOADED_RETRY_AFTER_S: &str = "1";

/// Why the host answered instead of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No route of the manifest matches.
    UnknownRoute,
    /// The route exists, the method does not.
    MethodNotAllowed {
        /// The `Allow` header.
        allow: &'static str,
    },
    /// The request body is over the limit.
    BodyTooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// The client did not send its body in time.
    BodyTooSlow {
        /// The limit.
        limit_ms: u64,
    },
    /// The body ended early or its framing is wrong.
    BodyMalformed,
    /// The request's content does not fit; says what to change.
    Invalid(&'static str),
    /// Every instance is busy.
    Overloaded,
    /// The component used up its time or its fuel.
    Deadline,
    /// The component failed.
    Internal,
}

impl Refusal {
    fn kind(self) -> ProblemKind {
        match self {
            Self::UnknownRoute => ProblemKind::UnknownRoute,
            Self::MethodNotAllowed { .. } => ProblemKind::MethodNotAllowed,
            Self::BodyTooLarge { .. } => ProblemKind::BodyTooLarge,
            Self::BodyTooSlow { .. } | Self::BodyMalformed | Self::Invalid(_) => {
                ProblemKind::BodyInvalid
            }
            Self::Overloaded => ProblemKind::Overloaded,
            Self::Deadline => ProblemKind::Deadline,
            Self::Internal => ProblemKind::Internal,
        }
    }

    /// The outcome in the record.
    pub(crate) fn name(self) -> &'static str {
        self.kind().name()
    }

    fn detail(self) -> String {
        match self {
            Self::UnknownRoute => "Check the path; openapi.json lists what is served.".to_owned(),
            Self::MethodNotAllowed { allow } => format!("Use one of: {allow}."),
            Self::BodyTooLarge { limit_bytes } => {
                format!("Send a body of at most {limit_bytes} bytes.")
            }
            Self::BodyTooSlow { limit_ms } => {
                format!("Send the whole body within {limit_ms} ms of the headers.")
            }
            Self::BodyMalformed => {
                "Send as many bytes as content-length says, or well-formed chunks.".to_owned()
            }
            Self::Invalid(detail) => detail.to_owned(),
            Self::Overloaded => {
                format!("Wait {OVERLOADED_RETRY_AFTER_S} s, as retry-after says, then try again.")
            }
            Self::Deadline => "Send a smaller request, or try again later.".to_owned(),
            Self::Internal => {
                "Try again; if it stays, tell the operator when it happened.".to_owned()
            }
        }
    }

    /// The reply, with CORS so that a page can read it.
    pub(crate) fn response(self) -> Response<Bytes> {
        let problem = Problem::new(self.kind(), self.detail());
        let mut response = Response::new(Bytes::from(problem.to_json()));
        *response.status_mut() =
            StatusCode::from_u16(problem.status).expect("a problem's status is a status");
        let mut set = |name: HeaderName, value: &'static str| {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        };
        set(CONTENT_TYPE, MEDIA_TYPE);
        set(ACCESS_CONTROL_ALLOW_ORIGIN, "*");
        match self {
            Self::Overloaded => set(RETRY_AFTER, OVERLOADED_RETRY_AFTER_S),
            Self::MethodNotAllowed { allow } => set(ALLOW, allow),
            // What is left of the body is not read, so the connection cannot be used again.
            Self::BodyTooLarge { .. } | Self::BodyTooSlow { .. } | Self::BodyMalformed => {
                set(CONNECTION, "close");
            }
            _ => {}
        }
        response
    }
}
