//! The sealed ticket: what a relay must know to admit a session, carried in the ICE username
//! fragment of the answer (design section 4).
//!
//! Layout before base64 (standard alphabet without padding, which is exactly `ice-char` of
//! RFC 8839): one clear byte (version in the high four bits, key epoch in the low four), 16 bytes
//! of synthetic IV, ciphertext (AES-SIV, RFC 5297). Associated data: the clear byte and the
//! shard's boot id. Version 2 has 66 bytes of ciphertext, so 83 bytes become 111 characters, the
//! most that an answer may have; the last six are 48 bits of small fields. Version 1, one byte a
//! field, has 65 and 110; relays read it for one release more, and the edge seals it for relays
//! whose heartbeat names no higher one.

use aes_siv::KeyInit;
use aes_siv::siv::Aes128Siv;
use data_encoding::{BASE64, BASE64_NOPAD};

use crate::ids::{BootId, ChannelKey, PlayerKey, RoomKey, SessionId};
use crate::keys::{AdmissionKeys, derive};
use crate::limits::MAX_UFRAG_CHARS;

/// The newest version of tickets, and of the hello that comes with them.
pub const TICKET_VERSION: u8 = 2;
const TAG_BYTES: usize = 16;
/// What all versions begin with: times and keys.
const KEYS_BYTES: usize = 60;
const V1_BYTES: usize = 1 + TAG_BYTES + KEYS_BYTES + 5;
const V2_BYTES: usize = 1 + TAG_BYTES + KEYS_BYTES + 6;
/// Length of the longest ticket, in characters.
pub const TICKET_CHARS: usize = chars(V2_BYTES);
const PASSWORD_BYTES: usize = 18;

const _: () = assert!(TICKET_CHARS <= MAX_UFRAG_CHARS);

const fn chars(bytes: usize) -> usize {
    (bytes * 8).div_ceil(6)
}

/// What a session may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions(pub u8);

impl Permissions {
    /// Be heard.
    pub const SPEAK: Self = Self(1);
    /// Hear others.
    pub const LISTEN: Self = Self(2);
    /// Mute and remove others.
    pub const MODERATE: Self = Self(4);
    /// Write text.
    pub const CHAT: Self = Self(8);

    /// Whether every bit of `other` is set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What is left without the bits of `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The union of both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What kind of channel a session begins in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChannelKind {
    /// Everybody who may listen hears everybody who may speak.
    #[default]
    Group,
}

impl ChannelKind {
    fn bits(self) -> u8 {
        match self {
            Self::Group => 0,
        }
    }

    /// A kind of a later version is none: a relay that does not know its rules must not guess.
    fn of_bits(bits: u8) -> Option<Self> {
        (bits == Self::Group.bits()).then_some(Self::Group)
    }
}

/// The content of a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Last second (Unix time) at which it opens a session.
    pub expires_at: u32,
    /// The session that it opens, once.
    pub session: SessionId,
    /// Whose session it is.
    pub player: PlayerKey,
    /// First 16 bytes of the SHA-256 fingerprint of the client's DTLS certificate.
    pub fingerprint: [u8; 16],
    /// The room.
    pub room: RoomKey,
    /// The first channel; further ones come in the hello.
    pub channel: ChannelKey,
    /// What the session may do.
    pub permissions: Permissions,
    /// RTP payload type of Opus in the client's offer, 0 to 127.
    pub opus_payload_type: u8,
    /// RTP payload type of RED for Opus (RFC 2198), 1 to 127, or 0 when not negotiated.
    pub red_payload_type: u8,
    /// Id of the RFC 6464 audio-level header extension, 1 to 14, or 0 when not negotiated.
    pub audio_level_id: u8,
    /// Number of slots, 0 to 16.
    pub slots: u8,
    /// Kind of the first channel. Version 1 knows groups alone.
    pub channel_kind: ChannelKind,
    /// The game's server or a moderator has silenced the player. Version 1 cannot say so.
    pub server_muted: bool,
    /// The client introduces itself: it hears nobody before its hello, and its session ends when
    /// none comes. Not so for one who publishes only (WHIP) and so never hears anybody; where an
    /// older edge or version 1 sealed the ticket it is not known, and a hello may come or not.
    pub says_hello: bool,
    /// The player has agreed that what he says is kept for a while, as evidence. Version 1 cannot
    /// say so.
    pub recorded: bool,
    /// The low 8 bits of the epoch of the room's home ([`crate::fleet::Home::epoch`]): a relay
    /// that the room has left in the meantime can tell. 0 in version 1.
    pub home_epoch: u8,
    /// Version of the hello that comes with it, 1 to 15: a relay admits nobody whose hello it
    /// cannot read.
    pub hello_version: u8,
}

