//! One test per refusal: its kind, its status, and that it says what to change.

use crate::rig::{NOW_S, Rig, bearer, claims, join_body, join_request, offer, problem};
use edge::http::Request;
use wire::limits::MAX_BODY_BYTES;
use wire::problem::ProblemKind;
use wire::problem::ProblemKind::*;

fn refused(request: Request) -> (ProblemKind, String) {
    refused_by(&Rig::new(), request)
}

fn refused_by(rig: &Rig, request: Request) -> (ProblemKind, String) {
    let response = rig.handle(request);
    let problem = problem(&response);
    let kind = ProblemKind::ALL
        .iter()
        .find(|kind| kind.name() == response.outcome);
    let kind = *kind.unwrap_or_else(|| panic!("{} is no problem", response.outcome));
    assert_eq!(problem.status, response.status);
    assert_eq!(
        problem.type_uri,
        format!("https://lifeverse.dev/problems/{}", kind.name())
    );
    assert!(
        problem.detail.ends_with('.') && problem.detail.len() > 15,
        "{}",
        problem.detail
    );
    (kind, problem.detail.into_owned())
}

fn offer_refused(change: impl Fn(String) -> String) -> (ProblemKind, String) {
    refused(join_request(&join_body(&change(offer("chromium")))))
}

fn with_claims(change: impl Fn(&mut wire::claims::Claims)) -> Request {
    let mut claims = claims();
    change(&mut claims);
    Request {
        authorization: bearer(&claims),
        ..join_request(&join_body(&offer("chromium")))
    }
}

#[test]
fn a_missing_or_foreign_token() {
    let request = Request {
        authorization: None,
        ..join_request("{}")
    };
    assert_eq!(refused(request).0, TokenInvalid);
    let request = Request {
        authorization: Some("Bearer a.b.c".into()),
        ..join_request("{}")
    };
    assert_eq!(refused(request).0, TokenInvalid);
}

#[test]
fn an_expired_token() {
    assert_eq!(
        refused(with_claims(|claims| claims.exp = NOW_S)).0,
        TokenExpired
    );
}

#[test]
fn a_token_for_another_audience() {
    let (kind, detail) = refused(with_claims(|claims| claims.aud = "shop".into()));
    assert_eq!(kind, TokenAudience);
    assert!(detail.contains("lifeverse-voice"), "{detail}");
}

#[test]
fn a_room_that_is_not_granted() {
    let request = Request {
        path: "/v1/rooms/cellar/sessions".into(),
        ..join_request("{}")
    };
    let (kind, detail) = refused(request);
    assert_eq!(kind, RoomNotGranted);
    assert!(detail.contains("cellar"), "{detail}");
}

#[test]
fn a_channel_that_is_not_granted() {
    let body = r#"{"offer":"","channels":["main","officers"]}"#;
    let (kind, detail) = refused(join_request(body));
    assert_eq!(kind, ChannelNotGranted);
    assert!(detail.contains("officers"), "{detail}");
}

#[test]
fn a_name_that_is_not_well_formed() {
    let long = format!("/v1/rooms/{}/sessions", "r".repeat(65));
    for path in ["/v1/rooms/a%20b/sessions", "/v1/rooms/%00/sessions", &long] {
        let request = Request {
            path: path.into(),
            ..join_request("{}")
        };
        assert_eq!(refused(request).0, NameInvalid, "{path}");
    }
    for session in ["x", "a~b", "a~00112233445566778899", "~0011223344556677"] {
        let path = format!("/v1/rooms/lobby/sessions/{session}");
        let request = Request {
            method: "DELETE".into(),
            path,
            ..join_request("")
        };
        assert_eq!(refused(request).0, NameInvalid, "{session}");
    }
}

#[test]
fn an_unknown_route_and_method() {
    let request = Request {
        path: "/v1/rooms/lobby".into(),
        ..join_request("")
    };
    assert_eq!(refused(request).0, UnknownRoute);
    let request = Request {
        method: "GET".into(),
        ..join_request("")
    };
    assert_eq!(refused(request).0, MethodNotAllowed);
    let path = "/v1/rooms/lobby/sessions/eu-1-a~0011223344556677".into();
    let request = Request {
        method: "PATCH".into(),
        path,
        ..join_request("")
    };
    assert_eq!(
        refused(request).0,
        MethodNotAllowed,
        "WHIP trickle is not needed"
    );
}

#[test]
fn a_body_that_is_too_large() {
    let request = join_request(&" ".repeat(MAX_BODY_BYTES + 1));
    assert_eq!(refused(request).0, BodyTooLarge);
}

