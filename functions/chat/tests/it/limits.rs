//! Limits, policy and settings, and how each refusal looks.

use crate::rig::{ROOM, Rig, claims, problem, read, request};
use edge::http::Response;
use edge::testing::calls;
use serde_json::{Value, json};
use wire::chat::{ChannelSettings, MessageReply};
use wire::claims::{Age, Claims, Permission, Persona, Platform};

const MESSAGES: &str = "/v1/chat/channels/room~lobby~main/messages";

fn post_as(rig: &Rig, claims: &Claims, channel: &str, body: Value) -> Response {
    let path = format!("/v1/chat/channels/{channel}/messages");
    rig.send(request(claims, "POST", &path, body))
}

fn say(rig: &Rig, claims: &Claims, key: &str, text: &str) -> String {
    problem(&post_as(
        rig,
        claims,
        ROOM,
        json!({ "key": key, "text": text }),
    ))
}

fn of_age(player: &str, age: Age) -> Claims {
    let mut claims = claims(player);
    claims.profile.age = Some(age);
    claims
}

#[test]
fn what_is_no_message_is_refused_by_its_kind() {
    let rig = Rig::unlimited(1);
    let ann = claims("ann");
    for (body, wanted) in [
        (json!({ "key": "k" }), "body-invalid"),
        (
            json!({ "key": "k", "text": "a", "phrase": "b" }),
            "body-invalid",
        ),
        (json!({ "key": "not a key", "text": "a" }), "body-invalid"),
        (json!({ "text": "a" }), "body-invalid"),
        (json!({ "key": "k", "text": "a\u{0}" }), "text-invalid"),
        (json!({ "key": "k", "text": " " }), "text-invalid"),
        (
            json!({ "key": "k", "text": "x".repeat(501) }),
            "text-too-long",
        ),
        (
            json!({ "key": "k", "text": "see evil.com" }),
            "link-refused",
        ),
        (
            json!({ "key": "k", "notice": "event-starts" }),
            "not-moderator",
        ),
        (
            json!({ "key": "k", "text": "a", "mentions": vec!["p"; 17] }),
            "body-invalid",
        ),
    ] {
        assert_eq!(
            problem(&post_as(&rig, &ann, ROOM, body.clone())),
            wanted,
            "{body}"
        );
    }
    let mut raw = request(&ann, "POST", MESSAGES, json!({}));
    raw.body = b"{\"key\":\"k\",\"text\":\"\xff\"}".to_vec();
    assert_eq!(problem(&rig.send(raw)), "text-invalid");
    for (channel, wanted) in [
        ("room~other~main", "channel-not-granted"),
        ("world~us-1", "channel-not-granted"),
        ("guild~a", "name-invalid"),
        ("room~lobby", "name-invalid"),
    ] {
        let body = json!({ "key": "k", "text": "a" });
        assert_eq!(
            problem(&post_as(&rig, &ann, channel, body)),
            wanted,
            "{channel}"
        );
    }
    for query in [
        "after=x",
        "after=-1",
        "before=1&after=1",
        "limit=0",
        "after=99999999999999999999",
    ] {
        let response = rig.call("ann", "GET", &format!("{MESSAGES}?{query}"), Value::Null);
        assert_eq!(problem(&response), "cursor-invalid", "{query}");
    }
    let mut silent = claims("ann");
    silent.grants[0].permissions = vec![Permission::Listen];
    assert_eq!(say(&rig, &silent, "k", "a"), "channel-not-granted");
    assert_eq!(rig.history("ann", ROOM, "").messages, []);
}

