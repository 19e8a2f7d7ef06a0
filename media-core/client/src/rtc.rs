//! What of str0m a connection uses: its set-up by SDP or by hand, and voice in and out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, Reliability};
use str0m::config::Fingerprint;
use str0m::format::{Codec, FormatParams};
use str0m::media::{Direction, Frequency, MediaKind, Mid, Pt, SenderFeedback};
use str0m::net::Protocol;
use str0m::rtp::{Extension, ExtensionMap, ExtensionValues, RtpPacket, RtpWrite, SeqNo, Ssrc};
use str0m::stats::MediaEgressStats;
use str0m::{Candidate, IceCreds, Rtc, RtcConfig};
use wire::channel::{LABEL, POSITIONS_LABEL};

use crate::options::Options;

/// Payload type of Opus that a client offers, and uses where there is no offer.
pub const OPUS: u8 = 111;
/// Header extension id of the audio level (RFC 6464) that a client uses where there is no offer.
pub const LEVEL_ID: u8 = 3;
/// SSRC of the microphone where there is no offer.
const MICROPHONE_SSRC: u32 = 4711;

/// What an answer says, for those who make tickets themselves and need no SDP.
#[derive(Debug, Clone)]
pub struct Contact {
    /// The relay's address.
    pub relay: SocketAddr,
    /// `sha-256 AB:CD:..` of the relay's certificate.
    pub fingerprint: String,
    /// The sealed ticket.
    pub ufrag: String,
    /// What belongs to it.
    pub password: String,
    /// SSRC of each slot.
    pub slot_ssrcs: Vec<u32>,
    /// Opens the data channel.
    pub has_channel: bool,
    /// The sealed hello, the first message there; none for a client that does without a roster.
    pub hello: Option<String>,
}

/// A voice packet to send.
#[derive(Debug, Clone)]
pub struct Voice {
    /// Sequence number, roll-overs included; it only grows.
    pub seq: u64,
    /// RTP time, 48,000 a second.
    pub time: u32,
    /// Level in dBov, -127 (silent) to 0.
    pub level: i8,
    /// An Opus packet, or what `payload_type` says.
    pub payload: Vec<u8>,
    /// Another payload type than that of Opus.
    pub payload_type: Option<u8>,
}

/// A voice packet that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoiceReceived {
    /// The slot in which it came.
    pub slot: u8,
    /// Sequence number in this slot, roll-overs included.
    pub seq: u64,
    /// RTP time, 48,000 a second.
    pub time: u32,
    /// The first packet of a talk spurt.
    pub starts: bool,
    /// As the packet says.
    pub payload_type: u8,
    /// Opus, or what the payload type says.
    pub payload: Vec<u8>,
}

/// What the relay says it has sent in a slot: a sender report (RFC 3550, section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotReport {
    /// The slot.
    pub slot: u8,
    /// When, by the relay's clock.
    pub sent_at: SystemTime,
    /// Packets until then, modulo 2^32.
    pub packets: u32,
    /// Bytes of their payloads, modulo 2^32.
    pub octets: u32,
}

/// How the relay receives the own voice: its receiver reports (RFC 3550, section 6.4.2).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reception {
    /// Packets lost since the first.
    pub packets_lost: u64,
    /// The highest sequence number that came, roll-overs included.
    pub highest: u64,
    /// The share that was lost since the report before, 0 to 1.
    pub loss: f32,
    /// There and back.
    pub round_trip: Option<Duration>,
}

/// The WebRTC side of a connection.
pub(crate) struct Media {
    pub(crate) rtc: Rtc,
    microphone: Option<(Mid, Ssrc)>,
    /// In slot order: where each is received, by m-line or by SSRC.
    slots: Vec<Slot>,
    /// The offer that waits for its answer, and the microphone's m-line in it.
    pending: Option<(SdpPendingOffer, Mid)>,
}

enum Slot {
    Line(Mid),
    Source(Ssrc),
}

/// Why a connection cannot be set up; the text is for a log, and holds no address.
pub(crate) type BadSetup = &'static str;

