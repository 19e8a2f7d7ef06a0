//! Opening what a session sends beside str0m: its voice (SRTP, RFC 3711 and RFC 7714) and its
//! sender reports (SRTCP).
//!
//! `rtc-srtp` does the cryptography, counts roll-overs and keeps the replay windows. Here is what
//! it must not be shown: it remembers each source that it was asked about, authentic or not, and
//! it takes a packet that is 2^15 numbers old for one that is as far ahead.

use std::time::Instant;

use bytes::BytesMut;
use rtc_rtcp::reception_report::ReceptionReport;
use rtc_rtp::Header;
use rtc_shared::marshal::{MarshalSize, Unmarshal};
use rtc_srtp::context::Context;
use rtc_srtp::crypto::RTCCryptoProvider;
use rtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};

use super::reception::Reception;
use super::reports::{RECEIVER_REPORT, SENDER_REPORT};
use super::srtp::MasterKey;
use crate::rtp::Opened;

/// Sources of one session whose packets were authentic: a browser changes its own with a device
/// at most, and what is known of an old one is its replay window.
const MAX_SOURCES: usize = 8;
/// Packets that may come late, by their number (RFC 3711 section 3.3.2 wants 64 at least).
const REPLAY_WINDOW: u16 = 64;
/// Furthest step ahead. SRTP tells a packet ahead from an old one by half of the 16-bit numbers,
/// counted from the packet before, which may itself have been a late one.
const MAX_AHEAD: i64 = (1 << 15) - 2 * REPLAY_WINDOW as i64;

/// The incoming half of a session's SRTP.
pub(crate) struct Inbound {
    key: MasterKey,
    /// Each has sent an authentic packet.
    sources: Vec<Source>,
}

struct Source {
    ssrc: u32,
    /// Of this source alone: what a context knows of others cannot be bounded.
    context: Context,
    /// Highest number so far, roll-overs counted.
    highest: u64,
    reception: Reception,
}

impl Inbound {
    pub(crate) fn new(key: MasterKey) -> Self {
        Self {
            key,
            sources: Vec::new(),
        }
    }

    /// Opens an RTP packet; none when it is malformed, forged, or was there before.
    pub(crate) fn open_rtp(
        &mut self,
        now: Instant,
        packet: &[u8],
        crypto: &dyn RTCCryptoProvider,
    ) -> Option<Opened> {
        let header = Header::unmarshal(&mut &*packet).ok()?;
        let known = self.sources.iter().position(|s| s.ssrc == header.ssrc);
        if let Some(known) = known {
            return self.sources[known].open_rtp(now, packet, header);
        }
        if self.sources.len() >= MAX_SOURCES {
            return None;
        }
        // Kept only when the packet proves authentic.
        let mut source = Source {
            ssrc: header.ssrc,
            context: self.context(crypto)?,
            highest: header.sequence_number.into(),
            reception: Reception::new(header.ssrc, header.sequence_number),
        };
        let opened = source.open_rtp(now, packet, header)?;
        self.sources.reserve_exact(1);
        self.sources.push(source);
        debug_assert!(self.sources.len() <= MAX_SOURCES, "within bounds");
        Some(opened)
    }

    fn context(&self, crypto: &dyn RTCCryptoProvider) -> Option<Context> {
        let window = usize::from(REPLAY_WINDOW);
        let rtp = srtp_replay_protection(window);
        let rtcp = srtcp_replay_protection(window);
        self.key.context(Some(rtp), Some(rtcp), crypto)
    }

