//! What any function keeps of a player can be exported and erased: the whole store is searched.

use crate::rig::{ROOM, Rig, claims, heartbeat, problem, read, request};
use edge::directory::{GROWS_AFTER_MS, MAX_BUCKET_SHARDS};
use edge::ports::Clock;
use serde_json::{Value, json};
use wire::chat::{EraseReply, ExportReply, ExportedItem, MessageReply, ReportQueueReply};
use wire::claims::{Claims, Role};
use wire::matching::{TicketReply, TicketStatus};

const SECRET_TEXT: &str = "xylophone-quartz-7";
/// A player whose name and id nothing has by chance.
const ANN: &str = "xanthippe";
const MESSAGES: &str = "/v1/chat/channels/room~lobby~main/messages";
const HOUR_MS: u64 = 60 * 60 * 1000;
/// The longest that matchmaking keeps a match, a ticket or an invitation.
const MATCH_MS: u64 = 6 * HOUR_MS;

fn officer() -> Claims {
    Claims {
        role: Some(Role::Privacy),
        grants: vec![],
        ..claims("officer")
    }
}

fn staff(role: Role) -> Claims {
    Claims {
        role: Some(role),
        ..claims("sam")
    }
}

fn export(rig: &Rig, player: &str) -> Vec<ExportedItem> {
    let (mut items, mut next) = (Vec::new(), None::<String>);
    loop {
        let query = next.map(|next| format!("?next={next}")).unwrap_or_default();
        let path = format!("/v1/chat/players/{player}/data{query}");
        let reply: ExportReply = read(&rig.send(request(&officer(), "GET", &path, Value::Null)));
        items.extend(reply.items);
        next = reply.next;
        if next.is_none() {
            return items;
        }
    }
}

fn erase(rig: &Rig, player: &str) -> u64 {
    let (mut erased, mut next) = (0, None::<String>);
    loop {
        let query = next.map(|next| format!("?next={next}")).unwrap_or_default();
        let path = format!("/v1/chat/players/{player}/data{query}");
        let reply: EraseReply = read(&rig.send(request(&officer(), "DELETE", &path, Value::Null)));
        erased += reply.erased;
        next = reply.next;
        if next.is_none() {
            return erased;
        }
    }
}

/// A player who did everything, in channels of more messages than one step looks at.
fn busy_life(rig: &Rig) {
    rig.beat(&heartbeat());
    for n in 0..1_100 {
        let (player, text) = match n % 3 {
            0 => (ANN, format!("{SECRET_TEXT} {n}")),
            _ => ("bob", format!("noise {n}")),
        };
        assert_eq!(rig.post(player, ROOM, &format!("k{n}"), &text).status, 201);
    }
    rig.post(ANN, "direct~bob", "d", SECRET_TEXT);
    rig.post(ANN, "world~eu-1", "w", SECRET_TEXT);
    moderated_life(rig);
    play(rig, ANN, "bob");
}

