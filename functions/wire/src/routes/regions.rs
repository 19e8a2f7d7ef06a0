//! Home regions: which there are, and which are given up.

use super::{Auth, Class, Function, Route, TOKEN};
use crate::problem::ProblemKind;

const PROBLEMS: &[&[ProblemKind]] = &[
    TOKEN,
    &[
        ProblemKind::OperatorOnly,
        ProblemKind::NameInvalid,
        ProblemKind::Conflict,
    ],
];

/// Shows the regions that share the table.
pub const REGIONS: Route = Route {
    name: "regions",
    function: Function::Fleet,
    method: "GET",
    path: "/v1/regions",
    summary: "Show the home regions, and which are evacuated",
    auth: Auth::Operator,
    class: Class::Operate,
    body: None,
    status: 200,
    problems: &[TOKEN, &[ProblemKind::OperatorOnly]],
};

/// Gives a region up.
pub const EVACUATE: Route = Route {
    name: "evacuate",
    function: Function::Fleet,
    method: "PUT",
    path: "/v1/regions/{region}/evacuation",
    summary: "Evacuate a region: the others take its homes over. ?coming=true: one not known yet",
    auth: Auth::Operator,
    class: Class::Operate,
    body: None,
    status: 200,
    problems: PROBLEMS,
};

/// Takes a region back.
pub const END_EVACUATION: Route = Route {
    name: "end-evacuation",
    function: Function::Fleet,
    method: "DELETE",
    path: "/v1/regions/{region}/evacuation",
    summary: "End a region's evacuation: its homes return",
    auth: Auth::Operator,
    class: Class::Operate,
    body: None,
    status: 200,
    problems: PROBLEMS,
};
