//! What the core needs of the wire, as a trait, so that it knows neither tickets nor JSON.

use crate::idents::{ChannelKey, Permissions, PlayerKey, RoomKey, SessionId, TopicKey};
use crate::stats::EndReason;

/// Opens tickets and translates data-channel messages. Implemented by the shell; every method is
/// a pure function of its arguments and of keys that do not change.
pub trait Protocol {
    /// What the roster shows of a participant and the core does not look at (name, player id).
    type Profile;

    /// Opens the ticket in an ICE username fragment, whatever its age. Called for every datagram
    /// of a stranger: must not allocate before the ticket has proved to be ours.
    ///
    /// # Errors
    /// [`BadTicket`], by reason.
    fn open(&self, ufrag: &str) -> Result<Admission, BadTicket>;

    /// What a data channel with this label is for; none for a label of something else.
    fn data_channel(&self, label: &str) -> Option<DataChannel>;

    /// Reads a message that `session` sent on its [`DataChannel::Messages`].
    ///
    /// # Errors
    /// [`BadMessage`] when it is none of the protocol, or a hello of another session.
    fn read(
        &self,
        session: SessionId,
        message: &[u8],
    ) -> Result<Request<Self::Profile>, BadMessage>;

    /// Writes a data-channel message.
    fn write(&self, notice: &Notice<'_, Self::Profile>) -> Vec<u8>;
}

/// The content of a ticket.
#[derive(Debug, Clone)]
pub struct Admission {
    /// When it was made, Unix milliseconds, at most a second late: what was ordered since holds
    /// for whoever comes with it.
    pub issued_at_ms: u64,
    /// Last second (Unix time) at which it opens a session.
    pub expires_at_unix_s: u64,
    /// The session that it opens, once.
    pub session: SessionId,
    /// Whose session it is.
    pub player: PlayerKey,
    /// First 16 bytes of the SHA-256 fingerprint of the client's DTLS certificate.
    pub fingerprint: [u8; 16],
    /// The room.
    pub room: RoomKey,
    /// The low 8 bits of the number of times that the room has moved, as the edge knew it: what
    /// came for an earlier place of the room is told apart by it ([`crate::Command::Moved`]).
    pub home_epoch: u8,
    /// The first channel.
    pub channel: ChannelKey,
    /// What the session may do in it.
    pub permissions: Permissions,
    /// Nobody hears him, by order of the edge; the hello says until when.
    pub server_muted: bool,
    /// Its client introduces itself with a hello, and the session ends without one. Nobody hears
    /// others before a hello, whatever this says: one who has none publishes only.
    pub says_hello: bool,
    /// RTP payload type of Opus.
    pub opus_payload_type: u8,
    /// RTP payload type of RED for Opus (RFC 2198); none when not negotiated.
    pub red_payload_type: Option<u8>,
    /// Id of the RFC 6464 header extension, 1 to 14; none when not negotiated.
    pub audio_level_id: Option<u8>,
    /// SSRC of each slot, at most 16.
    pub slot_ssrcs: Vec<u32>,
    /// ICE password that belongs to the ticket.
    pub ice_password: String,
}

/// What a data channel is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataChannel {
    /// Messages of [`Request`] and [`Notice`]: ordered, nothing is lost.
    Messages,
    /// Where the participant is: unordered, nothing is sent again.
    Positions,
}

/// Why a username fragment is not a ticket of this shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadTicket {
    /// Not the form of a ticket.
    Malformed,
    /// Another version or key epoch.
    Version,
    /// It does not authenticate.
    Sealed,
}

/// What a client asks for on its data channel.
#[derive(Debug)]
pub enum Request<Profile> {
    /// Introduces the participant: proved by the edge's seal.
    Hello(Hello<Profile>),
    /// Wants a pong with the same number.
    Ping {
        /// The number.
        id: u32,
    },
    /// Sets own mute and deafen.
    State {
        /// Be silent for all.
        muted: bool,
        /// Hear nobody.
        deafened: bool,
    },
    /// Ends the session.
    Leave,
    /// Of a type that this version does not know.
    Unknown,
}

/// Who a participant is, and what he may do.
#[derive(Debug)]
pub struct Hello<Profile> {
    /// When it was made, Unix milliseconds: of two hellos of a session the later one counts, and
    /// none twice.
    pub issued_at_ms: u64,
    /// For the roster.
    pub profile: Profile,
    /// Every channel of the session, the ticket's too.
    pub channels: Vec<ChannelGrant>,
    /// What he has subscribed to beyond them.
    pub topics: Vec<TopicKey>,
    /// Until when he is silenced, Unix milliseconds, where the ticket says that he is; none for the
    /// whole session.
    pub muted_until_ms: Option<u64>,
    /// When the session ends, Unix milliseconds; none where the edge does not say it.
    pub until_ms: Option<u64>,
    /// Those whom he has blocked: neither hears the other.
    pub blocked: Vec<PlayerKey>,
    /// With whom he may talk by what they play on.
    pub crossing: Crossing,
}

