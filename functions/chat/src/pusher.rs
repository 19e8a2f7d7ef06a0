//! Telling the members of a channel over their relay. Whatever goes wrong here loses nothing: the
//! message is in the store and has a number.

use chat_channel::author::Author;
use chat_channel::way::Way;
use edge::relays::Secrets;
use edge::store::Store;
use wire::chat::{ChatChannel, ChatEvent};
use wire::control::PushTarget;
use wire::{ChannelKey, PlayerId, RoomKey};

use crate::Ports;
use crate::push::{push_text, send};
use crate::reach::find_way;
use crate::world;
use crate::writer::Writer;

/// Tells what a player did to those who are with him in a channel.
pub(crate) struct Pusher<'a, H, S> {
    host: &'a H,
    store: &'a S,
    secrets: &'a Secrets,
    /// When the request began, Unix milliseconds.
    now_ms: u64,
    /// The player.
    me: &'a PlayerId,
}

impl<'a, H: Ports, S: Store> Pusher<'a, H, S> {
    /// Of the caller who writes.
    pub(crate) fn of(writer: &Writer<'a, H, S>, secrets: &'a Secrets) -> Self {
        Self {
            host: writer.host,
            store: writer.store,
            secrets,
            now_ms: writer.access.now_ms,
            me: writer.access.me(),
        }
    }

    /// Pushes `event` to the other members of the channel, by the way that the author knows.
    pub(crate) async fn push(&self, channel: &ChatChannel, author: &mut Author, event: ChatEvent) {
        if let ChatChannel::World(hall) = channel {
            let told = (hall, event);
            return world::push(self.host, self.store, self.secrets, self.now_ms, told).await;
        }
        let Some(way) = &author.way else {
            return;
        };
        let text = push_text(&self.channel_of_others(channel), event);
        let Some(target) = self.target(channel, way) else {
            return;
        };
        if send(self.host, self.secrets, way, (target, &text)).await {
            return;
        }
        // The shard is gone, or runs anew.
        let used = author.way.take();
        author.way = find_way(self.store, self.now_ms, channel).await;
        let same = |a: &Way, b: &Way| (&a.shard, a.boot) == (&b.shard, b.boot);
        if let Some(way) = &author.way
            && used.as_ref().is_none_or(|used| !same(used, way))
            && let Some(target) = self.target(channel, way)
        {
            send(self.host, self.secrets, way, (target, &text)).await;
        }
    }

    /// The channel as those address it who get the push.
    fn channel_of_others(&self, channel: &ChatChannel) -> ChatChannel {
        match channel {
            ChatChannel::Direct(_) => ChatChannel::Direct(self.me.clone()),
            other => other.clone(),
        }
    }

    /// Who gets it of those to whom the way leads; nobody where it does not say in which room the
    /// other player is.
    fn target(&self, channel: &ChatChannel, way: &Way) -> Option<PushTarget> {
        Some(match channel {
            ChatChannel::Room(room, channel) => PushTarget::Channel {
                room: RoomKey::of(room),
                channel: ChannelKey::of(room, channel),
            },
            ChatChannel::Party(room) => PushTarget::Room {
                room: RoomKey::of(room),
            },
            ChatChannel::Direct(other) => PushTarget::Player {
                room: RoomKey::of(way.room.as_ref()?),
                player: self.secrets.player_key(other, way.epoch),
            },
            // Told to every shard of a hall, and no way leads there.
            ChatChannel::World(_) => return None,
        })
    }
}
