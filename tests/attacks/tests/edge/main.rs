//! Attacks on the edge as it runs: edge-host in its own process with the real functions, one file
//! for each finding (issue 19). What each rule is in every case is a test of its function; here the
//! whole host holds while somebody asks as fast as he can.

#![allow(
    clippy::unwrap_used,
    reason = "a failure in a helper is a failure of its test"
)]

mod storm;

#[path = "a-stolen-shard-key.rs"]
mod a_stolen_shard_key;
#[path = "churn-in-a-pool.rs"]
mod churn_in_a_pool;
#[path = "messages-to-strangers.rs"]
mod messages_to_strangers;
#[path = "names-that-are-kinds.rs"]
mod names_that_are_kinds;
#[path = "polls-without-end.rs"]
mod polls_without_end;
#[path = "rooms-that-nobody-enters.rs"]
mod rooms_that_nobody_enters;
#[path = "tokens-for-ever.rs"]
mod tokens_for_ever;

use attacks::Scale;
use scenarios::hosts::{self, Host};
use tokio::sync::{Mutex, MutexGuard};

/// Held by the attack that runs.
async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}

/// An edge that nobody else attacks meanwhile, and how large the attack is.
async fn attacked() -> (Host, Scale, MutexGuard<'static, ()>) {
    let alone = alone().await;
    (hosts::edge_host().await.unwrap(), Scale::wanted(), alone)
}
