//! The relay's own messages, and tickets in the clear: a test grants what the edge would not. The
//! sealed form is tested where it is implemented.

use std::collections::BTreeMap;
use std::sync::Arc;

use relay::{Profile, SealedProtocol};
use sfu::{Admission, BadMessage, BadTicket, DataChannel, Notice, Protocol, Request, SessionId};
use wire::hello::{ChannelGrant, Hello};
use wire::keys::{ShardKey, ShardKeys};
use wire::ticket::Permissions;
use wire::{BootId, ChannelName, RoomName};

use super::Want;

const BOOT: BootId = BootId([9; 8]);

pub struct ClearTickets {
    pub tickets: BTreeMap<String, Admission>,
    messages: SealedProtocol,
}

impl Default for ClearTickets {
    fn default() -> Self {
        Self {
            tickets: BTreeMap::new(),
            messages: SealedProtocol::new(keys(), BOOT, &"eu".parse().unwrap()),
        }
    }
}

impl Protocol for ClearTickets {
    type Profile = Arc<Profile>;

    fn open(&self, ufrag: &str) -> Result<Admission, BadTicket> {
        self.tickets.get(ufrag).cloned().ok_or(BadTicket::Sealed)
    }

    fn data_channel(&self, label: &str) -> Option<DataChannel> {
        self.messages.data_channel(label)
    }

    fn read(
        &self,
        session: SessionId,
        message: &[u8],
    ) -> Result<Request<Arc<Profile>>, BadMessage> {
        self.messages.read(session, message)
    }

    fn write(&self, notice: &Notice<'_, Arc<Profile>>) -> Vec<u8> {
        self.messages.write(notice)
    }
}

fn keys() -> ShardKeys {
    ShardKey::new(0, [5; 32]).subkeys()
}

/// What the third client has subscribed to.
pub const TOPIC: sfu::TopicKey = sfu::TopicKey([7; 8]);

/// What client `n` passes on when it says hello.
pub fn hello(n: u8, want: &Want) -> String {
    let grant = |channel: &str| ChannelGrant {
        channel: channel.parse().unwrap(),
        permissions: Permissions::SPEAK.with(Permissions::LISTEN).0,
    };
    let hello = Hello {
        session: wire::SessionId([n; 8]),
        player: format!("player{n}").parse().unwrap(),
        name: format!("Player {n}"),
        room: want.room.parse().unwrap(),
        channels: want.channels.split(',').map(grant).collect(),
        world: false,
        topics: match n {
            3 => vec![wire::TopicKey(TOPIC.0)],
            _ => Vec::new(),
        },
        muted_until_ms: None,
        until_ms: None,
        blocked: Vec::new(),
        platform: String::new(),
        one_platform: false,
        issued_at_ms: 1,
    };
    hello.seal(&keys(), BOOT)
}

pub fn room(name: &str) -> sfu::RoomKey {
    let name: RoomName = name.parse().unwrap();
    sfu::RoomKey(wire::RoomKey::of(&name).0)
}

pub fn channel(room: &str, name: &str) -> sfu::ChannelKey {
    let (room, name): (RoomName, ChannelName) = (room.parse().unwrap(), name.parse().unwrap());
    sfu::ChannelKey(wire::ChannelKey::of(&room, &name).0)
}
