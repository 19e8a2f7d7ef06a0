//! Asking a client without SCTP whether it is where a check says: the time of a sender report has
//! bits that nobody can guess, and a receiver tells back the middle of it (RFC 3550 section 6.4).

use super::reports::{BLOCK_BYTES, block_count, blocks_at};

/// Where a block has the time of the last sender report.
const TIME_AT: usize = 16;

/// The time of a report that asks `nonce`: the second is right, and 16 bits after it are not.
pub(super) fn time(ntp: u64, nonce: u64) -> u64 {
    let asked = u64::from(nonce as u16);
    (ntp & !0xffff_ffff) | asked << 16
}

/// The middle of the time that a report tells back about `source`; none when it says nothing of it,
/// or has had no report about it.
pub(super) fn told(report: &[u8], source: u32) -> Option<u32> {
    let [first, kind, ..] = report else {
        return None;
    };
    let blocks = report.get(blocks_at(*kind)?..)?.chunks_exact(BLOCK_BYTES);
    let mut blocks = blocks.take(block_count(*first));
    let block = blocks.find(|block| block.starts_with(&source.to_be_bytes()))?;
    let time = block[TIME_AT..].first_chunk()?;
    Some(u32::from_be_bytes(*time)).filter(|time| *time != 0)
}

/// Whether that is the answer.
pub(super) fn is_answer(nonce: u64, told: u32) -> bool {
    nonce as u16 == told as u16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::reports::{RECEIVER_REPORT, SENDER_REPORT};
    use super::*;

    /// A report about source 7 in its second block.
    fn report(kind: u8, told: u32) -> Vec<u8> {
        let mut report = vec![0x82, kind, 0, 0, 0, 0, 0, 1];
        if kind == SENDER_REPORT {
            report.extend([0; 20]);
        }
        for (source, time) in [(6_u32, 99_u32), (7, told)] {
            report.extend(source.to_be_bytes());
            report.extend([0; 12]);
            report.extend(time.to_be_bytes());
            report.extend([0; 4]);
        }
        report
    }

    #[test]
    fn an_answer_is_what_was_asked() {
        let ntp = 0x1234_5678_9abc_def0;
        for kind in [SENDER_REPORT, RECEIVER_REPORT] {
            let asked = time(ntp, 0xffff_1234);
            assert_eq!(asked >> 32, ntp >> 32, "the second is right");
            let report = report(kind, (asked >> 16) as u32);
            let told = told(&report, 7).unwrap();
            assert!(is_answer(0xffff_1234, told));
            assert!(!is_answer(0xffff_1235, told));
        }
    }

    #[test]
    fn who_has_had_no_report_answers_nothing() {
        let none = report(RECEIVER_REPORT, 0);
        assert_eq!(told(&none, 7), None);
        let report = report(RECEIVER_REPORT, 5);
        assert_eq!(told(&report, 8), None, "about another source");
        for cut in 0..report.len() {
            assert_eq!(told(&report[..cut], 7), None, "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes: Vec<u8>, source: u32) {
            told(&bytes, source);
        }
    }
}
