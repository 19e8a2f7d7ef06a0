//! Writes the answer to an offer (RFC 8829, RFC 3264). Everything that the relay and the client
//! must agree on follows from the offer and the ticket, so no message to the relay is needed.

use std::fmt::Write;

use wire::SessionId;
use wire::fleet::{Candidate, Transport};
use wire::limits::MAX_MESSAGE_BYTES;

use crate::offer::{AUDIO_LEVEL, Offer, Red, Role, SCTP_PORT, Section};

/// What the answer says besides the echo of the offer.
#[derive(Debug, Clone, Copy)]
pub struct Admission<'a> {
    /// The session: its id gives the slots' SSRCs.
    pub session: SessionId,
    /// The sealed ticket.
    pub ufrag: &'a str,
    /// What belongs to it.
    pub password: &'a str,
    /// The shard's fingerprint, `sha-256 AB:CD:..`.
    pub fingerprint: &'a str,
    /// Where the shard takes media, best first.
    pub candidates: &'a [Candidate],
}

/// How the client should send Opus: 20 ms packets, forward error correction, silence left out,
/// mono, 32 kbit/s at most. Receivers get the same streams, so the slots say the same.
const OPUS_PARAMETERS: &str =
    "minptime=10;useinbandfec=1;usedtx=1;stereo=0;maxaveragebitrate=32000";
const PACKET_MS: u32 = 20;
/// The relay's CNAME (RFC 7022): the same for all, because it joins no streams.
const CNAME: &str = "lv";
/// Type preference of a host candidate (RFC 8445, section 5.1.2.2).
const HOST_PREFERENCE: u32 = 126;
/// The same over TCP: below every kind of UDP but a relayed one (RFC 6544, section 4.2).
const TCP_HOST_PREFERENCE: u32 = 90;
/// Largest local preference over TCP for who waits for the other's connection: a direction
/// preference of 2, and 13 bits for the rest (RFC 6544, section 4.2).
const PASSIVE_LOCAL_PREFERENCE: u32 = (2 << 13) + 8191;

/// Writes the answer, lines ended by CRLF.
pub fn write(offer: &Offer, admission: &Admission<'_>) -> String {
    let mut lines = Lines(String::with_capacity(1024 + 700 * offer.sections.len()));
    // RFC 8829, section 5.2.1: a number that fits into 63 bits.
    let number = u64::from_be_bytes(admission.session.0) >> 1;
    lines.add(format_args!("v=0"));
    lines.add(format_args!("o=- {number} 1 IN IP4 127.0.0.1"));
    lines.add(format_args!("s=-"));
    lines.add(format_args!("t=0 0"));
    if !offer.bundle.is_empty() {
        lines.add(format_args!("a=group:BUNDLE {}", offer.bundle.join(" ")));
    }
    lines.add(format_args!("a=ice-lite"));
    for section in &offer.sections {
        match section.role {
            Role::Refused => refused(&mut lines, section),
            _ => accepted(&mut lines, offer, section, admission),
        }
    }
    lines.0
}

struct Lines(String);

impl Lines {
    fn add(&mut self, line: std::fmt::Arguments<'_>) {
        write!(self.0, "{line}\r\n").expect("a string takes everything");
    }
}

fn refused(lines: &mut Lines, section: &Section) {
    let Section {
        media,
        proto,
        format,
        ..
    } = section;
    lines.add(format_args!("m={media} 0 {proto} {format}"));
    lines.add(format_args!("c=IN IP4 0.0.0.0"));
    if let Some(mid) = &section.mid {
        lines.add(format_args!("a=mid:{mid}"));
    }
    lines.add(format_args!("a=inactive"));
    if let Some(codec) = &section.codec {
        lines.add(format_args!("a=rtpmap:{format} {codec}"));
    }
}

