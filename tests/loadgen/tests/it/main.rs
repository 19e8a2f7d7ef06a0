//! Swarms on a real relay: one program, because each would link it again.

#![allow(
    clippy::unwrap_used,
    reason = "a failure in a helper is a failure of its test"
)]

#[path = "a-swarm-joins-through-the-edge.rs"]
mod a_swarm_joins_through_the_edge;
#[path = "a-swarm-talks-and-listens.rs"]
mod a_swarm_talks_and_listens;