    /// Opens a report. That of a sender is noted where he was heard; where he was not, and of what
    /// is no report, nothing is said. None when it is forged, or was there before: but whoever
    /// sends no voice may be heard to say the same again, since nothing is kept of him.
    pub(crate) fn open_report(
        &mut self,
        now: Instant,
        packet: &[u8],
        crypto: &dyn RTCCryptoProvider,
    ) -> Option<Option<BytesMut>> {
        let [_, kind @ (SENDER_REPORT | RECEIVER_REPORT), _, _, ssrc @ ..] = packet else {
            return Some(None);
        };
        let ssrc = ssrc.first_chunk().map(|ssrc| u32::from_be_bytes(*ssrc));
        let source = self.sources.iter_mut().find(|s| Some(s.ssrc) == ssrc);
        let Some(source) = source else {
            return match *kind {
                SENDER_REPORT => Some(None),
                _ => self.open_answer(packet, crypto).map(Some),
            };
        };
        let plain = source.context.decrypt_rtcp(packet).ok()?;
        // Header and SSRC are 8 bytes, then comes the time of 8 bytes of which the middle is told
        // back.
        let middle = plain.get(10..).and_then(<[u8]>::first_chunk);
        if let (SENDER_REPORT, Some(middle)) = (*kind, middle) {
            let middle = u32::from_be_bytes(*middle);
            source.reception.note_report(now, middle);
        }
        Some(Some(plain))
    }

    /// Jitter of the source that was heard last, ticks.
    pub(crate) fn jitter_ticks(&self) -> u32 {
        let receptions = self.sources.iter().map(|source| &source.reception);
        let last = receptions.max_by_key(|reception| reception.last_at());
        last.map_or(0, Reception::jitter_ticks)
    }

    /// Opens a report of the client, whoever of it sends; none when it is forged. Leaves nothing,
    /// so that one may be opened again.
    pub(crate) fn open_answer(
        &self,
        packet: &[u8],
        crypto: &dyn RTCCryptoProvider,
    ) -> Option<BytesMut> {
        self.key
            .context(None, None, crypto)?
            .decrypt_rtcp(packet)
            .ok()
    }

    /// Reports about the sources that sent anything since they were reported last.
    pub(crate) fn take_reports(&mut self, now: Instant) -> Vec<ReceptionReport> {
        let sources = self.sources.iter_mut();
        let report = |source: &mut Source| source.reception.take_report(now, source.highest);
        sources.filter_map(report).collect()
    }
}

impl Source {
    fn open_rtp(&mut self, now: Instant, packet: &[u8], header: Header) -> Option<Opened> {
        let number = self.number(header.sequence_number)?;
        let opened = self.context.decrypt_rtp_with_header(packet, &header);
        let packet = opened.ok()?;
        self.highest = self.highest.max(number);
        self.reception.note_packet(now, header.timestamp);
        let mut payload = header.marshal_size()..packet.len();
        if header.padding {
            // The last byte counts the padding, itself included.
            let padding = usize::from(*packet.get(payload.clone())?.last()?);
            payload.end = payload.end.checked_sub(padding.max(1))?;
        }
        Opened::new(header, number, packet, payload)
    }