#[test]
fn a_bucket_refills_and_says_when() {
    let rig = Rig::new(2);
    let ann = claims("ann");
    let post = |n: u32| {
        post_as(
            &rig,
            &ann,
            ROOM,
            json!({ "key": format!("k{n}"), "text": "x" }),
        )
    };
    (0..6).for_each(|n| assert_eq!(post(n).status, 201, "{n}"));
    let refused = post(6);
    assert_eq!(
        (refused.status, problem(&refused).as_str()),
        (429, "too-fast")
    );
    let wait_s: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert_eq!(
        post(0).status,
        201,
        "a retry of an old message is not a new one"
    );
    let elsewhere = post_as(
        &rig,
        &ann,
        "room~lobby~team",
        json!({ "key": "k", "text": "x" }),
    );
    assert_eq!(elsewhere.status, 201, "each channel has its own bucket");
    rig.pass(wait_s * 1000);
    assert_eq!(post(6).status, 201);
    assert_eq!(post(7).status, 429);
    let sent = (0..200).filter(|n| {
        rig.pass(500);
        post(100 + n).status == 201
    });
    let count = sent.count();
    assert!((62..=70).contains(&count), "100 s at 40 a minute: {count}");
}

#[test]
fn the_policy_decides_by_age_persona_and_platform() {
    let rig = Rig::unlimited(3);
    let child = of_age("kid", Age::Child);
    assert_eq!(say(&rig, &child, "a", "look at evil.com"), "link-refused");
    assert_eq!(say(&rig, &child, "b", "sh1t happens"), "word-refused");
    assert_eq!(say(&rig, &child, "c", &"x".repeat(201)), "text-too-long");
    assert_eq!(say(&rig, &child, "d", "hello"), "");
    let body = || json!({ "key": "k", "text": "hello" });
    assert_eq!(
        problem(&post_as(&rig, &child, "direct~ann", body())),
        "policy-refused"
    );
    assert_eq!(
        problem(&post_as(&rig, &child, "world~eu-1", body())),
        "policy-refused"
    );
    let adult = of_age("old", Age::Adult);
    assert_eq!(say(&rig, &adult, "a", "look at example.com"), "");
    let masked = post_as(
        &rig,
        &adult,
        ROOM,
        json!({ "key": "m", "text": "oh sh1t!" }),
    );
    let masked: MessageReply = read(&masked);
    assert_eq!(masked.message.text.as_deref(), Some("oh ****!"));
    let mut streamer = adult;
    streamer.profile.persona = Some(Persona::Streamer);
    assert_eq!(say(&rig, &streamer, "b", "oh shit"), "word-refused");
}

#[test]
fn without_cross_play_other_platforms_are_not_seen() {
    let rig = Rig::unlimited(4);
    let on = |player: &str, platform, cross_play| {
        let mut claims = claims(player);
        (claims.profile.platform, claims.profile.cross_play) = (Some(platform), Some(cross_play));
        claims
    };
    let players = [
        on("pc", Platform::Pc, true),
        on("pc-alone", Platform::Pc, false),
        on("mobile", Platform::Mobile, true),
    ];
    for player in &players {
        assert_eq!(say(&rig, player, "k", player.sub.as_str()), "");
    }
    let seen = |claims: &Claims| -> Vec<String> {
        let history: wire::chat::HistoryReply =
            read(&rig.send(request(claims, "GET", MESSAGES, Value::Null)));
        history
            .messages
            .into_iter()
            .filter_map(|m| m.text)
            .collect()
    };
    assert_eq!(seen(&players[0]), ["pc", "pc-alone", "mobile"]);
    assert_eq!(seen(&players[1]), ["pc", "pc-alone"]);
    assert_eq!(seen(&players[2]), ["pc", "mobile"]);
}

