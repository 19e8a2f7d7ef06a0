//! Matchmaking: rule sets as data, the matcher, and ratings after a result.
//!
//! Everything here is a pure function: no I/O, no clock, no randomness but a seed. The shell that
//! keeps tickets in a store calls [`form`] with what it read and writes down what comes back.
//! `RULES.md` beside this crate is the reference of the rule sets, for game designers.

pub mod flexmatch;
pub mod matcher;
pub mod ratings;
pub mod rules;
pub mod ticket;

pub use matcher::{Match, Outcome, Region, Waiting, World, form};
pub use rules::{Fault, RuleSet};
pub use ticket::{AttributeValue, Player, Rating, Ticket};
