//! Key schedule: one fleet secret, one secret for each purpose, of which functions hold those that
//! they need; of some, one part for each shard and epoch; one subkey for each use (RFC 5869). Why:
//! `infra/decisions/0031-a-function-holds-what-it-needs.md`.

use std::fmt;

use hkdf::Hkdf;
use sha2::Sha256;

use crate::ids::{PlayerId, PlayerKey, ShardId};

/// Number of key epochs: they have four bits in a ticket.
pub const EPOCHS: u8 = 16;

/// One secret, 32 bytes, or two while one takes the other's place. Which of the two a shard's key
/// is of depends on its epoch alone, which the relay's heartbeat names: so whoever seals takes what
/// the receiver is known to hold.
#[derive(Clone, Copy)]
struct Generations {
    /// What tokens are signed with.
    first: Generation,
    other: Option<Generation>,
}

#[derive(Clone, Copy)]
struct Generation {
    /// Of keys from this epoch on.
    from: u8,
    bytes: [u8; 32],
}

/// The secret of the whole fleet. Everything is derived from it, so that only the function holds it
/// that lets relays in.
#[derive(Clone)]
pub struct FleetSecret(Generations);

/// What a secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Tickets, the passwords that go with them, and hellos.
    Admission,
    /// Commands to relays.
    Control,
    /// Heartbeats of relays.
    Heartbeat,
    /// How relays know players.
    Player,
    /// Tails of chat channels, which clients carry.
    Tail,
    /// Tokens that functions make.
    Token,
}

/// The secret of one purpose. It tells nothing of the fleet's or another purpose's.
#[derive(Clone)]
pub struct PurposeSecret(Generations);

/// Makes tickets and hellos for any shard.
#[derive(Debug, Clone)]
pub struct AdmissionSecret(pub PurposeSecret);

/// Makes commands for any shard.
#[derive(Debug, Clone)]
pub struct ControlSecret(pub PurposeSecret);

/// Knows the heartbeats of any shard.
#[derive(Debug, Clone)]
pub struct HeartbeatSecret(pub PurposeSecret);

/// Makes the keys of players.
#[derive(Debug, Clone)]
pub struct PlayerSecret(pub PurposeSecret);

/// The key of one shard: a part for each purpose that concerns relays. A relay holds its own and no
/// other.
#[derive(Clone)]
pub struct ShardKey {
    epoch: u8,
    admission: [u8; 32],
    control: [u8; 32],
    heartbeat: [u8; 32],
}

/// The subkeys of one shard, derived once.
#[derive(Clone)]
pub struct ShardKeys {
    /// Key epoch, 0 to 15; travels in the ticket.
    pub epoch: u8,
    admission: AdmissionKeys,
    control: ControlKey,
    heartbeat: HeartbeatKey,
}

/// What tickets and hellos of one shard are sealed with.
#[derive(Clone)]
pub struct AdmissionKeys {
    pub(crate) epoch: u8,
    pub(crate) ticket: [u8; 32],
    pub(crate) ice: [u8; 32],
    pub(crate) hello: [u8; 32],
}

/// What commands to one shard are sealed with.
#[derive(Clone)]
pub struct ControlKey(pub(crate) [u8; 32]);

/// What the heartbeats of one shard are signed with.
#[derive(Clone)]
pub struct HeartbeatKey(pub(crate) [u8; 32]);

/// A text is not the key that is wanted, or the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadKey;

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key must be 32 bytes in base64 (44 characters)")
    }
}

impl std::error::Error for BadKey {}

/// The text of a shard's key is not 96 bytes of base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadShardKey;

impl fmt::Display for BadShardKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a shard key must be 96 bytes in base64 (128 characters)")
    }
}

impl std::error::Error for BadShardKey {}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Admission,
        Self::Control,
        Self::Heartbeat,
        Self::Player,
        Self::Tail,
        Self::Token,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admission => "admission",
            Self::Control => "control",
            Self::Heartbeat => "heartbeat",
            Self::Player => "player",
            Self::Tail => "tail",
            Self::Token => "token",
        }
    }
}