/// Why a username fragment is not a ticket for this shard now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BadTicket {
    /// Not base64 of the right length.
    Malformed,
    /// Another version or key epoch.
    Version,
    /// It does not authenticate: changed, another shard's, or of an earlier boot.
    Sealed,
    /// Its time is over.
    Expired,
}

impl Ticket {
    /// Seals the ticket for the shard that holds `keys`, runs as `boot` and reads tickets up to
    /// version `reads`. What that version has no room for is left out.
    ///
    /// # Panics
    /// When a field is out of its range.
    pub fn seal(&self, reads: u8, keys: &impl AsRef<AdmissionKeys>, boot: BootId) -> String {
        let mut plain = Vec::with_capacity(V2_BYTES);
        plain.extend_from_slice(&self.expires_at.to_be_bytes());
        plain.extend_from_slice(&self.session.0);
        plain.extend_from_slice(&self.player.0);
        plain.extend_from_slice(&self.fingerprint);
        plain.extend_from_slice(&self.room.0);
        plain.extend_from_slice(&self.channel.0);
        assert_eq!(plain.len(), KEYS_BYTES, "the layout");
        let version = reads.clamp(1, TICKET_VERSION);
        match version {
            1 => plain.extend_from_slice(&self.v1()),
            _ => plain.extend_from_slice(&self.v2()),
        }
        let keys = keys.as_ref();
        let clear = [version << 4 | keys.epoch];
        let tag = Aes128Siv::new(&keys.ticket.into())
            .encrypt_inout_detached([&clear[..], &boot.0], (&mut plain[..]).into())
            .expect("two associated-data parts");
        BASE64_NOPAD.encode(&[&clear, &tag[..], &plain].concat())
    }

    /// Opens a ticket at `unix_s`. Allocates nothing: this runs for every stranger's datagram.
    ///
    /// # Errors
    /// [`BadTicket`], by reason. Expiry is looked at last, so it is known to be ours.
    pub fn open(
        ufrag: &str,
        keys: &impl AsRef<AdmissionKeys>,
        boot: BootId,
        unix_s: u64,
    ) -> Result<Self, BadTicket> {
        let ticket = Self::open_expired(ufrag, keys, boot)?;
        if unix_s > u64::from(ticket.expires_at) {
            return Err(BadTicket::Expired);
        }
        Ok(ticket)
    }

    /// Opens a ticket whatever its age: a session that exists may move to another address long
    /// after its ticket stopped opening new ones.
    ///
    /// # Errors
    /// [`BadTicket`] except `Expired`.
    pub fn open_expired(
        ufrag: &str,
        keys: &impl AsRef<AdmissionKeys>,
        boot: BootId,
    ) -> Result<Self, BadTicket> {
        let keys = keys.as_ref();
        let (version, length) = match ufrag.len() {
            n if n == chars(V1_BYTES) => (1, V1_BYTES),
            n if n == chars(V2_BYTES) => (2, V2_BYTES),
            _ => return Err(BadTicket::Malformed),
        };
        let mut bytes = [0; V2_BYTES];
        let bytes = &mut bytes[..length];
        match BASE64_NOPAD.decode_mut(ufrag.as_bytes(), bytes) {
            Ok(decoded) if decoded == length => {}
            _ => return Err(BadTicket::Malformed),
        }
        if bytes[0] != version << 4 | keys.epoch {
            return Err(BadTicket::Version);
        }
        let (head, plain) = bytes.split_at_mut(1 + TAG_BYTES);
        let tag: [u8; TAG_BYTES] = head[1..].try_into().expect("split at its length");
        Aes128Siv::new(&keys.ticket.into())
            .decrypt_inout_detached([&head[..1], &boot.0], (&mut *plain).into(), &tag.into())
            .map_err(|_| BadTicket::Sealed)?;
        Self::read(plain).ok_or(BadTicket::Version)
    }

    fn v1(&self) -> [u8; 5] {
        [
            self.permissions.0,
            self.opus_payload_type,
            self.red_payload_type,
            self.audio_level_id,
            self.slots,
        ]
    }

    fn v2(&self) -> [u8; 6] {
        let mut bits = Bits::default();
        bits.put(7, self.opus_payload_type);
        bits.put(7, self.red_payload_type);
        bits.put(4, self.audio_level_id);
        bits.put(5, self.slots);
        bits.put(6, self.permissions.0);
        bits.put(3, self.channel_kind.bits());
        bits.put(1, self.server_muted.into());
        bits.put(1, self.recorded.into());
        bits.put(8, self.home_epoch);
        bits.put(4, self.hello_version);
        bits.put(1, self.says_hello.into());
        // One is left.
        bits.put(1, 0);
        bits.bytes()
    }