#[test]
fn slow_mode_and_lock_hold_for_players_and_not_for_moderators() {
    let rig = Rig::unlimited(7);
    let path = "/v1/chat/channels/room~lobby~main/settings";
    let set = |locked: bool, slow_s: u16| {
        let body = serde_json::to_value(ChannelSettings { locked, slow_s }).unwrap();
        rig.call("mod", "PUT", path, body)
    };
    let tail = read::<MessageReply>(&rig.post("ann", ROOM, "k0", "x")).tail;
    assert_eq!(set(false, 30).status, 200);
    let stale = json!({ "key": "k1", "text": "x", "tail": tail });
    let ann = claims("ann");
    assert_eq!(
        problem(&post_as(&rig, &ann, ROOM, stale)),
        "too-fast",
        "a stale tail helps nobody"
    );
    rig.pass(30_000);
    assert_eq!(say(&rig, &ann, "k2", "x"), "");
    assert_eq!(say(&rig, &ann, "k3", "x"), "too-fast");
    let mut moderator = claims("mod");
    moderator.profile.persona = Some(Persona::Moderator);
    assert_eq!(say(&rig, &moderator, "m1", "x"), "");
    assert_eq!(say(&rig, &moderator, "m2", "x"), "");
    assert_eq!(set(true, 0).status, 200);
    rig.pass(60_000);
    assert_eq!(say(&rig, &ann, "k4", "x"), "channel-locked");
    let edit = json!({ "text": "y", "version": 1 });
    let edited = rig.call("ann", "PATCH", &format!("{MESSAGES}/1"), edit);
    assert_eq!(problem(&edited), "channel-locked");
    assert_eq!(say(&rig, &moderator, "m3", "x"), "");
    assert_eq!(set(false, 0).status, 200);
    assert_eq!(say(&rig, &ann, "k4", "x"), "");
    assert_eq!(
        problem(&rig.call("ann", "PUT", path, json!({ "locked": true }))),
        "not-moderator"
    );
}

#[test]
fn garbage_is_refused_by_every_route_with_a_documented_problem() {
    let rig = Rig::unlimited(9);
    rig.post("ann", ROOM, "k", "x");
    let bearer = request(&claims("mod"), "GET", "", Value::Null).authorization;
    let routes = wire::routes::ROUTES.iter();
    for route in routes.filter(|route| route.function == wire::routes::Function::Chat) {
        for garbage in calls::garbage(bearer.as_deref().unwrap(), route, ROOM) {
            let told = format!("{} {} {:?}", route.name, garbage.path, garbage.body);
            assert!(rig.send(garbage).status < 500, "{told}");
        }
    }
}

#[test]
fn nobody_sees_whether_somebody_is_here_to_whom_he_may_not_write() {
    let rig = Rig::new(13);
    let mut ann = claims("ann");
    for grant in ann.grants.iter_mut().filter(|grant| grant.room == "direct") {
        grant.channels = vec!["bob".into(), "crew-*".into()];
    }
    let ask = |players: &str| {
        let path = format!("/v1/chat/presence?players={players}");
        rig.send(request(&ann, "GET", &path, Value::Null))
    };
    assert_eq!(ask("bob,crew-7,ann").status, 200);
    for stranger in ["cem", "bob,cem", "crew"] {
        assert_eq!(problem(&ask(stranger)), "channel-not-granted", "{stranger}");
    }
}

#[test]
fn nobody_addresses_more_than_so_many_strangers_but_talks_to_whom_he_knows() {
    let rig = Rig::unlimited(12);
    let direct = |from: &str, to: &str, key: &str| {
        post_as(
            &rig,
            &claims(from),
            &format!("direct~{to}"),
            json!({ "key": key, "text": "hi" }),
        )
    };
    assert_eq!(direct("zoe", "mal", "k").status, 201);
    let mut reached = 0;
    for number in 0..600 {
        let response = direct("mal", &format!("p{number}"), "k");
        if response.status == 201 {
            reached += 1;
            continue;
        }
        let told = (problem(&response), response.header("retry-after"));
        assert_eq!(
            told,
            ("too-fast".into(), Some("120")),
            "to stranger {number}"
        );
        // Nor does he reach them by saying that he types.
        let path = format!("/v1/chat/channels/direct~p{number}/typing");
        let typing = rig.send(request(&claims("mal"), "POST", &path, Value::Null));
        assert_eq!(problem(&typing), "too-fast");
    }
    assert_eq!(reached, 30);
    assert_eq!(
        direct("mal", "p0", "k2").status,
        201,
        "no stranger any more"
    );
    assert_eq!(direct("mal", "zoe", "k2").status, 201, "he answers");
    assert_eq!(
        direct("ann", "p599", "k").status,
        201,
        "others have their own"
    );
    rig.pass(120_000);
    assert_eq!(direct("mal", "p598", "k").status, 201);
    assert_eq!(problem(&direct("mal", "p597", "k")), "too-fast");
}
