//! What the edge makes of a join: a sealed ticket and a sealed hello.

use std::net::SocketAddr;

use wire::hello::{ChannelGrant, Hello};
use wire::keys::ShardKeys;
use wire::limits::TICKET_LIFETIME_S;
use wire::ticket::{ChannelKind, Permissions, TICKET_VERSION, Ticket, ice_password};
use wire::{BootId, ChannelKey, ChannelName, PlayerKey, RoomKey, RoomName, SessionId};

use crate::client::{Contact, LEVEL_ID, OPUS};
use crate::model::{Grant, Plan};
use crate::transition::{CHANNELS, ROOMS};

/// The run of the shard that tickets are made for.
pub(crate) const BOOT: BootId = BootId([9; 8]);

/// The key of a player, which only has to be unique here.
pub(crate) fn player_key(player: usize) -> PlayerKey {
    PlayerKey((player as u128).to_be_bytes())
}

/// The ticket of `session`, made at `unix_s`.
pub(crate) fn ticket(
    plan: &Plan,
    session: SessionId,
    fingerprint: [u8; 16],
    unix_s: u64,
) -> Ticket {
    let room = room(plan);
    let first = &plan.grants[0];
    Ticket {
        expires_at: (unix_s + TICKET_LIFETIME_S) as u32,
        session,
        player: player_key(plan.player),
        fingerprint,
        channel: ChannelKey::of(&room, &channel(first)),
        room: RoomKey::of(&room),
        permissions: permissions(first),
        opus_payload_type: OPUS,
        red_payload_type: 0,
        audio_level_id: LEVEL_ID,
        slots: plan.slots as u8,
        channel_kind: ChannelKind::Group,
        server_muted: false,
        says_hello: !plan.whip,
        recorded: false,
        home_epoch: 0,
        hello_version: TICKET_VERSION,
    }
}

/// The hello of `session`.
pub(crate) fn hello(plan: &Plan, session: SessionId) -> Hello {
    let grant = |grant: &Grant| ChannelGrant {
        channel: channel(grant),
        permissions: permissions(grant).0,
    };
    let player = format!("p{}", plan.player);
    Hello {
        session,
        player: player.parse().expect("a player id"),
        name: player,
        room: room(plan),
        channels: plan.grants.iter().map(grant).collect(),
        world: false,
        topics: Vec::new(),
        muted_until_ms: None,
        until_ms: None,
        blocked: Vec::new(),
        platform: String::new(),
        one_platform: false,
        issued_at_ms: 0,
    }
}

/// What the client learns of the answer.
pub(crate) fn contact(
    ticket: &Ticket,
    keys: &ShardKeys,
    (has_channel, hello): (bool, Option<String>),
    relay: SocketAddr,
    fingerprint: String,
) -> Contact {
    let ufrag = ticket.seal(TICKET_VERSION, keys, BOOT);
    Contact {
        relay,
        fingerprint,
        password: ice_password(keys, &ufrag),
        ufrag,
        slot_ssrcs: (0..ticket.slots)
            .map(|slot| ticket.session.slot_ssrc(slot))
            .collect(),
        has_channel,
        hello,
    }
}

fn room(plan: &Plan) -> RoomName {
    ROOMS[plan.room].parse().expect("a room name")
}

fn channel(grant: &Grant) -> ChannelName {
    CHANNELS[grant.channel].parse().expect("a channel name")
}

fn permissions(grant: &Grant) -> Permissions {
    let mut permissions = Permissions::default();
    for (given, bit) in [
        (grant.speak, Permissions::SPEAK),
        (grant.listen, Permissions::LISTEN),
    ] {
        if given {
            permissions = permissions.with(bit);
        }
    }
    permissions
}
