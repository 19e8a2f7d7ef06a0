//! What the tests of the matcher share.

pub(crate) mod checker;
pub(crate) mod pools;
pub(crate) mod sets;
