//! What a client's reports say of the streams that he is sent (RFC 3550 section 6.4), and how long
//! they took. All of it is his word: it is taken for what it says of his own connection.

use std::time::{Duration, Instant};

use crate::rtp::ReportBlock;
use crate::stats::ReportFlaw;

/// Packet types of reports.
pub(super) const SENDER_REPORT: u8 = 200;
pub(super) const RECEIVER_REPORT: u8 = 201;
/// Of each packet of a compound; with the SSRC of who reports; what a sender says of itself; a
/// block of a report.
const HEADER_BYTES: usize = 4;
const SSRC_BYTES: usize = 4;
const SENDER_BYTES: usize = 20;
pub(super) const BLOCK_BYTES: usize = 24;
/// Blocks of one datagram that are looked at: twice the slots that there can be.
const MAX_BLOCKS: usize = 32;

/// Reports that are remembered, so that those of a slow client find theirs.
const MEMORY: usize = 4;
/// Longest time there and back that is believed.
const MAX_ROUND_TRIP: Duration = Duration::from_secs(60);

/// The blocks of a compound packet, in the clear; after a flaw comes nothing.
pub(crate) fn blocks(
    compound: &[u8],
) -> impl Iterator<Item = Result<ReportBlock, ReportFlaw>> + '_ {
    let (mut rest, mut blocks, mut count) = (compound, [].as_slice(), 0);
    let mut is_over = false;
    std::iter::from_fn(move || {
        let flaw = |is_over: &mut bool, flaw| {
            *is_over = true;
            Some(Err(flaw))
        };
        while !is_over {
            if let Some((block, others)) = blocks.split_first_chunk::<BLOCK_BYTES>() {
                count += 1;
                if count > MAX_BLOCKS {
                    return flaw(&mut is_over, ReportFlaw::ManyBlocks);
                }
                blocks = others;
                return Some(Ok(read(block)));
            }
            if rest.is_empty() {
                return None;
            }
            match next_packet(rest) {
                Some((found, others)) => (blocks, rest) = (found, others),
                None => return flaw(&mut is_over, ReportFlaw::Malformed),
            }
        }
        None
    })
}

/// The blocks of the first packet of a compound, and what follows it; none when it is malformed.
fn next_packet(compound: &[u8]) -> Option<(&[u8], &[u8])> {
    let [first, kind, high, low, ..] = *compound else {
        return None;
    };
    let words = usize::from(u16::from_be_bytes([high, low]));
    let (packet, rest) = compound.split_at_checked(HEADER_BYTES + 4 * words)?;
    let Some(blocks_at) = blocks_at(kind) else {
        return Some((&[], rest));
    };
    let blocks = packet.get(blocks_at..blocks_at + BLOCK_BYTES * block_count(first))?;
    Some((blocks, rest))
}

/// Where the blocks of a packet of this type begin; none when it is no report.
pub(super) fn blocks_at(kind: u8) -> Option<usize> {
    match kind {
        SENDER_REPORT => Some(HEADER_BYTES + SSRC_BYTES + SENDER_BYTES),
        RECEIVER_REPORT => Some(HEADER_BYTES + SSRC_BYTES),
        _ => None,
    }
}

/// How many blocks a report says to have, by its first byte.
pub(super) fn block_count(first: u8) -> usize {
    usize::from(first & 0x1f)
}

fn read(block: &[u8; BLOCK_BYTES]) -> ReportBlock {
    let word = |n: usize| {
        let at = 4 * n;
        u32::from_be_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
    };
    ReportBlock {
        source: word(0),
        // 24 bits with a sign, behind the share since the last report, which we count ourselves.
        lost: (word(1) << 8).cast_signed() >> 8,
        highest: word(2) as u16,
        jitter_ticks: word(3),
        last_report: word(4),
        delay: word(5),
    }
}

/// How long what we send takes to be answered.
#[derive(Debug, Default)]
pub(crate) struct RoundTrip {
    /// The last reports: the middle of their time, which is told back, and when they were sent.
    sent: [Option<(u32, Instant)>; MEMORY],
    next: usize,
    smoothed: Option<Duration>,
}

impl RoundTrip {
    /// A report leaves whose NTP time is `ntp_time`, true or not.
    pub(crate) fn note_sent(&mut self, now: Instant, ntp_time: u64) {
        self.sent[self.next % MEMORY] = Some(((ntp_time >> 16) as u32, now));
        self.next = (self.next + 1) % MEMORY;
    }

