//! What holds in chat channels: blocks, mutes with their trail, and reports.

use edge::ports::Clock;
use edge::testing::calls;
use serde_json::{Value, json};
use wire::chat::{AuditAction, AuditReply, Report, ReportQueueReply, ReportsReply};
use wire::claims::{Claims, Role};

use crate::rig::{ROOM, Rig, claims, problem, read, request};

const MESSAGES: &str = "/v1/chat/channels/room~lobby~main/messages";

#[test]
fn a_block_holds_both_ways_until_it_is_taken_back() {
    let rig = Rig::unlimited(5);
    rig.post("ann", ROOM, "k", "from ann");
    rig.post("bob", ROOM, "k", "from bob");
    let block = |method: &str| {
        let path = "/v1/chat/blocks/bob";
        assert_eq!(rig.call("ann", method, path, Value::Null).status, 204);
    };
    let sees = |player: &str| rig.history(player, ROOM).messages.len();
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
fn what_is_reported_anywhere_is_in_the_queue_of_its_day_until_it_is_settled() {
    let rig = Rig::unlimited(10);
    let channels = ["room~lobby~main", "party~squad", "direct~ann", "world~eu-1"];
    for (number, channel) in channels.iter().enumerate() {
        assert_eq!(rig.post("bob", channel, "k", "rude").status, 201);
        rig.pass(1);
        let reporter = if number == 2 { "ann" } else { "cem" };
        let seen = if number == 2 { "direct~bob" } else { channel };
        let path = format!("/v1/chat/channels/{seen}/messages/1/report");
        let report = || rig.call(reporter, "POST", &path, json!({ "reason": "rude" }));
        assert_eq!(report().status, 201);
        rig.pass(1);
        assert_eq!(report().status, 201, "a retry");
    }
    let staff = |role: Option<Role>, method: &str, path: &str| {
        let claims = Claims {
            grants: Vec::new(),
            role,
            ..claims("sam")
        };
        rig.send(request(&claims, method, path, Value::Null))
    };
    let queue = "/v1/chat/reports";
    for role in [None, Some(Role::Operator), Some(Role::GameServer)] {
        let refused = staff(role, "GET", queue);
        assert_eq!(problem(&refused), "not-moderator", "{role:?}");
    }
    let day = wire::day::day_of(rig.now_ms());
    let path = format!("{queue}?region=eu-1&day={day}");
    for role in [Role::Moderator, Role::Support] {
        let reply: ReportQueueReply = read(&staff(Some(role), "GET", &path));
        let told = reply.reports.iter().map(|one| {
            let report = &one.report;
            assert_eq!(report.messages[0].text.as_deref(), Some("rude"));
            (report.channel.as_deref().unwrap(), report.reporter.as_str())
        });
        let wanted = [
            ("room~lobby~main", "cem"),
            ("party~squad", "cem"),
            ("direct~ann~bob", "ann"),
            ("world~eu-1", "cem"),
        ];
        assert_eq!(told.collect::<Vec<_>>(), wanted);
        assert_eq!(reply.next, None);
    }
    let reply: ReportQueueReply = read(&staff(Some(Role::Support), "GET", queue));
    assert_eq!(
        reply.reports.len(),
        4,
        "its own region and this day are meant"
    );
    let direct = &reply.reports[2];
    let settle = format!("{queue}/{}", direct.id);
    for _ in 0..2 {
        assert_eq!(staff(Some(Role::Support), "DELETE", &settle).status, 204);
    }
    let left: ReportQueueReply = read(&staff(Some(Role::Moderator), "GET", queue));
    assert_eq!(left.reports.len(), 3);
    for elsewhere in ["region=eu", "day=2020-01-01", "region=eu-1&day=2020-13-77"] {
        let path = format!("{queue}?{elsewhere}");
        let reply: ReportQueueReply = read(&staff(Some(Role::Moderator), "GET", &path));
        assert!(reply.reports.is_empty(), "{elsewhere}");
    }
    for wrong in ["region=a%2Fb", "day=today", "after=x"] {
        let refused = staff(Some(Role::Moderator), "GET", &format!("{queue}?{wrong}"));
        assert_eq!(refused.status, 400, "{wrong}");
    }
}

#[test]
fn a_long_queue_is_read_page_by_page() {
    let rig = Rig::unlimited(11);
    for number in 1..=45 {
        rig.post("bob", ROOM, &format!("k{number}"), "rude");
        let path = format!("{MESSAGES}/{number}/report");
        let report = rig.call("cem", "POST", &path, json!({ "reason": "rude" }));
        assert_eq!(report.status, 201);
    }
    let claims = Claims {
        role: Some(Role::Moderator),
        ..claims("sam")
    };
    let (mut path, mut seqs) = ("/v1/chat/reports".to_owned(), Vec::new());
    loop {
        let page: ReportQueueReply = read(&rig.send(request(&claims, "GET", &path, Value::Null)));
        assert!(page.reports.len() <= 20);
        seqs.extend(page.reports.iter().map(|one| one.report.seq));
        let Some(next) = page.next else { break };
        path = format!("/v1/chat/reports?after={next}");
    }
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=45).collect::<Vec<_>>(), "each once");
}

#[test]
fn garbage_is_refused_by_every_route_with_a_documented_problem() {
    let rig = Rig::unlimited(9);
    rig.post("ann", ROOM, "k", "x");
    let bearer = request(&claims("mod"), "GET", "", Value::Null).authorization;
    let routes = wire::routes::ROUTES.iter();
    for route in routes.filter(|route| route.function == wire::routes::Function::Safety) {
        for garbage in calls::garbage(bearer.as_deref().unwrap(), route, ROOM) {
            let told = format!("{} {} {:?}", route.name, garbage.path, garbage.body);
            assert!(rig.send(garbage).status < 500, "{told}");
        }
    }
}
