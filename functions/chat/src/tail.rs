//! The tail of a channel: its last message's number and the settings as of it, as a sealed word
//! that a client carries from one reply to its next post, so that the post need not read it again.

use chat_channel::log::{EXPIRY_MARGIN_MS, Tail};
use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use wire::chat::ChannelSettings;
use wire::keys::PurposeSecret;

const PLAIN_BYTES: usize = 19;
const MAC_BYTES: usize = 8;

/// Seals tails.
pub(crate) struct TailKey([u8; 32]);

impl TailKey {
    pub(crate) fn new(secret: &PurposeSecret) -> Self {
        Self(*secret.bytes().next().expect("it has the one that signs"))
    }

    pub(crate) fn seal(&self, channel: &str, tail: &Tail) -> String {
        let mut bytes = [0; PLAIN_BYTES + MAC_BYTES];
        bytes[..8].copy_from_slice(&tail.seq.to_be_bytes());
        bytes[8..16].copy_from_slice(&tail.expires_at_ms.to_be_bytes());
        bytes[16..18].copy_from_slice(&tail.settings.slow_s.to_be_bytes());
        bytes[18] = u8::from(tail.settings.locked);
        let mac = self
            .mac(channel, &bytes[..PLAIN_BYTES])
            .finalize()
            .into_bytes();
        bytes[PLAIN_BYTES..].copy_from_slice(&mac[..MAC_BYTES]);
        BASE64URL_NOPAD.encode(&bytes)
    }

    /// None for a tail of another channel, one that is not ours, and one that is about to expire.
    pub(crate) fn open(&self, channel: &str, sealed: &str, now_ms: u64) -> Option<Tail> {
        if sealed.len() != (PLAIN_BYTES + MAC_BYTES).div_ceil(3) * 4 {
            return None;
        }
        let bytes = BASE64URL_NOPAD.decode(sealed.as_bytes()).ok()?;
        let (plain, mac) = bytes.split_at_checked(PLAIN_BYTES)?;
        self.mac(channel, plain).verify_truncated_left(mac).ok()?;
        let number = |at: usize| u64::from_be_bytes(plain[at..at + 8].try_into().expect("eight"));
        let settings = ChannelSettings {
            locked: plain[18] != 0,
            slow_s: u16::from_be_bytes([plain[16], plain[17]]),
        };
        let tail = Tail {
            seq: number(0),
            settings,
            expires_at_ms: number(8),
        };
        (tail.expires_at_ms >= now_ms + EXPIRY_MARGIN_MS).then_some(tail)
    }

    fn mac(&self, channel: &str, plain: &[u8]) -> Hmac<Sha256> {
        Hmac::<Sha256>::new_from_slice(&self.0)
            .expect("HMAC takes any key length")
            .chain_update(plain)
            .chain_update(channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_opens_only_whole_in_its_channel_and_time() {
        let key = TailKey([1; 32]);
        let settings = ChannelSettings {
            locked: true,
            slow_s: 300,
        };
        let tail = Tail {
            seq: 1 << 40,
            settings,
            expires_at_ms: 1_000_000,
        };
        let sealed = key.seal("room~a~b", &tail);
        assert_eq!(key.open("room~a~b", &sealed, 940_000), Some(tail));
        assert_eq!(key.open("room~a~b", &sealed, 940_001), None);
        assert_eq!(key.open("room~a~c", &sealed, 0), None);
        let other = TailKey([2; 32]);
        assert_eq!(other.open("room~a~b", &sealed, 0), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(key.open("room~a~b", &changed, 0), None, "{at}");
            assert_eq!(key.open("room~a~b", &sealed[..at], 0), None);
        }
    }
}
