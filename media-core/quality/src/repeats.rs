//! What a packet repeats of the frames before it, as anybody can see who has its payload, without
//! decoding it.

/// First bit of a header of RED that another follows.
const FOLLOWS: u8 = 0x80;
/// Header of a redundant block: payload type, timestamp offset (14 bits) and length (10 bits).
const BLOCK_HEADER_BYTES: usize = 4;

/// How many earlier frames a RED payload (RFC 2198) repeats; none when it is malformed.
pub fn copies(payload: &[u8]) -> u8 {
    let headers = payload.chunks_exact(BLOCK_HEADER_BYTES);
    let copies = headers.take_while(|header| header[0] & FOLLOWS != 0);
    copies.count().try_into().unwrap_or(u8::MAX)
}

/// Whether an Opus packet repeats the one before it in less quality (RFC 6716 sections 3.1 and
/// 4.2.4): of packets with one frame in which SILK codes speech, the bit after those that say
/// whether there is any. Range-coded bits of even odds stand in the first byte as they are.
pub fn has_fec(opus: &[u8]) -> bool {
    let [toc, first, ..] = *opus else {
        return false;
    };
    let config = toc >> 3;
    let silk_frames = match config {
        // SILK alone: 10, 20, 40 and 60 ms.
        0..=11 => [1, 1, 2, 3][usize::from(config & 3)],
        // With CELT above it: 10 and 20 ms.
        12..=15 => 1,
        _ => return false,
    };
    let has_one_frame = toc & 3 == 0;
    has_one_frame && first & (0x80 >> silk_frames) != 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_a_packet_with_or_without(bytes: Vec<u8>) {
            has_fec(&bytes);
            prop_assert!(usize::from(copies(&bytes)) <= bytes.len() / BLOCK_HEADER_BYTES);
        }
    }

    #[test]
    fn copies_are_counted_by_their_headers() {
        assert_eq!(copies(&[111, 1, 2, 3, 4]), 0);
        let one = [0x80 | 111, 15, 0, 1, 111, 9, 9];
        assert_eq!(copies(&one), 1);
        let two = [[0x80 | 111, 30, 0, 1].as_slice(), &one].concat();
        assert_eq!(copies(&two), 2);
    }

    #[test]
    fn in_band_fec_is_seen_where_there_is_any() {
        // SILK wideband, 20 ms, one frame: voice, and a repetition.
        assert!(has_fec(&[9 << 3, 0b1100_0000]));
        assert!(!has_fec(&[9 << 3, 0b1000_0000]));
        // 60 ms: three bits of voice, then the one.
        assert!(has_fec(&[11 << 3, 0b0001_0000]));
        assert!(!has_fec(&[11 << 3, 0b1110_0000]));
        // Hybrid has it, CELT has none, several frames are not looked at.
        assert!(has_fec(&[15 << 3, 0b0100_0000]));
        assert!(!has_fec(&[31 << 3, 0xff]));
        assert!(!has_fec(&[9 << 3 | 3, 0xff]));
        assert!(!has_fec(&[9 << 3]));
    }
}
