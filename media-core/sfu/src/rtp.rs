//! What links and rooms both know of RTP (RFC 3550): packets in the clear, their headers, time.

use std::ops::Range;
use std::time::Instant;

use bytes::BytesMut;
use rtc_rtp::Header;

/// RTP clock of Opus (RFC 7587), Hz.
const CLOCK_HZ: u64 = 48_000;
/// Timestamp step of one 20 ms packet.
pub(crate) const PACKET_TICKS: u32 = CLOCK_HZ as u32 / 50;
/// Bytes of an RTP header without contributing sources and extensions.
pub(crate) const RTP_HEADER_BYTES: usize = 12;
/// First byte of such a header: version 2, nothing else.
const RTP_VERSION: u8 = 2 << 6;

/// An RTP packet that proved to be its sender's, in the clear.
pub(crate) struct Opened {
    header: Header,
    /// Its number, roll-overs of this source counted.
    pub(crate) number: u64,
    /// The whole packet.
    packet: BytesMut,
    payload: Range<usize>,
}

impl Opened {
    /// A packet with `header`, whose payload is the range `payload` of it; none when it has no such
    /// range.
    pub(crate) fn new(
        header: Header,
        number: u64,
        packet: BytesMut,
        payload: Range<usize>,
    ) -> Option<Self> {
        packet.get(payload.clone())?;
        Some(Self {
            header,
            number,
            packet,
            payload,
        })
    }

    pub(crate) fn ssrc(&self) -> u32 {
        self.header.ssrc
    }

    pub(crate) fn payload_type(&self) -> u8 {
        self.header.payload_type
    }

    pub(crate) fn marker(&self) -> bool {
        self.header.marker
    }

    pub(crate) fn timestamp(&self) -> u32 {
        self.header.timestamp
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.packet[self.payload.clone()]
    }

    /// Level of the header extension `id` (RFC 6464), dBov; none when the packet has none.
    pub(crate) fn level_dbov(&self, id: u8) -> Option<i8> {
        let mut extensions = self.header.extensions.iter();
        let extension = extensions.find(|extension| extension.id == id)?;
        // The highest bit is the client's own guess whether it is voice.
        let level = extension.payload.first()? & 0x7f;
        Some(-level.cast_signed())
    }
}

/// What distinguishes one RTP packet of a stream from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RtpHeader {
    pub(crate) payload_type: u8,
    pub(crate) marker: bool,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
}

impl RtpHeader {
    /// Writes the header into the first bytes of `packet`.
    pub(crate) fn write(&self, packet: &mut [u8]) {
        packet[0] = RTP_VERSION;
        packet[1] = self.payload_type | u8::from(self.marker) << 7;
        packet[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        packet[8..RTP_HEADER_BYTES].copy_from_slice(&self.ssrc.to_be_bytes());
    }
}

/// What a receiver says of one stream (RFC 3550 section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ReportBlock {
    pub(crate) source: u32,
    /// Packets lost since the first, less than none with repetitions.
    pub(crate) lost: i32,
    /// Sequence number of the last one, without roll-overs.
    pub(crate) highest: u16,
    pub(crate) jitter_ticks: u32,
    /// Middle of the time of the last sender report that he has had; 0 for none.
    pub(crate) last_report: u32,
    /// How long ago, 1/65,536 seconds.
    pub(crate) delay: u32,
}

/// What a stream has sent, for a sender report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) ssrc: u32,
    /// RTP timestamp of the moment of the report.
    pub(crate) rtp_time: u32,
    pub(crate) packets: u32,
    /// Of payload.
    pub(crate) octets: u32,
}

/// Whole milliseconds from `since` to `now` in ticks of the RTP clock.
pub(crate) fn ticks(since: Instant, now: Instant) -> u32 {
    let millis = now.saturating_duration_since(since).as_millis();
    // Wrapping is what RTP timestamps do.
    (millis as u64).wrapping_mul(CLOCK_HZ / 1_000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_the_layout_of_rfc_3550() {
        let header = RtpHeader {
            payload_type: 111,
            marker: true,
            sequence: 0x1234,
            timestamp: 0x5678_9abc,
            ssrc: 0xdef0_1234,
        };
        let mut packet = [0xff; 13];
        header.write(&mut packet);
        let expected = [
            0x80, 0xef, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 0x12, 0x34, 0xff,
        ];
        assert_eq!(packet, expected);
    }
}
