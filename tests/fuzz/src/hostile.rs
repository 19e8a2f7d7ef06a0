//! A client that has a ticket and may not mean well: a real str0m client whose datagrams can be
//! changed, cut, repeated, lost or sent from elsewhere.

use sfu::{Path, SessionId};
use sim::client::{Client, LEVEL_ID, NOT_NEGOTIATED, OPUS};
use wire::hello::{ChannelGrant, Hello};
use wire::limits::TICKET_LIFETIME_S;
use wire::ticket::{ChannelKind, Permissions, TICKET_VERSION, Ticket};
use wire::{ChannelKey, PlayerKey, RoomKey, RoomName};

use crate::behind::Behind;
use crate::program::Program;

/// More than a room may have, so that the limit is reached.
const CHANNELS_MAX: usize = 70;

/// What the edge granted, or somebody with the edge's key made up.
pub(crate) struct Spec {
    pub(crate) session: SessionId,
    pub(crate) player: u8,
    room: u8,
    is_whip: bool,
    /// Its ticket says otherwise.
    lies: bool,
    /// The ticket is for the certificate that the client has.
    pub(crate) is_owner: bool,
    is_expired: bool,
    permissions: Permissions,
    /// First channel and number of channels.
    channels: (usize, usize),
    opus: u8,
    level_id: u8,
    slots: u8,
    /// Its voice may be RED (RFC 2198), which is opened on its way.
    pub(crate) has_red: bool,
}

impl Spec {
    pub(crate) fn read(program: &mut Program<'_>, session: SessionId) -> Option<Self> {
        let flags = program.byte()?;
        let [slots, permissions, channels] = [program.byte()?, program.byte()?, program.byte()?];
        let is_odd = flags & 32 != 0;
        let (opus, level_id) = if is_odd {
            (program.byte()?, program.byte()?)
        } else {
            (OPUS, LEVEL_ID)
        };
        Some(Self {
            session,
            room: flags & 1,
            player: if flags & 2 == 0 { session.0[0] } else { 99 },
            is_owner: flags & 4 == 0,
            is_whip: flags & 8 != 0,
            lies: flags & 128 != 0,
            is_expired: flags & 16 != 0,
            permissions: Permissions(permissions),
            channels: (
                usize::from(channels) % 3,
                1 + usize::from(channels) % CHANNELS_MAX,
            ),
            opus,
            level_id,
            slots,
            has_red: flags & 64 != 0,
        })
    }

    /// What somebody has who talks and listens in the first room.
    pub(crate) fn harmless(session: SessionId) -> Self {
        Self {
            session,
            room: 0,
            player: session.0[0],
            is_owner: true,
            is_whip: false,
            lies: false,
            is_expired: false,
            permissions: Permissions::SPEAK.with(Permissions::LISTEN),
            channels: (0, 1),
            opus: OPUS,
            level_id: LEVEL_ID,
            slots: 4,
            has_red: false,
        }
    }

    fn room(&self) -> RoomName {
        let name = format!("room-{}", self.room);
        name.parse().expect("a room name")
    }

    /// Its room and its ticket's channel, as the core knows them.
    pub(crate) fn place(&self) -> (sfu::RoomKey, sfu::ChannelKey) {
        let (room, first) = (self.room(), channel(self.channels.0).channel);
        let key = ChannelKey::of(&room, &first);
        (sfu::RoomKey(RoomKey::of(&room).0), sfu::ChannelKey(key.0))
    }

    pub(crate) fn player_key(&self) -> PlayerKey {
        PlayerKey([self.player; 16])
    }

