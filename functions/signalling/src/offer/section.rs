//! What the attributes of one m-line say.

use std::borrow::Cow;

use edge::Refusal;
use wire::problem::ProblemKind;

use super::syntax::{Attribute, Description, Media};

/// Longest mid, in characters: it is echoed once per m-line and in the BUNDLE group.
pub const MAX_MID_CHARS: usize = 16;
/// The SCTP port of both sides (RFC 8841); the relay knows no other.
pub const SCTP_PORT: u16 = 5000;

/// Protocols that are DTLS-SRTP with feedback (RFC 8829, section 5.1.2).
const VOICE_PROTOCOLS: [&str; 3] = ["UDP/TLS/RTP/SAVPF", "TCP/TLS/RTP/SAVPF", "RTP/SAVPF"];
/// RFC 6464.
pub(crate) const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";

pub(super) fn invalid(detail: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::new(ProblemKind::OfferInvalid, detail)
}

/// Whether media flows, from the client's point of view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Send,
    Receive,
    Inactive,
}

fn values<'a>(attributes: &[Attribute<'a>], name: &str) -> impl Iterator<Item = &'a str> {
    attributes
        .iter()
        .filter(move |attribute| attribute.name.eq_ignore_ascii_case(name))
        .filter_map(|attribute| attribute.value)
}

/// Whether the m-line has an attribute.
pub(super) fn has(media: &Media<'_>, name: &str) -> bool {
    media
        .attributes
        .iter()
        .any(|attribute| attribute.name.eq_ignore_ascii_case(name))
}

/// The m-line's first value of an attribute.
pub(super) fn value<'a>(media: &Media<'a>, name: &str) -> Option<&'a str> {
    values(&media.attributes, name).next()
}

/// The m-line's value of an attribute, or else the session's.
pub(super) fn inherited<'a>(
    session: &Description<'a>,
    media: &Media<'a>,
    name: &str,
) -> Option<&'a str> {
    value(media, name).or_else(|| values(&session.attributes, name).next())
}

/// RFC 9143: an m-line with port 0 that is offered all the same.
pub(super) fn bundle_only(media: &Media<'_>) -> bool {
    has(media, "bundle-only")
}

pub(super) fn is_voice(media: &Media<'_>) -> bool {
    media.media == "audio" && VOICE_PROTOCOLS.contains(&media.proto)
}

/// Whether the m-line is for data channels over UDP.
pub(super) fn is_data(media: &Media<'_>) -> bool {
    media.media == "application"
        && media.proto == "UDP/DTLS/SCTP"
        && media.formats == "webrtc-datachannel"
}

pub(super) fn direction(session: &Description<'_>, media: &Media<'_>) -> Direction {
    let of = |attributes: &[Attribute<'_>]| {
        attributes
            .iter()
            .find_map(|attribute| match attribute.name {
                "sendonly" | "sendrecv" => Some(Direction::Send),
                "recvonly" => Some(Direction::Receive),
                "inactive" => Some(Direction::Inactive),
                _ => None,
            })
    };
    // RFC 8866, section 6.7: sendrecv is the default.
    of(&media.attributes)
        .or_else(|| of(&session.attributes))
        .unwrap_or(Direction::Send)
}

/// The mid, checked: it is echoed.
pub(super) fn mid(media: &Media<'_>) -> Result<Option<String>, Refusal> {
    let Some(mid) = value(media, "mid") else {
        return Ok(None);
    };
    if mid.is_empty() || mid.len() > MAX_MID_CHARS || !mid.bytes().all(is_token_char) {
        let rule = format!("Use mids of 1 to {MAX_MID_CHARS} letters, digits and token signs.");
        return Err(invalid(rule));
    }
    Ok(Some(mid.to_owned()))
}

