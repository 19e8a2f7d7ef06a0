//! Telling the members of a channel over their relay. Whatever goes wrong here loses nothing: the
//! message is in the store and has a number.

use chat_channel::author::Author;
use chat_channel::way::Way;
use edge::blocks;
use edge::relays::Secrets;
use edge::store::Store;
use wire::chat::{ChatChannel, ChatEvent};
use wire::control::PushTarget;
use wire::{ChannelKey, PlayerId, RoomKey};

use crate::Ports;
use crate::push::{push_text, send};
use crate::reach::{blocked_by_way, find_way};
use crate::said::{Said, Source};
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

    /// Pushes `event` of `source` to the other members of the channel, by the way that the author
    /// knows.
    pub(crate) async fn push(
        &self,
        channel: &ChatChannel,
        author: &mut Author,
        (event, source): (ChatEvent, Source),
    ) {
        let is_world = matches!(channel, ChatChannel::World(_));
        if author.way.is_none() && !is_world {
            return;
        }
        let way = author.way.as_ref();
        // Rather no push than one to somebody from whom it is kept.
        let Some(said) = self.said(channel, way, source).await else {
            return;
        };
        if let ChatChannel::World(hall) = channel {
            let told = (hall, event);
            let (host, store, secrets) = (self.host, self.store, self.secrets);
            return world::push(host, store, secrets, self.now_ms, told, &said).await;
        }
        let text = push_text(&self.channel_of_others(channel), event, said.blocked.len());
        let Some(used) = author.way.take() else {
            return;
        };
        if self.post(channel, &used, (&text, &said)).await {
            author.way = Some(used);
            return;
        }
        // The shard is gone, or runs anew.
        author.way = find_way(self.store, self.now_ms, channel, self.me).await;
        let same = |a: &Way, b: &Way| (&a.shard, a.boot) == (&b.shard, b.boot);
        if let Some(way) = author.way.as_ref().filter(|way| !same(&used, way)) {
            self.post(channel, way, (&text, &said)).await;
        }
    }

    /// Sends it by a way; whether that is done with.
    async fn post(&self, channel: &ChatChannel, way: &Way, (text, said): (&str, &Said)) -> bool {
        let Some(target) = self.target(channel, way) else {
            return true;
        };
        let author = said.author(self.secrets, way.epoch);
        send(self.host, self.secrets, way, (target, text, author)).await
    }

    /// What is said, with those whom its author blocks, as far as the relay cannot know them; none
    /// where they cannot be read. Of what somebody else wrote only that is told again of which
    /// nobody learns a word: how many reacted, or that it is deleted.
    async fn said(&self, channel: &ChatChannel, way: Option<&Way>, of: Source) -> Option<Said> {
        let is_direct = matches!(channel, ChatChannel::Direct(_));
        if is_direct || of.player.as_ref() != Some(self.me) {
            return Some(of.who_blocks(Vec::new(), 0));
        }
        if let Some((blocked, at_ms)) = way.and_then(blocked_by_way) {
            return Some(of.who_blocks(blocked, at_ms));
        }
        let blocked = blocks::newest_of(self.store, self.now_ms, self.me).await;
        Some(of.who_blocks(blocked.ok()?, self.now_ms))
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
