//! The sealed ticket: what a relay must know to admit a session, carried in the ICE username
//! fragment of the answer (design section 4).
//!
//! Layout before base64 (standard alphabet without padding, which is exactly `ice-char` of
//! RFC 8839): one clear byte (version in the high four bits, key epoch in the low four), 16 bytes
//! of synthetic IV, 65 bytes of ciphertext (AES-SIV, RFC 5297). Associated data: the clear byte
//! and the shard's boot id. 82 bytes become 110 characters.

use aes_siv::KeyInit;
use aes_siv::siv::Aes128Siv;
use data_encoding::{BASE64, BASE64_NOPAD};

use crate::ids::{BootId, ChannelKey, PlayerKey, RoomKey, SessionId};
use crate::keys::{ShardKeys, derive};
use crate::limits::MAX_UFRAG_CHARS;

const VERSION: u8 = 1;
const TAG_BYTES: usize = 16;
const PLAIN_BYTES: usize = 65;
const TICKET_BYTES: usize = 1 + TAG_BYTES + PLAIN_BYTES;
/// Length of every ticket, in characters.
pub const TICKET_CHARS: usize = (TICKET_BYTES * 8).div_ceil(6);
const PASSWORD_BYTES: usize = 18;

const _: () = assert!(TICKET_CHARS <= MAX_UFRAG_CHARS);

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

    /// The union of both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
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
    /// RTP payload type of RED for Opus (RFC 2198), or 0 when not negotiated.
    pub red_payload_type: u8,
    /// Id of the RFC 6464 audio-level header extension, 1 to 14, or 0 when not negotiated.
    pub audio_level_id: u8,
    /// Number of slots, 0 to 16.
    pub slots: u8,
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
    /// Seals the ticket for the shard that holds `keys` and runs as `boot`.
    pub fn seal(&self, keys: &ShardKeys, boot: BootId) -> String {
        let mut bytes = [0; TICKET_BYTES];
        bytes[0] = VERSION << 4 | keys.epoch;
        let (head, plain) = bytes.split_at_mut(1 + TAG_BYTES);
        self.write(plain.try_into().expect("split at its length"));
        let tag = Aes128Siv::new(&keys.ticket.into())
            .encrypt_inout_detached([&head[..1], &boot.0], plain.into())
            .expect("two associated-data parts");
        head[1..].copy_from_slice(&tag);
        BASE64_NOPAD.encode(&bytes)
    }

    /// Opens a ticket at `unix_s`. Allocates nothing: this runs for every stranger's datagram.
    ///
    /// # Errors
    /// [`BadTicket`], by reason. Expiry is looked at last, so it is known to be ours.
    pub fn open(
        ufrag: &str,
        keys: &ShardKeys,
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
    pub fn open_expired(ufrag: &str, keys: &ShardKeys, boot: BootId) -> Result<Self, BadTicket> {
        if ufrag.len() != TICKET_CHARS {
            return Err(BadTicket::Malformed);
        }
        let mut bytes = [0; TICKET_BYTES];
        match BASE64_NOPAD.decode_mut(ufrag.as_bytes(), &mut bytes) {
            Ok(TICKET_BYTES) => {}
            _ => return Err(BadTicket::Malformed),
        }
        if bytes[0] != VERSION << 4 | keys.epoch {
            return Err(BadTicket::Version);
        }
        let (head, plain) = bytes.split_at_mut(1 + TAG_BYTES);
        let tag: [u8; TAG_BYTES] = head[1..].try_into().expect("split at its length");
        Aes128Siv::new(&keys.ticket.into())
            .decrypt_inout_detached([&head[..1], &boot.0], (&mut *plain).into(), &tag.into())
            .map_err(|_| BadTicket::Sealed)?;
        Ok(Self::read(
            (&*plain).try_into().expect("split at its length"),
        ))
    }

    fn write(&self, out: &mut [u8; PLAIN_BYTES]) {
        let mut rest = out.as_mut_slice();
        let mut put = |bytes: &[u8]| {
            let (head, tail) = std::mem::take(&mut rest).split_at_mut(bytes.len());
            head.copy_from_slice(bytes);
            rest = tail;
        };
        put(&self.expires_at.to_be_bytes());
        put(&self.session.0);
        put(&self.player.0);
        put(&self.fingerprint);
        put(&self.room.0);
        put(&self.channel.0);
        put(&[
            self.permissions.0,
            self.opus_payload_type,
            self.red_payload_type,
        ]);
        put(&[self.audio_level_id, self.slots]);
        assert!(rest.is_empty(), "the layout fills the ticket");
    }

    fn read(plain: &[u8; PLAIN_BYTES]) -> Self {
        let mut at = 0;
        fn take<const N: usize>(plain: &[u8], at: &mut usize) -> [u8; N] {
            let bytes = plain[*at..*at + N].try_into().expect("a slice of length N");
            *at += N;
            bytes
        }
        Self {
            expires_at: u32::from_be_bytes(take(plain, &mut at)),
            session: SessionId(take(plain, &mut at)),
            player: PlayerKey(take(plain, &mut at)),
            fingerprint: take(plain, &mut at),
            room: RoomKey(take(plain, &mut at)),
            channel: ChannelKey(take(plain, &mut at)),
            permissions: Permissions(take::<1>(plain, &mut at)[0]),
            opus_payload_type: take::<1>(plain, &mut at)[0],
            red_payload_type: take::<1>(plain, &mut at)[0],
            audio_level_id: take::<1>(plain, &mut at)[0],
            slots: take::<1>(plain, &mut at)[0],
        }
    }
}

