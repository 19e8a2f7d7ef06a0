//! Answers to the offers of real stacks, kept as files. `UPDATE_GOLDEN=1` writes them anew.

use crate::rig::{FINGERPRINT, Rig, join_body, offer};
use signalling::answer::{Admission, write};
use signalling::offer::{self, Role};
use str0m::change::SdpAnswer;
use wire::SessionId;
use wire::fleet::{Candidate, Transport};
use wire::join::JoinReply;

const OFFERS: [&str; 6] = [
    "chromium",
    "firefox",
    "aiortc",
    "aiortc-whip",
    "gstreamer-whip",
    "video-and-voice",
];

fn candidates() -> [Candidate; 3] {
    [
        (Transport::Udp, "192.0.2.1:7410"),
        (Transport::Tcp, "192.0.2.1:443"),
        (Transport::Udp, "[2001:db8::1]:7410"),
    ]
    .map(|(transport, text)| Candidate {
        transport,
        address: text.parse().expect("an address"),
    })
}

/// The answer to an offer, with a ticket and a password that do not change with the key schedule.
fn answer(sdp: &str) -> String {
    let offer = offer::read(sdp).unwrap_or_else(|refusal| panic!("{}", refusal.detail));
    let admission = Admission {
        session: SessionId([0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]),
        ufrag: &"Ticket+/".repeat(14)[..110],
        password: "aPasswordOf24Characters+",
        fingerprint: FINGERPRINT,
        candidates: &candidates(),
    };
    write(&offer, &admission)
}

#[test]
fn answers_to_real_offers_do_not_change() {
    for name in OFFERS {
        let path = format!("{}/tests/answers/{name}.sdp", env!("CARGO_MANIFEST_DIR"));
        let ours = answer(&offer(name));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &ours).expect("the folder can be written");
        }
        let kept = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{path}: {error}; UPDATE_GOLDEN=1 writes it"));
        assert_eq!(
            ours, kept,
            "{name}: if it should change, UPDATE_GOLDEN=1 writes it"
        );
    }
}

#[test]
fn an_independent_parser_reads_every_answer() {
    for name in OFFERS {
        let text = answer(&offer(name));
        let parsed = SdpAnswer::from_sdp_string(&text);
        assert!(parsed.is_ok(), "{name}: {:?}", parsed.err());
        assert!(text.ends_with("\r\n") && !text.replace("\r\n", "").contains(['\r', '\n']));
    }
}

#[test]
fn every_m_line_is_answered_in_order() {
    let text = answer(&offer("video-and-voice"));
    let lines = |prefix: &str| -> Vec<String> {
        text.lines()
            .filter_map(|line| line.strip_prefix(prefix))
            .map(str::to_owned)
            .collect()
    };
    let wanted = [
        "audio 9 UDP/TLS/RTP/SAVPF 112",
        "video 0 UDP/TLS/RTP/SAVPF 96",
        "audio 9 UDP/TLS/RTP/SAVPF 112",
        "audio 0 UDP/TLS/RTP/SAVPF 111",
        "application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "audio 9 UDP/TLS/RTP/SAVPF 112",
        "audio 0 UDP/TLS/RTP/SAVPF 111",
        "application 0 TCP/DTLS/SCTP webrtc-datachannel",
    ];
    assert_eq!(lines("m="), wanted);
    assert_eq!(
        lines("a=group:"),
        ["BUNDLE 0 data s2 s1"],
        "the offer's order, accepted mids only"
    );
    let mids = ["0", "v", "s1", "gone", "data", "s2", "quiet", "tcpdata"];
    assert_eq!(lines("a=mid:"), mids);
    assert_eq!(
        lines("a=extmap:"),
        ["4 urn:ietf:params:rtp-hdrext:ssrc-audio-level"]
    );
    assert_eq!(lines("a=msid:"), ["slot-0 slot-0", "slot-1 slot-1"]);
    assert_eq!(
        lines("a=candidate:").len(),
        3 * 4,
        "on every accepted m-line"
    );
}

#[test]
fn tcp_comes_after_udp_and_with_less_priority() {
    let text = answer(&offer("aiortc-whip"));
    let candidates = text
        .lines()
        .filter_map(|line| line.strip_prefix("a=candidate:"));
    let wanted = [
        "1 1 udp 2130706431 192.0.2.1 7410 typ host",
        "2 1 udp 2130706175 2001:db8::1 7410 typ host",
        "3 1 tcp 1516240383 192.0.2.1 443 typ host tcptype passive",
    ];
    // 90 * 2^24 + (2 * 2^13 + 8191 - 2) * 2^8 + 255
    assert_eq!(candidates.collect::<Vec<_>>(), wanted);
}

#[test]
fn red_is_accepted_where_every_audio_line_has_it_and_sent_where_it_comes_first() {
    let chromium = offer("chromium");
    let formats = |sdp: &str| -> Vec<String> {
        let text = answer(sdp);
        let audio = text
            .lines()
            .filter_map(|line| line.strip_prefix("m=audio 9 "));
        let formats = audio.map(|line| line.replace("UDP/TLS/RTP/SAVPF ", ""));
        formats.collect()
    };
    assert_eq!(formats(&chromium), ["111 63"; 5]);
    assert!(answer(&chromium).contains("a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n"));
    let preferred = chromium.replacen(" 111 63 ", " 63 111 ", 1);
    assert_eq!(formats(&preferred)[..2], ["63 111", "63 111"]);
    for broken in [
        chromium.replacen("a=rtpmap:63 red/48000/2\r\n", "", 1),
        chromium.replacen("a=fmtp:63 111/111\r\n", "a=fmtp:63 111/9\r\n", 1),
        chromium.replacen("a=fmtp:63 111/111\r\n", "", 1),
        chromium.replacen("red/48000/2", "red/8000", 1),
    ] {
        assert_ne!(broken, chromium, "the offer is as expected");
        assert_eq!(formats(&broken), ["111"; 5]);
    }
    assert_eq!(
        formats(&offer("firefox"))[0].split(' ').count(),
        1,
        "has none"
    );
}

#[test]
fn slots_are_numbered_by_the_order_of_the_m_lines() {
    let offer = offer::read(&offer("chromium")).expect("our file");
    let roles: Vec<Role> = offer.sections.iter().map(|section| section.role).collect();
    let slots = [Role::Slot(0), Role::Slot(1), Role::Slot(2), Role::Slot(3)];
    assert_eq!(roles[0], Role::Microphone);
    assert_eq!(roles[1..5], slots);
    assert_eq!(roles[5], Role::Data);
    assert_eq!(offer.slots, 4);
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "str0m wants an Instant to begin with"
)]
fn str0m_as_a_client_takes_the_answer() {
    use str0m::media::{Direction, MediaKind};
    let mut rtc = str0m::Rtc::new(std::time::Instant::now());
    let mut changes = rtc.sdp_api();
    changes.add_media(MediaKind::Audio, Direction::SendOnly, None, None, None);
    for _ in 0..3 {
        changes.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
    }
    changes.add_channel(wire::channel::LABEL.into());
    let (offer, pending) = changes.apply().expect("there are changes");
    let response = Rig::new().join(&join_body(&offer.to_sdp_string()));
    assert_eq!(
        response.status,
        201,
        "{}",
        String::from_utf8_lossy(&response.body)
    );
    let reply: JoinReply = serde_json::from_slice(&response.body).expect("a join reply");
    let answer = SdpAnswer::from_sdp_string(&reply.answer).expect("an answer");
    rtc.sdp_api()
        .accept_answer(pending, answer)
        .expect("it fits the offer");
}