    /// The number of a packet nearest to the highest one; none when it is too far from that.
    fn number(&self, sequence: u16) -> Option<u64> {
        let step = i64::from(sequence.wrapping_sub(self.highest as u16).cast_signed());
        let near = -i64::from(REPLAY_WINDOW) < step && step <= MAX_AHEAD;
        self.highest.checked_add_signed(step).filter(|_| near)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rtc_srtp::crypto::providers::AwsLcRsProvider;
    use str0m::crypto::dtls::{KeyingMaterial, SrtpProfile};

    use super::super::keys::Exported;
    use super::*;
    use crate::rtp::{RTP_HEADER_BYTES, RtpHeader};

    const PROFILES: [SrtpProfile; 3] = [
        SrtpProfile::AES128_CM_SHA1_80,
        SrtpProfile::AEAD_AES_128_GCM,
        SrtpProfile::AEAD_AES_256_GCM,
    ];

    fn now() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "a test needs some instant")]
        Instant::now()
    }

    /// A client's context for sealing, and what opens it.
    struct Pair {
        client: Context,
        relay: Inbound,
        crypto: AwsLcRsProvider,
        now: Instant,
    }

    impl Pair {
        fn new(profile: SrtpProfile) -> Self {
            let bytes: Vec<u8> = (0..profile.keying_material_len() as u8).collect();
            let exported = Exported {
                profile,
                material: KeyingMaterial::new(&bytes),
            };
            let (_, theirs) = MasterKey::pair(&exported).unwrap();
            let crypto = AwsLcRsProvider::new();
            Self {
                client: theirs.context(None, None, &crypto).unwrap(),
                relay: Inbound::new(theirs),
                crypto,
                now: now(),
            }
        }

        /// A packet of the client whose payload is the lower half of its number, twice.
        fn seal(&mut self, ssrc: u32, number: u64) -> Vec<u8> {
            let sequence = number as u16;
            let header = RtpHeader {
                payload_type: 111,
                marker: false,
                sequence,
                timestamp: 960 * number as u32,
                ssrc,
            };
            let mut packet = vec![0; RTP_HEADER_BYTES];
            header.write(&mut packet);
            packet.extend([sequence.to_be_bytes(); 2].concat());
            self.client.encrypt_rtp(&packet).unwrap().to_vec()
        }

        /// The number of a packet if it is authentic and new.
        fn open(&mut self, packet: &[u8]) -> Option<u64> {
            let opened = self.relay.open_rtp(self.now, packet, &self.crypto)?;
            let sequence = (opened.number as u16).to_be_bytes();
            assert_eq!(opened.payload(), [sequence; 2].concat());
            Some(opened.number)
        }
    }

    #[test]
    fn voice_is_opened_once_and_in_any_order_within_the_window() {
        for profile in PROFILES {
            let mut pair = Pair::new(profile);
            // Over the roll-over.
            let packets: Vec<Vec<u8>> = (65_500..65_600).map(|n| pair.seal(7, n)).collect();
            assert_eq!(pair.open(&packets[0]), Some(65_500));
            assert_eq!(pair.open(&packets[63]), Some(65_563));
            for n in (1..63).rev() {
                assert_eq!(pair.open(&packets[n]), Some(65_500 + n as u64));
            }
            for packet in &packets[..64] {
                assert_eq!(pair.open(packet), None, "{profile:?}");
            }
            assert_eq!(pair.open(&packets[99]), Some(65_599));
            assert_eq!(pair.open(&packets[98]), Some(65_598));
            assert_eq!(pair.open(&packets[0]), None, "older than the window");
        }
    }

    #[test]
    fn no_byte_of_a_packet_can_be_changed_or_cut() {
        for profile in PROFILES {
            let mut pair = Pair::new(profile);
            let first = pair.seal(7, 100);
            assert_eq!(pair.open(&first), Some(100));
            let packet = pair.seal(7, 101);
            for at in 0..packet.len() {
                let mut changed = packet.clone();
                changed[at] ^= 0x10;
                assert_eq!(pair.open(&changed), None, "{profile:?}, byte {at}");
                assert_eq!(pair.open(&packet[..at]), None, "{profile:?}, {at} bytes");
            }
            assert_eq!(pair.open(&packet), Some(101));
        }
    }

    #[test]
    fn a_source_that_comes_back_has_not_forgotten_what_it_sent() {
        let mut pair = Pair::new(SrtpProfile::AEAD_AES_128_GCM);
        let (a, b) = (pair.seal(1, 10), pair.seal(2, 500));
        assert_eq!(pair.open(&a), Some(10));
        assert_eq!(pair.open(&b), Some(500));
        assert_eq!(pair.open(&a), None);
        let next = pair.seal(1, 11);
        assert_eq!(pair.open(&next), Some(11));
        assert_eq!(pair.open(&b), None);
    }

    #[test]
    fn forged_sources_are_forgotten_and_authentic_ones_are_bounded() {
        let mut pair = Pair::new(SrtpProfile::AEAD_AES_128_GCM);
        for ssrc in 0..100 {
            let mut forged = pair.seal(ssrc, 1);
            *forged.last_mut().unwrap() ^= 1;
            assert_eq!(pair.open(&forged), None);
        }
        assert_eq!(pair.relay.sources.len(), 0);
        for ssrc in 100..200 {
            let packet = pair.seal(ssrc, 1);
            assert_eq!(
                pair.open(&packet).is_some(),
                ssrc < 100 + MAX_SOURCES as u32
            );
        }
        assert_eq!(pair.relay.sources.len(), MAX_SOURCES);
    }

    /// `rtc-srtp` alone takes the packet that is 2^15 numbers old as one from the future, with the
    /// nonce that it had.
    #[test]
    fn a_packet_half_the_numbers_old_is_not_heard_again() {
        for late in [0, 1, 30, 63] {
            let mut pair = Pair::new(SrtpProfile::AEAD_AES_128_GCM);
            let old: Vec<Vec<u8>> = (200..400).map(|n| pair.seal(7, n)).collect();
            for packet in &old {
                assert!(pair.open(packet).is_some());
            }
            let last = 300 + (1 << 15);
            let mut delayed = None;
            for n in (1000..=last).step_by(50).chain(last - 80..=last) {
                let packet = pair.seal(7, n);
                if n == last - late {
                    delayed = Some(packet.clone());
                } else {
                    pair.open(&packet);
                }
            }
            // What comes last may be a late one.
            assert_eq!(pair.open(&delayed.unwrap()), Some(last - late));
            for packet in &old {
                assert_eq!(pair.open(packet), None, "{late} late");
            }
            let next = pair.seal(7, last + 1);
            assert_eq!(pair.open(&next), Some(last + 1));
        }
    }

    proptest! {
        #[test]
        fn whatever_arrives_no_packet_is_opened_twice_or_with_another_number(
            start in 0..32_768_u64,
            arrivals in prop::collection::vec((0..3_u8, 0..40_u64, 0..400_usize), 1..300),
        ) {
            let mut pair = Pair::new(SrtpProfile::AEAD_AES_128_GCM);
            let mut sent = vec![(start, pair.seal(7, start))];
            let mut opened = std::collections::BTreeSet::new();
            for (kind, step, back) in arrivals {
                let at = if kind == 0 {
                    sent.len() - 1 - back.min(sent.len() - 1)
                } else {
                    // Sometimes far ahead.
                    let step = if step == 0 { 30_000 } else { step };
                    let number = sent.last().unwrap().0 + step;
                    let packet = pair.seal(7, number);
                    sent.push((number, packet));
                    sent.len() - 1
                };
                let (number, packet) = sent[at].clone();
                let new = pair.open(&packet);
                if let Some(new) = new {
                    prop_assert_eq!(new, number);
                    prop_assert!(opened.insert(number), "{} twice", number);
                }
                prop_assert!(new.is_some() || kind == 0, "a new packet is taken");
            }
        }

        #[test]
        fn any_bytes_are_refused(rest: Vec<u8>, is_report: bool) {
            let mut pair = Pair::new(SrtpProfile::AEAD_AES_128_GCM);
            let first = pair.seal(7, 100);
            pair.open(&first);
            let kinds = [SENDER_REPORT, RECEIVER_REPORT];
            let kind = kinds[usize::from(rest.first().is_some_and(|byte| byte & 1 != 0))];
            let start: &[u8] = if is_report {
                &[0x80, kind, 0, 6, 0, 0, 0, 7]
            } else {
                &[0x90, 111]
            };
            let packet = [start, &rest].concat();
            prop_assert!(pair.open(&packet).is_none());
            let opened = pair.relay.open_report(pair.now, &packet, &pair.crypto);
            prop_assert!(!is_report || opened.is_none());
        }
    }
}