    /// None of a version that is not known here, in a kind or a hello.
    fn read(plain: &[u8]) -> Option<Self> {
        let (mut at, small) = (0, &plain[KEYS_BYTES..]);
        let v1 = Self {
            expires_at: u32::from_be_bytes(take(plain, &mut at)),
            session: SessionId(take(plain, &mut at)),
            player: PlayerKey(take(plain, &mut at)),
            fingerprint: take(plain, &mut at),
            room: RoomKey(take(plain, &mut at)),
            channel: ChannelKey(take(plain, &mut at)),
            permissions: Permissions(small[0]),
            opus_payload_type: small[1],
            red_payload_type: small[2],
            audio_level_id: small[3],
            slots: small[4],
            channel_kind: ChannelKind::Group,
            server_muted: false,
            says_hello: false,
            recorded: false,
            home_epoch: 0,
            hello_version: 1,
        };
        let Ok(small) = <[u8; 6]>::try_from(small) else {
            return Some(v1);
        };
        let mut bits = Bits::of(small);
        let ticket = Self {
            opus_payload_type: bits.take(7),
            red_payload_type: bits.take(7),
            audio_level_id: bits.take(4),
            slots: bits.take(5),
            permissions: Permissions(bits.take(6)),
            channel_kind: ChannelKind::of_bits(bits.take(3))?,
            server_muted: bits.take(1) != 0,
            recorded: bits.take(1) != 0,
            home_epoch: bits.take(8),
            hello_version: bits.take(4),
            says_hello: bits.take(1) != 0,
            ..v1
        };
        (1..=TICKET_VERSION)
            .contains(&ticket.hello_version)
            .then_some(ticket)
    }
}

fn take<const N: usize>(plain: &[u8], at: &mut usize) -> [u8; N] {
    let bytes = plain[*at..*at + N].try_into().expect("a slice of length N");
    *at += N;
    bytes
}

/// 48 bits, the first one highest.
#[derive(Default)]
struct Bits {
    bits: u64,
    used: u32,
}

impl Bits {
    const ALL: u32 = 48;

    fn of(bytes: [u8; 6]) -> Self {
        let [a, b, c, d, e, f] = bytes;
        Self {
            bits: u64::from_be_bytes([0, 0, a, b, c, d, e, f]),
            used: 0,
        }
    }

    fn put(&mut self, count: u32, value: u8) {
        assert!(
            u32::from(value) < 1 << count,
            "{value} does not fit into {count} bits of a ticket"
        );
        self.used += count;
        self.bits |= u64::from(value) << (Self::ALL - self.used);
    }

    fn take(&mut self, count: u32) -> u8 {
        self.used += count;
        let bits = self.bits >> (Self::ALL - self.used);
        (bits & ((1 << count) - 1)) as u8
    }

    fn bytes(&self) -> [u8; 6] {
        assert_eq!(self.used, Self::ALL, "the layout fills the ticket");
        let [_, _, rest @ ..] = self.bits.to_be_bytes();
        rest
    }
}

