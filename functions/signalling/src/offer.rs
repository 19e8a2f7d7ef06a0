//! Reads an SDP offer strictly: what we do not understand is refused with a sentence that says
//! what to change, or, where SDP allows it, answered with port 0.

mod section;
mod syntax;

use edge::Refusal;
use wire::limits::MAX_SLOTS;
use wire::problem::ProblemKind;

pub(crate) use section::AUDIO_LEVEL;
pub use section::{MAX_MID_CHARS, SCTP_PORT};

use section::{Direction, bundle_only, direction, invalid, is_data, is_voice};
use syntax::{Description, Media};

/// Most m-lines of an offer.
pub const MAX_SECTIONS: usize = 64;
/// An offer that can be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Every m-line, in order.
    pub sections: Vec<Section>,
    /// The accepted mids, the one that carries the transport first; empty when a single m-line
    /// was offered without BUNDLE.
    pub bundle: Vec<String>,
    /// SHA-256 fingerprint of the client's certificate.
    pub fingerprint: [u8; 32],
    /// RTP payload type of Opus, the same for microphone and slots.
    pub opus_payload_type: u8,
    /// RED for Opus (RFC 2198), when every audio m-line offers it with the same payload type.
    pub red: Option<Red>,
    /// Id of the RFC 6464 extension on the microphone.
    pub audio_level_id: Option<u8>,
    /// Number of slots.
    pub slots: u8,
}

/// RED as offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Red {
    /// RTP payload type, above 0.
    pub payload_type: u8,
    /// Whether the client would rather send RED than Opus alone.
    pub preferred: bool,
}

/// One m-line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// What we do with it.
    pub role: Role,
    /// Media type, as offered.
    pub media: String,
    /// Transport protocol, as offered.
    pub proto: String,
    /// First format, as offered: what a refused m-line is answered with.
    pub format: String,
    /// What that format is, as offered (`VP8/90000`); some stacks want it even with port 0.
    pub codec: Option<String>,
    /// Its mid; an accepted one has it.
    pub mid: Option<String>,
    /// Whether reduced-size RTCP (RFC 5506) was offered.
    pub rtcp_rsize: bool,
}

/// What an m-line is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The one that the client sends on.
    Microphone,
    /// The n-th that the client receives on.
    Slot(u8),
    /// The data channels (RFC 8841).
    Data,
    /// Nothing; answered with port 0.
    Refused,
}

/// Reads an offer.
///
/// # Errors
/// `offer-invalid`, `offer-no-audio`, `offer-no-opus` or `offer-too-many-slots`.
pub fn read(text: &str) -> Result<Offer, Refusal> {
    let session = syntax::read(text).map_err(|bad| {
        let syntax::BadLine { number, rule } = bad;
        invalid(format!("Line {number} of the offer is not SDP: {rule}."))
    })?;
    if session.media.len() > MAX_SECTIONS {
        return Err(invalid(format!("Offer at most {MAX_SECTIONS} m-lines.")));
    }
    let roles = roles(&session)?;
    let lines: Vec<Line<'_>> = session
        .media
        .iter()
        .zip(&roles)
        .map(|(media, role)| Line { media, role: *role })
        .collect();
    let sections = lines
        .iter()
        .map(Line::section)
        .collect::<Result<Vec<_>, _>>()?;
    let bundle = bundle(&session, &sections)?;
    let accepted = || lines.iter().filter(|line| line.role != Role::Refused);
    accepted().try_for_each(Line::check)?;
    let tagged = tagged(&lines, &sections, &bundle);
    check_transport(&session, tagged)?;
    let microphone = accepted().find(|line| line.role == Role::Microphone);
    let microphone = microphone.expect("roles() found one").media;
    let opus_payload_type = opus_payload_type(&lines)?;
    Ok(Offer {
        fingerprint: fingerprint(&session, tagged, accepted().map(|line| line.media))?,
        opus_payload_type,
        red: red(&lines, microphone, opus_payload_type),
        audio_level_id: section::audio_level_id(microphone),
        slots: roles
            .iter()
            .filter(|role| matches!(role, Role::Slot(_)))
            .count() as u8,
        sections,
        bundle,
    })
}

