//! Every refusal is a problem with a stable type, a status and a sentence, through the whole edge.

use anyhow::Result;
use e2e::client::{Offer, Options, join, post_join};
use e2e::service::{Edge, claims};
use e2e::unix_s;
use hyper::Method;
use wire::claims::{Claims, Permission};
use wire::join::JoinRequest;
use wire::problem::{MEDIA_TYPE, Problem};

struct Case {
    name: &'static str,
    status: u16,
    problem: &'static str,
    method: Method,
    path: &'static str,
    token: String,
    media_type: &'static str,
    body: Vec<u8>,
}

fn body(offer: &str, channels: Option<&[&str]>) -> Vec<u8> {
    let channels = channels.map(|names| names.iter().map(|n| n.parse().expect("good")).collect());
    let request = JoinRequest {
        offer: offer.to_owned(),
        channels,
        region: None,
        lost: None,
    };
    serde_json::to_vec(&request).expect("string keys")
}

#[expect(clippy::too_many_lines, reason = "a table of requests")]
fn cases(edge: &Edge, offer: &str, many_slots: &str) -> Vec<Case> {
    let good = claims("p1", "lobby");
    let sign = |claims: Claims| edge.secrets.sign(&claims);
    let token = sign(good.clone());
    let join = |name, status, problem, token: &str, body: Vec<u8>| Case {
        name,
        status,
        problem,
        method: Method::POST,
        path: "/v1/rooms/lobby/sessions",
        token: token.to_owned(),
        media_type: "application/json",
        body,
    };
    let expired = sign(Claims {
        exp: unix_s() - 1,
        ..good.clone()
    });
    let other_audience = sign(Claims {
        aud: "another".to_owned(),
        ..good.clone()
    });
    let mut narrow = good.clone();
    narrow.grants[0].channels = vec!["main".to_owned()];
    narrow.grants[0].permissions = vec![Permission::Listen];
    let other_room = sign(claims("p1", "other"));
    let video_only = offer.replace("m=audio", "m=video");
    let forged = format!("{}x", &token[..token.len() - 1]);
    vec![
        join("no token", 401, "token-invalid", "", body(offer, None)),
        join(
            "forged token",
            401,
            "token-invalid",
            &forged,
            body(offer, None),
        ),
        join(
            "expired token",
            401,
            "token-expired",
            &expired,
            body(offer, None),
        ),
        join(
            "other audience",
            401,
            "token-audience",
            &other_audience,
            body(offer, None),
        ),
        join(
            "room not granted",
            403,
            "room-not-granted",
            &other_room,
            body(offer, None),
        ),
        join(
            "channel not granted",
            403,
            "channel-not-granted",
            &sign(narrow),
            body(offer, Some(&["officers"])),
        ),
        join("not JSON", 400, "body-invalid", &token, b"{".to_vec()),
        join(
            "malformed SDP",
            400,
            "offer-invalid",
            &token,
            body("v=0\r\nnonsense", None),
        ),
        join(
            "no audio",
            400,
            "offer-no-audio",
            &token,
            body(&video_only, None),
        ),
        join(
            "no Opus",
            400,
            "offer-no-opus",
            &token,
            body(&offer.replace("opus/48000", "iLBC/8000"), None),
        ),
        join(
            "17 slots",
            400,
            "offer-too-many-slots",
            &token,
            body(many_slots, None),
        ),
        join(
            "large body",
            413,
            "body-too-large",
            &token,
            vec![b' '; 64 * 1024 + 1],
        ),
        Case {
            path: "/v1/rooms/no%20room/sessions",
            ..join(
                "bad room name",
                400,
                "name-invalid",
                &token,
                body(offer, None),
            )
        },
        Case {
            path: "/v1/rooms/lobby/nothing",
            ..join("unknown route", 404, "unknown-route", &token, Vec::new())
        },
        Case {
            method: Method::PUT,
            ..join(
                "wrong method",
                405,
                "method-not-allowed",
                &token,
                Vec::new(),
            )
        },
        Case {
            path: "/v1/rooms/lobby/whip",
            ..join(
                "WHIP with JSON",
                415,
                "media-type-unsupported",
                &token,
                body(offer, None),
            )
        },
        join("no relay", 503, "no-live-relay", &token, body(offer, None)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_says_what_to_change() -> Result<()> {
    let edge = Edge::start().await?;
    let offer = Offer::new(&Options::new(1)).await?.sdp;
    let many_slots = Offer::new(&Options {
        slots: 17,
        ..Options::new(1)
    })
    .await?
    .sdp;
    for case in cases(&edge, &offer, &many_slots) {
        let url = format!("{}{}", edge.url(), case.path);
        let reply = edge
            .http
            .send(case.method, &url, &case.token, case.media_type, case.body)
            .await?;
        let text = String::from_utf8_lossy(&reply.body);
        assert_eq!(reply.status, case.status, "{}: {text}", case.name);
        assert_eq!(reply.problem(), case.problem, "{}: {text}", case.name);
        assert_eq!(reply.headers["content-type"], MEDIA_TYPE, "{}", case.name);
        assert_eq!(
            reply.headers["access-control-allow-origin"], "*",
            "{}",
            case.name
        );
        assert!(
            !reply.headers.contains_key("lv-record"),
            "the host keeps the function's share"
        );
        let problem: Problem = reply.json()?;
        assert_eq!(problem.status, case.status, "{}", case.name);
        let sentence = problem.detail.len() > 20 && problem.detail.contains(' ');
        assert!(sentence, "{}: {}", case.name, problem.detail);
        assert_eq!(
            reply.headers.contains_key("retry-after"),
            case.status == 503,
            "{}",
            case.name
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_without_permission_to_speak_is_not_heard() -> Result<()> {
    let edge = Edge::start().await?;
    let _relay = edge.start_relay("test").await?;
    let mut listener = claims("p1", "lobby");
    listener.grants[0].permissions = vec![Permission::Listen];
    let token = edge.secrets.sign(&listener);
    let options = |mark| Options {
        talks: true,
        ..Options::new(mark)
    };
    let mut quiet = join(&edge.http, &edge.url(), "lobby", &token, options(1)).await?;
    let token = edge.secrets.token("p2", "lobby");
    let mut loud = join(&edge.http, &edge.url(), "lobby", &token, options(2)).await?;
    quiet.hears(2).await?;
    loud.welcome().await?;
    // Long enough that 50 of the other's packets came through.
    for _ in 0..50 {
        quiet.hears(2).await?;
    }
    let heard = loud.drain();
    let voice = |seen: &e2e::client::Seen| matches!(seen, e2e::client::Seen::Voice { .. });
    assert!(!heard.iter().any(|(_, seen)| voice(seen)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whip_client_publishes_into_the_room() -> Result<()> {
    let edge = Edge::start().await?;
    let _relay = edge.start_relay("test").await?;
    let offer = Offer::new(&Options {
        slots: 0,
        ..Options::new(1)
    })
    .await?
    .sdp;
    let url = format!("{}/v1/rooms/lobby/whip", edge.url());
    let token = edge.secrets.token("p1", "lobby");
    let reply = edge
        .http
        .send(Method::POST, &url, &token, "application/sdp", offer.clone())
        .await?;
    assert_eq!(
        reply.status,
        201,
        "{}",
        String::from_utf8_lossy(&reply.body)
    );
    assert_eq!(reply.headers["content-type"], "application/sdp");
    let location = reply.headers["location"].to_str()?;
    assert!(
        location.starts_with("/v1/rooms/lobby/sessions/test~"),
        "{location}"
    );
    let session = format!("{}{location}", edge.url());
    let patch = edge
        .http
        .send(Method::PATCH, &session, &token, "application/sdp", "")
        .await?;
    assert_eq!(
        patch.status, 405,
        "neither trickle ICE nor restarts (RFC 9725)"
    );
    let delete = edge
        .http
        .send(Method::DELETE, &session, &token, "", "")
        .await?;
    assert_eq!(delete.status, 204);
    let join = post_join(&edge.http, &edge.url(), "lobby", &token, &offer).await?;
    assert_eq!(join.status, 201, "the same offer is good for a join");
    Ok(())
}
