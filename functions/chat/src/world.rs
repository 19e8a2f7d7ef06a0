//! Telling those who read a world channel: they are on any shard of its region.

use std::pin::Pin;
use std::task::Poll;

use chat_channel::way::Way;
use edge::directory;
use edge::relays::Secrets;
use edge::store::Store;
use wire::chat::{ChatChannel, ChatEvent};
use wire::control::PushTarget;
use wire::{RegionName, TopicKey};

use crate::Ports;
use crate::push::{push_text, send};
use crate::said::Said;

/// Pushes `event` to every live shard of the region.
pub(crate) async fn push<H: Ports, S: Store>(
    host: &H,
    store: &S,
    secrets: &Secrets,
    now_ms: u64,
    (region, event): (&RegionName, ChatEvent),
    said: &Said,
) {
    let shards = directory::shards(store, now_ms, region).await;
    let live = shards
        .unwrap_or_default()
        .into_iter()
        .filter(|shard| shard.live);
    let topic = TopicKey::world(region);
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
    let channel = ChatChannel::World(region.clone());
    let text = push_text(&channel, event, said.blocked.len());
    let posts = ways.iter().map(|(way, target)| {
        let author = said.author(secrets, way.epoch);
        send(host, secrets, way, (*target, &text, author))
    });
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