impl Offer {
    /// The part of the fingerprint that a ticket has room for.
    pub fn fingerprint_prefix(&self) -> [u8; 16] {
        self.fingerprint[..16].try_into().expect("half of 32 bytes")
    }
}

/// What each m-line is, with the limits on their number.
fn roles(session: &Description<'_>) -> Result<Vec<Role>, Refusal> {
    let (mut microphones, mut slots, mut data) = (0, 0, 0);
    let mut role = |media: &Media<'_>| {
        if media.port == 0 && !bundle_only(media) {
            return Role::Refused;
        }
        if is_data(media) {
            data += 1;
            return Role::Data;
        }
        match direction(session, media) {
            _ if !is_voice(media) => Role::Refused,
            Direction::Send => {
                microphones += 1;
                Role::Microphone
            }
            Direction::Receive => {
                slots += 1;
                Role::Slot((slots - 1) as u8)
            }
            Direction::Inactive => Role::Refused,
        }
    };
    let roles: Vec<Role> = session.media.iter().map(&mut role).collect();
    if slots > MAX_SLOTS {
        let detail = format!("Offer at most {MAX_SLOTS} audio m-lines that are recvonly.");
        return Err(Refusal::new(ProblemKind::OfferTooManySlots, detail));
    }
    match (microphones, data) {
        (0, _) => Err(Refusal::new(
            ProblemKind::OfferNoAudio,
            "Offer one audio m-line that is sendonly or sendrecv: the microphone.",
        )),
        (1, 0 | 1) => Ok(roles),
        (1, _) => Err(invalid(
            "Offer one application m-line for all data channels.",
        )),
        _ => Err(invalid(
            "Offer one audio m-line that sends; make the others recvonly (slots) or inactive.",
        )),
    }
}

struct Line<'a> {
    media: &'a Media<'a>,
    role: Role,
}

impl Line<'_> {
    fn section(&self) -> Result<Section, Refusal> {
        let media = self.media;
        let mid = section::mid(media)?;
        if mid.is_none() && self.role != Role::Refused {
            return Err(invalid("Give every m-line a mid (a=mid)."));
        }
        let format = media
            .formats
            .split(' ')
            .next()
            .unwrap_or_default()
            .to_owned();
        let texts = [media.media, media.proto, &format];
        if !texts.iter().all(|text| section::is_echoable(text)) {
            return Err(invalid(
                "An m-line has a media type, protocol or format that is no word.",
            ));
        }
        Ok(Section {
            role: self.role,
            media: media.media.to_owned(),
            proto: media.proto.to_owned(),
            codec: section::codec(media, &format).filter(|codec| section::is_echoable(codec)),
            format,
            mid,
            rtcp_rsize: section::has(media, "rtcp-rsize"),
        })
    }

    /// What an accepted m-line must have besides a mid.
    fn check(&self) -> Result<(), Refusal> {
        match self.role {
            Role::Microphone | Role::Slot(_) => {
                // RFC 9143 lets a bundle-only m-line leave it out.
                if !section::has(self.media, "rtcp-mux") && !bundle_only(self.media) {
                    return Err(invalid("Offer a=rtcp-mux on every audio m-line."));
                }
                Ok(())
            }
            Role::Data => section::check_sctp_port(section::value(self.media, "sctp-port")),
            Role::Refused => Ok(()),
        }
    }
}

/// The accepted mids in the order of the offer's BUNDLE group.
fn bundle(session: &Description<'_>, sections: &[Section]) -> Result<Vec<String>, Refusal> {
    let mids: Vec<&str> = sections
        .iter()
        .filter_map(|section| section.mid.as_deref())
        .collect();
    if mids
        .iter()
        .enumerate()
        .any(|(at, mid)| mids[..at].contains(mid))
    {
        return Err(invalid("Give every m-line a mid of its own."));
    }
    let accepted: Vec<&str> = sections
        .iter()
        .filter(|section| section.role != Role::Refused)
        .filter_map(|section| section.mid.as_deref())
        .collect();
    let group = session
        .attributes
        .iter()
        .filter(|attribute| attribute.name == "group")
        .filter_map(|attribute| attribute.value?.strip_prefix("BUNDLE "))
        .find(|group| group.split(' ').any(|mid| accepted.contains(&mid)));
    let Some(group) = group else {
        if accepted.len() == 1 {
            return Ok(Vec::new());
        }
        return Err(invalid(
            "Offer all m-lines in one BUNDLE group (a=group:BUNDLE).",
        ));
    };
    let mut bundle: Vec<String> = Vec::with_capacity(accepted.len());
    for mid in group.split(' ').filter(|mid| accepted.contains(mid)) {
        if !bundle.iter().any(|known| known == mid) {
            bundle.push(mid.to_owned());
        }
    }
    if bundle.len() != accepted.len() {
        return Err(invalid(
            "Put every audio and application m-line into the BUNDLE group.",
        ));
    }
    Ok(bundle)
}

