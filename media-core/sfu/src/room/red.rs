//! Redundant audio (RFC 2198): a packet that repeats earlier ones, so that a loss is made good by
//! the next that arrives.

/// Last header, of the primary block: one byte.
const FOLLOWS: u8 = 0x80;
/// Header of a redundant block: payload type, timestamp offset (14 bits) and length (10 bits).
const BLOCK_HEADER_BYTES: usize = 4;

/// Where the primary block of a RED payload begins, which ends with the payload: what was said
/// now, for those who do not take RED. None when it is malformed, or the block is not of
/// `payload_type`.
pub(crate) fn primary_from(payload: &[u8], payload_type: u8) -> Option<usize> {
    let (mut at, mut redundant_bytes) = (0, 0);
    loop {
        let rest = payload.get(at..)?;
        let first = *rest.first()?;
        if first & FOLLOWS == 0 {
            let from = at + 1 + redundant_bytes;
            return (first == payload_type && from <= payload.len()).then_some(from);
        }
        let [_, _, high, low] = *rest.first_chunk::<BLOCK_HEADER_BYTES>()?;
        redundant_bytes += usize::from(u16::from_be_bytes([high, low]) & 0x3ff);
        at += BLOCK_HEADER_BYTES;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A RED payload of Opus blocks, the last one primary.
    fn red(blocks: &[Vec<u8>]) -> Vec<u8> {
        let (primary, redundant) = blocks.split_last().unwrap();
        let mut payload = Vec::new();
        for (n, block) in redundant.iter().enumerate() {
            let offset = 960 * (redundant.len() - n) as u32;
            let header = 0x80 << 24 | 111 << 24 | offset << 10 | block.len() as u32;
            payload.extend(header.to_be_bytes());
        }
        payload.push(111);
        payload.extend(redundant.concat());
        payload.extend(primary);
        payload
    }

    proptest! {
        #[test]
        fn the_primary_block_is_found_behind_any_number_of_others(
            blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1024), 1..8),
        ) {
            let payload = red(&blocks);
            let from = primary_from(&payload, 111).unwrap();
            prop_assert_eq!(&payload[from..], blocks.last().unwrap().as_slice());
            prop_assert_eq!(primary_from(&payload, 109), None, "another codec");
            prop_assert_eq!(usize::from(quality::repeats::copies(&payload)), blocks.len() - 1);
        }

        #[test]
        fn any_bytes_are_a_block_inside_them_or_nothing(
            payload: Vec<u8>,
            payload_type in 0..128_u8,
        ) {
            if let Some(from) = primary_from(&payload, payload_type) {
                prop_assert!((1..=payload.len()).contains(&from));
            }
        }
    }

    #[test]
    fn what_is_cut_short_is_nothing() {
        let payload = red(&[vec![1; 20], vec![2; 30]]);
        for cut in 0..25 {
            assert_eq!(primary_from(&payload[..cut], 111), None, "cut at {cut}");
        }
        assert_eq!(
            primary_from(&payload[..25], 111),
            Some(25),
            "an empty primary"
        );
    }
}