/// What a participant plays on, and whether he keeps to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Crossing {
    /// Any bytes that are the same for all who play on it; all zero where it is not known.
    pub platform: [u8; 8],
    /// He and players of other platforms do not hear each other.
    pub one_platform: bool,
}

impl Crossing {
    /// Whether two hear each other as far as that goes.
    pub fn meets(self, other: Self) -> bool {
        let is_same = self.platform == other.platform && self.platform != [0; 8];
        is_same || !self.one_platform && !other.one_platform
    }
}

/// One channel of a hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelGrant {
    /// The channel.
    pub channel: ChannelKey,
    /// What the session may do in it.
    pub permissions: Permissions,
}

/// A data-channel message was not of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadMessage;

/// What a client is told on its data channel.
#[derive(Debug)]
pub enum Notice<'a, Profile> {
    /// Answer to a hello. What was said before is void.
    Welcome {
        /// Number of the receiver in the room.
        participant: u32,
        /// The receiver's own profile.
        profile: &'a Profile,
        /// Number of slots.
        slots: u8,
        /// The first participants that the roster shows; the rest follows as `Roster`.
        participants: Vec<RosterEntry<'a, Profile>>,
        /// How many are in the room, where the roster does not show all.
        count: Option<u32>,
    },
    /// Changes of the roster.
    Roster {
        /// New ones.
        joined: Vec<RosterEntry<'a, Profile>>,
        /// Numbers of those who left, or are not shown any more.
        left: &'a [u32],
        /// Changed ones.
        changed: Vec<RosterEntry<'a, Profile>>,
        /// How many are in the room now, where the roster does not show all.
        count: Option<u32>,
    },
    /// Slots of the receiver that changed.
    Slots {
        /// The receiver's own profile.
        profile: &'a Profile,
        /// The changes.
        changes: &'a [SlotChange],
    },
    /// Who started and stopped talking.
    Speaking {
        /// Numbers of those who started.
        started: &'a [u32],
        /// Numbers of those who stopped.
        stopped: &'a [u32],
    },
    /// Answer to a ping.
    Pong {
        /// Its number.
        id: u32,
    },
    /// How well the receiver is heard and hears.
    Quality(Quality),
    /// Join again through the edge: the relay drains.
    Migrate,
    /// The session is over.
    Ended(EndReason),
}

/// How well a participant is heard and hears: each way as it was when there was last a second of
/// voice to tell by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quality {
    /// From him to the relay; none before.
    pub up: Option<Way>,
    /// From the relay to him, by his own reports; none before.
    pub down: Option<Way>,
    /// There and back, milliseconds; none before he has answered a report.
    pub rtt_ms: Option<u16>,
    /// What those lose who hear him on their own way from the relay, per mille: the mean over up
    /// to 64 of them; none while he does not talk or nobody tells.
    pub listeners_lost_permille: Option<u16>,
}

/// How well voice comes through one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// Packets lost, per mille.
    pub lost_permille: u16,
    /// Frames lost for good, per mille: what neither RED nor, as far as the relay can see it,
    /// in-band FEC made good. From the relay to a client an estimate.
    pub concealed_permille: u16,
    /// Interarrival jitter (RFC 3550), milliseconds.
    pub jitter_ms: u16,
    /// R of the wideband E-model (ITU-T G.107.1), 0 to 100. An estimate: of Opus there are no
    /// official figures, and of the whole way from mouth to ear this is one half.
    pub rating: u8,
    /// The mean opinion score that belongs to it, hundredths: 100 to 450.
    pub mos_centi: u16,
}

impl Quality {
    /// The worse of both ways, as the rating R; none while nothing is known.
    pub fn rating(&self) -> Option<u8> {
        let ways = [self.up, self.down].into_iter().flatten();
        ways.map(|way| way.rating).min()
    }
}

/// What a slot carries from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotChange {
    /// The slot.
    pub slot: u8,
    /// None when it is free.
    pub carries: Option<Carried>,
}

/// What a slot carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carried {
    /// Whose voice.
    pub source: Source,
    /// Through which of the listener's channels; the first where there are several, and none where
    /// there is none any more.
    pub channel: Option<ChannelKey>,
}

/// Whose voice a slot carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// That of one participant, by his number in the room.
    Participant(u32),
}

/// A participant as the roster shows him.
#[derive(Debug)]
pub struct RosterEntry<'a, Profile> {
    /// Number in the room.
    pub id: u32,
    /// None until a hello came.
    pub profile: Option<&'a Profile>,
    /// Muted by himself.
    pub muted: bool,
    /// Silenced by order of the edge.
    pub server_muted: bool,
    /// Deafened by himself.
    pub deafened: bool,
    /// May speak in a channel.
    pub speaker: bool,
}

/// A participant, for whoever asks who is in a room.
#[derive(Debug)]
pub struct Present<'a, Profile> {
    /// His session.
    pub session: SessionId,
    /// As those in the room are told of him.
    pub entry: RosterEntry<'a, Profile>,
    /// He talks, and may be heard.
    pub talks: bool,
    /// Since when he is in the room, Unix milliseconds.
    pub since_ms: u64,
}