/// The m-line that carries the transport: the first of the group.
fn tagged<'a>(lines: &[Line<'a>], sections: &[Section], bundle: &[String]) -> &'a Media<'a> {
    let at = sections.iter().position(|section| match bundle.first() {
        Some(mid) => section.mid.as_ref() == Some(mid),
        None => section.role != Role::Refused,
    });
    lines[at.expect("the microphone is accepted")].media
}

fn check_transport(session: &Description<'_>, tagged: &Media<'_>) -> Result<(), Refusal> {
    let present = |name| section::inherited(session, tagged, name).is_some_and(|v| !v.is_empty());
    if !present("ice-ufrag") || !present("ice-pwd") {
        return Err(invalid("Offer ICE: a=ice-ufrag and a=ice-pwd."));
    }
    match section::inherited(session, tagged, "setup") {
        Some("actpass" | "active") => Ok(()),
        _ => Err(invalid(
            "Offer a=setup:actpass; the relay is the DTLS server.",
        )),
    }
}

/// The one SHA-256 fingerprint of all m-lines.
fn fingerprint<'a>(
    session: &Description<'_>,
    tagged: &Media<'_>,
    accepted: impl Iterator<Item = &'a Media<'a>>,
) -> Result<[u8; 32], Refusal> {
    let at_session = section::fingerprints(&session.attributes)?;
    let at_tagged = section::fingerprints(&tagged.attributes)?;
    let ours = at_tagged.first().or(at_session.first()).copied();
    let ours =
        ours.ok_or_else(|| invalid("Offer a SHA-256 fingerprint (a=fingerprint:sha-256)."))?;
    for media in accepted {
        if section::fingerprints(&media.attributes)?
            .iter()
            .any(|other| *other != ours)
        {
            return Err(invalid(
                "Offer the same SHA-256 fingerprint on every m-line.",
            ));
        }
    }
    Ok(ours)
}

/// The first payload type of the microphone's Opus that every slot has for Opus too.
fn opus_payload_type(lines: &[Line<'_>]) -> Result<u8, Refusal> {
    let voice = lines
        .iter()
        .filter(|l| matches!(l.role, Role::Microphone | Role::Slot(_)));
    let (mut microphone, mut slots) = (Vec::new(), Vec::new());
    for line in voice {
        let types = section::opus_payload_types(line.media);
        if types.is_empty() {
            return Err(Refusal::new(
                ProblemKind::OfferNoOpus,
                "Offer opus/48000/2 (RFC 7587) on every audio m-line.",
            ));
        }
        match line.role {
            Role::Microphone => microphone = types,
            _ => slots.push(types),
        }
    }
    let common = microphone
        .into_iter()
        .find(|pt| slots.iter().all(|types| types.contains(pt)));
    common.ok_or_else(|| invalid("Offer Opus with the same payload type on every audio m-line."))
}

fn red(lines: &[Line<'_>], microphone: &Media<'_>, opus: u8) -> Option<Red> {
    let (payload_type, preferred) = section::red_payload_type(microphone, opus)?;
    let mut slots = lines.iter().filter(|l| matches!(l.role, Role::Slot(_)));
    let same = |line: &Line<'_>| {
        let red = section::red_payload_type(line.media, opus);
        red.is_some_and(|(other, _)| other == payload_type)
    };
    // A ticket says 0 for none.
    (payload_type > 0 && slots.all(same)).then_some(Red {
        payload_type,
        preferred,
    })
}
