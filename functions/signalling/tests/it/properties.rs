//! Nothing that a client sends makes the function panic, and every answer fits its offer.

use crate::rig::{Rig, join_body, join_request, offer};
use proptest::prelude::*;
use signalling::answer::{Admission, write};
use signalling::offer;
use wire::SessionId;
use wire::fleet::{Candidate, Transport};

const OFFERS: [&str; 4] = ["chromium", "firefox", "aiortc", "video-and-voice"];

/// One change of an offer's text.
#[derive(Debug, Clone)]
enum Change {
    DropLine(usize),
    RepeatLine(usize),
    SwapLines(usize, usize),
    Replace(usize, char),
    Cut(usize),
    Insert(usize, &'static str),
}

const LINES: [&str; 12] = [
    "m=audio 9 UDP/TLS/RTP/SAVPF 111",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    "m=audio 0 UDP/TLS/RTP/SAVPF",
    "a=bundle-only",
    "a=group:BUNDLE",
    "a=group:BUNDLE 0 0 0",
    "a=mid:0",
    "a=rtpmap:255 opus/48000/2",
    "a=extmap:99999 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    "a=fingerprint:sha-256",
    "a=sendrecv",
    "a=sctp-port:99999999999",
];

fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        any::<usize>().prop_map(Change::DropLine),
        any::<usize>().prop_map(Change::RepeatLine),
        any::<(usize, usize)>().prop_map(|(a, b)| Change::SwapLines(a, b)),
        any::<(usize, char)>().prop_map(|(at, to)| Change::Replace(at, to)),
        any::<usize>().prop_map(Change::Cut),
        (any::<usize>(), proptest::sample::select(LINES.as_slice()))
            .prop_map(|(at, line)| Change::Insert(at, line)),
    ]
}

fn apply(sdp: &str, change: &Change) -> String {
    let mut lines: Vec<&str> = sdp.split("\r\n").collect();
    let count = lines.len();
    match *change {
        Change::DropLine(at) => drop(lines.remove(at % count)),
        Change::RepeatLine(at) => lines.insert(at % count, lines[at % count]),
        Change::SwapLines(a, b) => lines.swap(a % count, b % count),
        Change::Cut(at) => lines.truncate(at % count + 1),
        Change::Insert(at, line) => lines.insert(at % count, line),
        Change::Replace(at, to) => {
            let mut chars: Vec<char> = sdp.chars().collect();
            let length = chars.len().max(1);
            if let Some(char) = chars.get_mut(at % length) {
                *char = to;
            }
            return chars.into_iter().collect();
        }
    }
    lines.join("\r\n")
}

/// Reads an offer; if it is accepted, checks what must hold of every answer.
fn check(sdp: &str) -> Result<bool, TestCaseError> {
    let Ok(offer) = offer::read(sdp) else {
        return Ok(false);
    };
    prop_assert!(offer.slots <= 16);
    prop_assert!(offer.opus_payload_type < 128);
    prop_assert!(offer.audio_level_id.is_none_or(|id| (1..=14).contains(&id)));
    let admission = Admission {
        session: SessionId([1; 8]),
        ufrag: "ticket",
        password: "password",
        fingerprint: "sha-256 00",
        candidates: &[Candidate {
            transport: Transport::Udp,
            address: "192.0.2.1:7410".parse().expect("an address"),
        }],
    };
    let answer = write(&offer, &admission);
    let count =
        |text: &str, prefix: &str| text.lines().filter(|line| line.starts_with(prefix)).count();
    prop_assert_eq!(count(&answer, "m="), count(sdp, "m="));
    prop_assert_eq!(count(&answer, "a=ssrc:"), usize::from(offer.slots));
    prop_assert_eq!(count(&answer, "a=recvonly"), 1);
    // One address, on every accepted m-line.
    let accepted = count(&answer, "a=setup:passive");
    prop_assert_eq!(count(&answer, "a=candidate:"), accepted);
    let parsed = sdp_types::Session::parse(answer.as_bytes());
    prop_assert!(parsed.is_ok(), "{:?}", parsed.err());
    Ok(true)
}

proptest! {
    #[test]
    fn mutated_offers_are_answered_well_or_refused(
        name in proptest::sample::select(OFFERS.as_slice()),
        changes in proptest::collection::vec(any_change(), 1..6),
    ) {
        let mutated = changes.iter().fold(offer(name), |sdp, change| apply(&sdp, change));
        check(&mutated)?;
    }

    #[test]
    fn arbitrary_text_is_refused(text in "\\PC{0,400}") {
        prop_assert!(!check(&text)?);
        let in_a_line = format!("v=0\r\nm={text}\r\n");
        prop_assert!(!check(&in_a_line)?);
    }

    #[test]
    fn arbitrary_requests_get_a_reply(
        method in "(GET|POST|DELETE|OPTIONS|PATCH|[A-Z]{1,8})",
        path in "(/v1/rooms/lobby/(sessions|whip)|/v1/rooms/\\PC{0,20}/sessions|\\PC{0,40})",
        authorization in proptest::option::of("(Bearer )?\\PC{0,60}"),
        keep_token: bool,
        body in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut request = join_request("");
        request.method = method;
        request.path = path;
        request.body = body;
        if !keep_token {
            request.authorization = authorization;
        }
        let response = Rig::new().handle(request);
        prop_assert!((204..=503).contains(&response.status));
        prop_assert!(response.header("lv-record").is_some());
    }
}

#[test]
fn the_unchanged_offers_are_accepted() {
    for name in OFFERS {
        assert!(check(&offer(name)).expect("the checks hold"), "{name}");
        assert_eq!(
            Rig::new().join(&join_body(&offer(name))).status,
            201,
            "{name}"
        );
    }
}
