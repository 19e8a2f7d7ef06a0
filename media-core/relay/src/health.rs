//! Whether the relay works, and whether it is fit to be sent somebody. A relay that the fleet does
//! not hear of must not be killed for it: it may carry hundreds who notice nothing.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde::Serialize;
use wire::ShardId;
use wire::limits::SHARD_LIVE_S;

use crate::state::Shard;

/// What `/healthz` and `/readyz` say.
#[derive(Debug, Serialize)]
pub(crate) struct Health {
    status: &'static str,
    faults: Vec<Fault>,
}

/// One reason why the relay is not well.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Fault {
    shard: ShardId,
    reason: &'static str,
}

/// Whether every shard's loop turns: if not, nothing but another process helps.
pub(crate) fn live(shards: &[Shard], now: Instant) -> Health {
    look(shards, |shard, fault| {
        if shard.handle.is_stuck(now) {
            fault("loop-stuck");
        }
    })
}

/// Whether every shard works, the fleet knows it, and it does not drain.
pub(crate) fn ready(shards: &[Shard], now: Instant) -> Health {
    look(shards, |shard, fault| {
        let handle = &shard.handle;
        if handle.is_stuck(now) {
            fault("loop-stuck");
        }
        if handle.draining.load(Ordering::Relaxed) {
            fault("draining");
        }
        match handle.accepted.age(now) {
            None => fault("heartbeat-never-accepted"),
            Some(age) if age > Duration::from_secs(SHARD_LIVE_S) => fault("heartbeat-old"),
            Some(_) => {}
        }
    })
}

fn look(shards: &[Shard], check: impl Fn(&Shard, &mut dyn FnMut(&'static str))) -> Health {
    let mut faults = Vec::new();
    for shard in shards {
        check(shard, &mut |reason| {
            faults.push(Fault {
                shard: shard.handle.id.clone(),
                reason,
            });
        });
    }
    Health {
        status: if faults.is_empty() { "ok" } else { "unhealthy" },
        faults,
    }
}

impl Health {
    /// Whether nothing is wrong.
    pub(crate) fn is_well(&self) -> bool {
        self.faults.is_empty()
    }

    /// The JSON body.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("health has string keys only")
    }
}
