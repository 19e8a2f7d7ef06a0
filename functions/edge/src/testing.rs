//! For tests of this and other crates: the in-memory store, one with the limits of DynamoDB, the
//! suite that every store passes, a scheduler that interleaves tasks by a seed, a host with the
//! ports of every function, ports with fixed answers, and calls.

pub mod calls;
pub mod conformance;
mod faults;
mod fixed;
pub mod host;
pub mod imds;
mod limited;
mod memory;
mod replicas;
pub mod schedule;
pub mod stored;
pub mod sts;

pub use faults::FaultyStore;
pub use fixed::{CountingEntropy, FixedVariables, Patience};
pub use limited::{LimitedStore, READS_PER_S, Units, WRITES_PER_S};
pub use memory::MemoryStore;
pub use replicas::{Replica, Replicas};
