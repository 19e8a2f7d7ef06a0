//! Batched UDP syscalls.