impl Generations {
    fn one(bytes: [u8; 32]) -> Self {
        Self {
            first: Generation { from: 0, bytes },
            other: None,
        }
    }

    /// Reads `KEY`, or `KEY EPOCH:KEY` in either order.
    fn read(text: &str) -> Result<Self, BadKey> {
        let mut all = text.split_whitespace().map(Generation::read);
        let first = all.next().ok_or(BadKey)??;
        let other = all.next().transpose()?;
        let is_clear = other.is_none_or(|other| other.from != first.from);
        match all.next() {
            None if is_clear => Ok(Self { first, other }),
            _ => Err(BadKey),
        }
    }

    fn text(&self) -> String {
        let words: Vec<String> = self.all().map(Generation::text).collect();
        words.join(" ")
    }

    fn all(&self) -> impl Iterator<Item = &Generation> {
        std::iter::once(&self.first).chain(&self.other)
    }

    /// The newest that is not of later epochs; the first if both are.
    fn of_epoch(&self, epoch: u8) -> &[u8; 32] {
        assert!(epoch < EPOCHS, "a key epoch has four bits");
        let known = self.all().filter(|it| it.from <= epoch);
        &known.max_by_key(|it| it.from).unwrap_or(&self.first).bytes
    }

    fn map(&self, change: impl Fn(&[u8; 32]) -> [u8; 32]) -> Self {
        let one = |it: &Generation| Generation {
            from: it.from,
            bytes: change(&it.bytes),
        };
        Self {
            first: one(&self.first),
            other: self.other.as_ref().map(one),
        }
    }
}

impl Generation {
    fn read(word: &str) -> Result<Self, BadKey> {
        let (from, key) = word.split_once(':').unwrap_or(("0", word));
        let from = from.parse().map_err(|_| BadKey)?;
        let bytes = key_from_base64(key)?;
        match from < EPOCHS {
            true => Ok(Self { from, bytes }),
            false => Err(BadKey),
        }
    }

    fn text(&self) -> String {
        let key = data_encoding::BASE64.encode(&self.bytes);
        match self.from {
            0 => key,
            from => format!("{from}:{key}"),
        }
    }
}

impl FleetSecret {
    /// Wraps 32 secret bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Generations::one(bytes))
    }

    /// Reads 32 bytes in base64 (standard alphabet, padded; surrounding white space ignored). While
    /// one secret takes another's place they are two, with white space between: `OLD EPOCH:NEW`,
    /// where the new one is for keys from that epoch on, and later `EPOCH:NEW OLD`, by which tokens
    /// are signed with the new one.
    ///
    /// # Errors
    /// [`BadKey`] when it is anything else.
    pub fn from_base64(text: &str) -> Result<Self, BadKey> {
        Generations::read(text).map(Self)
    }

    /// The secret of a purpose.
    pub fn purpose(&self, purpose: Purpose) -> PurposeSecret {
        let info = [
            b"lifeverse/purpose/v2/".as_slice(),
            purpose.name().as_bytes(),
        ];
        PurposeSecret(self.0.map(|bytes| derive(bytes, &info)))
    }

    /// The epoch of the keys that are handed out: the first of the newest secret.
    pub fn newest_epoch(&self) -> u8 {
        self.0.all().map(|it| it.from).max().unwrap_or_default()
    }

    /// The key of `shard` in `epoch` (0 to 15).
    pub fn shard_key(&self, shard: &ShardId, epoch: u8) -> ShardKey {
        let part = |purpose| self.purpose(purpose).of_shard(shard, epoch);
        ShardKey {
            epoch,
            admission: part(Purpose::Admission),
            control: part(Purpose::Control),
            heartbeat: part(Purpose::Heartbeat),
        }
    }

    /// As [`PlayerSecret::player_key`].
    pub fn player_key(&self, player: &PlayerId, epoch: u8) -> PlayerKey {
        PlayerSecret(self.purpose(Purpose::Player)).player_key(player, epoch)
    }
}