/// `token-char` of RFC 8866.
fn is_token_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`{|}~".contains(&byte)
}

/// Whether a word of the offer may stand in the answer.
pub(super) fn is_echoable(word: &str) -> bool {
    let slash_or_token = |byte: u8| byte == b'/' || is_token_char(byte);
    !word.is_empty() && word.len() <= 32 && word.bytes().all(slash_or_token)
}

pub(super) fn check_sctp_port(port: Option<&str>) -> Result<(), Refusal> {
    if port.and_then(|port| port.parse().ok()) == Some(SCTP_PORT) {
        return Ok(());
    }
    Err(invalid(format!(
        "Offer data channels on SCTP port {SCTP_PORT} (a=sctp-port)."
    )))
}

/// The SHA-256 fingerprints among the attributes; others are for other stacks.
pub(super) fn fingerprints(attributes: &[Attribute<'_>]) -> Result<Vec<[u8; 32]>, Refusal> {
    let wrong = || invalid("A SHA-256 fingerprint must be 32 bytes in hex with colons.");
    let mut found = Vec::new();
    for value in values(attributes, "fingerprint") {
        let (hash, digits) = value.split_once(' ').ok_or_else(wrong)?;
        if !hash.eq_ignore_ascii_case("sha-256") {
            continue;
        }
        found.push(sha256(digits.trim().as_bytes()).ok_or_else(wrong)?);
    }
    Ok(found)
}

/// `AB:CD:..`, 32 bytes. By hand: it runs for every m-line.
fn sha256(text: &[u8]) -> Option<[u8; 32]> {
    if text.len() != 32 * 3 - 1 {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut bytes = [0; 32];
    for (byte, part) in bytes.iter_mut().zip(text.chunks(3)) {
        if part.get(2).is_some_and(|colon| *colon != b':') {
            return None;
        }
        *byte = (digit(part[0])? * 16 + digit(part[1])?) as u8;
    }
    Some(bytes)
}

/// What the m-line maps a format to.
pub(super) fn codec(media: &Media<'_>, format: &str) -> Option<String> {
    values(&media.attributes, "rtpmap").find_map(|value| {
        let (payload_type, codec) = value.split_once(' ')?;
        (payload_type == format).then(|| codec.to_owned())
    })
}

/// The payload types of Opus (RFC 7587) in the m-line's order of preference.
pub(super) fn opus_payload_types(media: &Media<'_>) -> Vec<u8> {
    payload_types(media, "opus/48000/2")
}

/// The payload type of RED (RFC 2198) whose blocks are all of payload type `opus`, and whether
/// the m-line prefers it to Opus alone.
pub(super) fn red_payload_type(media: &Media<'_>, opus: u8) -> Option<(u8, bool)> {
    let wraps_opus = |payload_type: &u8| {
        values(&media.attributes, "fmtp").any(|value| {
            let Some((format, blocks)) = value.split_once(' ') else {
                return false;
            };
            let mut blocks = blocks.trim().split('/').map(str::parse);
            format.parse() == Ok(*payload_type) && blocks.all(|block| block == Ok(opus))
        })
    };
    let red = payload_types(media, "red/48000/2")
        .into_iter()
        .find(wraps_opus)?;
    let place = |wanted: u8| {
        media
            .formats
            .split(' ')
            .position(|f| f.parse() == Ok(wanted))
    };
    Some((red, place(red) < place(opus)))
}

/// The payload types of a codec in the m-line's order of preference.
fn payload_types(media: &Media<'_>, codec: &str) -> Vec<u8> {
    let mapped: Vec<u8> = values(&media.attributes, "rtpmap")
        .filter_map(|value| {
            let (payload_type, name) = value.split_once(' ')?;
            let is_it = name.trim().eq_ignore_ascii_case(codec);
            payload_type.parse().ok().filter(|_| is_it)
        })
        .collect();
    let offered = media
        .formats
        .split(' ')
        .filter_map(|format| format.parse().ok());
    offered
        .filter(|pt| is_usable_payload_type(*pt) && mapped.contains(pt))
        .collect()
}

/// Seven bits, and apart from the RTCP packet types (RFC 5761, section 4).
fn is_usable_payload_type(payload_type: u8) -> bool {
    payload_type < 128 && !(64..=95).contains(&payload_type)
}

/// The id of the audio-level extension, when the client can send it in one-byte form.
pub(super) fn audio_level_id(media: &Media<'_>) -> Option<u8> {
    values(&media.attributes, "extmap").find_map(|value| {
        let mut words = value.split(' ');
        let first = words.next()?;
        let (id, direction) = first.split_once('/').unwrap_or((first, "sendrecv"));
        let id: u8 = id.parse().ok()?;
        let sends = matches!(direction, "sendrecv" | "sendonly");
        (words.next() == Some(AUDIO_LEVEL) && sends && (1..=14).contains(&id)).then_some(id)
    })
}