#[test]
fn a_body_that_is_not_a_join() {
    let many: Vec<String> = (0..17).map(|i| format!("\"team-{i}\"")).collect();
    let many = format!(r#"{{"offer":"","channels":[{}]}}"#, many.join(","));
    for body in [
        "",
        "[]",
        "{}",
        r#"{"offer":1}"#,
        r#"{"offer":"","channels":["a b"]}"#,
        r#"{"offer":"","channels":[]}"#,
        r#"{"offer":"","channels":["main","main"]}"#,
        r#"{"offer":"","region":"a/b"}"#,
        &many,
    ] {
        assert_eq!(refused(join_request(body)).0, BodyInvalid, "{body}");
    }
}

#[test]
fn another_content_type() {
    let mut request = join_request("{}");
    request.content_type = Some("application/sdp".into());
    assert_eq!(refused(request.clone()).0, MediaTypeUnsupported);
    request.path = "/v1/rooms/lobby/whip".into();
    for content_type in [None, Some("application/json".to_owned())] {
        request.content_type = content_type;
        assert_eq!(refused(request.clone()).0, MediaTypeUnsupported);
    }
}

#[test]
fn an_offer_that_is_not_sdp() {
    for text in [
        "",
        "hello",
        "v=1\r\n",
        "v=0\r\nm=audio x\r\n",
        "v=0\r\no=\r\n",
    ] {
        let kind = refused(join_request(&join_body(text))).0;
        assert!(
            matches!(kind, OfferInvalid | OfferNoAudio),
            "{text:?}: {kind:?}"
        );
    }
    let whip = Request {
        path: "/v1/rooms/lobby/whip".into(),
        content_type: Some("application/sdp".into()),
        body: vec![0xff],
        ..join_request("")
    };
    assert_eq!(refused(whip).0, OfferInvalid);
}

#[test]
fn an_offer_without_a_microphone() {
    assert_eq!(
        offer_refused(|sdp| sdp.replace("a=sendonly", "a=inactive")).0,
        OfferNoAudio
    );
    assert_eq!(
        offer_refused(|sdp| sdp.replace("m=audio", "m=video")).0,
        OfferNoAudio
    );
    assert_eq!(refused(join_request(&join_body("v=0\r\n"))).0, OfferNoAudio);
}

#[test]
fn an_offer_without_opus() {
    assert_eq!(
        offer_refused(|sdp| sdp.replace("opus/48000/2", "opus/48000")).0,
        OfferNoOpus
    );
    let last = |sdp: String| {
        let at = sdp.rfind("opus/48000/2").expect("a slot with Opus");
        format!("{}speex/16000{}", &sdp[..at], &sdp[at + 12..])
    };
    assert_eq!(offer_refused(last).0, OfferNoOpus, "every slot needs it");
}

#[test]
fn an_offer_with_too_many_slots() {
    let with_slots = |count: usize| {
        let sdp = offer("chromium");
        let head = &sdp[..sdp.find("m=audio").expect("an m-line")];
        let sections: Vec<&str> = sdp[head.len()..].split_inclusive("m=").collect();
        let (microphone, slot) = (sections[1], sections[2]);
        let mids: Vec<String> = (0..=count).map(|mid| mid.to_string()).collect();
        let head = head.replace("0 1 2 3 4 5", &mids.join(" "));
        let mut sdp = format!("{head}m={}", microphone.trim_end_matches("m="));
        for mid in &mids[1..] {
            let slot = slot.replace("a=mid:1\r\n", &format!("a=mid:{mid}\r\n"));
            sdp.push_str(&format!("m={}", slot.trim_end_matches("m=")));
        }
        Rig::new().join(&join_body(&sdp))
    };
    assert_eq!(with_slots(16).outcome, "ok");
    assert_eq!(with_slots(17).outcome, "offer-too-many-slots");
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of offers")]
fn offers_that_the_relay_could_not_serve() {
    let fingerprint = "a=fingerprint:sha-256 E1:1C";
    let broken: &[(&str, &str, &str)] = &[
        ("two microphones", "a=recvonly", "a=sendrecv"),
        ("no BUNDLE", "a=group:BUNDLE 0 1 2 3 4 5\r\n", ""),
        (
            "a slot outside BUNDLE",
            "BUNDLE 0 1 2 3 4 5",
            "BUNDLE 0 1 2 3 5",
        ),
        ("no mid", "a=mid:2\r\n", ""),
        ("one mid twice", "a=mid:2", "a=mid:1"),
        ("a long mid", "a=mid:2", "a=mid:22222222222222222"),
        ("a mid that is no token", "a=mid:2", "a=mid:2 a"),
        ("no rtcp-mux", "a=rtcp-mux\r\n", ""),
        ("no SHA-256", "a=fingerprint:sha-256", "a=fingerprint:sha-1"),
        (
            "a short fingerprint",
            fingerprint,
            "a=fingerprint:sha-256 E1",
        ),
        (
            "a long fingerprint",
            fingerprint,
            "a=fingerprint:sha-256 E1:1C:00",
        ),
        (
            "a fingerprint that is no hex",
            fingerprint,
            "a=fingerprint:sha-256 E1:XY",
        ),
        ("DTLS server", "a=setup:actpass", "a=setup:passive"),
        ("no setup", "a=setup:actpass\r\n", ""),
        ("no ufrag", "a=ice-ufrag:NM2B\r\n", ""),
        ("no password", "a=ice-pwd:9caujpmfhx7W0rRynr6y/By9\r\n", ""),
        ("another SCTP port", "a=sctp-port:5000", "a=sctp-port:5001"),
        ("no SCTP port", "a=sctp-port:5000\r\n", ""),
        ("RTCP's payload types", "111", "72"),
    ];
    for (what, from, to) in broken {
        let (kind, _) = offer_refused(|sdp| {
            assert!(sdp.contains(from), "{what}");
            sdp.replace(from, to)
        });
        let wanted = if *what == "RTCP's payload types" {
            OfferNoOpus
        } else {
            OfferInvalid
        };
        assert_eq!(kind, wanted, "{what}");
    }
    let one_slot_differs = |from: &'static str, to: &'static str| {
        move |sdp: String| {
            let at = sdp.rfind(from).expect("in the last slot");
            format!("{}{to}{}", &sdp[..at], &sdp[at + from.len()..])
        }
    };
    let other = one_slot_differs("sha-256 E1", "sha-256 E2");
    assert_eq!(offer_refused(other).0, OfferInvalid, "another certificate");
    let other = |sdp: String| {
        let (at, end) = (sdp.rfind("m=audio").expect("a slot"), sdp.len());
        format!("{}{}", &sdp[..at], sdp[at..end].replace("111", "112"))
    };
    assert_eq!(offer_refused(other).0, OfferInvalid, "another payload type");
    let data = offer("chromium");
    let data = &data[data.find("m=application").expect("a data channel")..];
    let two = |sdp: String| sdp + &data.replace("a=mid:5", "a=mid:6");
    assert_eq!(offer_refused(two).0, OfferInvalid, "two data m-lines");
    let many = |sdp: String| sdp + &"m=video 0 RTP/AVP 96\r\n".repeat(64);
    assert_eq!(offer_refused(many).0, OfferInvalid, "65 and more m-lines");
    let odd = |sdp: String| sdp + "m=vi\"deo 0 RTP/AVP 96\r\n";
    assert_eq!(offer_refused(odd).0, OfferInvalid, "what may not be echoed");
}

#[test]
fn no_live_relay() {
    let request = join_request(&join_body(&offer("chromium")));
    assert_eq!(
        refused_by(&Rig::without_relay(), request.clone()).0,
        NoLiveRelay
    );
    let rig = Rig::new();
    rig.pass(10_000);
    assert_eq!(refused_by(&rig, request).0, NoLiveRelay);
    let elsewhere = serde_json::json!({ "offer": offer("chromium"), "region": "us-1" });
    assert_eq!(refused(join_request(&elsewhere.to_string())).0, NoLiveRelay);
}

#[test]
fn settings_that_are_missing_or_wrong_are_named_and_not_shown() {
    let body = join_body(&offer("chromium"));
    for (name, value) in [
        ("admission_secret", "c2VjcmV0"),
        ("token_keys", "hush-hush"),
        ("region", "a/b"),
    ] {
        let mut rig = Rig::new();
        rig.variables.0.insert(name.into(), value.into());
        let (kind, detail) = refused_by(&rig, join_request(&body));
        assert_eq!(kind, Misconfigured);
        assert!(detail.contains(name) && !detail.contains(value), "{detail}");
    }
    for name in [
        "admission_secret",
        "player_secret",
        "edge_token_public",
        "token_keys",
    ] {
        let mut rig = Rig::new();
        rig.variables.0.insert(name.into(), String::new());
        assert_eq!(refused_by(&rig, join_request(&body)).0, Misconfigured);
    }
}