/// What else a player does in chat, and what is done to her.
fn moderated_life(rig: &Rig) {
    let mention = json!({ "key": "m", "text": "hey", "mentions": [ANN, "cem"] });
    let reason = |text: &str| json!({ "reason": text });
    let minute = json!({ "seconds": 60, "reason": format!("{ANN} is rude") });
    let week = json!({ "seconds": 7 * 24 * 3600 });
    for (who, method, path, body) in [
        ("bob", "POST", MESSAGES, mention),
        (
            ANN,
            "PUT",
            &format!("{MESSAGES}/2/reactions/fire"),
            Value::Null,
        ),
        (
            ANN,
            "PUT",
            "/v1/chat/channels/room~lobby~main/read",
            json!({ "seq": 9 }),
        ),
        (
            ANN,
            "PUT",
            "/v1/chat/presence",
            json!({ "status": "online" }),
        ),
        (ANN, "PUT", "/v1/chat/blocks/cem", Value::Null),
        ("dan", "PUT", &format!("/v1/chat/blocks/{ANN}"), Value::Null),
        (
            ANN,
            "POST",
            &format!("{MESSAGES}/2/report"),
            reason(SECRET_TEXT),
        ),
        (
            "bob",
            "POST",
            &format!("{MESSAGES}/4/report"),
            reason("rude"),
        ),
        (
            "bob",
            "POST",
            &format!("/v1/chat/channels/direct~{ANN}/messages/1/report"),
            reason("rude"),
        ),
        ("mod", "DELETE", &format!("{MESSAGES}/7"), Value::Null),
        (
            "mod",
            "PUT",
            &format!("/v1/chat/channels/room~lobby~main/mutes/{ANN}"),
            minute,
        ),
        (
            "mod",
            "PUT",
            &format!("/v1/rooms/lobby/mutes/{ANN}"),
            json!({ "seconds": 60 }),
        ),
        ("mod", "PUT", &format!("/v1/rooms/lobby/bans/{ANN}"), week),
    ] {
        let response = rig.call(who, method, path, body);
        assert!(response.status < 300, "{path}: {}", problem(&response));
    }
}

/// Two players are matched, play, and are rated; the first has invited somebody since.
fn play(rig: &Rig, first: &str, second: &str) {
    let teams = json!([{ "name": "t", "count": 2, "players": { "min": 1, "max": 1 } }]);
    let mode = json!({ "mode": "m", "version": 1, "max_wait_s": 60, "teams": teams });
    let rules = json!({ "version": 2, "modes": [mode] });
    let set = request(&staff(Role::Operator), "PUT", "/v1/match/queues/q", rules);
    let set = rig.send(set);
    assert_eq!(set.status, 200, "{}", problem(&set));
    let queue = "/v1/match/queues/q/tickets";
    let ticket = |key: &str, players: &[&str]| {
        let members: Vec<Value> = players
            .iter()
            .enumerate()
            .map(|(n, player)| match n {
                0 => json!({ "player": player, "details": {} }),
                _ => json!({ "player": player }),
            })
            .collect();
        json!({ "key": key, "players": members })
    };
    let tickets = [first, second].map(|player| -> TicketReply {
        read(&rig.call(player, "POST", queue, ticket("k", &[player])))
    });
    let path = format!("{queue}/{}", tickets[0].ticket);
    let found = loop {
        let reply: TicketReply = read(&rig.call(first, "GET", &path, Value::Null));
        if reply.status == TicketStatus::Matched {
            break reply.found.unwrap();
        }
        rig.pass(1_000);
        rig.beat(&heartbeat());
    };
    let ranks: serde_json::Map<_, _> = (1..)
        .zip(&found.teams)
        .map(|(rank, team)| (team.name.clone(), json!(rank)))
        .collect();
    let result = format!("/v1/match/matches/{}/result", found.id);
    let result = request(
        &staff(Role::GameServer),
        "POST",
        &result,
        json!({ "ranks": ranks }),
    );
    let told = rig.send(result);
    assert_eq!(told.status, 200, "{}", problem(&told));
}

/// Everything that the store has and that has not expired, a line each, with when it expires.
fn whole_store(rig: &Rig) -> Vec<(String, Option<u64>)> {
    let all = rig.store.inner.everything().into_iter();
    let lives = |expires_at_ms: Option<u64>| expires_at_ms.is_none_or(|at| at > rig.now_ms());
    all.filter(|(_, item)| lives(item.expires_at_ms))
        .map(|(partition, item)| {
            let value = String::from_utf8(item.value).unwrap();
            (
                format!("{partition} {} {value}", item.sort),
                item.expires_at_ms,
            )
        })
        .collect()
}