impl PurposeSecret {
    /// Reads what [`PurposeSecret::to_base64`] writes, as [`FleetSecret::from_base64`] does.
    ///
    /// # Errors
    /// [`BadKey`] when it is anything else.
    pub fn from_base64(text: &str) -> Result<Self, BadKey> {
        Generations::read(text).map(Self)
    }

    /// The secret in base64, or both.
    pub fn to_base64(&self) -> String {
        self.0.text()
    }

    /// The bytes of the one that signs, and then of the other, for a purpose that is not split
    /// further.
    pub fn bytes(&self) -> impl Iterator<Item = &[u8; 32]> {
        self.0.all().map(|it| &it.bytes)
    }

    fn of_shard(&self, shard: &ShardId, epoch: u8) -> [u8; 32] {
        let info = [
            b"lifeverse/shard/v2/".as_slice(),
            &[epoch],
            shard.as_str().as_bytes(),
        ];
        derive(self.0.of_epoch(epoch), &info)
    }
}

impl AdmissionSecret {
    /// The keys of `shard` in `epoch` (0 to 15).
    pub fn keys(&self, shard: &ShardId, epoch: u8) -> AdmissionKeys {
        AdmissionKeys::of(epoch, &self.0.of_shard(shard, epoch))
    }
}

impl ControlSecret {
    /// The key of `shard` in `epoch` (0 to 15).
    pub fn key(&self, shard: &ShardId, epoch: u8) -> ControlKey {
        ControlKey(subkey(&self.0.of_shard(shard, epoch), b"control"))
    }
}

impl HeartbeatSecret {
    /// The key of `shard` in `epoch` (0 to 15).
    pub fn key(&self, shard: &ShardId, epoch: u8) -> HeartbeatKey {
        HeartbeatKey(subkey(&self.0.of_shard(shard, epoch), b"heartbeat"))
    }
}

impl PlayerSecret {
    /// How a relay whose keys are of `epoch` (0 to 15) knows `player`: not reversible without the
    /// secret, and the same for all relays whose keys are of one secret.
    pub fn player_key(&self, player: &PlayerId, epoch: u8) -> PlayerKey {
        let info = [
            b"lifeverse/player/v2/".as_slice(),
            player.as_str().as_bytes(),
        ];
        PlayerKey(derive(self.0.0.of_epoch(epoch), &info))
    }
}

impl AdmissionKeys {
    fn of(epoch: u8, part: &[u8; 32]) -> Self {
        Self {
            epoch,
            ticket: subkey(part, b"ticket"),
            ice: subkey(part, b"ice"),
            hello: subkey(part, b"hello"),
        }
    }
}

impl ShardKey {
    /// A key whose parts are all the same 32 bytes, of `epoch` (0 to 15): for relays that no
    /// function serves.
    pub fn new(epoch: u8, bytes: [u8; 32]) -> Self {
        assert!(epoch < EPOCHS, "a key epoch has four bits");
        Self {
            epoch,
            admission: bytes,
            control: bytes,
            heartbeat: bytes,
        }
    }

    /// Reads the parts in base64 (standard alphabet; surrounding white space ignored).
    ///
    /// # Errors
    /// [`BadShardKey`] when they are not exactly 96 bytes.
    pub fn from_base64(epoch: u8, text: &str) -> Result<Self, BadShardKey> {
        let bytes = data_encoding::BASE64.decode(text.trim().as_bytes());
        let bytes = bytes.map_err(|_| BadShardKey)?;
        let (parts, []) = bytes.as_chunks::<32>() else {
            return Err(BadShardKey);
        };
        let [admission, control, heartbeat] = *parts else {
            return Err(BadShardKey);
        };
        Ok(Self {
            admission,
            control,
            heartbeat,
            ..Self::new(epoch, [0; 32])
        })
    }

