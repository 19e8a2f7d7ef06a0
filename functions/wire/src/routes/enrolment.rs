//! Routes by which relays join the fleet.

use super::{Auth, Class, Function, JSON, Route, TOKEN};
use crate::problem::ProblemKind;

/// Lets a relay in.
pub const ENROL: Route = Route {
    name: "enrol",
    function: Function::Fleet,
    method: "POST",
    path: "/v1/relays/enrolment",
    summary: "Join the fleet with a proof; the reply has the relay's keys",
    auth: Auth::Proof,
    class: Class::Operate,
    body: Some(JSON),
    status: 201,
    problems: &[&[
        ProblemKind::BodyInvalid,
        ProblemKind::ProofInvalid,
        ProblemKind::ProofExpired,
        ProblemKind::ProofUsed,
        ProblemKind::EnrolmentRefused,
        ProblemKind::RelayEnrolled,
        ProblemKind::IdentityUnavailable,
        ProblemKind::Conflict,
    ]],
};

/// Makes a token.
pub const MAKE_ENROLMENT_TOKEN: Route = Route {
    name: "make-enrolment-token",
    function: Function::Fleet,
    method: "POST",
    path: "/v1/relays/enrolment-tokens",
    summary: "Make a token by which one relay may join the fleet",
    auth: Auth::Operator,
    class: Class::Operate,
    body: Some(JSON),
    status: 201,
    problems: &[
        TOKEN,
        &[
            ProblemKind::OperatorOnly,
            ProblemKind::BodyInvalid,
            ProblemKind::LimitReached,
            ProblemKind::Conflict,
        ],
    ],
};

/// Lists tokens.
pub const ENROLMENT_TOKENS: Route = Route {
    name: "enrolment-tokens",
    function: Function::Fleet,
    method: "GET",
    path: "/v1/relays/enrolment-tokens",
    summary: "List the enrolment tokens, used ones too",
    auth: Auth::Operator,
    class: Class::Operate,
    body: None,
    status: 200,
    problems: &[TOKEN, &[ProblemKind::OperatorOnly]],
};

/// Takes a token back.
pub const REVOKE_ENROLMENT_TOKEN: Route = Route {
    name: "revoke-enrolment-token",
    function: Function::Fleet,
    method: "DELETE",
    path: "/v1/relays/enrolment-tokens/{enrolment}",
    summary: "Take an enrolment token back",
    auth: Auth::Operator,
    class: Class::Operate,
    body: None,
    status: 204,
    problems: &[
        TOKEN,
        &[
            ProblemKind::OperatorOnly,
            ProblemKind::NameInvalid,
            ProblemKind::UnknownEnrolment,
        ],
    ],
};

/// Shows how a relay joined.
pub const ENROLMENT: Route = Route {
    name: "enrolment",
    function: Function::Fleet,
    method: "GET",
    path: "/v1/relays/{shard}/enrolment",
    summary: "Show how a relay joined the fleet",
    auth: Auth::Operator,
    class: Class::Operate,
    body: None,
    status: 200,
    problems: &[
        TOKEN,
        &[
            ProblemKind::OperatorOnly,
            ProblemKind::NameInvalid,
            ProblemKind::UnknownEnrolment,
        ],
    ],
};

/// Forgets how a relay joined, so that another may have its name.
pub const FORGET_ENROLMENT: Route = Route {
    name: "forget-enrolment",
    function: Function::Fleet,
    method: "DELETE",
    path: "/v1/relays/{shard}/enrolment",
    summary: "Forget an enrolled relay, so that its name is free",
    auth: Auth::Operator,
    class: Class::Operate,
    body: None,
    status: 204,
    problems: &[
        TOKEN,
        &[
            ProblemKind::OperatorOnly,
            ProblemKind::NameInvalid,
            ProblemKind::UnknownEnrolment,
            ProblemKind::Conflict,
        ],
    ],
};
