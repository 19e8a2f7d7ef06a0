//! The host as its clients see it: one program, because each would link wasmtime again.

#![allow(
    clippy::unwrap_used,
    reason = "a failure in a helper is a failure of its test"
)]

mod support;

mod lifecycle;
mod limits;
mod outbound;
mod serving;
mod sqlite;
mod waiting;