fn accepted(lines: &mut Lines, offer: &Offer, section: &Section, admission: &Admission<'_>) {
    let Section { media, proto, .. } = section;
    let voice = voice_formats(offer);
    let format = match section.role {
        Role::Data => section.format.as_str(),
        _ => voice.as_str(),
    };
    // The real addresses are in the candidates (RFC 8840, section 4.3.1).
    lines.add(format_args!("m={media} 9 {proto} {format}"));
    lines.add(format_args!("c=IN IP4 0.0.0.0"));
    let mid = section
        .mid
        .as_deref()
        .expect("an accepted m-line has a mid");
    lines.add(format_args!("a=mid:{mid}"));
    lines.add(format_args!("a=ice-ufrag:{}", admission.ufrag));
    lines.add(format_args!("a=ice-pwd:{}", admission.password));
    lines.add(format_args!("a=fingerprint:{}", admission.fingerprint));
    lines.add(format_args!("a=setup:passive"));
    match section.role {
        Role::Microphone => microphone(lines, offer, section),
        Role::Slot(slot) => self::slot(lines, offer, section, admission.session, slot),
        Role::Data => {
            lines.add(format_args!("a=sctp-port:{SCTP_PORT}"));
            lines.add(format_args!("a=max-message-size:{MAX_MESSAGE_BYTES}"));
        }
        Role::Refused => unreachable!("write() sorts them out"),
    }
    // RFC 8843 wants them in the first m-line of the bundle only; aiortc reads those of the last,
    // and browsers ignore what they have read already.
    candidates(lines, admission.candidates);
}

fn microphone(lines: &mut Lines, offer: &Offer, section: &Section) {
    lines.add(format_args!("a=recvonly"));
    voice(lines, offer, section);
    if let Some(id) = offer.audio_level_id {
        lines.add(format_args!("a=extmap:{id} {AUDIO_LEVEL}"));
    }
}

fn slot(lines: &mut Lines, offer: &Offer, section: &Section, session: SessionId, slot: u8) {
    lines.add(format_args!("a=sendonly"));
    voice(lines, offer, section);
    lines.add(format_args!("a=msid:slot-{slot} slot-{slot}"));
    lines.add(format_args!(
        "a=ssrc:{} cname:{CNAME}",
        session.slot_ssrc(slot)
    ));
}

/// Formats of an audio m-line, in the client's order: he sends the first.
fn voice_formats(offer: &Offer) -> String {
    let opus = offer.opus_payload_type;
    match offer.red {
        None => opus.to_string(),
        Some(red) if red.preferred => format!("{} {opus}", red.payload_type),
        Some(red) => format!("{opus} {}", red.payload_type),
    }
}

fn voice(lines: &mut Lines, offer: &Offer, section: &Section) {
    let payload_type = offer.opus_payload_type;
    lines.add(format_args!("a=rtpmap:{payload_type} opus/48000/2"));
    lines.add(format_args!("a=fmtp:{payload_type} {OPUS_PARAMETERS}"));
    if let Some(Red {
        payload_type: red, ..
    }) = offer.red
    {
        lines.add(format_args!("a=rtpmap:{red} red/48000/2"));
        lines.add(format_args!("a=fmtp:{red} {payload_type}/{payload_type}"));
    }
    lines.add(format_args!("a=ptime:{PACKET_MS}"));
    lines.add(format_args!("a=rtcp-mux"));
    if section.rtcp_rsize {
        lines.add(format_args!("a=rtcp-rsize"));
    }
}

fn candidates(lines: &mut Lines, candidates: &[Candidate]) {
    let of = |transport| move |candidate: &&Candidate| candidate.transport == transport;
    let udp = candidates.iter().filter(of(Transport::Udp));
    let tcp = candidates.iter().filter(of(Transport::Tcp));
    for (rank, candidate) in (0_u32..).zip(udp.chain(tcp)) {
        let (preference, local, transport, end) = match candidate.transport {
            Transport::Udp => (HOST_PREFERENCE, 65_535, "udp", ""),
            Transport::Tcp => {
                let local = PASSIVE_LOCAL_PREFERENCE;
                (TCP_HOST_PREFERENCE, local, "tcp", " tcptype passive")
            }
        };
        // RFC 8445, section 5.1.2.1, for component 1.
        let priority = (preference << 24) + ((local - rank) << 8) + 255;
        let (foundation, address) = (rank + 1, candidate.address);
        let (ip, port) = (address.ip(), address.port());
        lines.add(format_args!(
            "a=candidate:{foundation} 1 {transport} {priority} {ip} {port} typ host{end}"
        ));
    }
    lines.add(format_args!("a=end-of-candidates"));
}
