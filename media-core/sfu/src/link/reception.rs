//! How well a source is received, as receiver reports tell it (RFC 3550 section 6.4.1).

use std::time::Instant;

use rtc_rtcp::reception_report::ReceptionReport;

use crate::rtp::ticks;

/// The count of lost packets has 24 bits, one of them the sign.
const MAX_LOST: u64 = (1 << 23) - 1;

/// What is counted of one source.
#[derive(Debug)]
pub(crate) struct Reception {
    ssrc: u32,
    first: u64,
    received: u64,
    /// As of the last report.
    reported_received: u64,
    reported_expected: u64,
    /// Last packet: when it came and its timestamp.
    last: Option<(Instant, u32)>,
    /// Sixteen times the jitter, in ticks.
    jitter: u32,
    /// Last sender report: when it came and the middle 32 bits of its NTP time.
    sender_report: Option<(Instant, u32)>,
}

impl Reception {
    /// Of a source whose first packet has number `first`, not counted yet.
    pub(crate) fn new(ssrc: u32, first: u16) -> Self {
        Self {
            ssrc,
            first: first.into(),
            received: 0,
            reported_received: 0,
            reported_expected: 0,
            last: None,
            jitter: 0,
            sender_report: None,
        }
    }

    /// Counts a packet (appendix A.8).
    pub(crate) fn note_packet(&mut self, now: Instant, timestamp: u32) {
        self.received += 1;
        if let Some((at, last)) = self.last.replace((now, timestamp)) {
            let step = timestamp.wrapping_sub(last);
            let difference = ticks(at, now).wrapping_sub(step).cast_signed();
            let smoothed = self.jitter - ((self.jitter + 8) >> 4);
            self.jitter = smoothed.saturating_add(difference.unsigned_abs().min(u32::MAX >> 5));
        }
    }

    /// When the last packet came.
    pub(crate) fn last_at(&self) -> Option<Instant> {
        self.last.map(|(at, _)| at)
    }

    /// Jitter of its packets.
    pub(crate) fn jitter_ticks(&self) -> u32 {
        self.jitter >> 4
    }

    /// Takes note of a sender report with the middle of its NTP time.
    pub(crate) fn note_report(&mut self, now: Instant, middle: u32) {
        self.sender_report = Some((now, middle));
    }

    /// What a report at `now` says, with the `highest` number so far; none when nothing came since
    /// the last one (appendix A.3).
    pub(crate) fn take_report(&mut self, now: Instant, highest: u64) -> Option<ReceptionReport> {
        let expected = (highest + 1).saturating_sub(self.first);
        let received_now = self.received - self.reported_received;
        if received_now == 0 {
            return None;
        }
        let expected_now = expected.saturating_sub(self.reported_expected);
        (self.reported_received, self.reported_expected) = (self.received, expected);
        let lost_now = expected_now.saturating_sub(received_now);
        let (delay, middle) = self.sender_report.map_or((0, 0), |(at, middle)| {
            (short_time(now.saturating_duration_since(at)), middle)
        });
        Some(ReceptionReport {
            ssrc: self.ssrc,
            // Below one: `received_now` is not zero.
            fraction_lost: (lost_now << 8).checked_div(expected_now).unwrap_or(0) as u8,
            total_lost: expected.saturating_sub(self.received).min(MAX_LOST) as u32,
            last_sequence_number: highest as u32,
            jitter: self.jitter_ticks(),
            last_sender_report: middle,
            delay,
        })
    }
}

/// A time in units of 1/65,536 seconds, as far as 32 bits reach.
fn short_time(time: std::time::Duration) -> u32 {
    let units = (time.as_micros() << 16) / 1_000_000;
    u32::try_from(units).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TICKS: u32 = 960;

    fn base() -> Instant {
        #[expect(
            clippy::disallowed_methods,
            reason = "a test needs some instant to start from"
        )]
        Instant::now()
    }

    #[test]
    fn loss_is_counted_since_the_last_report_and_since_the_start() {
        let t0 = base();
        let mut reception = Reception::new(7, 65_530);
        assert_eq!(reception.take_report(t0, 65_530), None, "nothing came");
        // Ten of twenty come, over the roll-over.
        for n in 0..10 {
            reception.note_packet(t0 + Duration::from_millis(40 * n), 2 * n as u32 * TICKS);
        }
        let report = reception.take_report(t0, 65_530 + 19).unwrap();
        assert_eq!(
            (report.ssrc, report.fraction_lost, report.total_lost),
            (7, 128, 10)
        );
        assert_eq!(report.last_sequence_number, 65_549, "one cycle and 13");
        assert_eq!((report.last_sender_report, report.delay), (0, 0));
        assert_eq!(reception.take_report(t0, 65_549), None, "nothing more came");
        for n in 20..30 {
            reception.note_packet(t0 + Duration::from_millis(20 * n), n as u32 * TICKS);
        }
        let report = reception.take_report(t0, 65_559).unwrap();
        assert_eq!((report.fraction_lost, report.total_lost), (0, 10));
    }

    #[test]
    fn packets_that_come_late_make_no_loss_less_than_none() {
        let t0 = base();
        let mut reception = Reception::new(7, 100);
        for _ in 0..3 {
            reception.note_packet(t0, 0);
        }
        // Two of the three were before the first.
        let report = reception.take_report(t0, 100).unwrap();
        assert_eq!((report.fraction_lost, report.total_lost), (0, 0));
    }

    #[test]
    fn jitter_is_the_mean_difference_of_the_ways() {
        let t0 = base();
        let mut steady = Reception::new(7, 0);
        let mut uneven = Reception::new(7, 0);
        for n in 0..1000 {
            let at = t0 + Duration::from_millis(20 * n);
            steady.note_packet(at, n as u32 * TICKS);
            // Every other packet takes 10 ms longer: 480 ticks.
            uneven.note_packet(at + Duration::from_millis(n % 2 * 10), n as u32 * TICKS);
        }
        assert_eq!(steady.take_report(t0, 999).unwrap().jitter, 0);
        let jitter = uneven.take_report(t0, 999).unwrap().jitter;
        assert!((470..=480).contains(&jitter), "{jitter}");
    }

    #[test]
    fn the_time_since_a_sender_report_is_told_back() {
        let t0 = base();
        let mut reception = Reception::new(7, 0);
        reception.note_packet(t0, 0);
        reception.note_report(t0, 0xabcd_1234);
        let report = reception.take_report(t0 + Duration::from_millis(1500), 0);
        let report = report.unwrap();
        assert_eq!(report.last_sender_report, 0xabcd_1234);
        assert_eq!(report.delay, 3 << 15);
    }

    #[test]
    fn any_timestamps_are_counted() {
        let t0 = base();
        let mut reception = Reception::new(7, 0);
        for timestamp in [0, u32::MAX, 1 << 31, 3, u32::MAX, 0, 1 << 31] {
            for _ in 0..40 {
                reception.note_packet(t0, timestamp);
                reception.note_packet(t0, !timestamp);
            }
        }
        assert!(reception.take_report(t0, 559).is_some());
    }
}
