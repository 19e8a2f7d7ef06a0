//! Leaving in good order: the participants go elsewhere before the process ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::state::{Relay, Shard};

/// Time between two looks at the sessions, which are published a few times a second.
const LOOK: Duration = Duration::from_millis(250);

/// Longest wait until the fleet knows that nobody is to be sent here. One that does not answer
/// does not hold the relay up for longer.
const KNOWN_MAX: Duration = Duration::from_secs(3);

/// Whoever was sent here just before the fleet knew has come after this long.
const LATE: Duration = Duration::from_secs(1);

/// Asks everybody to go elsewhere, and waits until they have.
pub(crate) async fn drain(relay: Arc<Relay>) {
    let before: Vec<u64> = relay.shards.iter().map(accepted).collect();
    for shard in &relay.shards {
        shard.handle.leave();
    }
    tracing::info!("asked to end: participants are moved first");
    let known = async {
        for (shard, before) in relay.shards.iter().zip(before) {
            while accepted(shard) <= before {
                sleep(LOOK).await;
            }
        }
    };
    if timeout(KNOWN_MAX, known).await.is_err() {
        tracing::warn!("the fleet does not take the drain; draining all the same");
    }
    sleep(LATE).await;
    let holds = |shard: &Shard| shard.handle.snapshot().sessions > 0;
    while relay.shards.iter().any(holds) {
        sleep(LOOK).await;
    }
}

/// Sessions that are left.
pub(crate) fn sessions(relay: &Relay) -> u64 {
    let of = |shard: &Shard| u64::from(shard.handle.snapshot().sessions);
    relay.shards.iter().map(of).sum()
}

fn accepted(shard: &Shard) -> u64 {
    shard.handle.heartbeats_accepted.load(Ordering::Relaxed)
}
