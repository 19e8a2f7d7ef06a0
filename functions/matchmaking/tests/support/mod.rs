//! What the tests of the matcher share.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]
#![allow(dead_code, reason = "each file of tests uses a part of it")]

pub(crate) mod checker;
pub(crate) mod pools;
pub(crate) mod sets;