    /// The key as base64, for the file that a relay reads.
    pub fn to_base64(&self) -> String {
        let parts = [self.admission, self.control, self.heartbeat];
        data_encoding::BASE64.encode(parts.as_flattened())
    }

    /// The subkeys.
    pub fn subkeys(&self) -> ShardKeys {
        ShardKeys {
            epoch: self.epoch,
            admission: AdmissionKeys::of(self.epoch, &self.admission),
            control: ControlKey(subkey(&self.control, b"control")),
            heartbeat: HeartbeatKey(subkey(&self.heartbeat, b"heartbeat")),
        }
    }
}

/// Whoever holds all subkeys of a shard holds these.
macro_rules! part_of_shard_keys {
    ($($part:ident: $field:ident),*) => { $(
        impl AsRef<$part> for ShardKeys {
            fn as_ref(&self) -> &$part {
                &self.$field
            }
        }

        impl AsRef<$part> for $part {
            fn as_ref(&self) -> &$part {
                self
            }
        }
    )* };
}
part_of_shard_keys!(AdmissionKeys: admission, ControlKey: control, HeartbeatKey: heartbeat);

fn subkey(part: &[u8; 32], label: &[u8]) -> [u8; 32] {
    derive(part, &[b"lifeverse/use/v1/", label])
}

/// Secrets never print.
macro_rules! opaque_debug {
    ($($name:ident),*) => { $(impl fmt::Debug for $name {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(concat!(stringify!($name), "(..)"))
        }
    })* };
}
opaque_debug!(
    FleetSecret,
    PurposeSecret,
    ShardKey,
    ShardKeys,
    AdmissionKeys,
    ControlKey,
    HeartbeatKey
);

fn key_from_base64(text: &str) -> Result<[u8; 32], BadKey> {
    let bytes = data_encoding::BASE64
        .decode(text.trim().as_bytes())
        .map_err(|_| BadKey)?;
    bytes.try_into().map_err(|_| BadKey)
}

