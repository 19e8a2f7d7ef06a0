//! SDP offers: refused with a documented kind, or answered by SDP that fits the offer.

use signalling::answer::{Admission, write};
use signalling::offer::{self, Role};
use wire::SessionId;
use wire::fleet::{Candidate, Transport};
use wire::routes::JOIN;

/// One offer, as text.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match offer::read(text) {
        Ok(offer) => check(text, &offer),
        Err(refusal) => assert!(JOIN.documents(refusal.kind), "{:?}", refusal.kind),
    }
}

fn check(text: &str, offer: &offer::Offer) {
    assert!(usize::from(offer.slots) <= wire::limits::MAX_SLOTS);
    assert!(offer.opus_payload_type < 128);
    assert!(
        offer
            .red
            .is_none_or(|red| (1..128).contains(&red.payload_type)
                && red.payload_type != offer.opus_payload_type)
    );
    assert!(offer.audio_level_id.is_none_or(|id| (1..=14).contains(&id)));
    let candidate = |transport| Candidate {
        transport,
        address: ([192, 0, 2, 1], 7410).into(),
    };
    let admission = Admission {
        session: SessionId([1; 8]),
        ufrag: "ticket",
        password: "password",
        fingerprint: "sha-256 00",
        candidates: &[candidate(Transport::Udp), candidate(Transport::Tcp)],
    };
    let answer = write(offer, &admission);
    assert_answer(text, offer, &answer);
}

/// What holds of every answer, whatever the offer held.
pub(crate) fn assert_answer(text: &str, offer: &offer::Offer, answer: &str) {
    let parsed = sdp_types::Session::parse(answer.as_bytes());
    assert!(parsed.is_ok(), "{:?}\n{answer}", parsed.err());
    for line in answer.split_terminator("\r\n") {
        let is_line = line.as_bytes().get(1) == Some(&b'=') && !line.contains(['\r', '\n', '\0']);
        assert!(is_line, "not a line of SDP: {line:?}");
    }
    let count =
        |text: &str, prefix: &str| text.lines().filter(|line| line.starts_with(prefix)).count();
    assert_eq!(count(answer, "m="), offer.sections.len());
    assert_eq!(count(answer, "m="), count(text, "m="));
    assert_eq!(count(answer, "a=ssrc:"), usize::from(offer.slots));
    assert_eq!(count(answer, "a=recvonly"), 1);
    let accepted = |section: &&offer::Section| section.role != Role::Refused;
    let accepted = offer.sections.iter().filter(accepted).count();
    assert_eq!(count(answer, "a=setup:passive"), accepted);
    assert_eq!(count(answer, "a=ice-ufrag:"), accepted);
    assert_eq!(count(answer, "a=fingerprint:"), accepted);
}