impl Media {
    pub(crate) fn new(options: &Options, now: Instant) -> Self {
        let mut extensions = ExtensionMap::empty();
        extensions.set(LEVEL_ID, Extension::AudioLevel);
        let mut settings = RtcConfig::new()
            .set_crypto_provider(Arc::clone(&options.crypto))
            .set_dtls_cert(options.certificate.clone())
            .set_dtls_version(options.dtls)
            .clear_codecs()
            .set_rtp_mode(true)
            .set_stats_interval(options.reception_every)
            .set_extension_map(extensions);
        let format = FormatParams {
            min_p_time: Some(10),
            use_inband_fec: Some(true),
            ..FormatParams::default()
        };
        let others = options.other_payload_types.iter().copied();
        for payload_type in [OPUS].into_iter().chain(others) {
            settings.codec_config().add_config(
                Pt::from(payload_type),
                None,
                Codec::Opus,
                Frequency::FORTY_EIGHT_KHZ,
                Some(2),
                format,
            );
        }
        Self {
            rtc: settings.build(now),
            microphone: None,
            slots: Vec::new(),
            pending: None,
        }
    }

    /// The SDP offer: a microphone, slots, a data channel.
    pub(crate) fn offer(&mut self, options: &Options) -> Result<String, BadSetup> {
        let local = candidate(options.local, options.protocol)?;
        self.rtc.add_local_candidate(local);
        let mut changes = self.rtc.sdp_api();
        let send = Direction::SendOnly;
        let microphone = changes.add_media(MediaKind::Audio, send, None, None, None);
        for _ in 0..options.slots {
            let receive = Direction::RecvOnly;
            let line = changes.add_media(MediaKind::Audio, receive, None, None, None);
            self.slots.push(Slot::Line(line));
        }
        changes.add_channel(LABEL.to_owned());
        if options.positions {
            changes.add_channel_with_config(for_positions());
        }
        let (offer, pending) = changes.apply().ok_or("there is nothing to offer")?;
        self.pending = Some((pending, microphone));
        Ok(offer.to_sdp_string())
    }

    /// Takes the SDP answer to [`Media::offer`].
    pub(crate) fn accept(&mut self, answer: &str) -> Result<(), BadSetup> {
        let (pending, line) = self.pending.take().ok_or("there was no offer")?;
        let answer = SdpAnswer::from_sdp_string(answer).map_err(|_| "the answer is no SDP")?;
        let changes = self.rtc.sdp_api();
        let taken = changes.accept_answer(pending, answer);
        taken.map_err(|_| "the answer does not fit the offer")?;
        let mut api = self.rtc.direct_api();
        let stream = api.stream_tx_by_mid(line, None);
        let stream = stream.ok_or("the answer takes no microphone")?;
        self.microphone = Some((line, stream.ssrc()));
        Ok(())
    }

    /// Sets up by hand what an answer would say.
    pub(crate) fn connect(&mut self, options: &Options, contact: Contact) -> Result<(), BadSetup> {
        let fingerprint: Fingerprint = contact
            .fingerprint
            .parse()
            .map_err(|_| "the relay's fingerprint is none")?;
        let local = candidate(options.local, options.protocol)?;
        self.rtc.add_local_candidate(local);
        let remote = candidate(contact.relay, options.protocol)?;
        self.rtc.add_remote_candidate(remote);
        let mut api = self.rtc.direct_api();
        api.set_ice_controlling(true);
        api.set_remote_ice_credentials(IceCreds {
            ufrag: contact.ufrag,
            pass: contact.password,
        });
        let line = Mid::from("mic");
        let source = Ssrc::from(options.source.unwrap_or(MICROPHONE_SSRC));
        api.declare_media(line, MediaKind::Audio);
        api.declare_stream_tx(source, None, line, None);
        self.microphone = Some((line, source));
        for (slot, &ssrc) in contact.slot_ssrcs.iter().enumerate() {
            let line = Mid::from(format!("s{slot}").as_str());
            api.declare_media(line, MediaKind::Audio);
            api.expect_stream_rx(Ssrc::from(ssrc), None, line, None);
            self.slots.push(Slot::Source(ssrc.into()));
        }
        api.set_remote_fingerprint(fingerprint);
        api.start_dtls(true).map_err(|_| "DTLS does not start")?;
        api.start_sctp(true);
        if contact.has_channel {
            api.create_data_channel(ChannelConfig {
                label: wire::channel::LABEL.to_owned(),
                ..Default::default()
            });
        }
        Ok(())
    }

