//! Connectivity checks (RFC 8489, RFC 8445): reading, proving and answering them.

use std::net::SocketAddr;

use str0m::config::CryptoProvider;
use str0m::ice::{StunMessage, StunMessageBuilder};

use crate::stats::RejectReason;

/// First bytes of a STUN binding request (RFC 8489).
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const STUN_HEADER_BYTES: usize = 20;
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const ATTRIBUTE_USERNAME: u16 = 0x0006;
/// What a client is told whom the shard does not let in (RFC 8656, section 19).
const NO_CAPACITY: (u16, &str) = (508, "Insufficient Capacity");
/// Longest response: an IPv6 address or the error, MESSAGE-INTEGRITY and FINGERPRINT.
const RESPONSE_BYTES_MAX: usize = 128;

/// Proves and signs messages.
#[derive(Clone, Copy)]
pub(crate) struct Stun<'a>(pub(crate) &'a CryptoProvider);

impl Stun<'_> {
    /// Reads a binding request and checks its MESSAGE-INTEGRITY (RFC 8489 section 9.1).
    pub(crate) fn verify<'a>(
        self,
        data: &'a [u8],
        password: &str,
    ) -> Result<StunMessage<'a>, RejectReason> {
        let message = StunMessage::parse(data).map_err(|_| RejectReason::StunMalformed)?;
        let hmac = self.0.sha1_hmac_provider;
        let matches = message.verify(password.as_bytes(), |key, parts| hmac.sha1_hmac(key, parts));
        matches.then_some(message).ok_or(RejectReason::Integrity)
    }

    /// The answer to a check that came from `from`.
    pub(crate) fn answer(
        self,
        check: &StunMessage<'_>,
        from: SocketAddr,
        password: &str,
    ) -> Option<Vec<u8>> {
        self.sign(StunMessage::binding_reply(check.trans_id(), from), password)
    }

    /// The error response to a check of somebody for whom there is no place; shorter than it.
    pub(crate) fn no_capacity(self, check: &StunMessage<'_>, password: &str) -> Option<Vec<u8>> {
        let (code, phrase) = NO_CAPACITY;
        let message = StunMessageBuilder::new().binding().failure();
        self.sign(
            message.error_code(code, phrase).build(check.trans_id()),
            password,
        )
    }

    /// The bytes of a response, with MESSAGE-INTEGRITY.
    fn sign(self, message: StunMessage<'_>, password: &str) -> Option<Vec<u8>> {
        let hmac = self.0.sha1_hmac_provider;
        let mut bytes = [0; RESPONSE_BYTES_MAX];
        let length = message
            .to_bytes(Some(password.as_bytes()), &mut bytes, |key, parts| {
                hmac.sha1_hmac(key, parts)
            })
            .ok()?;
        Some(bytes[..length].to_vec())
    }
}

/// The USERNAME of a STUN binding request, without allocating; none when it is not one.
pub(crate) fn username(data: &[u8]) -> Option<&str> {
    let (header, mut rest) = data.split_at_checked(STUN_HEADER_BYTES)?;
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if header[..2] != BINDING_REQUEST || header[4..8] != MAGIC_COOKIE || length != rest.len() {
        return None;
    }
    while let [k0, k1, l0, l1, tail @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        let value = tail.get(..length)?;
        if u16::from_be_bytes([*k0, *k1]) == ATTRIBUTE_USERNAME {
            return std::str::from_utf8(value).ok();
        }
        rest = tail.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(attributes: &[u8]) -> Vec<u8> {
        let mut data = BINDING_REQUEST.to_vec();
        data.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
        data.extend(MAGIC_COOKIE);
        data.extend([0; 12]);
        data.extend(attributes);
        data
    }

    #[test]
    fn the_username_is_found_behind_padded_attributes() {
        let mut attributes = vec![0x80, 0x22, 0, 3, b'a', b'b', b'c', 0];
        attributes.extend([0, 6, 0, 5, b's', b':', b'c', b'd', b'e', 0, 0, 0]);
        assert_eq!(username(&request(&attributes)), Some("s:cde"));
    }

    #[test]
    fn anything_else_is_no_username() {
        let good = request(&[0, 6, 0, 3, b's', b':', b'c', 0]);
        assert_eq!(username(&good), Some("s:c"));
        for cut in 0..good.len() {
            assert_eq!(username(&good[..cut]), None, "cut at {cut}");
        }
        for (at, to) in [
            (0, 1),
            (1, 2),
            (4, 0),
            (3, 7),
            (21, 7),
            (23, 200),
            (24, 0xff),
        ] {
            let mut bad = good.clone();
            bad[at] = to;
            assert_eq!(username(&bad), None, "byte {at} set to {to}");
        }
    }
}