#[test]
fn an_export_has_everything_once() {
    let rig = Rig::unlimited(1);
    busy_life(&rig);
    let items = export(&rig, ANN);
    let count = |what: &str| items.iter().filter(|item| item.what == what).count();
    // One of the 369 was deleted by a moderator; its number stays.
    assert_eq!(count("message"), 367 + 2);
    let once = [
        "reactions",
        "read",
        "presence",
        "block",
        "blocked-by",
        "sanction",
        "match-player",
    ];
    for what in once {
        assert_eq!(count(what), 1, "{what}");
    }
    // What she reported, and what bob did of hers, in the room and in their direct channel; that
    // her message was deleted and she was muted.
    assert_eq!((count("report"), count("moderation")), (3, 2));
    // Blocking makes an author of both in their direct channel.
    assert_eq!(count("author"), 3 + 2);
    let sanction = items.iter().find(|item| item.what == "sanction").unwrap();
    assert_eq!(sanction.place, "lobby");
    assert!(sanction.value["banned_until_ms"].as_u64() > sanction.value["muted_until_ms"].as_u64());
    let player = items
        .iter()
        .find(|item| item.what == "match-player")
        .unwrap();
    assert!(player.value.to_string().contains("\"q\""), "{player:?}");
    let texts = items
        .iter()
        .filter(|item| item.value.to_string().contains(SECRET_TEXT));
    // Hers in the channels but for the deleted one, and in the three reports.
    assert_eq!(texts.count(), 368 + 3);
    assert!(
        !items
            .iter()
            .any(|item| item.value.to_string().contains("noise"))
    );
    assert!(export(&rig, "nobody").is_empty());
}

#[test]
fn an_erasure_leaves_nothing_of_the_player_and_everything_of_others() {
    let rig = Rig::unlimited(2);
    busy_life(&rig);
    let names_her = |(line, _): &&(String, _)| line.contains(ANN) || line.contains(SECRET_TEXT);
    assert!(whole_store(&rig).iter().filter(names_her).count() > 369);
    assert!(erase(&rig, ANN) > 369);
    let left = whole_store(&rig);
    let named: Vec<_> = left.iter().filter(names_her).collect();
    // What is left are keys of direct channels: the others' own items, and tombstones until they
    // expire; and what matchmaking forgets by itself within hours.
    let direct = [
        format!("chat#direct~bob~{ANN} "),
        format!("chat-floor#direct~bob~{ANN} "),
    ];
    for (line, expires_at_ms) in &named {
        let is_others = line.starts_with("chat-player#") && line.contains(" in#direct~");
        let is_key = direct.iter().any(|key| line.starts_with(key));
        let is_match = line.starts_with("match");
        assert!(is_others || is_key || is_match, "{line}");
        assert!(!line.contains(SECRET_TEXT), "{line}");
        assert!(!is_key || !line.contains("Name of"), "{line}");
        let soon = expires_at_ms.is_some_and(|at| at <= rig.now_ms() + MATCH_MS);
        assert!(!is_match || soon, "{line}: {expires_at_ms:?}");
    }
    assert_eq!(erase(&rig, ANN), 0);
    rig.pass(MATCH_MS);
    let left = whole_store(&rig);
    let is_match = |(line, _): &&(String, _)| line.starts_with("match");
    assert_eq!(left.iter().filter(names_her).filter(is_match).count(), 0);

    let history = rig.history_of("bob", ROOM, "after=0&limit=100");
    assert_eq!(history.messages.len(), 100, "numbers have no holes");
    assert_eq!(history.messages[1].text.as_deref(), Some("noise 1"));
    let last = rig.history("bob", ROOM).messages.pop().unwrap();
    assert_eq!(last.mentions.len(), 1, "others' texts stay, without him");
    let next: MessageReply = read(&rig.post("bob", ROOM, "next", "x"));
    assert_eq!(next.message.seq, last.seq + 1);
    // Of the reports, that of their direct channel went with her; of the others her words did.
    let queue = request(
        &staff(Role::Moderator),
        "GET",
        "/v1/chat/reports?day=2023-11-14",
        Value::Null,
    );
    let queue: ReportQueueReply = read(&rig.send(queue));
    let told: Vec<_> = queue.reports.iter().map(|one| &one.report).collect();
    assert_eq!(told.len(), 2);
    let mut reporters: Vec<&str> = told.iter().map(|one| one.reporter.as_str()).collect();
    reporters.sort_unstable();
    assert_eq!(reporters, ["bob", "erased"]);
    assert!(told.iter().all(|one| one.messages.len() > 5));
}

