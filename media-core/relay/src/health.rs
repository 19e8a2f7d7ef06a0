//! Whether the relay is fit to carry voice.

use std::time::{Duration, Instant};

use serde::Serialize;
use wire::ShardId;
use wire::limits::SHARD_LIVE_S;

use crate::state::Shard;

/// What `/healthz` says.
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

/// Looks at every shard.
pub(crate) fn check(shards: &[Shard], now: Instant) -> Health {
    let mut faults = Vec::new();
    for shard in shards {
        let handle = &shard.handle;
        let mut fault = |reason| {
            faults.push(Fault {
                shard: handle.id.clone(),
                reason,
            })
        };
        if handle.is_stuck(now) {
            fault("loop-stuck");
        }
        match handle.accepted.age(now) {
            None => fault("heartbeat-never-accepted"),
            Some(age) if age > Duration::from_secs(SHARD_LIVE_S) => fault("heartbeat-old"),
            Some(_) => {}
        }
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
