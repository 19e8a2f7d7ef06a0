//! Asking a client whether it is where a check says: a HEARTBEAT of SCTP, which whoever implements
//! SCTP answers with what was in it (RFC 9260 sections 5.4 and 8.3). It travels under DTLS, so that
//! only the client can read it; it is not sent again by itself, so that it goes to one path only;
//! and str0m knows nothing of it: it is put into DTLS, and taken from it, by the tap (see `keys`).

/// Source and destination port, verification tag, checksum.
const COMMON_HEADER_BYTES: usize = 12;
const CHECKSUM_AT: usize = 8;
/// Chunk types (RFC 9260 section 3.2).
const INIT: u8 = 1;
const HEARTBEAT: u8 = 4;
const HEARTBEAT_ACK: u8 = 5;
/// Type, flags and length of a chunk.
const CHUNK_HEADER_BYTES: usize = 4;
/// Type 1 and length of the Heartbeat Info parameter, whose value is a nonce.
const INFO_HEADER: [u8; 4] = [0, 1, 0, 12];
/// Of both together.
const CHUNK_BYTES: usize = CHUNK_HEADER_BYTES + INFO_HEADER.len() + size_of::<u64>();
/// Reflected polynomial of CRC32c (RFC 9260 appendix A).
const CRC32C: u32 = 0x82f6_3b78;

/// Questions to one client, and its answers: what the tap and the session have in common.
#[derive(Debug, Default)]
pub(crate) struct Heartbeats {
    /// Ports and verification tag of what goes to the client.
    header: Option<[u8; CHECKSUM_AT]>,
    /// The association is established.
    is_established: bool,
    nonce: Option<u64>,
    sealed: Option<Vec<u8>>,
    answer: Option<u64>,
    has_opened: bool,
}

impl Heartbeats {
    /// Takes note of an SCTP packet to the client.
    pub(super) fn note_sent(&mut self, packet: &[u8]) {
        // An INIT does not know the client's tag.
        if self.header.is_none() && packet.get(COMMON_HEADER_BYTES).is_some_and(|t| *t != INIT) {
            self.header = packet.first_chunk().copied();
        }
    }

    /// Takes note of an SCTP packet of the client. False when it has an answer: sctp-proto, which
    /// asks nobody, refuses the whole packet for that. What else is in it is sent again.
    #[must_use]
    pub(super) fn note_opened(&mut self, packet: &[u8], is_established: bool) -> bool {
        self.has_opened = true;
        self.is_established |= is_established;
        let answer = answer(packet);
        self.answer = answer.or(self.answer);
        answer.is_none()
    }

    /// What is to be sealed for the client, if anything is.
    pub(super) fn take_question(&mut self) -> Option<Vec<u8>> {
        let header = self.header.filter(|_| self.is_established)?;
        self.nonce.take().map(|nonce| heartbeat(header, nonce))
    }

    /// The question was sealed.
    pub(super) fn note_sealed(&mut self, datagram: &[u8]) {
        self.sealed = Some(datagram.to_vec());
    }

    /// Whether the client can be asked.
    pub(crate) fn can_ask(&self) -> bool {
        self.is_established && self.header.is_some()
    }

    /// Has the next poll of str0m seal a question.
    pub(crate) fn ask(&mut self, nonce: u64) {
        self.nonce = Some(nonce);
    }

    /// The question, sealed.
    pub(crate) fn take_sealed(&mut self) -> Option<Vec<u8>> {
        self.nonce = None;
        self.sealed.take()
    }

    /// What the client answered.
    pub(crate) fn take_answer(&mut self) -> Option<u64> {
        self.answer.take()
    }

    /// Whether DTLS has opened something of the client since this was asked last: it was authentic
    /// and new.
    pub(crate) fn take_has_opened(&mut self) -> bool {
        std::mem::take(&mut self.has_opened)
    }
}

/// An SCTP packet with a HEARTBEAT.
fn heartbeat(header: [u8; CHECKSUM_AT], nonce: u64) -> Vec<u8> {
    let mut packet = Vec::with_capacity(COMMON_HEADER_BYTES + CHUNK_BYTES);
    packet.extend(header);
    packet.extend([0; 4]);
    packet.extend([HEARTBEAT, 0, 0, CHUNK_BYTES as u8]);
    packet.extend(INFO_HEADER);
    packet.extend(nonce.to_be_bytes());
    let checksum = crc32c(&packet).to_le_bytes();
    packet[CHECKSUM_AT..COMMON_HEADER_BYTES].copy_from_slice(&checksum);
    packet
}

/// The nonce of a HEARTBEAT ACK anywhere in an SCTP packet.
fn answer(packet: &[u8]) -> Option<u64> {
    let mut rest = packet.get(COMMON_HEADER_BYTES..)?;
    while let [kind, _, l0, l1, tail @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        if *kind == HEARTBEAT_ACK && length == CHUNK_BYTES {
            let nonce = tail.strip_prefix(&INFO_HEADER)?;
            return nonce.first_chunk().map(|nonce| u64::from_be_bytes(*nonce));
        }
        rest = rest.get(length.max(CHUNK_HEADER_BYTES).next_multiple_of(4)..)?;
    }
    None
}

fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (CRC32C & (crc & 1).wrapping_neg())
        })
    };
    !bytes.iter().fold(!0, step)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: [u8; 8] = [0x13, 0x88, 0x13, 0x88, 1, 2, 3, 4];

    /// What an implementation of SCTP makes of it.
    fn acknowledged(heartbeat: &[u8]) -> Vec<u8> {
        let mut packet = heartbeat.to_vec();
        packet[COMMON_HEADER_BYTES] = HEARTBEAT_ACK;
        packet
    }

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        // The check value of CRC-32/ISCSI, and RFC 3720 appendix B.4.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    }

    #[test]
    fn a_question_is_asked_once_there_is_somebody_to_answer() {
        let mut heartbeats = Heartbeats::default();
        heartbeats.ask(7);
        assert_eq!(heartbeats.take_question(), None);
        let init = [HEADER.as_slice(), &[0; 4], &[INIT, 0, 0, 4]].concat();
        heartbeats.note_sent(&init);
        assert!(heartbeats.note_opened(&[0; 16], true));
        assert!(!heartbeats.can_ask(), "the client's tag is not known");
        let other = [HEADER.as_slice(), &[0; 4], &[2, 0, 0, 4]].concat();
        heartbeats.note_sent(&other);
        assert!(heartbeats.can_ask());
        let question = heartbeats.take_question().unwrap();
        assert!(question.starts_with(&HEADER));
        assert_eq!(heartbeats.take_question(), None, "once");
        assert!(!heartbeats.note_opened(&acknowledged(&question), false));
        assert_eq!(heartbeats.take_answer(), Some(7));
        assert_eq!(heartbeats.take_answer(), None);
    }

    #[test]
    fn an_answer_is_found_behind_other_chunks() {
        let acknowledged = acknowledged(&heartbeat(HEADER, 0x0102_0304_0506_0708));
        let sack = [3, 0, 0, 6, 1, 1, 0, 0];
        let (header, chunk) = acknowledged.split_at(COMMON_HEADER_BYTES);
        let packet = [header, &sack, chunk].concat();
        assert_eq!(answer(&packet), Some(0x0102_0304_0506_0708));
        for cut in 0..packet.len() {
            assert_eq!(answer(&packet[..cut]), None, "cut at {cut}");
        }
        assert_eq!(answer(&heartbeat(HEADER, 1)), None, "a question is none");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes: Vec<u8>) {
            answer(&bytes);
        }
    }
}
