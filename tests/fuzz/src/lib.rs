//! Harnesses of the fuzz targets: bytes in, invariants asserted, no panic.
//!
//! `cargo xtask fuzz TARGET` drives one with libFuzzer (the crate in `fuzz/`); the test
//! `corpora-hold` replays what is committed under `corpus/`.

mod behind;
pub mod control;
pub mod datagrams;
pub mod enrolment;
mod hostile;
pub mod journal;
pub mod messages;
pub mod offer;
mod plain;
mod program;
mod proof;
pub mod requests;
pub mod ticket;

pub use datagrams::sessions;
use relay::SealedProtocol;
use wire::keys::{ShardKey, ShardKeys};
use wire::{BootId, TopicKey};

/// A target: its name, which is its corpus's folder, and what runs one input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("control", control::run),
    ("datagrams", datagrams::run),
    ("enrolment", enrolment::run),
    ("journal", journal::run),
    ("messages", messages::run),
    ("offer", offer::run),
    ("requests", requests::run),
    ("sessions", sessions::run),
    ("ticket", ticket::run),
];

/// The run that everything is sealed for.
const BOOT: BootId = BootId([9; 8]);

/// The keys of the shard that is fuzzed.
fn keys() -> ShardKeys {
    ShardKey::new(0, [5; 32]).subkeys()
}

/// What opens what was sealed for it.
fn protocol() -> SealedProtocol {
    SealedProtocol::new(keys(), BOOT, &"eu".parse().expect("a region"))
}

/// What pushes to the world go to.
fn world() -> TopicKey {
    TopicKey::world(&"eu".parse().expect("a region"))
}
