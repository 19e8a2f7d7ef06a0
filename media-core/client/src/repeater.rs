//! Redundant audio (RFC 2198): packets that repeat the frames before them.

use std::collections::VecDeque;

/// Most earlier frames in a packet.
const MAX_COPIES: usize = 2;
/// What a header says of a block: its length has 10 bits, and how much older it is 14.
const MAX_BLOCK_BYTES: usize = (1 << 10) - 1;
const MAX_AGE_TICKS: u32 = (1 << 14) - 1;
/// First bit of a header that another follows.
const FOLLOWS: u8 = 0x80;

/// Remembers the last frames of one microphone.
#[derive(Debug, Default)]
pub struct Repeater {
    /// RTP time and Opus packet, oldest first.
    recent: VecDeque<(u32, Vec<u8>)>,
}

impl Repeater {
    /// The payload of a packet of RED for the Opus packet `frame` of RTP time `time`, with up to
    /// `copies` of those before it, two at most; `opus` is the payload type of Opus. Frames that
    /// are too long or too old for a header are left out.
    pub fn pack(&mut self, opus: u8, time: u32, frame: &[u8], copies: u8) -> Vec<u8> {
        let mut payload = Vec::new();
        let earlier = self.recent.len();
        let copies = usize::from(copies).min(earlier);
        let fits = |(at, block): &&(u32, Vec<u8>)| {
            time.wrapping_sub(*at) <= MAX_AGE_TICKS && block.len() <= MAX_BLOCK_BYTES
        };
        let blocks: Vec<_> = self
            .recent
            .iter()
            .skip(earlier - copies)
            .filter(fits)
            .collect();
        for (at, block) in &blocks {
            let age = time.wrapping_sub(*at);
            let rest = age << 10 | block.len() as u32;
            payload.push(FOLLOWS | opus);
            payload.extend(&rest.to_be_bytes()[1..]);
        }
        payload.push(opus);
        for (_, block) in &blocks {
            payload.extend(block);
        }
        payload.extend(frame);
        self.recent.push_back((time, frame.to_vec()));
        if self.recent.len() > MAX_COPIES {
            self.recent.pop_front();
        }
        payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_repeats_the_last_ones_oldest_first() {
        let mut repeater = Repeater::default();
        assert_eq!(
            repeater.pack(111, 0, &[1], 2),
            [111, 1],
            "nothing before it"
        );
        assert_eq!(
            repeater.pack(111, 960, &[2, 2], 2),
            [0xef, 15, 0, 1, 111, 1, 2, 2]
        );
        // 1920 and 960 ticks are 30 and 15 times 64; the lowest six bits stand before the length.
        let expected = [0xef, 30, 0, 1, 0xef, 15, 0, 2, 111, 1, 2, 2, 3];
        assert_eq!(repeater.pack(111, 1920, &[3], 2), expected);
        assert_eq!(
            repeater.pack(111, 2880, &[4], 1),
            [0xef, 15, 0, 1, 111, 3, 4]
        );
        assert_eq!(repeater.pack(111, 3840, &[5], 0), [111, 5]);
    }

    #[test]
    fn what_no_header_can_name_is_left_out() {
        let mut repeater = Repeater::default();
        repeater.pack(111, 0, &[0; 1024], 0);
        assert_eq!(repeater.pack(111, 960, &[1], 2), [111, 1], "too long");
        assert_eq!(repeater.pack(111, 100_000, &[2], 2), [111, 2], "too old");
    }
}