/// The ICE password that belongs to the ticket `ufrag`: 24 characters, never sent by the edge to
/// the relay because both derive it.
pub fn ice_password(keys: &ShardKeys, ufrag: &str) -> String {
    let bytes: [u8; PASSWORD_BYTES] = derive(&keys.ice, &[ufrag.as_bytes()]);
    BASE64.encode(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::ShardKey;
    use proptest::prelude::*;

    fn keys(byte: u8) -> ShardKeys {
        ShardKey::new(0, [byte; 32]).subkeys()
    }

    const BOOT: BootId = BootId([1; 8]);

    prop_compose! {
        fn any_ticket()(
            expires_at: u32, session: [u8; 8], player: [u8; 16], fingerprint: [u8; 16],
            room: [u8; 8], channel: [u8; 8], small: [u8; 5],
        ) -> Ticket {
            Ticket {
                expires_at,
                session: SessionId(session),
                player: PlayerKey(player),
                fingerprint,
                room: RoomKey(room),
                channel: ChannelKey(channel),
                permissions: Permissions(small[0]),
                opus_payload_type: small[1],
                red_payload_type: small[2],
                audio_level_id: small[3],
                slots: small[4],
            }
        }
    }

    proptest! {
        #[test]
        fn a_ticket_round_trips_within_the_ufrag_limit(ticket in any_ticket()) {
            let ufrag = ticket.seal(&keys(1), BOOT);
            prop_assert_eq!(ufrag.len(), TICKET_CHARS);
            prop_assert!(ufrag.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/".contains(&b)));
            let opened = Ticket::open(&ufrag, &keys(1), BOOT, u64::from(ticket.expires_at));
            prop_assert_eq!(opened.unwrap(), ticket);
        }

        #[test]
        fn any_changed_bit_fails(ticket in any_ticket(), bit in 0..TICKET_BYTES * 8) {
            let ufrag = ticket.seal(&keys(1), BOOT);
            let mut bytes = BASE64_NOPAD.decode(ufrag.as_bytes()).unwrap();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let opened = Ticket::open_expired(&BASE64_NOPAD.encode(&bytes), &keys(1), BOOT);
            prop_assert!(matches!(opened, Err(BadTicket::Sealed | BadTicket::Version)));
        }

        #[test]
        fn any_changed_character_fails(ticket in any_ticket(), at in 0..TICKET_CHARS, to: char) {
            let ufrag = ticket.seal(&keys(1), BOOT);
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
            let ufrag = ticket.seal(&keys(1), BOOT);
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

    #[test]
    fn passwords_have_ice_length_and_differ_by_ticket_and_shard() {
        let a = ice_password(&keys(1), "ticket-a");
        assert_eq!(a.len(), 24);
        assert_ne!(a, ice_password(&keys(1), "ticket-b"));
        assert_ne!(a, ice_password(&keys(2), "ticket-a"));
        assert_eq!(a, ice_password(&keys(1), "ticket-a"));
    }
}
