//! What the tests of the matcher share.
#![allow(dead_code, reason = "each file of tests uses a part of it")]

pub(crate) mod checker;
pub(crate) mod pools;
pub(crate) mod sets;
