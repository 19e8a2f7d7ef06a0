//! Sealing what a session is sent beside str0m: forwarded voice (SRTP, RFC 3711 and RFC 7714) and
//! the reports about it and about what came in (RTCP, RFC 3550).
//!
//! `rtc-srtp` does the cryptography and counts roll-overs and SRTCP indices; here is only what goes
//! in. The keys are those of the DTLS handshake, and str0m has them too. No nonce is used twice,
//! because str0m seals nothing: it has no streams, and RTCP of its own would not be sent
//! ([`is_rtcp`]).

use bytes::{Bytes, BytesMut};
use rtc_rtcp::Packet;
use rtc_rtcp::receiver_report::ReceiverReport;
use rtc_rtcp::reception_report::ReceptionReport;
use rtc_rtcp::sender_report::SenderReport;
use rtc_rtcp::source_description::{
    SdesType, SourceDescription, SourceDescriptionChunk, SourceDescriptionItem,
};
use rtc_srtp::config::Config;
use rtc_srtp::context::Context;
use rtc_srtp::crypto::RTCCryptoProvider;
use rtc_srtp::option::ContextOption;
use rtc_srtp::protection_profile::ProtectionProfile;
use str0m::crypto::dtls::SrtpProfile;

use super::keys::Exported;
use crate::rtp::Sent;

/// Canonical name of the relay's streams (RFC 7022); the answer says the same.
const CNAME: &str = "lv";
/// Seconds from the NTP era of 1900 to the Unix epoch.
const NTP_OFFSET_S: u64 = 2_208_988_800;

/// The key of one direction.
pub(crate) struct MasterKey {
    profile: ProtectionProfile,
    key: Vec<u8>,
    salt: Vec<u8>,
}

impl MasterKey {
    /// Keys of a handshake in which the relay was the server, of what it sends and of what it is
    /// sent; none for a profile that is not of WebRTC (RFC 8827).
    pub(crate) fn pair(exported: &Exported) -> Option<(Self, Self)> {
        let profile = match exported.profile {
            SrtpProfile::AES128_CM_SHA1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
            SrtpProfile::AEAD_AES_128_GCM => ProtectionProfile::AeadAes128Gcm,
            SrtpProfile::AEAD_AES_256_GCM => ProtectionProfile::AeadAes256Gcm,
            _ => return None,
        };
        let mut config = Config {
            profile,
            ..Config::default()
        };
        config
            .set_session_keys_from_keying_material(&exported.material, false)
            .ok()?;
        let keys = config.keys;
        let key = |key, salt| Self { profile, key, salt };
        Some((
            key(keys.local_master_key, keys.local_master_salt),
            key(keys.remote_master_key, keys.remote_master_salt),
        ))
    }

    /// A context for this key, with the replay protection of RTP and RTCP that it is given.
    pub(crate) fn context(
        &self,
        rtp: Option<ContextOption>,
        rtcp: Option<ContextOption>,
        crypto: &dyn RTCCryptoProvider,
    ) -> Option<Context> {
        let Self { profile, key, salt } = self;
        Context::new(key, salt, *profile, rtp, rtcp, crypto.crypto()).ok()
    }
}

/// The outgoing half of a session's SRTP.
pub(crate) struct Outbound(Context);

impl Outbound {
    pub(crate) fn new(key: &MasterKey, crypto: &dyn RTCCryptoProvider) -> Option<Self> {
        key.context(None, None, crypto).map(Self)
    }

    /// Seals a whole RTP packet; none once the stream has sent all the packets that its key allows.
    pub(crate) fn seal_rtp(&mut self, packet: &[u8]) -> Option<BytesMut> {
        self.0.encrypt_rtp(packet).ok()
    }

    /// Seals a compound packet of reports by `ssrc`: about what was sent, at `ntp_time`, and about
    /// what was `received`, four sources at most.
    pub(crate) fn seal_reports(
        &mut self,
        ssrc: u32,
        ntp_time: u64,
        sent: &[Sent],
        received: Vec<ReceptionReport>,
    ) -> Option<BytesMut> {
        let mut compound: Vec<Box<dyn Packet>> = Vec::with_capacity(sent.len() + 2);
        for sent in sent {
            compound.push(Box::new(SenderReport {
                ssrc: sent.ssrc,
                ntp_time,
                rtp_time: sent.rtp_time,
                packet_count: sent.packets,
                octet_count: sent.octets,
                ..SenderReport::default()
            }));
        }
        if !received.is_empty() || sent.is_empty() {
            compound.push(Box::new(ReceiverReport {
                ssrc,
                reports: received,
                ..ReceiverReport::default()
            }));
        }
        let mut sources: Vec<u32> = sent.iter().map(|sent| sent.ssrc).collect();
        if !sources.contains(&ssrc) {
            sources.push(ssrc);
        }
        compound.push(Box::new(SourceDescription {
            chunks: sources.into_iter().map(description).collect(),
        }));
        let plain = rtc_rtcp::packet::marshal(&compound).ok()?;
        self.0.encrypt_rtcp(&plain).ok()
    }
}

/// The canonical name of `source`.
fn description(source: u32) -> SourceDescriptionChunk {
    SourceDescriptionChunk {
        source,
        items: vec![SourceDescriptionItem {
            sdes_type: SdesType::SdesCname,
            text: Bytes::from_static(CNAME.as_bytes()),
        }],
    }
}

/// Whether a datagram is RTCP rather than RTP (RFC 5761 section 4).
pub(crate) fn is_rtcp(datagram: &[u8]) -> bool {
    matches!(datagram, [128..=191, 192..=223, ..])
}

/// Unix time in milliseconds as an NTP timestamp (RFC 5905): 32 bits of seconds, 32 of fractions.
pub(super) fn ntp(unix_ms: u64) -> u64 {
    // The era that began in 1900 ends in 2036; the seconds then start again at zero.
    let seconds = (unix_ms / 1000).wrapping_add(NTP_OFFSET_S) << 32;
    let fraction = ((unix_ms % 1000) << 32) / 1000;
    seconds | fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntp_time_has_seconds_since_1900_and_binary_fractions() {
        assert_eq!(ntp(0), 2_208_988_800 << 32);
        assert_eq!(ntp(500), (2_208_988_800 << 32) | 1 << 31);
        assert_eq!(ntp(1_700_000_000_250) >> 32, 3_908_988_800);
    }

    #[test]
    fn rtcp_is_told_from_rtp_by_its_packet_type() {
        assert!(is_rtcp(&[0x80, 200, 0, 0]));
        assert!(!is_rtcp(&[0x80, 111, 0, 0]), "RTP with payload type 111");
        assert!(!is_rtcp(&[0x80, 111 | 0x80, 0, 0]), "the same, marked");
        assert!(!is_rtcp(&[20, 200, 0, 0]), "DTLS");
        assert!(!is_rtcp(&[0x80]), "too short");
    }
}
