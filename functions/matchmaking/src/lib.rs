//! Matchmaking: rule sets as data, the matcher, and ratings after a result.
//!
//! The matcher is a pure function: no I/O, no clock, no randomness but a seed. The shell, a
//! function of its ports, keeps tickets in the store, calls [`form`] with what it read and writes
//! down what comes back.
//! `RULES.md` beside this crate is the reference of the rule sets, for game designers.

#![allow(
    async_fn_in_trait,
    reason = "generic over ports, see Send in the crate edge"
)]

pub mod flexmatch;
pub mod matcher;
pub mod ratings;
pub mod rules;
mod shell;
pub mod ticket;

pub use matcher::{Match, Outcome, Region, Waiting, World, form};
pub use rules::{Fault, RuleSet};
pub use shell::{Ports, handle};
pub use ticket::{AttributeValue, Player, QueueTicket, Rating};