    /// The SHA-256 of the own certificate.
    pub(crate) fn fingerprint(&mut self) -> Vec<u8> {
        let api = self.rtc.direct_api();
        api.local_dtls_fingerprint().bytes.clone()
    }

    /// Sends voice from another source from now on, as a browser does after a change of device.
    pub(crate) fn change_source(&mut self, source: u32) {
        let Some((line, old)) = self.microphone else {
            return;
        };
        let mut api = self.rtc.direct_api();
        // One stream for each m-line: str0m spins with a packet in a second one.
        api.remove_stream_tx(old);
        api.declare_stream_tx(source.into(), None, line, None);
        self.microphone = Some((line, source.into()));
    }

    /// Queues a packet; whether there was anything to send it with.
    pub(crate) fn send(&mut self, now: Instant, voice: Voice) -> bool {
        let Some((line, source)) = self.microphone else {
            return false;
        };
        let negotiated = || self.rtc.media(line)?.remote_pts().first().copied();
        let asked = voice.payload_type.map(Pt::from);
        let payload_type = asked.or_else(negotiated).unwrap_or(Pt::from(OPUS));
        let values = ExtensionValues {
            audio_level: Some(voice.level),
            voice_activity: Some(true),
            ..Default::default()
        };
        let seq = SeqNo::from(voice.seq);
        let write = RtpWrite::new(payload_type, seq, voice.time, now, voice.payload);
        let mut api = self.rtc.direct_api();
        let Some(stream) = api.stream_tx(&source) else {
            return false;
        };
        stream.write_rtp(write.ext_vals(values));
        true
    }

    /// A packet of a slot; none of another stream.
    pub(crate) fn received(&mut self, packet: RtpPacket) -> Option<VoiceReceived> {
        Some(VoiceReceived {
            slot: self.slot_of(packet.header.ssrc)?,
            seq: *packet.seq_no,
            time: packet.header.timestamp,
            starts: packet.header.marker,
            payload_type: *packet.header.payload_type,
            payload: packet.payload.to_vec(),
        })
    }

    /// What the relay has sent in a slot; none of another stream.
    pub(crate) fn reported(&mut self, feedback: &SenderFeedback) -> Option<SlotReport> {
        let info = &feedback.sender_info;
        Some(SlotReport {
            slot: self.slot_of(info.ssrc)?,
            sent_at: info.ntp_time,
            packets: info.sender_packet_count,
            octets: info.sender_octet_count,
        })
    }

    fn slot_of(&mut self, source: Ssrc) -> Option<u8> {
        let mut api = self.rtc.direct_api();
        let line = api.stream_rx(&source).map(|stream| stream.mid());
        let is_of = |slot: &Slot| match slot {
            Slot::Line(known) => line == Some(*known),
            Slot::Source(known) => source == *known,
        };
        self.slots.iter().position(is_of)?.try_into().ok()
    }
}

/// Only the newest position counts.
fn for_positions() -> ChannelConfig {
    ChannelConfig {
        label: POSITIONS_LABEL.to_owned(),
        ordered: false,
        reliability: Reliability::MaxRetransmits { retransmits: 0 },
        ..ChannelConfig::default()
    }
}

/// How the relay receives the own voice; none where it has reported nothing since the last time.
pub(crate) fn reception(stats: &MediaEgressStats) -> Option<Reception> {
    let remote = stats.remote.as_ref()?;
    Some(Reception {
        packets_lost: remote.packets_lost,
        highest: *remote.maximum_sequence_number,
        loss: stats.loss?,
        round_trip: stats.rtt,
    })
}

fn candidate(address: SocketAddr, protocol: Protocol) -> Result<Candidate, BadSetup> {
    Candidate::host(address, protocol).map_err(|_| "an address that nobody can be reached at")
}
