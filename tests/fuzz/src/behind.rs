//! What a session can say behind the keys of its handshake and no client of ours ever says: any
//! chunk of SCTP (RFC 9260), any RTP and RTCP, right in all that would have it discarded unread.

use rtc_srtp::context::Context;
use rtc_srtp::crypto::RTCCryptoProvider;
use rtc_srtp::crypto::providers::AwsLcRsProvider;
use rtc_srtp::protection_profile::ProtectionProfile;

use crate::plain::{APPLICATION_DATA, KEYING_MATERIAL, record};
use crate::program::Program;

/// Ports, verification tag, checksum.
const COMMON_HEADER_BYTES: usize = 12;
/// Type of a chunk with a message.
const DATA: u8 = 0;
/// Type, flags, length, TSN, stream, sequence number, protocol.
const DATA_HEADER_BYTES: usize = 16;
/// Chunks of one packet, as many as fit of the shortest.
const CHUNKS_MAX: u8 = 64;
const SRTP_KEY_BYTES: usize = 16;
const SRTP_SALT_BYTES: usize = 14;

/// What is known of a session's keys and of where its association is.
#[derive(Default)]
pub(crate) struct Behind {
    /// Ports and verification tag of what its client sends.
    ports_and_tag: [u8; 8],
    /// The last transmission sequence number that its client used.
    tsn: u32,
    srtp: Option<Context>,
}

impl Behind {
    /// The session's client sends a datagram.
    pub(crate) fn see(&mut self, datagram: &[u8]) {
        let Some((&APPLICATION_DATA, packet)) = datagram.split_first() else {
            return;
        };
        if let Some(header) = packet.first_chunk() {
            self.ports_and_tag = *header;
        }
        let chunk = packet.get(COMMON_HEADER_BYTES..).unwrap_or_default();
        if let [DATA, _, _, _, a, b, c, d, ..] = *chunk {
            self.tsn = u32::from_be_bytes([a, b, c, d]);
        }
    }

    /// A packet of chunks, in a record. Flags of the instruction: tag of an INIT, which is zero;
    /// the next sequence numbers for chunks of data; other streams for each of them.
    pub(crate) fn sctp(&mut self, program: &mut Program<'_>) -> Option<Vec<u8>> {
        let (flags, times) = (program.byte()?, program.byte()? % CHUNKS_MAX + 1);
        let chunk = program.bytes()?;
        let mut packet = self.ports_and_tag.to_vec();
        if flags & 1 != 0 {
            packet[4..].fill(0);
        }
        packet.extend([0; 4]);
        for n in 0..times {
            let mut chunk = chunk.to_vec();
            if flags & 2 != 0 && chunk.len() >= DATA_HEADER_BYTES {
                chunk[0] = DATA;
                let length = (chunk.len() as u16).to_be_bytes();
                chunk[2..4].copy_from_slice(&length);
                self.tsn = self.tsn.wrapping_add(1);
                chunk[4..8].copy_from_slice(&self.tsn.to_be_bytes());
                if flags & 4 != 0 {
                    chunk[9] = chunk[9].wrapping_add(n);
                }
            }
            chunk.resize(chunk.len().next_multiple_of(4), 0);
            packet.extend(chunk);
        }
        let sum = crc32c(&packet).to_le_bytes();
        packet[8..COMMON_HEADER_BYTES].copy_from_slice(&sum);
        Some(record(&packet))
    }

    /// A packet of RTP or RTCP, sealed with the session's keys.
    pub(crate) fn media(&mut self, program: &mut Program<'_>) -> Option<Vec<u8>> {
        let is_rtcp = program.byte()? & 1 != 0;
        let packet = program.bytes()?;
        let srtp = self.srtp.get_or_insert_with(srtp);
        let sealed = if is_rtcp {
            srtp.encrypt_rtcp(packet)
        } else {
            srtp.encrypt_rtp(packet)
        };
        // What has no header cannot be sealed.
        Some(sealed.map_or_else(|_| Vec::new(), |sealed| sealed.to_vec()))
    }
}

/// The keys of a handshake in the clear: all alike.
fn srtp() -> Context {
    let (key, rest) = KEYING_MATERIAL.split_at(SRTP_KEY_BYTES);
    let salt = &rest[..SRTP_SALT_BYTES];
    let profile = ProtectionProfile::Aes128CmHmacSha1_80;
    let crypto = AwsLcRsProvider::default();
    Context::new(key, salt, profile, None, None, crypto.crypto()).expect("lengths of its profile")
}

/// The checksum of SCTP (RFC 9260 appendix A), bit by bit.
fn crc32c(data: &[u8]) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
    !data
        .iter()
        .fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_rfc_3720() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}