/// HKDF-Expand with `key` as the pseudo-random key: the inputs are uniform keys already, so the
/// extract step of RFC 5869 may be skipped (its section 3.3).
pub(crate) fn derive<const N: usize>(key: &[u8; 32], info: &[&[u8]]) -> [u8; N] {
    let mut out = [0; N];
    Hkdf::<Sha256>::from_prk(key)
        .expect("32 bytes are a whole pseudo-random key")
        .expand_multi_info(info, &mut out)
        .expect("every subkey is far below 255 hash lengths");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(name: &str) -> ShardId {
        name.parse().unwrap()
    }

    #[test]
    fn every_purpose_use_epoch_and_shard_has_its_own_key() {
        let secret = FleetSecret::new([7; 32]);
        let mut seen = std::collections::BTreeSet::from([[7; 32]]);
        for purpose in Purpose::ALL {
            assert!(seen.insert(secret.purpose(purpose).0.first.bytes));
        }
        for name in ["a", "b"] {
            for epoch in [0, 1] {
                let key = secret.shard_key(&shard(name), epoch);
                let keys = key.subkeys();
                let AdmissionKeys {
                    ticket, ice, hello, ..
                } = keys.admission;
                for key in [
                    key.admission,
                    key.control,
                    key.heartbeat,
                    ticket,
                    ice,
                    hello,
                ] {
                    assert!(seen.insert(key));
                }
                assert!(seen.insert(keys.control.0) && seen.insert(keys.heartbeat.0));
            }
        }
    }

    #[test]
    fn functions_and_the_relay_come_to_the_same_keys() {
        let secret = FleetSecret::new([7; 32]);
        let relay = ShardKey::from_base64(3, &secret.shard_key(&shard("a"), 3).to_base64());
        let relay = relay.unwrap().subkeys();
        // By way of text, as functions get them.
        let of = |purpose| {
            let text = secret.purpose(purpose).to_base64();
            PurposeSecret::from_base64(&text).unwrap()
        };
        let admission = AdmissionSecret(of(Purpose::Admission)).keys(&shard("a"), 3);
        let own = &relay.admission;
        assert_eq!(
            (
                admission.epoch,
                admission.ticket,
                admission.ice,
                admission.hello
            ),
            (own.epoch, own.ticket, own.ice, own.hello)
        );
        let control = ControlSecret(of(Purpose::Control)).key(&shard("a"), 3);
        assert_eq!(control.0, relay.control.0);
        let heartbeat = HeartbeatSecret(of(Purpose::Heartbeat)).key(&shard("a"), 3);
        assert_eq!(heartbeat.0, relay.heartbeat.0);
    }

    /// The steps by which a secret takes another's place.
    fn steps() -> [FleetSecret; 4] {
        let [old, new] = [7, 8].map(|byte| data_encoding::BASE64.encode(&[byte; 32]));
        let steps = [
            old.clone(),
            format!("{old} 3:{new}"),
            format!("3:{new} {old}\n"),
            new,
        ];
        steps.map(|text| FleetSecret::from_base64(&text).unwrap())
    }

    #[test]
    fn of_two_secrets_the_epoch_says_which_a_key_is_of() {
        let [old, begun, turned, new] = steps();
        let (shard, player) = (shard("a"), "ann".parse().unwrap());
        let keys = |secret: &FleetSecret, epoch| {
            let key = secret.shard_key(&shard, epoch).to_base64();
            (key, secret.player_key(&player, epoch))
        };
        for epoch in 0..EPOCHS {
            let wanted = if epoch < 3 { &old } else { &new };
            assert_eq!(keys(&begun, epoch), keys(wanted, epoch));
            assert_eq!(keys(&turned, epoch), keys(wanted, epoch));
        }
        assert_ne!(keys(&old, 3), keys(&new, 3));
        let newest = [&old, &begun, &turned, &new].map(FleetSecret::newest_epoch);
        assert_eq!(newest, [0, 3, 3, 0]);
    }

    #[test]
    fn the_secret_of_a_purpose_is_of_the_same_epochs_by_way_of_text() {
        for secret in steps() {
            for purpose in Purpose::ALL {
                let own = secret.purpose(purpose);
                let read = PurposeSecret::from_base64(&own.to_base64()).unwrap();
                assert!(read.bytes().eq(own.bytes()));
                assert!((0..EPOCHS).all(|epoch| read.0.of_epoch(epoch) == own.0.of_epoch(epoch)));
            }
        }
    }

    #[test]
    fn secrets_do_not_print() {
        let secret = FleetSecret::new([7; 32]);
        let key = secret.shard_key(&shard("a"), 0);
        let control = ControlSecret(secret.purpose(Purpose::Control));
        assert_eq!(
            format!("{secret:?} {key:?} {control:?}"),
            "FleetSecret(..) ShardKey(..) ControlSecret(PurposeSecret(..))"
        );
    }

    #[test]
    fn a_key_of_the_wrong_length_is_refused() {
        assert_eq!(FleetSecret::from_base64("c2hvcnQ=").unwrap_err(), BadKey);
        let key = data_encoding::BASE64.encode(&[1; 32]);
        for text in [
            String::new(),
            format!("{key} {key}"),
            format!("{key} 16:{key}"),
            format!("{key} 1:{key} 2:{key}"),
            format!("3:{key} 3:{key}"),
            format!("{key}:{key}"),
        ] {
            assert_eq!(FleetSecret::from_base64(&text).unwrap_err(), BadKey);
        }
        let refused = |text: &str| ShardKey::from_base64(0, text).unwrap_err();
        assert_eq!(refused("not base64"), BadShardKey);
        for bytes in [0, 32, 64, 95, 97, 128] {
            let text = data_encoding::BASE64.encode(&vec![1; bytes]);
            assert_eq!(refused(&text), BadShardKey, "{bytes}");
        }
        let key = ShardKey::new(3, [9; 32]);
        assert!(ShardKey::from_base64(3, &format!("{}\n", key.to_base64())).is_ok());
    }
}