    pub(crate) fn ticket(&self, mut fingerprint: [u8; 16], unix_s: u64) -> Ticket {
        if !self.is_owner {
            fingerprint[0] ^= 1;
        }
        let lifetime = if self.is_expired {
            0
        } else {
            TICKET_LIFETIME_S
        };
        let first = channel(self.channels.0).channel;
        Ticket {
            expires_at: (unix_s + lifetime).saturating_sub(1) as u32,
            session: wire::SessionId(self.session.0),
            player: self.player_key(),
            fingerprint,
            room: RoomKey::of(&self.room()),
            channel: ChannelKey::of(&self.room(), &first),
            permissions: self.permissions,
            opus_payload_type: self.opus,
            red_payload_type: if self.has_red { NOT_NEGOTIATED } else { 0 },
            audio_level_id: self.level_id,
            slots: self.slots,
            channel_kind: ChannelKind::Group,
            server_muted: false,
            says_hello: self.is_whip == self.lies,
            recorded: false,
            home_epoch: 0,
            hello_version: TICKET_VERSION,
        }
    }

    /// The version that its ticket is sealed in: the newest has no room for what is out of range.
    pub(crate) fn reads(&self) -> u8 {
        let fits = self.opus < 128 && self.level_id < 16 && self.slots < 32;
        if fits && self.permissions.0 < 64 {
            TICKET_VERSION
        } else {
            1
        }
    }

    pub(crate) fn hello(&self) -> Option<Hello> {
        let (first, count) = self.channels;
        let grant = |n| ChannelGrant {
            permissions: self.permissions.0,
            ..channel(n)
        };
        (!self.is_whip).then(|| Hello {
            session: wire::SessionId(self.session.0),
            player: "p".parse().expect("a player id"),
            name: "p".to_owned(),
            room: self.room(),
            channels: (first..first + count).map(grant).collect(),
            world: self.room == 0,
            topics: Vec::new(),
            muted_until_ms: None,
            until_ms: None,
            blocked: Vec::new(),
            platform: String::new(),
            one_platform: false,
            issued_at_ms: 0,
        })
    }

    /// Whether `speaker` may ever be heard by this one: nobody hears who says no hello.
    pub(crate) fn may_hear(&self, speaker: &Self) -> bool {
        let end = |spec: &Self| spec.channels.0 + if spec.is_whip { 1 } else { spec.channels.1 };
        let meet = self.channels.0 < end(speaker) && speaker.channels.0 < end(self);
        !self.is_whip
            && self.room == speaker.room
            && self.player != speaker.player
            && meet
            && self.permissions.contains(Permissions::LISTEN)
            && speaker.permissions.contains(Permissions::SPEAK)
    }
}

fn channel(n: usize) -> ChannelGrant {
    ChannelGrant {
        channel: format!("c{n}").parse().expect("a channel name"),
        permissions: 0,
    }
}

/// What happens to the next datagram of a client.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    Flip { at: u16, with: u8 },
    Cut { to: u16 },
    Twice,
    Lost,
    From(Path),
}

/// A client and how the shard sees it.
pub(crate) struct Peer {
    pub(crate) spec: Spec,
    pub(crate) client: Client,
    pub(crate) path: Path,
    pub(crate) fault: Option<Fault>,
    /// What it passes on when it says hello.
    pub(crate) hello: Option<String>,
    pub(crate) inbox: Vec<Vec<u8>>,
    /// What it can say behind its keys, where these are known.
    pub(crate) behind: Behind,
}

impl Peer {
    /// What really arrives when the client sends `data`, and from where.
    pub(crate) fn send(&mut self, data: Vec<u8>) -> Vec<(Path, Vec<u8>)> {
        self.behind.see(&data);
        let own = self.path;
        match self.fault.take() {
            None => vec![(own, data)],
            Some(Fault::Twice) => vec![(own, data.clone()), (own, data)],
            Some(Fault::Lost) => vec![],
            Some(Fault::From(other)) => vec![(other, data)],
            Some(Fault::Flip { at, with }) => vec![(own, flip(data, at, with))],
            Some(Fault::Cut { to }) => {
                let mut data = data;
                data.truncate(usize::from(to) % (data.len() + 1));
                vec![(own, data)]
            }
        }
    }
}

/// Changes one byte.
pub(crate) fn flip(mut data: Vec<u8>, at: u16, with: u8) -> Vec<u8> {
    let length = data.len().max(1);
    if let Some(byte) = data.get_mut(usize::from(at) % length) {
        *byte ^= with;
    }
    data
}
