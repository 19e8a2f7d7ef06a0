//! Limits, policy, blocks and moderation, and how each refusal looks.

use crate::rig::{ROOM, Rig, claims, problem, read, request};
use edge::http::Response;
use serde_json::{Value, json};
use wire::chat::{AuditAction, AuditReply, ChannelSettings, MessageReply, Report, ReportsReply};
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
fn a_block_holds_both_ways_until_it_is_taken_back() {
    let rig = Rig::unlimited(5);
    rig.post("ann", ROOM, "k", "from ann");
    rig.post("bob", ROOM, "k", "from bob");
    let block = |method: &str| {
        let path = "/v1/chat/blocks/bob";
        assert_eq!(rig.call("ann", method, path, Value::Null).status, 204);
    };
    let sees = |player: &str| rig.history(player, ROOM, "").messages.len();
    let direct = |from: &str, to: &str, key: &str| {
        problem(&rig.post(from, &format!("direct~{to}"), key, "psst"))
    };
    assert_eq!(direct("bob", "ann", "k1"), "");
    block("PUT");
    block("PUT");
    assert_eq!((sees("ann"), sees("bob"), sees("cem")), (1, 1, 2));
    assert_eq!(direct("bob", "ann", "k2"), "blocked");
    assert_eq!(direct("ann", "bob", "k2"), "blocked");
    rig.pass(300 * 24 * 60 * 60 * 1000);
    assert_eq!(
        direct("bob", "ann", "k3"),
        "blocked",
        "a block does not expire"
    );
    let listed: wire::chat::BlockList =
        read(&rig.call("ann", "GET", "/v1/chat/blocks", Value::Null));
    assert_eq!(listed.players.len(), 1);
    block("DELETE");
    assert_eq!(direct("bob", "ann", "k4"), "");
    let presence = |by: &str| -> wire::chat::PresenceReply {
        read(&rig.call(by, "GET", "/v1/chat/presence?players=bob,cem", Value::Null))
    };
    let online = json!({ "status": "online", "room": "lobby" });
    assert_eq!(
        rig.call("bob", "PUT", "/v1/chat/presence", online).status,
        204
    );
    let status = |by: &str| presence(by).players[0].status;
    assert_eq!(status("ann"), wire::chat::Status::Online);
    block("PUT");
    assert_eq!(status("ann"), wire::chat::Status::Offline);
    assert_eq!(status("cem"), wire::chat::Status::Online);
    rig.pass(90_000);
    assert_eq!(
        status("cem"),
        wire::chat::Status::Offline,
        "nothing heard for 90 s"
    );
}

#[test]
fn mutes_end_by_themselves_and_are_in_the_audit_trail() {
    let rig = Rig::unlimited(6);
    let mute = |by: &str, method: &str, body: Value| {
        rig.call(
            by,
            method,
            "/v1/chat/channels/room~lobby~main/mutes/ann",
            body,
        )
    };
    let minute = || json!({ "seconds": 60, "reason": "spam" });
    assert_eq!(problem(&mute("bob", "PUT", minute())), "not-moderator");
    assert_eq!(mute("mod", "PUT", minute()).status, 204);
    let refused = rig.post("ann", ROOM, "k", "x");
    assert_eq!(
        (problem(&refused).as_str(), refused.header("retry-after")),
        ("muted", Some("60"))
    );
    assert_eq!(
        rig.post("ann", "room~lobby~team", "k", "x").status,
        201,
        "only there"
    );
    rig.pass(60_000);
    assert_eq!(rig.post("ann", ROOM, "k", "x").status, 201);
    mute("mod", "PUT", minute());
    assert_eq!(mute("mod", "DELETE", Value::Null).status, 204);
    assert_eq!(rig.post("ann", ROOM, "k2", "x").status, 201);
    rig.call("mod", "DELETE", &format!("{MESSAGES}/1"), Value::Null);
    let path = "/v1/chat/channels/room~lobby~main/audit";
    assert_eq!(
        problem(&rig.call("ann", "GET", path, Value::Null)),
        "not-moderator"
    );
    let trail: AuditReply = read(&rig.call("mod", "GET", path, Value::Null));
    let mut actions: Vec<_> = trail.entries.iter().map(|entry| entry.action).collect();
    actions.sort_by_key(|action| *action as u8);
    use AuditAction::{Delete, Mute, Unmute};
    assert_eq!(actions, [Delete, Mute, Mute, Unmute]);
    assert!(
        trail
            .entries
            .iter()
            .all(|entry| entry.player.as_ref().unwrap().as_str() == "ann")
    );
    assert_eq!(trail.entries.last().unwrap().reason, "spam");
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
fn a_report_keeps_the_messages_around_even_when_they_are_deleted() {
    let rig = Rig::unlimited(8);
    (1..=9).for_each(|n| drop(rig.post("ann", ROOM, &format!("k{n}"), &format!("text {n}"))));
    let report = |seq: u64| {
        let path = format!("{MESSAGES}/{seq}/report");
        rig.call("bob", "POST", &path, json!({ "reason": "rude" }))
    };
    assert_eq!(problem(&report(99)), "unknown-message");
    assert_eq!(report(7).status, 201);
    assert_eq!(report(7).status, 201, "a retry");
    rig.call("ann", "DELETE", &format!("{MESSAGES}/7"), Value::Null);
    let path = "/v1/chat/channels/room~lobby~main/reports";
    assert_eq!(
        problem(&rig.call("bob", "GET", path, Value::Null)),
        "not-moderator"
    );
    let reply: ReportsReply = read(&rig.call("mod", "GET", path, Value::Null));
    let [
        Report {
            seq,
            messages,
            reporter,
            ..
        },
    ] = reply.reports.as_slice()
    else {
        panic!("one report: {reply:?}");
    };
    assert_eq!((*seq, reporter.as_str()), (7, "bob"));
    let texts: Vec<_> = messages.iter().filter_map(|m| m.text.as_deref()).collect();
    assert_eq!(
        texts,
        (2..=9).map(|n| format!("text {n}")).collect::<Vec<_>>()
    );
}

#[test]
fn garbage_is_refused_by_every_route_with_a_documented_problem() {
    let rig = Rig::unlimited(9);
    rig.post("ann", ROOM, "k", "x");
    let routes = wire::routes::ROUTES.iter();
    for route in routes.filter(|route| route.function == wire::routes::Function::Chat) {
        for (channel, player, seq) in [
            (ROOM, "ann", "1"),
            ("x", "\u{e9}", "x"),
            ("%00", "%ff", "-1"),
        ] {
            let path = route
                .path
                .replace("{channel}", channel)
                .replace("{player}", player)
                .replace("{seq}", seq)
                .replace("{reaction}", "%00");
            for body in [
                &b""[..],
                b"\xff",
                b"null",
                b"[]",
                b"{}",
                b"{\"seq\":-1}",
                b"\"\\ud800\"",
            ] {
                let mut raw = request(&claims("mod"), route.method, &path, Value::Null);
                raw.body = body.to_vec();
                raw.query = Some("in=&players=%ff&next=x&after=x".into());
                let response = rig.send(raw);
                assert!(response.status < 500, "{} {path} {body:?}", route.name);
            }
        }
    }
}