#[test]
fn whoever_reported_in_a_hall_where_he_wrote_nothing_is_found_there() {
    let rig = Rig::unlimited(4);
    let beat_all = || {
        for number in 0..=MAX_BUCKET_SHARDS {
            rig.beat(&wire::fleet::Heartbeat {
                shard: format!("eu-1-{number}").parse().unwrap(),
                sent_at_ms: rig.now_ms(),
                ..heartbeat()
            });
        }
    };
    beat_all();
    rig.pass(GROWS_AFTER_MS);
    beat_all();
    for (hall, reporter) in [(2, ANN), (3, "cem")] {
        let channel = format!("world~eu-1~{hall}");
        assert_eq!(rig.post("bob", &channel, "k", "rude").status, 201);
        let path = format!("/v1/chat/channels/{channel}/messages/1/report");
        let reported = rig.call(reporter, "POST", &path, json!({ "reason": SECRET_TEXT }));
        assert!(reported.status < 300, "{}", problem(&reported));
    }
    let places = |what: &str| -> Vec<String> {
        let items = export(&rig, ANN).into_iter();
        let of = items.filter(|item| item.what == what);
        of.map(|item| item.place).collect()
    };
    assert_eq!(places("report"), ["world~eu-1~2"]);
    assert!(erase(&rig, ANN) > 0);
    let left = whole_store(&rig);
    assert!(!left.iter().any(|(line, _)| line.contains(ANN)));
    let reasons = left.iter().filter(|(line, _)| line.contains(SECRET_TEXT));
    assert_eq!(reasons.count(), 1, "that of the other stays");
}

#[test]
fn only_the_privacy_role_may_export_and_erase() {
    let rig = Rig::unlimited(3);
    for method in ["GET", "DELETE"] {
        let path = "/v1/chat/players/xanthippe/data";
        for role in [None, Some(Role::Operator)] {
            let claims = Claims {
                role,
                ..claims(ANN)
            };
            let response = rig.send(request(&claims, method, path, Value::Null));
            assert_eq!(problem(&response), "privacy-only");
        }
        let path = format!("{path}?next=bm9uc2Vuc2U");
        let response = rig.send(request(&officer(), method, &path, Value::Null));
        assert_eq!(problem(&response), "cursor-invalid");
    }
}

#[test]
fn what_outlives_a_channels_messages_is_found_as_well() {
    const DAY_MS: u64 = 24 * HOUR_MS;
    let rig = Rig::unlimited(5);
    busy_life(&rig);
    // Her messages are gone, and so is her item of the channel; reports and the trail are not.
    rig.pass(40 * DAY_MS);
    let kept = |rig: &Rig, kind: &str| {
        let names_her = |(line, _): &&(String, _)| line.contains(ANN) || line.contains(SECRET_TEXT);
        let all = whole_store(rig);
        let of_kind = all.iter().filter(names_her);
        of_kind.filter(|(line, _)| line.starts_with(kind)).count()
    };
    let room = ["chat-report#room~", "chat-audit#room~"];
    assert_eq!(kept(&rig, "chat#room~"), 0);
    assert!(room.iter().all(|kind| kept(&rig, kind) > 0));
    let items = export(&rig, ANN);
    let count = |what: &str| items.iter().filter(|item| item.what == what).count();
    assert_eq!((count("report"), count("moderation")), (3, 2));
    erase(&rig, ANN);
    assert!(room.iter().all(|kind| kept(&rig, kind) == 0));
    assert_eq!(kept(&rig, "chat-report#direct~"), 0);
    assert!(export(&rig, ANN).is_empty());
}
