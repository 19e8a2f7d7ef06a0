//! Telling the members of a channel over their relay. Whatever goes wrong here loses nothing: the
//! message is in the store and has a number.

use std::pin::{Pin, pin};
use std::task::Poll;

use edge::directory;
use edge::relays::{self, Address, Outcome};
use edge::store::Store;
use wire::channel::RelayMessage;
use wire::chat::{ChatChannel, ChatEvent};
use wire::control::{ControlCommand, PushTarget};
use wire::limits::MAX_MESSAGE_BYTES;
use wire::{ChannelKey, RoomKey, TopicKey};

use crate::Ports;
use crate::access::{Chat, Place};
use crate::author::Author;
use crate::presence;
use crate::route::Route;

/// How long a route is used without being looked up again, in milliseconds. After a room has
/// moved, a push may miss it for so long.
const ROUTE_MS: u64 = 30_000;
/// How long a room without a relay is taken to have none, in milliseconds.
const NO_ROUTE_MS: u64 = 10_000;
/// Longest time that a push may take of a request, in milliseconds.
const PUSH_MS: u64 = 500;

impl<H: Ports, S: Store> Chat<'_, H, S> {
    /// Looks the route up when the author's is old. Called before the author is written.
    pub(crate) async fn refresh_route(&self, place: &Place, author: &mut Author) {
        let until_ms = author
            .route
            .as_ref()
            .map_or(author.no_route_until_ms, |route| route.until_ms);
        if until_ms <= self.now_ms {
            author.route = self.find_route(place).await;
            let is_none = u64::from(author.route.is_none());
            author.no_route_until_ms = is_none * (self.now_ms + NO_ROUTE_MS);
        }
    }

    async fn find_route(&self, place: &Place) -> Option<Route> {
        let (room, of_other) = match &place.channel {
            ChatChannel::Room(room, _) | ChatChannel::Party(room) => (room.clone(), None),
            ChatChannel::Direct(other) => {
                let room = presence::room_of(self, other).await?;
                (room.clone(), Some(room))
            }
            ChatChannel::World(_) => return None,
        };
        let seat = directory::seat(self.store, self.now_ms, &room)
            .await
            .ok()??;
        Some(Route::to(&seat.shard, of_other, self.now_ms + ROUTE_MS))
    }

    /// Pushes `event` to the other members of the channel.
    pub(crate) async fn push(&self, place: &Place, author: &mut Author, event: ChatEvent) {
        if let ChatChannel::World(region) = &place.channel {
            let shards = directory::shards(self.store, self.now_ms, region).await;
            let live = shards
                .unwrap_or_default()
                .into_iter()
                .filter(|shard| shard.live);
            let topic = TopicKey::world(region);
            let target = |reads: u8| match reads {
                0..2 => PushTarget::World,
                _ => PushTarget::Topic { topic },
            };
            let routes: Vec<(Route, PushTarget)> = live
                .map(|shard| {
                    let target = target(shard.record.heartbeat.ticket_version);
                    (Route::to(&shard.record, None, self.now_ms), target)
                })
                .collect();
            let text = push_text(&place.channel, event);
            let posts = routes
                .iter()
                .map(|(route, target)| self.send(route, *target, &text));
            join_all(posts.collect()).await;
            return;
        }
        let (Some(route), channel) = (&author.route, self.channel_of_others(place)) else {
            return;
        };
        let text = push_text(&channel, event);
        let Some(target) = self.target(place, route) else {
            return;
        };
        if self.send(route, target, &text).await {
            return;
        }
        // The shard is gone, or runs anew.
        let used = author.route.take();
        author.route = self.find_route(place).await;
        let same = |a: &Route, b: &Route| (&a.shard, a.boot) == (&b.shard, b.boot);
        if let Some(route) = &author.route
            && used.as_ref().is_none_or(|used| !same(used, route))
            && let Some(target) = self.target(place, route)
        {
            self.send(route, target, &text).await;
        }
    }

    /// The channel as those address it who get the push.
    fn channel_of_others(&self, place: &Place) -> ChatChannel {
        match &place.channel {
            ChatChannel::Direct(_) => ChatChannel::Direct(self.me().clone()),
            other => other.clone(),
        }
    }

    /// Who gets it of those to whom `route` leads; nobody where it does not say in which room the
    /// other player is.
    fn target(&self, place: &Place, route: &Route) -> Option<PushTarget> {
        Some(match &place.channel {
            ChatChannel::Room(room, channel) => PushTarget::Channel {
                room: RoomKey::of(room),
                channel: ChannelKey::of(room, channel),
            },
            ChatChannel::Party(room) => PushTarget::Room {
                room: RoomKey::of(room),
            },
            ChatChannel::Direct(other) => PushTarget::Player {
                room: RoomKey::of(route.room.as_ref()?),
                player: self.players.player_key(other, route.epoch & 0x0f),
            },
            // Told to every shard of a region, and no route leads there.
            ChatChannel::World(_) => return None,
        })
    }

    /// Whether the relay took it.
    async fn send(&self, route: &Route, to: PushTarget, message: &str) -> bool {
        let address = Address {
            shard: &route.shard,
            boot: route.boot,
            epoch: route.epoch,
            url: &route.url,
        };
        let command = ControlCommand::Push {
            to,
            message: message.to_owned(),
        };
        let mut sent = pin!(relays::send(self.host, &self.control, address, command));
        let mut timeout = pin!(self.host.sleep(PUSH_MS));
        std::future::poll_fn(|context| {
            if let Poll::Ready(outcome) = sent.as_mut().poll(context) {
                return Poll::Ready(outcome == Outcome::Taken);
            }
            timeout.as_mut().poll(context).map(|()| false)
        })
        .await
    }
}

/// The data-channel message; only its number when the whole would be too long for a control
/// message, whose text is escaped and in base64.
fn push_text(channel: &ChatChannel, event: ChatEvent) -> String {
    let seq = match &event {
        ChatEvent::Posted { message, .. } | ChatEvent::Changed { message } => message.seq,
        _ => 0,
    };
    let text = |event: ChatEvent| {
        let message = RelayMessage::Chat {
            channel: channel.clone(),
            event: Box::new(event),
        };
        serde_json::to_string(&message).expect("our messages have string keys only")
    };
    let whole = text(event);
    let escapes = whole
        .bytes()
        .filter(|byte| matches!(byte, b'"' | b'\\'))
        .count();
    if (whole.len() + escapes + 512) * 4 / 3 <= MAX_MESSAGE_BYTES {
        return whole;
    }
    text(ChatEvent::Fetch { seq })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::post::empty;

    #[test]
    fn what_would_not_fit_into_a_control_message_is_to_be_fetched() {
        let channel = "room~lobby~main".parse().unwrap();
        let text = |length: usize| {
            let message = wire::chat::Message {
                seq: 7,
                text: Some("\"".repeat(length)),
                ..empty()
            };
            push_text(&channel, ChatEvent::Changed { message })
        };
        assert!(text(100).contains("changed"));
        let short = text(10_000);
        assert!(
            short.contains(r#"{"kind":"fetch","seq":7}"#),
            "{}",
            short.len()
        );
    }
}
