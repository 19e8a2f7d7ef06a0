//! Key schedule: one fleet secret, one key per shard and epoch, one subkey per use (RFC 5869).

use std::fmt;

use hkdf::Hkdf;
use sha2::Sha256;

use crate::ids::{PlayerId, PlayerKey, ShardId};

/// Number of key epochs: they have four bits in a ticket.
pub const EPOCHS: u8 = 16;

/// The secret of the whole fleet, 32 bytes. Only functions hold it.
#[derive(Clone)]
pub struct FleetSecret([u8; 32]);

/// The key of one shard. A relay holds its own and no other.
#[derive(Clone)]
pub struct ShardKey {
    epoch: u8,
    bytes: [u8; 32],
}

/// The subkeys of one shard, derived once.
#[derive(Clone)]
pub struct ShardKeys {
    /// Key epoch, 0 to 15; travels in the ticket.
    pub epoch: u8,
    pub(crate) ticket: [u8; 32],
    pub(crate) ice: [u8; 32],
    pub(crate) hello: [u8; 32],
    pub(crate) control: [u8; 32],
    pub(crate) heartbeat: [u8; 32],
}

/// A key text is not 32 bytes of base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadKey;

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key must be 32 bytes in base64 (44 characters)")
    }
}

impl std::error::Error for BadKey {}

impl FleetSecret {
    /// Wraps 32 secret bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads base64 (standard alphabet, padded; surrounding white space ignored).
    ///
    /// # Errors
    /// [`BadKey`] when it is not exactly 32 bytes.
    pub fn from_base64(text: &str) -> Result<Self, BadKey> {
        key_from_base64(text).map(Self)
    }

    /// The key of `shard` in `epoch` (0 to 15).
    pub fn shard_key(&self, shard: &ShardId, epoch: u8) -> ShardKey {
        assert!(epoch < EPOCHS, "a key epoch has four bits");
        let info = [
            b"lifeverse/shard/v1/".as_slice(),
            &[epoch],
            shard.as_str().as_bytes(),
        ];
        ShardKey {
            epoch,
            bytes: derive(&self.0, &info),
        }
    }

    /// A key that only functions hold, for the use that `label` names.
    pub fn edge_key(&self, label: &str) -> [u8; 32] {
        derive(&self.0, &[b"lifeverse/edge/v1/", label.as_bytes()])
    }

    /// How relays know `player`: stable for the fleet, not reversible without the secret.
    pub fn player_key(&self, player: &PlayerId) -> PlayerKey {
        let info = [
            b"lifeverse/player/v1/".as_slice(),
            player.as_str().as_bytes(),
        ];
        PlayerKey(derive(&self.0, &info))
    }
}

impl ShardKey {
    /// Wraps 32 secret bytes of `epoch` (0 to 15).
    pub fn new(epoch: u8, bytes: [u8; 32]) -> Self {
        assert!(epoch < EPOCHS, "a key epoch has four bits");
        Self { epoch, bytes }
    }

    /// Reads base64 as in [`FleetSecret::from_base64`].
    ///
    /// # Errors
    /// [`BadKey`] when it is not exactly 32 bytes.
    pub fn from_base64(epoch: u8, text: &str) -> Result<Self, BadKey> {
        key_from_base64(text).map(|bytes| Self::new(epoch, bytes))
    }

    /// The key as base64, for the file that a relay reads.
    pub fn to_base64(&self) -> String {
        data_encoding::BASE64.encode(&self.bytes)
    }

    /// The subkeys.
    pub fn subkeys(&self) -> ShardKeys {
        let sub = |label: &[u8]| derive(&self.bytes, &[b"lifeverse/use/v1/", label]);
        ShardKeys {
            epoch: self.epoch,
            ticket: sub(b"ticket"),
            ice: sub(b"ice"),
            hello: sub(b"hello"),
            control: sub(b"control"),
            heartbeat: sub(b"heartbeat"),
        }
    }
}

/// Secrets never print.
macro_rules! opaque_debug {
    ($($name:ident),*) => { $(impl fmt::Debug for $name {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(concat!(stringify!($name), "(..)"))
        }
    })* };
}
opaque_debug!(FleetSecret, ShardKey, ShardKeys);

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

    #[test]
    fn every_use_epoch_and_shard_has_its_own_key() {
        let secret = FleetSecret::new([7; 32]);
        let mut seen = std::collections::BTreeSet::new();
        for shard in ["a", "b"] {
            for epoch in [0, 1] {
                let keys = secret.shard_key(&shard.parse().unwrap(), epoch).subkeys();
                for key in [
                    keys.ticket,
                    keys.ice,
                    keys.hello,
                    keys.control,
                    keys.heartbeat,
                ] {
                    assert!(seen.insert(key));
                }
            }
        }
    }

    #[test]
    fn secrets_do_not_print() {
        let secret = FleetSecret::new([7; 32]);
        let key = secret.shard_key(&"a".parse().unwrap(), 0);
        assert_eq!(
            format!("{secret:?} {key:?}"),
            "FleetSecret(..) ShardKey(..)"
        );
    }

    #[test]
    fn a_key_of_the_wrong_length_is_refused() {
        assert_eq!(FleetSecret::from_base64("c2hvcnQ=").unwrap_err(), BadKey);
        assert_eq!(ShardKey::from_base64(0, "not base64").unwrap_err(), BadKey);
        let key = ShardKey::new(3, [9; 32]);
        assert!(ShardKey::from_base64(3, &format!("{}\n", key.to_base64())).is_ok());
    }
}