    /// Takes what a block tells back. Of a report that is forgotten nothing comes.
    ///
    /// # Errors
    /// [`ReportFlaw::Delay`] when the client says to have had it before it was sent, or longer
    /// than anybody would wait.
    pub(crate) fn note(&mut self, now: Instant, block: &ReportBlock) -> Result<(), ReportFlaw> {
        let known = self.sent.iter().flatten();
        let mut known = known.filter(|(middle, _)| *middle == block.last_report);
        let Some((_, sent_at)) = known.next().filter(|_| block.last_report != 0) else {
            return Ok(());
        };
        let held = Duration::from_micros((u64::from(block.delay) * 1_000_000) >> 16);
        let since = now.saturating_duration_since(*sent_at);
        let sample = since.checked_sub(held).ok_or(ReportFlaw::Delay)?;
        if sample > MAX_ROUND_TRIP {
            return Err(ReportFlaw::Delay);
        }
        let before = self.smoothed.unwrap_or(sample);
        self.smoothed = Some((before * 3 + sample) / 4);
        Ok(())
    }

    /// Smoothed over the last few reports; none before the first.
    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A packet with `blocks` of which each is five words after its source.
    fn packet(kind: u8, blocks: &[[u32; 6]]) -> Vec<u8> {
        let own = if kind == SENDER_REPORT { 6 } else { 1 };
        let words = own + 6 * blocks.len() as u16;
        let mut packet = vec![0x80 | blocks.len() as u8, kind];
        packet.extend(words.to_be_bytes());
        packet.extend(vec![0; 4 * usize::from(own)]);
        for word in blocks.iter().flatten() {
            packet.extend(word.to_be_bytes());
        }
        packet
    }

    #[test]
    fn blocks_of_all_packets_of_a_compound_are_read() {
        let description = [0x81, 202, 0, 1, 0, 0, 0, 7].to_vec();
        let compound = [
            packet(SENDER_REPORT, &[[1, 0xff00_0002, 0x0001_0003, 4, 5, 6]]),
            packet(RECEIVER_REPORT, &[[7, 0x00ff_fffe, 8, 0, 0, 0], [9; 6]]),
            description,
        ]
        .concat();
        let found: Vec<ReportBlock> = blocks(&compound).map(Result::unwrap).collect();
        assert_eq!(
            found[0],
            ReportBlock {
                source: 1,
                lost: 2,
                highest: 3,
                jitter_ticks: 4,
                last_report: 5,
                delay: 6,
            }
        );
        assert_eq!((found[1].source, found[1].lost), (7, -2), "with its sign");
        assert_eq!((found[2].source, found.len()), (9, 3));
    }

    #[test]
    fn what_is_cut_short_or_too_much_says_so() {
        let one = packet(RECEIVER_REPORT, &[[1; 6]]);
        for cut in 1..one.len() {
            let found: Vec<_> = blocks(&one[..cut]).collect();
            assert_eq!(found, [Err(ReportFlaw::Malformed)], "cut at {cut}");
        }
        let many = packet(RECEIVER_REPORT, &[[1; 6]; 31]).repeat(2);
        let found: Vec<_> = blocks(&many).collect();
        assert_eq!(found.len(), MAX_BLOCKS + 1);
        assert_eq!(found.last(), Some(&Err(ReportFlaw::ManyBlocks)));
    }

    #[test]
    fn the_time_there_and_back_leaves_out_what_the_client_held_it() {
        #[expect(clippy::disallowed_methods, reason = "a test needs some instant")]
        let t0 = Instant::now();
        let at = |ms| t0 + Duration::from_millis(ms);
        let mut trip = RoundTrip::default();
        let block = |last_report, delay| ReportBlock {
            last_report,
            delay,
            ..ReportBlock::default()
        };
        trip.note_sent(at(0), 0x0000_1234_5678_0000);
        assert_eq!(trip.note(at(100), &block(99, 0)), Ok(()), "not ours");
        assert_eq!(trip.smoothed(), None);
        // Held for half a second.
        assert_eq!(trip.note(at(580), &block(0x1234_5678, 1 << 15)), Ok(()));
        assert_eq!(trip.smoothed(), Some(Duration::from_millis(80)));
        let early = trip.note(at(400), &block(0x1234_5678, 1 << 15));
        assert_eq!(early, Err(ReportFlaw::Delay));
        let late = trip.note(at(70_000), &block(0x1234_5678, 0));
        assert_eq!(late, Err(ReportFlaw::Delay));
        assert_eq!(
            trip.smoothed(),
            Some(Duration::from_millis(80)),
            "as before"
        );
        for n in 1..=4 {
            trip.note_sent(at(600), n << 16);
        }
        assert_eq!(trip.note(at(700), &block(0x1234_5678, 0)), Ok(()));
        assert_eq!(
            trip.smoothed(),
            Some(Duration::from_millis(80)),
            "forgotten"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes: Vec<u8>) {
            prop_assert!(blocks(&bytes).count() <= MAX_BLOCKS + 1);
        }
    }
}
