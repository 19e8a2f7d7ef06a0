//! Halls of world channels: which there are, and telling those who read one. They are on any shard
//! of its bucket.

use std::pin::Pin;
use std::task::Poll;

use chat_channel::way::Way;
use edge::Refusal;
use edge::directory;
use edge::relays::Secrets;
use edge::store::Store;
use wire::Hall;
use wire::chat::{ChatChannel, ChatEvent};
use wire::control::PushTarget;

use crate::Ports;
use crate::push::{push_text, send};

/// Refuses a hall that its region does not have: nobody is there, and no moderator looks there.
pub(crate) async fn check<S: Store>(
    store: &S,
    now_ms: u64,
    channel: &ChatChannel,
) -> Result<(), Refusal> {
    match channel {
        ChatChannel::World(hall) => directory::check_hall(store, now_ms, hall).await,
        _ => Ok(()),
    }
}

/// Pushes `event` to every live shard of the hall.
pub(crate) async fn push<H: Ports, S: Store>(
    host: &H,
    store: &S,
    secrets: &Secrets,
    now_ms: u64,
    (hall, event): (&Hall, ChatEvent),
) {
    let shards = directory::shards_of_hall(store, now_ms, hall).await;
    let live = shards
        .unwrap_or_default()
        .into_iter()
        .filter(|shard| shard.live);
    let topic = hall.topic();
    let target = |reads: u8| match reads {
        0..2 => PushTarget::World,
        _ => PushTarget::Topic { topic },
    };
    let ways: Vec<(Way, PushTarget)> = live
        .map(|shard| {
            let target = target(shard.record.heartbeat.ticket_version);
            (Way::to(&shard.record, None, now_ms), target)
        })
        .collect();
    let text = push_text(&ChatChannel::World(hall.clone()), event);
    let posts = ways
        .iter()
        .map(|(way, target)| send(host, secrets, way, (*target, &text)));
    join_all(posts.collect()).await;
}

/// Polls all to their end.
async fn join_all<F: Future<Output = bool>>(futures: Vec<F>) {
    let mut running: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    std::future::poll_fn(move |context| {
        running.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if running.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}