/// The ICE password that belongs to the ticket `ufrag`: 24 characters, never sent by the edge to
/// the relay because both derive it.
pub fn ice_password(keys: &impl AsRef<AdmissionKeys>, ufrag: &str) -> String {
    let bytes: [u8; PASSWORD_BYTES] = derive(&keys.as_ref().ice, &[ufrag.as_bytes()]);
    BASE64.encode(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{ShardKey, ShardKeys};
    use proptest::prelude::*;

    fn keys(byte: u8) -> ShardKeys {
        ShardKey::new(0, [byte; 32]).subkeys()
    }

    const BOOT: BootId = BootId([1; 8]);

    prop_compose! {
        fn any_ticket()(
            expires_at: u32, session: [u8; 8], player: [u8; 16], fingerprint: [u8; 16],
            room: [u8; 8], channel: [u8; 8],
            (permissions, opus_payload_type, red_payload_type) in (0u8..64, 0u8..128, 0u8..128),
            (audio_level_id, slots, hello_version) in (0u8..16, 0u8..32, 1u8..=TICKET_VERSION),
            (server_muted, says_hello) in any::<(bool, bool)>(),
            (recorded, home_epoch) in any::<(bool, u8)>(),
        ) -> Ticket {
            Ticket {
                expires_at,
                session: SessionId(session),
                player: PlayerKey(player),
                fingerprint,
                room: RoomKey(room),
                channel: ChannelKey(channel),
                permissions: Permissions(permissions),
                opus_payload_type,
                red_payload_type,
                audio_level_id,
                slots,
                channel_kind: ChannelKind::Group,
                server_muted,
                says_hello,
                recorded,
                home_epoch,
                hello_version,
            }
        }
    }

    proptest! {
        #[test]
        fn a_ticket_round_trips_within_the_ufrag_limit(ticket in any_ticket(), reads in 2u8..) {
            let ufrag = ticket.seal(reads, &keys(1), BOOT);
            prop_assert_eq!(ufrag.len(), TICKET_CHARS);
            prop_assert!(ufrag.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/".contains(&b)));
            let opened = Ticket::open(&ufrag, &keys(1), BOOT, u64::from(ticket.expires_at));
            prop_assert_eq!(opened.unwrap(), ticket);
        }

        #[test]
        fn version_1_is_read_and_sealed_without_what_is_new(
            ticket in any_ticket(), reads in 0u8..2,
        ) {
            let ufrag = ticket.seal(reads, &keys(1), BOOT);
            prop_assert_eq!(ufrag.len(), 110);
            let opened = Ticket::open_expired(&ufrag, &keys(1), BOOT);
            let known = Ticket {
                server_muted: false,
                says_hello: false,
                recorded: false,
                home_epoch: 0,
                hello_version: 1,
                ..ticket
            };
            prop_assert_eq!(opened.unwrap(), known);
        }

        #[test]
        fn any_changed_bit_fails(
            ticket in any_ticket(), reads in 1u8..3, bit: prop::sample::Index,
        ) {
            let ufrag = ticket.seal(reads, &keys(1), BOOT);
            let mut bytes = BASE64_NOPAD.decode(ufrag.as_bytes()).unwrap();
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let opened = Ticket::open_expired(&BASE64_NOPAD.encode(&bytes), &keys(1), BOOT);
            prop_assert!(matches!(opened, Err(BadTicket::Sealed | BadTicket::Version)));
        }

        #[test]
        fn any_changed_character_fails(
            ticket in any_ticket(), reads in 1u8..3, at: prop::sample::Index, to: char,
        ) {
            let ufrag = ticket.seal(reads, &keys(1), BOOT);
            let at = at.index(ufrag.len());
            let changed: String = ufrag
                .chars()
                .enumerate()
                .map(|(i, c)| if i == at { to } else { c })
                .collect();
            prop_assume!(changed != ufrag);
            prop_assert!(Ticket::open_expired(&changed, &keys(1), BOOT).is_err());
        }

        #[test]
        fn only_its_shard_boot_and_time_open_it(ticket in any_ticket()) {
            let ufrag = ticket.seal(TICKET_VERSION, &keys(1), BOOT);
            let late = u64::from(ticket.expires_at) + 1;
            prop_assert_eq!(Ticket::open(&ufrag, &keys(1), BOOT, late), Err(BadTicket::Expired));
            prop_assert_eq!(Ticket::open_expired(&ufrag, &keys(2), BOOT), Err(BadTicket::Sealed));
            let other_boot = BootId([2; 8]);
            let opened = Ticket::open_expired(&ufrag, &keys(1), other_boot);
            prop_assert_eq!(opened, Err(BadTicket::Sealed));
        }

        #[test]
        fn arbitrary_text_never_opens(text in "\\PC{0,300}") {
            prop_assert!(Ticket::open_expired(&text, &keys(1), BOOT).is_err());
        }
    }

    /// Sealed under the ticket's key as a later release might: what it means is not known here.
    #[test]
    fn a_kind_or_a_hello_of_a_later_release_is_another_version() {
        let ticket = Ticket {
            expires_at: 1,
            session: SessionId([1; 8]),
            player: PlayerKey([2; 16]),
            fingerprint: [3; 16],
            room: RoomKey([4; 8]),
            channel: ChannelKey([5; 8]),
            permissions: Permissions::SPEAK,
            opus_payload_type: 111,
            red_payload_type: 0,
            audio_level_id: 1,
            slots: 4,
            channel_kind: ChannelKind::Group,
            server_muted: false,
            says_hello: true,
            recorded: false,
            home_epoch: 0,
            hello_version: TICKET_VERSION + 1,
        };
        let ufrag = ticket.seal(TICKET_VERSION, &keys(1), BOOT);
        let opened = Ticket::open_expired(&ufrag, &keys(1), BOOT);
        assert_eq!(opened, Err(BadTicket::Version));
        assert_eq!(ChannelKind::of_bits(1), None);
    }

    #[test]
    fn passwords_have_ice_length_and_differ_by_ticket_and_shard() {
        let a = ice_password(&keys(1), "ticket-a");
        assert_eq!(a.len(), 24);
        assert_ne!(a, ice_password(&keys(1), "ticket-b"));
        assert_ne!(a, ice_password(&keys(2), "ticket-a"));
        assert_eq!(a, ice_password(&keys(1), "ticket-a"));
    }
}
